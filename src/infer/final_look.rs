//! One classical last look at the end of a rollout, for effects too small to be found on the way.
//!
//! A quarter of `alpha` goes to the evidence that is looked at all the time (`E >= 4 / alpha`), the rest to a single
//! test at the end, as in a trial that stops early only for what is plain (Haybittle and Peto); the union bound over
//! both keeps `alpha`. The test is of the mean of the windows' standardised contrasts `u`, every window a stratum of
//! its own,
//!
//! `z = mean u sqrt(n / D)`, `D = v + (s^2 - v) T`, `T = (1 + rho) / (1 - rho)`, `p = P(Z > z)`,
//!
//! with `v` the variance that counts explain, `s^2` the one that turned out (at least `v`), and `rho` the correlation
//! of neighbours in what counts do not explain: noise of a version's own, and noise that lasts, widen it. `rho` counts
//! once it exceeds its standard error `1 / sqrt(n)`, and then with one more of it.
//!
//! Known sample sizes make such a test the most powerful near the limit of detection; whoever may extend the rollout
//! afterwards keeps to the evidence alone, as the look can be taken once.
//!
//! **Source**: Schultzberg and Ankargren, Choosing a sequential testing framework, 2023 (one look beside evidence that
//! is always valid); Peto et al., Design and analysis of randomized clinical trials I, Br. J. Cancer 34, 1976, section
//! 12; Zieba and Ramza, Standard uncertainty of autocorrelated observations, Metrol. Meas. Syst. 18, 2011 (`T`).
//! **Assumes**: at least 20 windows, noise about an autoregression of order one, a look whose time was fixed
//! beforehand. **Error**: over 60 windows at a level of 0.25 %: 0.2 to 0.5 % for correlations up to 0.8 (see the test).
//! **State**: five floats and a count. **Cost**: one error function.

use serde::{Deserialize, Serialize};

use super::block::Block;
use super::normal::normal_sf;

/// Fewer windows do not tell how much they vary.
/// Origin: choice; a variance of 20 numbers is known to a third.
const WINDOWS_MIN: u32 = 20;
/// Beyond this there are no independent windows to speak of.
/// Origin: choice; as in `autocorrelation`.
const RHO_MAX: f64 = 0.95;

/// The contrasts of a rollout's windows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContrastSeries(Block);

impl ContrastSeries {
    /// Takes the contrast of the next window, in order.
    pub fn update(&mut self, contrast: f64) {
        self.0.update(contrast);
    }

    /// How many windows it has.
    #[must_use]
    pub fn windows(&self) -> u32 {
        self.0.n
    }

    /// How likely a mean this large is if the candidate is no worse; counts explain the variance `of_counts`.
    #[must_use]
    pub fn p(&self, of_counts: f64) -> f64 {
        if self.0.n < WINDOWS_MIN || self.0.variation() <= 0.0 {
            return 1.0;
        }
        let n = f64::from(self.0.n);
        let variance = (self.0.variation() / (n - 1.0)).max(of_counts);
        let excess = variance - of_counts;
        let (rho, error) = (self.0.rho(), n.sqrt().recip());
        let rho =
            if rho > error { (rho + error * (1.0 - rho.min(1.0) * rho.min(1.0)).sqrt()).min(RHO_MAX) } else { 0.0 };
        let rho = if excess > 0.0 { (rho * variance / excess).min(RHO_MAX) } else { 0.0 };
        let time = (1.0 + rho) / (1.0 - rho);
        let seen = (1.0 - time / n).max(0.5);
        normal_sf(self.0.mean() * (n / (of_counts + excess * time / seen)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::Rng;

    /// Share of 4,000 rollouts that a look at a quarter of a per cent finds.
    fn found(windows: u32, excess: f64, kept: f64, shift: f64) -> f64 {
        let mut rng = Rng::new(81);
        let hits = (0..4000).filter(|_| {
            let (mut level, mut series) = (rng.normal(), ContrastSeries::default());
            for _ in 0..windows {
                level = kept * level + f64::sqrt(1.0 - kept * kept) * rng.normal();
                series.update(shift + excess.sqrt() * level + rng.normal());
            }
            series.p(1.0) <= 0.0025
        });
        f64::from(u32::try_from(hits.count()).unwrap()) / 4000.0
    }

    #[test]
    fn noise_of_its_own_is_no_difference() {
        for (excess, kept) in [(0.0, 0.0), (6.5, 0.0), (6.5, 0.3), (6.5, 0.6), (6.5, 0.8)] {
            let size = found(60, excess, kept, 0.0);
            assert!(size < 0.0085, "seed 81, {excess} {kept}: {size}");
        }
    }

    #[test]
    fn small_effects_are_found_at_the_end() {
        let shift = f64::ln(1.2) / (0.25 * f64::sqrt(2.0)) * f64::sqrt(7.5);
        let (few, many) = (found(60, 6.5, 0.0, shift), found(180, 6.5, 0.0, shift));
        assert!(few > 0.74 && many > 0.99, "seed 81: {few} {many}");
    }

    #[test]
    fn too_few_windows_and_windows_that_are_alike_find_nothing() {
        let mut series = ContrastSeries::default();
        (0..19).for_each(|i| series.update(f64::from(i)));
        assert!((series.p(1.0) - 1.0).abs() < 1e-15);
        let mut alike = ContrastSeries::default();
        (0..50).for_each(|_| alike.update(0.1));
        assert!((alike.p(1.0) - 1.0).abs() < 1e-15);
    }
}
