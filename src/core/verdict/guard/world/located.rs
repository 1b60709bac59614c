//! Where the values of a column lie at this hour, and how wide.

use super::Now;
use super::level::{HOUR, LEARNT, Level, Wandering, count, days};
use crate::event::Micros;
use crate::infer::location::Location;
use crate::metric::Moment;
use crate::plan::GuardPlan;
use crate::verdict::guard::drift::WANDERS;

/// How far beyond what drift tolerates the alternatives lie, as a part of that: of a mean, and of a spread.
/// Origin: choice; whatever is beyond speaks for them, and second ones would cost more than they find. A spread is
/// known better than a mean, and what is tolerated of it is two thirds as large.
const FURTHER: [f64; 2] = [0.5, 0.2];
/// Alternatives: to either side.
/// Origin: derived; one each.
pub(super) const SIDES: usize = 2;

/// What is looked at of the normal scores of a column: their mean, and their standard deviation, which is 1 in the
/// reference.
pub(super) const MOMENTS: [Moment; 2] = [Moment::Location, Moment::Spread];

impl Moment {
    pub(super) fn of(self, location: Location) -> f64 {
        match self {
            Self::Location => location.mean,
            Self::Spread => location.spread,
        }
    }

    pub(super) fn metric(self) -> &'static str {
        match self {
            Self::Location => "mean_shift",
            Self::Spread => "std_ratio",
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Location => "mean normal score",
            Self::Spread => "standard deviation of the normal scores",
        }
    }

    /// How far something is off that has so large an index.
    ///
    /// Between normal distributions a shift by `d` has an index of `d^2`, and a spread `e^d` times as large one of
    /// `cosh(2 d) - 1` (Kullback and Leibler, On information and sufficiency, Ann. Math. Statist. 22, 1951, their `J`).
    fn tolerated(self, psi: f64) -> f64 {
        match self {
            Self::Location => psi.sqrt(),
            Self::Spread => libm::acosh(1.0 + psi) / 2.0,
        }
    }

    /// How far a window is off from what was expected.
    fn off(self, location: Location, expected: f64) -> f64 {
        match self {
            Self::Location => (location.mean - expected) / location.spread,
            Self::Spread => libm::log(location.spread / expected),
        }
    }

    /// What is so far off.
    fn at(self, location: Location, expected: f64, off: f64) -> f64 {
        match self {
            Self::Location => expected + off * location.spread,
            Self::Spread => expected * libm::exp(off),
        }
    }

    /// The variance of how far one request is off: of a logarithm of a standard deviation it is a quarter of the
    /// kurtosis less one (the delta method), at least as that of a normal distribution.
    fn variance(self, location: Location) -> f64 {
        match self {
            Self::Location => 1.0,
            Self::Spread => (location.kurtosis.max(3.0) - 1.0) / 4.0,
        }
    }
}

/// A window of one column, and what is known of those before.
pub(super) struct Located<'a> {
    pub(super) location: Location,
    pub(super) moment: Moment,
    pub(super) guard: &'a GuardPlan,
    /// Length of a window's newest part.
    pub(super) every: Micros,
    pub(super) now: Now<'a>,
    /// Whether windows before speak for a shift.
    pub(super) is_suspected: bool,
}

impl Located<'_> {
    /// What the window says: normal values around what is usual at this hour, against the most that they may be off.
    pub(super) fn log_es(&self, level: &mut Level, wandering: &mut Wandering) -> Option<[f64; SIDES]> {
        let location = self.location;
        if location.n < self.guard.n_min {
            return None;
        }
        let (moment, hour, every, n) = (self.moment, self.now.hour(), self.every, count(location.n));
        let Wandering { hourly, wander } = wandering;
        let same_hour = hourly.around(hour);
        let now = moment.of(location);
        let expected = same_hour.map_or(level.value, |(expected, _)| expected);
        let of_expected = same_hour.map_or(level.events(), |(_, hours)| hours * days(level.windows, every) * n);
        let by_plan = moment.tolerated(self.guard.drift);
        let tolerated = by_plan + WANDERS * wander.deviation();
        let variance = moment.variance(location) * (1.0 / n + 1.0 / of_expected.max(1.0));
        // The season of the first day is no shift.
        let learnt = level.windows >= LEARNT && (same_hour.is_some() || every < HOUR / 2);
        // Whether a level wanders has to be known.
        let is_known = learnt && wander.is_known();
        let off = if level.windows > 0 { moment.off(location, expected) } else { 0.0 };
        let at = |off: f64| moment.at(location, expected, off);
        // What may be a shift does not pass for a level that wanders.
        let is_usual = off.abs() <= tolerated && !self.is_suspected;
        level.look(now, location.n, at(tolerated.copysign(off)), off.abs() <= tolerated);
        let assumed = self.guard.design_effect.max(1.0);
        let divisor = level.alike.shown(assumed);
        if learnt && is_usual {
            level.alike.update_by(off / variance.sqrt(), assumed);
            wander.update(off, variance);
        }
        let learn = if learnt { at(off.clamp(-tolerated, tolerated)) } else { now };
        level.follow(learn, n);
        hourly.learn(hour, learn, every);
        let further = FURTHER[moment as usize] * by_plan;
        let log_e = |off: f64| further * (off - tolerated - further / 2.0) / variance / divisor;
        is_known.then(|| [log_e(off), log_e(-off)])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::baseline::cut::equal_width;
    use crate::metric::view::Views;
    use crate::plan::{ColumnRole, Columns, NumericColumn};
    use crate::reason::ReasonCode;
    use crate::sim::Rng;
    use crate::summary::Traffic;
    use crate::verdict::finding::Verdict;
    use crate::verdict::guard::column::{Column, ColumnBinning};
    use crate::verdict::guard::scene::Scene;
    use crate::verdict::guard::tests::{key, with_reference};
    use crate::verdict::guard::world::look::Look;
    use crate::verdict::guard::world::{Usual, World};

    const COLUMN: &str = "x";

    fn column() -> (Column, Columns) {
        let cut = Arc::new(equal_width(-2.0, 2.0, 20));
        let numeric = NumericColumn { name: COLUMN.to_owned(), role: ColumnRole::Feature, cut: Arc::clone(&cut) };
        let columns = Columns { numeric: vec![numeric], categorical: Vec::new() };
        let place = ColumnBinning::Numeric(0, cut);
        (Column { name: COLUMN.to_owned(), code: ReasonCode::FeatureDrift, calendar: false, place }, columns)
    }

    fn window(columns: &Columns, n: usize, (location, spread): (f64, f64), rng: &mut Rng) -> Traffic {
        let mut traffic = Traffic::new(columns);
        let values: Vec<f64> = (0..n).map(|_| spread * rng.normal() + location).collect();
        traffic.numeric[0].update(&columns.numeric[0].cut, &values);
        traffic
    }

    /// What is told after hourly windows of so many values around these locations.
    fn told(n: usize, seed: u64, locations: impl Iterator<Item = f64>) -> Vec<Vec<String>> {
        told_of(n, seed, locations.map(|location| (location, 1.0)))
    }

    /// The same where they are so wide.
    fn told_of(n: usize, seed: u64, windows: impl Iterator<Item = (f64, f64)>) -> Vec<Vec<String>> {
        let ((column, columns), mut rng) = (column(), Rng::new(seed));
        let reference = window(&columns, 20_000, (0.0, 1.0), &mut rng);
        let moments = MOMENTS.map(|moment| (Look::Located(0, moment), COLUMN.to_owned()));
        let looks: Vec<_> = [(Look::Failed, String::new())].into_iter().chain(moments).collect();
        let world = World { looks: looks.into(), located: [column].into(), guard: GuardPlan::default(), every: HOUR };
        let mut usual = Usual::default();
        let mut all = Vec::new();
        for (hour, values) in (1..).zip(windows) {
            let (of_v1, traffic) = (key("v1"), window(&columns, n, values, &mut rng));
            let views = Views::from([(of_v1.clone(), traffic.clone()), (key("v2"), traffic.clone())]);
            let now = Now { views: &views, key: &of_v1, traffic: &traffic, end: hour * HOUR };
            world.update(&mut usual, now, Some(&reference));
            let mut verdict = Verdict::default();
            with_reference(&BTreeMap::from([(String::new(), reference.clone())]), |judged| {
                let scene = Scene { judged, guard: &world.guard, model: "m", version: "v1", baseline: "v1" };
                world.tell(&usual, Some(now), scene, &mut verdict);
            });
            all.push(verdict.findings.into_iter().map(|finding| finding.reason.text).collect());
        }
        let text = serde_json::to_string(&usual).expect("a finite state");
        assert_eq!(serde_json::from_str::<Usual>(&text).expect("its own text"), usual);
        all
    }

    fn first(told: &[Vec<String>]) -> Option<usize> {
        told.iter().position(|told| !told.is_empty())
    }

    #[test]
    fn a_shift_is_told_soon_be_there_a_season_or_none() {
        for season in [0.0, 0.55] {
            let sun = |hour: u32| -season * libm::cos(std::f64::consts::TAU * f64::from(hour) / 24.0);
            let told = told(400, 5, (0..100).map(|hour| sun(hour) + if hour < 80 { 0.0 } else { 0.5 }));
            let window = first(&told).unwrap_or_else(|| panic!("{season}: not told"));
            assert!((82..=85).contains(&window), "{season}: in window {window}");
            let text = &told[window][0];
            assert!(text.contains("mean normal score of x is ") && text.contains(", v2's is "), "{text}");
        }
    }

    #[test]
    fn a_shift_that_lasts_does_not_pass_for_a_level_that_wanders() {
        let missed = |seed: &u64| {
            let told = told(100, *seed, (0..140).map(|hour| if hour < 80 { 0.0 } else { 0.45 }));
            first(&told).is_none()
        };
        // Levels that stand still seem to wander now and then.
        let missed: Vec<u64> = (1..=40).filter(missed).collect();
        assert!(missed.len() <= 2, "not told in sixty windows with seeds {missed:?}");
    }

    #[test]
    fn a_level_that_wanders_as_it_did_is_as_usual_and_so_is_less_than_is_tolerated() {
        let (mut rng, mut level) = (Rng::new(9), 0.0);
        let wandering = (0..400).map(|_| {
            level = 0.9 * level + 0.08 * rng.normal();
            level
        });
        assert_eq!(first(&told(400, 5, wandering)), None);
        assert_eq!(first(&told(400, 5, (0..150).map(|hour| if hour < 80 { 0.0 } else { 0.25 }))), None);
    }

    #[test]
    fn a_column_that_gets_wider_is_told_and_one_that_does_within_what_is_tolerated_is_not() {
        let after = |spread: f64, n| told_of(n, 5, (0..100).map(|hour| (0.0, if hour < 80 { 1.0 } else { spread })));
        for (spread, n) in [(1.6, 400), (1.3, 4000), (0.6, 400)] {
            let told = after(spread, n);
            let window = first(&told).unwrap_or_else(|| panic!("{spread}: not told"));
            assert!((81..=86).contains(&window), "{spread}: in window {window}");
            let text = &told[window][0];
            assert!(text.contains("standard deviation of the normal scores of x is "), "{text}");
        }
        assert_eq!(first(&after(1.2, 4000)), None);
    }

    #[test]
    fn what_is_tolerated_of_spreads_has_the_index_that_the_plan_names() {
        let ratio = libm::exp(Moment::Spread.tolerated(0.1));
        assert!((f64::midpoint(ratio * ratio, 1.0 / (ratio * ratio)) - 1.1).abs() < 1e-12, "{ratio}");
        assert!((ratio - 1.2483).abs() < 1e-4, "{ratio}");
    }
}
