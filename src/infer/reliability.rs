//! Do outcomes come as often as the model says? Evidence against calibration, from counts per bin of the score.
//!
//! For a bin of `n` predictions with sum `P` and `Y` positive outcomes,
//! `log e = lambda Y - n ln(1 - P/n + P/n exp(lambda))`. If each outcome is positive with the predicted probability,
//! its mean is at most 1: the logarithm is concave in the prediction, so a bin's mean prediction costs at least as much
//! as the predictions one by one. For the same reason counts may be those of all windows so far: the value is then
//! bounded by a product over windows, and may be looked at after each of them.
//!
//! A third of the stake is on *global* miscalibration, one `lambda` in all bins; a third on a wrong *slope*, `lambda`
//! in the upper half of the bins and `-lambda` in the lower; a third is spread over the bins, each with its own
//! `lambda`, for whatever else there is. `lambda` is averaged over five sizes and both signs.
//!
//! **Source**: the bet is that of Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting,
//! JRSS B 86(1), 2024, for Bernoulli outcomes in exponential form; kin: Arnold, Henzi and Ziegel, Sequentially valid
//! tests for forecast calibration, Ann. Appl. Stat. 17, 2023. **Assumes**: outcomes independent given the predictions,
//! and labels whose coming does not depend on the outcome. **State**: none beyond the counts. **Cost**: two elementary
//! functions per bin and each of twenty `lambda`.

use super::log_space::{float, log_mean};

/// Sizes of the tilt of the odds that are bet on.
/// Origin: choice; from the least tilt of interest to scores that say hardly anything.
const TILTS: [f64; 5] = [0.05, 0.1, 0.2, 0.4, 0.8];

/// One bin of the score: predictions whose outcome is known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bin {
    /// Predictions.
    pub n: u64,
    /// Sum of the predicted probabilities.
    pub predicted: f64,
    /// Positive outcomes.
    pub positive: u64,
}

impl Bin {
    fn log_e(&self, lambda: f64) -> f64 {
        if self.n == 0 {
            return 0.0;
        }
        let mean = (self.predicted / float(self.n)).clamp(0.0, 1.0);
        lambda * float(self.positive) - float(self.n) * libm::log1p(mean * libm::expm1(lambda))
    }
}

/// The log of the evidence against calibration in bins that rise with the score; 0 without bins. Their number must not
/// depend on the outcomes.
#[must_use]
pub fn log_e_calibration(bins: &[Bin]) -> f64 {
    if bins.is_empty() {
        return 0.0;
    }
    let lambdas = TILTS.map(|tilt| [tilt, -tilt]);
    let lambdas = lambdas.as_flattened();
    let upper = bins.len() / 2;
    let tilted = |bins: &[Bin], lambda: f64| -> f64 { bins.iter().map(|bin| bin.log_e(lambda)).sum() };
    let global = log_mean(lambdas.iter().map(|&lambda| tilted(bins, lambda)));
    let slope = lambdas.iter().map(|&lambda| tilted(&bins[..upper], -lambda) + tilted(&bins[upper..], lambda));
    let local = log_mean(bins.iter().map(|bin| log_mean(lambdas.iter().map(|&lambda| bin.log_e(lambda)))));
    log_mean([global, log_mean(slope), local].into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::{Rng, binomial_mass};

    #[test]
    fn calibrated_predictions_never_win_on_average() {
        let mut rng = Rng::new(51);
        for case in 0..300 {
            // Two bins of 9 and 4 predictions, each bin with two different probabilities.
            let (a, b, c, d) = (rng.unit(), rng.unit(), rng.unit(), rng.unit());
            let mut mean = 0.0;
            for (i, j) in (0..=5).flat_map(|i| (0..=4).map(move |j| (i, j))) {
                for (k, l) in (0..=2).flat_map(|k| (0..=2).map(move |l| (k, l))) {
                    let mass = binomial_mass(5, i, a) * binomial_mass(4, j, b);
                    let mass = mass * binomial_mass(2, k, c) * binomial_mass(2, l, d);
                    let bins = [
                        Bin { n: 9, predicted: 5.0 * a + 4.0 * b, positive: i + j },
                        Bin { n: 4, predicted: 2.0 * c + 2.0 * d, positive: k + l },
                    ];
                    mean += mass * log_e_calibration(&bins).exp();
                }
            }
            assert!(mean <= 1.0 + 1e-9, "seed 51, case {case}: {a} {b} {c} {d}: mean {mean}");
        }
    }

    /// Whatever is predicted in the second window once the first is known.
    #[test]
    fn counts_of_several_windows_are_no_more_than_a_product_over_them() {
        let mut rng = Rng::new(52);
        for case in 0..300 {
            let p = rng.unit();
            let after: Vec<f64> = (0..=4).map(|_| rng.unit()).collect();
            let mut mean = 0.0;
            for (y, &q) in (0..=4).zip(&after) {
                for z in 0..=6 {
                    let bin = Bin { n: 10, predicted: 4.0 * p + 6.0 * q, positive: y + z };
                    mean += binomial_mass(4, y, p) * binomial_mass(6, z, q) * log_e_calibration(&[bin]).exp();
                }
            }
            assert!(mean <= 1.0 + 1e-9, "seed 52, case {case}: {p} {after:?}: mean {mean}");
        }
    }

    #[test]
    fn one_bin_by_hand() {
        let bin = Bin { n: 10, predicted: 2.0, positive: 5 };
        let of = |lambda: f64| lambda.exp().powi(5) / (0.8 + 0.2 * lambda.exp()).powi(10);
        let mean = TILTS.iter().map(|&tilt| of(tilt) + of(-tilt)).sum::<f64>() / 10.0;
        assert!((log_e_calibration(&[bin]).exp() - mean).abs() < 1e-12);
        // With an empty bin beside it the local third is diluted.
        let diluted = (2.5 * mean + 0.5) / 3.0;
        assert!((log_e_calibration(&[bin, Bin::default()]).exp() - diluted).abs() < 1e-12);
        assert!(log_e_calibration(&[]).abs() < 1e-15);
    }

    #[test]
    fn opposite_errors_at_the_ends_are_found() {
        let bins =
            [Bin { n: 2000, predicted: 200.0, positive: 300 }, Bin { n: 2000, predicted: 1800.0, positive: 1700 }];
        assert!(log_e_calibration(&bins) > 1e6_f64.ln());
        let (flat, steep) = ([bins[0]], [bins[1]]);
        assert!(log_e_calibration(&flat).max(log_e_calibration(&steep)) < log_e_calibration(&bins));
    }
}
