//! Share of requests that failed in the server: status 500 and up, timeouts (408, 499, 504, 524), or marked as failed.
//!
//! `rate = errors / requests`.
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
pub(super) static ERROR_RATE: OneSided<Rates> = OneSided {
    spec: Spec {
        name: "error_rate",
        help: "Share of requests that failed in the server.",
        reads: Reads::Rates,
        formula: "errors / requests",
        source: "definition",
        subject: MetricSubject::Failures,
        shown: &[Visibility::Summary, Visibility::Dashboard, Visibility::History],
        ..Spec::RATE
    },
    convention: "exact",
    n: |rates| rates.requests,
    of: |rates, _| share(rates.errors, rates.requests),
};
