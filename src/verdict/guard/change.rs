//! Whether anything has changed between two versions: a family of sensors, one alarm.
//!
//! Every sensor's alternatives are parts of one pool of Shiryaev-Roberts detectors (`infer::pool`), so the whole family, looked
//! at after every window, calls a healthy candidate changed no more often than its patience says.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Pair;
use super::moved::Usual;
use super::sensor::{QUANTILES, Sensor, sensors};
use crate::infer::pool::{Alarm, Pool};
use crate::plan::{GuardPlan, Plan};
use crate::summary::{Quality, Traffic};

/// How quickly latency thresholds follow the baseline version.
const THRESHOLD_MEMORY: f64 = 0.8;

/// What is looked at, the same for every candidate.
#[derive(Debug, Clone)]
pub(crate) struct Detector {
    plan: GuardPlan,
    sensors: Arc<[Sensor]>,
}

/// The evidence about one candidate so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Gathered {
    pool: Pool,
    before: Before,
}

/// What earlier windows looked like.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Before {
    /// Latency quantiles of the baseline version.
    pub(crate) thresholds_ms: Option<[f64; 3]>,
    /// How location and spread of latency and score differed.
    pub(crate) usual: [[Usual; 2]; 2],
}

/// How strong the evidence of a change is, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change<'a> {
    /// `R` of the whole family.
    pub(crate) value: f64,
    /// Sensors by what they contribute, largest first, with their own `R`.
    pub(crate) by: Vec<(&'a Sensor, f64)>,
}

impl Detector {
    pub(crate) fn new(plan: &Plan, guard: &GuardPlan) -> Self {
        Self { plan: guard.clone(), sensors: sensors(plan).into() }
    }

    fn alarm(&self) -> Alarm {
        Alarm { patience: self.plan.patience(), windows_min: self.plan.windows_min }
    }

    /// Takes the traffic of one window.
    pub(crate) fn traffic(&self, gathered: &mut Gathered, pair: Pair<'_, Traffic>) {
        self.look(gathered, |sensor, before| sensor.look.traffic(&self.plan, pair, before));
        let now = QUANTILES.map(|q| pair.baseline.latency.quantile_ms(q));
        if let [Some(p50), Some(p90), Some(p99)] = now {
            let old = gathered.before.thresholds_ms.unwrap_or([p50, p90, p99]);
            let follow = |old: f64, new: f64| old * THRESHOLD_MEMORY + new * (1.0 - THRESHOLD_MEMORY);
            gathered.before.thresholds_ms = Some([follow(old[0], p50), follow(old[1], p90), follow(old[2], p99)]);
        }
    }

    /// Takes the labels of one window.
    pub(crate) fn labels(&self, gathered: &mut Gathered, pair: Pair<'_, Quality>) {
        self.look(gathered, |sensor, _| sensor.look.labels(&self.plan, pair));
    }

    fn look(&self, gathered: &mut Gathered, log_es: impl Fn(&Sensor, &mut Before) -> Option<Vec<f64>>) {
        for sensor in self.sensors.iter() {
            let log_es = log_es(sensor, &mut gathered.before).unwrap_or_default();
            let weight = sensor.part_weight();
            for (part, log_e) in log_es.into_iter().enumerate() {
                gathered.pool.update(sensor.first_part + part, log_e, weight, self.alarm());
            }
        }
    }

    /// What has changed, if anything.
    pub(crate) fn change(&self, gathered: &Gathered) -> Change<'_> {
        let of = |sensor: &Sensor| libm::exp(gathered.pool.log_mean(sensor.parts_with(sensor.part_weight())));
        let mut by: Vec<(&Sensor, f64)> =
            self.sensors.iter().map(|sensor| (sensor, of(sensor) / sensor.weight)).collect();
        let value = by.iter().map(|(sensor, r)| r * sensor.weight).sum();
        by.sort_by(|(a, x), (b, y)| (y * b.weight).total_cmp(&(x * a.weight)).then(a.first_part.cmp(&b.first_part)));
        Change { value, by }
    }
}
