//! Metrics that compare two sides share by share, in one convention or several.

use crate::metric::paired::{Cells, Paired};
use crate::metric::reading::Measured;
use crate::metric::{Context, Metric, Reading, Side, Spec};
use crate::plan::Compat;

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
    pub(super) cells: Cells,
    /// The formula.
    pub(super) of: fn(&Paired) -> Measured,
}

impl Variant {
    /// Our own convention: quantile bins or categories.
    pub(super) const fn own(rule: &'static str, of: fn(&Paired) -> Measured) -> Self {
        Self { compat: None, rule, cells: Cells::Quantiles, of }
    }

    /// The convention of another tool.
    pub(super) const fn of(compat: Compat, cells: Cells, rule: &'static str, of: fn(&Paired) -> Measured) -> Self {
        Self { compat: Some(compat), rule, cells, of }
    }

    fn is_asked(&self, asked: &[Compat]) -> bool {
        self.compat.is_none_or(|compat| asked.contains(&compat))
    }

    fn read(&self, spec: &Spec, current: Side<'_>, baseline: Side<'_>, context: &Context<'_>) -> Option<Reading> {
        let paired = Paired::new(self.cells, current, baseline, context)?;
        let convention = [paired.label, self.rule].join(if self.rule.is_empty() { "" } else { "," });
        let rows = (current.n(), Some(baseline.n()));
        let measured = || if paired.len() == 0 { Measured::default() } else { (self.of)(&paired).over(paired.len()) };
        Some(Reading::new(spec, convention, rows, measured))
    }
}

impl Metric for Distance {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn read(&self, current: Side<'_>, baseline: Option<Side<'_>>, context: &Context<'_>) -> Vec<Reading> {
        let Some(baseline) = baseline else { return Vec::new() };
        let asked = self.variants.iter().filter(|variant| variant.is_asked(context.compat));
        asked.filter_map(|variant| variant.read(&self.spec, current, baseline, context)).collect()
    }
}
