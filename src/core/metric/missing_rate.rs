//! Share of rows without a value.
//!
//! `rate = nulls / rows`; NaN counts as a row with a value here and has [`super::nan_rate`].
//!
//! **Source**: the definition.
//! **Reads**: a column.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::share;
use crate::metric::spec::{MetricSubject, Reads};
use crate::metric::{Context, Metric, MetricResult, Side, Spec};

/// See the head of this file.
pub(super) static MISSING_RATE: MissingRate = MissingRate;

/// Reads either kind of column, and so is a family of its own.
pub(super) struct MissingRate;

const SPEC: Spec = Spec {
    name: "missing_rate",
    help: "Share of rows without a value.",
    reads: Reads::Column,
    formula: "nulls / rows",
    source: "definition",
    subject: MetricSubject::Defects,
    ..Spec::RATE
};

impl Metric for MissingRate {
    fn spec(&self) -> &Spec {
        &SPEC
    }

    fn read(&self, current: Side<'_>, _: Option<Side<'_>>, _: &Context<'_>) -> Vec<MetricResult> {
        let (missing, rows) = match current {
            Side::Numeric(histogram) => (histogram.missing, histogram.rows()),
            Side::Categorical(category) => (category.missing, category.rows()),
            _ => return Vec::new(),
        };
        vec![MetricResult::new(&SPEC, "exact", (rows, None), || share(missing, rows))]
    }
}
