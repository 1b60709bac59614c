//! What may happen in a made-up world: one row per kind.

use super::bug::Bug;

/// A kind of world: its climate, and what changes in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scenario {
    /// Name; `aa` and what starts with `aa_` is healthy from end to end.
    pub name: &'static str,
    /// What both versions live with all the time.
    pub climate: Climate,
    /// What happens at one time, if anything.
    pub change: Option<ScenarioChange>,
}

/// What both versions live with all the time. The default is a world that stands still.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a condition of its own, and any may come with any other")]
pub struct Climate {
    /// A daily cycle in volume, `x1`, the mix of `c1`, the scores and the latency.
    pub seasonal: bool,
    /// Levels of features, scores and latency wander from hour to hour: the innovation of an AR(1) process with
    /// coefficient 0.9, in standard deviations of the column.
    pub wander: f64,
    /// Features with heavy tails (Student's t with three degrees of freedom, lognormal with sigma 2), and 3 % slow
    /// answers.
    pub heavy: bool,
    /// The candidate starts at a tenth of its traffic and doubles it every few hours; total traffic doubles too.
    pub volume_ramp: bool,
    /// The candidate's labels take four times as long.
    pub late_labels: bool,
}

/// Who changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeScope {
    /// Only the candidate.
    Candidate,
    /// The world: both versions, and neither is to blame.
    Both,
}

/// What happens at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScenarioChange {
    /// The column that tells.
    pub column: &'static str,
    /// Who changes.
    pub scope: ChangeScope,
    /// Over after one hour.
    pub transient: bool,
    /// Grows evenly over this many hours to its full size; 0 = at once.
    pub hours_to_full: u32,
    /// What it does.
    pub effect: RowEffect,
}

/// How rows differ from healthy ones. The default differs in nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowEffect {
    /// Added to `x1`.
    pub mean: f64,
    /// Factor of `x1`.
    pub scale: f64,
    /// Share of all rows whose `c1` is `d` in place of `a`: the total-variation distance.
    pub category: f64,
    /// Share of rows whose `c1` is a category never seen before.
    pub unseen: f64,
    /// Share of rows in which `x1` is missing.
    pub missing: f64,
    /// Added to the logit of the score and of the truth: other traffic, still well calibrated.
    pub answers: f64,
    /// Added to the logit of the score alone: too confident in one direction.
    pub calibration: f64,
    /// Factor of the score's logit around its middle: above 1 overconfident, below 1 underconfident.
    pub tilt: f64,
    /// Factor of the latency.
    pub latency: f64,
    /// Share of slow answers, six times the median; `None` = as in the climate.
    pub tail: Option<f64>,
    /// Share of requests that fail.
    pub errors: f64,
    /// Share of the usual requests that come at all.
    pub volume: f64,
    /// Something particular.
    pub bug: Option<Bug>,
}

/// Share of missing `x1` in a healthy world.
pub(super) const MISSING: f64 = 0.01;
/// Share of failed requests in a healthy world.
pub(super) const ERRORS: f64 = 0.005;

impl RowEffect {
    /// No difference.
    pub const NONE: Self = Self {
        mean: 0.0,
        scale: 1.0,
        category: 0.0,
        unseen: 0.0,
        missing: MISSING,
        answers: 0.0,
        calibration: 0.0,
        tilt: 1.0,
        latency: 1.0,
        tail: None,
        errors: ERRORS,
        volume: 1.0,
        bug: None,
    };
}

const STILL: Climate = Climate { seasonal: false, wander: 0.0, heavy: false, volume_ramp: false, late_labels: false };
const SEASONAL: Climate = Climate { seasonal: true, ..STILL };
const WANDERING: Climate = Climate { wander: 0.08, ..STILL };
const HEAVY: Climate = Climate { heavy: true, ..STILL };
const GROWING: Climate = Climate { volume_ramp: true, ..STILL };
const LATE: Climate = Climate { late_labels: true, ..STILL };
const ALL: Climate = Climate { seasonal: true, wander: 0.08, volume_ramp: true, late_labels: true, heavy: false };
const NONE: RowEffect = RowEffect::NONE;

const fn healthy(name: &'static str, climate: Climate) -> Scenario {
    Scenario { name, climate, change: None }
}

const fn worse(name: &'static str, climate: Climate, column: &'static str, effect: RowEffect) -> Scenario {
    let change = ScenarioChange { column, scope: ChangeScope::Candidate, transient: false, hours_to_full: 0, effect };
    Scenario { name, climate, change: Some(change) }
}

const fn slowly(name: &'static str, hours_to_full: u32, column: &'static str, effect: RowEffect) -> Scenario {
    let change = ScenarioChange { column, scope: ChangeScope::Candidate, transient: false, hours_to_full, effect };
    Scenario { name, climate: STILL, change: Some(change) }
}

const fn broken(name: &'static str, column: &'static str, bug: Bug) -> Scenario {
    worse(name, STILL, column, RowEffect { bug: Some(bug), ..NONE })
}

const fn both(name: &'static str, column: &'static str, effect: RowEffect) -> Scenario {
    both_in(name, STILL, column, effect)
}

const fn both_in(name: &'static str, climate: Climate, column: &'static str, effect: RowEffect) -> Scenario {
    let change = ScenarioChange { column, scope: ChangeScope::Both, transient: false, hours_to_full: 0, effect };
    Scenario { name, climate, change: Some(change) }
}

const fn blip(name: &'static str, column: &'static str, effect: RowEffect) -> Scenario {
    let change = ScenarioChange { column, scope: ChangeScope::Candidate, transient: true, hours_to_full: 0, effect };
    Scenario { name, climate: STILL, change: Some(change) }
}

/// Every kind.
pub const KINDS: &[Scenario] = &[
    healthy("aa", STILL),
    healthy("aa_seasonal", SEASONAL),
    healthy("aa_autocorr", WANDERING),
    healthy("aa_heavy", HEAVY),
    healthy("aa_volume", GROWING),
    healthy("aa_late_labels", LATE),
    healthy("aa_everything", ALL),
    worse("mean_0.25", STILL, "x1", RowEffect { mean: 0.25, ..NONE }),
    worse("mean_0.50", STILL, "x1", RowEffect { mean: 0.5, ..NONE }),
    worse("mean_0.25_season", SEASONAL, "x1", RowEffect { mean: 0.25, ..NONE }),
    worse("mean_0.50_autocorr", WANDERING, "x1", RowEffect { mean: 0.5, ..NONE }),
    worse("mean_1.00_heavy", HEAVY, "x1", RowEffect { mean: 1.0, ..NONE }),
    worse("mean_0.50_volume", GROWING, "x1", RowEffect { mean: 0.5, ..NONE }),
    slowly("mean_0.50_ramp", 10, "x1", RowEffect { mean: 0.5, ..NONE }),
    worse("var_1.3", STILL, "x1", RowEffect { scale: 1.3, ..NONE }),
    worse("var_0.7", STILL, "x1", RowEffect { scale: 0.7, ..NONE }),
    worse("cat_tv_0.15", STILL, "c1", RowEffect { category: 0.15, ..NONE }),
    worse("unseen_5pct", STILL, "c1", RowEffect { unseen: 0.05, ..NONE }),
    worse("missing_5pct", STILL, "x1", RowEffect { missing: 0.05, ..NONE }),
    worse("missing_20pct", STILL, "x1", RowEffect { missing: 0.2, ..NONE }),
    worse("null_flood_90pct", STILL, "x1", RowEffect { missing: 0.9, ..NONE }),
    worse("score_shift_0.5", STILL, "score", RowEffect { answers: 0.5, ..NONE }),
    worse("calib_0.8", STILL, "score", RowEffect { calibration: 0.8, ..NONE }),
    worse("calib_-0.8", STILL, "score", RowEffect { calibration: -0.8, ..NONE }),
    worse("tilt_2.0", STILL, "score", RowEffect { tilt: 2.0, ..NONE }),
    worse("tilt_0.5", STILL, "score", RowEffect { tilt: 0.5, ..NONE }),
    worse("latency_x1.10", STILL, "latency_ms", RowEffect { latency: 1.1, ..NONE }),
    worse("latency_x1.20", STILL, "latency_ms", RowEffect { latency: 1.2, ..NONE }),
    worse("latency_p99", STILL, "latency_ms", RowEffect { tail: Some(0.03), ..NONE }),
    worse("error_0.5_1", STILL, "status", RowEffect { errors: 0.01, ..NONE }),
    worse("error_0.5_2", STILL, "status", RowEffect { errors: 0.02, ..NONE }),
    worse("error_0.5_4", STILL, "status", RowEffect { errors: 0.04, ..NONE }),
    slowly("error_0.5_4_ramp", 10, "status", RowEffect { errors: 0.04, ..NONE }),
    broken("renamed", "c1", Bug::Renamed),
    broken("unit_x1.61", "x2", Bug::Unit(1.61)),
    broken("unit_x1000", "x2", Bug::Unit(1000.0)),
    broken("nan_10pct", "x1", Bug::NotANumber(0.1)),
    broken("nan_flood", "x1", Bug::NotANumber(0.9)),
    broken("stuck", "x1", Bug::Stuck),
    broken("swapped", "x1", Bug::Swapped),
    broken("tails", "x1", Bug::Tails),
    broken("one_category_fails", "status", Bug::FailsOne("d", 0.3)),
    broken("labels_flipped_20pct", "label", Bug::Flipped(0.2)),
    broken("collapsed", "score", Bug::Collapsed),
    broken("latency_floor", "latency_ms", Bug::Floor(22.0)),
    broken("timeouts_2pct", "status", Bug::TimesOut(0.02)),
    worse("starved_30pct", STILL, "throughput", RowEffect { volume: 0.3, ..NONE }),
    worse("starved_30pct_season", SEASONAL, "throughput", RowEffect { volume: 0.3, ..NONE }),
    worse("silent", STILL, "throughput", RowEffect { volume: 0.0, ..NONE }),
    worse("calib_0.8_late_labels", LATE, "score", RowEffect { calibration: 0.8, ..NONE }),
    worse("error_0.5_4_everything", ALL, "status", RowEffect { errors: 0.04, ..NONE }),
    both("both_mean_0.50", "x1", RowEffect { mean: 0.5, ..NONE }),
    both("both_cat_tv_0.15", "c1", RowEffect { category: 0.15, ..NONE }),
    both("both_missing_20pct", "x1", RowEffect { missing: 0.2, ..NONE }),
    both("both_half_the_traffic", "throughput", RowEffect { volume: 0.5, ..NONE }),
    both("both_silent", "throughput", RowEffect { volume: 0.0, ..NONE }),
    both("both_calib_0.8", "score", RowEffect { calibration: 0.8, ..NONE }),
    both("both_latency_x1.20", "latency_ms", RowEffect { latency: 1.2, ..NONE }),
    both("both_error_0.5_4", "status", RowEffect { errors: 0.04, ..NONE }),
    both("both_stuck", "x1", RowEffect { bug: Some(Bug::Stuck), ..NONE }),
    both("both_timeouts_10pct", "status", RowEffect { bug: Some(Bug::TimesOut(0.1)), ..NONE }),
    both_in("both_calib_late_labels", LATE, "score", RowEffect { calibration: 0.8, ..NONE }),
    both_in(
        "both_everything",
        ALL,
        "x1",
        RowEffect { mean: 0.5, category: 0.15, answers: 0.5, calibration: 0.5, latency: 1.3, errors: 0.04, ..NONE },
    ),
    blip("blip_mean_1.00", "x1", RowEffect { mean: 1.0, ..NONE }),
    blip("blip_latency_x3", "latency_ms", RowEffect { latency: 3.0, ..NONE }),
    blip("blip_error_30pct", "status", RowEffect { errors: 0.3, ..NONE }),
];

/// A change of the world in a climate that stands still, in one with seasons and in one that wanders.
macro_rules! in_three_climates {
    ($($name:literal, $column:literal, $effect:expr;)*) => {
        &[$(
            both_in($name, STILL, $column, $effect),
            both_in(concat!($name, "_season"), SEASONAL, $column, $effect),
            both_in(concat!($name, "_autocorr"), WANDERING, $column, $effect),
        )*]
    };
}

/// Kinds in which the world changes by more or less, beside those of [`KINDS`].
pub const WORLD_KINDS: &[Scenario] = in_three_climates! {
    "world_mean_0.25", "x1", RowEffect { mean: 0.25, ..NONE };
    "world_mean_0.50", "x1", RowEffect { mean: 0.5, ..NONE };
    "world_var_1.3", "x1", RowEffect { scale: 1.3, ..NONE };
    "world_cat_tv_0.10", "c1", RowEffect { category: 0.1, ..NONE };
    "world_missing_5pct", "x1", RowEffect { missing: 0.05, ..NONE };
    "world_error_x2", "status", RowEffect { errors: 2.0 * ERRORS, ..NONE };
    "world_error_x10", "status", RowEffect { errors: 10.0 * ERRORS, ..NONE };
    "world_latency_x1.20", "latency_ms", RowEffect { latency: 1.2, ..NONE };
    "world_volume_30pct", "throughput", RowEffect { volume: 0.3, ..NONE };
};

/// The kind of this name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Scenario> {
    KINDS.iter().chain(WORLD_KINDS).find(|kind| kind.name == name)
}

impl ScenarioChange {
    /// The effect so many hours after the change; `None` before it and, for a blip, after it.
    pub(super) fn effect_after(&self, hours: i64) -> Option<RowEffect> {
        let over = hours < 0 || self.transient && hours > 0;
        let part = match self.hours_to_full {
            0 => 1.0,
            full => f64::from((u32::try_from(hours).unwrap_or(0) + 1).min(full)) / f64::from(full),
        };
        (!over).then(|| self.effect.scaled(part))
    }
}

impl RowEffect {
    /// A part of the way from no difference to this one.
    fn scaled(&self, part: f64) -> Self {
        let between = |none: f64, full: f64| none + part * (full - none);
        Self {
            mean: between(NONE.mean, self.mean),
            scale: between(NONE.scale, self.scale),
            category: between(NONE.category, self.category),
            unseen: between(NONE.unseen, self.unseen),
            missing: between(NONE.missing, self.missing),
            answers: between(NONE.answers, self.answers),
            calibration: between(NONE.calibration, self.calibration),
            tilt: between(NONE.tilt, self.tilt),
            latency: between(NONE.latency, self.latency),
            tail: self.tail,
            errors: between(NONE.errors, self.errors),
            volume: between(NONE.volume, self.volume),
            bug: self.bug,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_healthy_ones_do_not_change() {
        let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
        for kind in KINDS {
            assert_eq!(kind.change.is_none(), kind.name.starts_with("aa"), "{}", kind.name);
            assert!(kind.change.is_none_or(|change| change.effect != RowEffect::NONE), "{}", kind.name);
        }
    }

    #[test]
    fn a_ramp_grows_and_a_blip_ends() {
        let ramp = kind("mean_0.50_ramp").unwrap().change.unwrap();
        let mean = |hours| ramp.effect_after(hours).map(|effect| effect.mean);
        assert_eq!((mean(-1), mean(0), mean(9), mean(20)), (None, Some(0.05), Some(0.5), Some(0.5)));
        let blip = kind("blip_error_30pct").unwrap().change.unwrap();
        assert_eq!([-1, 0, 1].map(|hours| blip.effect_after(hours).is_some()), [false, true, false]);
    }
}
