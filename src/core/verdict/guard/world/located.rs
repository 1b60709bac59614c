//! Where the values of a column lie, at this hour.

use super::level::{HOUR, LEARNT, Level, Rhythm, count, days};
use super::{Now, SIDED_PARTS};
use crate::event::Micros;
use crate::infer::overdispersion::Contrast;
use crate::plan::GuardPlan;
use crate::summary::Traffic;
use crate::verdict::guard::column::Column;
use crate::verdict::guard::drift::WANDERS;

/// How far beyond what is tolerated alternatives lie, in standard deviations.
/// Origin: choice; what some windows can show, and what one can.
pub(super) const FURTHER: [f64; 2] = [0.1, 0.2];

/// A window of one column, and what is known of those before.
pub(super) struct Located<'a> {
    pub(super) column: &'a Column,
    pub(super) reference: &'a Traffic,
    pub(super) guard: &'a GuardPlan,
    /// Length of a window's newest part.
    pub(super) every: Micros,
    pub(super) now: Now<'a>,
}

impl Located<'_> {
    /// What the window says: normal values around what is usual at this hour, against the most that they may be off.
    ///
    /// Between normal distributions a shift by `d` has a population stability index of `d^2`.
    pub(super) fn log_es(&self, level: &mut Level, rhythm: &mut Rhythm) -> Option<[f64; SIDED_PARTS]> {
        let location = self.column.location(self.now.traffic, self.reference)?;
        if location.n < self.guard.n_min {
            return None;
        }
        let (hour, every, n) = (self.now.hour(), self.every, count(location.n));
        let same_hour = rhythm.around(hour);
        let expected = same_hour.map_or(level.value, |(expected, _)| expected);
        let of_expected = same_hour.map_or(level.events(), |(_, hours)| hours * days(level.windows, every) * n);
        let wander = rhythm.wander.get_or_insert_default();
        let tolerated = self.guard.drift.sqrt() + WANDERS * wander.deviation();
        let variance = 1.0 / n + 1.0 / of_expected.max(1.0);
        let off = (location.mean - expected) / location.spread;
        // The season of the first day is no shift.
        let learnt = level.windows >= LEARNT && (same_hour.is_some() || every < HOUR / 2);
        // Whether a level wanders has to be known.
        let is_known = learnt && wander.is_known();
        let at = |off: f64| expected + off * location.spread;
        let is_usual = off.abs() <= tolerated;
        level.look(location.mean, location.n, at(tolerated.copysign(off)), is_usual);
        let contrast = learnt.then(|| Contrast { z: off / variance.sqrt(), weight: n });
        let divisor = level.divisor(contrast, None, self.guard.design_effect.max(1.0));
        if learnt && is_usual {
            wander.update(off, variance);
        }
        let learn = if learnt { at(off.clamp(-tolerated, tolerated)) } else { location.mean };
        level.follow(learn, n);
        rhythm.learn(hour, learn, every);
        let log_e =
            |off: f64, further: f64| (further * (off - tolerated) - further * further / 2.0) / variance / divisor;
        let [less, more] = FURTHER;
        is_known.then(|| [log_e(off, less), log_e(off, more), log_e(-off, less), log_e(-off, more)])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::baseline::cut::equal_width;
    use crate::infer::shiryaev::{Alarm, Shiryaev};
    use crate::metric::view::Views;
    use crate::plan::{Columns, NumericColumn, Role};
    use crate::reason::ReasonCode;
    use crate::sim::Rng;
    use crate::verdict::guard::column::Place;
    use crate::verdict::guard::tests::key;

    /// The window, from the first on, in which a detector alone would have told; of hourly windows of so many values
    /// around these locations.
    fn told(n: usize, locations: impl Iterator<Item = f64>) -> Vec<usize> {
        let cut = Arc::new(equal_width(-2.0, 2.0, 20));
        let column = NumericColumn { name: "x".to_owned(), role: Role::Feature, cut: Arc::clone(&cut) };
        let columns = Columns { numeric: vec![column], categorical: Vec::new() };
        let mut rng = Rng::new(5);
        let mut window = |n: usize, location: f64| {
            let mut traffic = Traffic::new(&columns);
            let values: Vec<f64> = (0..n).map(|_| rng.normal() + location).collect();
            traffic.numeric[0].update(&cut, &values);
            traffic
        };
        let reference = window(20_000, 0.0);
        let place = Place::Numeric(0, Arc::clone(&cut));
        let column = Column { name: "x".to_owned(), code: ReasonCode::FeatureDrift, calendar: false, place };
        let (guard, alarm) = (GuardPlan::default(), Alarm { patience: 2_000.0, windows_min: 3 });
        let (mut level, mut rhythm, mut detectors) =
            (Level::default(), Rhythm::default(), [Shiryaev::default(); SIDED_PARTS]);
        let mut told = Vec::new();
        for (hour, location) in (1..).zip(locations) {
            let (views, key, traffic) = (Views::new(), key("v1"), window(n, location));
            let now = Now { views: &views, key: &key, traffic: &traffic, end: hour * HOUR };
            let located = Located { column: &column, reference: &reference, guard: &guard, every: HOUR, now };
            let log_es = located.log_es(&mut level, &mut rhythm);
            for (detector, log_e) in detectors.iter_mut().zip(log_es.into_iter().flatten()) {
                detector.update(log_e, alarm.cut(1.0));
            }
            if detectors.iter().any(|detector| detector.log_r() >= alarm.threshold()) {
                told.push(usize::try_from(hour).unwrap());
                detectors = [Shiryaev::default(); SIDED_PARTS];
            }
        }
        told
    }

    #[test]
    fn a_shift_is_told_soon_be_there_a_season_or_none() {
        for season in [0.0, 0.55] {
            let sun = |hour: u32| -season * libm::cos(std::f64::consts::TAU * f64::from(hour) / 24.0);
            let told = told(400, (0..100).map(|hour| sun(hour) + if hour < 80 { 0.0 } else { 0.5 }));
            assert!(told.first().is_some_and(|window| (83..=85).contains(window)), "{season}: {told:?}");
        }
    }
}
