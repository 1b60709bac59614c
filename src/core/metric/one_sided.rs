//! Metrics that describe one side by one number.

use crate::metric::reading::FormulaResult;
use crate::metric::{Context, Metric, MetricResult, Side, Spec};
use crate::summary::{Category, Histogram, Latency, PairLosses, Pairs, Quality, Rates};

/// A metric that is one formula over one summary.
pub(super) struct OneSided<S> {
    /// Its row.
    pub(super) spec: Spec,
    /// How it is computed.
    pub(super) convention: &'static str,
    /// Rows it rests on.
    pub(super) n: fn(&S) -> u64,
    /// The formula.
    pub(super) of: fn(&S, &Context<'_>) -> FormulaResult,
}

impl<S: SideSummary> Metric for OneSided<S> {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn read(&self, current: Side<'_>, _: Option<Side<'_>>, context: &Context<'_>) -> Vec<MetricResult> {
        let summary = S::of(current).filter(|_| self.spec.admits(context));
        let reading = |summary: &S| {
            MetricResult::new(&self.spec, self.convention, ((self.n)(summary), None), || (self.of)(summary, context))
        };
        summary.map(reading).into_iter().collect()
    }
}

/// A summary that a side may be.
pub(super) trait SideSummary: 'static {
    /// This summary, when the side is one.
    fn of(side: Side<'_>) -> Option<&Self>;
}

impl SideSummary for Histogram {
    fn of(side: Side<'_>) -> Option<&Self> {
        if let Side::Numeric(summary) = side { Some(summary) } else { None }
    }
}

impl SideSummary for Category {
    fn of(side: Side<'_>) -> Option<&Self> {
        if let Side::Categorical(summary) = side { Some(summary) } else { None }
    }
}

impl SideSummary for Latency {
    fn of(side: Side<'_>) -> Option<&Self> {
        if let Side::Latency(summary) = side { Some(summary) } else { None }
    }
}

impl SideSummary for Rates {
    fn of(side: Side<'_>) -> Option<&Self> {
        if let Side::Rates(summary) = side { Some(summary) } else { None }
    }
}

impl SideSummary for Pairs {
    fn of(side: Side<'_>) -> Option<&Self> {
        if let Side::Pairs(summary) = side { Some(summary) } else { None }
    }
}

impl SideSummary for PairLosses {
    fn of(side: Side<'_>) -> Option<&Self> {
        if let Side::PairLosses(summary) = side { Some(summary) } else { None }
    }
}

impl SideSummary for Quality {
    fn of(side: Side<'_>) -> Option<&Self> {
        if let Side::Quality(summary) = side { Some(summary) } else { None }
    }
}

/// `part / whole`, or nothing for a whole of zero.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) fn share(part: u64, whole: u64) -> FormulaResult {
    (whole > 0).then(|| part as f64 / whole as f64).into()
}

/// `sum / n` for `n > 0`.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) fn mean(sum: f64, n: u64) -> f64 {
    sum / n as f64
}
