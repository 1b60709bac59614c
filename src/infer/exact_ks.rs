//! The two-sample Kolmogorov-Smirnov test over rows: the largest gap `D` and how likely one as large is by chance.
//!
//! `D = max over x of |F(x) - G(x)|`. All orders of the `n + m` rows are equally likely under the null, and each is a
//! path of `n` steps to the right and `m` up. The p-value is the share of paths that reach a point `(i, j)` with
//! `|i / n - j / m| >= D` where a value ends. With `u(i, j)` the share of paths to `(i, j)` that have been at such a
//! point, `u = 1` there and elsewhere `u(i, j) = (i u(i - 1, j) + j u(i, j - 1)) / (i + j)`. Rows of equal value have
//! no order, so paths are looked at behind the last of them only: the p-value is that of the ties as they are.
//!
//! **Source**: Hodges, The significance probability of the Smirnov two-sample test, Arkiv för Matematik 3, 1958,
//! section 3 (paths); Schröer and Trenkler, Exact and randomization distributions of Kolmogorov-Smirnov tests two or
//! three samples, Comput. Stat. Data Anal. 20, 1995 (ties); Smirnov 1948 (limit law beyond `cells_max`). `SciPy` takes
//! no account of ties; with some its p-value is larger.
//! **Returns**: `D` and `p` in [0, 1]; nothing with an empty side.
//! **Assumes**: independent rows.
//! **Error**: the recursion only adds numbers of one sign, so about 1e-16 times the rows, relative, where it is exact.
//! **Cost**: linear for `D`; for the exact p-value at most `n m` steps and memory for the rows.

use super::runs::sizes;
use super::special::kolmogorov_sf;

/// Up to so many points of the grid, `n m`, p-values are exact unless a caller asks for less.
/// Origin: choice; 10,000 rows a side, as `SciPy`, in some tenths of a second.
pub const CELLS_MAX: u64 = 100_000_000;

/// The largest gap and its p-value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KolmogorovSmirnov {
    /// The largest gap between the two distribution functions.
    pub distance: f64,
    /// How likely a gap as large is when both sides are of one distribution.
    pub p: f64,
    /// Whether paths were counted; else it is the limit law.
    pub is_exact: bool,
}

/// The test over the rows of each value, from the smallest up (see [`super::runs::runs`]).
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "rounded once, at the end")]
pub fn kolmogorov_smirnov(runs: impl Iterator<Item = [u64; 2]> + Clone, cells_max: u64) -> Option<KolmogorovSmirnov> {
    let [n, m] = sizes(runs.clone());
    let cells = i128::from(n) * i128::from(m);
    if cells == 0 {
        return None;
    }
    let gaps = runs.clone().scan(0, |gap, [current, baseline]| {
        *gap += i128::from(current) * i128::from(m) - i128::from(baseline) * i128::from(n);
        Some(gap.abs())
    });
    let gap = gaps.max().unwrap_or(0);
    let distance = gap as f64 / cells as f64;
    let is_exact = cells <= i128::from(cells_max.min(CELLS_MAX));
    let p = if is_exact {
        let least = i64::try_from(gap).unwrap_or(i64::MAX);
        paths_reaching(least, runs, [n, m].map(|rows| usize::try_from(rows).unwrap_or(usize::MAX)))
    } else {
        let (n, m) = (n as f64, m as f64);
        kolmogorov_sf((n / (n + m) * m).sqrt() * distance)
    };
    Some(KolmogorovSmirnov { distance, p, is_exact })
}

/// The share of paths that reach `|i m - j n| >= gap` where a value ends. The points of one diagonal, `i + j`, follow
/// from those of the one before, in any order, and a value ends either in all of them or in none. Sides may change
/// places, so the shorter one is kept.
#[expect(clippy::cast_precision_loss, reason = "at most `CELLS_MAX` rows")]
fn paths_reaching(gap: i64, runs: impl Iterator<Item = [u64; 2]>, [n, m]: [usize; 2]) -> f64 {
    if gap == 0 {
        return 1.0;
    }
    let (n, m) = (n.min(m), n.max(m));
    let is_end = ends(runs, n + m);
    let places: Vec<f64> = (0..=n).map(|i| i as f64).collect();
    // By `i`, the diagonal in hand and the one before it.
    let (mut reached, mut before) = (vec![0.0; n + 1], vec![0.0; n + 1]);
    for (diagonal, &is_end) in is_end.iter().enumerate().skip(1) {
        std::mem::swap(&mut reached, &mut before);
        let (first, last) = (diagonal.saturating_sub(m), diagonal.min(n));
        let (low, high) = if is_end { inside(gap, diagonal, [n, m]) } else { (first, last + 1) };
        let (low, high) = (low.clamp(first, last + 1), high.clamp(first, last + 1));
        reached[first..low].fill(1.0);
        reached[high..=last].fill(1.0);
        if low == 0 && high > 0 {
            reached[0] = before[0];
        }
        let from = low.clamp(1, high.max(1));
        let (k, share) = (diagonal as f64, 1.0 / diagonal as f64);
        let steps = reached[from..high.max(from)].iter_mut().zip(&places[from..]);
        for ((here, &right), pair) in steps.zip(before[from - 1..].windows(2)) {
            *here = (right * pair[0] + (k - right) * pair[1]) * share;
        }
    }
    reached[n].clamp(0.0, 1.0)
}

/// After which numbers of rows a value ends.
fn ends(runs: impl Iterator<Item = [u64; 2]>, total: usize) -> Vec<bool> {
    let mut is_end = vec![false; total + 1];
    let mut rows = 0;
    for [current, baseline] in runs {
        rows += usize::try_from(current + baseline).unwrap_or(usize::MAX);
        is_end[rows] = true;
    }
    is_end
}

/// The `i` of a diagonal from which on, and up to which, `|i (n + m) - (i + j) n|` is below the gap.
fn inside(gap: i64, diagonal: usize, [n, m]: [usize; 2]) -> (usize, usize) {
    let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (total, middle) = (signed(n + m), signed(diagonal) * signed(n));
    let low = (middle - gap).div_euclid(total) + 1;
    let high = -(-(middle + gap)).div_euclid(total);
    (usize::try_from(low).unwrap_or(0), usize::try_from(high).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::runs;
    use crate::tests::world::Rng;

    fn test(current: &[f64], baseline: &[f64]) -> KolmogorovSmirnov {
        kolmogorov_smirnov(runs(current, baseline), CELLS_MAX).expect("rows on both sides")
    }

    /// The share of all orders of the rows with a gap as large.
    fn by_counting(current: &[f64], baseline: &[f64]) -> f64 {
        let pooled = [current, baseline].concat();
        let observed = test(current, baseline).distance;
        let (mut all, mut reached) = (0_u32, 0_u32);
        for chosen in 0_u32..1 << pooled.len() {
            if chosen.count_ones() as usize != current.len() {
                continue;
            }
            let pick = |side: bool| {
                let of_side = (0..).zip(&pooled).filter(move |(at, _)| (chosen >> at & 1 == 1) == side);
                let mut rows: Vec<f64> = of_side.map(|(_, value)| *value).collect();
                rows.sort_by(f64::total_cmp);
                rows
            };
            all += 1;
            let found = kolmogorov_smirnov(runs(&pick(true), &pick(false)), 0).expect("rows on both sides");
            reached += u32::from(found.distance >= observed);
        }
        f64::from(reached) / f64::from(all)
    }

    #[test]
    fn it_is_the_share_of_all_orders_with_ties_and_without() {
        let mut rng = Rng::new(5);
        for case in 0..60 {
            let distinct = [2, 4, 1000][case % 3];
            let mut draw = |n: u64| {
                let mut rows: Vec<f64> = (0..n).map(|_| crate::log_space::float(rng.below(distinct))).collect();
                rows.sort_by(f64::total_cmp);
                rows
            };
            let (current, baseline) = (draw(1 + case as u64 % 5), draw(1 + case as u64 % 7));
            let (found, truth) = (test(&current, &baseline), by_counting(&current, &baseline));
            assert!(found.is_exact && (found.p - truth).abs() < 1e-14, "{current:?} {baseline:?}: {found:?}, {truth}");
            let swapped = test(&baseline, &current);
            assert!((swapped.p - found.p).abs() < 1e-14 && swapped.distance.to_bits() == found.distance.to_bits());
        }
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!(kolmogorov_smirnov(runs(&[], &[1.0]), CELLS_MAX), None);
        let same = test(&[1.0, 1.0, 1.0], &[1.0]);
        assert!(same.distance.abs() < 1e-300 && (same.p - 1.0).abs() < 1e-300, "{same:?}");
        let one_each = test(&[1.0], &[2.0]);
        assert!((one_each.distance - 1.0).abs() < 1e-15 && (one_each.p - 1.0).abs() < 1e-15, "{one_each:?}");
        // Two of the 184756 orders of ten and ten rows tear the sides apart.
        let apart: Vec<f64> = (0..10_u32).map(f64::from).collect();
        let found = test(&apart, &apart.iter().map(|value| value + 10.0).collect::<Vec<_>>());
        assert!((found.p * 184_756.0 - 2.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn many_rows_have_the_limit_law_and_do_not_overflow() {
        let huge = u64::MAX / 4;
        let halves = [[huge, huge / 2], [huge / 2, huge]];
        let found = kolmogorov_smirnov(halves.into_iter(), CELLS_MAX).expect("rows on both sides");
        assert!(!found.is_exact && (found.distance - 1.0 / 3.0).abs() < 1e-12 && found.p < 1e-300, "{found:?}");
        let near = [[2_000_000, 1_999_000], [2_000_000, 2_001_000]];
        let found = kolmogorov_smirnov(near.into_iter(), CELLS_MAX).expect("rows on both sides");
        assert!((found.p - kolmogorov_sf(2e6_f64.sqrt() * found.distance)).abs() < 1e-15, "{found:?}");
    }

    #[test]
    fn the_exact_value_nears_the_limit_law() {
        let rows: Vec<f64> = (0..2000_u32).map(f64::from).collect();
        let moved: Vec<f64> = rows.iter().map(|value| value + 100.3).collect();
        let found = test(&rows, &moved);
        let limit = kolmogorov_smirnov(runs(&rows, &moved), 0).expect("rows on both sides");
        assert!(found.is_exact && !limit.is_exact && (found.p / limit.p - 1.0).abs() < 0.03, "{found:?} {limit:?}");
    }
}
