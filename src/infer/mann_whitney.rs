//! The Mann-Whitney test (Wilcoxon's rank sum): whether rows of one side tend to exceed those of the other.
//!
//! `U = pairs in which the judged row is larger + half the pairs that are equal`, with mean `n m / 2` and variance
//! `n m / 12 (N + 1 - sum of (t^3 - t) / (N (N - 1)))` under the null, where `N = n + m` and values repeat `t` times.
//! `p = 2 P(Z > (|U - n m / 2| - 1/2) / sd)`, at most 1.
//!
//! **Source**: Mann and Whitney, On a test of whether one of two random variables is stochastically larger than the
//! other, Ann. Math. Stat. 18, 1947; Lehmann, Nonparametrics, 1975, section 1.4 (variance with ties, continuity). The
//! same as `SciPy`'s `method="asymptotic"`.
//! **Returns**: `U` in [0, n m], `p` in [0, 1]; 1 where all rows are equal, nothing with an empty side.
//! **Assumes**: independent rows, some ten per side for the p-value.
//! **Error**: that of the normal approximation; counts are added up as integers, below 2^41 rows of one value.
//! **Cost**: linear.

use super::normal::normal_sf;
use super::runs::sizes;

/// The statistic and its p-value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MannWhitney {
    /// Pairs in which the judged row is larger, less those in which it is smaller.
    pub ahead: i128,
    /// Pairs.
    pub pairs: i128,
    /// How likely a difference as large is when both sides are of one distribution.
    pub p: f64,
}

impl MannWhitney {
    /// `U` of the judged side.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rounded once, at the end")]
    pub fn u(&self) -> f64 {
        (self.pairs + self.ahead) as f64 / 2.0
    }
}

/// The test over the rows of each value, from the smallest up (see [`super::runs::runs`]).
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "rounded once, at the end")]
pub fn mann_whitney(runs: impl Iterator<Item = [u64; 2]> + Clone) -> Option<MannWhitney> {
    let [n, m] = sizes(runs.clone()).map(i128::from);
    let (mut ahead, mut ties, mut current_below, mut baseline_below) = (0, 0, 0, 0);
    for [current, baseline] in runs {
        let (c, b) = (i128::from(current), i128::from(baseline));
        ahead += c * baseline_below - b * current_below;
        ties += (c + b).pow(3) - (c + b);
        baseline_below += b;
        current_below += c;
    }
    let total = (n + m) as f64;
    let variance = (n * m) as f64 / 12.0 * (total + 1.0 - ties as f64 / (total * (total - 1.0)));
    let gap = ahead.abs() as f64 / 2.0;
    let p: f64 = if variance > 0.0 { 2.0 * normal_sf((gap - 0.5) / variance.sqrt()) } else { 1.0 };
    (n * m > 0).then_some(MannWhitney { ahead, pairs: n * m, p: p.min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_space::float;
    use crate::runs::runs;
    use crate::tests::world::Rng;

    #[test]
    fn it_counts_pairs() {
        let mut rng = Rng::new(6);
        for _ in 0..50 {
            let mut draw = |n: u64| {
                let mut rows: Vec<f64> = (0..n).map(|_| float(rng.below(8))).collect();
                rows.sort_by(f64::total_cmp);
                rows
            };
            let (current, baseline) = (draw(11), draw(7));
            let pairs = current.iter().flat_map(|a| baseline.iter().map(move |b| (a, b)));
            let u: f64 = pairs.map(|(a, b)| if a > b { 1.0 } else { f64::from(u8::from(a >= b)) / 2.0 }).sum();
            let found = mann_whitney(runs(&current, &baseline)).expect("rows on both sides");
            let swapped = mann_whitney(runs(&baseline, &current)).expect("rows on both sides");
            assert!((found.u() - u).abs() < 1e-12 && (found.u() + swapped.u() - 77.0).abs() < 1e-12, "{found:?} {u}");
            assert!((found.p - swapped.p).abs() < 1e-15 && (0.0..=1.0).contains(&found.p));
        }
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(mann_whitney(runs(&[1.0], &[])), None);
        for side in [vec![3.0], vec![3.0; 40]] {
            let found = mann_whitney(runs(&side, &[3.0, 3.0])).expect("rows on both sides");
            assert!((found.p - 1.0).abs() < 1e-300 && (found.u() - float(side.len() as u64)).abs() < 1e-12);
        }
        let huge = 1_u64 << 40;
        let found = mann_whitney([[huge, 0], [0, huge]].into_iter()).expect("rows on both sides");
        assert!(found.u().abs() < 1e-300 && found.p.abs() < 1e-300, "{found:?}");
    }
}
