//! Base rate: share of positive labels, which moves with the world rather than with the model.
//!
//! `positive / n`.
//!
//! **Source**: the definition.
//! **Reads**: labelled predictions of a binary task.
//! **Returns**: 0 to 1; no direction is worse by itself.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, share};
use crate::metric::spec::{Reads, Scores, Spec, Visibility, WorseDirection};
use crate::summary::Quality;

/// See the head of this file.
pub(super) static BASE_RATE: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "base_rate",
        help: "Share of positive labels.",
        reads: Reads::Binary,
        unit: "ratio",
        worse: WorseDirection::Neither,
        formula: "positive / n",
        source: "definition",
        scores: Scores::Unread,
        shown: &[Visibility::Summary, Visibility::Figures],
        ..Spec::QUALITY
    },
    convention: "exact",
    n: |quality| quality.n,
    of: |quality, _| share(quality.positive, quality.n),
};
