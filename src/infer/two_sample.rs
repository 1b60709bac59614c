//! E-values for one window of two arms: how much a bet on "the candidate differs" would have won.
//!
//! An e-value has mean at most 1 under the null, so their products over windows exceed `1 / alpha` with probability at
//! most `alpha`, however often one looks (Ville's inequality), as long as each bet is made *before* its window. All
//! forms take `x` successes (or a sum of losses in `[0, 1]`) of `n` events per arm and bet on rates `p` fixed
//! beforehand:
//!
//! `log e = sum over arms of x ln(p / q) + (n - x) ln((1 - p) / (1 - q))`
//!
//! with `(q_c, q_b)` the point of the null's edge that is nearest to `(p_c, p_b)` in relative entropy, each arm
//! weighted by its `n`. At that point the mean of `e` is 1 and, being log-concave in the true rates, it falls towards
//! the whole null; `E[e] <= 1` therefore holds for every pair of rates in the null, also when these change from window
//! to window, and for means of bounded losses by convexity.
//!
//! **Source**: Turner, Ly and Grünwald, Generic E-variables for exact sequential k-sample tests that allow for optional
//! stopping, JSPI 230, 2024, section 2 (no margin); Turner and Grünwald, Exact anytime-valid confidence intervals for
//! contingency tables and beyond, Stat. Probab. Lett. 198, 2023 (linear margins).
//! **Assumes**: events within a window are independent and of one rate per arm; windows may differ in any way.
//! **Cost**: four logarithms; no state.

use serde::{Deserialize, Serialize};

use super::log_space::{float, times_ln};

/// What one arm counted in one window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Events.
    pub n: u64,
    /// Successes among them, or the sum of their losses, each in `[0, 1]`.
    pub x: f64,
}

impl Arm {
    /// What lies in the arm when both parts are put together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { n: self.n + other.n, x: self.x + other.x }
    }

    /// Successes per event; 0 without events.
    #[must_use]
    pub fn rate(self) -> f64 {
        if self.n == 0 { 0.0 } else { self.x / float(self.n) }
    }

    /// Log-likelihood ratio of rate `p` against rate `q`.
    #[must_use]
    pub fn log_ratio(self, p: f64, q: f64) -> f64 {
        times_ln(self.x, p / q) + times_ln(float(self.n) - self.x, (1.0 - p) / (1.0 - q))
    }
}

/// Log e-value of one window against "both arms have the same rate", when the bet is on the given rates.
///
/// Source, assumptions and cost: see the module; the nearest point of the null is the mean of both rates, weighted by
/// events. With equal predictions the value is 0.
#[must_use]
pub fn log_e(candidate: Arm, baseline: Arm, p_candidate: f64, p_baseline: f64) -> f64 {
    let (n_c, n_b) = (float(candidate.n), float(baseline.n));
    if candidate.n == 0 || baseline.n == 0 {
        return 0.0;
    }
    let pooled = (n_c * p_candidate + n_b * p_baseline) / (n_c + n_b);
    candidate.log_ratio(p_candidate, pooled) + baseline.log_ratio(p_baseline, pooled)
}

/// Log e-value of one window against a margin on the ratio of rates, when the bet is on the given rates.
///
/// The null is the side of `p_c = rho0 p_b` on which the bet does not lie: "at most" for
/// `p_candidate > rho0 p_baseline`, "at least" for the opposite; a bet on the edge is no bet. With `rho0 = 1` this is
/// [`log_e`]. The nearest point `q` solves
/// `rho0 N q^2 - (n_c (rho0 + p_c) + n_b (1 + rho0 p_b)) q + n_c p_c + n_b p_b = 0` (smaller root).
#[must_use]
pub fn log_e_margin(candidate: Arm, baseline: Arm, p_candidate: f64, p_baseline: f64, rho0: f64) -> f64 {
    let (n_c, n_b) = (float(candidate.n), float(baseline.n));
    if candidate.n == 0 || baseline.n == 0 {
        return 0.0;
    }
    let square = rho0 * (n_c + n_b);
    let linear = n_c * (rho0 + p_candidate) + n_b * (1.0 + rho0 * p_baseline);
    let constant = n_c * p_candidate + n_b * p_baseline;
    let root = (linear * linear - 4.0 * square * constant).max(0.0).sqrt();
    let q = 2.0 * constant / (linear + root);
    candidate.log_ratio(p_candidate, rho0 * q) + baseline.log_ratio(p_baseline, q)
}

/// By how many standard errors the candidate's rate exceeds `ratio` times the baseline's, with the variance that the
/// edge of the margin has (a score test): `(p_c - r p_b) / sqrt(r q (1 - r q) / n_c + r^2 q (1 - q) / n_b)`,
/// `q = X / (r n_c + n_b)`. `None` where nothing or everything counts.
#[must_use]
pub fn standardised(candidate: Arm, baseline: Arm, ratio: f64) -> Option<f64> {
    let (n_c, n_b) = (float(candidate.n), float(baseline.n));
    if candidate.n == 0 || baseline.n == 0 {
        return None;
    }
    let rate = (candidate.x + baseline.x) / (ratio * n_c + n_b);
    let above = (ratio * rate).min(1.0);
    let variance = above * (1.0 - above) / n_c + ratio * ratio * rate * (1.0 - rate) / n_b;
    (variance > 0.0).then(|| (candidate.x / n_c - ratio * baseline.x / n_b) / variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::{Rng, binomial_mass};

    const TOLERANCE: f64 = 1e-9;

    /// Mean of an e-value over all tables of two binomial arms.
    fn mean(n: (u64, u64), rates: (f64, f64), log_e: impl Fn(Arm, Arm) -> f64) -> f64 {
        let tables = (0..=n.0).flat_map(|x_c| (0..=n.1).map(move |x_b| (x_c, x_b)));
        tables
            .map(|(x_c, x_b)| {
                let value = log_e(Arm { n: n.0, x: float(x_c) }, Arm { n: n.1, x: float(x_b) });
                binomial_mass(n.0, x_c, rates.0) * binomial_mass(n.1, x_b, rates.1) * value.exp()
            })
            .sum()
    }

    fn sizes(rng: &mut Rng) -> (u64, u64) {
        (1 + rng.below(12), 1 + rng.below(25))
    }

    #[test]
    fn equal_rates_never_win_on_average() {
        let mut rng = Rng::new(1);
        for case in 0..1500 {
            let (n, p_c, p_b, rate) = (sizes(&mut rng), rng.unit(), rng.unit(), rng.unit());
            let mean = mean(n, (rate, rate), |c, b| log_e(c, b, p_c, p_b));
            assert!(mean <= 1.0 + TOLERANCE, "seed 1, case {case}: {n:?} {rate} bet {p_c} {p_b}: mean {mean}");
        }
    }

    #[test]
    fn both_sides_of_a_ratio_never_win_on_average() {
        let mut rng = Rng::new(2);
        for case in 0..3000 {
            let (n, rho0) = (sizes(&mut rng), 0.5 + 1.5 * rng.unit());
            let p_b = 0.05 + 0.9 * rng.unit().min((0.95 / rho0 - 0.05) / 0.9);
            let harm = case % 2 == 0;
            // A null point beside the edge on the right side, and a bet on the other.
            let (inside, outside) = (rng.unit(), rng.unit());
            let edge = (rho0 * p_b).min(1.0);
            let rate = if harm { edge * inside } else { edge + (1.0 - edge) * inside };
            let rho = if harm { rho0 * (1.0 + 3.0 * outside) } else { rho0 * (0.05 + 0.95 * outside) };
            let bet_b = 0.02 + 0.6 * rng.unit();
            let bet_c = (bet_b * rho).min(0.999);
            if harm == (bet_c > rho0 * bet_b) {
                let margin = mean(n, (rate, p_b), |c, b| log_e_margin(c, b, bet_c, bet_b, rho0));
                assert!(margin <= 1.0 + TOLERANCE, "seed 2, case {case}: {n:?} {rate} {p_b} {bet_c} {bet_b}: {margin}");
            }
        }
    }

    /// On the edge itself nothing is lost: the bound is reached.
    #[test]
    fn the_bound_is_tight_at_the_nearest_point() {
        let at = |q: (f64, f64), log_e: &dyn Fn(Arm, Arm) -> f64| (mean((6, 15), q, log_e) - 1.0).abs();
        let pooled = (6.0 * 0.3 + 15.0 * 0.1) / 21.0;
        assert!(at((pooled, pooled), &|c, b| log_e(c, b, 0.3, 0.1)) < 1e-12);
        // scipy.optimize.minimize_scalar (SciPy 1.17.1, bounded) of 6 KL(.3 || 1.5 q) + 15 KL(.1 || q).
        let q = 0.139_501_187;
        assert!(at((1.5 * q, q), &|c, b| log_e_margin(c, b, 0.3, 0.1, 1.5)) < 1e-9);
    }

    #[test]
    fn equal_losses_never_win_on_average() {
        let mut rng = Rng::new(4);
        for case in 0..4000 {
            // Two losses in [0, 1] with mean `rate`, drawn once per arm: enumerate the three-point products.
            let (p_c, p_b, rate) = (rng.unit(), rng.unit(), 0.02 + 0.96 * rng.unit());
            let two_point = |rng: &mut Rng| {
                let (low, high) = (rate * rng.unit(), rate + (1.0 - rate) * rng.unit());
                [(low, (high - rate) / (high - low)), (high, (rate - low) / (high - low))]
            };
            let (of_c, of_b) = (two_point(&mut rng), two_point(&mut rng));
            let mean: f64 = of_c
                .iter()
                .flat_map(|c| of_b.iter().map(move |b| (c, b)))
                .map(|(c, b)| c.1 * b.1 * log_e(Arm { n: 1, x: c.0 }, Arm { n: 1, x: b.0 }, p_c, p_b).exp())
                .sum();
            assert!(mean <= 1.0 + TOLERANCE, "seed 4, case {case}: {of_c:?} {of_b:?} bet {p_c} {p_b}: {mean}");
        }
    }

    #[test]
    fn forms_meet_where_they_should() {
        let (c, b) = (Arm { n: 480, x: 9.0 }, Arm { n: 9020, x: 77.0 });
        let plain = log_e(c, b, 0.02, 0.01);
        assert!((plain - log_e_margin(c, b, 0.02, 0.01, 1.0)).abs() < 1e-12);
    }

    #[test]
    fn an_empty_arm_says_nothing() {
        let (none, some) = (Arm::default(), Arm { n: 10, x: 10.0 });
        for (c, b) in [(none, some), (some, none), (none, none)] {
            let values = [log_e(c, b, 0.9, 0.1), log_e_margin(c, b, 0.9, 0.1, 1.2)];
            assert!(values.iter().all(|value| value.to_bits() == 0), "{values:?}");
        }
    }

    #[test]
    fn a_bet_on_the_edge_is_no_bet() {
        let (c, b) = (Arm { n: 40, x: 30.0 }, Arm { n: 50, x: 2.0 });
        assert!(log_e(c, b, 0.2, 0.2).abs() < 1e-12);
        assert!(log_e_margin(c, b, 0.24, 0.2, 1.2).abs() < 1e-12);
    }
}
