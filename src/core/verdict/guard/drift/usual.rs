//! Where the values of the version that serves the world usually lie, against the reference.

use serde::{Deserialize, Serialize};

use crate::infer::location::Location;
use crate::infer::wander::Wander;
use crate::verdict::guard::number::count;

/// Deviations of a level that wanders within which it is as usual.
/// Origin: choice; one window in twenty is further off, and evidence takes several that are.
pub(in crate::verdict::guard) const WANDERS: f64 = 2.0;
/// Deviations of a column by which hours may differ before a day is known.
/// Origin: choice; an hour is seldom further from its day, and a broken unit is much further.
const FIRST_DAY: f64 = 1.0;
/// How quickly the mean follows.
/// Origin: choice; as in `infer::wander`.
const FOLLOW: f64 = 0.03;

/// The mean normal score of windows, and how they go up and down around it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct UsualLocation {
    windows: u32,
    mean: f64,
    wander: Wander,
}

impl UsualLocation {
    /// The index that is as usual: of a shift by the root of what is tolerated, and by as much as hours differ.
    ///
    /// `of_a_day` is how many windows make a day, 0 where one window does.
    pub(super) fn tolerated(&self, drift: f64, of_a_day: u32) -> f64 {
        let hours = if self.is_first_day(of_a_day) { FIRST_DAY } else { WANDERS * self.wander.deviation() };
        (drift.sqrt() + hours).powi(2)
    }

    /// Learns from the first day, and from later windows that are as usual.
    pub(super) fn learn(&mut self, Location { mean, spread, n, .. }: Location, drift: f64, of_a_day: u32) {
        let off = mean / spread;
        if !self.is_first_day(of_a_day) && off * off > self.tolerated(drift, of_a_day) {
            return;
        }
        if self.windows > 0 {
            self.wander.update(off - self.mean, 1.0 / count(n));
        }
        self.mean += FOLLOW.max(1.0 / (f64::from(self.windows) + 1.0)) * (off - self.mean);
        self.windows = self.windows.saturating_add(1);
    }

    fn is_first_day(&self, of_a_day: u32) -> bool {
        of_a_day > 0 && (self.windows <= of_a_day || !self.wander.is_known())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIFT: f64 = 0.1;
    const HOURS: u32 = 24;

    fn location(mean: f64) -> Location {
        Location { mean, spread: 1.0, n: 4000, kurtosis: 3.0 }
    }

    /// What is tolerated after hours at these means.
    fn after(means: impl Iterator<Item = f64>) -> f64 {
        let mut usual = UsualLocation::default();
        means.for_each(|mean| usual.learn(location(mean), DRIFT, HOURS));
        usual.tolerated(DRIFT, HOURS)
    }

    #[test]
    fn hours_of_a_day_are_as_usual_on_the_first_day_and_later() {
        let hour = |hour: u32| -0.6 * libm::cos(std::f64::consts::TAU * f64::from(hour) / 24.0);
        for hours in 0..120 {
            assert!(hour(hours).powi(2) <= after((0..hours).map(hour)), "hour {hours}");
        }
    }

    #[test]
    fn what_is_off_from_the_first_hour_on_is_not_as_usual_once_a_day_is_known() {
        let off = |hours: usize| after(std::iter::repeat_n(0.5, hours));
        assert!((off(0) - (DRIFT.sqrt() + 1.0).powi(2)).abs() < 1e-12);
        assert!(off(24) > 0.25, "a day may be so");
        assert!((off(25) - DRIFT).abs() < 1e-12 && (off(100) - DRIFT).abs() < 1e-12);
    }

    #[test]
    fn what_lasts_for_a_day_or_more_has_no_hours() {
        let usual = UsualLocation::default();
        assert!((usual.tolerated(DRIFT, 0) - DRIFT).abs() < 1e-12);
    }

    #[test]
    fn what_is_further_off_teaches_nothing_after_the_first_day() {
        let still = std::iter::repeat_n(0.0, 30);
        assert!((after(still.clone().chain(std::iter::repeat_n(0.5, 100))) - DRIFT).abs() < 1e-12);
        assert!((after(still) - DRIFT).abs() < 1e-12);
    }
}
