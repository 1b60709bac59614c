//! Two rows of counts over the same cells: what every share-based comparison reads.
//!
//! Numeric columns give the bins of a recut of the fine histogram; categorical columns give the union of the categories
//! that either side saw. Against the reference the cells are the reference's quantile bins. Two sides of which neither
//! is the reference may both have left it, so they are cut at the quantiles of both together (`summary::refined`):
//! under no difference these say nothing about which row is whose.

use std::collections::BTreeMap;

use crate::metric::alike::settled;
use crate::metric::line::Line;
use crate::metric::{Context, Quantiles, Side};
use crate::summary::histogram::Cut;
use crate::summary::{Category, Histogram, Refined};

/// Which cells a numeric column is counted in. Categorical columns always give their categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinningRule {
    /// Quantiles, as many and whose the context says.
    Quantiles,
    /// `NannyML`'s bins.
    Doane,
    /// Evidently's bins: Sturges' rule on both sides together, or one per value for at most 20 values.
    Sturges,
    /// Categories only: the tool's numeric bins cannot be had from ours.
    Categories,
}

/// The two rows of counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Paired {
    /// What the cells are, as it stands in a convention.
    pub(crate) label: &'static str,
    /// Counts of the baseline.
    pub baseline: Vec<f64>,
    /// Counts of the judged side, of the same length.
    pub current: Vec<f64>,
    /// Where counts are read off bins that do not end where the cells do: between which numbers each certainly is, of
    /// both sides. Empty where counts are exact.
    pub(super) certain: Vec<[(f64, f64); 2]>,
}

/// Between which shares a cell certainly has of both sides.
pub(super) type ShareRange = [(f64, f64); 2];

/// At most so many distinct values count as categories for Evidently.
const DISTINCT_MAX: usize = 20;

impl Paired {
    /// The counts of two sides of one column, where both are of one kind and the profile holds such cells.
    pub fn new(cells: BinningRule, current: Side<'_>, baseline: Side<'_>, context: &Context<'_>) -> Option<Self> {
        match (current, baseline) {
            (Side::Categorical(current), Side::Categorical(baseline)) => Some(categories(current, baseline)),
            (Side::Numeric(current), Side::Numeric(baseline)) => {
                let cut = context.cut?;
                match cells {
                    BinningRule::Quantiles => Some(quantiles(cut, context, current, baseline)),
                    BinningRule::Doane => {
                        let kept = &cut.recuts.doane;
                        (!kept.is_empty()).then(|| recut("doane", kept, current, baseline))
                    }
                    BinningRule::Sturges => sturges(cut, current, baseline),
                    BinningRule::Categories => None,
                }
            }
            _ => None,
        }
    }

    /// Counts that are exact.
    pub(super) fn exact(label: &'static str, baseline: Vec<f64>, current: Vec<f64>) -> Self {
        Self { label, baseline, current, certain: Vec::new() }
    }

    /// Number of cells.
    pub(super) fn len(&self) -> usize {
        self.baseline.len()
    }

    /// Whether all rows of both sides are in one cell.
    pub(super) fn is_one_cell(&self) -> bool {
        self.dof() == 0
    }

    /// Degrees of freedom: one less than the cells that hold something.
    pub(super) fn dof(&self) -> u32 {
        let filled = self.pairs().filter(|(b, c)| b + c > 0.0).count();
        u32::try_from(filled.saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Rows of baseline and judged side.
    pub(super) fn totals(&self) -> (f64, f64) {
        (self.baseline.iter().sum(), self.current.iter().sum())
    }

    /// Shares `(p, q)` of baseline and judged side per cell.
    pub(super) fn shares(&self) -> impl Iterator<Item = (f64, f64)> {
        self.shares_with(0.0)
    }

    /// Shares with `added` rows in every cell.
    #[expect(clippy::cast_precision_loss, reason = "thousands of cells")]
    pub(super) fn shares_with(&self, added: f64) -> impl Iterator<Item = (f64, f64)> {
        let (m, n) = self.totals();
        let more = added * self.len() as f64;
        self.pairs().map(move |(b, c)| ((b + added) / (m + more), (c + added) / (n + more)))
    }

    /// Counts of baseline and judged side per cell.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (f64, f64)> {
        self.baseline.iter().copied().zip(self.current.iter().copied())
    }

    /// Without the cells that both sides left empty.
    fn seen(self) -> Self {
        let (baseline, current) = self.pairs().filter(|(b, c)| b + c > 0.0).unzip();
        Self { baseline, current, ..self }
    }

    /// Bounds of a sum over cells whose counts are not exact: `term` is convex in the two shares, and is 0 where they
    /// are equal. `None` where counts are exact.
    ///
    /// The most that a convex function has on a rectangle is at a corner; the least is 0 where the shares may be equal,
    /// else at the corner where they are nearest. That all shares add up to 1 is left out, so the bounds hold and are
    /// not the narrowest.
    pub(super) fn bounds(
        &self,
        range: impl Fn(ShareRange) -> ShareRange,
        term: impl Fn(f64, f64) -> f64,
    ) -> Option<(f64, f64)> {
        if self.certain.is_empty() {
            return None;
        }
        let (m, n) = self.totals();
        let share = |(low, high): (f64, f64), of: f64| (low / of, (high / of).min(1.0));
        let cells = self.certain.iter().map(|&[baseline, current]| range([share(baseline, m), share(current, n)]));
        let (mut least, mut most) = (0.0, 0.0);
        for [p, q] in cells {
            if p.1 < q.0 {
                least += term(p.1, q.0);
            } else if q.1 < p.0 {
                least += term(p.0, q.1);
            }
            most += [term(p.0, q.0), term(p.0, q.1), term(p.1, q.0), term(p.1, q.1)].into_iter().fold(0.0, f64::max);
        }
        Some((least, most))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn floats(counts: &[u64]) -> Vec<f64> {
    counts.iter().map(|&count| count as f64).collect()
}

/// Quantile bins, as many and of whom the context says; edges that were written down stay what they are.
fn quantiles(cut: &Cut, context: &Context<'_>, current: &Histogram, baseline: &Histogram) -> Paired {
    let (label, of_both, kept) = match context.bins {
        20 => ("20_quantiles", "20_quantiles_of_both", &cut.recuts.bins20),
        _ => ("deciles", "deciles_of_both", &cut.recuts.bins10),
    };
    if context.quantiles == Quantiles::Reference || cut.keeps_all() {
        return recut(label, kept, current, baseline);
    }
    let [baseline, current] = cells_of_both(cut, [baseline, current], context.bins);
    Paired::exact(of_both, floats(&baseline), floats(&current))
}

/// Counts of two sides between those edges that are nearest to the `k`-quantiles of both together. A bin that holds as
/// much as a `k`-th of all rows is a cell of its own, so that what lies beside a heavy value is seen. Cells without any
/// row are left out, and edges that were written down stay what they are.
pub(crate) fn cells_of_both(cut: &Cut, sides: [&Histogram; 2], k: u16) -> [Vec<u64>; 2] {
    if cut.keeps_all() {
        return sides.map(|side| side.counts.clone());
    }
    let [left, right] = settled(cut, &Refined::of(cut, sides));
    let pooled = || left.iter().zip(&right).map(|(a, b)| a + b);
    let (n, k) = (pooled().sum::<u64>(), u64::from(k));
    let heavy = pooled().enumerate().filter(|(_, rows)| n > 0 && k * rows >= n);
    let mut cuts: Vec<usize> = heavy.flat_map(|(bin, _)| [bin, bin + 1]).collect();
    cuts.extend(nearest(pooled(), n, k));
    cuts.extend([0, left.len()]);
    cuts.sort_unstable();
    cuts.dedup();
    let cells = cuts.windows(2).map(|cell| [&left, &right].map(|side| side[cell[0]..cell[1]].iter().sum::<u64>()));
    let filled: Vec<[u64; 2]> = cells.filter(|[a, b]| a + b > 0).collect();
    [0, 1].map(|side| filled.iter().map(|cell| cell[side]).collect())
}

/// After how many bins the rows so far are nearest to `n / k`, `2 n / k` and so on.
fn nearest(bins: impl Iterator<Item = u64>, n: u64, k: u64) -> Vec<usize> {
    let (mut cuts, mut step, mut before) = (Vec::new(), 1, 0);
    for (bin, rows) in bins.enumerate() {
        let after = before + rows;
        while step < k && k * after >= step * n {
            let (above, below) = (k * after - step * n, step * n - k * before);
            cuts.push(if below < above { bin } else { bin + 1 });
            step += 1;
        }
        before = after;
    }
    cuts
}

fn recut(label: &'static str, kept: &[u16], current: &Histogram, baseline: &Histogram) -> Paired {
    Paired::exact(label, floats(&baseline.recut(kept)), floats(&current.recut(kept)))
}

/// Known categories in the reference's order, then others by name, then those that lost their name.
fn categories(current: &Category, baseline: &Category) -> Paired {
    let horizon = horizon(current).min(horizon(baseline));
    let mut named: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    let mut nameless = [baseline.other, current.other];
    for (side, category) in [baseline, current].into_iter().enumerate() {
        for (&hash, (name, count)) in &category.unseen {
            let cell = if hash <= horizon { named.entry(name).or_default() } else { &mut nameless };
            cell[side] += count;
        }
    }
    let known = baseline.known.iter().zip(&current.known).map(|(&b, &c)| [b, c]);
    let cells: Vec<[u64; 2]> = known.chain(named.into_values()).chain([nameless]).collect();
    let row = |side: usize| floats(&cells.iter().map(|cell| cell[side]).collect::<Vec<_>>());
    Paired::exact("categories", row(0), row(1)).seen()
}

/// Up to which hash a side still knows every name: a name beyond it may have been pushed out there, so that it cannot
/// be told apart on the other side either.
fn horizon(category: &Category) -> u64 {
    let full = category.unseen.keys().next_back().filter(|_| category.other > 0);
    full.copied().unwrap_or(u64::MAX)
}

/// Evidently's cells as far as fine bins can tell. A baseline with at most 20 distinct values is counted by value. Of a
/// column whose reference has no more, each has a bin of its own; of a baseline with no more rows, nearly so. Where
/// more rows fill few of many bins, nobody knows which of the two rules holds; then there are no cells.
fn sturges(cut: &Cut, current: &Histogram, baseline: &Histogram) -> Option<Paired> {
    if cut.edges.n_bins() <= DISTINCT_MAX + 1 || baseline.n() <= DISTINCT_MAX as u64 {
        let (baseline, current) = (floats(&baseline.counts), floats(&current.counts));
        return Some(Paired::exact("distinct_values", baseline, current).seen());
    }
    let sides = Line::all(cut, [baseline, current])?;
    if baseline.counts.iter().filter(|&&count| count > 0).count() <= DISTINCT_MAX {
        return Some(Paired::exact("not_known", Vec::new(), Vec::new()));
    }
    let edges =
        equal_edges(sides[0].min().min(sides[1].min()), sides[0].max().max(sides[1].max()), sturges_bins(&sides));
    let [left, right] = sides.each_ref().map(|line| line.certain_counts(&edges));
    let certain = left.into_iter().zip(right).map(|(baseline, current)| [baseline, current]).collect();
    let [baseline, current] = sides.map(|line| line.counts(&edges));
    Some(Paired { label: "sturges_approximated", baseline, current, certain })
}

/// Sturges' rule on the pooled rows.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a logarithm of a count")]
fn sturges_bins(sides: &[Line<'_>; 2]) -> u32 {
    libm::ceil(libm::log2(sides[0].n() + sides[1].n()) + 1.0) as u32
}

/// `n_bins + 1` evenly spaced edges.
fn equal_edges(low: f64, high: f64, n_bins: u32) -> Vec<f64> {
    let edge = |i: u32| if i == n_bins { high } else { low + (high - low) * f64::from(i) / f64::from(n_bins) };
    (0..=n_bins).map(edge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::category::UNSEEN_MAX;

    #[test]
    fn names_that_one_side_pushed_out_are_told_apart_on_neither() {
        let (mut many, mut few) = (Category::new(1), Category::new(1));
        (0..3 * UNSEEN_MAX).for_each(|name| many.add_unseen(&format!("c{name}"), 2));
        (0..UNSEEN_MAX).for_each(|name| few.add_unseen(&format!("c{name}"), 2));
        let kept = few.unseen.keys().filter(|hash| many.unseen.contains_key(hash)).count();
        let paired = categories(&many, &few);
        assert_eq!(paired.len(), UNSEEN_MAX + 1, "the empty known category is dropped, the nameless share a cell");
        assert_eq!(paired.baseline.iter().filter(|count| **count > 0.0).count(), kept + 1, "names that both know");
        assert_eq!(paired.totals(), (2.0 * floats(&[UNSEEN_MAX as u64])[0], 6.0 * floats(&[UNSEEN_MAX as u64])[0]));
        let nameless = floats(&[2 * (UNSEEN_MAX - kept) as u64])[0];
        assert_eq!(paired.baseline.last(), Some(&nameless), "names that may have been pushed out on the other side");
    }

    #[test]
    fn evenly_spaced_edges_end_where_they_should() {
        assert_eq!(equal_edges(-1.0, 2.0, 3), [-1.0, 0.0, 1.0, 2.0]);
    }
}
