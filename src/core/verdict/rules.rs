//! Plain rules of the pipeline: a bound that is breached in so many of the last windows is a finding.

use crate::metric;
use crate::plan::{Plan, Rule};
use crate::reason::ReasonCode;
use crate::verdict::decision::{Evidence, Reason};
use crate::verdict::evidence::{BoundCheck, evidence, measure};
use crate::verdict::finding::Finding;
use crate::verdict::judged::Judged;
use crate::verdict::reason;
use crate::verdict::rollout::{RolloutState, RuleHistory};

/// Holds every rule against a window.
pub(crate) fn findings(plan: &Plan, state: &mut RolloutState, judged: &Judged<'_>) -> Vec<Finding> {
    plan.policy.rules.iter().filter_map(|rule| fire(plan, rule, state, judged)).collect()
}

/// `Some` when enough of the last windows breached. Looking at several windows is the rule's own confirmation.
fn fire(plan: &Plan, rule: &Rule, state: &mut RolloutState, judged: &Judged<'_>) -> Option<Finding> {
    let mut proof = Vec::new();
    for measured in measure(plan, rule, &state.model, &state.candidate, judged.rows) {
        let BoundCheck { row, breached, .. } = measured;
        if !breached && judged.trust.is_untrusted() {
            // It does not count towards the windows that clear a rule.
            continue;
        }
        let scope = format!("{}@{}", row.column, row.segment);
        let history = history_of(state, &rule.name, &scope);
        history.breached.insert(0, breached);
        history.breached.truncate(rule.windows as usize);
        let n_breached = history.breached.iter().filter(|breached| **breached).count();
        let counted = (u32::try_from(n_breached).unwrap_or(u32::MAX), rule.windows);
        if breached && counted.0 >= rule.breaches {
            proof.push(evidence(rule, &measured, counted));
        }
    }
    (!proof.is_empty()).then(|| Finding {
        source: rule.name.as_str().into(),
        action: rule.action,
        cap_pct: rule.cap_pct,
        hard: true,
        reason: reason_of(plan, rule, &proof[0]),
        evidence: proof,
        beside: Vec::new(),
        world: false,
    })
}

/// Whether no rule has breached in the windows that it looks back on, muted ones aside.
pub(crate) fn clean(plan: &Plan, state: &RolloutState) -> bool {
    let metric = |history: &RuleHistory| plan.policy.rules.iter().find(|rule| rule.name == history.rule);
    let muted = |history: &RuleHistory| {
        let (column, segment) = history.scope.split_once('@').unwrap_or_default();
        metric(history)
            .is_some_and(|rule| state.people.mutes.iter().any(|mute| mute.covers(rule.metric, column, segment)))
    };
    !state.history.iter().any(|history| history.breached.contains(&true) && !muted(history))
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
        .map_or(ReasonCode::OutcomeRegression, |metric| reason::code(plan, metric.spec(), &first.column));
    Reason { code: code.into(), text: reason::text(rule, first) }
}
