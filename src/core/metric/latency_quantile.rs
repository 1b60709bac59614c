//! Latency quantiles: the smallest latency that a share `q` of the answers do not exceed (nearest rank).
//!
//! `x_(ceil(q n))` of the sorted latencies, all statuses, without interpolation.
//!
//! **Source**: Hyndman and Fan, Sample quantiles in statistical packages, Am. Stat. 50(4), 1996, definition 1; Tene,
//! `HdrHistogram`.
//! **Reads**: latencies.
//! **Returns**: milliseconds, 0 up, up is worse.
//! **Assumes**: nothing; below `1 / (1 - q)` rows it is the largest latency.
//! **Error**: at most 1/1024 above the exact value and half a microsecond to either side, as the bounds say; latencies
//! above one hour count as one hour.
//! **Cost**: one pass over the filled buckets.

use crate::metric::one_sided::OneSided;
use crate::metric::reading::FormulaResult;
use crate::metric::spec::{MarginKind, MetricSubject, Reads, Spec, UPWARDS, Visibility};
use crate::summary::Latency;

const QUANTILE: Spec = Spec {
    reads: Reads::Latency,
    subject: MetricSubject::Latency,
    margin: MarginKind::Part,
    unit: "ms",
    range: UPWARDS,
    formula: "x_(ceil(q n))",
    source: "Hyndman and Fan 1996, definition 1",
    ..Spec::RATE
};

const HDR: OneSided<Latency> = OneSided {
    spec: QUANTILE,
    convention: "nearest_rank,hdr_3_digits",
    n: Latency::n,
    of: |latency, _| quantile(latency, 0.5),
};

/// What names of quantiles begin with.
const PREFIX: &str = "latency_p";

/// The name of a quantile, whether it is a metric or not: `latency_p95`, `latency_p925`.
pub(super) fn name(quantile: f64) -> String {
    let percent = format!("{:.3}", quantile * 100.0);
    let digits = percent.trim_end_matches('0').replace('.', "");
    format!("{PREFIX}{digits:0<2}")
}

/// Whether a name is one of those.
pub(super) fn is_name(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Width of a bucket as a share of its latency: 1024 buckets at least per doubling.
const BUCKET: f64 = 1.0 / 1024.0;
/// Rounding to whole microseconds, in milliseconds.
const ROUNDING_MS: f64 = 0.000_5;

fn quantile(latency: &Latency, q: f64) -> FormulaResult {
    let value = latency.quantile_ms(q);
    let (low, high) = value.map_or((0.0, 0.0), |value| (value * (1.0 - BUCKET) - ROUNDING_MS, value + ROUNDING_MS));
    FormulaResult::from(value).within(low.max(0.0), high)
}

/// Quantile 0.5.
pub(super) static P50: OneSided<Latency> = OneSided {
    spec: Spec { name: "latency_p50", help: "Median latency.", shown: &[Visibility::History], ..QUANTILE },
    of: |latency, _| quantile(latency, 0.5),
    ..HDR
};

/// Quantile 0.9.
pub(super) static P90: OneSided<Latency> = OneSided {
    spec: Spec { name: "latency_p90", help: "90 % of answers are at least this quick.", ..QUANTILE },
    of: |latency, _| quantile(latency, 0.9),
    ..HDR
};

/// Quantile 0.95.
pub(super) static P95: OneSided<Latency> = OneSided {
    spec: Spec {
        name: "latency_p95",
        help: "95 % of answers are at least this quick.",
        shown: &[Visibility::Dashboard],
        ..QUANTILE
    },
    of: |latency, _| quantile(latency, 0.95),
    ..HDR
};

/// Quantile 0.99.
pub(super) static P99: OneSided<Latency> = OneSided {
    spec: Spec {
        name: "latency_p99",
        help: "99 % of answers are at least this quick.",
        shown: &[Visibility::History],
        ..QUANTILE
    },
    of: |latency, _| quantile(latency, 0.99),
    ..HDR
};

/// Quantile 0.999.
pub(super) static P999: OneSided<Latency> = OneSided {
    spec: Spec { name: "latency_p999", help: "99.9 % of answers are at least this quick.", ..QUANTILE },
    of: |latency, _| quantile(latency, 0.999),
    ..HDR
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_named_by_their_digits() {
        let names = [0.5, 0.9, 0.95, 0.99, 0.999, 0.925].map(name);
        let wanted = ["latency_p50", "latency_p90", "latency_p95", "latency_p99", "latency_p999", "latency_p925"];
        assert_eq!(names, wanted);
        assert!(names.iter().all(|name| is_name(name)) && !is_name("latency_mean"));
    }
}
