//! A number behind a decision, in words: what it is, what it was held against, and which windows it was taken over. A
//! number and a bound are shown beside each other only where they are of one kind.

use std::fmt::Write as _;

use super::text::{count, number};
use crate::metric::{self, Moment};
use crate::verdict::Evidence;
use crate::verdict::decision::Test;

/// Conventions of guardrails that count all windows so far.
const SO_FAR: [&str; 4] = ["all_windows", "clipped_all_windows", "ratio", "difference"];

/// One number behind a decision, with everything it rests on.
#[must_use]
pub fn proof(evidence: &Evidence) -> String {
    let mut out = format!("rule {}: {}", evidence.rule, evidence.metric);
    if !evidence.column.is_empty() {
        let _ = write!(out, " of {}", evidence.column);
    }
    if !evidence.segment.is_empty() {
        let _ = write!(out, " in {}", evidence.segment);
    }
    let _ = write!(out, " {}", estimate(evidence));
    if let Some(bound) = bound(evidence) {
        let _ = write!(out, ", {bound}");
    }
    if let Some(gathered) = gathered(evidence) {
        let _ = write!(out, ", evidence {gathered}");
    }
    let _ = write!(out, ", n {}", count(evidence.n_candidate));
    if evidence.n_baseline > 0 {
        let _ = write!(out, " and {}", count(evidence.n_baseline));
    }
    let _ = write!(out, ", {}", over(evidence));
    out
}

/// The number, named where it is not the metric itself.
#[must_use]
pub fn estimate(evidence: &Evidence) -> String {
    let value = number(evidence.estimate);
    match (evidence.test.known(), evidence.convention.as_str()) {
        // Values are compared by their ranks, so that no unit and no outlier matters.
        (Some(Test::Contrast), "difference") if moment(&evidence.metric).is_some() => {
            format!("difference of normal scores {value}")
        }
        (Some(Test::Contrast | Test::Hx | Test::Bound), "difference") => format!("difference {value}"),
        (Some(Test::Hx | Test::Bound), "ratio") => format!("x{value}"),
        (Some(Test::ShiryaevRoberts), "normal_scores") if moment(&evidence.metric) == Some(Moment::Spread) => {
            format!("standard deviation of normal scores {value}")
        }
        (Some(Test::ShiryaevRoberts), "normal_scores") => format!("mean normal score {value}"),
        (Some(Test::Reliability), _) => format!("scores less outcomes {value}"),
        (Some(Test::Gap), _) => format!("largest difference {value}"),
        _ => value,
    }
}

fn moment(metric: &str) -> Option<Moment> {
    metric::find(metric).and_then(|metric| metric.spec().moment)
}

/// What the number was held against; `None` where the evidence that was gathered counts, and not the number.
#[must_use]
pub fn bound(evidence: &Evidence) -> Option<String> {
    let bound = number(evidence.bound);
    match (evidence.test.known()?, evidence.convention.as_str()) {
        (Test::Limit, _) => Some(format!("limit {bound}")),
        (Test::ShiryaevRoberts, "share") => Some(format!("expected {bound}")),
        (Test::ShiryaevRoberts, _) => Some(format!("tolerated {bound}")),
        (Test::SampleRatio, _) => Some(format!("declared {bound}")),
        (Test::Hx, "ratio") => evidence.margin.map(|margin| format!("margin x{}", number(margin))),
        (Test::Hx | Test::Contrast, "difference") | (Test::Reliability, _) => None,
        (Test::Bound, "ratio") => Some(format!("bound x{bound}")),
        (Test::Bound | Test::Hx | Test::Contrast | Test::Gap, _) => Some(format!("bound {bound}")),
    }
}

/// The evidence that was gathered, and how much acts.
#[must_use]
pub fn gathered(evidence: &Evidence) -> Option<String> {
    let e_value = number(evidence.e_value?);
    let acts = evidence.alpha.map_or_else(String::new, |alpha| format!(" of {}", number(1.0 / alpha)));
    Some(format!("{e_value}{acts}"))
}

/// The windows that the number was taken over, and how many of those looked at were beyond the bound.
#[must_use]
pub fn over(evidence: &Evidence) -> String {
    let (beyond, looked_at) = evidence.breaches;
    match evidence.test.known() {
        Some(Test::Bound) if looked_at > 0 => format!("last window; beyond in {beyond} of the last {looked_at}"),
        Some(Test::Bound | Test::Contrast | Test::ShiryaevRoberts) => "last window".to_owned(),
        Some(Test::Hx) if !SO_FAR.contains(&evidence.convention.as_str()) => "last window".to_owned(),
        Some(Test::Hx | Test::Reliability | Test::Gap) if looked_at > 0 => format!("all {looked_at} windows so far"),
        Some(Test::Hx | Test::Reliability | Test::Limit | Test::SampleRatio | Test::Gap) => {
            "all windows so far".to_owned()
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    fn evidence(test: Test, metric: &str, convention: &str) -> Evidence {
        Evidence {
            rule: "r".into(),
            metric: metric.to_owned(),
            column: "score".to_owned(),
            segment: String::new(),
            baseline_kind: "concurrent:v1".to_owned(),
            convention: convention.to_owned(),
            estimate: 1.078,
            lo: None,
            hi: None,
            bound: 0.1,
            test: test.into(),
            e_value: Some(50.0),
            alpha: Some(0.01),
            margin: Some(1.2),
            n_candidate: 10,
            n_baseline: 20,
            breaches: (0, 0),
            window: (0, 10),
            reference: String::new(),
            flags: Vec::new(),
        }
    }

    fn told(evidence: &Evidence) -> [String; 3] {
        [estimate(evidence), bound(evidence).unwrap_or_default(), over(evidence)]
    }

    #[test]
    fn a_number_stands_beside_a_bound_of_its_own_kind_only() {
        let cases = [
            (Test::Contrast, "std_ratio", "difference", ["difference of normal scores 1.078", "", "last window"]),
            (Test::Contrast, "error_rate", "difference", ["difference 1.078", "", "last window"]),
            (Test::Contrast, "std_ratio", "sample_sd", ["1.078", "bound 0.1", "last window"]),
            (Test::Hx, "error_rate", "all_windows", ["1.078", "bound 0.1", "all windows so far"]),
            (Test::Hx, "mean", "clipped_all_windows", ["1.078", "bound 0.1", "all windows so far"]),
            (Test::Hx, "latency_p50", "hdr", ["1.078", "bound 0.1", "last window"]),
            (Test::Hx, "error_rate", "ratio", ["x1.078", "margin x1.2", "all windows so far"]),
            (Test::Hx, "error_rate", "difference", ["difference 1.078", "", "all windows so far"]),
            (Test::Bound, "mae", "ratio", ["x1.078", "bound x0.1", "last window"]),
            (Test::Bound, "mae", "difference", ["difference 1.078", "bound 0.1", "last window"]),
            (Test::ShiryaevRoberts, "psi", "debiased", ["1.078", "tolerated 0.1", "last window"]),
            (
                Test::ShiryaevRoberts,
                "mean_shift",
                "normal_scores",
                ["mean normal score 1.078", "tolerated 0.1", "last window"],
            ),
            (
                Test::ShiryaevRoberts,
                "std_ratio",
                "normal_scores",
                ["standard deviation of normal scores 1.078", "tolerated 0.1", "last window"],
            ),
            (Test::Limit, "error_rate", "share", ["1.078", "limit 0.1", "all windows so far"]),
            (Test::SampleRatio, "throughput", "share", ["1.078", "declared 0.1", "all windows so far"]),
        ];
        for (test, metric, convention, words) in cases {
            assert_eq!(told(&evidence(test, metric, convention)), words, "{test:?} {metric}");
        }
    }

    #[test]
    fn windows_are_counted_where_they_were() {
        let rule = Evidence { breaches: (2, 3), ..evidence(Test::Bound, "error_rate", "exact") };
        assert_eq!(told(&rule), ["1.078", "bound 0.1", "last window; beyond in 2 of the last 3"]);
        let rail = Evidence { breaches: (37, 37), ..evidence(Test::Hx, "error_rate", "ratio") };
        assert_eq!(over(&rail), "all 37 windows so far");
        assert_eq!(gathered(&rail).as_deref(), Some("50 of 100"));
        for &test in Test::ALL {
            assert!(!over(&evidence(test, "psi", "")).contains("0 of"), "{test:?}");
        }
    }
}
