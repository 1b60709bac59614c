//! E-values for one window of two arms: how much a bet on "the candidate differs" would have won.
//!
//! An e-value has mean at most 1 under the null, so their products over windows exceed `1 / alpha` with probability at most
//! `alpha`, however often one looks (Ville's inequality), as long as each bet is made *before* its window.
//! All forms take `x` successes (or a sum of losses in `[0, 1]`) of `n` events per arm and bet on rates `p` fixed beforehand:
//!
//! `log e = sum over arms of x ln(p / q) + (n - x) ln((1 - p) / (1 - q))`
//!
//! with `(q_c, q_b)` the point of the null's edge that is nearest to `(p_c, p_b)` in relative entropy, each arm weighted by its
//! `n`. At that point the mean of `e` is 1 and, being log-concave in the true rates, it falls towards the whole null;
//! `E[e] <= 1` therefore holds for every pair of rates in the null, also when these change from window to window, and
//! for means of bounded losses by convexity.
//!
//! **Source**: Turner, Ly and Grünwald, Generic E-variables for exact sequential k-sample tests that allow for optional
//! stopping, JSPI 230, 2024, section 2 (no margin); Turner and Grünwald, Exact anytime-valid confidence intervals for
//! contingency tables and beyond, Stat. Probab. Lett. 198, 2023 (linear margins).
//! **Assumes**: events within a window are independent and of one rate per arm; windows may differ in any way.
//! **Cost**: four logarithms; no state.

use serde::{Deserialize, Serialize};

use super::log_space::{float, log_mean, times_ln};

/// The candidate's part of discordant pairs that is bet on.
const PAIRED: [f64; 5] = [0.52, 0.55, 0.6, 0.7, 0.85];

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
/// Source, assumptions and cost: see the module; the nearest point of the null is the mean of both rates, weighted by events.
/// With equal predictions the value is 0.
#[must_use]
pub fn log_e(candidate: Arm, baseline: Arm, p_candidate: f64, p_baseline: f64) -> f64 {
    let (n_c, n_b) = (float(candidate.n), float(baseline.n));
    if candidate.n == 0 || baseline.n == 0 {
        return 0.0;
    }
    let pooled = (n_c * p_candidate + n_b * p_baseline) / (n_c + n_b);
    candidate.log_ratio(p_candidate, pooled) + baseline.log_ratio(p_baseline, pooled)
}

/// Log e-value of one window against "both arms have the same distribution over categories", when the bet is on the given ones.
///
/// `sum over categories of x_c ln(p_c / p_m) + x_b ln(p_b / p_m)` with `p_m` the mean of both, weighted by events. The expected
/// growth per event is about `w (1 - w) / 2` times the population stability index, with `w` the candidate's share.
/// All slices have one entry per category; probabilities sum to at most 1 per arm.
#[must_use]
pub fn log_e_counts(candidate: &[u64], baseline: &[u64], p_candidate: &[f64], p_baseline: &[f64]) -> f64 {
    assert_eq!(candidate.len(), baseline.len(), "one count per category and arm");
    let (n_c, n_b) = (float(candidate.iter().sum()), float(baseline.iter().sum()));
    if n_c == 0.0 || n_b == 0.0 {
        return 0.0;
    }
    let counts = candidate.iter().zip(baseline);
    let rates = p_candidate.iter().zip(p_baseline);
    counts
        .zip(rates)
        .map(|((&x_c, &x_b), (&p_c, &p_b))| {
            let pooled = (n_c * p_c + n_b * p_b) / (n_c + n_b);
            times_ln(float(x_c), p_c / pooled) + times_ln(float(x_b), p_b / pooled)
        })
        .sum()
}

/// Log e-value of one window against a margin on the ratio of rates, without any prediction of the base rate.
///
/// With `pi(r) = n_c r / (n_c r + n_b)`: `log e = x_c ln(pi(rho) / pi(rho0)) + x_b ln((1 - pi(rho)) / (1 - pi(rho0)))`.
/// `rho > rho0` bets against "rate ratio at most `rho0`" (harm), `rho < rho0` against "at least `rho0`" (safety).
/// Exact at every base rate, since `log E[e] <= n_c p_c (a - 1) + n_b p_b (b - 1) <= 0` with `a`, `b` the two ratios; it bets
/// with Poisson variance, so it loses power to [`log_e_margin`] when rates exceed about a tenth.
///
/// Kin: Lindon and Malek, Anytime-valid inference for multinomial count data, `NeurIPS` 2022 (no margin).
#[must_use]
pub fn log_e_ratio(candidate: Arm, baseline: Arm, rho: f64, rho0: f64) -> f64 {
    let (n_c, n_b) = (float(candidate.n), float(baseline.n));
    if candidate.n == 0 || baseline.n == 0 {
        return 0.0;
    }
    let shrink = (n_c * rho0 + n_b) / (n_c * rho + n_b);
    times_ln(candidate.x, rho / rho0 * shrink) + times_ln(baseline.x, shrink)
}

/// Log e-value of one window against a margin on the ratio of rates, when the bet is on the given rates.
///
/// The null is the side of `p_c = rho0 p_b` on which the bet does not lie: "at most" for `p_candidate > rho0 p_baseline`,
/// "at least" for the opposite; a bet on the edge is no bet. With `rho0 = 1` this is [`log_e`]; for rare events it tends to
/// [`log_e_ratio`]. The nearest point `q` solves `rho0 N q^2 - (n_c (rho0 + p_c) + n_b (1 + rho0 p_b)) q + n_c p_c + n_b p_b = 0`
/// (smaller root).
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

/// By how many standard errors the candidate's rate exceeds `ratio` times the baseline's, with the variance that the edge of the
/// margin has (a score test): `(p_c - r p_b) / sqrt(r q (1 - r q) / n_c + r^2 q (1 - q) / n_b)`, `q = X / (r n_c + n_b)`.
/// `None` where nothing or everything counts.
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

/// Log e-value of one window against a margin on the difference of rates, when the bet is on the given rates.
///
/// The null is the side of `p_c = p_b + delta` on which the bet does not lie. The nearest point of the edge is found by
/// bisection, since the derivative of the relative entropy rises along it; a bet on the edge is no bet.
#[must_use]
pub fn log_e_difference(candidate: Arm, baseline: Arm, p_candidate: f64, p_baseline: f64, delta: f64) -> f64 {
    if candidate.n == 0 || baseline.n == 0 {
        return 0.0;
    }
    let slope = |n: u64, p: f64, q: f64| float(n) * (q - p) / (q * (1.0 - q));
    let rises = |q: f64| slope(candidate.n, p_candidate, q + delta) + slope(baseline.n, p_baseline, q) > 0.0;
    // Between what either arm alone would choose, and inside of where both rates are probabilities.
    let (one, other) = (p_candidate - delta, p_baseline);
    let mut low = one.min(other).max(0.0).max(-delta);
    let mut high = one.max(other).min(1.0).min(1.0 - delta);
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if rises(middle) { high = middle } else { low = middle }
    }
    let q = f64::midpoint(low, high);
    candidate.log_ratio(p_candidate, q + delta) + baseline.log_ratio(p_baseline, q)
}

/// Log e-value of pairs against "where the versions differ, either is wrong as often": of the events that both versions
/// answered, those that only the candidate, and only the baseline, got wrong.
///
/// `log e = ln mean over bets p of (2 p)^worse (2 (1 - p))^better`, with `p > 1/2` the candidate's part: evidence that it is the
/// worse one. Pairs on which both agree say nothing. Counts may be those of all windows so far.
///
/// Source: `McNemar`, Psychometrika 12, 1947 (conditioning on discordant pairs).
#[must_use]
pub fn log_e_discordant(worse: u64, better: u64) -> f64 {
    let bet = |&p: &f64| times_ln(float(worse), 2.0 * p) + times_ln(float(better), 2.0 * (1.0 - p));
    log_mean(PAIRED.iter().map(bet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::{Rng, binomial_mass, multinomial_mass, tables};

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
            let bets = harm == (bet_c > rho0 * bet_b);
            let ratio = mean(n, (rate, p_b), |c, b| log_e_ratio(c, b, rho, rho0));
            assert!(ratio <= 1.0 + TOLERANCE, "seed 2, case {case}: {n:?} {rate} {p_b} {rho} {rho0}: {ratio}");
            if bets {
                let margin = mean(n, (rate, p_b), |c, b| log_e_margin(c, b, bet_c, bet_b, rho0));
                assert!(margin <= 1.0 + TOLERANCE, "seed 2, case {case}: {n:?} {rate} {p_b} {bet_c} {bet_b}: {margin}");
            }
        }
    }

    #[test]
    fn both_sides_of_a_difference_never_win_on_average() {
        let mut rng = Rng::new(3);
        for case in 0..1500 {
            let (n, delta) = (sizes(&mut rng), 0.4 * rng.unit() - 0.2);
            let (p_c, p_b) = (0.001 + 0.998 * rng.unit(), 0.001 + 0.998 * rng.unit());
            let (r_c, r_b) = (rng.unit(), rng.unit());
            if (p_c > p_b + delta) == (r_c > r_b + delta) {
                continue;
            }
            let mean = mean(n, (r_c, r_b), |c, b| log_e_difference(c, b, p_c, p_b, delta));
            assert!(mean <= 1.0 + TOLERANCE, "seed 3, case {case}: {n:?} {r_c} {r_b} {p_c} {p_b} {delta}: {mean}");
        }
    }

    /// On the edge itself nothing is lost: the bound is reached.
    #[test]
    fn the_bound_is_tight_at_the_nearest_point() {
        let at = |q: (f64, f64), log_e: &dyn Fn(Arm, Arm) -> f64| (mean((6, 15), q, log_e) - 1.0).abs();
        let pooled = (6.0 * 0.3 + 15.0 * 0.1) / 21.0;
        assert!(at((pooled, pooled), &|c, b| log_e(c, b, 0.3, 0.1)) < 1e-12);
        // scipy.optimize.minimize_scalar (SciPy 1.17.1, bounded) of 6 KL(.3 || 1.5 q) + 15 KL(.1 || q), and below of
        // 6 KL(.3 || q + .05) + 15 KL(.1 || q).
        let q = 0.139_501_187;
        assert!(at((1.5 * q, q), &|c, b| log_e_margin(c, b, 0.3, 0.1, 1.5)) < 1e-9);
        let q = 0.135_507_035;
        assert!(at((q + 0.05, q), &|c, b| log_e_difference(c, b, 0.3, 0.1, 0.05)) < 1e-9);
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
    fn equal_categories_never_win_on_average() {
        let mut rng = Rng::new(5);
        for case in 0..600 {
            let (truth, p_c, p_b) = (rng.simplex(), rng.simplex(), rng.simplex());
            let (n_c, n_b) = (1 + rng.below(4), 1 + rng.below(5));
            let mut mean = 0.0;
            for c in tables(n_c) {
                for b in tables(n_b) {
                    let value = log_e_counts(&c, &b, &p_c, &p_b).exp();
                    mean += multinomial_mass(c, truth) * multinomial_mass(b, truth) * value;
                }
            }
            assert!(mean <= 1.0 + TOLERANCE, "seed 5, case {case}: {truth:?} {p_c:?} {p_b:?}: {mean}");
        }
    }

    #[test]
    fn pairs_without_a_worse_side_never_win_on_average() {
        for p in [0.5, 0.4, 0.1] {
            let mean = (0..=30).map(|x| binomial_mass(30, x, p) * log_e_discordant(x, 30 - x).exp()).sum::<f64>();
            assert!(mean <= 1.0 + TOLERANCE && (p < 0.5 || mean > 1.0 - TOLERANCE), "{p}: mean {mean}");
        }
        // 47 windows of 25 discordant pairs, 55 of 100 the candidate's.
        assert!(log_e_discordant(646, 529) > 50.0_f64.ln() && log_e_discordant(529, 646) < 0.0);
    }

    #[test]
    fn forms_meet_where_they_should() {
        let (c, b) = (Arm { n: 480, x: 9.0 }, Arm { n: 9020, x: 77.0 });
        let plain = log_e(c, b, 0.02, 0.01);
        assert!((plain - log_e_margin(c, b, 0.02, 0.01, 1.0)).abs() < 1e-12);
        assert!((plain - log_e_difference(c, b, 0.02, 0.01, 0.0)).abs() < 1e-12);
        let counts = log_e_counts(&[9, 471], &[77, 8943], &[0.02, 0.98], &[0.01, 0.99]);
        assert!((plain - counts).abs() < 1e-10);
        // Rare events: margin and ratio form tend to each other.
        let margin = log_e_margin(c, b, 1.6e-6, 1e-6, 1.2);
        assert!((margin - log_e_ratio(c, b, 1.6, 1.2)).abs() < 1e-4);
    }

    #[test]
    fn an_empty_arm_says_nothing() {
        let (none, some) = (Arm::default(), Arm { n: 10, x: 10.0 });
        for (c, b) in [(none, some), (some, none), (none, none)] {
            let values = [
                log_e(c, b, 0.9, 0.1),
                log_e_ratio(c, b, 2.0, 1.2),
                log_e_margin(c, b, 0.9, 0.1, 1.2),
                log_e_difference(c, b, 0.9, 0.1, 0.1),
            ];
            assert!(values.iter().all(|value| value.to_bits() == 0), "{values:?}");
        }
        let counts = log_e_counts(&[0, 0], &[3, 4], &[0.5, 0.5], &[0.1, 0.9]);
        assert!(counts.abs() < f64::MIN_POSITIVE);
    }

    #[test]
    fn a_bet_on_the_edge_is_no_bet() {
        let (c, b) = (Arm { n: 40, x: 30.0 }, Arm { n: 50, x: 2.0 });
        assert!(log_e(c, b, 0.2, 0.2).abs() < 1e-12);
        assert!(log_e_margin(c, b, 0.24, 0.2, 1.2).abs() < 1e-12);
        assert!(log_e_difference(c, b, 0.3, 0.2, 0.1).abs() < 1e-12);
        assert!(log_e_ratio(c, b, 1.2, 1.2).abs() < 1e-12);
    }
}
