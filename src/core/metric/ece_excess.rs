//! Expected calibration error beyond what chance gives a perfectly calibrated model with as many labels.
//!
//! `ECE - sqrt(2 / pi) * sum over bins of n_b / n sqrt(mean score (1 - mean score) / n_b)`: the mean of a half-normal
//! gap per bin.
//!
//! **Source**: after Bröcker and Smith, Increasing the reliability of reliability diagrams, Weather Forecast. 22, 2007.
//! **Reads**: labelled predictions of a classification task.
//! **Returns**: -1 to 1, up is worse, about 0 when calibrated.
//! **Assumes**: a few labels per bin.
//! **Error**: bins of equal width are exact; bins of equal mass are cut at fine bins, and exact but for where they are
//! cut.
//! **Cost**: one pass over the bins.

use std::f64::consts::FRAC_2_PI;

use crate::metric::binned::{Binned, FilledBin};
use crate::metric::ece::ece;
use crate::metric::spec::Spec;

/// See the head of this file.
pub(super) static ECE_EXCESS: Binned = Binned {
    spec: Spec {
        name: "ece_excess",
        help: "Expected calibration error beyond what chance gives a calibrated model.",
        range: (-1.0, 1.0),
        formula: "ece - sqrt(2 / pi) sum n_b / n sqrt(mean s (1 - mean s) / n_b)",
        source: "Bröcker and Smith 2007",
        ..Spec::CALIBRATION
    },
    equal_width: true,
    equal_mass: true,
    bounds: None,
    of: |bins| Some(ece(bins) - floor(bins)),
};

/// What chance alone is expected to give.
fn floor(bins: &[FilledBin]) -> f64 {
    let gap = |bin: &FilledBin| bin.weight * (bin.score * (1.0 - bin.score) / bin.n).max(0.0).sqrt();
    FRAC_2_PI.sqrt() * bins.iter().map(gap).sum::<f64>()
}
