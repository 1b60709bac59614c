//! Maximum calibration error: the largest gap between what a bin of scores promised and what came true.
//!
//! `MCE = max over bins of |mean label - mean score|`, once per bin count of the plan, equal width.
//!
//! **Source**: Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI
//! 2015.
//! **Reads**: labelled predictions of a classification task.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: labels in every bin: one lone label can set it.
//! **Error**: none.
//! **Cost**: one pass over the bins.

use crate::metric::binned::Binned;
use crate::metric::spec::Spec;

/// See the head of this file.
pub(super) static MCE: Binned = Binned {
    spec: Spec {
        name: "mce",
        help: "Largest gap between score and truth over bins.",
        formula: "max |mean y - mean s|",
        source: "Naeini et al. 2015",
        ..Spec::CALIBRATION
    },
    equal_width: true,
    equal_mass: false,
    bounds: None,
    of: |bins| bins.iter().map(|bin| (bin.label - bin.score).abs()).max_by(f64::total_cmp),
};
