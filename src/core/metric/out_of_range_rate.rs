//! Share of values below the smallest or above the largest value of the reference.
//!
//! `rate = (below + above) / values`, counted in the bins outside of its range.
//!
//! **Source**: the definition.
//! **Reads**: a numeric column cut by a reference; missing values, NaN and infinite ones are left out.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, share};
use crate::metric::spec::{MetricSubject, Reads, Spec};
use crate::summary::Histogram;

/// See the head of this file.
pub(super) static OUT_OF_RANGE_RATE: OneSided<Histogram> = OneSided {
    spec: Spec {
        name: "out_of_range_rate",
        help: "Share of values below the smallest or above the largest value of the reference.",
        reads: Reads::Numeric,
        formula: "outside / values",
        source: "definition",
        subject: MetricSubject::Defects,
        ..Spec::RATE
    },
    convention: "exact",
    n: Histogram::n,
    of: |histogram, context| share(context.cut.map_or(0, |cut| histogram.n_out_of_range(cut)), histogram.n()),
};
