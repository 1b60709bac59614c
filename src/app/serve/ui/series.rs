//! Which numbers are drawn, and against what.

use std::collections::BTreeSet;

use super::chart::Chart;
use super::words::{action_name, metric_of};
use crate::event::Micros;
use crate::metric::{DRIFT, Visibility, shown};
use crate::plan::{Against, Baseline, Bound, PolicyPlan, Rule};
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

/// Whether a rule holds its bound against a number: of its columns, and compared with what it compares with.
fn watches(rule: &Rule, number: &Number) -> bool {
    let column = rule.columns.is_empty() || rule.columns.contains(&number.column);
    let kind = number.baseline.split(':').next().unwrap_or_default();
    rule.metric == number.metric && column && rule.baseline.as_ref().map(Baseline::name).unwrap_or_default() == kind
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;

    fn rule(metric: &'static str, baseline: Option<Baseline>, against: Against, bound: Bound) -> Rule {
        Rule {
            name: "r".to_owned(),
            metric,
            columns: Vec::new(),
            baseline,
            against,
            segments: false,
            bound,
            n_min: 0,
            breaches: 1,
            windows: 1,
            action: Action::Hold,
            cap_pct: None,
        }
    }

    fn number(metric: &str, column: &str, baseline: &str) -> Number {
        Number {
            model: "m".to_owned(),
            column: column.to_owned(),
            metric: metric.to_owned(),
            convention: "own".to_owned(),
            version: "v2".to_owned(),
            segment: String::new(),
            baseline: baseline.to_owned(),
        }
    }

    fn points(values: &[f64]) -> Vec<ShownPoint> {
        let point = |(end, &value): (Micros, &f64)| ShownPoint {
            end,
            value,
            bounds: None,
            n: 1,
            n_baseline: 1,
            labels_pct: None,
            is_first: true,
        };
        (10..).zip(values).map(point).collect()
    }

    #[test]
    fn a_bound_is_drawn_on_what_its_rule_compares_with() {
        let psi = |baseline| rule("psi", Some(baseline), Against::Value, Bound::Above(0.2));
        for (rule, number, watched) in [
            (psi(Baseline::Reference), number("psi", "x", "reference"), true),
            (psi(Baseline::Reference), number("psi", "x", "concurrent:v1"), false),
            (psi(Baseline::Concurrent), number("psi", "x", "concurrent:v1"), true),
            (psi(Baseline::DaysAgo(7)), number("psi", "x", "7d_ago"), true),
            (psi(Baseline::DaysAgo(7)), number("psi", "x", "1d_ago"), false),
            (rule("error_rate", None, Against::Ratio, Bound::Above(2.0)), number("error_rate", "", ""), true),
            (rule("error_rate", None, Against::Value, Bound::Above(2.0)), number("psi", "", ""), false),
            (
                Rule { columns: vec!["y".to_owned()], ..psi(Baseline::Reference) },
                number("psi", "x", "reference"),
                false,
            ),
        ] {
            assert_eq!(watches(&rule, &number), watched, "{} {:?} {number:?}", rule.metric, rule.baseline);
        }
    }

    #[test]
    fn a_bound_is_a_line_beside_the_baseline_where_it_is_held_against_both() {
        let (mine, theirs) = (points(&[1.0, 2.0]), points(&[10.0]));
        let of = |against| bound(&rule("error_rate", None, against, Bound::Below(0.5)), &mine, &theirs);
        assert_eq!(of(Against::Value), [(10, 0.5), (11, 0.5)]);
        assert_eq!(of(Against::Difference), [(10, 10.5)]);
        assert_eq!(of(Against::Ratio), [(10, 5.0)]);
        let above = rule("error_rate", None, Against::Value, Bound::Above(0.5));
        assert_eq!(rule_name(&above), "hold above");
    }

    #[test]
    fn what_always_matters_and_what_moved_is_drawn_once_and_not_too_much() {
        let metrics: Vec<&str> = shown(Visibility::Dashboard).collect();
        let mut all: Vec<Choice> = metrics.iter().map(|metric| Choice { number: number(metric, "", "") }).collect();
        all.extend(["a", "b", "c"].map(|column| Choice { number: number("psi", column, "concurrent:v1") }));
        let drawn = usual(&all, None, &["b", "a", "c"]);
        assert!(drawn.len() <= CHARTS_MAX);
        let moved: Vec<&str> =
            drawn.iter().filter(|one| one.number.metric == "psi").map(|one| one.number.column.as_str()).collect();
        let room = CHARTS_MAX.saturating_sub(metrics.iter().filter(|metric| **metric != "psi").count());
        assert_eq!(moved, ["b", "a"][..room.min(2)], "the two that moved most");
        let mut once = drawn.clone();
        once.dedup();
        assert_eq!(once.len(), drawn.len());
        assert!(usual(&[], None, &["a"]).is_empty(), "what is not there is not drawn");
    }

    #[test]
    fn a_number_is_called_by_what_it_is_of() {
        let name = |number| Choice { number }.name();
        assert_eq!(name(number("psi", "x", "concurrent:v1")), "psi of x against concurrent:v1");
        assert_eq!(name(number("error_rate", "", "")), "error_rate");
    }
}
