//! What the summary says of a replay.

use crate::format::RecordVersion;
use crate::plan::Authority;
use crate::reason::ReasonCode;
use crate::verdict::Evidence;
use crate::verdict::decision::{DecisionInputs, Exposure, Precondition, Reason, Severity, Test};

use super::*;

const DAY: Micros = 86_400_000_000;
const START: Micros = 15_813 * DAY; // 2013-04-18

/// A number that was computed of a column, of one day.
pub(crate) fn row(day: i64, column: &str, convention: &str, value: f64) -> WindowRow {
    WindowRow {
        window_start: START + day * DAY,
        window_end: START + (day + 1) * DAY,
        model: "flight-delay".into(),
        version: "v2".into(),
        segment: String::new(),
        baseline: "concurrent:v1".into(),
        reference: String::new(),
        column: column.into(),
        metric: "psi".into(),
        convention: convention.into(),
        revision: 0,
        status: RowStatus::Ok,
        value: Some(value),
        low: None,
        high: None,
        p_value: None,
        n: 1571,
        n_baseline: 5000,
        bins: 10,
        coverage: None,
        doubts: String::new(),
        trust: crate::trust::Trust::Ok,
    }
}

/// A containment.
pub(crate) fn decision() -> Decision {
    let evidence = Evidence {
        rule: "errors".into(),
        metric: "error_rate".into(),
        column: String::new(),
        segment: String::new(),
        baseline_kind: "concurrent".into(),
        convention: "wilson95".into(),
        estimate: 0.0351,
        lo: None,
        hi: None,
        bound: 0.02,
        test: Test::Bound.into(),
        e_value: None,
        alpha: None,
        margin: None,
        n_candidate: 1571,
        n_baseline: 5000,
        breaches: (2, 3),
        window: (START, START + DAY),
        reference: String::new(),
        flags: Vec::new(),
    };
    Decision {
        format: RecordVersion::NEW,
        id: "b3:00".into(),
        sequence: 1,
        episode: "b3:00".into(),
        time: START + DAY,
        action: Signal::Contain,
        cap_pct: Some(5.0),
        rollout: "flights".into(),
        model: "flight-delay".into(),
        candidate: "v2".into(),
        baseline: "v1".into(),
        denied_versions: Vec::new(),
        precondition: Precondition { candidate: "v2".into(), state: "OBSERVING".into(), state_sequence: "0".into() },
        supersedes: Vec::new(),
        authority: Authority::Advisory,
        approval: None,
        severity: Severity::Error,
        causation: None,
        reason: Reason { code: ReasonCode::ErrorRate.into(), text: "v2 fails more often than v1".into() },
        evidence: vec![evidence; 5],
        exposure: Exposure { declared_pct: None, observed_pct: 23.9 },
        inputs: DecisionInputs {
            offsets: Vec::new(),
            window: Some((0, 10)),
            policy: "p".into(),
            reference: String::new(),
            engine: "haldane".into(),
        },
        ledger: Vec::new(),
        lease_s: 60,
        drill: false,
        previous: String::new(),
    }
}

fn summary() -> Summary {
    let mut summary = Summary::default();
    let windows = vec![row(0, "visib", "own", 0.1), row(0, "visib", "evidently", 9.0), row(1, "visib", "own", 1.25)];
    summary.add(&Effects { windows, ..Effects::default() });
    let windows = vec![
        row(0, "temp", "own", 0.5),
        WindowRow { baseline: "7d_ago".into(), ..row(0, "temp", "own", 8.0) },
        WindowRow { segment: "origin=JFK".into(), ..row(1, "temp", "own", 7.0) },
    ];
    summary.add(&Effects { windows, decisions: vec![decision()], ..Effects::default() });
    summary
}

#[test]
fn a_version_tells_windows_decisions_and_drift() {
    let expected = "\
flight-delay v2: 2 windows judged, 2013-04-18 00:00 UTC to 2013-04-20 00:00 UTC
  1 decision in rollout flights against v1
    2013-04-19 00:00 UTC  contain to 5%  ERROR_RATE: v2 fails more often than v1
      rule errors: error_rate 0.0351, bound 0.02, n 1,571 and 5,000, last window; beyond in 2 of the last 3
      rule errors: error_rate 0.0351, bound 0.02, n 1,571 and 5,000, last window; beyond in 2 of the last 3
      rule errors: error_rate 0.0351, bound 0.02, n 1,571 and 5,000, last window; beyond in 2 of the last 3
      and 2 more
  highest drift in any window, against concurrent:v1
    column  psi   n      window
    visib   1.25  1,571  2013-04-19 00:00 UTC
    temp    0.5   1,571  2013-04-18 00:00 UTC
";
    assert_eq!(summary().render(false), expected);
}

#[test]
fn a_window_of_few_rows_is_no_peak_unless_all_have_few() {
    let rendered = |rows: [u64; 2]| {
        let window = |(day, value, n)| WindowRow { n, ..row(day, "visib", "own", value) };
        let windows = [(0, 0.1, rows[0]), (1, 9.0, rows[1])].map(window).into();
        let mut summary = Summary::default();
        summary.add(&Effects { windows, ..Effects::default() });
        summary.render(false)
    };
    assert!(rendered([1571, 1]).contains("visib   0.1"), "{}", rendered([1571, 1]));
    assert!(rendered([20, 1]).contains("visib   9"), "{}", rendered([20, 1]));
}

#[test]
fn colour_is_only_there_when_asked_for() {
    assert!(!summary().render(false).contains('\x1b'));
    assert!(summary().render(true).contains("\x1b[1;31mcontain\x1b[0m"));
}

#[test]
fn an_empty_replay_says_so() {
    assert!(Summary::default().render(false).starts_with("no window was judged"));
}
