//! Metrics that compare two histograms of one numeric column.

use crate::metric::reading::FormulaResult;
use crate::metric::{Context, Metric, MetricResult, Side, Spec};
use crate::plan::Compat;
use crate::summary::Histogram;
use crate::summary::histogram::Cut;

/// A metric that is a formula over two histograms of one cut, judged side first.
pub(super) struct HistogramContrast {
    /// Its row.
    pub(super) spec: Spec,
    /// Conventions with their formulas: who asks (`None` = always), text, formula.
    pub(super) variants: &'static [(Option<Compat>, &'static str, Formula)],
}

/// Judged side, baseline, their cut.
pub(super) type Formula = fn(&Histogram, &Histogram, &Cut) -> FormulaResult;

impl Metric for HistogramContrast {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn read(&self, current: Side<'_>, baseline: Option<Side<'_>>, context: &Context<'_>) -> Vec<MetricResult> {
        let (Side::Numeric(current), Some(Side::Numeric(baseline)), Some(cut)) = (current, baseline, context.cut)
        else {
            return Vec::new();
        };
        let rows = (current.n(), Some(baseline.n()));
        let asked = |compat: &Option<Compat>| compat.is_none_or(|compat| context.compat.contains(&compat));
        let variants = self.variants.iter().filter(|(compat, ..)| asked(compat));
        variants
            .map(|&(_, text, formula)| MetricResult::new(&self.spec, text, rows, || formula(current, baseline, cut)))
            .collect()
    }
}
