//! A newer candidate takes an older one's place when the older one has no traffic left and the newer one has.

use super::{Draft, RolloutState, State};
use crate::event::Micros;
use crate::plan::{RolloutPlan, Signal};
use crate::reason::ReasonCode;

/// The newer candidate that has taken a candidate's place, if any.
pub(crate) fn successor<'a>(
    of: &RolloutState,
    others: impl Iterator<Item = &'a RolloutState>,
    plan: &RolloutPlan,
) -> Option<&'a str> {
    let left = of.counts.idle >= plan.confirm_windows && of.share_pct() <= plan.share_epsilon_pct;
    let may_end = !of.is_world() && of.state.is_live() && of.state != State::RollingBack && of.counts.warm > 0;
    let newer = |other: &&RolloutState| {
        (other.since, &other.candidate) > (of.since, &of.candidate)
            && other.model == of.model
            && !other.is_world()
            && other.state.is_live()
            && other.state != State::RollingBack
            && other.share_pct() > plan.share_epsilon_pct
    };
    if left && may_end { others.filter(newer).map(|other| other.candidate.as_str()).max() } else { None }
}

/// Retracts what was decided about a candidate that another one has replaced.
pub(crate) fn supersede(state: &mut RolloutState, by: &str) -> Draft {
    let text = format!("{} gets no traffic any more and {by} does", state.candidate);
    let draft = Draft::new(state, Signal::Retract, ReasonCode::Superseded, text);
    state.enter(State::Superseded);
    state.cap_pct = None;
    (state.counts.stable, state.people.pinned, state.people.forced) = (0, false, false);
    draft
}

/// A superseded candidate is judged anew when it gets traffic again, one that was rolled back never is; and both end
/// when they have had none for the horizon.
pub(crate) fn revive_or_retire(state: &mut RolloutState, end: Micros, plan: &RolloutPlan) {
    if state.state.is_live() {
        return;
    }
    if state.counts.idle == 0 && state.observed_pct > plan.share_epsilon_pct && !state.is_denied() {
        state.enter(State::Warming);
        state.counts = super::Counts { warm: 1, at_step: 1, ..super::Counts::default() };
        state.ended_at = None;
    } else if state.counts.idle >= plan.horizon_windows && state.state != State::Retired {
        state.retire(end);
    }
}
