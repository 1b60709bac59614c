//! A fine histogram as a distribution function: exact at the edges, a straight line inside each bin.

use std::borrow::Cow;

use crate::summary::histogram::Cut;
use crate::summary::{Histogram, Refined};

/// The distribution function of one side that holds at least one value.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    edges: Cow<'a, [f64]>,
    /// Share of rows below each bin, and 1 at the end.
    below: Vec<f64>,
    n: f64,
    min: f64,
    max: f64,
}

/// One side inside one bin: the share before and after it, and where the rows in between lie.
#[derive(Debug, Clone, Copy)]
struct LinePiece {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl LinePiece {
    /// The straight line at `x`; where the piece is a jump, its upper end if `after`.
    fn at(self, x: f64, after: bool) -> f64 {
        if x > self.to || (after && x >= self.to) {
            self.high
        } else if x <= self.from {
            self.low
        } else if x >= self.to {
            self.high
        } else {
            self.low + (self.high - self.low) * ((x - self.from) / (self.to - self.from))
        }
    }
}

impl<'a> Line<'a> {
    /// The distribution functions of histograms of one cut, `None` when one is empty.
    pub fn all<const N: usize>(cut: &'a Cut, sides: [&Histogram; N]) -> Option<[Self; N]> {
        let Refined { edges, counts } = Refined::of(cut, sides);
        let lines = sides.iter().zip(&counts).filter_map(|(side, counts)| {
            let edges = match &edges {
                Cow::Borrowed(_) => Cow::Borrowed(cut.edges.as_slice()),
                Cow::Owned(edges) => Cow::Owned(edges.clone()),
            };
            Self::new(edges, counts, side.min.zip(side.max)?)
        });
        lines.collect::<Vec<_>>().try_into().ok()
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    fn new(edges: Cow<'a, [f64]>, counts: &[u64], (min, max): (f64, f64)) -> Option<Self> {
        let n: u64 = counts.iter().sum();
        let cumulated = counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum as f64 / n as f64)
        });
        let below = std::iter::once(0.0).chain(cumulated).collect();
        (n > 0).then_some(Self { edges, below, n: n as f64, min, max })
    }

    /// Number of rows.
    pub(super) fn n(&self) -> f64 {
        self.n
    }

    /// Smallest value.
    pub(super) fn min(&self) -> f64 {
        self.min
    }

    /// Largest value.
    pub(super) fn max(&self) -> f64 {
        self.max
    }

    /// Rows between neighbours of `edges`, which span all values.
    pub fn counts(&self, edges: &[f64]) -> Vec<f64> {
        let inner = edges.get(1..edges.len() - 1).unwrap_or_default();
        let inner = inner.iter().map(|&edge| self.piece(self.bin(edge)).at(edge, true));
        let at: Vec<f64> = std::iter::once(0.0).chain(inner).chain(std::iter::once(1.0)).collect();
        at.windows(2).map(|pair| (pair[1] - pair[0]) * self.n).collect()
    }

    /// Between which numbers of rows certainly lie between neighbours of `edges`, which span all values; rows on an
    /// edge belong to its right.
    pub(super) fn certain_counts(&self, edges: &[f64]) -> Vec<(f64, f64)> {
        let inner = edges.get(1..edges.len() - 1).unwrap_or_default();
        let inner = inner.iter().map(|&edge| self.certain_below(edge));
        let at: Vec<(f64, f64)> = std::iter::once((0.0, 0.0)).chain(inner).chain(std::iter::once((1.0, 1.0))).collect();
        let rows = |share: f64| share.max(0.0) * self.n;
        at.windows(2).map(|pair| (rows(pair[1].0 - pair[0].1), rows(pair[1].1 - pair[0].0))).collect()
    }

    /// Between which shares of rows certainly are below `x`.
    fn certain_below(&self, x: f64) -> (f64, f64) {
        if x <= self.min {
            (0.0, 0.0)
        } else if x > self.max {
            (1.0, 1.0)
        } else {
            let bin = self.bin(x);
            (self.below[bin], self.below[bin + 1])
        }
    }

    /// Every place where this function may bend: edges between smallest and largest value, and these two.
    pub(super) fn knots(&self) -> impl Iterator<Item = f64> {
        let inside = self.edges.iter().copied().filter(|edge| self.min < *edge && *edge < self.max);
        inside.chain([self.min, self.max])
    }

    /// The bin of `x`.
    pub(super) fn bin(&self, x: f64) -> usize {
        self.edges.partition_point(|&edge| edge < x)
    }

    /// The straight line at both ends of `(from, to)`, which lies inside `bin`.
    pub(super) fn chord(&self, bin: usize, from: f64, to: f64) -> (f64, f64) {
        let piece = self.piece(bin);
        (piece.at(from, true), piece.at(to, false))
    }

    /// Between which shares the true function certainly is on `(from, to)`, which lies inside `bin`.
    pub(super) fn envelope(&self, bin: usize, from: f64, to: f64) -> (f64, f64) {
        if to <= self.min {
            (0.0, 0.0)
        } else if from >= self.max {
            (1.0, 1.0)
        } else {
            (self.below[bin], self.below[bin + 1])
        }
    }

    fn piece(&self, bin: usize) -> LinePiece {
        let lower = if bin == 0 { self.min } else { self.edges[bin - 1].max(self.min) };
        let upper = self.edges.get(bin).map_or(self.max, |edge| edge.min(self.max));
        LinePiece { low: self.below[bin], high: self.below[bin + 1], from: lower, to: upper }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::bin::Edges;
    use crate::kernel::moment::Grid;
    use crate::summary::histogram::Recuts;

    #[test]
    fn rows_are_spread_evenly_inside_a_bin() {
        let edges = Edges::new(vec![0.0, 1.0]).expect("edges increase");
        let cut = Cut { edges, grid: Grid::for_range(0.0, 1.0), recuts: Recuts::default() };
        let mut histogram = Histogram::new(&cut);
        histogram.update(&cut, &[-2.0, 0.25, 0.5, 1.0]);
        let [line] = Line::all(&cut, [&histogram]).expect("not empty");
        assert_eq!(line.counts(&[-2.0, -1.0, 0.5, 1.0]), vec![0.5, 2.0, 1.5]);
        assert_eq!(line.certain_counts(&[-2.0, -1.0, 0.5, 1.0]), vec![(0.0, 1.0), (0.0, 4.0), (0.0, 3.0)]);
        assert_eq!(line.certain_counts(&[-9.0, -2.0, 0.0, 7.0, 9.0]), [(0.0, 0.0), (0.0, 1.0), (3.0, 4.0), (0.0, 0.0)]);
        assert_eq!(line.chord(1, 0.0, 1.0), (0.25, 1.0));
        assert_eq!(line.envelope(1, 0.0, 0.5), (0.25, 1.0));
        assert_eq!(line.envelope(2, 1.0, 7.0), (1.0, 1.0));
    }
}
