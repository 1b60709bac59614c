//! Whether anything has changed between two versions: a family of sensors, one alarm.
//!
//! Every sensor's alternatives are parts of one pool of Shiryaev-Roberts detectors (`infer::pool`), so the whole
//! family, looked at after every window, calls a healthy candidate changed no more often than its patience says.
//!
//! Evidence is deflated by the design effect of earlier windows where events name their entity (`entities`), and by the
//! noise that versions have for themselves (`noise`): `e^(1/d)` has a mean of at most 1 like `e` (Jensen), and stays an
//! e-value when the variance is inflated by `d`. Without entities, events are taken to be independent, and the evidence
//! says so.
//!
//! **Clearing.** Once it has acted, `R` says for long that something changed *at some time*; whether it still is, is
//! another question. Of every sensor that stood out, the alternative with the most evidence is put to the reversed
//! test: a detector of the same kind, fed with `1 / e` since it acted, which has mean at most 1 while the candidate
//! still is as far off as that. At `T / beta`, `T` the planned windows, it is refuted; a change that still stands is
//! called refuted within `T` windows with a chance of at most `beta`. Then that sensor begins anew, so that it can
//! stand out again; when all are refuted, the whole family does.
//!
//! **State**: one float per alternative, four numbers per sensor for people, two per sensor that stands out.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::moved::DifferenceLevel;
use super::reading::{QUANTILES, SensorReading, Sight};
use super::sensor::{Sensor, SensorKind, sensors};
use crate::infer::pool::{AlarmRule, Pool};
use crate::infer::shiryaev::Shiryaev;
use crate::plan::{GuardPlan, Plan, QualityPlan};
use crate::summary::histogram::Cut;
use crate::summary::{Quality, Traffic};
use crate::verdict::guard::rails::entities::Inflation;
use crate::verdict::guard::rails::noise::LatencyHistory;
use crate::verdict::guard::window::Pair;

/// How quickly latency thresholds follow the baseline version.
/// Origin: choice; a half-life of three windows.
const THRESHOLD_MEMORY: f64 = 0.8;

/// Evidence of one window is shown up to this; it must stay a number.
/// Origin: numerics; e^709 is the largest float.
const LOG_E_MAX: f64 = 700.0;

/// Evidence of alternatives that differs by less is the same.
/// Origin: numerics; far below what moves a decision.
const LEVEL: f64 = 1e-6;

/// What is looked at, the same for every candidate.
#[derive(Debug, Clone)]
pub(crate) struct Detector {
    plan: GuardPlan,
    sensors: Arc<[Sensor]>,
    /// Of the numeric columns.
    cuts: Arc<[Arc<Cut>]>,
}

/// The evidence about one candidate so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Gathered {
    pool: Pool,
    before: Before,
    /// What each sensor saw last.
    seen: Vec<LastReading>,
    /// What stood out when it acted, until refuted.
    doubts: Vec<ActiveChange>,
    /// Whether events of the newest traffic name no entity.
    pub(crate) iid_assumed: bool,
}

/// A change that was acted upon, and the evidence that it is over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct ActiveChange {
    /// Of the pool.
    part: usize,
    back: Shiryaev,
}

/// What earlier windows looked like.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Before {
    /// Latency quantiles of the baseline version.
    pub(crate) thresholds_ms: Option<[f64; 3]>,
    /// How location and spread of latency and score differed.
    pub(crate) usual: [[DifferenceLevel; 2]; 2],
}

/// What a sensor saw last.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct LastReading {
    /// The candidate's number less the baseline's.
    pub(crate) difference: f64,
    /// Events of the candidate and the baseline.
    pub(crate) n: (u64, u64),
    /// `e` of the newest window alone; 0 when it says nothing.
    pub(crate) e: f64,
    /// The alternative that the newest window speaks for most, in the pool.
    #[serde(default)]
    strongest: usize,
}

/// How strong the evidence of a change is, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change<'a> {
    /// `R` of the whole family.
    pub(crate) value: f64,
    /// `e` of the whole family from the newest window alone.
    pub(crate) at_once: f64,
    /// Sensors by what they contribute, largest first.
    pub(crate) by: Vec<Contribution<'a>>,
}

/// What one sensor contributes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Contribution<'a> {
    pub(crate) sensor: &'a Sensor,
    /// The sensor's own `R`.
    pub(crate) r: f64,
    pub(crate) seen: LastReading,
}

impl Gathered {
    /// Puts sensors to the reversed test that stand out and are not yet.
    pub(crate) fn doubt(&mut self, named: &[Contribution<'_>]) {
        for Contribution { sensor, seen, .. } in named {
            let mut parts = sensor.parts_with(1.0).map(|(part, _)| part);
            if parts.clone().any(|part| self.doubts.iter().any(|doubt| doubt.part == part)) {
                continue;
            }
            // Where windows say more than they may, several alternatives have the same evidence.
            let most = parts.clone().map(|part| self.pool.log_r(part)).fold(f64::NEG_INFINITY, f64::max);
            let leads = |part: &usize| self.pool.log_r(*part) >= most - LEVEL;
            let strongest = Some(seen.strongest).filter(|part| parts.clone().any(|one| one == *part) && leads(part));
            let Some(part) = strongest.or_else(|| parts.find(leads)) else { continue };
            self.doubts.push(ActiveChange { part, back: Shiryaev::default() });
        }
    }

    /// The newest window has been looked at: it counts once.
    pub(crate) fn spend(&mut self) {
        self.seen.iter_mut().for_each(|seen| seen.e = 0.0);
    }
}

impl Contribution<'_> {
    /// Its part of the family's `R`.
    pub(crate) fn share(&self) -> f64 {
        self.r * self.sensor.weight
    }
}

impl Detector {
    pub(super) fn of_plan(plan: &Plan, guard: &GuardPlan) -> Self {
        Self {
            plan: guard.clone(),
            sensors: sensors(&plan.columns, plan.quality.as_ref().is_some_and(QualityPlan::has_scores)).into(),
            cuts: plan.columns.numeric.iter().map(|column| Arc::clone(&column.cut)).collect(),
        }
    }

    pub(crate) fn guard(&self) -> &GuardPlan {
        &self.plan
    }

    fn alarm(&self) -> AlarmRule {
        AlarmRule { patience: self.plan.patience(), windows_min: self.plan.windows_min }
    }

    /// When what it acted upon is refuted.
    fn refutation(&self) -> AlarmRule {
        let patience = f64::from(self.plan.planned) / self.plan.beta;
        AlarmRule { patience, windows_min: self.plan.windows_min }
    }

    /// Begins anew with every sensor whose change is refuted; with the whole family once all are. Less evidence than
    /// there was keeps the promise.
    pub(crate) fn settle(&self, gathered: &mut Gathered) {
        let Gathered { pool, doubts, .. } = gathered;
        let over = |doubt: &ActiveChange| doubt.back.log_r() >= self.refutation().threshold();
        let refuted: Vec<usize> = doubts.iter().filter(|doubt| over(doubt)).map(|doubt| doubt.part).collect();
        doubts.retain(|doubt| !over(doubt));
        if doubts.is_empty() && !refuted.is_empty() {
            *pool = Pool::default();
        }
        let parts_of = |sensor: &Sensor| sensor.parts_with(1.0).map(|(part, _)| part);
        let concerned = self.sensors.iter().filter(|sensor| parts_of(sensor).any(|part| refuted.contains(&part)));
        concerned.flat_map(parts_of).for_each(|part| pool.forget(part));
    }

    /// Takes the traffic of one window; `by` deflates its evidence, as earlier windows and the baseline version's
    /// `history` say.
    pub(crate) fn take_traffic(
        &self,
        gathered: &mut Gathered,
        pair: Pair<'_, Traffic>,
        by: Inflation,
        history: &LatencyHistory,
    ) {
        gathered.iid_assumed = pair.candidate.entities.is_empty() || pair.baseline.entities.is_empty();
        let sight = Sight::new(&self.plan, &self.cuts, pair, history);
        self.look(gathered, by, |sensor, before| sight.read(sensor.look, before));
        let now = QUANTILES.map(|q| pair.baseline.latency.quantile_ms(q));
        if let [Some(p50), Some(p90), Some(p99)] = now {
            let old = gathered.before.thresholds_ms.unwrap_or([p50, p90, p99]);
            let follow = |old: f64, new: f64| old * THRESHOLD_MEMORY + new * (1.0 - THRESHOLD_MEMORY);
            gathered.before.thresholds_ms = Some([follow(old[0], p50), follow(old[1], p90), follow(old[2], p99)]);
        }
    }

    /// Takes the labels of one window.
    pub(crate) fn take_labels(&self, gathered: &mut Gathered, pair: Pair<'_, Quality>, by: Inflation) {
        self.look(gathered, by, |sensor, _| sensor.look.labels(&self.plan, pair));
    }

    /// Begins anew with some sensors.
    pub(super) fn forget(&self, gathered: &mut Gathered, concerned: impl Fn(SensorKind) -> bool) {
        let Gathered { pool, doubts, seen, .. } = gathered;
        for (place, sensor) in self.sensors.iter().enumerate().filter(|(_, sensor)| concerned(sensor.look)) {
            for (part, _) in sensor.parts_with(1.0) {
                pool.forget(part);
                doubts.retain(|doubt| doubt.part != part);
            }
            seen.get_mut(place).into_iter().for_each(|seen| *seen = LastReading::default());
        }
    }

    fn look(
        &self,
        gathered: &mut Gathered,
        by: Inflation,
        read: impl Fn(&Sensor, &mut Before) -> Option<SensorReading>,
    ) {
        gathered.seen.resize(self.sensors.len(), LastReading::default());
        let Gathered { pool, doubts, seen, before, .. } = gathered;
        for (sensor, seen) in self.sensors.iter().zip(seen) {
            let Some(reading) = read(sensor, before) else { continue };
            let (weight, deflation) = (sensor.part_weight(), sensor.look.deflation(by).max(reading.noise));
            let log_es: Vec<f64> = reading.log_es.iter().map(|log_e| log_e / deflation).collect();
            for (part, log_e) in (sensor.first_part..).zip(&log_es) {
                pool.update(part, *log_e, weight, self.alarm());
                let doubts = doubts.iter_mut().filter(|doubt| doubt.part == part);
                doubts.for_each(|doubt| doubt.back.update(-log_e, self.refutation().cut(1.0)));
            }
            let e: f64 = log_es.iter().map(|log_e| libm::exp(log_e.min(LOG_E_MAX))).sum();
            let strongest = (sensor.first_part..).zip(&log_es).max_by(|(_, a), (_, b)| a.total_cmp(b));
            let strongest = strongest.map_or(sensor.first_part, |(part, _)| part);
            *seen =
                LastReading { difference: reading.difference, n: reading.n, e: e * weight / sensor.weight, strongest };
        }
    }

    /// What has changed, if anything.
    pub(crate) fn change(&self, gathered: &Gathered) -> Change<'_> {
        let r_of = |sensor: &Sensor| libm::exp(gathered.pool.log_mean(sensor.parts_with(sensor.part_weight())));
        let mut by: Vec<Contribution> = (self.sensors.iter().zip(&gathered.seen))
            .map(|(sensor, &seen)| Contribution { sensor, r: r_of(sensor) / sensor.weight, seen })
            .collect();
        let value = by.iter().map(Contribution::share).sum();
        let at_once = by.iter().map(|one| one.seen.e * one.sensor.weight).sum();
        by.sort_by(|a, b| b.share().total_cmp(&a.share()).then(a.sensor.first_part.cmp(&b.sensor.first_part)));
        Change { value, at_once, by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;
    use crate::reason::ReasonCode;
    use crate::verdict::guard::change::sensor::SensorKind;
    use crate::verdict::guard::tests::{judged, traffic};

    const PLAIN: Inflation = Inflation { failed: 1.0, slow: [1.0; 3], losses: 1.0, columns: 1.0 };

    fn detector() -> Detector {
        let failures = Sensor {
            metric: "error_rate",
            column: String::new(),
            code: ReasonCode::ErrorRate,
            weight: 1.0,
            first_part: 0,
            look: SensorKind::Failures,
        };
        Detector { plan: GuardPlan::default(), sensors: Arc::new([failures]), cuts: Arc::new([]) }
    }

    /// Shows a window in which this many of the candidate's 500 requests fail, and 5 of the baseline's.
    fn feed(detector: &Detector, gathered: &mut Gathered, failures: u64) -> Option<Action> {
        let (candidate, baseline) = (traffic(500, failures), traffic(500, 5));
        let pair = Pair { candidate: &candidate, baseline: &baseline };
        detector.take_traffic(gathered, pair, PLAIN, &LatencyHistory::default());
        let mut action = None;
        judged(|judged| action = detector.finding(gathered, judged, "v1").map(|finding| finding.action));
        action
    }

    /// How many windows like the baseline's own refute an alternative at most: a detector's `R` is at least the product
    /// of what they say.
    fn threshold_over_gain(detector: &Detector, part: usize) -> u32 {
        let calm = traffic(500, 5);
        let history = LatencyHistory::default();
        let sight = Sight::new(&detector.plan, &[], Pair { candidate: &calm, baseline: &calm }, &history);
        let reading = sight.read(SensorKind::Failures, &mut Before::default()).expect("events of both");
        let gain = (-reading.log_es[part]).min(detector.refutation().cut(1.0));
        (1..50).find(|&windows| f64::from(windows) * gain >= detector.refutation().threshold()).expect("a gain")
    }

    #[test]
    fn what_it_acted_upon_is_refuted_by_later_windows_and_not_before_it_is_over() {
        let (detector, mut gathered) = (detector(), Gathered::default());
        let acted = (0..100).filter(|_| feed(&detector, &mut gathered, 25) == Some(Action::Contain)).count();
        assert!(acted > 90 && detector.suspects(&gathered), "it stands for as long as it lasts: {acted}");
        let most = threshold_over_gain(&detector, gathered.doubts[0].part);
        let over = (1..50).find(|_| feed(&detector, &mut gathered, 5).is_none());
        assert!(over.is_some_and(|windows| (3..=most).contains(&windows)), "{over:?} of {most}");
        assert!(!detector.suspects(&gathered));
        let again = (1..50).find(|_| feed(&detector, &mut gathered, 25) == Some(Action::Contain));
        assert!(again.is_some_and(|windows| windows < 10), "{again:?}");
    }

    #[test]
    fn evidence_that_grows_holds_before_it_contains_and_one_window_alone_only_warns() {
        let (detector, mut gathered) = (detector(), Gathered::default());
        let said: Vec<Option<Action>> = (0..20).map(|_| feed(&detector, &mut gathered, 14)).collect();
        let first = |action| said.iter().position(|said| *said == Some(action)).expect("said");
        assert!(first(Action::Hold) < first(Action::Contain), "{said:?}");
        let mut gathered = Gathered::default();
        assert_eq!(feed(&detector, &mut gathered, 200), Some(Action::Warn));
        assert_eq!(feed(&detector, &mut gathered, 5), None);
    }

    #[test]
    fn what_is_in_doubt_survives_json() {
        let (detector, mut gathered) = (detector(), Gathered::default());
        for _ in 0..10 {
            feed(&detector, &mut gathered, 25);
        }
        assert!(!gathered.doubts.is_empty());
        let text = serde_json::to_string(&gathered).expect("a finite state");
        assert_eq!(serde_json::from_str::<Gathered>(&text).expect("its own text"), gathered);
    }
}
