//! Which reason code a breach of a rule has, and the sentence for people.

use crate::metric::{Reads, Spec};
use crate::plan::{Against, Bound, Plan, Role, Rule};
use crate::reason::ReasonCode;
use crate::verdict::decision::Evidence;

/// The reason code of a breach.
pub(crate) fn code(plan: &Plan, spec: &Spec, column: &str) -> ReasonCode {
    match spec.reads {
        Reads::Latency => ReasonCode::LatencyQuantile,
        Reads::Rates if spec.name == "throughput" => ReasonCode::TrafficMismatch,
        Reads::Rates if spec.name == "positive_rate" => ReasonCode::ScoreDrift,
        Reads::Rates => ReasonCode::ErrorRate,
        Reads::Binary | Reads::Classification if is_calibration(spec.name) => ReasonCode::CalibrationRegression,
        Reads::Binary | Reads::Classification | Reads::Regression => ReasonCode::OutcomeRegression,
        Reads::Numeric | Reads::Categorical | Reads::Column if spec.name.ends_with("_rate") => ReasonCode::DataQuality,
        Reads::Numeric | Reads::Categorical | Reads::Column => match role(plan, column) {
            Role::Feature => ReasonCode::FeatureDrift,
            Role::Score => ReasonCode::ScoreDrift,
            Role::Latency => ReasonCode::LatencyShape,
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
