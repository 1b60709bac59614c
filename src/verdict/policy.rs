//! From rows to decisions: each rule counts the windows that breach its bound, and the most severe rule that fires decides.
//!
//! Restricting is immediate. A warning clears when its windows have; a hold, cap or rollback stays until a person or a new
//! candidate ends it. A window that lacks data of either side changes nothing but the validity (`BLIND`).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::Micros;
use crate::metric;
use crate::metric::row::{ALL_VERSIONS, WindowRow};
use crate::plan::{Action, Plan, Rule};
use crate::scan::frame::OTHER;
use crate::verdict::command::{Command, CommandResult, Outcome};
use crate::verdict::decision::{
    Decision, DecisionInputs, Evidence, Exposure, Precondition, Reason, RolloutState, RuleHistory,
};
use crate::verdict::evidence::{Measured, measure};
use crate::verdict::finding::{Finding, Verdict};
use crate::verdict::guard::{Guards, Memory};
use crate::verdict::judged::{Judged, Kind};
use crate::verdict::reason;

/// Seconds until a restriction must be renewed.
const LEASE_S: u64 = 900;

/// Every rollout of one pipeline.
#[derive(Debug)]
pub(crate) struct Policy {
    plan: Arc<Plan>,
    states: BTreeMap<(String, String), RolloutState>,
    guards: Option<Guards>,
    memories: BTreeMap<(String, String), Memory>,
}

impl Policy {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        let guards = plan.policy.guards.as_ref().map(|guard| Guards::new(&plan, guard));
        Self { plan, states: BTreeMap::new(), guards, memories: BTreeMap::new() }
    }

    pub(crate) fn restore(&mut self, states: Vec<RolloutState>) {
        let of_this = states.into_iter().filter(|state| state.rollout == self.plan.policy.rollout);
        self.states.extend(of_this.map(|state| ((state.model.clone(), state.candidate.clone()), state)));
    }

    pub(crate) fn states(&self) -> Vec<RolloutState> {
        self.states.values().cloned().collect()
    }

    /// Takes a window in; returns decisions and the states that changed.
    pub(crate) fn judge(&mut self, judged: &Judged<'_>) -> (Vec<Decision>, Vec<RolloutState>) {
        let (mut decisions, mut changed) = (Vec::new(), Vec::new());
        for key in self.candidates(judged.rows) {
            let before = self.states.remove(&key).unwrap_or_else(|| self.observe(&key));
            let order = (judged.order.0, judged.order.1 as u8);
            if order <= before.judged_upto {
                self.states.insert(key, before);
                continue;
            }
            let verdict = self.guards.as_ref().map(|guards| {
                let memory = self.memories.entry(key.clone()).or_default();
                guards.judge(memory, &key.0, &key.1, judged)
            });
            let state = RolloutState { judged_upto: order, ..before };
            let (state, decision) = self.judge_candidate(state, judged, verdict.unwrap_or_default());
            decisions.extend(decision);
            changed.push(state.clone());
            self.states.insert(key, state);
        }
        (decisions, changed)
    }

    /// Carries out a command.
    pub(crate) fn command(&mut self, command: Command) -> (CommandResult, Vec<Decision>, Vec<RolloutState>) {
        let key = (command.model.clone(), command.candidate.clone());
        let state = self.states.get(&key);
        let result = CommandResult {
            outcome: Outcome::Rejected,
            text: "no command can be carried out yet".to_owned(),
            sequence: state.map_or(0, |state| state.sequence),
            state: None,
            decisions: Vec::new(),
            applied_after: state.map(|state| state.judged_upto),
            command,
        };
        (result, Vec::new(), Vec::new())
    }

    /// Versions that are judged: those in the window, and those known of its models.
    fn candidates(&self, rows: &[WindowRow]) -> Vec<(String, String)> {
        let main = &self.plan.policy.baseline_version;
        if main.is_empty() {
            return Vec::new();
        }
        let candidate = |version: &str| version != main && version != ALL_VERSIONS && version != OTHER;
        let seen =
            rows.iter().filter(|row| candidate(&row.version)).map(|row| (row.model.clone(), row.version.clone()));
        let known = self.states.keys().filter(|(model, _)| rows.iter().any(|row| row.model == *model)).cloned();
        let mut all: Vec<_> = seen.chain(known).collect();
        all.sort();
        all.dedup();
        all
    }

    fn observe(&self, (model, candidate): &(String, String)) -> RolloutState {
        RolloutState {
            rollout: self.plan.policy.rollout.clone(),
            model: model.clone(),
            candidate: candidate.clone(),
            baseline: self.plan.policy.baseline_version.clone(),
            state: state_of(Action::Observe).to_owned(),
            validity: "VALID".to_owned(),
            sequence: 0,
            cap_pct: None,
            in_force: Vec::new(),
            episode: String::new(),
            declared_pct: None,
            judged_upto: (Micros::MIN, 0),
            history: Vec::new(),
        }
    }

    fn judge_candidate(
        &self,
        mut state: RolloutState,
        judged: &Judged<'_>,
        verdict: Verdict,
    ) -> (RolloutState, Option<Decision>) {
        let sees = |version: &str| judged.rows.iter().any(|row| row.version == version && row.model == state.model);
        let valid = sees(&state.candidate) && sees(&state.baseline);
        if judged.order.1 == Kind::Traffic {
            let validity = if valid { "VALID" } else { "BLIND" };
            validity.clone_into(&mut state.validity);
        }
        let rules: Vec<&Rule> = self.plan.policy.rules.iter().collect();
        let of_rules = rules.iter().filter_map(|rule| self.fire(rule, &mut state, judged));
        let findings: Vec<Finding> = of_rules.chain(verdict.findings).collect();
        let exposure = (judged.exposure)(&state.model, &state.candidate);
        state.declared_pct = exposure.declared_pct.or(state.declared_pct);
        let Some(next) = Self::next(&state, &findings) else { return (state, None) };
        let decision = self.decide(&state, judged, next, findings, exposure);
        state.sequence = decision.sequence;
        state_of(decision.action).clone_into(&mut state.state);
        state.cap_pct = decision.cap_pct;
        let restricts = decision.action > Action::Observe;
        state.in_force = if restricts { vec![decision.id.clone()] } else { Vec::new() };
        state.episode = if restricts { decision.episode.clone() } else { String::new() };
        (state, Some(decision))
    }

    /// Holds one rule against the window; `Some` when enough of its last windows breached.
    fn fire(&self, rule: &Rule, state: &mut RolloutState, judged: &Judged<'_>) -> Option<Finding> {
        let measured = measure(&self.plan, rule, &state.model, &state.candidate, judged.rows);
        let mut evidence = Vec::new();
        for Measured { row, estimate, bounds, breached } in measured {
            let scope = format!("{}@{}", row.column, row.segment);
            let history = history_of(state, &rule.name, &scope);
            history.breached.insert(0, breached);
            history.breached.truncate(rule.windows as usize);
            let n_breached = history.breached.iter().filter(|breached| **breached).count();
            let counted = (u32::try_from(n_breached).unwrap_or(u32::MAX), rule.windows);
            if breached && counted.0 >= rule.breaches {
                evidence.push(crate::verdict::evidence::evidence(rule, row, estimate, bounds, counted));
            }
        }
        (!evidence.is_empty()).then(|| Finding {
            source: rule.name.clone(),
            action: rule.action,
            cap_pct: rule.cap_pct,
            hard: true,
            reason: reason_of(&self.plan, rule, &evidence[0]),
            evidence,
        })
    }

    /// What to do now, when it differs from what is in force.
    fn next(state: &RolloutState, findings: &[Finding]) -> Option<(Action, Option<f64>)> {
        let severest = findings.iter().map(|finding| finding.action).max();
        let current = action_of(&state.state);
        let cap_of = |action| {
            let caps = findings.iter().filter(|finding| finding.action == action).filter_map(|finding| finding.cap_pct);
            caps.min_by(f64::total_cmp)
        };
        match severest {
            Some(Action::Contain) if current == Action::Contain => {
                let cap = cap_of(Action::Contain)?;
                state.cap_pct.is_none_or(|in_force| cap < in_force).then_some((Action::Contain, Some(cap)))
            }
            Some(action) if action > current => Some((action, cap_of(action).filter(|_| action == Action::Contain))),
            None if current == Action::Warn && !any_breach(state) => Some((Action::Observe, None)),
            _ => None,
        }
    }

    fn decide(
        &self,
        state: &RolloutState,
        judged: &Judged<'_>,
        (action, cap_pct): (Action, Option<f64>),
        findings: Vec<Finding>,
        exposure: Exposure,
    ) -> Decision {
        let policy = &self.plan.policy;
        let reason = findings.iter().find(|finding| finding.action == action).map_or_else(
            || Reason { code: "MANUAL".to_owned(), text: "no rule has breached in its last windows".to_owned() },
            |finding| finding.reason.clone(),
        );
        let mut decision = Decision {
            id: String::new(),
            sequence: state.sequence + 1,
            episode: state.episode.clone(),
            time: judged.end,
            action,
            cap_pct,
            rollout: policy.rollout.clone(),
            model: state.model.clone(),
            candidate: state.candidate.clone(),
            baseline: state.baseline.clone(),
            denied_versions: if action == Action::Rollback { vec![state.candidate.clone()] } else { Vec::new() },
            precondition: Precondition {
                candidate: state.candidate.clone(),
                state: state.state.clone(),
                state_sequence: format!("{:020}", state.sequence),
            },
            supersedes: state.in_force.clone(),
            authority: policy.authority.clone(),
            reason,
            evidence: findings.into_iter().flat_map(|finding| finding.evidence).collect(),
            exposure,
            inputs: DecisionInputs {
                offsets: judged.offsets.clone(),
                policy: self.plan.digest.clone(),
                reference: self.plan.reference.as_ref().map(|reference| reference.id.clone()).unwrap_or_default(),
                engine: concat!("haldane ", env!("CARGO_PKG_VERSION")).to_owned(),
            },
            ledger: Vec::new(),
            lease_s: LEASE_S,
            drill: false,
        };
        decision.id = decision.digest(judged.start);
        if decision.episode.is_empty() {
            decision.episode.clone_from(&decision.id);
        }
        decision
    }
}

fn any_breach(state: &RolloutState) -> bool {
    state.history.iter().any(|history| history.breached.contains(&true))
}

fn history_of<'a>(state: &'a mut RolloutState, rule: &str, scope: &str) -> &'a mut RuleHistory {
    let key = |history: &RuleHistory| (history.rule.as_str().cmp(rule)).then(history.scope.as_str().cmp(scope));
    let place = match state.history.binary_search_by(key) {
        Ok(place) => place,
        Err(place) => {
            let history = RuleHistory { rule: rule.to_owned(), scope: scope.to_owned(), breached: Vec::new() };
            state.history.insert(place, history);
            place
        }
    };
    &mut state.history[place]
}

fn reason_of(plan: &Plan, rule: &Rule, first: &Evidence) -> Reason {
    let code = metric::find(rule.metric)
        .map_or("OUTCOME_REGRESSION", |metric| reason::code(plan, metric.spec(), &first.column));
    Reason { code: code.to_owned(), text: reason::text(rule, first) }
}

/// The state that an action leads to.
fn state_of(action: Action) -> &'static str {
    match action {
        Action::Observe => "OBSERVING",
        Action::Warn => "WARNED",
        Action::Hold => "HELD",
        Action::Contain => "CONTAINED",
        Action::Rollback => "ROLLING_BACK",
    }
}

fn action_of(state: &str) -> Action {
    let actions = [Action::Warn, Action::Hold, Action::Contain, Action::Rollback];
    actions.into_iter().find(|action| state_of(*action) == state).unwrap_or(Action::Observe)
}
