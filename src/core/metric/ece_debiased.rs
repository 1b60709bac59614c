//! Debiased calibration error: root mean squared gap, less what the chance of each bin adds to it.
//!
//! `sqrt(max(0, sum over bins of n_b / n ((mean y - mean s)^2 - mean y (1 - mean y) / (n_b - 1))))`; bins with one
//! label are left out, as they say nothing about their chance.
//!
//! **Source**: Kumar, Liang and Ma, Verified uncertainty calibration, `NeurIPS` 2019, section 5.
//! **Reads**: labelled predictions of a classification task.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: independent labels.
//! **Error**: bins of equal width are exact; bins of equal mass are cut at fine bins, and exact but for where they are
//! cut.
//! **Cost**: one pass over the bins.

use crate::metric::binned::{Binned, FilledBin};
use crate::metric::spec::{Spec, Visibility};

/// See the head of this file.
pub(super) static ECE_DEBIASED: Binned = Binned {
    spec: Spec {
        name: "ece_debiased",
        help: "Root mean squared calibration gap without the bias of small bins.",
        formula: "sqrt(max(0, sum n_b / n ((mean y - mean s)^2 - mean y (1 - mean y) / (n_b - 1))))",
        source: "Kumar et al. 2019, section 5",
        shown: &[Visibility::Figures],
        ..Spec::CALIBRATION
    },
    equal_width: true,
    equal_mass: true,
    bounds: None,
    of: |bins| Some(debiased(bins)),
};

fn debiased(bins: &[FilledBin]) -> f64 {
    let square = |bin: &FilledBin| {
        let gap = bin.label - bin.score;
        bin.weight * (gap * gap - bin.label * (1.0 - bin.label) / (bin.n - 1.0))
    };
    let squares = bins.iter().filter(|bin| bin.n > 1.0).map(square).sum::<f64>();
    squares.max(0.0).sqrt()
}
