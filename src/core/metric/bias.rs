//! Bias: mean error.
//!
//! `mean of (s - y)`.
//!
//! **Source**: the definition.
//! **Reads**: labelled predictions of a regression task.
//! **Returns**: the label's unit, away from 0 is worse.
//! **Assumes**: nothing.
//! **Error**: each term is rounded to 2^-60 and held below 2^67.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, mean};
use crate::metric::spec::{LINE, Reads, Spec, Visibility, WorseDirection};
use crate::summary::Quality;

/// See the head of this file.
pub(super) static BIAS: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "bias",
        help: "Mean error: prediction minus truth.",
        reads: Reads::Regression,
        unit: "label's unit",
        range: LINE,
        worse: WorseDirection::Away,
        formula: "mean (s - y)",
        source: "definition",
        shown: &[Visibility::Figures],
        ..Spec::QUALITY
    },
    convention: "exact_sum",
    n: |quality| quality.n,
    of: |quality, _| mean(quality.signed.value(), quality.n).into(),
};
