//! What stands in the tables of verdicts, decisions and commands: the columns people ask for, and the whole record as
//! JSON.

use arrow::array::RecordBatch;
use serde::Serialize;

use super::columns::BatchBuilder;
use crate::verdict::decision::Evidence;
use crate::verdict::{CommandResult, Decision, RolloutState};

/// A record as it stands on its topic.
fn body(record: &impl Serialize) -> String {
    serde_json::to_string(record).expect("a record has text keys and finite numbers")
}

/// The name that an enum has in JSON.
fn named(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("an enum of names is a text, not {other:?}"),
    }
}

/// Where rollouts stood.
pub(super) fn verdicts(states: &[RolloutState]) -> RecordBatch {
    let kind = |state: &RolloutState| if state.judged_upto.1 == 0 { "traffic" } else { "quality" };
    BatchBuilder::of(states)
        .time("time", |state| state.judged_upto.0.max(0))
        .text("kind", kind)
        .text("rollout", |state| &state.rollout)
        .text("model", |state| &state.model)
        .text("candidate", |state| &state.candidate)
        .text("baseline", |state| &state.baseline)
        .text("state", |state| state.state.name())
        .made_text("validity", |state| Some(named(&state.validity)))
        .text("trust", |state| state.trust.level.name())
        .made_text("doubts", |state| Some(state.trust.remarks().collect::<Vec<_>>().join(",")))
        .integer("step", |state| i64::try_from(state.step).ok())
        .count("sequence", |state| Some(state.sequence))
        .text("cause", |state| state.cause.as_str())
        .number("cap_pct", |state| state.cap_pct)
        .number("declared_pct", |state| state.declared_pct)
        .number("observed_pct", |state| Some(state.observed_pct))
        .texts("in_force", |state| &state.in_force)
        .texts("waits_for", |state| &state.waits_for)
        .flag("waits_for_approval", |state| state.pending.is_some())
        .made_text("body", |state| Some(body(&without_memory(state))))
        .batch()
}

/// What guards remember is large, and stands on the state topic.
pub(super) fn without_memory(state: &RolloutState) -> RolloutState {
    RolloutState { memory: None, ..state.clone() }
}

/// Decisions.
pub(super) fn decisions(decisions: &[Decision]) -> RecordBatch {
    BatchBuilder::of(decisions)
        .time("time", |decision| decision.time)
        .text("id", |decision| &decision.id)
        .text("rollout", |decision| &decision.rollout)
        .text("model", |decision| &decision.model)
        .text("candidate", |decision| &decision.candidate)
        .text("baseline", |decision| &decision.baseline)
        .count("sequence", |decision| Some(decision.sequence))
        .text("episode", |decision| &decision.episode)
        .text("action", |decision| decision.action.name())
        .number("cap_pct", |decision| decision.cap_pct)
        .made_text("authority", |decision| Some(named(&decision.authority)))
        .text("severity", |decision| decision.severity.names().0)
        .text("reason_code", |decision| decision.reason.code.as_str())
        .text("reason", |decision| &decision.reason.text)
        .made_text("causation", |decision| decision.causation.clone())
        .texts("supersedes", |decision| &decision.supersedes)
        .number("declared_pct", |decision| decision.exposure.declared_pct)
        .number("observed_pct", |decision| Some(decision.exposure.observed_pct))
        .text("policy", |decision| &decision.inputs.policy)
        .text("reference", |decision| &decision.inputs.reference)
        .flag("drill", |decision| decision.drill)
        .records("evidence", |decision| &decision.evidence, evidence)
        .made_text("body", |decision| Some(body(decision)))
        .batch()
}

fn evidence(evidence: &[&Evidence]) -> RecordBatch {
    BatchBuilder::of(evidence)
        .text("rule", |one| one.rule.as_str())
        .text("metric", |one| &one.metric)
        .text("column", |one| &one.column)
        .text("segment", |one| &one.segment)
        .text("baseline_kind", |one| &one.baseline_kind)
        .text("test", |one| one.test.as_str())
        .number("estimate", |one| Some(one.estimate))
        .number("lo", |one| one.lo)
        .number("hi", |one| one.hi)
        .number("bound", |one| Some(one.bound))
        .number("e_value", |one| one.e_value)
        .number("margin", |one| one.margin)
        .count("n_candidate", |one| Some(one.n_candidate))
        .count("n_baseline", |one| Some(one.n_baseline))
        .time("window_start", |one| one.window.0)
        .time("window_end", |one| one.window.1)
        .batch()
}

/// Commands and what became of them.
pub(super) fn commands(results: &[CommandResult]) -> RecordBatch {
    BatchBuilder::of(results)
        .time("time", |result| result.command.at)
        .text("id", |result| &result.command.id)
        .text("rollout", |result| &result.command.rollout)
        .text("model", |result| &result.command.model)
        .text("candidate", |result| &result.command.candidate)
        .text("kind", |result| result.command.kind.name())
        .text("actor", |result| &result.command.actor)
        .text("reason", |result| &result.command.reason)
        .made_text("ticket", |result| result.command.ticket.clone())
        .text("outcome", |result| result.outcome.name())
        .text("text", |result| &result.text)
        .count("sequence", |result| Some(result.sequence))
        .made_text("state", |result| result.state.map(|state| state.name().to_owned()))
        .texts("decisions", |result| &result.decisions)
        .made_text("body", |result| Some(body(result)))
        .batch()
}
