//! Metrics: pure comparisons of summaries.
//!
//! A metric is one file and one line in [`METRICS`]. Its configuration key, help, gauge, result rows and the table in the
//! README come from that list, and one contract test covers whatever is in it.

use crate::plan::{Compat, QualityPlan};
use crate::summary::histogram::Cut;
use crate::summary::{Category, Histogram, Latency, Quality, Rates};

/// What a metric reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// A numeric column.
    Numeric,
    /// A categorical column.
    Categorical,
    /// A numeric or a categorical column.
    Column,
    /// Latencies.
    Latency,
    /// Counts of answers.
    Rates,
    /// Labelled predictions of a classification task.
    Classification,
    /// Labelled predictions of a regression task.
    Regression,
}

/// In which direction a metric gets worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worse {
    /// Larger is worse.
    Up,
    /// Smaller is worse.
    Down,
    /// Away from zero is worse.
    Away,
    /// No direction is worse by itself (throughput).
    Neither,
}

/// What a metric is: the row of the list from which keys, help, gauges and tables are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    /// Configuration key and result name, in `snake_case`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What it reads.
    pub reads: Reads,
    /// Whether it compares with a baseline (a drift metric) or describes one side (a quality metric).
    pub needs_baseline: bool,
    /// Unit: `nats`, `bits`, `ratio`, `ms`, `1`, `per second`, …
    pub unit: &'static str,
    /// Smallest and largest possible value.
    pub range: (f64, f64),
    /// In which direction it gets worse.
    pub worse: Worse,
    /// Fewer rows than this on either side give `Insufficient`.
    pub n_min: u64,
    /// Formula in plain text.
    pub formula: &'static str,
    /// Author, year, section.
    pub source: &'static str,
}

/// The result of one metric on one column in one convention.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// How exactly it was computed: bins, smoothing, base. Stable text, part of a result's identity.
    pub convention: &'static str,
    /// The number, or why there is none.
    pub value: Value,
    /// Certified bounds of the exact value, where the number is an approximation from bins.
    pub bounds: Option<(f64, f64)>,
    /// Asymptotic p-value, where the metric has one.
    pub p_value: Option<f64>,
    /// Number of bins or categories it rests on; 0 where there are none.
    pub bins: u32,
    /// Rows of the judged side.
    pub n: u64,
    /// Rows of the baseline; 0 without one.
    pub n_baseline: u64,
}

/// A number, or why there is none. Too little data is a value, never NaN and never an error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// The number; finite.
    Number(f64),
    /// Too little data.
    Insufficient {
        /// Rows there were (of the smaller side).
        n: u64,
        /// Rows there had to be.
        n_min: u64,
    },
    /// Enough data, but the number is not defined for it: AUC with one class, a ratio to zero.
    Undefined,
}

/// One side of a comparison: what was counted of one column (or of the whole group).
#[derive(Debug, Clone, Copy)]
pub enum Side<'a> {
    /// A numeric column.
    Numeric(&'a Histogram),
    /// A categorical column.
    Categorical(&'a Category),
    /// Latencies.
    Latency(&'a Latency),
    /// Counts of answers.
    Rates(&'a Rates),
    /// Labelled predictions.
    Quality(&'a Quality),
}

/// What a metric may know besides the two sides.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The numeric column's cut.
    pub cut: Option<&'a Cut>,
    /// The categorical column's known categories.
    pub known: &'a [String],
    /// Length of the window in microseconds, for rates per second.
    pub window: i64,
    /// 10 or 20: bins of the share-based metrics on numeric columns.
    pub bins: u16,
    /// Extra conventions that were asked for.
    pub compat: &'a [Compat],
    /// Task, thresholds and bins of quality metrics.
    pub quality: Option<&'a QualityPlan>,
}

/// A metric. `baseline` is `Some` exactly when the spec needs one.
pub trait Metric: Sync {
    /// The metric's row.
    fn spec(&self) -> &'static Spec;

    /// The readings: our own convention first, then those in `context.compat` that this metric knows.
    fn read(&self, current: Side<'_>, baseline: Option<Side<'_>>, context: &Context<'_>) -> Vec<Reading>;
}

/// Every metric.
pub static METRICS: &[&dyn Metric] = &[];

/// The metric with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Metric> {
    METRICS.iter().copied().find(|metric| metric.spec().name == name)
}
