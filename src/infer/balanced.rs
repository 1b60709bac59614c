//! The balanced bet: an e-value for "a contrast of means is at most 0", at any level of what is measured.
//!
//! `G` independent groups of rows in a window; group `k` has `n_k` rows, a function `f_k` of a row and a coefficient
//! `c_k`. The null is `sum c_k E[f_k] <= 0`. With `kappa > 0` and centres `a_k` that are chosen before the window, and
//! `sum c_k a_k = 0`,
//!
//! `ln e = sum over k and rows i of ln(1 + kappa c_k / n_k (f_ki - a_k))`,
//!
//! `E[e] = prod (1 + kappa c_k / n_k (E f_ki - a_k)) <= exp(kappa sum c_k (E f_k - a_k)) <= 1`. The unknown level
//! cancels because every group bets the same `kappa c_k`: one `kappa` for all, which is made smaller where a factor
//! would come near 0, and never one group's stake alone. What was predicted wrongly costs power only.
//!
//! The best `kappa` for a contrast `D` of estimates with variance `V` is `D / V`; it wins `D^2 / (2 V)` a window, as
//! much as a likelihood ratio of normal laws.
//!
//! Rows are not needed. With the number and the sum of the values between two edges the chord of the logarithm, which
//! is concave, is never above it: what is computed is never more than the bet won.
//!
//! **Source**: betting on bounded means: Waudby-Smith and Ramdas, JRSSB 86, 2024; on two groups: Chugg et al., Auditing
//! fairness by betting, `NeurIPS` 2023; the product over unequal groups in which the level cancels is this project's
//! own. **Assumes**: rows that are independent given the past; they need not be distributed alike. **Cost**: a
//! logarithm for each edge of each arm.

use super::log_space::float;

/// The most of its stake that a bet may lose to one row.
/// Origin: choice; half, so that logarithms stay far from where they fall without bound.
const LOSES_MAX: f64 = 0.5;

/// Values between two edges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueBin {
    /// The least they can be.
    pub low: f64,
    /// The most they can be; the same for a single value.
    pub high: f64,
    /// How many there are.
    pub n: u64,
    /// Their sum.
    pub sum: f64,
}

/// On which side the null ends, and what is bet on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NullEdge {
    /// Whether means above the edge are outside of the null; otherwise those below.
    pub above: bool,
    /// The edge is at `ratio` times the baseline's mean, `ratio > 0`,
    pub ratio: f64,
    /// and `shift` on top.
    pub shift: f64,
}

/// What is predicted of the baseline's rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BaselineLevel {
    /// Their mean.
    pub mean: f64,
    /// Their variance.
    pub variance: f64,
}

impl NullEdge {
    /// Log e-value of one window, when the bet is that the candidate's mean is `bet`; 0 for a bet that is not outside
    /// of the null.
    ///
    /// `level` is predicted; `range` is what no value leaves. All three are known before the window.
    #[must_use]
    pub fn log_e(
        self,
        bet: f64,
        level: BaselineLevel,
        range: (f64, f64),
        candidate: &[ValueBin],
        baseline: &[ValueBin],
    ) -> f64 {
        let Self { above, ratio, shift } = self;
        let sign = if above { 1.0 } else { -1.0 };
        let [n_c, n_b] = [candidate, baseline].map(|bins| float(bins.iter().map(|bin| bin.n).sum()));
        let gap = sign * (bet - shift - ratio * level.mean);
        // What is a multiple of something positive varies as its mean does.
        let grows = if shift == 0.0 && level.mean > 0.0 { (bet / level.mean).max(0.0) } else { 1.0 };
        let variance = level.variance * (grows / n_c + ratio * ratio / n_b);
        if n_c == 0.0 || n_b == 0.0 || gap <= 0.0 || variance <= 0.0 {
            return 0.0;
        }
        let centre = ((bet - shift) / n_c + ratio * level.mean / n_b) / (1.0 / n_c + 1.0 / n_b);
        let (low, high) = range;
        let loses = if above {
            [centre - (low - shift), ratio * high - centre]
        } else {
            [high - shift - centre, centre - ratio * low]
        };
        let most = |n: f64, loses: f64| if loses > 0.0 { LOSES_MAX * n / loses } else { f64::INFINITY };
        let stake = sign * (gap / variance).min(most(n_c, loses[0])).min(most(n_b, loses[1]));
        log_wealth(candidate, stake / n_c, centre + shift) + log_wealth(baseline, -stake * ratio / n_b, centre / ratio)
    }
}

/// What betting `slope` on each value's distance from `centre` is worth at least: the sum of `ln(1 + slope (x -
/// centre))`, by chords. Every factor must be positive between the edges.
#[must_use]
pub fn log_wealth(bins: &[ValueBin], slope: f64, centre: f64) -> f64 {
    let at = |value: f64| libm::log1p(slope * (value - centre));
    let mut known = (f64::NAN, 0.0);
    let mut wealth = 0.0;
    for bin in bins.iter().filter(|bin| bin.n > 0) {
        let low = if bin.low.to_bits() == known.0.to_bits() { known.1 } else { at(bin.low) };
        let high = if bin.high > bin.low { at(bin.high) } else { low };
        known = (bin.high, high);
        let n = float(bin.n);
        let width = bin.high - bin.low;
        let part = if width > 0.0 { ((bin.sum - n * bin.low) / width).clamp(0.0, n) } else { 0.0 };
        wealth += n * low + part * (high - low);
    }
    wealth
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::Rng;

    /// Each value by itself: nothing is lost.
    fn exact(values: &[f64]) -> Vec<ValueBin> {
        values.iter().map(|&value| ValueBin { low: value, high: value, n: 1, sum: value }).collect()
    }

    /// One bin for 0, and `n` of equal ratio over four decades below `cap`; what is above counts as it.
    fn binned(values: &[f64], cap: f64, n: i32) -> Vec<ValueBin> {
        let edge = |k: i32| cap * libm::pow(10.0, 4.0 * f64::from(k - n) / f64::from(n));
        let mut bins = vec![ValueBin { low: 0.0, high: 0.0, n: 0, sum: 0.0 }];
        bins.extend((0..n).map(|k| {
            let low = if k == 0 { 0.0 } else { edge(k) };
            ValueBin { low, high: if k + 1 == n { cap } else { edge(k + 1) }, n: 0, sum: 0.0 }
        }));
        for value in values.iter().map(|value| value.min(cap)) {
            let place = bins.iter().position(|bin| value <= bin.high).expect("below the cap");
            bins[place].n += 1;
            bins[place].sum += value;
        }
        bins
    }

    fn draws(rng: &mut Rng, n: usize, law: impl Fn(&mut Rng) -> f64) -> Vec<f64> {
        (0..n).map(|_| law(rng)).collect()
    }

    /// The mean of `e` over everything that one to four groups of one to four rows of three values each can be.
    fn mean_of_e(rng: &mut Rng) -> f64 {
        let groups = 1 + rng.below(4);
        let signs: Vec<f64> = (0..groups).map(|k| if (k == 0) == (rng.unit() < 0.5) { -1.0 } else { 1.0 }).collect();
        let coefficients: Vec<f64> = signs.iter().map(|sign| sign * (0.2 + rng.unit())).collect();
        let points: Vec<[f64; 3]> = signs.iter().map(|_| [(); 3].map(|()| 4.0 * rng.unit() - 1.0)).collect();
        let mut laws: Vec<[f64; 3]> = Vec::new();
        for _ in &signs {
            let masses = [(); 3].map(|()| 0.05 + rng.unit());
            let total: f64 = masses.iter().sum();
            laws.push(masses.map(|mass| mass / total));
        }
        let mean = |k: usize| points[k].iter().zip(laws[k]).map(|(x, p)| x * p).sum::<f64>();
        // Into the null: the first group's values are moved until the contrast is 0 or less.
        let contrast: f64 = (0..signs.len()).map(|k| coefficients[k] * mean(k)).sum();
        let slack = if rng.unit() < 0.5 { 0.0 } else { rng.unit() };
        let moved = points[0].map(|x| x - (contrast + slack) / coefficients[0]);
        let points: Vec<[f64; 3]> = std::iter::once(moved).chain(points.into_iter().skip(1)).collect();
        let mut centres: Vec<f64> = signs.iter().map(|_| 4.0 * rng.unit() - 1.0).collect();
        let rest: f64 = (1..signs.len()).map(|k| coefficients[k] * centres[k]).sum();
        centres[0] = -rest / coefficients[0];
        let rows: Vec<i32> = signs.iter().map(|_| i32::try_from(1 + rng.below(4)).expect("few")).collect();
        let loses = (0..signs.len()).map(|k| {
            let of = |x: f64| -signs[k] * (x - centres[k]) * coefficients[k].abs() / f64::from(rows[k]);
            points[k].map(of).into_iter().fold(0.0, f64::max)
        });
        let stake = rng.unit() * LOSES_MAX / loses.fold(1e-9, f64::max);
        (0..signs.len())
            .map(|k| {
                let slope = stake * coefficients[k] / f64::from(rows[k]);
                let factor = |x: f64| libm::exp(log_wealth(&exact(&[x]), slope, centres[k]));
                let one: f64 = points[k].iter().zip(laws[k]).map(|(&x, p)| p * factor(x)).sum();
                one.powi(rows[k])
            })
            .product()
    }

    /// Rows are independent, so the mean of a product over all outcomes is the product of the rows' means.
    #[test]
    fn the_mean_of_e_is_at_most_one_whatever_is_predicted() {
        for seed in 0..4_000 {
            let mean = mean_of_e(&mut Rng::new(seed));
            assert!(mean <= 1.0 + 1e-9, "seed {seed}: {mean}");
        }
    }

    /// Two versions whose means lie on the edge, with stakes, centres and levels as they are really chosen.
    #[test]
    fn on_the_edge_two_versions_win_nothing_on_average() {
        for seed in 0..2_000 {
            let rng = &mut Rng::new(seed);
            let contrast = NullEdge {
                above: rng.unit() < 0.5,
                ratio: 0.7 + 0.6 * rng.unit(),
                shift: if rng.unit() < 0.5 { 0.0 } else { rng.unit() - 0.5 },
            };
            let sign = if contrast.above { 1.0 } else { -1.0 };
            let level = BaselineLevel { mean: 0.1 + rng.unit(), variance: 0.05 + rng.unit() };
            let bet = contrast.ratio * level.mean + contrast.shift + sign * rng.unit();
            // Values of two points, the baseline's anywhere, the candidate's mean on the edge or inside of the null.
            let p = 0.05 + 0.9 * rng.unit();
            let (b_low, b_high) = (0.0, 0.2 + rng.unit());
            let edge = contrast.ratio * p * b_high + contrast.shift - sign * rng.unit() * 0.1;
            let (c_low, c_high) = (edge - rng.unit(), edge + rng.unit() + 0.01);
            let q = (edge - c_low) / (c_high - c_low);
            let range = (c_low.min(b_low), c_high.max(b_high));
            let mut mean = 0.0;
            for (c, c_mass) in [
                (vec![c_low; 2], (1.0 - q) * (1.0 - q)),
                (vec![c_low, c_high], 2.0 * q * (1.0 - q)),
                (vec![c_high; 2], q * q),
            ] {
                for (b, b_mass) in [(b_low, 1.0 - p), (b_high, p)] {
                    let log_e = contrast.log_e(bet, level, range, &exact(&c), &exact(&[b]));
                    mean += c_mass * b_mass * libm::exp(log_e);
                }
            }
            assert!(mean <= 1.0 + 1e-9, "seed {seed}: {mean}");
        }
    }

    #[test]
    fn chords_are_never_above_what_the_rows_say() {
        for seed in 0..4_000 {
            let rng = &mut Rng::new(seed);
            let cap = 0.5 + 20.0 * rng.unit();
            let values = draws(rng, 20, |rng| if rng.unit() < 0.3 { 0.0 } else { libm::exp(2.0 * rng.normal()) });
            let clipped: Vec<f64> = values.iter().map(|value| value.min(cap)).collect();
            let centre = cap * rng.unit();
            let slope = (2.0 * rng.unit() - 1.0) * LOSES_MAX / cap;
            let [all, chords] =
                [exact(&clipped), binned(&values, cap, 32)].map(|bins| log_wealth(&bins, slope, centre));
            assert!(chords <= all + 1e-12, "seed {seed}: {chords} of {all}");
        }
    }

    /// What 32 bins keep of the evidence of windows 20 % beyond the margin: 0.98 at either spread.
    #[test]
    fn thirty_two_bins_keep_almost_all_evidence() {
        for (spread, cap) in [(1.0, 22.0), (2.0, 483.0)] {
            let rng = &mut Rng::new(5);
            let contrast = NullEdge { above: true, ratio: 1.05, shift: 0.0 };
            let law = |rng: &mut Rng| libm::exp(spread * rng.normal()).min(cap);
            let past = draws(rng, 100_000, law);
            let mean = past.iter().sum::<f64>() / 1e5;
            let variance = past.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 1e5;
            let level = BaselineLevel { mean, variance };
            let (mut all, mut kept) = (0.0, 0.0);
            for _ in 0..400 {
                let worse = |rng: &mut Rng| (1.26 * libm::exp(spread * rng.normal())).min(cap);
                let (c, b) = (draws(rng, 500, worse), draws(rng, 500, law));
                let won = |c: &[ValueBin], b: &[ValueBin]| contrast.log_e(1.26 * mean, level, (0.0, cap), c, b);
                all += won(&exact(&c), &exact(&b));
                kept += won(&binned(&c, cap, 32), &binned(&b, cap, 32));
            }
            assert!(all > 0.0 && kept >= 0.97 * all && kept <= all, "{spread}: {kept} of {all}");
        }
    }

    #[test]
    fn a_bet_inside_of_the_null_and_an_empty_arm_win_nothing() {
        let contrast = NullEdge { above: true, ratio: 1.05, shift: 0.0 };
        let level = BaselineLevel { mean: 1.0, variance: 1.0 };
        let some = exact(&[1.0, 2.0]);
        let of = |bet, level, c: &[ValueBin], b: &[ValueBin]| contrast.log_e(bet, level, (0.0, 5.0), c, b);
        let nothing = [
            of(1.04, level, &some, &some),
            of(1.5, BaselineLevel { variance: 0.0, ..level }, &some, &some),
            of(1.5, level, &[], &some),
            of(1.5, level, &some, &[]),
        ];
        assert!(nothing.iter().all(|won| won.abs() < 1e-300), "{nothing:?}");
        assert!(of(1.5, level, &some, &some).abs() > 1e-3);
    }
}
