//! Root-mean-square calibration error: like the expected one, with large gaps counting for more.
//!
//! `RMSCE = sqrt(sum over bins of n_b / n (mean label - mean score)^2)`, once per bin count of the plan, for equal
//! width and equal mass.
//!
//! **Source**: Kumar, Liang and Ma, Verified uncertainty calibration, `NeurIPS` 2019, section 2 (the l2 error).
//! **Reads**: labelled predictions of a classification task.
//! **Returns**: 0 to 1, up is worse; never below [`super::ece`] over the same bins.
//! **Assumes**: nothing; chance alone puts it above 0.
//! **Error**: as [`super::ece`].
//! **Cost**: one pass over the bins.

use crate::metric::binned::{Binned, FilledBin};
use crate::metric::spec::Spec;

/// See the head of this file.
pub(super) static RMSCE: Binned = Binned {
    spec: Spec {
        name: "rmsce",
        help: "Root-mean-square calibration error: gap between score and truth, large gaps counting for more.",
        formula: "sqrt(sum n_b / n (mean y - mean s)^2)",
        source: "Kumar et al. 2019",
        ..Spec::CALIBRATION
    },
    equal_width: true,
    equal_mass: true,
    bounds: None,
    of: |bins| Some(rmsce(bins)),
};

fn rmsce(bins: &[FilledBin]) -> f64 {
    let gap = |bin: &FilledBin| bin.label - bin.score;
    bins.iter().map(|bin| bin.weight * gap(bin) * gap(bin)).sum::<f64>().sqrt()
}
