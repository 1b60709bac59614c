//! The series of rollouts: where each stands, what was decided, what waits for people, and how long containing took.
//!
//! Of a candidate that is judged no more only its state is shown: nobody needs to hear that it is blind or restricted.

use std::collections::BTreeSet;
use std::sync::Mutex;

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry};

use super::latest::Latest;
use super::{DELAY_BUCKETS_S, ROLLOUT_SERIES_MAX, counters, family, gauges, histograms, label_refs, lock, seconds};
use crate::plan::Signal;
use crate::verdict::decision::Severity;
use crate::verdict::{Decision, RolloutState, State, Validity};

/// Rollout, model and candidate.
type RolloutLabels = [String; 3];

/// What is shown of one rollout.
#[derive(Debug, Clone, Default)]
struct RolloutStatus {
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
    code: IntGaugeVec,
    pending: IntGaugeVec,
    decisions: IntCounterVec,
    escalations: IntCounterVec,
    contained: HistogramVec,
    series: Mutex<Latest<RolloutLabels, RolloutStatus>>,
    /// Rollout and model of what is counted, at most [`ROLLOUT_SERIES_MAX`].
    models: Mutex<BTreeSet<[String; 2]>>,
}

impl Rollouts {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            severity: gauges(registry, &family::SEVERITY),
            blind: gauges(registry, &family::BLIND),
            state: gauges(registry, &family::STATE),
            code: gauges(registry, &family::STATE_CODE),
            pending: gauges(registry, &family::PENDING),
            decisions: counters(registry, &family::DECISIONS),
            escalations: counters(registry, &family::ESCALATIONS),
            contained: histograms(registry, &family::CONTAINED, &DELAY_BUCKETS_S),
            series: Mutex::new(Latest::new(ROLLOUT_SERIES_MAX)),
            models: Mutex::default(),
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
            self.counted_under(&state.rollout, &state.model);
            let key: RolloutLabels = [&state.rollout, &state.model, &state.candidate].map(Clone::clone);
            if state.state == State::Retired {
                series.get(&key).into_iter().for_each(|shown| self.hide(&key, shown.state));
                series.remove(&key);
                continue;
            }
            let before = series.get(&key).cloned().unwrap_or_default();
            let contained = contained(state).or_else(|| before.contained.clone());
            let anew = contained != before.contained && !restored;
            if !series.put(key.clone(), state.judged_upto.0, RolloutStatus { state: state.state.name(), contained }) {
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

    /// Shows none any more.
    pub(super) fn clear(&self) {
        for gauges in [&self.severity, &self.blind, &self.state, &self.code, &self.pending] {
            gauges.reset();
        }
        *lock(&self.series) = Latest::new(ROLLOUT_SERIES_MAX);
    }

    /// Counts a decision.
    pub(super) fn decided(&self, decision: &Decision) {
        let labels = self.counted_under(&decision.rollout, &decision.model);
        let [rollout, model] = label_refs(&labels);
        self.decisions.with_label_values(&[rollout, model, decision.action.name()]).inc();
        let calls = decision.severity == Severity::Fatal && decision.action != Signal::Rollback;
        self.escalations.with_label_values(&[rollout, model]).inc_by(u64::from(calls));
    }

    /// The labels that a model is counted under; empty ones where there is no room for more models. Its counters are
    /// shown from the first time on: a rate over a counter that appears with its first event misses that event.
    fn counted_under(&self, rollout: &str, model: &str) -> [String; 2] {
        let labels = [rollout, model].map(str::to_owned);
        let mut models = lock(&self.models);
        if models.contains(&labels) {
            return labels;
        }
        if models.len() >= ROLLOUT_SERIES_MAX {
            return Default::default();
        }
        for action in Signal::ALL {
            self.decisions.with_label_values(&[rollout, model, action.name()]).inc_by(0);
        }
        self.escalations.with_label_values(&[rollout, model]).inc_by(0);
        drop(self.contained.with_label_values(&[rollout, model]));
        models.insert(labels.clone());
        labels
    }

    fn observe(&self, state: &RolloutState) {
        if let Some(took_us) = state.effect.as_ref().and_then(|effect| effect.took_us) {
            let labels = self.counted_under(&state.rollout, &state.model);
            self.contained.with_label_values(&label_refs(&labels)).observe(seconds(took_us));
        }
    }

    fn set(&self, key: &RolloutLabels, before: &str, state: &RolloutState) {
        let labels = label_refs(key);
        if state.state.is_live() {
            self.severity.with_label_values(&labels).set(state.state.severity() as i64);
            self.blind.with_label_values(&labels).set(i64::from(state.validity == Validity::Blind));
            self.pending.with_label_values(&labels).set(i64::from(state.pending.is_some()));
        } else {
            self.hide_live(&labels);
        }
        self.code.with_label_values(&labels).set(code(state.state));
        let name = state.state.name();
        if before != name {
            // A rollout that is new has no state to take away.
            let _ = self.state.remove_label_values(&with_state(key, before));
        }
        self.state.with_label_values(&with_state(key, name)).set(1);
    }

    /// What only candidates have that are judged. One that was never live has nothing to take away.
    fn hide_live(&self, labels: &[&str; 3]) {
        for gauge in [&self.severity, &self.blind, &self.pending] {
            let _ = gauge.remove_label_values(labels);
        }
    }

    fn hide(&self, key: &RolloutLabels, state: &str) {
        self.hide_live(&label_refs(key));
        let _ = self.code.remove_label_values(&label_refs(key));
        let _ = self.state.remove_label_values(&with_state(key, state));
    }
}

/// A state's number on the page, which never changes its meaning; [`family::STATE_CODE`] and the dashboard name them.
fn code(state: State) -> i64 {
    match state {
        State::Registered => 0,
        State::Warming => 1,
        State::Observing => 2,
        State::Suspect => 3,
        State::Held => 4,
        State::Contained => 5,
        State::RollingBack => 6,
        State::RolledBack => 7,
        State::Passed => 8,
        State::Baking => 9,
        State::Stable => 10,
        State::Superseded => 11,
        State::Retired => 12,
    }
}

/// The restriction that was last seen to have its effect.
fn contained(state: &RolloutState) -> Option<String> {
    state.effect.as_ref().filter(|effect| effect.took_us.is_some()).map(|effect| effect.decision.clone())
}

fn with_state<'a>([rollout, model, candidate]: &'a RolloutLabels, state: &'a str) -> [&'a str; 4] {
    [rollout, model, candidate, state]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_state_by_its_number() {
        for state in State::ALL {
            let named = format!(" {} {}", code(state), state.name());
            let ends = |rest: &str| rest.starts_with([',', '.']);
            assert!(family::STATE_CODE.help.split_once(&named).is_some_and(|(_, rest)| ends(rest)), "{named}");
        }
    }
}
