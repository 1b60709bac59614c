//! A difference that was not there before.
//!
//! Another model answers otherwise and may take longer, and that is no fault by itself. But how much it differs should
//! stay as it was. Each window's difference is compared with the mean of those before it (weighted by their precision):
//! the standardised one-step forecast errors of a constant level are independent standard normal (recursive residuals;
//! Brown, Durbin and Evans, JRSS B 37, 1975, section 2), so `exp(l z - l^2 / 2)` is an e-value for large windows.

use serde::{Deserialize, Serialize};

use crate::infer::overdispersion::{Contrast, Overdispersion};

/// Jumps in the unit of the difference.
/// Origin: choice; as the shifts of a distribution.
const JUMPS: [f64; 8] = [-1.0, -0.5, -0.25, -0.12, 0.12, 0.25, 0.5, 1.0];
/// Number of alternatives.
/// Origin: derived; one each.
pub(super) const PARTS: usize = JUMPS.len();

/// The level of a difference so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct DifferenceLevel {
    /// Sum of `difference / variance`.
    weighted: f64,
    /// Sum of `1 / variance`.
    precision: f64,
    /// How it varies beyond what counts explain.
    noise: Overdispersion,
}

impl DifferenceLevel {
    /// By how much noise of a version's own widens the next difference, worth so many events; `history` is the baseline
    /// version's.
    pub(crate) fn noise(&self, weight: f64, history: &Overdispersion) -> f64 {
        self.noise.factor(weight, history)
    }

    /// Takes the difference of one window, its variance and the events it is worth; `ln e` of each jump.
    pub(crate) fn update(&mut self, (difference, variance): (f64, f64), weight: f64) -> [f64; PARTS] {
        let (weighted, precision) = (self.weighted, self.precision);
        self.weighted += difference / variance;
        self.precision += 1.0 / variance;
        self.noise.update(Contrast { z: difference / variance.sqrt(), weight });
        if precision <= 0.0 {
            return [0.0; PARTS];
        }
        let error = (variance + 1.0 / precision).sqrt();
        let z = (difference - weighted / precision) / error;
        JUMPS.map(|jump| jump / error * z - jump * jump / (2.0 * error * error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_no_evidence_and_a_jump_is() {
        let mut usual = DifferenceLevel::default();
        assert!(usual.update((0.8, 0.02), 50.0).iter().all(|log_e| log_e.abs() < 1e-300));
        for _ in 0..20 {
            assert!(usual.update((0.8, 0.02), 50.0).iter().all(|log_e| *log_e < 0.0));
        }
        let jumped = usual.update((1.3, 0.02), 50.0);
        assert!(jumped[6] > 5.0 && jumped[0] < -20.0, "{jumped:?}");
    }
}
