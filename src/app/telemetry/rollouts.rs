//! The series of rollouts: where each stands, what waits for people, and how long containing took.

use std::sync::Mutex;

use prometheus::{Histogram, IntGaugeVec, Registry};

use super::latest::Latest;
use super::{DELAY_BUCKETS_S, ROLLOUT_SERIES_MAX, family, gauges, histogram, label_refs, lock, seconds};
use crate::verdict::{RolloutState, State, Validity};

/// Rollout, model and candidate.
type Key = [String; 3];

/// What is shown of one rollout.
#[derive(Debug, Clone, Default)]
struct Shown {
    state: &'static str,
    /// The restriction whose time to contain was taken in last.
    contained: Option<String>,
}

/// Every family about single rollouts.
#[derive(Debug)]
pub(super) struct Rollouts {
    severity: IntGaugeVec,
    blind: IntGaugeVec,
    state: IntGaugeVec,
    pending: IntGaugeVec,
    contained: Histogram,
    series: Mutex<Latest<Key, Shown>>,
}

impl Rollouts {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            severity: gauges(registry, &family::SEVERITY),
            blind: gauges(registry, &family::BLIND),
            state: gauges(registry, &family::STATE),
            pending: gauges(registry, &family::PENDING),
            contained: histogram(registry, &family::CONTAINED, &DELAY_BUCKETS_S),
            series: Mutex::new(Latest::new(ROLLOUT_SERIES_MAX)),
        }
    }

    /// Shows states; returns how many found no room. What `restored` states tell of was measured by an earlier run.
    pub(super) fn show(&self, states: &[RolloutState], restored: bool) -> u64 {
        let Some(oldest) = states.iter().map(|state| state.judged_upto.0).min() else { return 0 };
        let mut series = lock(&self.series);
        for (key, shown) in series.make_room(oldest) {
            self.hide(&key, shown.state);
        }
        let mut dropped = 0;
        for state in states {
            let key: Key = [&state.rollout, &state.model, &state.candidate].map(Clone::clone);
            if state.state == State::Retired {
                series.get(&key).into_iter().for_each(|shown| self.hide(&key, shown.state));
                series.remove(&key);
                continue;
            }
            let before = series.get(&key).cloned().unwrap_or_default();
            let contained = contained(state).or_else(|| before.contained.clone());
            let anew = contained != before.contained && !restored;
            if !series.put(key.clone(), state.judged_upto.0, Shown { state: state.state.name(), contained }) {
                dropped += 1;
                continue;
            }
            self.set(&key, before.state, state);
            if anew {
                self.observe(state);
            }
        }
        dropped
    }

    fn observe(&self, state: &RolloutState) {
        if let Some(took_us) = state.effect.as_ref().and_then(|effect| effect.took_us) {
            self.contained.observe(seconds(took_us));
        }
    }

    fn set(&self, key: &Key, before: &str, state: &RolloutState) {
        let labels = label_refs(key);
        if state.state.is_live() {
            self.severity.with_label_values(&labels).set(state.state.severity() as i64);
            self.blind.with_label_values(&labels).set(i64::from(state.validity == Validity::Blind));
            self.pending.with_label_values(&labels).set(i64::from(state.pending.is_some()));
        } else {
            self.hide_live(&labels);
        }
        let name = state.state.name();
        if before != name {
            // A rollout that is new has no state to take away.
            let _ = self.state.remove_label_values(&with_state(key, before));
        }
        self.state.with_label_values(&with_state(key, name)).set(1);
    }

    /// What only candidates have that are judged.
    fn hide_live(&self, labels: &[&str; 3]) {
        for gauge in [&self.severity, &self.blind, &self.pending] {
            let _ = gauge.remove_label_values(labels);
        }
    }

    fn hide(&self, key: &Key, state: &str) {
        self.hide_live(&label_refs(key));
        let _ = self.state.remove_label_values(&with_state(key, state));
    }
}

/// The restriction that was last seen to have its effect.
fn contained(state: &RolloutState) -> Option<String> {
    state.effect.as_ref().filter(|effect| effect.took_us.is_some()).map(|effect| effect.decision.clone())
}

fn with_state<'a>([rollout, model, candidate]: &'a Key, state: &'a str) -> [&'a str; 4] {
    [rollout, model, candidate, state]
}
