//! Mean absolute error.
//!
//! `mean of |s - y|`.
//!
//! **Source**: the definition.
//! **Reads**: labelled predictions of a regression task.
//! **Returns**: the label's unit, 0 up, up is worse.
//! **Assumes**: nothing.
//! **Error**: each term is rounded to 2^-60 and held below 2^67.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, mean};
use crate::metric::spec::{MarginKind, Reads, Spec, UPWARDS, Visibility};
use crate::summary::Quality;

/// See the head of this file.
pub(super) static MAE: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "mae",
        help: "Mean absolute error.",
        reads: Reads::Regression,
        unit: "label's unit",
        range: UPWARDS,
        formula: "mean |s - y|",
        source: "definition",
        margin: MarginKind::Part,
        shown: &[Visibility::Summary, Visibility::History, Visibility::Figures],
        ..Spec::QUALITY
    },
    convention: "exact_sum",
    n: |quality| quality.n,
    of: |quality, _| mean(quality.absolute.value(), quality.n).into(),
};
