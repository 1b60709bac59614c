//! Metrics over reliability bins: equal width as the plan says, or equal mass cut from the fine bins.

use crate::metric::one_sided::mean;
use crate::metric::reading::Measured;
use crate::metric::{Context, Metric, Reading, Side, Spec};
use crate::summary::Quality;
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
    pub(super) of: fn(&[Bin]) -> Option<f64>,
}

/// One filled bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bin {
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

    fn read(&self, current: Side<'_>, _: Option<Side<'_>>, context: &Context<'_>) -> Vec<Reading> {
        let Side::Quality(quality) = current else { return Vec::new() };
        if !self.spec.admits(context) {
            return Vec::new();
        }
        let reading = |convention, bins: &[ReliabilityBin]| {
            let formula = || Measured::from((self.of)(&filled(bins, quality.n))).over(bins.len());
            Reading::new(&self.spec, convention, (quality.n, None), formula)
        };
        let width = quality.width.iter().filter(|_| self.equal_width);
        let width = width.map(|bins| reading(format!("equal_width_{}", bins.len()), bins));
        let mass = quality.width.iter().filter(|_| self.equal_mass);
        let mass =
            mass.map(|bins| reading(format!("equal_mass_{},fine_bins", bins.len()), &equal_mass(quality, bins.len())));
        width.chain(mass).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn filled(bins: &[ReliabilityBin], n: u64) -> Vec<Bin> {
    let filled = bins.iter().filter(|bin| bin.n > 0);
    let bin = |bin: &ReliabilityBin| Bin {
        n: bin.n as f64,
        weight: bin.n as f64 / n as f64,
        score: mean(bin.score.value(), bin.n),
        label: bin.positive as f64 / bin.n as f64,
    };
    filled.map(bin).collect()
}

/// At most `n_bins` runs of fine bins, cut after the fine bins that hold the rows of rank `floor((n - 1) i / n_bins)`:
/// where the type-7 quantiles of the scores would cut, to one fine bin.
fn equal_mass(quality: &Quality, n_bins: usize) -> Vec<ReliabilityBin> {
    let mut bins = vec![ReliabilityBin::default()];
    let (mut seen, mut cuts) = (0, 1);
    let rank = |i: usize| quality.n.saturating_sub(1) * i as u64 / n_bins as u64;
    for fine in &quality.fine {
        bins.last_mut().expect("there is a first bin").merge(fine);
        seen += fine.n;
        let reached = cuts;
        while cuts < n_bins && rank(cuts) < seen {
            cuts += 1;
        }
        if cuts > reached {
            bins.push(ReliabilityBin::default());
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_mass_cuts_after_the_rows_at_its_ranks() {
        let fine = [3, 0, 1, 4, 2].map(|n| ReliabilityBin { n, ..ReliabilityBin::default() });
        let quality = Quality { n: 10, fine: fine.to_vec(), ..Quality::default() };
        let counts = |n_bins| equal_mass(&quality, n_bins).iter().map(|bin| bin.n).collect::<Vec<_>>();
        assert_eq!(counts(1), [10]);
        assert_eq!(counts(2), [8, 2], "rank 4 lies in the fourth fine bin");
        assert_eq!(counts(5), [3, 1, 4, 2], "ranks 1, 3, 5 and 7");
    }
}
