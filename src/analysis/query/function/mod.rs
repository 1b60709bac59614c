//! Functions of SQL that are the engine's own metrics. Their list is [`METRICS`].
//!
//! - `psi(current, baseline)` and every other distance, over two histograms: the `histogram` column of `panes`, merged
//!   by `hist_merge`, or plain lists of counts.
//! - `drift_psi(value, is_current)` and every other comparison, an aggregate over raw rows: those where the second
//!   argument is true are held against the others, which are cut as a reference is.
//! - `ece(score, label)` and every other metric of labelled predictions, an aggregate over raw rows; `ece(labels)` over
//!   panes.
//! - `drift_ks_p(value, is_current)`, `drift_mann_whitney_p` and `drift_welch_p`: p-values of tests over raw rows.
//! - `fisher_p(x, n, x_baseline, n_baseline)` and others over counts of two rates.
//! - `hist_merge(histogram)`, an aggregate; `latency_quantile(latency, q)`.

mod compare;
mod drift;
mod field;
mod known;
mod labels;
mod latency;
mod merge;
mod rates;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::SessionContext;

use crate::metric::{METRICS, Metric, MetricResult, Reads, Value};

/// Functions of `DataFusion` whose value is as long as an argument says: memory that no bound of a query counts. Series
/// are made by the table functions of the same names, a batch at a time.
const UNBOUNDED: [&str; 7] = ["array_repeat", "array_resize", "generate_series", "lpad", "range", "repeat", "rpad"];

/// Adds every function to a session, and takes away those that cannot be bounded.
pub(super) fn register(context: &mut SessionContext) {
    UNBOUNDED.into_iter().for_each(|name| context.deregister_udf(name));
    let planner = datafusion::execution::FunctionRegistry::register_expr_planner(context, Arc::new(field::FieldAccess));
    planner.expect("a session takes any planner");
    let scalars = compared().map(compare::function).chain([latency::function()]).chain(rates::functions());
    scalars.for_each(|function| context.register_udf(function));
    let aggregates = drifting().map(drift::function).chain(known::OF_ROWS.iter().map(drift::test));
    let aggregates = aggregates.chain(labelled().map(labels::function)).chain([merge::function()]);
    aggregates.for_each(|function| context.register_udaf(function));
}

fn drifting() -> impl Iterator<Item = &'static dyn Metric> {
    METRICS.iter().copied().filter(|metric| metric.spec().needs_baseline)
}

/// Moments need more of a histogram than its counts.
fn compared() -> impl Iterator<Item = &'static dyn Metric> {
    drifting().filter(|metric| metric.spec().moment.is_none())
}

fn labelled() -> impl Iterator<Item = &'static dyn Metric> {
    let labels = |reads: Reads| matches!(reads, Reads::Classification | Reads::Binary | Reads::Regression);
    METRICS.iter().copied().filter(move |metric| labels(metric.spec().reads))
}

/// The number of haldane's own convention; too little data is no number.
fn number(readings: &[MetricResult]) -> Option<f64> {
    match readings.first()?.value {
        Value::Number(number) => Some(number),
        Value::Insufficient { .. } | Value::Undefined => None,
    }
}

/// A mistake in a call.
fn wrong(message: impl Into<String>) -> DataFusionError {
    DataFusionError::Plan(message.into())
}

/// Something that cannot be worked with, found while the query runs.
fn unfit(message: impl Into<String>) -> DataFusionError {
    DataFusionError::Execution(message.into())
}

/// The type of summaries that travel between threads.
const STATE: DataType = DataType::Binary;

/// A function of rows or groups.
type Scalar = ScalarUDF;
/// A function of many rows.
type Aggregate = AggregateUDF;
