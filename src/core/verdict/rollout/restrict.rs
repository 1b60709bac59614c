//! Restricting, at once: observe < warn < hold < contain < rollback.
//!
//! A hard finding acts by itself. Any other makes a candidate suspect first, and acts when it still stands after the
//! confirmation windows. A candidate that a person has resumed or promoted is held, and people are called; nothing
//! more.

use super::step::WeighedFindings;
use super::{Draft, RolloutState, State};
use crate::name::NameOf;
use crate::plan::{Action, RolloutPlan, Signal};
use crate::reason::ReasonCode;
use crate::verdict::decision::{Evidence, Severity};
use crate::verdict::finding::Finding;

/// What the findings of a judgement call for, if it is more than what is in force.
pub(crate) fn restrict(state: &mut RolloutState, heard: &WeighedFindings, plan: &RolloutPlan) -> Option<Draft> {
    let acting = |finding: &&Finding| finding.hard || confirmed(state, finding, plan);
    let acting: Vec<(&Finding, Action)> =
        heard.findings.iter().filter(acting).map(|finding| (finding, allowed(state, finding, plan))).collect();
    let worst = acting.iter().map(|(_, action)| *action).max().unwrap_or(Action::Observe);
    let now = state.state.severity();
    // A candidate that is contained first keeps no more than the step it is at, or its cap would let it rise.
    let here = if now < Action::Contain { plan.cap_at(state.step) } else { 100.0 };
    let capped = || {
        let caps = acting.iter().filter(|(_, action)| *action == Action::Contain);
        let caps = caps.map(|(finding, _)| finding.cap_pct.unwrap_or_else(|| plan.cap_at(0)));
        caps.chain(state.cap_pct).min_by(f64::total_cmp).unwrap_or_else(|| plan.cap_at(0)).min(here)
    };
    let lower = worst == Action::Contain && now == worst && state.cap_pct.is_none_or(|cap| capped() < cap);
    if worst > now || lower {
        let cap = match worst {
            Action::Contain => Some(capped()),
            Action::Rollback => Some(0.0),
            _ => None,
        };
        let (first, _) = acting.iter().find(|(_, action)| *action == worst)?;
        let pages = acting.iter().any(|(finding, action)| finding.action > *action && *action >= Action::Hold);
        let mut draft = draft(state, worst, first.reason.code.clone(), &first.reason.text, evidence(heard));
        draft.cap_pct = cap;
        if pages {
            draft.severity = Severity::Fatal;
        }
        go(state, worst, cap, &draft.reason.code);
        return Some(draft);
    }
    suspect(state, heard)
}

/// Something speaks against the candidate that does not act yet.
fn suspect(state: &mut RolloutState, heard: &WeighedFindings) -> Option<Draft> {
    let soft = heard.findings.iter().find(|finding| finding.action > Action::Observe);
    if state.state.severity() > Action::Observe || state.is_new() || !state.sighted() {
        return None;
    }
    let draft = match soft {
        Some(finding) => draft(state, Action::Warn, finding.reason.code.clone(), &finding.reason.text, evidence(heard)),
        None if heard.suspicious => {
            let text = "evidence against the candidate is above the bound for warnings";
            draft(state, Action::Warn, ReasonCode::Suspicion, text, evidence(heard))
        }
        None => return None,
    };
    go(state, Action::Warn, None, &draft.reason.code);
    Some(draft)
}

fn draft(
    state: &RolloutState,
    action: Action,
    code: impl Into<NameOf<ReasonCode>>,
    text: &str,
    evidence: Vec<Evidence>,
) -> Draft {
    Draft { evidence, ..Draft::new(state, Signal::from(action), code, text) }
}

fn go(state: &mut RolloutState, action: Action, cap_pct: Option<f64>, cause: &NameOf<ReasonCode>) {
    state.enter(State::under(action));
    state.cause.clone_from(cause);
    state.cap_pct = cap_pct.or(state.cap_pct);
    state.counts.clear = 0;
}

/// Whether a finding that is not hard has stood long enough.
fn confirmed(state: &RolloutState, finding: &Finding, plan: &RolloutPlan) -> bool {
    let stood = state.standing.iter().filter(|one| one.source == finding.source).map(|one| one.windows).max();
    let long_enough = finding.action <= Action::Warn || stood.unwrap_or(0) >= plan.confirm_windows;
    long_enough && state.sighted() && !state.is_new()
}

/// What a finding may do at most.
fn allowed(state: &RolloutState, finding: &Finding, plan: &RolloutPlan) -> Action {
    let ceiling = if state.counts.stable > plan.horizon_windows || state.is_world() {
        Action::Warn
    } else if state.people.forced && !(finding.hard && plan.hard_overrides_people) {
        Action::Hold
    } else {
        Action::Rollback
    };
    finding.action.min(ceiling)
}

/// The numbers behind a decision: those that act, those that may act later, and those that were told not to.
fn evidence(heard: &WeighedFindings) -> Vec<Evidence> {
    heard.findings.iter().chain(&heard.shown).flat_map(|finding| finding.evidence.iter().cloned()).collect()
}
