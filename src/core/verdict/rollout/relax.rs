//! Lifting, slowly: clear evidence for some windows, a minimum stay, and a budget against flapping.

use super::{Draft, RolloutState, State};
use crate::plan::{RolloutPlan, Signal};
use crate::reason::ReasonCode;
use crate::verdict::finding::Validity;
use crate::verdict::rollout::step::WeighedFindings;

/// Lifts what may be lifted.
pub(crate) fn relax(state: &mut RolloutState, heard: &WeighedFindings, plan: &RolloutPlan) -> Option<Draft> {
    match state.state {
        State::Suspect if heard.calm && state.counts.clear >= plan.clear_windows && state.is_world() => {
            // That its episodes are over is told like that of any.
            state.enter(state.unrestricted(plan));
            state.in_force.clear();
            None
        }
        State::Suspect if heard.calm && state.counts.clear >= plan.clear_windows => {
            let draft = Draft::new(
                state,
                Signal::Observe,
                ReasonCode::Cleared,
                "nothing speaks against the candidate any more",
            );
            state.enter(state.unrestricted(plan));
            Some(draft)
        }
        State::Held | State::Contained => lift(state, heard, plan),
        _ => None,
    }
}

/// Where no evidence called for a restriction, none has to be refuted.
fn lift(state: &mut RolloutState, heard: &WeighedFindings, plan: &RolloutPlan) -> Option<Draft> {
    let by_evidence = state.cause != ReasonCode::NoData && state.cause != ReasonCode::ApprovalTimeout;
    let clear = if by_evidence { heard.cleared } else { heard.calm && state.validity == Validity::Valid };
    let long_enough = state.counts.clear >= plan.clear_windows && state.counts.good_in_state() >= plan.dwell_windows;
    if !clear || !long_enough || !state.sighted() || state.waits() {
        return None;
    }
    if by_evidence && state.counts.relaxations >= plan.flap_budget {
        let n = state.counts.relaxations;
        return ask(
            state,
            ReasonCode::FlapBudget,
            format!("lifted {n} times in this episode: only a person lifts it now"),
        );
    }
    state.counts.relaxations = state.counts.relaxations.saturating_add(u32::from(by_evidence));
    let cap = next_cap(state, plan);
    Some(
        Draft::new(state, Signal::Resume, ReasonCode::Cleared, "what called for the restriction is refuted")
            .capped(cap),
    )
}

/// How far exposure may rise when a restriction is lifted: one step above the cap, else the step it is at.
pub(crate) fn next_cap(state: &RolloutState, plan: &RolloutPlan) -> f64 {
    state.cap_pct.map_or_else(|| plan.cap_at(state.step), |cap| plan.above(cap))
}

/// Asks people what to do, once.
pub(crate) fn ask(state: &mut RolloutState, code: ReasonCode, text: impl Into<String>) -> Option<Draft> {
    let asked = std::mem::replace(&mut state.counts.asked, true);
    (!asked).then(|| Draft::note(state, code, text))
}

/// An episode is over when nothing has spoken against the candidate for as long as a restriction would stay.
pub(crate) fn end_episode(state: &mut RolloutState, plan: &RolloutPlan) {
    let quiet = state.state.asks_for().is_none() && state.state != State::Suspect;
    if quiet && state.counts.clear.min(state.counts.in_state) >= plan.dwell_windows {
        state.episode.clear();
        state.counts.relaxations = 0;
    }
}
