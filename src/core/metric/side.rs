//! What a metric is handed: the two sides, and what else it may know.

use crate::plan::{Baseline, Compat, QualityPlan};
use crate::summary::histogram::Cut;
use crate::summary::{Category, Histogram, Latency, PairLosses, Pairs, Quality, Rates};

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
    /// Requests that two versions answered.
    Pairs(&'a Pairs),
    /// Of those, the ones whose label is known.
    PairLosses(&'a PairLosses),
    /// Labelled predictions.
    Quality(&'a Quality),
}

impl Side<'_> {
    /// Rows with a value: what a comparison rests on.
    #[must_use]
    pub fn n(self) -> u64 {
        match self {
            Self::Numeric(summary) => summary.n(),
            Self::Categorical(summary) => summary.n(),
            Self::Latency(summary) => summary.n(),
            Self::Rates(summary) => summary.requests,
            Self::Pairs(summary) => summary.paired,
            Self::PairLosses(summary) => summary.n,
            Self::Quality(summary) => summary.n,
        }
    }
}

/// Whose quantiles share-based metrics cut a numeric column at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantiles {
    /// The reference's, which is one of the two sides, or what all windows are held against.
    Reference,
    /// Those of the two sides together: both may have left the reference.
    Both,
}

impl Quantiles {
    /// Whose are used against a baseline.
    #[must_use]
    pub fn against(baseline: &Baseline) -> Self {
        if *baseline == Baseline::Reference { Self::Reference } else { Self::Both }
    }
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
    /// Whose quantiles these are.
    pub quantiles: Quantiles,
    /// Extra conventions that were asked for.
    pub compat: &'a [Compat],
    /// Task, thresholds and bins of quality metrics.
    pub quality: Option<&'a QualityPlan>,
}

impl Context<'static> {
    /// Two sides and nothing else: deciles of the reference, in no window to speak of.
    pub const ALONE: Self = Self {
        cut: None,
        known: &[],
        window: 1,
        bins: 10,
        quantiles: Quantiles::Reference,
        compat: &[],
        quality: None,
    };
}
