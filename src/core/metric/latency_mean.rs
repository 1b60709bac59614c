//! Mean latency.
//!
//! `mean = sum of latencies / n`, all statuses.
//!
//! **Source**: the definition.
//! **Reads**: latencies.
//! **Returns**: milliseconds, 0 up, up is worse.
//! **Assumes**: nothing.
//! **Error**: each latency is rounded to 2^-60 ms.
//! **Cost**: constant.

use crate::metric::one_sided::OneSided;
use crate::metric::spec::{MarginKind, MetricSubject, Reads, Spec, UPWARDS, Visibility};
use crate::summary::Latency;

/// See the head of this file.
pub(super) static LATENCY_MEAN: OneSided<Latency> = OneSided {
    spec: Spec {
        name: "latency_mean",
        help: "Mean latency.",
        reads: Reads::Latency,
        unit: "ms",
        range: UPWARDS,
        formula: "sum of latencies / n",
        source: "definition",
        subject: MetricSubject::Latency,
        margin: MarginKind::Part,
        shown: &[Visibility::Summary],
        ..Spec::RATE
    },
    convention: "exact_sum",
    n: Latency::n,
    of: |latency, _| latency.mean_ms().into(),
};
