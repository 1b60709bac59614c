//! What people are told of: one incident a candidate, from the first decision that is urgent enough to the one that
//! ends it. A function of the decisions alone.

use std::collections::BTreeMap;

use crate::event::Micros;
use crate::plan::{Authority, Signal};
use crate::reason::ReasonCode;
use crate::verdict::Decision;
use crate::verdict::decision::Severity;

/// What has become of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Opened,
    Updated,
    Resolved,
}

/// Decisions about a candidate that belong together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Incident {
    /// Id of the decision that opened it: incidents of one name are the same.
    pub(super) key: String,
    pub(super) since: Micros,
    /// The highest so far.
    pub(super) severity: Severity,
    /// The last decision.
    pub(super) last: Decision,
    /// The last that did more than say once more what is in force.
    pub(super) cause: Decision,
    /// Decisions after the first.
    pub(super) n_updates: u32,
    restricted: bool,
}

/// Incidents that stand.
#[derive(Debug, Default)]
pub(super) struct Incidents(BTreeMap<(String, String), Incident>);

impl Incidents {
    /// Takes the next decision. What is less urgent than `at` opens nothing.
    pub(super) fn hear(&mut self, decision: Decision, at: Severity) -> Option<(Turn, Incident)> {
        let whose = (decision.model.clone(), decision.candidate.clone());
        let is_urgent = decision.severity >= at;
        let Some(incident) = self.0.get_mut(&whose) else {
            if !is_urgent {
                return None;
            }
            let incident = Incident::new(decision);
            self.0.insert(whose, incident.clone());
            return Some((Turn::Opened, incident));
        };
        let ends = incident.ends_by(&decision);
        if !(ends || is_urgent || decision.authority == Authority::Approval) {
            return None;
        }
        incident.go_on(decision);
        if ends {
            self.0.remove(&whose).map(|incident| (Turn::Resolved, incident))
        } else {
            Some((Turn::Updated, incident.clone()))
        }
    }

    /// Those that stand.
    pub(super) fn open(&self) -> impl Iterator<Item = &Incident> {
        self.0.values()
    }
}

impl Incident {
    fn new(decision: Decision) -> Self {
        Self {
            key: decision.id.clone(),
            since: decision.time,
            severity: decision.severity,
            restricted: decision.action.restricts(),
            n_updates: 0,
            cause: decision.clone(),
            last: decision,
        }
    }

    fn go_on(&mut self, decision: Decision) {
        self.severity = self.severity.max(decision.severity);
        self.restricted |= decision.action.restricts();
        self.n_updates += 1;
        if decision.action != Signal::Heartbeat {
            self.cause = decision.clone();
        }
        self.last = decision;
    }

    /// Whether a decision ends it: the restriction is lifted, nothing of the candidate is left to restrict, or what was
    /// told is over and nothing was restricted.
    fn ends_by(&self, decision: &Decision) -> bool {
        let is_over = decision.reason.code.known() == Some(ReasonCode::RolledBack);
        // Whoever rejects that a restriction is lifted leaves it standing.
        let was_asked = self.last.action == Signal::Resume && self.last.authority == Authority::Approval;
        match decision.action {
            Signal::PromoteOk | Signal::Resume => decision.authority != Authority::Approval,
            Signal::Retract => is_over || !was_asked,
            Signal::Observe => is_over || !self.restricted,
            _ => is_over,
        }
    }
}
