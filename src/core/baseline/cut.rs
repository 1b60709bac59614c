//! How one numeric column is cut: from a reference's values, from a range, or from edges somebody wrote down.
//!
//! Bins are `(-inf, e1], (e1, e2], …, (ek, +inf)`. Since a bin is open at its left, the smallest value of the reference
//! must lie above the edge where its range begins, which is therefore the float just below it. Seasons take both
//! versions beyond the range, where they must still be told apart: on both sides, as far as the range is wide, lie the
//! outskirts, and what is counted beyond the range is counted in `summary::tail`, too, as finely as there is room for.

use crate::baseline::{doane, quantile};
use crate::error::{Error, Result};
use crate::kernel::bin::Edges;
use crate::kernel::moment::Grid;
use crate::summary::histogram::{Cut, HALF, Recuts, SINGLE};
use crate::summary::profile::NumericProfile;

/// The most fine bins of a column: its edges stay below [`crate::kernel::bin::EDGES_MAX`].
pub const FINE_BINS_MAX: u16 = 2000;
/// The shortest latency that has a bin of its own side, milliseconds.
const LATENCY_MS_MIN: f64 = 0.1;
/// The longest latency that is in range, milliseconds.
const LATENCY_MS_MAX: f64 = 100_000.0;

/// Equal bins of the outskirts on one side.
const OUTSKIRTS: u16 = 64;

/// `n` equal bins from `low` to `high`, `low < high`; `n` is a multiple of 20.
#[must_use]
pub fn equal_width(low: f64, high: f64, n: u16) -> Cut {
    assert!(low < high && (high - low).is_finite() && n.is_multiple_of(20), "a range, cut into multiples of 20 bins");
    let edge = |step: u16, n: u16| if step == n { high } else { low + (high - low) * (f64::from(step) / f64::from(n)) };
    let inner = (0..=n).map(|step| edge(step, n));
    let edges = rising(inner.chain([low.next_down()]).chain(outskirts(low, high)));
    let interior = |n: u16| (1..n).map(|step| edge(step, n)).collect::<Vec<_>>();
    let recuts = Recuts {
        range: indexes_of(&edges, &[low.next_down(), high]),
        bins10: indexes_of(&edges, &interior(10)),
        bins20: indexes_of(&edges, &interior(20)),
        doane: Vec::new(),
    };
    reaching(checked(edges), Grid::for_range(low, high), recuts)
}

/// `n` bins of equal ratio from 0.1 ms to 100 s, for latencies without a reference; `n` is a multiple of 20.
#[must_use]
pub fn latency(n: u16) -> Cut {
    assert!(n.is_multiple_of(20), "cut into multiples of 20 bins");
    let decades = libm::log10(LATENCY_MS_MAX / LATENCY_MS_MIN);
    let ratio = |step: u16, n: u16| libm::pow(10.0, decades * (f64::from(step) / f64::from(n)));
    let edge = |step: u16, n: u16| if step == n { LATENCY_MS_MAX } else { LATENCY_MS_MIN * ratio(step, n) };
    let edges = rising(std::iter::once(0_f64.next_down()).chain((0..=n).map(|step| edge(step, n))));
    let interior = |n: u16| (1..n).map(|step| edge(step, n)).collect::<Vec<_>>();
    let recuts = Recuts {
        range: indexes_of(&edges, &[0_f64.next_down(), LATENCY_MS_MAX]),
        bins10: indexes_of(&edges, &interior(10)),
        bins20: indexes_of(&edges, &interior(20)),
        doane: Vec::new(),
    };
    reaching(checked(edges), Grid::for_range(0.0, LATENCY_MS_MAX), recuts)
}

/// Edges as they are: every cut keeps all of them.
///
/// # Errors
/// When the edges do not rise strictly, are not finite, or are none or too many.
pub fn listed(edges: Vec<f64>) -> Result<Cut> {
    let (Some(&low), Some(&high)) = (edges.first(), edges.last()) else {
        return Err(Error::user("no bin edges"));
    };
    let edges = Edges::new(edges)?;
    let all = indexes_of(edges.as_slice(), edges.as_slice());
    let range = indexes_of(edges.as_slice(), &[low, high]);
    let recuts = Recuts { range, bins10: all.clone(), bins20: all, doane: Vec::new() };
    Ok(reaching(edges, Grid::for_range(low, high), recuts))
}

/// No cut at all: one bin. For reading data whose profile is yet to be built.
#[must_use]
pub fn trivial() -> Cut {
    Cut { edges: checked(Vec::new()), grid: Grid::for_range(0.0, 1.0), recuts: Recuts::default() }
}

/// The cut that a profile holds.
///
/// # Errors
/// When the profile was damaged: edges that do not rise, or a recut that names edges that are not there.
pub fn of_profile(profile: &NumericProfile) -> Result<Cut> {
    let edges = Edges::new(profile.edges.clone())?;
    let n_edges = profile.edges.len();
    let is_sound =
        |kept: &[u16]| kept.is_sorted_by(|a, b| a < b) && kept.last().is_none_or(|&last| usize::from(last) < n_edges);
    let Recuts { range, bins10, bins20, doane } = &profile.recuts;
    if ![range, bins10, bins20, doane].into_iter().all(|kept| is_sound(kept)) {
        return Err(Error::user(format!("column `{}` of the profile keeps edges that are not there", profile.name)));
    }
    Ok(reaching(edges, profile.grid, profile.recuts.clone()))
}

/// The cut of a reference column: of its finite values in rising order, at least one.
///
/// The fine edges are the `n`-quantiles of the values, or all of them when there are at most `2 n`; the float below
/// every value that repeats among those quantiles, or below all of them when there are at most `n`, so that atoms have
/// a bin of their own and later values between them another; the range; and the edges of the recuts, which `Atoms`
/// keep away from values that repeat.
#[must_use]
pub fn of_values(sorted: &[f64], n: u16) -> Cut {
    let (&low, &high) = sorted.first().zip(sorted.last()).expect("a reference column has values");
    let ladder: Vec<f64> = quantile::ladder(sorted, n).collect();
    let values = Atoms::new(sorted);
    let fine = if values.distinct.len() <= 2 * usize::from(n) { &values.distinct } else { &ladder };
    let repeats = |pair: &[f64]| pair[0].to_bits() == pair[1].to_bits();
    let grid = values.grid();
    let atoms: Vec<f64> = if values.distinct.len() <= usize::from(n) {
        values.distinct.clone()
    } else {
        ladder.windows(2).filter(|pair| repeats(pair)).map(|pair| pair[0]).collect()
    };
    let below_atoms = atoms.iter().map(|atom| atom.next_down());
    let [deciles, twentieths] = [10, 20].map(|k| values.cut(&quantile::interior(sorted, k), k));
    let doane: Vec<f64> = left_closed(doane::edges(sorted)).into_iter().map(|edge| values.settled(edge)).collect();
    let range = values.range();
    let named = deciles.iter().chain(&twentieths).chain(&doane).chain(&range).copied();
    let edges =
        rising(fine.iter().copied().chain(below_atoms).chain(values.around()).chain(named).chain(outskirts(low, high)));
    let recuts = Recuts {
        range: indexes_of(&edges, &range),
        bins10: indexes_of(&edges, &deciles),
        bins20: indexes_of(&edges, &twentieths),
        doane: indexes_of(&edges, &doane),
    };
    reaching(checked(edges), grid, recuts)
}

/// The values of a reference column, and how often each of them comes.
///
/// An edge at a value that repeats would put all of its rows into another bin when they change in the last bit, as they
/// do in single precision or when sums are added in another order. So such an edge moves to the middle between that
/// value and the next one: the reference's counts stay what they are, and what comes near the value counts as that
/// value. A value that holds as many rows as a bin gets a bin of its own, so that it cannot lend its rows to its
/// neighbours unseen. A value that holds most rows is told apart from all that is further from it than half precision
/// takes it: a column that is nearly constant must not start to vary unseen.
struct Atoms {
    distinct: Vec<f64>,
    counts: Vec<usize>,
    n: usize,
}

/// How far from a column that is always zero a number still is one.
const NOTHING: f64 = 1e-12;
/// Values that hold a part of this of the mass are told apart from others near them.
const HEAVY: usize = 20;
/// The largest part of the range by which values that repeat may leave it, for numbers of half precision.
const LEEWAY: f64 = 1e-3;

/// Ranges of the middle values beyond which others do not count for the grid of the moments.
const FAR_OUT: f64 = 1_048_576.0;

impl Atoms {
    fn new(sorted: &[f64]) -> Self {
        let runs = || sorted.chunk_by(|a, b| a.to_bits() == b.to_bits());
        let distinct = runs().map(|run| run[0]).collect();
        Self { distinct, counts: runs().map(<[f64]>::len).collect(), n: sorted.len() }
    }

    /// The grid of the moments: for the whole range, unless some values are so far out that the others would not be
    /// told apart on it. Those others are the middle four fifths of the distinct values, however often each comes.
    fn grid(&self) -> Grid {
        let [low, high] = [self.distinct[0], self.distinct[self.distinct.len() - 1]];
        let tenth = self.distinct.len() / 10;
        let middle = [self.distinct[tenth], self.distinct[self.distinct.len() - 1 - tenth]];
        let reach = (middle[1] - middle[0]) * FAR_OUT;
        if reach > 0.0 && high - low > reach {
            let center = middle[0] / 2.0 + middle[1] / 2.0;
            return Grid::for_range(center - reach / 2.0, center + reach / 2.0);
        }
        Grid::for_range(low, high)
    }

    fn repeats(&self, at: usize) -> bool {
        self.counts[at] > 1
    }

    fn holds(&self, at: usize, part: usize) -> bool {
        self.repeats(at) && self.counts[at] * part >= self.n
    }

    /// Between a value and the next one; beyond the last one by [`Self::margin`].
    fn above(&self, at: usize) -> f64 {
        let value = self.distinct[at];
        let is_most = |at: usize| self.repeats(at) && self.counts[at] * 2 > self.n;
        match self.distinct.get(at + 1) {
            Some(_) if is_most(at) => self.near(at)[1],
            Some(_) if is_most(at + 1) => self.near(at + 1)[0],
            Some(next) => middle(value, *next),
            None => value + self.margin(at),
        }
    }

    /// How far what is taken for a value in lower precision lies from it at most, and not nearer to another.
    fn near(&self, at: usize) -> [f64; 2] {
        let value = self.distinct[at];
        let [first, last] = [self.distinct[0], self.distinct[self.distinct.len() - 1]];
        let reach = if first < last {
            (value.abs() * HALF).max(first.abs().max(last.abs()) * SINGLE)
        } else {
            (value.abs() * SINGLE).max(NOTHING)
        };
        let before = at.checked_sub(1).map_or(f64::NEG_INFINITY, |before| middle(self.distinct[before], value));
        let after = self.distinct.get(at + 1).map_or(f64::INFINITY, |next| middle(value, *next));
        [(value - reach).max(before), (value + reach).min(after)]
    }

    /// Edges around every value that is told apart from others near it.
    fn around(&self) -> impl Iterator<Item = f64> {
        (0..self.distinct.len()).filter(|&at| self.holds(at, HEAVY)).flat_map(|at| self.near(at))
    }

    /// Between a value and the one before; beyond the first one by [`Self::margin`].
    fn below(&self, at: usize) -> f64 {
        match at.checked_sub(1) {
            Some(before) => self.above(before),
            None => (self.distinct[0] - self.margin(0)).min(self.distinct[0].next_down()),
        }
    }

    /// How far from the first or last value others are still taken for it, if it repeats.
    fn margin(&self, at: usize) -> f64 {
        if !self.repeats(at) {
            return 0.0;
        }
        let [low, high] = [self.distinct[0], self.distinct[self.distinct.len() - 1]];
        let inner = if at == 0 { self.distinct.get(1) } else { self.distinct.get(at - 1) };
        let gap = inner.map_or(0.0, |inner| (inner - self.distinct[at]).abs());
        let single = (low.abs().max(high.abs()) * SINGLE).max(if low < high { 0.0 } else { NOTHING });
        single.max((gap / 4.0).min((high - low) * LEEWAY))
    }

    /// Just beyond the first and the last value.
    fn range(&self) -> [f64; 2] {
        [self.below(0), self.above(self.distinct.len() - 1)]
    }

    /// An edge, moved off a value that repeats.
    fn settled(&self, edge: f64) -> f64 {
        let after = self.distinct.partition_point(|&value| value <= edge);
        let is_near = |at: &usize| self.repeats(*at) && (self.distinct[*at] - edge).abs() <= edge.abs() * SINGLE;
        let before = after.checked_sub(1);
        if let Some(before) = before.filter(is_near) {
            self.above(before)
        } else if after < self.distinct.len() && is_near(&after) {
            self.below(after)
        } else {
            edge
        }
    }

    /// These edges, settled, and those around every value that holds as much as one of `k` bins.
    fn cut(&self, edges: &[f64], k: u16) -> Vec<f64> {
        let heavy = (0..self.distinct.len()).filter(|&at| self.holds(at, usize::from(k)));
        let around = heavy.flat_map(|at| [self.below(at), self.above(at)]);
        rising(edges.iter().map(|&edge| self.settled(edge)).chain(around))
    }
}

/// Between two values, below the larger one.
fn middle(low: f64, high: f64) -> f64 {
    (low / 2.0 + high / 2.0).clamp(low, high.next_down())
}

/// Edges on both sides of a range, up to its width away from it; a single value is taken to be one wide.
fn outskirts(low: f64, high: f64) -> impl Iterator<Item = f64> {
    let width = if low < high { high - low } else { 1.0 };
    let step = width / f64::from(OUTSKIRTS);
    (1..=OUTSKIRTS).flat_map(move |k| [low - f64::from(k) * step, high + f64::from(k) * step])
}

/// Edges of bins `[a, b)`, the last one closed, as edges of bins `(a, b]`: each but the last moves down by one float.
fn left_closed(mut edges: Vec<f64>) -> Vec<f64> {
    if let Some((_, moved)) = edges.split_last_mut() {
        for edge in moved {
            *edge = edge.next_down();
        }
    }
    edges
}

/// Finite edges in strictly rising order; negative zero becomes zero.
fn rising(edges: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut edges: Vec<f64> = edges.filter(|edge| edge.is_finite()).map(|edge| edge + 0.0).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    edges
}

/// A cut whose edges reach over the range of the reference.
fn reaching(edges: Edges, grid: Grid, recuts: Recuts) -> Cut {
    let edges = match recuts.range[..] {
        [only] => edges.reaching(only.into(), only.into()),
        [first, last] => edges.reaching(first.into(), last.into()),
        _ => edges,
    };
    Cut { edges, grid, recuts }
}

fn checked(edges: Vec<f64>) -> Edges {
    Edges::new(edges).expect("edges were sorted, made unique, and are bounded by the number of fine bins")
}

/// Where `kept` stand among `edges`; those that are not there (infinite ones) are left out.
fn indexes_of(edges: &[f64], kept: &[f64]) -> Vec<u16> {
    let index = |edge: &f64| edges.binary_search_by(|other| other.total_cmp(&(edge + 0.0))).ok();
    let mut indexes: Vec<usize> = kept.iter().filter_map(index).collect();
    indexes.dedup();
    indexes.into_iter().map(|index| u16::try_from(index).expect("at most 8192 edges")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edges_of(cut: &Cut, kept: &[u16]) -> Vec<f64> {
        kept.iter().map(|&index| cut.edges.as_slice()[usize::from(index)]).collect()
    }

    #[test]
    fn equal_width_bins_hold_both_ends_of_the_range() {
        let cut = equal_width(0.0, 500.0, 40);
        assert_eq!(cut.edges.n_bins(), 43 + 2 * usize::from(OUTSKIRTS));
        let bins = [-0.001, 0.0, 500.0, 500.001].map(|value| cut.edges.bin(value) - usize::from(OUTSKIRTS));
        assert_eq!(bins, [0, 1, 41, 42]);
        assert_eq!(edges_of(&cut, &cut.recuts.range), [0_f64.next_down(), 500.0]);
        assert_eq!(edges_of(&cut, &cut.recuts.bins10), (1..10).map(|k| f64::from(k) * 50.0).collect::<Vec<_>>());
        assert_eq!(cut.recuts.bins20.len(), 19);
    }

    #[test]
    fn latencies_are_cut_from_a_tenth_of_a_millisecond_to_a_hundred_seconds() {
        let cut = latency(1040);
        assert_eq!([0.0, 0.1, 100_000.0].map(|value| cut.edges.bin(value)), [1, 1, 1041]);
        assert_eq!((cut.edges.bin(-1.0), cut.edges.bin(100_001.0)), (0, 1042));
        assert_eq!((cut.recuts.bins10.len(), cut.recuts.bins20.len()), (9, 19));
    }

    #[test]
    fn an_atom_has_a_bin_of_its_own() {
        let mut values: Vec<f64> = (0..5000).map(f64::from).collect();
        values.extend([2500.0; 500]);
        values.sort_by(f64::total_cmp);
        let cut = of_values(&values, 100);
        let bin = cut.edges.bin(2500.0);
        assert_eq!((cut.edges.bin(2500_f64.next_down()), cut.edges.bin(2500_f64.next_up())), (bin - 1, bin + 1));
    }

    #[test]
    fn a_constant_column_can_be_cut() {
        let cut = of_values(&[7.0; 3], 1040);
        let around = edges_of(&cut, &cut.recuts.bins10);
        assert!(around.len() == 2 && around[0] < 7.0 && 7.0 < around[1] && around[1] - around[0] < 1e-5, "{around:?}");
        assert_eq!(edges_of(&cut, &cut.recuts.doane), [6.5_f64.next_down(), 7.5]);
        let bins = [7_f64.next_down(), 7.0, 7_f64.next_up()].map(|value| cut.edges.bin(value));
        assert!(bins[0] < bins[1] && bins[1] < bins[2]);
    }

    /// Counts of values over the ten bins of a reference.
    fn counted(cut: &Cut, values: &[f64]) -> Vec<u64> {
        let mut histogram = crate::summary::Histogram::new(cut);
        histogram.update(cut, values);
        histogram.recut(&cut.recuts.bins10)
    }

    #[test]
    #[expect(
        clippy::cast_precision_loss,
        clippy::float_cmp,
        reason = "small whole numbers, and one value as it stands"
    )]
    fn a_value_that_holds_much_mass_is_a_bin_of_its_own_wherever_it_stands() {
        for (low, atom) in [(0.0, 100.0), (100.0, 0.0), (-50.0, 0.0), (7.0, 7.5)] {
            let other = |i: usize| low + (atom - low) * (i as f64 / 250.0) * 0.99;
            let mut values: Vec<f64> = (0..5000).map(|i| if i < 250 { other(i) } else { atom }).collect();
            values.sort_by(f64::total_cmp);
            let cut = of_values(&values, 1040);
            assert!(counted(&cut, &values).contains(&4750), "{atom}: {:?}", counted(&cut, &values));
            for recut in [&cut.recuts.bins10, &cut.recuts.bins20] {
                let edges = edges_of(&cut, recut);
                let bin = edges.partition_point(|&edge| edge < atom);
                assert!(values.iter().all(|&value| value == atom || edges.partition_point(|&e| e < value) != bin));
            }
        }
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "this loss is what is tested")]
    fn single_and_half_precision_and_another_order_of_addition_move_nothing() {
        let prices = [1.05, 2.1, 9.95, 19.9, 49.9, 99.9];
        let tenths = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
        for all in [&prices[..], &tenths[..]] {
            let mut values: Vec<f64> = (0..4000).map(|i| all[i * i % all.len()]).collect();
            values.sort_by(f64::total_cmp);
            let cut = of_values(&values, 1040);
            let expected = counted(&cut, &values);
            let half = |value: f64| value * (1.0 + if value > 50.0 { 4.8e-4 } else { -4.8e-4 });
            let noisy: [Vec<f64>; 3] = [
                values.iter().map(|&value| f64::from(value as f32)).collect(),
                values.iter().map(|value| value.next_up()).collect(),
                values.iter().map(|&value| half(value)).collect(),
            ];
            for other in noisy {
                assert_eq!(counted(&cut, &other), expected);
                let range: Vec<u16> = cut.recuts.range.clone();
                let mut histogram = crate::summary::Histogram::new(&cut);
                histogram.update(&cut, &other);
                assert_eq!(histogram.recut(&range)[1], 4000, "none out of range");
            }
        }
    }

    #[test]
    fn a_damaged_profile_is_refused() {
        let grid = Grid::for_range(0.0, 1.0);
        let recuts = Recuts { bins10: vec![0, 2], ..Recuts::default() };
        let profile = NumericProfile { name: "amount".to_owned(), edges: vec![0.0, 1.0], recuts, grid };
        let error = of_profile(&profile).unwrap_err();
        assert_eq!(error.to_string(), "column `amount` of the profile keeps edges that are not there");
    }

    proptest! {
        #[test]
        fn every_cut_can_be_laid_over_the_fine_edges(values in prop::collection::vec(-1e9..1e9_f64, 1..300), n in 1_u16..4) {
            let mut sorted = values;
            sorted.sort_by(f64::total_cmp);
            let cut = of_values(&sorted, n * 20);
            prop_assert_eq!(edges_of(&cut, &cut.recuts.bins10), quantile::interior(&sorted, 10));
            prop_assert_eq!(edges_of(&cut, &cut.recuts.bins20), quantile::interior(&sorted, 20));
            let range = (cut.edges.bin(sorted[0]), cut.edges.bin(sorted[sorted.len() - 1]));
            let (low, high) = (usize::from(cut.recuts.range[0]), usize::from(cut.recuts.range[1]));
            prop_assert!(range.0 > low && range.1 <= high, "no value out of range");
        }
    }
}
