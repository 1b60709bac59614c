//! Whether a candidate may have more traffic: one answer, whoever asks.
//!
//! Whoever loses haldane must stop promoting and must not roll back. So there is always an answer. Only a restriction
//! that may be carried out is `FAIL`, and only a permission that somebody may use, and that is confirmed by now, is
//! `PASS`. Everything else is `WAIT`, or `BLIND` where the data says nothing. Event time and signs of life
//! ([`Freshness`]) come from outside.

use serde::{Deserialize, Serialize};

use super::liveness::Freshness;
use super::{RolloutState, State, Validity};
use crate::plan::{Authority, PolicyPlan, Signal};

/// The answer in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Word {
    /// Exposure may rise as far as the cap.
    Pass,
    /// A restriction stands that is to be carried out.
    Fail,
    /// Neither, so far.
    Wait,
    /// Neither, and the data says nothing.
    Blind,
}

impl Word {
    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Wait => "WAIT",
            Self::Blind => "BLIND",
        }
    }
}

/// What a candidate may have.
#[derive(Debug, Clone, PartialEq)]
pub struct Permission {
    /// The answer.
    pub word: Word,
    /// Share of traffic that the candidate may have at most as things stand, percent; `None` where it is no candidate
    /// any more.
    pub cap_pct: Option<f64>,
    /// Why, in words.
    pub reason: String,
}

/// What a candidate in this state may have now. `asked_pct` is the share of traffic that somebody wants to give it,
/// percent; without it any step up is meant.
#[must_use]
pub fn permission(
    state: &RolloutState,
    policy: &PolicyPlan,
    freshness: Freshness,
    asked_pct: Option<f64>,
) -> Permission {
    let case = Case { state, policy, freshness, asked_pct };
    match state.state {
        // The candidate is over, its denial is not.
        State::Retired if state.is_denied() => case.restricted(Signal::Rollback, 0.0),
        State::Superseded | State::Retired => Permission { cap_pct: None, ..case.wait("it is no candidate any more") },
        State::RollingBack | State::RolledBack => case.restricted(Signal::Rollback, 0.0),
        State::Contained if case.is_beyond(case.contained_pct()) => {
            case.restricted(Signal::Contain, case.contained_pct())
        }
        _ if state.validity == Validity::Blind => {
            case.says(Word::Blind, case.in_force_pct(), "the last window lacked data of the candidate or the baseline")
        }
        State::Passed | State::Baking | State::Stable => case.permitted(),
        _ if state.waits_for.is_empty() => case.wait(""),
        _ => case.wait(&format!("it waits for {}", state.waits_for.join("; "))),
    }
}

/// One question.
struct Case<'a> {
    state: &'a RolloutState,
    policy: &'a PolicyPlan,
    freshness: Freshness,
    asked_pct: Option<f64>,
}

impl Case<'_> {
    fn says(&self, word: Word, cap_pct: f64, why: &str) -> Permission {
        let is = format!("{} is {}", self.state.candidate, self.state.state.name());
        let reason = if why.is_empty() { is } else { format!("{is}: {why}") };
        Permission { word, cap_pct: Some(cap_pct), reason }
    }

    fn wait(&self, why: &str) -> Permission {
        self.says(Word::Wait, self.in_force_pct(), why)
    }

    fn is_beyond(&self, cap_pct: f64) -> bool {
        self.asked_pct.is_some_and(|asked| asked > cap_pct)
    }

    /// A restriction that nobody may act on is no reason to act.
    fn restricted(&self, signal: Signal, cap_pct: f64) -> Permission {
        match self.not_binding(signal) {
            Some(why) => self.wait(why),
            None => self.says(Word::Fail, cap_pct, ""),
        }
    }

    /// A permission that nobody may use, or that is not confirmed by now, is none.
    fn permitted(&self) -> Permission {
        let granted = self.granted_pct();
        match self.not_permitted() {
            Some(why) => self.wait(&why),
            None if self.is_beyond(granted) => {
                self.says(Word::Wait, granted, &format!("exposure may rise to {granted} % only"))
            }
            None => self.says(Word::Pass, granted, ""),
        }
    }

    /// Why a restriction binds nobody.
    fn not_binding(&self, signal: Signal) -> Option<&'static str> {
        let people = &self.state.people;
        if self.state.pending.as_ref().is_some_and(|pending| pending.signal.restricts()) {
            Some("this waits for approval")
        } else if people.unissued {
            Some("decided while everything is frozen")
        } else if self.advises_only(signal) && !people.pinned {
            Some("advice only")
        } else {
            None
        }
    }

    /// Why a state that would let exposure rise does not.
    fn not_permitted(&self) -> Option<String> {
        let people = &self.state.people;
        if self.state.pending.is_some() {
            Some("the permission waits for approval".to_owned())
        } else if people.frozen_until.is_some() {
            Some("everything is frozen".to_owned())
        } else if self.state.state == State::Baking && !people.passed {
            Some("it serves everybody, but was never passed".to_owned())
        } else if self.advises_only(Signal::PromoteOk) && !people.forced {
            Some("advice only".to_owned())
        } else if self.state.trust.is_untrusted() {
            Some(format!("the last window cannot be trusted: {}", self.state.trust.in_words()))
        } else {
            self.freshness.doubt()
        }
    }

    fn advises_only(&self, signal: Signal) -> bool {
        let of_signal = self.policy.stages.authority.iter().find(|(one, _)| *one == signal);
        of_signal.map_or(self.policy.authority, |(_, authority)| *authority) == Authority::Advisory
    }

    /// What the permission names.
    fn granted_pct(&self) -> f64 {
        let (state, stages) = (self.state, &self.policy.stages);
        let without_cap = match state.state {
            State::Passed if !state.people.forced => stages.cap_at(state.step + 1),
            _ => 100.0,
        };
        state.cap_pct.unwrap_or(without_cap)
    }

    fn contained_pct(&self) -> f64 {
        self.state.cap_pct.unwrap_or_else(|| self.policy.stages.cap_at(self.state.step))
    }

    /// What held before the permission or restriction that does not count now: the cap in force, else the step it is
    /// at.
    fn in_force_pct(&self) -> f64 {
        let state = self.state;
        let unbound = || match state.state {
            State::Contained => self.not_binding(Signal::Contain).is_some(),
            State::Passed | State::RollingBack | State::RolledBack => true,
            _ => false,
        };
        let in_force = match &state.pending {
            Some(pending) => pending.cap_before,
            None if unbound() => None,
            None => state.cap_pct,
        };
        in_force.unwrap_or_else(|| self.policy.stages.cap_at(state.step))
    }
}

#[cfg(test)]
mod tests;
