//! Share of rows whose number is none: NaN, or infinite.
//!
//! `rate = (NaN + infinite) / rows`. Such rows have no place on the line, so nothing else of the column sees them.
//!
//! **Source**: the definition.
//! **Reads**: a numeric column.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, share};
use crate::metric::spec::{MetricSubject, Reads, Spec};
use crate::summary::Histogram;

/// See the head of this file.
pub(super) static NAN_RATE: OneSided<Histogram> = OneSided {
    spec: Spec {
        name: "nan_rate",
        help: "Share of rows whose number is NaN or infinite.",
        reads: Reads::Numeric,
        formula: "(NaN + infinite) / rows",
        source: "definition",
        subject: MetricSubject::Defects,
        ..Spec::RATE
    },
    convention: "exact",
    n: Histogram::rows,
    of: |histogram, _| share(histogram.nan, histogram.rows()),
};
