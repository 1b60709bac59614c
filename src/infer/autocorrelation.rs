//! By how much windows that resemble their predecessors repeat what these said.
//!
//! Scores of one hour resemble those of the hour before. Evidence that is multiplied up as if windows were independent
//! then counts the same excursion several times; raising each e-value to the power `1 / T`,
//! `T = (1 + rho) / (1 - rho)`, counts it once: `T` is the integrated autocorrelation time, by which dependence
//! inflates the variance of a mean, of a stream whose neighbouring windows correlate by `rho`. `rho` is the lag-1
//! correlation of the windows' probits `Phi^-1(p)`.
//!
//! It is estimated in blocks of 24 windows, around the mean of each, as the (lower) median over the first twelve
//! blocks, from two on, less the bias of so short a series. A lasting change of level lies within one block at most and
//! therefore does not pass for correlation, which would hide it. Before a window is judged it is known from earlier
//! windows only. One standard error, `1 / sqrt(windows)`, is added while it is being learnt, so that of a stream of
//! which little is known little is said.
//!
//! **Source**: Sokal, Monte Carlo Methods in Statistical Mechanics, 1989, section 3 (integrated time, here of an
//! autoregression of order one); Kendall, Note on bias in the estimation of autocorrelation, Biometrika 41, 1954;
//! tempering by it is this project's own, measured in `tests/drift.rs`. **Assumes**: correlation falls about
//! geometrically with the lag. **State**: up to twelve correlations, and five floats and two counts for the block at
//! hand. **Cost**: a quantile of the normal distribution per window.

use serde::{Deserialize, Serialize};

use super::block::Block;
use super::normal::normal_quantile;

/// Windows of a block, two hours of five minutes.
/// Origin: choice; two hours of windows of five minutes, long beside a blip and short beside a day.
const BLOCK: u32 = 24;
/// Blocks that are learnt from, one day.
/// Origin: choice; twelve blocks of two hours are a day.
const BLOCKS_MAX: usize = 12;
/// Below this a block in which the level changed would decide.
/// Origin: derived; a block that may be left out leaves one.
const BLOCKS_MIN: usize = 2;
/// Beyond this the stream has no independent windows to speak of.
/// Origin: choice; 39 windows are worth one there.
const RHO_MAX: f64 = 0.95;
/// P-values nearer to 0 or 1 count as this near.
/// Origin: numerics; their normal scores stay below 6.
const P_MIN: f64 = 1e-9;

/// What is known of how windows resemble their predecessors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Autocorrelation {
    windows: u32,
    block: Block,
    rhos: Vec<f64>,
}

impl Autocorrelation {
    /// Takes the p-value of the next window, in order.
    pub fn update(&mut self, p: f64) {
        if self.rhos.len() == BLOCKS_MAX {
            return;
        }
        self.windows += 1;
        self.block.update(normal_quantile(p.clamp(P_MIN, 1.0 - P_MIN)));
        if self.block.n == BLOCK {
            let rho = self.block.rho();
            let at = self.rhos.partition_point(|&other| other <= rho);
            self.rhos.insert(at, rho);
            self.block = Block::default();
        }
    }

    /// `rho`: the median over blocks, nothing below zero, plus its standard error.
    #[must_use]
    pub fn rho(&self) -> f64 {
        let blocks = self.rhos.len();
        let median = if blocks >= BLOCKS_MIN { self.rhos[(blocks - 1) / 2] } else { 0.0 };
        (median.max(0.0) + 1.0 / f64::from(self.windows.max(1)).sqrt()).min(RHO_MAX)
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
    use crate::normal::normal_sf;
    use crate::tests::world::Rng;

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
            let error = |seed| learnt(seed, rho, 1000).rho() - rho - 1.0 / 288.0_f64.sqrt();
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
        let mut state = learnt(31, 0.0, 288);
        let before = state.rho();
        (0..1000).for_each(|_| state.update(0.0));
        assert!((state.rho() - before).abs() < 1e-15);
    }

    #[test]
    fn a_change_of_level_does_not_pass_for_correlation() {
        let (mut rng, mut state) = (Rng::new(32), Autocorrelation::default());
        for window in 0..288 {
            state.update(normal_sf(rng.normal() + if window > 100 { 4.0 } else { 0.0 }));
        }
        assert!(state.rho() < 0.2, "seed 32: {}", state.rho());
    }

    #[test]
    fn windows_that_are_all_alike_tell_nothing() {
        let mut state = Autocorrelation::default();
        (0..100).for_each(|_| state.update(1.0));
        assert!((state.rho() - 0.1).abs() < 1e-12, "{}", state.rho());
    }

    #[test]
    fn state_survives_json_bit_by_bit() {
        let state = learnt(31, 0.3, 77);
        let text = serde_json::to_string(&state).expect("a finite state");
        assert_eq!(serde_json::from_str::<Autocorrelation>(&text).expect("its own text"), state);
    }
}
