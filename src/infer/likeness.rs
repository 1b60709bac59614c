//! How much alike requests are, where nobody says which belong together: from how windows differ from what they are
//! held against.
//!
//! Requests of one user or of one batch are alike, and counts of them vary more than counts of independent ones. A
//! window's population stability index, `k` cells, has a mean of `deff (1 / n + 1 / m) (k - 1)` while nothing is
//! wrong, so `x = PSI / ((1 / n + 1 / m) (k - 1))`, averaged over windows, is the design effect. One and a half
//! standard errors are added, of a variance of `2 deff^2 / (k - 1)` per window; so before the first window it is what
//! the plan assumes, and never more. The square of a window's contrast with an expected rate is such an `x` with `k`
//! 2, and so is that of a count with what was expected of it, whose variance is `2 + 1 / expected` (Poisson). A true
//! difference counts as likeness: it makes the estimate too large, which says less. No window counts with more than
//! what is assumed, so a change teaches by 3 % of that.
//!
//! **Source**: Rao and Scott, The analysis of categorical data from complex sample surveys, JASA 76, 1981, section 3
//! (the mean of the design effects as a correction of chi-square); that PSI over its scale is chi-square to first order
//! is Yurdakul and Naranjo's, see [`psi_tolerance`](super::psi_tolerance). **Assumes**: who asks changes from window to
//! window, or is the same as in what windows are held against. **State**: two floats and a count. **Cost**: ten
//! operations per window.

use serde::{Deserialize, Serialize};

use super::log_space::float;
use super::psi_tolerance::PsiTest;

/// How quickly the mean follows.
/// Origin: choice; some 65 windows count, the newest with 3 %.
const FOLLOW: f64 = 0.03;
/// Standard errors that are added.
/// Origin: choice; too small by more than that in one of fifteen cases.
const UNSURE: f64 = 1.5;

/// What windows have shown so far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Likeness {
    windows: u32,
    mean: f64,
    /// Of the mean, where the design effect is 1.
    variance: f64,
}

impl Likeness {
    /// The design effect to reckon with in the next window: what windows have shown, at most what is assumed.
    #[must_use]
    pub fn design_effect(&self, assumed: f64) -> f64 {
        if self.windows == 0 {
            return assumed;
        }
        (self.mean * (1.0 + UNSURE * self.variance.sqrt())).max(1.0).min(assumed)
    }

    /// The design effect that windows have shown, nothing added, at most what is assumed.
    #[must_use]
    pub fn shown(&self, assumed: f64) -> f64 {
        if self.windows == 0 { assumed } else { self.mean.max(1.0).min(assumed) }
    }

    /// Takes the comparison of a window, whose own design effect does not matter.
    pub fn update(&mut self, test: &PsiTest, assumed: f64) {
        self.take(test.dispersion(), f64::from(test.dof), assumed);
    }

    /// Takes a window's contrast with what was expected of it, in standard errors of independent requests.
    pub fn update_by(&mut self, z: f64, assumed: f64) {
        self.take(z * z, 1.0, assumed);
    }

    /// Takes a window's count, and what was expected of it: at least one, as of rarer things hardly any is the usual
    /// count.
    pub fn update_count(&mut self, count: f64, expected: f64, assumed: f64) {
        if expected >= 1.0 {
            let dof = 2.0 / (2.0 + 1.0 / expected);
            self.take((count - expected).powi(2) / expected, dof, assumed);
        }
    }

    /// Takes a dispersion, of a variance as that of so many degrees of freedom where the design effect is 1.
    fn take(&mut self, dispersion: f64, dof: f64, assumed: f64) {
        let by = FOLLOW.max(1.0 / float(u64::from(self.windows) + 1));
        self.mean += by * (dispersion.min(assumed) - self.mean);
        self.variance = (1.0 - by).powi(2) * self.variance + by * by * 2.0 / dof;
        self.windows = self.windows.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::Rng;

    /// In percent.
    const SHARES: [u8; 10] = [5, 5, 10, 10, 10, 10, 10, 10, 10, 20];

    /// A window of 600 requests in groups of so many that are the same, from shares with so much moved.
    fn window(alike: u64, moved: f64, rng: &mut Rng) -> Vec<u64> {
        let (mut counts, mut shares) = (vec![0; SHARES.len()], SHARES.map(|share| f64::from(share) / 100.0));
        (shares[0], shares[9]) = (shares[0] + moved, shares[9] - moved);
        for _ in 0..600 / alike {
            let mut u = rng.unit();
            let place = shares.iter().position(|share| {
                u -= share;
                u < 0.0
            });
            counts[place.unwrap_or(9)] += alike;
        }
        counts
    }

    /// The mean over eight streams of so many windows.
    fn after(windows: u32, alike: u64, moved: f64, assumed: f64) -> f64 {
        let reference: Vec<u64> = SHARES.map(|share| 10_000 * u64::from(share)).to_vec();
        let of_stream = |seed| {
            let (mut likeness, mut rng) = (Likeness::default(), Rng::new(seed));
            for _ in 0..windows {
                let test = PsiTest::of(&reference, &window(alike, moved, &mut rng), 0.1, 1.7).expect("cells");
                likeness.update(&test, assumed);
            }
            likeness.design_effect(assumed)
        };
        (1..=8).map(of_stream).sum::<f64>() / 8.0
    }

    #[test]
    fn requests_that_come_in_groups_are_as_much_alike_as_groups_are_large() {
        for alike in [1, 2, 4] {
            let found = after(200, alike, 0.0, 10.0);
            assert!((found / float(alike) - 1.1).abs() < 0.12, "{alike}: {found}");
        }
    }

    /// After so many windows in which groups of so many come, two on average.
    fn after_counts(windows: u32, alike: u32) -> f64 {
        let of_stream = |seed| {
            let (mut likeness, mut rng) = (Likeness::default(), Rng::new(seed));
            for _ in 0..windows {
                let groups: u32 = (0..400).map(|_| u32::from(rng.unit() < 0.005)).sum();
                likeness.update_count(f64::from(groups * alike), f64::from(2 * alike), 9.0);
            }
            likeness.design_effect(9.0)
        };
        (1..=20).map(of_stream).sum::<f64>() / 20.0
    }

    #[test]
    fn of_what_is_rare_more_windows_tell_the_same() {
        for alike in [1, 3] {
            let found = after_counts(200, alike) / f64::from(alike);
            assert!((1.0..1.6).contains(&found), "{alike}: {found}");
        }
        assert!(after_counts(8, 1) > after_counts(200, 1) + 0.2);
        let mut likeness = Likeness::default();
        likeness.update_count(0.0, 0.9, 3.0);
        assert!((likeness.design_effect(3.0) - 3.0).abs() < f64::EPSILON, "hardly any is the usual count");
    }

    #[test]
    fn what_windows_have_shown_is_less_than_what_is_reckoned_with() {
        let mut likeness = Likeness::default();
        assert!((likeness.shown(3.0) - 3.0).abs() < 1e-12, "nothing is known");
        (0..50).for_each(|_| likeness.update_by(1.2, 3.0));
        let (shown, sure) = (likeness.shown(3.0), likeness.design_effect(3.0));
        assert!((shown - 1.44).abs() < 1e-9 && sure > shown + 0.1, "{shown} and {sure}");
        assert!((likeness.shown(1.3) - 1.3).abs() < 1e-12, "no more than is assumed");
    }

    #[test]
    fn little_is_known_at_first_and_no_more_than_is_assumed_later() {
        assert!((after(0, 1, 0.0, 3.0) - 3.0).abs() < f64::EPSILON);
        assert!((after(3, 1, 0.0, 3.0) - 1.5).abs() < 0.3, "{}", after(3, 1, 0.0, 3.0));
        assert!((after(50, 6, 0.0, 3.0) - 3.0).abs() < f64::EPSILON);
        assert!(after(50, 1, 0.0, 1.0) <= 1.0);
    }

    #[test]
    fn a_difference_says_less_and_not_more() {
        assert!(after(100, 1, 0.05, 3.0) > 2.5);
    }
}
