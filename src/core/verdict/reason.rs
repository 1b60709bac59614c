//! Reason codes for machines and sentences for people.

use crate::metric::{Reads, Spec};
use crate::plan::{Against, Bound, Plan, Role, Rule};
use crate::verdict::decision::Evidence;

/// The versioned reason code of a breach.
pub(crate) fn code(plan: &Plan, spec: &Spec, column: &str) -> &'static str {
    match spec.reads {
        Reads::Latency => "LATENCY_QUANTILE",
        Reads::Rates if spec.name == "throughput" => "TRAFFIC_MISMATCH",
        Reads::Rates if spec.name == "positive_rate" => "SCORE_DRIFT",
        Reads::Rates => "ERROR_RATE",
        Reads::Binary | Reads::Classification if is_calibration(spec.name) => "CALIBRATION_REGRESSION",
        Reads::Binary | Reads::Classification | Reads::Regression => "OUTCOME_REGRESSION",
        Reads::Numeric | Reads::Categorical | Reads::Column if spec.name.ends_with("_rate") => "DATA_QUALITY",
        Reads::Numeric | Reads::Categorical | Reads::Column => match role(plan, column) {
            Role::Feature => "FEATURE_DRIFT",
            Role::Score => "SCORE_DRIFT",
            Role::Latency => "LATENCY_SHAPE",
        },
    }
}

fn is_calibration(name: &str) -> bool {
    ["ece", "mce", "calibration", "brier", "spiegelhalter"].iter().any(|prefix| name.starts_with(prefix))
}

fn role(plan: &Plan, column: &str) -> Role {
    plan.columns.numeric.iter().find(|numeric| numeric.name == column).map_or(Role::Feature, |numeric| numeric.role)
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
