//! Which numbers are drawn, and against what.

use std::collections::BTreeSet;

use super::chart::Chart;
use super::words::{action_name, metric_of};
use crate::event::Micros;
use crate::metric::{DRIFT, Visibility, shown};
use crate::plan::{Against, Bound, PolicyPlan, Rule};
use crate::serve::history::{ChartHistory, Number, ShownPoint};
use crate::verdict::RolloutState;

/// Charts that are drawn unasked.
const CHARTS_MAX: usize = 8;

/// A number that can be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) number: Number,
}

impl Choice {
    /// What it is called.
    fn name(&self) -> String {
        let Number { metric, column, baseline, .. } = &self.number;
        let against = if baseline.is_empty() { String::new() } else { format!(" against {baseline}") };
        format!("{}{against}", metric_of(metric, column, ""))
    }

    /// Whether it is this metric of this column (or, where that is empty, of the whole version).
    pub(super) fn is(&self, metric: &str, column: &str) -> bool {
        self.number.metric == metric && self.number.column == column
    }
}

/// Every number of a candidate; of several conventions the first.
pub(super) fn choices(history: &ChartHistory, state: &RolloutState) -> Vec<Choice> {
    let mut seen = BTreeSet::new();
    let mut numbers: Vec<&Number> = history.numbers(&state.model, &state.candidate).collect();
    numbers.retain(|number| seen.insert((&number.metric, &number.column, &number.baseline)));
    numbers.into_iter().map(|number| Choice { number: number.clone() }).collect()
}

/// What is drawn unasked: what rules watch, what always matters, and the features that moved most.
pub(super) fn usual(choices: &[Choice], policy: Option<&PolicyPlan>, drifted: &[&str]) -> Vec<Choice> {
    let of_rules = policy.into_iter().flat_map(|policy| &policy.rules).flat_map(|rule| {
        let whole = rule.columns.is_empty().then_some("");
        whole.into_iter().chain(rule.columns.iter().map(String::as_str)).map(|column| (rule.metric, column))
    });
    let always = shown(Visibility::Dashboard).map(|metric| (metric, ""));
    let moved = drifted.iter().take(2).map(|column| (DRIFT.spec().name, *column));
    let mut usual: Vec<Choice> = Vec::new();
    for (metric, column) in always.chain(of_rules).chain(moved) {
        let found = choices.iter().find(|choice| choice.is(metric, column) && !usual.contains(choice));
        let known = usual.iter().any(|choice| choice.is(metric, column));
        usual.extend(found.filter(|_| !known).cloned());
    }
    usual.truncate(CHARTS_MAX);
    usual
}

/// A number of the candidate, the baseline version's, and the bounds of the rules that watch it.
pub(super) fn chart(
    history: &ChartHistory,
    state: &RolloutState,
    choice: &Choice,
    policy: Option<&PolicyPlan>,
) -> Chart {
    let number = &choice.number;
    let of_baseline = Number { version: state.baseline.clone(), ..number.clone() };
    let points: Vec<ShownPoint> = history.points(number).copied().collect();
    let first = points.first().map_or(Micros::MAX, |point| point.end);
    let beside = |point: &&ShownPoint| point.end >= first && !state.is_world();
    let baseline_points: Vec<ShownPoint> = history.points(&of_baseline).filter(beside).copied().collect();
    let watching = policy.into_iter().flat_map(|policy| &policy.rules).filter(|rule| watches(rule, number));
    let bounds = watching.map(|rule| (rule_name(rule), bound(rule, &points, &baseline_points))).collect();
    Chart {
        title: choice.name(),
        metric: number.metric.clone(),
        candidate: state.candidate.clone(),
        points,
        baseline: state.baseline.clone(),
        baseline_points,
        bounds,
        marks: Vec::new(),
    }
}

fn watches(rule: &Rule, number: &Number) -> bool {
    let column = rule.columns.is_empty() || rule.columns.contains(&number.column);
    rule.metric == number.metric && column
}

fn rule_name(rule: &Rule) -> String {
    let side = if matches!(rule.bound, Bound::Above(_)) { "above" } else { "below" };
    format!("{} {side}", action_name(rule.action))
}

/// The bound as a line: fixed, or beside the baseline version's own.
fn bound(rule: &Rule, points: &[ShownPoint], baseline: &[ShownPoint]) -> Vec<(Micros, f64)> {
    let (Bound::Above(bound) | Bound::Below(bound)) = rule.bound;
    let beside = |at: fn(f64, f64) -> f64| baseline.iter().map(|point| (point.end, at(point.value, bound))).collect();
    match rule.against {
        Against::Value => points.iter().map(|point| (point.end, bound)).collect(),
        Against::Difference => beside(|value, bound| value + bound),
        Against::Ratio => beside(|value, bound| value * bound),
    }
}
