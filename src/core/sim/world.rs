//! One made-up rollout: hours of the baseline version alone, then hours of both versions side by side.
//!
//! `x1` is standard normal, `x2` lognormal, `x3` gamma with shape 2, `c1` one of five categories. The score's logit is
//! `-1.77 + 0.5 x3 + 0.7 z`, and the truth is drawn with the score as its chance, so a healthy model is calibrated.
//! Latencies are lognormal around 20 ms with a few slow answers around 125 ms, and 0.5 % of requests fail. Labels come
//! after an exponential delay with a mean of 15 minutes; failed requests have none.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int8Array, Int16Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};

use super::crowd::{CROWD, CROWD_HOURS, CrowdFault};
use super::kind::{ChangeScope, RowEffect, Scenario, ScenarioChange, kind};
use super::rng::Rng;
use crate::event::{Micros, SECOND, stable_hash};

/// One window of the worlds.
const HOUR: Micros = 3600 * SECOND;
/// When every world starts: 1 January 2026, 00:00 UTC.
const START: Micros = 1_767_225_600 * SECOND;
/// From the event to its arrival.
const TRANSIT: Micros = 200_000;
/// The middle of the score's logit, around which it is tilted.
const LOGIT_MIDDLE: f64 = -0.77;
/// Mean delay of a label in seconds.
const LABEL_DELAY_S: f64 = 900.0;
/// How much of its level the world keeps from hour to hour.
pub(super) const KEPT: f64 = 0.9;
/// How much of a level the log latency takes.
pub(super) const LATENCY_WANDERS: f64 = 0.3;
/// Levels that wander: those of `x1`, `x2`, `x3`, the score's logit and the log latency.
const N_LEVELS: usize = 5;
/// Categories of `c1` and their shares.
pub(super) const CATEGORIES: [(&str, f64); 5] = [("a", 0.4), ("b", 0.25), ("c", 0.2), ("d", 0.1), ("e", 0.05)];

/// Standard deviation of the log latency.
pub(super) const LATENCY_SPREAD: f64 = 0.3;

/// How long a world is and how busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Hours of the baseline version alone.
    pub burn_windows: u32,
    /// Hours of both versions.
    pub test_windows: u32,
    /// Requests per hour that the baseline version answers.
    pub baseline_rate: u32,
    /// Requests per hour that the candidate answers.
    pub candidate_rate: u32,
}

impl Default for Size {
    fn default() -> Self {
        Self { burn_windows: 24, test_windows: 30, baseline_rate: 200, candidate_rate: 60 }
    }
}

/// One made-up rollout. The baseline version is called `v1`, the candidate `v2`.
#[derive(Debug, Clone)]
pub struct SimulatedRollout {
    /// Name of the stream, also of its model: kind and seed.
    pub stream: String,
    /// What kind of world it is.
    pub kind: &'static Scenario,
    /// Its seed.
    pub seed: u64,
    /// How long it is and how busy.
    pub size: Size,
    /// Hours from the first of both versions to the change.
    pub change_window: Option<u32>,
    /// What else goes wrong, each for some hours.
    pub faults: &'static [CrowdFault],
}

/// One request, its answer and its truth.
pub(super) struct SimulatedRow {
    time: Micros,
    version: &'static str,
    pub(super) x1: Option<f64>,
    pub(super) x2: f64,
    pub(super) x3: f64,
    pub(super) c1: &'static str,
    pub(super) score: f64,
    pub(super) latency_ms: f64,
    pub(super) failed: bool,
    pub(super) label: bool,
    label_time: Micros,
}

impl SimulatedRollout {
    /// The world of a kind and a seed.
    #[must_use]
    pub fn new(kind: &'static Scenario, seed: u64, size: Size) -> Self {
        let stream = format!("{}-{seed}", kind.name);
        let mut world = Self { stream, kind, seed, size, change_window: None, faults: &[] };
        // Late enough that there is healthy traffic of both before, early enough that the change can be found.
        let (first, last) = (size.test_windows / 5, size.test_windows / 2);
        let place = u64::from(first) + world.rng("change").bits() % u64::from((last - first).max(1));
        world.change_window = kind.change.map(|_| u32::try_from(place).expect("below the number of windows"));
        world
    }

    /// A world in which ten things go wrong that overlap ([`CROWD`]), with so many requests per hour of the baseline
    /// version and the candidate.
    #[must_use]
    pub fn crowded(seed: u64, burn_windows: u32, (baseline_rate, candidate_rate): (u32, u32)) -> Self {
        let size = Size { burn_windows, test_windows: CROWD_HOURS, baseline_rate, candidate_rate };
        let healthy = kind("aa").expect("the first of all kinds");
        Self { stream: format!("crowd-{seed}"), faults: CROWD, ..Self::new(healthy, seed, size) }
    }

    /// When the first event may come.
    #[must_use]
    pub fn start(&self) -> Micros {
        START
    }

    /// When the candidate starts.
    #[must_use]
    pub fn test_start(&self) -> Micros {
        START + HOUR * Micros::from(self.size.burn_windows)
    }

    /// When it is over.
    #[must_use]
    pub fn end(&self) -> Micros {
        self.test_start() + HOUR * Micros::from(self.size.test_windows)
    }

    /// When something changes.
    #[must_use]
    pub fn change_time(&self) -> Option<Micros> {
        self.change_window.map(|window| self.test_start() + HOUR * Micros::from(window))
    }

    /// Requests of both versions that would come in each of so many hours from the change on, had nothing changed.
    #[must_use]
    pub fn usual_requests(&self, hours: u32) -> Option<Vec<f64>> {
        let first = i64::from(self.size.burn_windows + self.change_window?);
        let requests = |hour: i64| f64::from(self.size.baseline_rate + self.candidate_rate(hour)) * self.volume(hour);
        Some((first..first + i64::from(hours)).map(requests).collect())
    }

    /// When the change is over.
    #[must_use]
    pub fn change_end(&self) -> Option<Micros> {
        let transient = self.kind.change?.transient;
        self.change_time().map(|time| if transient { time + HOUR } else { self.end() })
    }

    /// The predictions and the outcomes, each in order of arrival, with the columns of a detection folder.
    #[must_use]
    pub fn tables(&self) -> (RecordBatch, RecordBatch) {
        let rows = self.rows();
        (predictions(&self.stream, &rows), outcomes(&self.stream, &rows))
    }

    fn rng(&self, purpose: &str) -> Rng {
        Rng::new(stable_hash(format!("{}/{}/{purpose}", self.kind.name, self.seed).as_bytes()))
    }

    fn rows(&self) -> Vec<SimulatedRow> {
        let (mut rng, mut wander) = (self.rng("rows"), self.rng("levels"));
        let mut levels = [0.0; N_LEVELS];
        let mut rows = Vec::new();
        for hour in 0..i64::from(self.size.burn_windows + self.size.test_windows) {
            levels = levels.map(|level| KEPT * level + self.kind.climate.wander * wander.normal());
            let volume = self.volume(hour);
            for (version, rate) in [("v1", self.size.baseline_rate), ("v2", self.candidate_rate(hour))] {
                let weather = self.weather(hour, version, levels);
                let wanted = f64::from(rate) * volume * weather.effect.volume;
                let n = wanted.floor() + f64::from(u8::from(rng.chance(wanted.fract())));
                #[expect(clippy::cast_possible_truncation, reason = "a rate of requests")]
                rows.extend((0..n as i64).map(|_| weather.row(START + hour * HOUR, version, &mut rng)));
            }
        }
        rows.sort_by_key(|row| row.time);
        rows
    }

    /// The factor of all traffic.
    #[expect(clippy::cast_precision_loss, reason = "hours")]
    fn volume(&self, hour: i64) -> f64 {
        let hours = f64::from(self.size.burn_windows + self.size.test_windows);
        let growth = if self.kind.climate.volume_ramp { 1.0 + hour as f64 / hours } else { 1.0 };
        growth * (1.0 + 0.7 * self.sun(hour))
    }

    /// The candidate's requests per hour before the day's cycle.
    fn candidate_rate(&self, hour: i64) -> u32 {
        let since = hour - i64::from(self.size.burn_windows);
        match u32::try_from(since) {
            Err(_) => 0,
            Ok(since) if self.kind.climate.volume_ramp => {
                let full = self.size.candidate_rate;
                (full / 10).max(1).checked_shl(since / 6).map_or(full, |rate| rate.min(full))
            }
            Ok(_) => self.size.candidate_rate,
        }
    }

    /// -1 at midnight and 1 at noon; 0 where there are no seasons.
    #[expect(clippy::cast_precision_loss, reason = "hours")]
    fn sun(&self, hour: i64) -> f64 {
        if self.kind.climate.seasonal { -libm::cos(std::f64::consts::TAU * hour as f64 / 24.0) } else { 0.0 }
    }

    fn weather(&self, hour: i64, version: &str, levels: [f64; N_LEVELS]) -> Weather {
        let since = self.change_window.map(|at| hour - i64::from(self.size.burn_windows) - i64::from(at));
        let touched = |change: &ScenarioChange| change.scope == ChangeScope::Both || version == "v2";
        let change = self.kind.change.filter(touched).zip(since);
        let effect = change.and_then(|(change, since)| change.effect_after(since)).unwrap_or(RowEffect::NONE);
        let both = hour - i64::from(self.size.burn_windows);
        let concerned = self.faults.iter().filter(|fault| fault.scope == ChangeScope::Both || version == "v2");
        let faults = concerned.filter_map(|fault| fault.effect_at(both));
        let effect = faults.fold(effect, |effect, fault| effect.and(&fault));
        let late = self.kind.climate.late_labels && version == "v2";
        let label_delay_s = if late { 4.0 * LABEL_DELAY_S } else { LABEL_DELAY_S };
        Weather { sun: self.sun(hour), levels, heavy: self.kind.climate.heavy, label_delay_s, effect }
    }
}

/// What one hour's rows of one version are drawn from.
struct Weather {
    sun: f64,
    levels: [f64; N_LEVELS],
    heavy: bool,
    label_delay_s: f64,
    effect: RowEffect,
}

impl Weather {
    fn row(&self, hour_start: Micros, version: &'static str, rng: &mut Rng) -> SimulatedRow {
        let effect = &self.effect;
        let [level1, level2, level3, level_logit, level_latency] = self.levels;
        let z1 = if self.heavy { rng.student3() } else { rng.normal() };
        let x1 = effect.scale * z1 + 0.55 * self.sun + level1 + effect.mean;
        let x2 = libm::exp(if self.heavy { 2.0 } else { 0.6 } * (rng.normal() + level2));
        let x3 = rng.exponential() + rng.exponential() + level3;
        let truth = -1.77 + 0.5 * x3 + 0.7 * rng.normal() + 0.25 * self.sun + level_logit + effect.answers;
        let said = LOGIT_MIDDLE + effect.tilt * (truth - LOGIT_MIDDLE) + effect.calibration;
        let time = hour_start + micros(rng.unit() * 3600.0);
        let mut row = SimulatedRow {
            time,
            version,
            x1: (!rng.chance(effect.missing)).then_some(x1),
            x2,
            x3,
            c1: self.category(rng),
            score: logistic(said),
            latency_ms: self.latency(level_latency, rng),
            failed: rng.chance(effect.errors),
            label: rng.chance(logistic(truth)),
            label_time: time + micros(self.label_delay_s * rng.exponential()),
        };
        effect.bug.into_iter().for_each(|bug| bug.hit(&mut row, rng));
        row
    }

    fn category(&self, rng: &mut Rng) -> &'static str {
        let noon = 0.05 * self.sun.max(0.0);
        let moved = self.effect.category + noon;
        if rng.chance(self.effect.unseen) {
            return "z";
        }
        match rng.choose(&CATEGORIES) {
            "a" if rng.chance(moved / 0.4) => {
                if rng.chance(noon / moved) {
                    "e"
                } else {
                    "d"
                }
            }
            name => CATEGORIES.iter().find(|(other, _)| *other == name).map_or("a", |(name, _)| name),
        }
    }

    fn latency(&self, level: f64, rng: &mut Rng) -> f64 {
        let tail = self.effect.tail.unwrap_or(if self.heavy { 0.03 } else { 0.005 });
        let spread =
            if rng.chance(tail) { libm::log(6.25) + 0.4 * rng.normal() } else { LATENCY_SPREAD * rng.normal() };
        20.0 * self.effect.latency * libm::exp(spread + 0.12 * self.sun.max(0.0) + LATENCY_WANDERS * level)
    }
}

fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-logit))
}

#[expect(clippy::cast_possible_truncation, reason = "seconds of a few days in microseconds")]
fn micros(seconds: f64) -> Micros {
    (seconds * 1e6) as Micros
}

fn id(stream: &str, place: usize) -> String {
    format!("{stream}-{place:06}")
}

fn predictions(stream: &str, rows: &[SimulatedRow]) -> RecordBatch {
    let number = |value: fn(&SimulatedRow) -> Option<f64>| column(rows.iter().map(value).collect::<Float64Array>());
    let answered = |row: &SimulatedRow| (!row.failed).then_some(row.score);
    let columns = vec![
        ("event_time", times(rows.iter().map(|row| row.time))),
        ("ingest_time", times(rows.iter().map(|row| row.time + TRANSIT))),
        ("prediction_id", column((0..rows.len()).map(|place| Some(id(stream, place))).collect::<StringArray>())),
        ("model", column(rows.iter().map(|_| Some(stream)).collect::<StringArray>())),
        ("version", column(rows.iter().map(|row| Some(row.version)).collect::<StringArray>())),
        ("x1", number(|row| row.x1)),
        ("x2", number(|row| Some(row.x2))),
        ("x3", number(|row| Some(row.x3))),
        ("c1", column(rows.iter().map(|row| Some(row.c1)).collect::<StringArray>())),
        ("score", column(rows.iter().map(answered).collect::<Float64Array>())),
        ("latency_ms", number(|row| Some(row.latency_ms))),
        ("status", column(rows.iter().map(|row| Some(if row.failed { 500 } else { 200 })).collect::<Int16Array>())),
    ];
    table(columns)
}

fn outcomes(stream: &str, rows: &[SimulatedRow]) -> RecordBatch {
    let mut labelled: Vec<(usize, &SimulatedRow)> = rows.iter().enumerate().filter(|(_, row)| !row.failed).collect();
    labelled.sort_by_key(|(place, row)| (row.label_time, *place));
    let columns = vec![
        ("event_time", times(labelled.iter().map(|(_, row)| row.label_time))),
        ("ingest_time", times(labelled.iter().map(|(_, row)| row.label_time + TRANSIT))),
        ("prediction_id", column(labelled.iter().map(|&(place, _)| Some(id(stream, place))).collect::<StringArray>())),
        ("model", column(labelled.iter().map(|_| Some(stream)).collect::<StringArray>())),
        ("label", column(labelled.iter().map(|(_, row)| Some(i8::from(row.label))).collect::<Int8Array>())),
    ];
    table(columns)
}

fn column(array: impl arrow_array::Array + 'static) -> ArrayRef {
    Arc::new(array)
}

fn times(micros: impl Iterator<Item = Micros>) -> ArrayRef {
    column(micros.map(Some).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

/// A table whose schema says of every column that it may be null, so that tables of all worlds fit one file.
fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let kind = |array: &ArrayRef| match array.data_type() {
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        kind => kind.clone(),
    };
    let fields: Vec<Field> = columns.iter().map(|(name, array)| Field::new(*name, kind(array), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns of one length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::kind;

    fn rows(name: &str, size: Size) -> (SimulatedRollout, Vec<SimulatedRow>) {
        let world = SimulatedRollout::new(kind(name).unwrap(), 1, size);
        let rows = world.rows();
        (world, rows)
    }

    fn mean<'a>(rows: impl Iterator<Item = &'a SimulatedRow>, value: fn(&SimulatedRow) -> f64) -> f64 {
        let (n, sum) = rows.fold((0.0, 0.0), |(n, sum), row| (n + 1.0, sum + value(row)));
        sum / n
    }

    #[test]
    fn a_seed_gives_one_world() {
        let tables = |seed| SimulatedRollout::new(kind("aa").unwrap(), seed, Size::default()).tables();
        assert_eq!(tables(1), tables(1));
        assert_ne!(tables(1), tables(2));
    }

    #[test]
    fn a_healthy_world_is_as_described() {
        let (_, rows) = rows("aa", Size::default());
        assert_eq!(rows.len(), 54 * 200 + 30 * 60);
        let near = |found: f64, wanted: f64, by: f64| assert!((found - wanted).abs() < by, "{found} for {wanted}");
        near(mean(rows.iter(), |row| row.x1.unwrap_or(0.0)), 0.0, 0.03);
        near(mean(rows.iter(), |row| row.x3), 2.0, 0.05);
        near(mean(rows.iter(), |row| f64::from(u8::from(row.c1 == "a"))), 0.4, 0.02);
        near(mean(rows.iter(), |row| f64::from(u8::from(row.failed))), ERRORS, 0.002);
        let score = mean(rows.iter(), |row| row.score);
        near(mean(rows.iter(), |row| f64::from(u8::from(row.label))), score, 0.015);
        assert!(rows.iter().all(|row| row.version == "v1" || row.time >= START + 24 * HOUR));
    }

    const ERRORS: f64 = super::super::kind::ERRORS;

    #[test]
    fn a_change_hits_whom_it_should_from_its_time_on() {
        let busy = Size { candidate_rate: 200, ..Size::default() };
        for (name, hits_baseline) in [("mean_0.50", false), ("both_mean_0.50", true)] {
            let (world, rows) = rows(name, busy);
            let at = world.change_time().unwrap();
            let x1 = |version, after| {
                let chosen = rows.iter().filter(|row| row.version == version && (row.time >= at) == after);
                mean(chosen, |row| row.x1.unwrap_or(0.0))
            };
            assert!(x1("v1", false).abs() < 0.1 && x1("v2", false).abs() < 0.1, "{name}");
            assert!((x1("v2", true) - 0.5).abs() < 0.1, "{name}");
            assert_eq!(x1("v1", true) > 0.4, hits_baseline, "{name}");
        }
    }

    #[test]
    fn calibration_moves_scores_away_from_the_truth() {
        let (world, rows) = rows("calib_0.8", Size { candidate_rate: 400, ..Size::default() });
        let after = || rows.iter().filter(|row| row.version == "v2" && row.time >= world.change_time().unwrap());
        let (score, label) = (mean(after(), |row| row.score), mean(after(), |row| f64::from(u8::from(row.label))));
        assert!(score > label + 0.1, "{score} {label}");
    }
}
