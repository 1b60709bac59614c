//! Recall: share of positives that were found.
//!
//! `TP / (TP + FN)`; not defined without a positive label.
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
pub(super) static RECALL: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "recall",
        help: "Share of positives that were found.",
        reads: Reads::Binary,
        unit: "ratio",
        worse: WorseDirection::Down,
        formula: "TP / (TP + FN)",
        source: "definition",
        scores: Scores::Unread,
        shown: &[Visibility::Figures],
        ..Spec::QUALITY
    },
    convention: "exact",
    n: |quality| quality.n,
    of: |quality, _| share(quality.confusion[0], quality.confusion[0] + quality.confusion[2]),
};
