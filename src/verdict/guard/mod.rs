//! Guards: evidence with a guarantee, gathered over a whole rollout from the counts of its windows.
//!
//! A guard sees each window once, in order, and keeps a few numbers per thing that it looks at; nothing is ever recomputed
//! from later knowledge, so that the guarantees hold under constant watching.

mod labels;
mod sensor;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::infer::pool::{Alarm, Pool};
use crate::plan::{GuardPlan, Plan};
use crate::summary::{Quality, Traffic};

pub(crate) use sensor::Pair;
use sensor::{QUANTILES, Sensor, sensors};

/// How quickly latency thresholds follow the baseline version.
const THRESHOLD_MEMORY: f64 = 0.8;

/// The guards of a plan, the same for every candidate.
#[derive(Debug, Clone)]
pub(crate) struct Guards {
    plan: GuardPlan,
    sensors: Arc<[Sensor]>,
}

/// What is known about one candidate so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    change: Pool,
    /// Latency quantiles of the baseline version in windows before this one.
    thresholds_ms: Option<[f64; 3]>,
}

/// How strong the evidence of a change is, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change<'a> {
    /// `R` of the whole family.
    pub(crate) value: f64,
    /// Sensors by what they contribute, largest first, with their own `R`.
    pub(crate) by: Vec<(&'a Sensor, f64)>,
}

impl Guards {
    pub(crate) fn new(plan: &Plan, guard: &GuardPlan) -> Self {
        Self { plan: guard.clone(), sensors: sensors(plan).into() }
    }

    fn alarm(&self) -> Alarm {
        Alarm { patience: self.plan.patience, windows_min: self.plan.windows_min }
    }

    /// Takes the traffic of one window.
    pub(crate) fn traffic(&self, memory: &mut Memory, pair: Pair<'_, Traffic>) {
        let thresholds = memory.thresholds_ms;
        self.look(memory, |sensor| sensor.look.traffic(&self.plan, pair, thresholds));
        let now = QUANTILES.map(|q| pair.baseline.latency.quantile_ms(q));
        if let [Some(p50), Some(p90), Some(p99)] = now {
            let old = thresholds.unwrap_or([p50, p90, p99]);
            let follow = |old: f64, new: f64| old * THRESHOLD_MEMORY + new * (1.0 - THRESHOLD_MEMORY);
            memory.thresholds_ms = Some([follow(old[0], p50), follow(old[1], p90), follow(old[2], p99)]);
        }
    }

    /// Takes the labels of one window.
    pub(crate) fn labels(&self, memory: &mut Memory, pair: Pair<'_, Quality>) {
        self.look(memory, |sensor| sensor.look.labels(&self.plan, pair));
    }

    fn look(&self, memory: &mut Memory, log_es: impl Fn(&Sensor) -> Option<Vec<f64>>) {
        for sensor in self.sensors.iter() {
            let log_es = log_es(sensor).unwrap_or_default();
            let weight = sensor.part_weight();
            for (part, log_e) in log_es.into_iter().enumerate() {
                memory.change.update(sensor.first_part + part, log_e, weight, self.alarm());
            }
        }
    }

    /// What has changed, if anything.
    pub(crate) fn change(&self, memory: &Memory) -> Change<'_> {
        let of = |sensor: &Sensor| libm::exp(memory.change.log_mean(sensor.parts_with(sensor.part_weight())));
        let mut by: Vec<(&Sensor, f64)> =
            self.sensors.iter().map(|sensor| (sensor, of(sensor) / sensor.weight)).collect();
        let value = by.iter().map(|(sensor, r)| r * sensor.weight).sum();
        by.sort_by(|(a, x), (b, y)| (y * b.weight).total_cmp(&(x * a.weight)).then(a.first_part.cmp(&b.first_part)));
        Change { value, by }
    }
}
