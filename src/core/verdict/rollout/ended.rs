//! The end of a rollout: what a candidate leaves behind, and for how long.
//!
//! A candidate that ended keeps a small record of its own for [`ENDED_KEPT`]. Then the record goes, and what must
//! outlive it stands with the version to go back to: that its version is denied, and where its chain of decisions ends.
//! So records stay few, and a version that was denied years ago still is.

use super::{Ended, RolloutState, State};
use crate::event::Micros;
use crate::plan::{Action, ENDED_KEPT, ENDED_MAX};

impl RolloutState {
    /// Nothing is expected of it any more. What guards and rules remember of it goes; that it is denied stays.
    pub(crate) fn retire(&mut self, end: Micros) {
        self.denied = self.is_denied();
        self.enter(State::Retired);
        (self.ended_at, self.memory, self.effect) = (Some(end), None, None);
        self.cap_pct = self.denied.then_some(0.0);
        self.history.clear();
        self.standing.clear();
        self.episodes.clear();
        self.waits_for.clear();
    }

    /// Whether it ended so long before this time that it keeps no record of its own.
    pub(crate) fn is_over(&self, now: Micros) -> bool {
        let ended = self.ended_at.unwrap_or(self.judged_upto.0);
        self.state == State::Retired && now.saturating_sub(ended) >= ENDED_KEPT
    }

    /// How soon it may lose its record where there are too many: the least of these is the first to go.
    pub(crate) fn worth(&self) -> (bool, bool, std::cmp::Reverse<u32>, &str) {
        let restricted = self.state.severity() >= Action::Hold || self.people.pinned || self.pending.is_some();
        (self.state.is_live(), restricted, std::cmp::Reverse(self.counts.idle), &self.candidate)
    }

    /// Takes note of a candidate that loses its record, with all that it had noted itself.
    pub(crate) fn remember(&mut self, mut other: Self) {
        let noted = std::mem::take(&mut other.ended);
        let own = (other.sequence > 0 || other.is_denied()).then(|| Ended {
            at: other.ended_at.unwrap_or(other.judged_upto.0),
            denied: other.is_denied(),
            candidate: other.candidate,
            sequence: other.sequence,
            seal: other.seal,
        });
        for ended in noted.into_iter().chain(own) {
            self.ended.retain(|known| known.candidate != ended.candidate);
            self.ended.push(ended);
        }
        let mut surplus = self.ended.iter().filter(|one| !one.denied).count().saturating_sub(ENDED_MAX);
        self.ended.retain(|one| {
            let goes = !one.denied && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
    }

    /// A candidate as it was when it ended.
    pub(crate) fn recalled(&self, ended: &Ended) -> Self {
        Self {
            state: State::Retired,
            sequence: ended.sequence,
            seal: ended.seal.clone(),
            since: ended.at,
            judged_upto: (ended.at, 0),
            ended_at: Some(ended.at),
            denied: ended.denied,
            cap_pct: ended.denied.then_some(0.0),
            ..Self::new(&self.rollout, &self.model, &ended.candidate, &self.baseline)
        }
    }
}

/// All candidates: those with a record of their own, and those whose end alone is kept.
#[must_use]
pub fn with_ended(mut states: Vec<RolloutState>) -> Vec<RolloutState> {
    let key = |one: &RolloutState| (one.rollout.clone(), one.model.clone(), one.candidate.clone());
    let known: std::collections::BTreeSet<_> = states.iter().map(key).collect();
    let recalled = states.iter().flat_map(|home| home.ended.iter().map(|ended| home.recalled(ended)));
    let recalled: Vec<RolloutState> = recalled.filter(|state| !known.contains(&key(state))).collect();
    states.extend(recalled);
    states
}
