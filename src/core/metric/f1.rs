//! F1: harmonic mean of precision and recall.
//!
//! `2 TP / (2 TP + FP + FN)`; not defined when nothing is positive, neither answer nor label.
//!
//! **Source**: van Rijsbergen, Information Retrieval, 1979, chapter 7.
//! **Reads**: labelled predictions of a binary task, with the class that was answered.
//! **Returns**: 0 to 1, down is worse.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, share};
use crate::metric::spec::{Reads, Scores, Spec, Visibility, WorseDirection};
use crate::summary::Quality;

/// See the head of this file.
pub(super) static F1: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "f1",
        help: "Harmonic mean of precision and recall.",
        reads: Reads::Binary,
        unit: "ratio",
        worse: WorseDirection::Down,
        formula: "2 TP / (2 TP + FP + FN)",
        source: "van Rijsbergen 1979",
        scores: Scores::Unread,
        shown: &[Visibility::Figures],
        ..Spec::QUALITY
    },
    convention: "exact",
    n: |quality| quality.n,
    of: |quality, _| {
        let [true_positive, false_positive, false_negative, _] = quality.confusion;
        share(2 * true_positive, 2 * true_positive + false_positive + false_negative)
    },
};
