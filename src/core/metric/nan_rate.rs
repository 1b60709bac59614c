//! Share of rows whose number is NaN, which only binary formats can carry.
//!
//! `rate = NaN / rows`.
//!
//! **Source**: the definition.
//! **Reads**: a numeric column.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, share};
use crate::metric::spec::{Reads, Spec};
use crate::summary::Histogram;

/// See the head of this file.
pub(super) static NAN_RATE: OneSided<Histogram> = OneSided {
    spec: Spec {
        name: "nan_rate",
        help: "Share of rows whose number is NaN.",
        reads: Reads::Numeric,
        formula: "NaN / rows",
        source: "definition",
        ..Spec::RATE
    },
    convention: "exact",
    n: Histogram::rows,
    of: |histogram, _| share(histogram.nan, histogram.rows()),
};
