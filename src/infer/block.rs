//! Sums over a block of neighbouring windows: how much they vary, and how much neighbours resemble each other.
//!
//! **Source**: Kendall, Note on bias in the estimation of autocorrelation, Biometrika 41, 1954; von Neumann,
//! Distribution of the ratio of the mean square successive difference to the variance, Ann. Math. Stat. 12, 1941.
//! **State**: six floats and a count. **Cost**: three multiplications per window.

use serde::{Deserialize, Serialize};

/// A variation below this part of the sum of squares is rounding.
/// Origin: numerics; some thousand roundings of a float.
const ALIKE: f64 = 1e-12;
/// Below this many windows the bias of a correlation is as large as the correlation.
/// Origin: literature; the bias of a lag-one correlation is about -(1 + 3 rho) / n (Kendall 1954).
const WINDOWS_MIN: u32 = 6;

/// Sums over a block of windows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Block {
    pub(super) n: u32,
    first: f64,
    last: f64,
    sum: f64,
    square: f64,
    product: f64,
    /// Half the square of the largest step between neighbours.
    pub(super) largest_step: f64,
}

impl Block {
    /// Takes the next window.
    pub(super) fn update(&mut self, value: f64) {
        if self.n == 0 {
            self.first = value;
        } else {
            self.largest_step = self.largest_step.max(0.5 * (value - self.last) * (value - self.last));
        }
        self.product += self.last * value;
        self.last = value;
        self.sum += value;
        self.square += value * value;
        self.n += 1;
    }

    /// The mean; 0 of nothing.
    pub(super) fn mean(&self) -> f64 {
        self.sum / f64::from(self.n.max(1))
    }

    /// Sum of squares around the mean.
    pub(super) fn variation(&self) -> f64 {
        let variation = self.square - self.sum * self.mean();
        if variation <= ALIKE * self.square { 0.0 } else { variation }
    }

    /// Sum of the products of neighbours around the mean, without its bias.
    pub(super) fn covariation(&self) -> f64 {
        let n = f64::from(self.n);
        if self.n < WINDOWS_MIN {
            return 0.0;
        }
        let (mean, ends) = (self.mean(), self.first + self.last);
        let product = self.product - mean * (2.0 * self.sum - ends) + (n - 1.0) * mean * mean;
        (n * product + self.variation()) / (n - 4.0)
    }

    /// Half the sum of the squared steps between neighbours: of independent windows, as much as the variation, and
    /// hardly more when the level changes once.
    pub(super) fn steps(&self) -> f64 {
        self.square - self.product - 0.5 * (self.first * self.first + self.last * self.last)
    }

    /// The correlation of neighbours without its bias, `-(1 + 4 rho) / n`; 0 for windows that are all alike.
    pub(super) fn rho(&self) -> f64 {
        let variation = self.variation();
        if variation > 0.0 { self.covariation() / variation } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_hand() {
        let values = [1.0, 4.0, 2.0, 2.0, 7.0, -1.0];
        let mut block = Block::default();
        values.into_iter().for_each(|value| block.update(value));
        let mean = 2.5;
        let variation: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let product: f64 = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
        let steps: f64 = values.windows(2).map(|pair| (pair[1] - pair[0]) * (pair[1] - pair[0])).sum();
        assert!((block.mean() - mean).abs() < 1e-15);
        assert!((block.variation() - variation).abs() < 1e-12);
        assert!((block.covariation() - 3.0 * product - variation / 2.0).abs() < 1e-12);
        assert!((block.steps() - steps / 2.0).abs() < 1e-12);
        assert!((block.rho() - block.covariation() / variation).abs() < 1e-12);
    }

    #[test]
    fn windows_that_are_alike_vary_in_nothing() {
        let mut block = Block::default();
        (0..30).for_each(|_| block.update(0.1));
        assert!(block.variation().abs() < 1e-300 && block.rho().abs() < 1e-300);
    }
}
