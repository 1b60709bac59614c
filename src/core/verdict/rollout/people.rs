//! People in the loop: commands, approvals, freezes and mutes. Automation never undoes what a person has said.

use super::relax::next_cap;
use super::{Draft, Mute, People, RolloutState, State};
use crate::event::Micros;
use crate::plan::{Action, RolloutPlan, Signal};
use crate::reason::ReasonCode;
use crate::verdict::command::{AckStatus, Command, CommandKind, Outcome};
use crate::verdict::decision::{Evidence, Remark, Severity};
use crate::verdict::finding::Finding;

/// Command ids that are remembered per candidate.
/// Origin: choice; a bound on state: people send fewer in a rollout.
const COMMANDS_MAX: usize = 64;
/// Mutes that are remembered per candidate.
/// Origin: choice; a bound on state.
const MUTES_MAX: usize = 32;

/// What became of a command: the outcome, a sentence, and what to publish.
pub(crate) type CommandOutcome = (Outcome, String, Vec<Draft>);

/// Carries out a command, unless it is known, late, or meant for another state of things.
pub(crate) fn obey(state: &mut RolloutState, command: &Command, plan: &RolloutPlan) -> CommandOutcome {
    if state.knows(&command.id) {
        return no(Outcome::Duplicate, "this id was carried out before");
    }
    state.people.commands.push(command.id.clone());
    let surplus = state.people.commands.len().saturating_sub(COMMANDS_MAX);
    state.people.commands.drain(..surplus);
    let now = command.at.max(state.judged_upto.0);
    if command.expires_at.is_some_and(|expires_at| now > expires_at) {
        return no(Outcome::Expired, "it expired before it could be carried out");
    }
    if let Some(expected) = command.if_sequence.filter(|expected| *expected != state.sequence) {
        let text = format!("the last decision is number {}, not {expected}", state.sequence);
        return no(Outcome::Conflict, text);
    }
    let (outcome, text, mut drafts) = carry_out(state, command, now, plan);
    for draft in &mut drafts {
        draft.causation.get_or_insert_with(|| command.id.clone());
    }
    (outcome, text, drafts)
}

fn no(outcome: Outcome, text: impl Into<String>) -> CommandOutcome {
    (outcome, text.into(), Vec::new())
}

fn yes(text: impl Into<String>, drafts: impl IntoIterator<Item = Draft>) -> CommandOutcome {
    (Outcome::Accepted, text.into(), drafts.into_iter().collect())
}

fn carry_out(state: &mut RolloutState, command: &Command, now: Micros, plan: &RolloutPlan) -> CommandOutcome {
    match &command.kind {
        CommandKind::Approve { decision } => approve(state, decision, command, plan),
        CommandKind::Reject { decision } => reject(state, decision, command),
        CommandKind::Hold => hold(state, command),
        CommandKind::Resume { cap_pct } => resume(state, *cap_pct, command, plan),
        CommandKind::ForceRollback => force_rollback(state, command),
        CommandKind::ForcePromote => force_promote(state, command),
        CommandKind::Freeze { until } => freeze(state, *until, now, command),
        CommandKind::Unfreeze => unfreeze(state, command),
        CommandKind::Mute { until, .. } if *until <= now => no(Outcome::Rejected, "the mute ends before it begins"),
        CommandKind::Mute { metric, column, segment, until } => {
            let mute = Mute { metric: metric.clone(), column: column.clone(), segment: segment.clone(), until: *until };
            state.people.mutes.push(mute);
            let surplus = state.people.mutes.len().saturating_sub(MUTES_MAX);
            state.people.mutes.drain(..surplus);
            yes(format!("findings of {metric} do not act for now"), None)
        }
        CommandKind::ExtendBake { until } => {
            state.people.bake_until = Some(*until);
            yes("it is watched for longer before it is stable", None)
        }
        CommandKind::SetBaseline { version } if version.is_empty() || *version == state.candidate => {
            no(Outcome::Rejected, "a candidate cannot go back to itself or to nothing")
        }
        CommandKind::SetBaseline { version } => {
            state.baseline.clone_from(version);
            yes(format!("a rollback goes to {version} from now on"), None)
        }
        CommandKind::ClearDenial => clear_denial(state, command),
        CommandKind::Ack { decision, status, .. } => ack(state, decision, *status),
    }
}

/// A draft that a person asked for.
fn draft(state: &RolloutState, signal: Signal, command: &Command) -> Draft {
    let why = if command.reason.is_empty() { String::new() } else { format!(": {}", command.reason) };
    let ticket = command.ticket.as_ref().map_or_else(String::new, |ticket| format!(" ({ticket})"));
    let text = format!("{} asked for it{why}{ticket}", command.actor);
    Draft { by_person: true, ..Draft::new(state, signal, ReasonCode::Manual, text) }
}

fn approve(state: &mut RolloutState, decision: &str, command: &Command, plan: &RolloutPlan) -> CommandOutcome {
    let Some(mut pending) = state.pending.take_if(|pending| pending.decision == decision) else {
        return no(Outcome::Conflict, "no such decision waits for approval");
    };
    let twice = pending.granted.contains(&command.actor);
    if !twice {
        pending.granted.push(command.actor.clone());
    }
    let missing = (plan.approval.quorum as usize).saturating_sub(pending.granted.len());
    if missing > 0 {
        state.pending = Some(pending);
        let text = if twice { "the same person cannot approve twice" } else { "it needs another person's approval" };
        return no(Outcome::Pending, text);
    }
    let granted = Draft {
        cap_pct: pending.cap_pct,
        causation: Some(pending.decision),
        granted: pending.granted,
        ..draft(state, pending.signal, command)
    };
    yes("approved", [granted])
}

fn reject(state: &mut RolloutState, decision: &str, command: &Command) -> CommandOutcome {
    let Some(pending) = state.pending.take_if(|pending| pending.decision == decision) else {
        return no(Outcome::Conflict, "no such decision waits for approval");
    };
    match pending.signal {
        Signal::Resume => {
            state.people.pinned = true;
            let draft = Draft { undoes: Some(pending), ..draft(state, Signal::Retract, command) };
            yes("rejected: the restriction stays until a person lifts it", [draft])
        }
        Signal::PromoteOk => {
            let draft = draft(state, Signal::Hold, command);
            restrict_by_hand(state, State::Held);
            yes("rejected: exposure is held until a person resumes", [draft])
        }
        _ => {
            overrule(state);
            let draft = draft(state, Signal::Retract, command);
            (state.cap_pct, state.effect) = (pending.cap_before, pending.effect_before.clone());
            state.enter(pending.before);
            let draft = Draft { undoes: Some(pending), ..draft };
            yes("rejected: what stands against the candidate now does not act any more", [draft])
        }
    }
}

fn hold(state: &mut RolloutState, command: &Command) -> CommandOutcome {
    if !state.state.is_live() || state.state == State::RollingBack {
        return no(Outcome::Rejected, format!("nothing can be held in state {}", state.state.name()));
    }
    if state.state.severity() >= Action::Hold {
        (state.people.pinned, state.people.forced) = (true, false);
        return yes("what is in force stays until a person lifts it", None);
    }
    let draft = draft(state, Signal::Hold, command);
    restrict_by_hand(state, State::Held);
    yes("held until a person resumes", [draft])
}

fn restrict_by_hand(state: &mut RolloutState, to: State) {
    state.enter(to);
    state.cause = ReasonCode::Manual.into();
    (state.people.pinned, state.people.forced) = (true, false);
}

fn resume(state: &mut RolloutState, cap_pct: Option<f64>, command: &Command, plan: &RolloutPlan) -> CommandOutcome {
    let restricted = matches!(state.state, State::Suspect | State::Held | State::Contained | State::RollingBack);
    if !restricted {
        return no(Outcome::Rejected, format!("nothing can be resumed in state {}", state.state.name()));
    }
    let cap = cap_pct.unwrap_or_else(|| next_cap(state, plan));
    if !(cap > 0.0 && cap <= 100.0) {
        return no(Outcome::Rejected, "a cap is above 0 and at most 100 %");
    }
    let draft = draft(state, Signal::Resume, command).capped(cap);
    by_hand(state);
    yes(format!("exposure may rise to {cap} %"), [draft])
}

/// From now on automation may hold and call people, and what it knows already does not count.
fn by_hand(state: &mut RolloutState) {
    overrule(state);
    (state.people.pinned, state.people.forced) = (false, true);
    (state.counts.relaxations, state.counts.asked) = (0, false);
}

fn overrule(state: &mut RolloutState) {
    for standing in &state.standing {
        state.people.overruled.retain(|(source, _)| *source != standing.source);
        state.people.overruled.push((standing.source.clone(), standing.action));
    }
}

/// Whether a person has seen this finding and let the candidate go on.
pub(crate) fn overruled(people: &People, finding: &Finding) -> bool {
    people.overruled.iter().any(|(source, action)| *source == finding.source && finding.action <= *action)
}

fn force_rollback(state: &mut RolloutState, command: &Command) -> CommandOutcome {
    if !state.state.is_live() {
        return no(Outcome::Rejected, format!("nothing can be rolled back in state {}", state.state.name()));
    }
    let draft = draft(state, Signal::Rollback, command).capped(0.0);
    restrict_by_hand(state, State::RollingBack);
    state.cap_pct = Some(0.0);
    yes(format!("all traffic goes back to {}", state.baseline), [draft])
}

fn force_promote(state: &mut RolloutState, command: &Command) -> CommandOutcome {
    if !state.state.is_live() {
        return no(Outcome::Rejected, format!("nothing can be promoted in state {}", state.state.name()));
    }
    let draft = draft(state, Signal::PromoteOk, command).capped(100.0);
    by_hand(state);
    state.people.passed = true;
    yes("exposure may rise to 100 %", [draft])
}

fn freeze(state: &mut RolloutState, until: Micros, now: Micros, command: &Command) -> CommandOutcome {
    if until <= now {
        return no(Outcome::Rejected, "the freeze ends before it begins");
    }
    state.people.frozen_until = Some(until);
    state.people.frozen_all = command.candidate.is_empty();
    yes("nothing is carried out until the freeze is over", [draft(state, Signal::Freeze, command)])
}

fn unfreeze(state: &mut RolloutState, command: &Command) -> CommandOutcome {
    if !state.frozen() {
        return no(Outcome::Rejected, "nothing is frozen");
    }
    let draft = draft(state, Signal::Unfreeze, command);
    yes("decisions are carried out again", [draft].into_iter().chain(thaw(state)))
}

/// Ends a freeze; what was decided meanwhile and may be carried out now is said again.
fn thaw(state: &mut RolloutState) -> Option<Draft> {
    (state.people.frozen_until, state.people.frozen_all) = (None, false);
    let said = state.in_force.last().cloned();
    let signal = state.state.asks_for().filter(|_| state.people.unissued)?;
    state.people.unissued = false;
    let text = "decided while the rollout was frozen, and still called for";
    let cap_pct = state.cap_pct.filter(|_| signal != Signal::Hold);
    Some(Draft { causation: said, cap_pct, ..Draft::new(state, signal, state.cause.clone(), text) })
}

fn clear_denial(state: &mut RolloutState, command: &Command) -> CommandOutcome {
    if !state.is_denied() {
        return no(Outcome::Rejected, format!("nothing is denied in state {}", state.state.name()));
    }
    let draft = draft(state, Signal::Retract, command);
    state.enter(State::Registered);
    (state.cap_pct, state.effect) = (None, None);
    (state.denied, state.ended_at) = (false, None);
    state.counts = super::Counts::default();
    state.people = People { commands: std::mem::take(&mut state.people.commands), ..People::default() };
    state.history.clear();
    state.standing.clear();
    state.episodes.clear();
    state.episode.clear();
    state.memory = state.memory.take().map(|memory| crate::verdict::guard::Memory::after(Some(&memory)));
    yes(format!("{} may be tried again, and is judged from the beginning", state.candidate), [draft])
}

fn ack(state: &mut RolloutState, decision: &str, status: AckStatus) -> CommandOutcome {
    let known = state.in_force.iter().any(|id| id == decision);
    let effect = state.effect.as_mut().filter(|effect| known || effect.decision == decision);
    match effect {
        Some(effect) if status == AckStatus::Applied => effect.acked = true,
        Some(effect) if matches!(status, AckStatus::Rejected | AckStatus::Failed) => effect.refused = true,
        Some(_) => {}
        None if known => {}
        None => return no(Outcome::Rejected, "no such decision is in force"),
    }
    yes("noted", None)
}

/// Ends what was to last until now: freezes, mutes, and decisions that nobody has approved.
pub(crate) fn expire(state: &mut RolloutState, end: Micros) -> Vec<Draft> {
    let mut drafts = Vec::new();
    state.people.mutes.retain(|mute| end < mute.until);
    state.people.bake_until = state.people.bake_until.filter(|until| end < *until);
    if state.people.frozen_until.is_some_and(|until| end >= until) {
        drafts.push(Draft::new(state, Signal::Unfreeze, ReasonCode::FreezeExpired, "the freeze is over"));
        drafts.extend(thaw(state));
    }
    if let Some(pending) = state.pending.take_if(|pending| end >= pending.deadline) {
        drafts.push(unanswered(state, &pending));
    }
    drafts
}

/// Nobody has approved in time: exposure is held as it is, and people are called.
fn unanswered(state: &mut RolloutState, pending: &super::Pending) -> Draft {
    let text = format!("nobody has approved {} in time", pending.signal.name());
    let severity = if pending.signal.restricts() { Severity::Fatal } else { Severity::Warn };
    let causation = Some(pending.decision.clone());
    if pending.signal == Signal::Resume {
        state.counts.begin();
        return Draft { severity, causation, ..Draft::note(state, ReasonCode::ApprovalTimeout, text) };
    }
    let milder = pending.before.asks_for().is_some_and(|signal| signal < pending.signal);
    let before = if milder { pending.before } else { State::Held };
    let signal = before.asks_for().unwrap_or(Signal::Hold);
    let cap_pct = pending.cap_before.filter(|_| signal == Signal::Contain);
    let draft = Draft {
        severity,
        causation,
        cap_pct,
        unasked: true,
        ..Draft::new(state, signal, ReasonCode::ApprovalTimeout, text)
    };
    if pending.signal.restricts() {
        overrule(state);
    } else {
        state.cause = ReasonCode::ApprovalTimeout.into();
    }
    (state.cap_pct, state.effect) = (pending.cap_before, None);
    state.enter(before);
    draft
}

/// Parts findings into those that count and those that are only shown. A finding counts when any of its numbers does.
pub(crate) fn mute(mutes: &[Mute], findings: Vec<Finding>) -> (Vec<Finding>, Vec<Finding>) {
    let (mut counting, mut silenced) = (Vec::new(), Vec::new());
    for mut finding in findings {
        let all = finding.evidence.iter_mut().chain(&mut finding.beside);
        for evidence in all.filter(|evidence| is_muted(mutes, evidence)) {
            evidence.flags.push(Remark::Muted.into());
        }
        let silent = !finding.evidence.is_empty() && finding.evidence.iter().all(|evidence| evidence.is(Remark::Muted));
        if silent { &mut silenced } else { &mut counting }.push(finding);
    }
    (counting, silenced)
}

fn is_muted(mutes: &[Mute], evidence: &Evidence) -> bool {
    mutes.iter().any(|mute| mute.covers(&evidence.metric, &evidence.column, &evidence.segment))
}

impl Mute {
    /// Whether it silences a number.
    pub(crate) fn covers(&self, metric: &str, column: &str, segment: &str) -> bool {
        let any_or = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
        self.metric == metric && any_or(&self.column, column) && any_or(&self.segment, segment)
    }
}
