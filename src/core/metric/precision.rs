//! Precision: share of positive answers that were right.
//!
//! `TP / (TP + FP)`; not defined without a positive answer.
//!
//! **Source**: the definition.
//! **Reads**: labelled predictions of a binary task, with the class that was answered.
//! **Returns**: 0 to 1, down is worse.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, share};
use crate::metric::spec::{Reads, Scores, Spec, Visibility, WorseDirection};
use crate::summary::Quality;

/// See the head of this file.
pub(super) static PRECISION: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "precision",
        help: "Share of positive answers that were right.",
        reads: Reads::Binary,
        unit: "ratio",
        worse: WorseDirection::Down,
        formula: "TP / (TP + FP)",
        source: "definition",
        scores: Scores::Unread,
        shown: &[Visibility::Figures],
        ..Spec::QUALITY
    },
    convention: "exact",
    n: |quality| quality.n,
    of: |quality, _| share(quality.confusion[0], quality.confusion[0] + quality.confusion[1]),
};
