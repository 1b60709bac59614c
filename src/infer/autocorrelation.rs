//! By how much windows that resemble their predecessors repeat what these said.
//!
//! Scores of one hour resemble those of the hour before. Evidence that is multiplied up as if windows were independent then
//! counts the same excursion several times; raising each e-value to the power `1 / T`, `T = (1 + rho) / (1 - rho)`, counts it
//! once: `T` is the integrated autocorrelation time, by which dependence inflates the variance of a mean, of a stream whose
//! neighbouring windows correlate by `rho`. `rho` is the lag-1 correlation of the windows' probits `Phi^-1(p)`.
//!
//! It is estimated online over the first 288 pairs of windows and then fixed: were it estimated for ever, a lasting change would
//! pass for correlation and hide itself. Before a window is judged it is known from earlier windows only. One standard error,
//! `1 / sqrt(pairs)`, is added while it is being learnt, so that a stream of which little is known speaks softly.
//!
//! **Source**: Sokal, Monte Carlo Methods in Statistical Mechanics, 1989, section 3 (integrated time, here of an
//! autoregression of order one); tempering by it is this project's own, measured in `tests/drift.rs`.
//! **Assumes**: correlation falls about geometrically with the lag, and no change within the first day.
//! **State**: six floats and a count. **Cost**: a quantile of the normal distribution per window.

use serde::{Deserialize, Serialize};

use super::normal::normal_quantile;

/// Pairs of neighbouring windows that are learnt from: one day of windows of five minutes.
const PAIRS_MAX: u32 = 288;
/// Beyond this the stream has no independent windows to speak of.
const RHO_MAX: f64 = 0.95;
/// A variance below this part of the mean square is rounding.
const ALIKE: f64 = 1e-12;
/// P-values nearer to 0 or 1 count as this near.
const P_MIN: f64 = 1e-9;

/// What is known of how windows resemble their predecessors.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Autocorrelation {
    last: Option<f64>,
    pairs: u32,
    sum_before: f64,
    sum_after: f64,
    square_before: f64,
    square_after: f64,
    product: f64,
}

impl Autocorrelation {
    /// Takes the p-value of the next window, in order.
    pub fn update(&mut self, p: f64) {
        let after = normal_quantile(p.clamp(P_MIN, 1.0 - P_MIN));
        if let Some(before) = self.last.replace(after)
            && self.pairs < PAIRS_MAX
        {
            self.pairs += 1;
            self.sum_before += before;
            self.sum_after += after;
            self.square_before += before * before;
            self.square_after += after * after;
            self.product += before * after;
        }
    }

    /// `rho`: the correlation of neighbours so far, nothing below zero, plus its standard error.
    #[must_use]
    pub fn rho(&self) -> f64 {
        let n = f64::from(self.pairs);
        let covariance = n * self.product - self.sum_before * self.sum_after;
        let before = n * self.square_before - self.sum_before * self.sum_before;
        let after = n * self.square_after - self.sum_after * self.sum_after;
        // Windows that are all alike, such as those far within a tolerance, tell nothing.
        let floor = ALIKE * n * (self.square_before + self.square_after);
        let varies = before > floor && after > floor;
        let rho = if varies { covariance / (before * after).sqrt() } else { 0.0 };
        (rho.max(0.0) + 1.0 / n.max(1.0).sqrt()).min(RHO_MAX)
    }

    /// `T`: how many windows say as much as one independent window.
    #[must_use]
    pub fn time(&self) -> f64 {
        let rho = self.rho();
        (1.0 + rho) / (1.0 - rho)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::normal::normal_sf;
    use crate::infer::tests::world::Rng;

    fn learnt(seed: u64, rho: f64, windows: u32) -> Autocorrelation {
        let (mut rng, mut state, mut z) = (Rng::new(seed), Autocorrelation::default(), 0.0);
        for _ in 0..windows {
            z = rho * z + (1.0 - rho * rho).sqrt() * rng.normal();
            state.update(normal_sf(z));
        }
        state
    }

    #[test]
    fn an_autoregression_is_recognised() {
        for rho in [0.0, 0.5, 0.8] {
            let error = |seed| learnt(seed, rho, 1000).rho() - rho - 1.0 / f64::from(PAIRS_MAX).sqrt();
            let mean = (0..20).map(error).sum::<f64>() / 20.0;
            assert!((-0.03..0.03).contains(&mean), "seeds 0..20, {rho}: off by {mean}");
        }
    }

    #[test]
    fn little_knowledge_speaks_softly() {
        assert!((Autocorrelation::default().rho() - RHO_MAX).abs() < 1e-15);
        assert!(learnt(31, 0.0, 10).time() > learnt(31, 0.0, 1000).time());
    }

    #[test]
    fn later_windows_teach_nothing() {
        let mut state = learnt(31, 0.0, PAIRS_MAX + 1);
        let before = state.rho();
        (0..1000).for_each(|_| state.update(0.0));
        assert!((state.rho() - before).abs() < 1e-15);
    }

    #[test]
    fn windows_that_are_all_alike_tell_nothing() {
        let mut state = Autocorrelation::default();
        (0..=100).for_each(|_| state.update(1.0));
        assert!((state.rho() - 0.1).abs() < 1e-12, "{}", state.rho());
    }

    #[test]
    fn state_survives_json_bit_by_bit() {
        let state = learnt(31, 0.3, 77);
        let text = serde_json::to_string(&state).expect("a finite state");
        assert_eq!(serde_json::from_str::<Autocorrelation>(&text).expect("its own text"), state);
    }
}
