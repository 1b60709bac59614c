//! Two series of points side by side, as dashboards have them: does one lie above so many times the other? Good at
//! every look together, so that whoever asks again after each point keeps the promise of one look.
//!
//! With `d_i = x_i - r y_i` of the `n` pairs of points, `Z = mean d`, and `V = T var(d) / n`, the true mean of `d` lies
//! within `Z +- w`, `w^2 = V (V + s) / s ln((V + s) / (V alpha^2))`: a normal mixture of variance
//! `s = T var(d) (2 ln(1 / alpha) + ln(2 ln(1 / alpha) + 1)) / 60`, narrowest for its level at sixty points.
//! Neighbouring points resemble each other, so `T = (1 + rho) / (1 - rho)` points count as one, `rho` being the lag-1
//! correlation of `d`, nothing below zero, less its bias `-(1 + 4 rho) / n` and plus two of its standard errors, each
//! `1 / sqrt(n)`.
//!
//! **Source**: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Ann. Stat. 52, 2024 (asymptotic form); the mixture's
//! variance: Howard, Ramdas, `McAuliffe` and Sekhon, Ann. Stat. 49, 2021, section 3.5; `T`: Sokal, Monte Carlo Methods
//! in Statistical Mechanics, 1989, section 3; its bias: Kendall, Biometrika 41, 1954. **Returns**: nothing with fewer
//! than 30 pairs. **Assumes**: differences without a trend, whose correlation falls about geometrically. **Error**:
//! that of the estimated variance; see the test. **Cost**: linear.

use super::interval::Interval;

/// Pairs from which on something is said.
/// Origin: simulation; below it the variance is known too badly, and healthy series are told too often.
const PAIRS_MIN: usize = 30;
/// Pairs at which the interval is narrowest for its level.
/// Origin: choice; an hour of minutes, what canary analyses ask for.
const PAIRS_BEST: f64 = 60.0;
/// Standard errors by which the correlation may be more than it seems.
/// Origin: simulation; with one, a correlation of 0.8 is told of twice as many healthy series as is promised.
const UNSURE: f64 = 2.0;
/// Beyond this there are no independent points to speak of.
/// Origin: choice; 39 points are worth one there.
const RHO_MAX: f64 = 0.95;

/// Where the mean of `x - ratio * y` over pairs `[x, y]`, in the order of time, may lie at this level, at all looks
/// together. Where all differences are equal that is one point.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "points, far below 2^53")]
pub fn contrast_of_means(pairs: &[[f64; 2]], ratio: f64, alpha: f64) -> Option<Interval> {
    if pairs.len() < PAIRS_MIN {
        return None;
    }
    let n = pairs.len() as f64;
    let apart: Vec<f64> = pairs.iter().map(|[x, y]| x - ratio * y).collect();
    let value = apart.iter().sum::<f64>() / n;
    let variance = apart.iter().map(|d| (d - value) * (d - value)).sum::<f64>() / n;
    let long_run = variance * time(&apart, value, variance);
    if long_run <= 0.0 {
        return Some(Interval { value, low: value, high: value });
    }
    let log = 2.0 * libm::log(1.0 / alpha);
    let (v, s) = (long_run / n, long_run * (log + libm::log1p(log)) / PAIRS_BEST);
    let width = (v * (v + s) / s * libm::log((v + s) / (v * alpha * alpha))).sqrt();
    Some(Interval { value, low: value - width, high: value + width })
}

/// How many points say as much as one independent point.
#[expect(clippy::cast_precision_loss, reason = "points, far below 2^53")]
fn time(apart: &[f64], mean: f64, variance: f64) -> f64 {
    let n = apart.len() as f64;
    let neighbours = apart.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>() / n;
    let rho = if variance > 0.0 { neighbours / variance } else { 0.0 };
    let rho = (rho.max(0.0) + (1.0 + 4.0 * rho.max(0.0)) / n + UNSURE / n.sqrt()).min(RHO_MAX);
    (1.0 + rho) / (1.0 - rho)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::Rng;

    /// Minutes of two versions whose levels are autoregressions of order one, the second `factor` times as high.
    fn minutes(seed: u64, n: usize, kept: f64, factor: f64) -> Vec<[f64; 2]> {
        let mut rng = Rng::new(seed);
        let mut levels = [rng.normal(), rng.normal()];
        let mut minute = || {
            let drawn = [rng.normal(), rng.normal()];
            let mut at = levels.iter_mut().zip(drawn);
            at.by_ref().for_each(|(level, drawn)| *level = kept * *level + (1.0 - kept * kept).sqrt() * drawn);
            [factor * (100.0 + 10.0 * levels[0]), 100.0 + 10.0 * levels[1]]
        };
        (0..n).map(|_| minute()).collect()
    }

    fn is_above_at_some_look(all: &[[f64; 2]], alpha: f64) -> bool {
        (PAIRS_MIN..=all.len())
            .step_by(5)
            .any(|n| contrast_of_means(&all[..n], 1.0, alpha).is_some_and(|at| at.low > 0.0))
    }

    /// Looked at 43 times over four hours of minutes, at 5 % on both sides together: 0, 0, 6 and 8 of 400 are told on
    /// one side, where 10 are allowed.
    #[test]
    fn healthy_series_are_seldom_told_however_often_one_looks() {
        for kept in [0.0, 0.3, 0.6, 0.8] {
            let told = (0..400).filter(|&seed| is_above_at_some_look(&minutes(seed, 240, kept, 1.0), 0.05)).count();
            assert!(told <= 10, "seeds 0..400, {kept} kept: {told} of 400");
        }
    }

    #[test]
    fn a_difference_of_a_deviation_is_told_within_an_hour() {
        for (kept, at_least) in [(0.0, 165), (0.3, 85)] {
            let told = (0..200).filter(|&seed| is_above_at_some_look(&minutes(seed, 60, kept, 1.1), 0.05)).count();
            assert!(told >= at_least, "seeds 0..200, {kept} kept: {told} of 200");
        }
    }

    #[test]
    fn few_points_say_nothing_and_equal_ones_one_thing() {
        let flat = vec![[2.0, 1.0]; 30];
        assert_eq!(contrast_of_means(&flat[..29], 1.0, 0.05), None);
        let at = contrast_of_means(&flat, 1.0, 0.05).expect("enough points");
        assert!((at.low - 1.0).abs() < 1e-12 && (at.high - 1.0).abs() < 1e-12, "{at:?}");
        let tolerated = contrast_of_means(&flat, 2.0, 0.05).expect("enough points");
        assert!(tolerated.low.abs() < 1e-12, "{tolerated:?}");
    }

    #[test]
    fn sides_that_change_places_change_the_sign_alone() {
        for seed in 0..20 {
            let pairs = minutes(seed, 50, 0.4, 1.02);
            let turned: Vec<_> = pairs.iter().map(|[x, y]| [*y, *x]).collect();
            let [there, back] = [pairs, turned].map(|side| contrast_of_means(&side, 1.0, 0.05).expect("enough points"));
            assert!((there.low + back.high).abs() < 1e-9 && (there.high + back.low).abs() < 1e-9, "seed {seed}");
        }
    }
}
