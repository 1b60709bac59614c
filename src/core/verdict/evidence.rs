//! From rows to evidence: which numbers of a window a rule looks at, and what is held against its bound.
//!
//! A plain bound is held against a number here; evidence with a guarantee comes from guards.

use std::collections::BTreeMap;

use crate::metric::row::{RowStatus, WindowRow};
use crate::plan::{Against, Bound, Plan, Rule};
use crate::verdict::decision::{Evidence, Test};

/// One number of a window, held against a rule's bound.
pub(crate) struct BoundCheck<'a> {
    pub(crate) row: &'a WindowRow,
    /// The baseline version's, where the two are compared.
    other: Option<&'a WindowRow>,
    pub(crate) estimate: f64,
    pub(crate) bounds: Option<(f64, f64)>,
    pub(crate) breached: bool,
}

/// The numbers that a rule looks at, one per column and segment, where there is enough data to say something.
pub(crate) fn measure<'a>(
    plan: &Plan,
    rule: &Rule,
    model: &str,
    candidate: &str,
    rows: &'a [WindowRow],
) -> Vec<BoundCheck<'a>> {
    let of = |version: &str| {
        let mut first: BTreeMap<(&str, &str), &'a WindowRow> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.model == model && row.version == version && looks_at(rule, row)) {
            first.entry((&row.column, &row.segment)).or_insert(row);
        }
        first
    };
    let baseline = of(&plan.policy.baseline_version);
    let candidate = of(candidate);
    let measured = candidate.into_iter().filter_map(|(scope, row)| hold(rule, row, baseline.get(&scope).copied()));
    measured.collect()
}

fn looks_at(rule: &Rule, row: &WindowRow) -> bool {
    let column = rule.columns.is_empty() || rule.columns.contains(&row.column);
    let segment = rule.segments || row.segment.is_empty();
    let wanted = rule.baseline.as_ref().map(crate::plan::Baseline::name).unwrap_or_default();
    let baseline = row.baseline.split(':').next().unwrap_or_default() == wanted;
    row.metric == rule.metric && column && segment && baseline
}

fn hold<'a>(rule: &Rule, row: &'a WindowRow, other: Option<&'a WindowRow>) -> Option<BoundCheck<'a>> {
    let enough = |row: &WindowRow| row.status == RowStatus::Ok && row.n >= rule.n_min;
    if !enough(row) || (rule.baseline.is_some() && row.n_baseline < rule.n_min) {
        return None;
    }
    let value = row.value?;
    let other = other.filter(|other| rule.against != Against::Value && enough(other));
    let against = || other.and_then(|other| other.value);
    let estimate = match rule.against {
        Against::Value => value,
        Against::Difference => value - against()?,
        Against::Ratio => value / against().filter(|other| *other != 0.0)?,
    };
    let breached = match rule.bound {
        Bound::Above(bound) => estimate > bound,
        Bound::Below(bound) => estimate < bound,
    };
    let bounds = row.low.zip(row.high).filter(|_| rule.against == Against::Value);
    Some(BoundCheck { row, other, estimate, bounds, breached })
}

/// The evidence that goes into a decision.
pub(crate) fn evidence(rule: &Rule, measured: &BoundCheck<'_>, breaches: (u32, u32)) -> Evidence {
    let BoundCheck { row, other, estimate, bounds, .. } = *measured;
    let (Bound::Above(bound) | Bound::Below(bound)) = rule.bound;
    let convention = match rule.against {
        Against::Value => row.convention.as_str(),
        Against::Difference => "difference",
        Against::Ratio => "ratio",
    };
    Evidence {
        rule: rule.name.as_str().into(),
        metric: row.metric.clone(),
        column: row.column.clone(),
        segment: row.segment.clone(),
        baseline_kind: other.map_or_else(|| row.baseline.clone(), |other| format!("concurrent:{}", other.version)),
        convention: convention.to_owned(),
        estimate,
        lo: bounds.map(|(low, _)| low),
        hi: bounds.map(|(_, high)| high),
        bound,
        test: Test::Bound.into(),
        e_value: None,
        alpha: None,
        margin: None,
        n_candidate: row.n,
        n_baseline: other.map_or(row.n_baseline, |other| other.n),
        breaches,
        window: (row.window_start, row.window_end),
        reference: row.reference.clone(),
        flags: row.coverage.map(|coverage| format!("labels_{:.0}pct", coverage * 100.0).into()).into_iter().collect(),
    }
}
