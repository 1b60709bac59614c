//! Expected calibration error: mean gap between what bins of scores promised and what came true.
//!
//! `ECE = sum over bins of n_b / n |mean label - mean score|`, once per bin count of the plan, for equal width and
//! equal mass.
//!
//! **Source**: Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI
//! 2015.
//! **Reads**: labelled predictions of a classification task.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: nothing; chance alone puts it above 0 (see [`super::ece_excess`]).
//! **Error**: bins of equal width are exact; bins of equal mass are cut at fine bins, and exact but for where they are
//! cut: the bounds allow for every row that may belong to the next bin.
//! **Cost**: one pass over the bins.

use crate::metric::binned::{Binned, FilledBin};
use crate::metric::spec::{Spec, Visibility};

/// See the head of this file.
pub(super) static ECE: Binned = Binned {
    spec: Spec {
        name: "ece",
        help: "Expected calibration error: mean gap between score and truth over bins.",
        formula: "sum n_b / n |mean y - mean s|",
        source: "Naeini et al. 2015",
        shown: &[Visibility::Dashboard, Visibility::Figures],
        ..Spec::CALIBRATION
    },
    equal_width: true,
    equal_mass: true,
    bounds: Some(bounds),
    of: |bins| Some(ece(bins)),
};

/// Between which numbers the error is, where the summed gap of each bin is between two.
fn bounds(gaps: &[(f64, f64)], n: f64) -> (f64, f64) {
    let least = |(low, high): (f64, f64)| if low > 0.0 { low } else { (-high).max(0.0) };
    let most = |(low, high): (f64, f64)| high.max(-low);
    let sum = |of: &dyn Fn((f64, f64)) -> f64| gaps.iter().map(|&gap| of(gap)).sum::<f64>() / n;
    (sum(&least), sum(&most))
}

/// The error over filled bins.
pub(super) fn ece(bins: &[FilledBin]) -> f64 {
    bins.iter().map(|bin| bin.weight * (bin.label - bin.score).abs()).sum()
}
