//! Calibration in the large: how much more came true than was promised.
//!
//! `mean y - mean s`.
//!
//! **Source**: Cox, Two further applications of a model for binary regression, Biometrika 45, 1958.
//! **Reads**: labelled predictions of a classification task.
//! **Returns**: -1 to 1, away from 0 is worse.
//! **Assumes**: nothing.
//! **Error**: each term is rounded to 2^-60.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, mean};
use crate::metric::spec::{Spec, Visibility, WorseDirection};
use crate::summary::Quality;

/// See the head of this file.
pub(super) static CALIBRATION_IN_THE_LARGE: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "calibration_in_the_large",
        help: "Mean label minus mean score.",
        range: (-1.0, 1.0),
        worse: WorseDirection::Away,
        formula: "mean y - mean s",
        source: "Cox 1958",
        shown: &[Visibility::Summary, Visibility::History, Visibility::Figures],
        ..Spec::CALIBRATION
    },
    convention: "exact_sum",
    n: |quality| quality.n,
    of: |quality, _| mean(-quality.signed.value(), quality.n).into(),
};
