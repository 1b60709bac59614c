//! Mean of a numeric column.
//!
//! `mean = sum x / n`.
//!
//! **Source**: the definition. **Reads**: a numeric column's exact sum; missing values, NaN and infinite ones are left
//! out. **Returns**: the column's unit; no direction is worse by itself. **Assumes**: nothing. **Error**: values are
//! rounded to 2^-44 of the reference's range, of which values that lie a million times further out than the middle four
//! fifths of the distinct values are no part. Not defined when a value is more than about 2^16 such ranges away, where
//! it cannot be added up, or when all values are too close for that rounding (the extremes and the distances still see
//! them). **Cost**: constant.

use crate::metric::one_sided::OneSided;
use crate::metric::spec::{COLUMN_UNIT, LINE, Reads, Spec, WorseDirection};
use crate::summary::Histogram;
use crate::summary::histogram::Cut;

/// See the head of this file.
pub(super) static MEAN: OneSided<Histogram> = OneSided {
    spec: Spec {
        name: "mean",
        help: "Mean of the column.",
        reads: Reads::Numeric,
        unit: COLUMN_UNIT,
        range: LINE,
        worse: WorseDirection::Neither,
        formula: "sum x / n",
        source: "definition",
        ..Spec::RATE
    },
    convention: "exact_sum",
    n: Histogram::n,
    of: |histogram, context| context.cut.and_then(|cut| mean(histogram, cut)).into(),
};

/// The mean, `None` when a value was too far out to be added.
pub(super) fn mean(histogram: &Histogram, cut: &Cut) -> Option<f64> {
    histogram.mean(cut.grid).filter(|_| histogram.n_clamped == 0)
}
