//! Share of answers that were positive, for binary tasks.
//!
//! `rate = positive / predicted`.
//!
//! **Source**: the definition.
//! **Reads**: counts of answers with a predicted class.
//! **Returns**: 0 to 1; no direction is worse by itself.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, share};
use crate::metric::spec::{MetricSubject, Reads, Spec, Visibility, WorseDirection};
use crate::summary::Rates;

/// See the head of this file.
pub(super) static POSITIVE_RATE: OneSided<Rates> = OneSided {
    spec: Spec {
        name: "positive_rate",
        help: "Share of answers that were positive.",
        reads: Reads::Rates,
        worse: WorseDirection::Neither,
        formula: "positive / predicted",
        source: "definition",
        subject: MetricSubject::Answers,
        shown: &[Visibility::Summary, Visibility::History],
        ..Spec::RATE
    },
    convention: "exact",
    n: |rates| rates.predicted,
    of: |rates, _| share(rates.positive, rates.predicted),
};
