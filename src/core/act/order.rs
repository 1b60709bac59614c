//! What is wanted of a target for one candidate, now.
//!
//! The state says what is in force, by the same [`permission`] that all others ask. The decision behind it says whether
//! a machine may act on it: its authority is AUTO, and it is no drill. A restriction that the state does not know yet
//! is taken from the decision itself, so that it is carried out at once; a permission waits for the state.

use super::book::{Book, CandidateEntry, CandidateKey, IssuedDecision};
use crate::event::{Micros, SECOND};
use crate::plan::Signal;
use crate::verdict::{RolloutState, State, Word, permission};

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Nothing may be changed, and why.
    Leave(String),
    /// Nothing is to be changed: the decision is carried out when that was seen.
    Keep {
        /// The decision.
        decision: String,
    },
    /// The share must not be above the cap for as long as this is in force.
    AtMost {
        /// The decision.
        decision: String,
        /// Percent.
        cap_pct: f64,
    },
    /// The share may rise to the cap, once.
    UpTo {
        /// The decision.
        decision: String,
        /// Percent.
        cap_pct: f64,
    },
}

impl Order {
    /// The decision that it carries out.
    #[must_use]
    pub fn decision(&self) -> Option<&str> {
        match self {
            Self::Leave(_) => None,
            Self::Keep { decision } | Self::AtMost { decision, .. } | Self::UpTo { decision, .. } => Some(decision),
        }
    }

    fn at_most(told: &IssuedDecision) -> Self {
        Self::AtMost { decision: told.id.clone(), cap_pct: told.cap() }
    }
}

fn leave(why: impl Into<String>) -> Order {
    Order::Leave(why.into())
}

impl Book {
    /// What is wanted for a candidate at a time.
    #[must_use]
    pub fn order(&self, about: &CandidateKey, now: Micros) -> Order {
        let Some(entry) = self.entries.get(about) else { return leave("nothing is known of it") };
        let by_state = entry
            .state
            .as_ref()
            .map_or_else(|| leave("its state is not known"), |state| self.by_state(entry, state, now));
        let order = match entry.ahead().next() {
            None => by_state,
            Some(_) => self.with_news(entry, by_state, now),
        };
        match order {
            Order::UpTo { .. } if !self.terms.raise => leave("this adapter only lowers shares"),
            order => order,
        }
    }

    /// Decisions have come that the state does not know yet: restrictions count at once, and nothing else does.
    fn with_news(&self, entry: &CandidateEntry, by_state: Order, now: Micros) -> Order {
        let mut frozen = entry.state.as_ref().is_some_and(|state| state.people.frozen_until.is_some());
        let mut order = match by_state {
            standing @ Order::AtMost { .. } => standing,
            _ => leave("its state is about to change"),
        };
        for told in entry.ahead() {
            match told.action {
                Signal::Freeze => frozen = true,
                Signal::Unfreeze => frozen = false,
                // These lift nothing.
                Signal::Warn | Signal::Heartbeat => {}
                _ if !told.is_binding() => {}
                Signal::Contain | Signal::Rollback => order = self.while_counts(told, Order::at_most(told), now),
                _ => order = leave("its state is about to change"),
            }
        }
        if frozen { leave("everything is frozen") } else { order }
    }

    fn by_state(&self, entry: &CandidateEntry, state: &RolloutState, now: Micros) -> Order {
        if state.people.frozen_until.is_some() {
            return leave("everything is frozen");
        }
        let (policy, freshness) = (&self.plan.policy, self.freshness(state, now));
        // All of the traffic is beyond every cap, so the answer says whether one is in force.
        let told = permission(state, policy, freshness, Some(100.0));
        if told.word == Word::Fail {
            return self.restriction(entry, state, told.cap_pct.unwrap_or(0.0), now);
        }
        if let Some(cap_pct) = before_approval(state) {
            // What waits for approval has not taken the place of the restriction before it yet.
            let standing = entry.told.values().rev().find(|one| one.is_binding() && one.lowers() && caps(one, cap_pct));
            return standing.map_or_else(|| leave(told.reason), |one| self.while_counts(one, Order::at_most(one), now));
        }
        let Some(behind) = state.in_force.last().and_then(|id| entry.by_id(id)).filter(|one| one.is_binding()) else {
            return leave(told.reason);
        };
        let allowed = permission(state, policy, freshness, None);
        let decision = behind.id.clone();
        match allowed.cap_pct {
            Some(cap_pct) if allowed.word == Word::Pass && behind.action.permits() => {
                Order::UpTo { decision, cap_pct: behind.cap_pct.map_or(cap_pct, |cap| cap.min(cap_pct)) }
            }
            _ if matches!(behind.action, Signal::Hold | Signal::Resume) => Order::Keep { decision },
            _ => leave(allowed.reason),
        }
    }

    /// A restriction that the state says is in force, by the decision behind it.
    fn restriction(&self, entry: &CandidateEntry, state: &RolloutState, cap_pct: f64, now: Micros) -> Order {
        let id = state.in_force.last();
        let known = match id {
            Some(id) => entry.by_id(id),
            // A person has rejected what came after it.
            None => entry.told.values().rev().find(|one| one.is_binding() && one.lowers() && caps(one, cap_pct)),
        };
        match (known, id) {
            (Some(told), _) if !told.is_binding() => leave("it is not for machines to carry out"),
            (Some(told), _) => self.while_counts(told, Order::AtMost { decision: told.id.clone(), cap_pct }, now),
            // Its decision is not on the control topic any more.
            (None, Some(id)) if state.effect.as_ref().is_some_and(|one| one.issued && one.decision == *id) => {
                let order = Order::AtMost { decision: id.clone(), cap_pct };
                self.while_heard(order, self.plan.policy.stages.lease_s, Micros::MIN, now)
            }
            _ => leave("the decision behind it is not known"),
        }
    }

    fn while_counts(&self, told: &IssuedDecision, order: Order, now: Micros) -> Order {
        self.while_heard(order, told.lease_s, told.recorded, now)
    }

    /// A decision counts for the length of its lease after a sign of life of whoever judges; being written is one.
    fn while_heard(&self, order: Order, lease_s: u64, recorded: Micros, now: Micros) -> Order {
        let heard = self.life.as_ref().map_or(recorded, |life| life.at.max(recorded));
        let lease = Micros::try_from(lease_s).unwrap_or(Micros::MAX).saturating_mul(SECOND);
        if now.saturating_sub(heard) <= lease { order } else { leave("nobody who judges was heard of in its lease") }
    }
}

/// The cap in force while a restriction waits for approval.
fn before_approval(state: &RolloutState) -> Option<f64> {
    let pending = state.pending.as_ref().filter(|pending| pending.signal.restricts())?;
    pending.cap_before.filter(|_| pending.before == State::Contained)
}

fn caps(told: &IssuedDecision, cap_pct: f64) -> bool {
    (told.cap() - cap_pct).abs() < 1e-9
}
