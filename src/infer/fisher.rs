//! Fisher's exact test of two rates: how likely a table no more likely than the one seen is when the rates are equal.
//!
//! With both rates equal and the margins given, `x_c` successes of `n_c` are hypergeometric. Two-sided,
//! `p = sum of P(table) over tables with P(table) <= P(the one seen)`.
//!
//! **Source**: Fisher, Statistical Methods for Research Workers, fifth edition, 1934, section 21.02; the two-sided sum
//! is that of Freeman and Halton, Biometrika 38, 1951, as R and `SciPy` have it.
//! **Shapes**: successes and events of each side, successes no more than events.
//! **Returns**: `p` in (0, 1]; 0 where tables are less likely than 1e-300. Nothing with an empty side or more successes
//! than events.
//! **Assumes**: independent events.
//! **Error**: about 1e-16 times the standard deviation of `x_c`, relative, since tables follow from their neighbours by
//! ratios; tables within 1e-7 of the likelihood of the one seen count as equally likely, as in R. Where the deviation
//! exceeds 2^20 it is the p-value of [`super::pooled_z`] with half a success taken off the gap.
//! **Cost**: some 80 steps per standard deviation of `x_c`.

use super::log_space::float;
use super::normal::normal_sf;

/// Up to this standard deviation tables are added up one by one.
/// Origin: choice; a second. The normal law is right to about its inverse beyond.
const DEVIATION_MAX: f64 = 1_048_576.0;
/// Tables this little more likely than the one seen count as equally likely.
/// Origin: literature; R's `fisher.test`.
const SLACK: f64 = 1e-7;

/// Tables less likely than this, relative to the most likely one, are none.
/// Origin: numerics; products of ratios near 1 stop falling where floats lose digits.
const WEIGHT_MIN: f64 = 1e-300;

/// The two-sided p-value of `x` successes of `n` events against `x_baseline` of `n_baseline`.
#[must_use]
pub fn fisher(x: u64, n: u64, x_baseline: u64, n_baseline: u64) -> Option<f64> {
    if n == 0 || n_baseline == 0 || x > n || x_baseline > n_baseline {
        return None;
    }
    let (total, hits) = (float(n) + float(n_baseline), float(x) + float(x_baseline));
    let law = Law { hits, n: float(n), misses: total - hits, total };
    let deviation = law.variance().sqrt();
    if deviation > DEVIATION_MAX {
        let gap = (float(x) - law.mean()).abs() - 0.5;
        return Some((2.0 * normal_sf(gap / deviation)).min(1.0));
    }
    Some(law.no_more_likely_than(float(x)))
}

/// The law of the successes of one side, given the margins.
struct Law {
    hits: f64,
    n: f64,
    misses: f64,
    total: f64,
}

impl Law {
    fn mean(&self) -> f64 {
        self.n * (self.hits / self.total)
    }

    fn variance(&self) -> f64 {
        if self.total <= 1.0 {
            return 0.0;
        }
        self.mean() * (self.misses / self.total) * ((self.total - self.n) / (self.total - 1.0))
    }

    /// The likelihood of `x + 1` over that of `x`.
    fn ratio(&self, x: f64) -> f64 {
        let (up, down) = ((self.hits - x) * (self.n - x), (x + 1.0) * (self.misses - self.n + x + 1.0));
        up / down
    }

    /// The share of tables that are no more likely than the one with `x`. All are taken relative to the most likely
    /// one, from there outwards, until they vanish.
    fn no_more_likely_than(&self, x: f64) -> f64 {
        let (first, last) = ((self.n - self.misses).max(0.0), self.hits.min(self.n));
        let mode = ((self.n + 1.0) * ((self.hits + 1.0) / (self.total + 2.0))).floor().clamp(first, last);
        let seen = self.weight(mode, x) * (1.0 + SLACK);
        let (mut all, mut extreme) = (0.0, 0.0);
        let mut take = |weight: f64| {
            all += weight;
            extreme += if weight <= seen { weight } else { 0.0 };
        };
        take(1.0);
        let (mut at, mut weight) = (mode, 1.0);
        while at < last && weight > WEIGHT_MIN {
            weight *= self.ratio(at);
            at += 1.0;
            take(weight);
        }
        (at, weight) = (mode, 1.0);
        while at > first && weight > WEIGHT_MIN {
            at -= 1.0;
            weight /= self.ratio(at);
            take(weight);
        }
        extreme / all
    }

    /// How likely `x` is, relative to the mode.
    fn weight(&self, mode: f64, x: f64) -> f64 {
        let (mut at, mut weight) = (mode, 1.0);
        while at < x && weight > WEIGHT_MIN {
            weight *= self.ratio(at);
            at += 1.0;
        }
        while at > x && weight > WEIGHT_MIN {
            at -= 1.0;
            weight /= self.ratio(at);
        }
        if weight > WEIGHT_MIN { weight } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::Rng;

    /// Over all tables, by products of whole numbers.
    fn by_hand(x: u64, n: u64, x_baseline: u64, n_baseline: u64) -> f64 {
        let choose = |n: u64, k: u64| (0..k).fold(1.0, |product, i| product * float(n - i) / float(i + 1));
        let hits = x + x_baseline;
        let likely = |x: u64| {
            let fits = x <= n && x <= hits && hits - x <= n_baseline;
            if fits { choose(n, x) * choose(n_baseline, hits - x) / choose(n + n_baseline, hits) } else { 0.0 }
        };
        (0..=n).map(likely).filter(|p| *p <= likely(x) * (1.0 + SLACK)).sum()
    }

    #[test]
    fn it_is_the_sum_over_all_tables() {
        let mut rng = Rng::new(7);
        for _ in 0..300 {
            let (n, n_baseline) = (1 + rng.below(25), 1 + rng.below(40));
            let (x, x_baseline) = (rng.below(n + 1), rng.below(n_baseline + 1));
            let (found, truth) = (fisher(x, n, x_baseline, n_baseline), by_hand(x, n, x_baseline, n_baseline));
            let p = found.expect("events on both sides");
            assert!((p - truth).abs() < 1e-12, "{x} of {n}, {x_baseline} of {n_baseline}: {p}, {truth}");
            let [swapped, others] =
                [fisher(x_baseline, n_baseline, x, n), fisher(n - x, n, n_baseline - x_baseline, n_baseline)];
            assert!([swapped, others].into_iter().flatten().all(|same| (same - p).abs() < 1e-12));
        }
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(fisher(0, 0, 1, 5), None);
        assert_eq!(fisher(3, 2, 1, 5), None);
        for same in [fisher(0, 5, 0, 9), fisher(5, 5, 9, 9), fisher(0, 1, 1, 1), fisher(0, 1_000_000_000, 0, 1)] {
            assert!(same.is_some_and(|p| (p - 1.0).abs() < 1e-12), "{same:?}");
        }
        assert!(fisher(0, 100_000, 90_000, 100_000).is_some_and(|p| p < 1e-300));
    }

    #[test]
    fn huge_counts_come_to_the_same_on_both_sides_of_the_bound() {
        // About 0.16 standard deviations off, with deviations below and above the bound.
        let p = |n: u64, gap: u64| fisher(n / 2 + gap, n, n / 2, n).expect("events on both sides");
        let (below, above) = (p(1 << 40, 1 << 19), p(1 << 50, 1 << 24));
        assert!((below - above).abs() < 1e-5 && below < 1.0, "{below} {above}");
        assert!(p(1 << 62, 0) > 0.999_999);
    }
}
