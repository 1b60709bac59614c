//! Up the ladder: a step is passed when the candidate is shown to be safe and has stayed long enough. Not significant
//! is not safe, and without data nothing is.

use super::relax::ask;
use super::step::{WeighedFindings, Window};
use super::{Draft, RolloutState, State};
use crate::plan::{RolloutPlan, Signal};
use crate::reason::ReasonCode;
use crate::verdict::words;

/// Notes the step that exposure is at; another one counts when it has been seen for a few windows.
pub(crate) fn find_step(state: &mut RolloutState, trusted: bool, plan: &RolloutPlan) {
    let step = plan.covering(state.share_pct());
    let counts = &mut state.counts;
    counts.at_step = counts.at_step.saturating_add(1);
    counts.untrusted_at_step = counts.untrusted_at_step.saturating_add(u32::from(!trusted));
    counts.off_step = if step == state.step { 0 } else { counts.off_step.saturating_add(1) };
    if counts.off_step >= plan.confirm_windows || counts.warm <= 1 {
        (counts.at_step, counts.off_step, counts.asked) = (1, 0, false);
        counts.untrusted_at_step = u32::from(!trusted);
        state.step = step;
    }
}

/// Goes on where nothing restricts.
pub(crate) fn advance(
    state: &mut RolloutState,
    window: &Window<'_>,
    heard: &WeighedFindings,
    plan: &RolloutPlan,
) -> Option<Draft> {
    let draft = match state.state {
        State::Registered | State::Warming => {
            let next = if state.counts.warm == 0 { State::Registered } else { state.unrestricted(plan) };
            state.enter(next);
            None
        }
        _ if state.is_world() => return None,
        State::Observing => observe(state, heard, plan),
        State::Passed => passed(state, heard, plan),
        State::Baking => bake(state, window, heard, plan),
        _ => None,
    };
    draft.or_else(|| blind(state, plan))
}

fn observe(state: &mut RolloutState, heard: &WeighedFindings, plan: &RolloutPlan) -> Option<Draft> {
    if state.step >= plan.top() {
        state.enter(State::Baking);
        return None;
    }
    if may_rise(state, heard) && state.counts.good_at_step() >= plan.dwell_at(state.step) {
        return Some(permit(state, heard, plan));
    }
    let (n, overdue) = (state.counts.at_step, state.counts.at_step >= plan.ask_windows);
    if !overdue || state.frozen() {
        return None;
    }
    let missing = if state.waits_for.is_empty() { String::new() } else { format!("; {}", state.waits_for.join("; ")) };
    ask(state, ReasonCode::StageBudget, format!("not shown to be safe in {} at this step{missing}", words::windows(n)))
}

fn may_rise(state: &RolloutState, heard: &WeighedFindings) -> bool {
    heard.safe && heard.calm && !state.waits()
}

/// The permission to go to the next step, or as far as a cap in force leads.
fn permit(state: &RolloutState, heard: &WeighedFindings, plan: &RolloutPlan) -> Draft {
    let step = plan.cap_at(state.step + 1);
    let cap = state.cap_pct.map_or(step, |cap| plan.above(cap).min(step));
    let successes = if heard.proofs.is_empty() { "" } else { ", and every success metric is shown" };
    let text =
        format!("no worse than its margins in {} at this step{successes}", words::windows(state.counts.good_at_step()));
    let draft = Draft::new(state, Signal::PromoteOk, ReasonCode::NonInferior, text).capped(cap);
    Draft { evidence: heard.proofs.clone(), ..draft }
}

/// A permission is used, renewed, or lapses.
fn passed(state: &mut RolloutState, heard: &WeighedFindings, plan: &RolloutPlan) -> Option<Draft> {
    let used = state.counts.at_step <= state.counts.in_state;
    let lapsed = state.pending.is_none() && !state.people.forced && state.counts.in_state >= plan.permit_windows;
    if used {
        state.enter(state.unrestricted(plan));
        return None;
    }
    if !lapsed {
        return None;
    }
    if may_rise(state, heard) {
        return Some(permit(state, heard, plan));
    }
    let draft = Draft::new(
        state,
        Signal::Retract,
        ReasonCode::Lapsed,
        "the permission was not used, and safety is not shown now",
    );
    state.enter(State::Observing);
    Some(draft)
}

/// At 100 %: stable when shown to be safe for long enough, or when one that was passed has baked to the end.
fn bake(state: &mut RolloutState, window: &Window<'_>, heard: &WeighedFindings, plan: &RolloutPlan) -> Option<Draft> {
    if state.step < plan.top() {
        state.enter(State::Observing);
        return None;
    }
    let windows = state.counts.good_in_state();
    let shown = heard.safe && windows >= plan.dwell_final_windows;
    let over = windows >= plan.bake_max_windows;
    let extended = state.people.bake_until.is_some_and(|until| window.end < until);
    if extended || state.waits() || !heard.calm || !(shown || over) {
        return None;
    }
    if !shown && !state.people.passed {
        let text = format!("serves everybody for {}, but was never passed", words::windows(windows));
        return ask(state, ReasonCode::StageBudget, text);
    }
    let text = format!("nothing spoke against it in {} at 100 %", words::windows(windows));
    let draft = Draft::new(state, Signal::Observe, ReasonCode::Stable, text);
    state.enter(State::Stable);
    state.counts.stable = 1;
    Some(draft)
}

/// Without data for too long, exposure is held as it is.
fn blind(state: &mut RolloutState, plan: &RolloutPlan) -> Option<Draft> {
    let exposed = matches!(state.state, State::Observing | State::Suspect | State::Passed);
    if !exposed || state.counts.blind < plan.blind_windows {
        return None;
    }
    let text = format!("no data of the candidate or the baseline in {}", words::windows(state.counts.blind));
    let draft = Draft::new(state, Signal::Hold, ReasonCode::NoData, text);
    state.enter(State::Held);
    state.cause = ReasonCode::NoData.into();
    Some(draft)
}
