//! Metrics over reliability bins: equal width as the plan says, or equal mass cut from the fine bins.

use crate::metric::ks::is_one_number;
use crate::metric::one_sided::mean;
use crate::metric::reading::FormulaResult;
use crate::metric::{Context, Metric, MetricResult, Side, Spec};
use crate::summary::Refined;
use crate::summary::quality::ReliabilityBin;

/// A metric that is one formula over reliability bins, read once per bin count of the plan.
pub(super) struct Binned {
    /// Its row.
    pub(super) spec: Spec,
    /// Whether it is read over bins of equal width.
    pub(super) equal_width: bool,
    /// Whether it is read over bins of equal mass.
    pub(super) equal_mass: bool,
    /// The formula over the bins that hold something.
    pub(super) of: fn(&[FilledBin]) -> Option<f64>,
    /// Its bounds for bins of equal mass, where it has some: from the least and the most that scores less labels of
    /// each bin add up to, and all rows.
    pub(super) bounds: Option<BoundsOf>,
}

/// See [`Binned::bounds`].
type BoundsOf = fn(&[(f64, f64)], f64) -> (f64, f64);

/// One filled bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FilledBin {
    /// Labelled predictions in it.
    pub(super) n: f64,
    /// Their share of all.
    pub(super) weight: f64,
    /// Mean score.
    pub(super) score: f64,
    /// Share of positive labels.
    pub(super) label: f64,
}

impl Metric for Binned {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn read(&self, current: Side<'_>, _: Option<Side<'_>>, context: &Context<'_>) -> Vec<MetricResult> {
        let Side::Quality(quality) = current else { return Vec::new() };
        if !self.spec.admits(context) {
            return Vec::new();
        }
        let measured =
            |bins: &[ReliabilityBin]| FormulaResult::from((self.of)(&filled(bins, quality.n))).over(bins.len());
        let reading = |convention, measured: &dyn Fn() -> FormulaResult| {
            MetricResult::new(&self.spec, convention, (quality.n, None), measured)
        };
        let width = quality.width.iter().filter(|_| self.equal_width);
        let width = width.map(|bins| reading(format!("equal_width_{}", bins.len()), &|| measured(bins)));
        let Some(plan) = context.quality.filter(|_| self.equal_mass) else { return width.collect() };
        let fine = Refined::of_labels(plan, quality);
        let mass = quality.width.iter().map(Vec::len).map(|n_bins| {
            reading(format!("equal_mass_{n_bins},fine_bins"), &|| {
                let (bins, open) = equal_mass(&fine, n_bins);
                let bounds = self.bounds.map(|bounds| bounds(&gaps(&bins, &open), count(quality.n)));
                bounds.into_iter().fold(measured(&bins), |measured, (low, high)| measured.around(low, high))
            })
        });
        width.chain(mass).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn filled(bins: &[ReliabilityBin], n: u64) -> Vec<FilledBin> {
    let filled = bins.iter().filter(|bin| bin.n > 0);
    let bin = |bin: &ReliabilityBin| FilledBin {
        n: bin.n as f64,
        weight: bin.n as f64 / n as f64,
        score: mean(bin.score.value(), bin.n),
        label: bin.positive as f64 / bin.n as f64,
    };
    filled.map(bin).collect()
}

/// At most `n_bins` runs of fine bins, cut after the fine bins that hold the rows of rank `floor((n - 1) i / n_bins)`:
/// where the type-7 quantiles of the scores would cut, to one fine bin. Then, for each run, the least and the most that
/// scores less labels add up to of those of its last rows that may belong to the next one.
fn equal_mass(fine: &Refined<'_, ReliabilityBin, 1>, n_bins: usize) -> (Vec<ReliabilityBin>, Vec<(f64, f64)>) {
    let (edges, [fine]) = (&fine.edges, &fine.counts);
    let (mut bins, mut open) = (vec![ReliabilityBin::default()], Vec::new());
    let (mut seen, mut cuts) = (0, 1);
    let n: u64 = fine.iter().map(|fine| fine.n).sum();
    let rank = |i: usize| n.saturating_sub(1) * i as u64 / n_bins as u64;
    for (bin, fine) in fine.iter().enumerate() {
        bins.last_mut().expect("there is a first bin").merge(fine);
        seen += fine.n;
        let reached = cuts;
        while cuts < n_bins && rank(cuts) < seen {
            cuts += 1;
        }
        if cuts > reached {
            bins.push(ReliabilityBin::default());
            let ends = [bin.checked_sub(1).map_or(0.0, |below| edges[below]), edges.get(bin).copied().unwrap_or(1.0)];
            open.push(match cuts - reached {
                _ if is_one_number(edges, bin) => (0.0, 0.0),
                1 => moved(fine, ends, seen - rank(reached) - 1),
                // What lies between two cuts is a run of its own in truth.
                _ => {
                    let (least, most) = moved(fine, ends, fine.n);
                    (least - most, most - least)
                }
            });
        }
    }
    (bins, open)
}

/// Between which numbers scores less labels of `n` rows of a fine bin add up to.
fn moved(fine: &ReliabilityBin, ends: [f64; 2], n: u64) -> (f64, f64) {
    let [low, high] = ends.map(|end| end.clamp(0.0, 1.0));
    let (positive, negative) = (n.min(fine.positive), n.min(fine.n - fine.positive));
    (count(positive) * (low - 1.0), count(negative) * high)
}

/// Between which numbers scores less labels of each run add up to.
fn gaps(bins: &[ReliabilityBin], open: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let at = |run: Option<usize>| run.and_then(|run| open.get(run)).copied().unwrap_or_default();
    let gap = |(run, bin): (usize, &ReliabilityBin)| {
        let (sum, from, to) = (bin.score.value() - count(bin.positive), at(run.checked_sub(1)), at(Some(run)));
        (sum + from.0 - to.1, sum + from.1 - to.0)
    };
    bins.iter().enumerate().map(gap).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn count(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_mass_cuts_after_the_rows_at_its_ranks() {
        let fine = [3, 0, 1, 4, 2].map(|n| ReliabilityBin { n, ..ReliabilityBin::default() });
        let fine = Refined { edges: vec![0.2, 0.4, 0.6, 0.8].into(), counts: [fine.to_vec().into()] };
        let counts = |n_bins| equal_mass(&fine, n_bins).0.iter().map(|bin| bin.n).collect::<Vec<_>>();
        assert_eq!(counts(1), [10]);
        assert_eq!(counts(2), [8, 2], "rank 4 lies in the fourth fine bin");
        assert_eq!(counts(5), [3, 1, 4, 2], "ranks 1, 3, 5 and 7");
    }
}
