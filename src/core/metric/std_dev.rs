//! Sample standard deviation of a numeric column.
//!
//! `sd = sqrt(sum (x - mean)^2 / (n - 1))`.
//!
//! **Source**: the definition (Bessel's divisor).
//! **Reads**: a numeric column's exact sums; missing values, NaN and infinite ones are left out.
//! **Returns**: the column's unit, 0 up; no direction is worse by itself.
//! **Assumes**: two rows.
//! **Error**: as [`super::mean`].
//! **Cost**: constant.

use crate::metric::one_sided::OneSided;
use crate::metric::spec::{COLUMN_UNIT, Reads, Spec, UPWARDS, WorseDirection};
use crate::summary::Histogram;
use crate::summary::histogram::Cut;

/// See the head of this file.
pub(super) static STD_DEV: OneSided<Histogram> = OneSided {
    spec: Spec {
        name: "std_dev",
        help: "Sample standard deviation of the column.",
        reads: Reads::Numeric,
        unit: COLUMN_UNIT,
        range: UPWARDS,
        worse: WorseDirection::Neither,
        n_min: 2,
        formula: "sqrt(sum (x - mean)^2 / (n - 1))",
        source: "definition",
        ..Spec::RATE
    },
    convention: "exact_sums",
    n: Histogram::n,
    of: |histogram, context| context.cut.and_then(|cut| std_dev(histogram, cut)).into(),
};

/// The deviation, `None` when a value was too far out to be added.
pub(super) fn std_dev(histogram: &Histogram, cut: &Cut) -> Option<f64> {
    histogram.std_dev(cut.grid).filter(|_| histogram.n_clamped == 0)
}
