//! Requests per second of the window.
//!
//! `rate = requests / seconds of the window`.
//!
//! **Source**: the definition.
//! **Reads**: counts of answers.
//! **Returns**: per second, 0 up; no direction is worse by itself.
//! **Assumes**: the window was open for its whole length.
//! **Error**: none.
//! **Cost**: constant.

use crate::event::{Micros, SECOND};
use crate::metric::one_sided::OneSided;
use crate::metric::spec::{MetricSubject, Reads, Spec, UPWARDS, Visibility, WorseDirection};
use crate::summary::Rates;

/// See the head of this file.
pub(super) static THROUGHPUT: OneSided<Rates> = OneSided {
    spec: Spec {
        name: "throughput",
        help: "Requests per second of the window.",
        reads: Reads::Rates,
        unit: "per second",
        range: UPWARDS,
        worse: WorseDirection::Neither,
        formula: "requests / seconds of the window",
        source: "definition",
        subject: MetricSubject::Traffic,
        shown: &[Visibility::History],
        ..Spec::RATE
    },
    convention: "exact",
    n: |rates| rates.requests,
    of: |rates, context| (context.window > 0).then(|| per_second(rates.requests, context.window)).into(),
};

#[expect(clippy::cast_precision_loss, reason = "counts and spans far below 2^53")]
fn per_second(requests: u64, window: Micros) -> f64 {
    requests as f64 / (window as f64 / SECOND as f64)
}
