//! Share of requests that the server refused: status 400 to 499, timeouts aside.
//!
//! `rate = rejected / requests`.
//!
//! **Source**: the definition.
//! **Reads**: counts of answers.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, share};
use crate::metric::spec::{MetricSubject, Reads, Spec, Visibility};
use crate::summary::Rates;

/// See the head of this file.
pub(super) static REJECTED_RATE: OneSided<Rates> = OneSided {
    spec: Spec {
        name: "rejected_rate",
        help: "Share of requests that the server refused.",
        reads: Reads::Rates,
        formula: "rejected / requests",
        source: "definition",
        subject: MetricSubject::Failures,
        shown: &[Visibility::Summary],
        ..Spec::RATE
    },
    convention: "exact",
    n: |rates| rates.requests,
    of: |rates, _| share(rates.rejected, rates.requests),
};
