//! Spiegelhalter's z: whether the Brier score is what calibrated scores would give.
//!
//! `z = sum (y - s)(1 - 2s) / sqrt(sum (1 - 2s)^2 s (1 - s))`, standard normal when every score is the true
//! probability; not defined when all scores are 0, 1/2 or 1.
//!
//! **Source**: Spiegelhalter, Probabilistic prediction in patient management and clinical trials, Stat. Med. 5, 1986.
//! **Reads**: labelled predictions of a classification task.
//! **Returns**: any sign, away from 0 is worse; p-value of both sides.
//! **Assumes**: independent labels, some dozens of them.
//! **Error**: each term is rounded to 2^-60.
//! **Cost**: constant.

use std::f64::consts::SQRT_2;

use crate::metric::one_sided::OneSided;
use crate::metric::reading::FormulaResult;
use crate::metric::spec::{LINE, Spec, WorseDirection};
use crate::summary::Quality;

/// See the head of this file.
pub(super) static SPIEGELHALTER_Z: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "spiegelhalter_z",
        help: "Spiegelhalter's z of the hypothesis that every score is the true probability.",
        range: LINE,
        worse: WorseDirection::Away,
        formula: "sum (y - s)(1 - 2s) / sqrt(sum (1 - 2s)^2 s (1 - s))",
        source: "Spiegelhalter 1986",
        ..Spec::CALIBRATION
    },
    convention: "exact_sums",
    n: |quality| quality.n,
    of: |quality, _| z(quality),
};

fn z(quality: &Quality) -> FormulaResult {
    let variance = quality.spiegelhalter_var.value();
    if variance <= 0.0 {
        return None.into();
    }
    let z = quality.spiegelhalter_num.value() / variance.sqrt();
    FormulaResult::from(z).with_p(libm::erfc(z.abs() / SQRT_2))
}
