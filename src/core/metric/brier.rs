//! Brier score: mean squared error of the probability.
//!
//! `B = mean of (s - y)^2`, `s` the score, `y` 1 or 0; for several classes `s` is the confidence in the answer, `y`
//! whether it was right.
//!
//! **Source**: Brier, Verification of forecasts expressed in terms of probability, Mon. Weather Rev. 78, 1950.
//! **Reads**: labelled predictions of a classification task.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: nothing.
//! **Error**: each term is rounded to 2^-60.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, mean};
use crate::metric::spec::{MarginKind, Spec, Visibility};
use crate::summary::Quality;

/// See the head of this file.
pub(super) static BRIER: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "brier",
        help: "Mean squared error of the probability.",
        formula: "mean (s - y)^2",
        source: "Brier 1950",
        margin: MarginKind::Part,
        shown: &[Visibility::Summary, Visibility::Dashboard, Visibility::History, Visibility::Figures],
        ..Spec::CALIBRATION
    },
    convention: "exact_sum",
    n: |quality| quality.n,
    of: |quality, _| mean(quality.squared.value(), quality.n).into(),
};
