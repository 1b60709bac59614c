//! By how much a level goes up and down from window to window, beyond what counts explain.
//!
//! With `d` how far a window is from what was expected of it, and `v` what counts alone would make of `d^2`, levels
//! themselves have a variance of `mean(d^2) - mean(v)`. It counts once the mean of `d^2 / v`, which is 1 where levels
//! stand still, is three of its standard errors larger. Whoever asks leaves out windows that are further off than is
//! usual, so that a shift does not pass for a level that wanders; what is usual then grows with what is seen within it.
//!
//! **Source**: the moment estimator of random effects (`DerSimonian` and Laird, Controlled Clin. Trials 7, 1986); the
//! gate is this project's own, measured by `cargo bench --bench detection -- --kinds 'aa*'`. **State**: five numbers.
//! **Cost**: ten operations per window.

use serde::{Deserialize, Serialize};

/// How quickly means follow.
/// Origin: choice; as in `likeness`.
const FOLLOW: f64 = 0.03;
/// Standard errors by which variance must stand out.
/// Origin: choice; of levels that stand still at most one in fifty does (its test), as their squares are skewed.
const STANDS_OUT: f64 = 3.0;
/// Windows from which on it is known.
/// Origin: choice; a day of hours.
const KNOWN: u32 = 24;

/// What windows have shown so far. The default knows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Wander {
    windows: u32,
    /// Means of `d^2`, of `v`, and of their ratio.
    square: f64,
    chance: f64,
    ratio: f64,
    /// Of the ratio's mean, where levels stand still.
    variance: f64,
}

impl Wander {
    /// Takes how far a window is off, and the variance that counts alone would make.
    pub fn update(&mut self, off: f64, chance: f64) {
        let by = FOLLOW.max(1.0 / (f64::from(self.windows) + 1.0));
        self.square += by * (off * off - self.square);
        self.chance += by * (chance - self.chance);
        self.ratio += by * (off * off / chance - self.ratio);
        self.variance = (1.0 - by).powi(2) * self.variance + by * by * 2.0;
        self.windows = self.windows.saturating_add(1);
    }

    /// Whether there were enough windows to say.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.windows >= KNOWN
    }

    /// The standard deviation of levels; 0 until it stands out.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        let stands_out = self.is_known() && self.ratio > 1.0 + STANDS_OUT * self.variance.sqrt();
        if stands_out { (self.square - self.chance).max(0.0).sqrt() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::Rng;

    /// What is known after so many windows of a level that wanders by `spread` in the long run.
    fn after(windows: u32, spread: f64, seed: u64) -> Wander {
        let (mut rng, mut wander, mut level) = (Rng::new(seed), Wander::default(), 0.0);
        for _ in 0..windows {
            level = 0.9 * level + spread * 0.19_f64.sqrt() * rng.normal();
            wander.update(level + 0.05 * rng.normal(), 0.05 * 0.05);
        }
        wander
    }

    #[test]
    fn a_level_that_wanders_is_known_by_how_much_and_one_that_stands_still_hardly_ever_passes_for_one() {
        let mean = (1..=50).map(|seed| after(200, 0.2, seed).deviation()).sum::<f64>() / 50.0;
        assert!((0.15..0.22).contains(&mean), "{mean}");
        let passes = (1..=200).filter(|seed| after(200, 0.0, *seed).deviation() > 0.0).count();
        assert!(passes <= 4, "{passes} of 200");
        assert!(after(23, 0.2, 1).deviation() == 0.0, "too little is known");
    }
}
