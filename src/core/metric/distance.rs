//! Metrics that compare two sides share by share, in one convention or several.

use crate::metric::paired::{BinningRule, Paired};
use crate::metric::reading::FormulaResult;
use crate::metric::{Context, Metric, MetricResult, Side, Spec};
use crate::plan::Compat;
use crate::summary::histogram::SINGLE;

/// A metric that is a formula over [`Paired`] counts.
pub(super) struct Distance {
    /// Its row.
    pub(super) spec: Spec,
    /// Our own convention first, then those of other tools.
    pub(super) variants: &'static [Variant],
}

/// One convention.
pub(super) struct Variant {
    /// Who computes it like this; `None` = we do.
    pub(super) compat: Option<Compat>,
    /// What is done with the counts, as it stands after the cells in the convention; empty = raw shares.
    pub(super) rule: &'static str,
    /// Which cells.
    pub(super) cells: BinningRule,
    /// The formula.
    pub(super) of: fn(&Paired) -> FormulaResult,
}

impl Variant {
    /// Our own convention: quantile bins or categories.
    pub(super) const fn own(rule: &'static str, of: fn(&Paired) -> FormulaResult) -> Self {
        Self { compat: None, rule, cells: BinningRule::Quantiles, of }
    }

    /// The convention of another tool.
    pub(super) const fn of(
        compat: Compat,
        cells: BinningRule,
        rule: &'static str,
        of: fn(&Paired) -> FormulaResult,
    ) -> Self {
        Self { compat: Some(compat), rule, cells, of }
    }

    fn is_asked(&self, asked: &[Compat]) -> bool {
        self.compat.is_none_or(|compat| asked.contains(&compat))
    }

    fn read(&self, spec: &Spec, current: Side<'_>, baseline: Side<'_>, context: &Context<'_>) -> Option<MetricResult> {
        let paired = Paired::new(self.cells, current, baseline, context)?;
        let convention = [paired.label, self.rule].join(if self.rule.is_empty() { "" } else { "," });
        let rows = (current.n(), Some(baseline.n()));
        let known = paired.len() > 0 && !(paired.is_one_cell() && are_apart(current, baseline));
        let measured = || if known { (self.of)(&paired).over(paired.len()) } else { FormulaResult::default() };
        Some(MetricResult::new(spec, convention, rows, measured))
    }
}

/// Whether numbers of two sides differ by more than single precision would make them, so that they are not one number
/// though they may lie in one cell.
fn are_apart(current: Side<'_>, baseline: Side<'_>) -> bool {
    let (Side::Numeric(current), Side::Numeric(baseline)) = (current, baseline) else { return false };
    let ends = current.min.zip(current.max).zip(baseline.min.zip(baseline.max));
    ends.is_some_and(|((a, b), (c, d))| {
        let (low, high) = (a.min(c), b.max(d));
        high - low > low.abs().max(high.abs()) * SINGLE
    })
}

impl Metric for Distance {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn read(&self, current: Side<'_>, baseline: Option<Side<'_>>, context: &Context<'_>) -> Vec<MetricResult> {
        let Some(baseline) = baseline else { return Vec::new() };
        let asked = self.variants.iter().filter(|variant| variant.is_asked(context.compat));
        asked.filter_map(|variant| variant.read(&self.spec, current, baseline, context)).collect()
    }
}
