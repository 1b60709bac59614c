//! Whether a restriction did what it asked for, as traffic itself shows it.
//!
//! A rollback is over when the observed share has fallen to nothing (and an actuator has said so, where actuators do).
//! A few requests show nothing, so they are added up over windows. Until then it is asserted again, ever more rarely,
//! and becomes fatal.

use super::step::Window;
use super::{Draft, Effect, RolloutState, State};
use crate::plan::{RolloutPlan, Signal};
use crate::reason::ReasonCode;
use crate::verdict::decision::Severity;
use crate::verdict::words;

/// Looks at the candidate's share of a window's traffic.
pub(crate) fn watch(state: &mut RolloutState, window: &Window<'_>, plan: &RolloutPlan) -> Option<Draft> {
    if state.is_denied() && state.state != State::RollingBack {
        return reopen(state, plan);
    }
    if !matches!(state.state, State::Contained | State::RollingBack) {
        return None;
    }
    let limit = state.effect.as_ref()?.cap_pct + plan.share_epsilon_pct;
    let decided = state.pending.is_none() && !state.people.unissued;
    let effect = state.effect.as_mut()?;
    let fell = window.exposure.observed_pct <= limit;
    effect.requests = if fell { effect.requests.saturating_add(window.requests) } else { 0 };
    let low = fell && effect.requests >= enough(limit);
    if low && effect.seen_at.is_none() {
        effect.seen_at = Some(window.end);
        effect.took_us = Some(window.end.saturating_sub(effect.asked_at));
    }
    let confirmed = effect.acked || !plan.acks || state.state != State::RollingBack;
    if low && confirmed {
        (effect.unseen, effect.reassert_at) = (0, plan.reassert_windows);
        return (decided && state.state == State::RollingBack).then(|| close(state));
    }
    if !effect.issued || (fell && !low) {
        return None;
    }
    effect.unseen = effect.unseen.saturating_add(1);
    (effect.unseen >= effect.reassert_at || effect.refused).then(|| reassert(state, low, plan)).flatten()
}

/// Shares below this are not told from none, percent.
/// Origin: choice; routers keep a remainder of health checks.
const SHARE_MIN_PCT: f64 = 0.1;

/// Requests that show a share to be at most this, percent: of fewer, none may be the candidate's by chance although its
/// share is larger (in one of twenty cases: the rule of three, Hanley and Lippman-Hand, JAMA 249, 1983).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number; the cast saturates")]
fn enough(limit_pct: f64) -> u64 {
    libm::ceil(300.0 / limit_pct.max(SHARE_MIN_PCT)) as u64
}

/// The rollback has happened. The denial of the version stays in force.
fn close(state: &mut RolloutState) -> Draft {
    let text = format!("{} gets no traffic any more", state.candidate);
    let draft = heartbeat(state, ReasonCode::RolledBack, text, Severity::Info);
    state.enter(State::RolledBack);
    draft
}

/// A version that was rolled back gets traffic again: the rollback is asked for anew.
fn reopen(state: &mut RolloutState, plan: &RolloutPlan) -> Option<Draft> {
    if state.observed_pct <= plan.share_epsilon_pct {
        return None;
    }
    let text = format!("{} was rolled back and gets {:.1} % of traffic", state.candidate, state.observed_pct);
    let causation = state.effect.as_ref().map(|effect| effect.decision.clone());
    let draft = Draft { causation, ..Draft::new(state, Signal::Rollback, ReasonCode::DeniedVersion, text).capped(0.0) };
    state.enter(State::RollingBack);
    (state.cap_pct, state.denied, state.ended_at) = (Some(0.0), false, None);
    Some(draft)
}

fn reassert(state: &mut RolloutState, low: bool, plan: &RolloutPlan) -> Option<Draft> {
    let observed = state.observed_pct;
    let effect = state.effect.as_mut()?;
    effect.reasserted = effect.reasserted.saturating_add(1);
    effect.reassert_at = effect.unseen.saturating_mul(2).max(plan.reassert_windows);
    let fatal = effect.refused || effect.reasserted > plan.reasserts_max;
    effect.refused = false;
    let (windows, cap) = (effect.unseen, effect.cap_pct);
    let text = if low {
        format!("no actuator has said in {} that it was applied", words::windows(windows))
    } else {
        format!("{observed:.1} % of traffic, above the cap of {cap} %, for {}", words::windows(windows))
    };
    let severity = if fatal { Severity::Fatal } else { Severity::Warn };
    Some(heartbeat(state, ReasonCode::NoEffect, text, severity))
}

/// What is in force, once more.
fn heartbeat(state: &RolloutState, code: ReasonCode, text: String, severity: Severity) -> Draft {
    let causation = state.effect.as_ref().map(|effect| effect.decision.clone());
    Draft { severity, causation, cap_pct: state.cap_pct, ..Draft::new(state, Signal::Heartbeat, code, text) }
}

impl Effect {
    /// A restriction that was just decided.
    pub(crate) fn of(decision: &str, asked_at: i64, cap_pct: f64, issued: bool, plan: &RolloutPlan) -> Self {
        Self {
            decision: decision.to_owned(),
            asked_at,
            cap_pct,
            issued,
            acked: false,
            refused: false,
            requests: 0,
            unseen: 0,
            reassert_at: plan.reassert_windows,
            reasserted: 0,
            seen_at: None,
            took_us: None,
        }
    }
}
