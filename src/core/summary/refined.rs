//! Counts over the fine edges of a cut and, where values lie beyond its reach, over the cells of their tails: the
//! finest bins that all sides have in common.

use std::borrow::Cow;

use crate::kernel::bin::{Edges, Reach};
use crate::plan::QualityPlan;
use crate::summary::histogram::Cut;
use crate::summary::quality::ReliabilityBin;
use crate::summary::tail::{self, CellCount, Tails};
use crate::summary::{Histogram, Quality};

/// The bins and the counts of `N` sides in them.
#[derive(Debug, Clone, PartialEq)]
pub struct Refined<'a, T: Clone, const N: usize> {
    /// Edges, one less than bins.
    pub edges: Cow<'a, [f64]>,
    /// One count per bin and side.
    pub counts: [Cow<'a, [T]>; N],
}

impl<'a, const N: usize> Refined<'a, u64, N> {
    /// Histograms of one cut.
    #[must_use]
    pub fn of(cut: &'a Cut, sides: [&'a Histogram; N]) -> Self {
        Self::new(&cut.edges, sides.map(|side| (&*side.counts, &side.tails)))
    }
}

impl<'a> Refined<'a, ReliabilityBin, 1> {
    /// Labelled predictions by score.
    #[must_use]
    pub fn of_labels(plan: &'a QualityPlan, quality: &'a Quality) -> Self {
        Self::new(&plan.score_edges, [(&*quality.fine, &quality.tails)])
    }
}

impl<'a, T: CellCount, const N: usize> Refined<'a, T, N> {
    /// Counts over fine edges, with the tails beyond them. A tail counts only where it is whole on every side: what an
    /// earlier release has counted has none.
    #[must_use]
    pub fn new(edges: &'a Edges, sides: [(&'a [T], &'a Tails<T>); N]) -> Self {
        let fine = Self { edges: Cow::Borrowed(edges.as_slice()), counts: sides.map(|(fine, _)| Cow::Borrowed(fine)) };
        let Some(reach) = edges.reach().filter(|_| sides.iter().any(|(_, tails)| !tails.is_empty())) else {
            return fine;
        };
        let n = |fine: &[T]| fine.iter().map(CellCount::n).sum::<u64>();
        let below = sides.iter().all(|(fine, tails)| n(&fine[..=reach.first]) == tails.below.n());
        let above = sides.iter().all(|(fine, tails)| n(&fine[reach.last + 1..]) == tails.above.n());
        Bins::default().refine(&fine, reach, sides.map(|(_, tails)| tails), [below, above])
    }
}

/// Bins in the making: each but the last has its upper edge.
struct Bins<T, const N: usize> {
    edges: Vec<f64>,
    counts: Vec<[T; N]>,
}

impl<T, const N: usize> Default for Bins<T, N> {
    fn default() -> Self {
        Self { edges: Vec::new(), counts: Vec::new() }
    }
}

impl<T: CellCount, const N: usize> Bins<T, N> {
    fn refine<'a>(
        mut self,
        fine: &Refined<'_, T, N>,
        reach: Reach,
        tails: [&Tails<T>; N],
        [below, above]: [bool; 2],
    ) -> Refined<'a, T, N> {
        if below {
            self.cells(tails.map(|tails| &tails.below), reach.low);
            self.close(reach.low, nothing());
        }
        let from = if below { reach.first + 1 } else { 0 };
        let to = if above { reach.last } else { fine.edges.len() - 1 };
        for bin in from..=to {
            self.close(fine.edges[bin], std::array::from_fn(|side| fine.counts[side][bin].clone()));
        }
        if above {
            self.cells(tails.map(|tails| &tails.above), f64::MAX);
            self.counts.push(nothing());
        } else {
            self.counts.push(std::array::from_fn(|side| fine.counts[side][to + 1].clone()));
        }
        let side = |side: usize| self.counts.iter().map(|counts| counts[side].clone()).collect();
        Refined { counts: std::array::from_fn(|at| Cow::Owned(side(at))), edges: Cow::Owned(self.edges) }
    }

    /// A bin for each cell, none of which goes on beyond `most`, and one for each gap between them.
    fn cells(&mut self, tails: [&tail::Tail<T>; N], most: f64) {
        for ((first, last), counts) in tail::side_by_side(tails) {
            let before = first.next_down();
            if before.is_finite() && self.edges.last().is_none_or(|&edge| edge < before) {
                self.close(before, nothing());
            }
            self.close(last.min(most), counts);
        }
    }

    /// Ends a bin at `upper`; what ends where one has ended belongs to that one.
    fn close(&mut self, upper: f64, counts: [T; N]) {
        match self.counts.last_mut() {
            Some(bin) if self.edges.last().is_some_and(|&edge| upper <= edge) => {
                bin.iter_mut().zip(&counts).for_each(|(count, more)| count.add(more));
            }
            _ => {
                self.edges.push(upper);
                self.counts.push(counts);
            }
        }
    }
}

fn nothing<T: CellCount, const N: usize>() -> [T; N] {
    std::array::from_fn(|_| T::default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::baseline::cut;

    fn histogram(cut: &Cut, values: &[f64]) -> Histogram {
        let mut histogram = Histogram::new(cut);
        histogram.update(cut, values);
        histogram
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![4 => -3.0..4.0_f64, 2 => -1e300..1e300_f64, 1 => prop::sample::select(vec![0.0, 1.0, 1e9, -1e9])]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn bins_rise_and_every_value_is_in_its_own(
            sides in [prop::collection::vec(value(), 0..1500), prop::collection::vec(value(), 0..1500)],
        ) {
            let cut = cut::equal_width(0.0, 1.0, 20);
            let counted = [&sides[0], &sides[1]].map(|values| histogram(&cut, values));
            let bins = Refined::of(&cut, [&counted[0], &counted[1]]);
            prop_assert!(bins.edges.is_sorted_by(|a, b| a < b) && bins.edges.iter().all(|edge| edge.is_finite()));
            for (counts, values) in bins.counts.iter().zip(&sides) {
                let mut twin = vec![0; bins.edges.len() + 1];
                values.iter().for_each(|&value| twin[bins.edges.partition_point(|&edge| edge < value)] += 1);
                prop_assert_eq!(&**counts, &*twin);
            }
        }
    }

    #[test]
    fn without_anything_beyond_the_bins_are_those_of_the_cut() {
        let cut = cut::equal_width(0.0, 1.0, 20);
        let side = histogram(&cut, &[0.0, 0.5, 1.0]);
        assert!(matches!(Refined::of(&cut, [&side]).edges, Cow::Borrowed(_)));
    }

    #[test]
    fn a_tail_that_is_not_whole_is_left_to_the_fine_bins() {
        let cut = cut::equal_width(0.0, 1.0, 20);
        let new = histogram(&cut, &[-7.0, -7.5, 0.5, 9.0]);
        let old = Histogram { tails: Tails::default(), ..histogram(&cut, &[0.5, 9.5]) };
        let bins = Refined::of(&cut, [&new, &old]);
        assert_eq!(bins.edges[..4], [(-7.5_f64).next_down(), -7.5, (-7_f64).next_down(), -7.0]);
        assert_eq!(bins.edges.last(), cut.edges.as_slice().last(), "above, one side does not know where its value is");
        assert_eq!(bins.counts.each_ref().map(|counts| counts[counts.len() - 1]), [1, 1]);
    }
}
