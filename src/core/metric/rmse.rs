//! Root mean squared error.
//!
//! `sqrt(mean of (s - y)^2)`.
//!
//! **Source**: the definition.
//! **Reads**: labelled predictions of a regression task.
//! **Returns**: the label's unit, 0 up, up is worse.
//! **Assumes**: nothing.
//! **Error**: each term is rounded to 2^-60; not defined where sums reach 2^67, or a mean square is
//! below 1e-12 without being zero.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, mean};
use crate::metric::spec::{Reads, Spec, UPWARDS, Visibility};
use crate::summary::Quality;

/// See the head of this file.
pub(super) static RMSE: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "rmse",
        help: "Root mean squared error.",
        reads: Reads::Regression,
        unit: "label's unit",
        range: UPWARDS,
        formula: "sqrt(mean (s - y)^2)",
        source: "definition",
        shown: &[Visibility::Figures],
        ..Spec::QUALITY
    },
    convention: "exact_sum",
    n: |quality| quality.n,
    of: |quality, _| rmse(quality).into(),
};

/// Mean squares below this (in the label's unit, squared) are too few units of the sum to be told to six digits.
const MEAN_SQUARE_MIN: f64 = 1e-12;

fn rmse(quality: &Quality) -> Option<f64> {
    let square = mean(quality.squared.value(), quality.n);
    let is_resolved = square >= MEAN_SQUARE_MIN || quality.absolute.value() == 0.0;
    is_resolved.then(|| square.sqrt())
}
