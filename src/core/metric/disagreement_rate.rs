//! Share of requests that a shadow answered otherwise than the baseline version.
//!
//! `rate = disagreed / compared`: other classes, or scores farther apart than `shadow.tolerance`.
//!
//! **Source**: the definition.
//! **Reads**: requests that both versions answered.
//! **Returns**: 0 to 1; up is worse, though it does not say which version is right.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, share};
use crate::metric::spec::{MetricSubject, Reads, Spec, Visibility};
use crate::summary::Pairs;

/// See the head of this file.
pub(super) static DISAGREEMENT_RATE: OneSided<Pairs> = OneSided {
    spec: Spec {
        name: "disagreement_rate",
        help: "Share of requests that were answered otherwise than by the baseline version.",
        reads: Reads::Pairs,
        formula: "disagreed / compared",
        source: "definition",
        subject: MetricSubject::Answers,
        shown: &[Visibility::Dashboard, Visibility::History],
        ..Spec::RATE
    },
    convention: "exact",
    n: |pairs| pairs.compared,
    of: |pairs, _| share(pairs.disagreed, pairs.compared),
};
