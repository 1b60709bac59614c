//! Accuracy: share of answers that were right.
//!
//! `(TP + TN) / n`; for several classes, answers that name the true class.
//!
//! **Source**: the definition.
//! **Reads**: labelled predictions of a classification task, with the class that was answered.
//! **Returns**: 0 to 1, down is worse.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, share};
use crate::metric::spec::{Scores, Spec, Visibility, WorseDirection};
use crate::plan::Task;
use crate::summary::Quality;

/// See the head of this file.
pub(super) static ACCURACY: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "accuracy",
        help: "Share of answers that were right.",
        unit: "ratio",
        worse: WorseDirection::Down,
        formula: "right / n",
        source: "definition",
        scores: Scores::Unread,
        shown: &[Visibility::Summary, Visibility::Figures],
        ..Spec::QUALITY
    },
    convention: "exact",
    n: |quality| quality.n,
    of: |quality, context| match context.quality.map(|plan| plan.task) {
        // With several classes a positive label means that the answer was right.
        Some(Task::Multiclass) => share(quality.positive, quality.n),
        _ => share(quality.confusion[0] + quality.confusion[3], quality.n),
    },
};
