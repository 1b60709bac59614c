//! Which reason code a breach of a rule has, and the sentence for people.

use crate::metric::{MetricSubject, Spec};
use crate::plan::{Against, Bound, ColumnRole, Plan, Rule};
use crate::reason::ReasonCode;
use crate::verdict::decision::Evidence;

/// The reason code of a breach.
pub(crate) fn code(plan: &Plan, spec: &Spec, column: &str) -> ReasonCode {
    match spec.subject {
        MetricSubject::Values => match role(plan, column) {
            ColumnRole::Feature => ReasonCode::FeatureDrift,
            ColumnRole::Score => ReasonCode::ScoreDrift,
            ColumnRole::Latency => ReasonCode::LatencyShape,
            ColumnRole::Measure => ReasonCode::MeasureRegression,
        },
        MetricSubject::Defects => ReasonCode::DataQuality,
        MetricSubject::Failures => ReasonCode::ErrorRate,
        MetricSubject::Latency => ReasonCode::LatencyQuantile,
        MetricSubject::Traffic => ReasonCode::TrafficMismatch,
        MetricSubject::Answers => ReasonCode::ScoreDrift,
        MetricSubject::Outcomes => ReasonCode::OutcomeRegression,
        MetricSubject::Calibration => ReasonCode::CalibrationRegression,
    }
}

fn role(plan: &Plan, column: &str) -> ColumnRole {
    plan.columns
        .numeric
        .iter()
        .find(|numeric| numeric.name == column)
        .map_or(ColumnRole::Feature, |numeric| numeric.role)
}

/// One sentence that says which number broke which bound.
pub(crate) fn text(rule: &Rule, evidence: &Evidence) -> String {
    let what = match evidence.column.as_str() {
        "" => evidence.metric.clone(),
        column => format!("{} of {column}", evidence.metric),
    };
    let place = if evidence.segment.is_empty() { String::new() } else { format!(" in {}", evidence.segment) };
    let how = match rule.against {
        Against::Value if evidence.baseline_kind.is_empty() => String::new(),
        Against::Value => format!(" against {}", evidence.baseline_kind),
        Against::Difference => " minus the baseline version's".to_owned(),
        Against::Ratio => " over the baseline version's".to_owned(),
    };
    let side = if matches!(rule.bound, Bound::Above(_)) { "above" } else { "below" };
    let again = match evidence.breaches {
        (_, 1) => String::new(),
        (n, of) => format!("; so it was in {n} of the last {of} windows"),
    };
    format!("{what}{place}{how} is {:.4} in the last window, {side} {}{again}", evidence.estimate, evidence.bound)
}
