//! Windows and decisions made by hand, and the lines, notes and numbers of reports on them.

use super::*;
use crate::metric::row::RowStatus;

const HOUR: Micros = 3_600_000_000;

fn row(hour: i64, version: &str, metric: &str, value: f64) -> WindowRow {
    WindowRow {
        window_start: hour * HOUR,
        window_end: (hour + 1) * HOUR,
        model: "m".to_owned(),
        version: version.to_owned(),
        segment: String::new(),
        baseline: String::new(),
        reference: String::new(),
        column: String::new(),
        metric: metric.to_owned(),
        convention: "exact".to_owned(),
        revision: 0,
        status: RowStatus::Ok,
        value: Some(value),
        low: None,
        high: None,
        p_value: None,
        n: 100,
        n_baseline: 0,
        bins: 0,
        coverage: None,
        doubts: String::new(),
        trust: Trust::default(),
    }
}

fn decision(action: Signal) -> Decision {
    let line = include_str!("../../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
    let recorded: Decision = serde_json::from_str(line.expect("a line")).expect("a decision");
    Decision {
        action,
        rollout: "r".to_owned(),
        model: "m".to_owned(),
        candidate: "v2".to_owned(),
        baseline: "v1".to_owned(),
        evidence: Vec::new(),
        time: HOUR,
        ..recorded
    }
}

fn rests_on(metric: &str, estimate: f64, bound: f64) -> Evidence {
    let line = include_str!("../../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
    let recorded: Decision = serde_json::from_str(line.expect("a line")).expect("a decision");
    let first = recorded.evidence.into_iter().next().expect("evidence");
    Evidence {
        metric: metric.to_owned(),
        column: String::new(),
        baseline_kind: String::new(),
        window: (0, HOUR),
        estimate,
        bound,
        ..first
    }
}

fn of(rows: Vec<WindowRow>, decisions: &[Decision]) -> History {
    asked(rows, decisions, &Log::default())
}

fn asked(rows: Vec<WindowRow>, decisions: &[Decision], log: &Log) -> History {
    let mut windows = HistoryWindows::default();
    rows.into_iter().for_each(|row| windows.take(row, &|_, _| true));
    told(&windows, decisions, log)
}

fn values(history: &History, metric: &str) -> Vec<(String, Vec<f64>)> {
    let of = |series: &Series| -> Vec<(String, Vec<f64>)> {
        let line = |line: &SeriesLine| (line.version.clone(), line.points.iter().map(|point| point.value).collect());
        series.lines.iter().map(line).collect()
    };
    history.series.iter().filter(|series| series.metric == metric).flat_map(of).collect()
}

#[test]
fn versions_of_two_models_are_two_lines() {
    let other = |hour, value| WindowRow { model: "n".to_owned(), n: 900, ..row(hour, "v2", "error_rate", value) };
    let rows = vec![
        row(0, "v1", "error_rate", 0.01),
        row(0, "v2", "error_rate", 0.02),
        other(0, 0.5),
        row(1, "v2", "error_rate", 0.04),
        row(1, "v1", "error_rate", 0.01),
        other(1, 0.7),
    ];
    let history = of(rows.clone(), &[decision(Signal::Hold)]);
    let lines = values(&history, "error_rate");
    assert_eq!(lines[..2], [("v1".to_owned(), vec![0.01, 0.01]), ("v2".to_owned(), vec![0.02, 0.04])]);
    assert_eq!(lines[2..], [("v2".to_owned(), vec![0.5, 0.7])]);
    assert_eq!(history.series.iter().map(|series| series.model.as_str()).collect::<Vec<_>>(), ["m", "n"]);
    let beside = &history.rollouts[0].compared[0];
    assert!((beside.candidate - 0.03).abs() < 1e-12 && beside.n == 200, "the model's own numbers: {beside:?}");
    let narrow = asked(rows, &[decision(Signal::Hold)], &Log { rollout: Some("r".into()), ..Log::default() });
    assert!(narrow.series.iter().all(|series| series.model == "m"), "who asks for a rollout is told of its model");
}

#[test]
fn a_later_revision_takes_the_place_of_what_it_revises_in_any_order() {
    let first = row(0, "v1", "error_rate", 0.01);
    let second = WindowRow { revision: 2, ..row(0, "v1", "error_rate", 0.02) };
    for rows in [vec![first.clone(), second.clone()], vec![second, first]] {
        assert_eq!(values(&of(rows, &[]), "error_rate"), [("v1".to_owned(), vec![0.02])]);
    }
}

#[test]
fn a_line_keeps_to_one_convention_and_leaves_out_what_has_no_number() {
    let rows = vec![
        WindowRow { convention: "own".to_owned(), ..row(0, "v1", "error_rate", 0.01) },
        row(0, "v1", "error_rate", 9.0),
        row(1, "v1", "error_rate", 9.0),
        WindowRow { value: None, convention: "own".to_owned(), ..row(2, "v1", "error_rate", 0.0) },
        row(3, ALL_VERSIONS, "error_rate", 0.5),
    ];
    let history = of(rows, &[]);
    assert_eq!(values(&history, "error_rate"), [("v1".to_owned(), vec![0.01])]);
    assert_eq!((history.windows, history.first, history.last), (4, Some(0), Some(4 * HOUR)));
    assert_eq!(history.versions, ["v1"]);
}

#[test]
fn what_decisions_rest_on_comes_first_with_its_bound() {
    let rests = Decision { evidence: vec![rests_on("accuracy", 0.8, 0.9)], ..decision(Signal::Hold) };
    let rows = vec![row(0, "v2", "error_rate", 0.01), row(0, "v2", "accuracy", 0.8)];
    let history = of(rows.clone(), &[rests]);
    assert_eq!((history.series[0].metric.as_str(), &history.series[0].bounds), ("accuracy", &vec![0.9]));
    let bounds = |evidence: Evidence| {
        let decision = Decision { evidence: vec![evidence], ..decision(Signal::Hold) };
        let shown = of(rows.clone(), &[decision]).series;
        shown.into_iter().find(|series| series.metric == "error_rate").map(|series| series.bounds)
    };
    let of_errors = || rests_on("error_rate", 0.01, 0.9);
    assert_eq!(bounds(of_errors()), Some(vec![0.9]));
    for (evidence, why) in [
        (Evidence { estimate: 0.5, ..of_errors() }, "a ratio of two is no number of the line"),
        (Evidence { bound: f64::INFINITY, ..of_errors() }, "no bound at all"),
        (Evidence { window: (0, 9), ..of_errors() }, "another window"),
        (Evidence { segment: "country=DE".into(), ..of_errors() }, "a part of the traffic"),
    ] {
        assert_eq!(bounds(evidence), Some(vec![]), "{why}");
    }
}

#[test]
fn the_columns_that_moved_most_are_shown_and_no_more_than_there_is_room_for() {
    let psi = |column: usize, value: f64| WindowRow {
        column: format!("c{column:02}"),
        baseline: "concurrent:v1".to_owned(),
        ..row(0, "v2", "psi", value)
    };
    let rows = (0..20).map(|at| psi(at, [0.1, 0.9, 0.5][at % 3] + 0.001 * f64::from(u8::try_from(at).unwrap_or(0))));
    let history = of(rows.collect(), &[]);
    let columns: Vec<&str> = history.series.iter().map(|series| series.column.as_str()).collect();
    assert_eq!(columns, ["c19", "c16", "c13", "c10", "c07", "c04"]);
    let many: Vec<Evidence> =
        (0..30).map(|at| Evidence { column: format!("c{at:02}"), ..rests_on("mean", 1.0, 2.0) }).collect();
    let rows = (0..30).map(|at| WindowRow { column: format!("c{at:02}"), ..row(0, "v2", "mean", 1.0) }).collect();
    let history = of(rows, &[Decision { evidence: many, ..decision(Signal::Warn) }]);
    assert_eq!(history.series.len(), SERIES_MAX);
}

#[test]
fn numbers_of_both_versions_are_pooled_over_the_windows_that_have_both() {
    let n = |n, row| WindowRow { n, ..row };
    let rows = vec![
        n(100, row(0, "v2", "error_rate", 0.1)),
        n(300, row(1, "v2", "error_rate", 0.2)),
        n(900, row(2, "v2", "error_rate", 0.9)),
        n(10, row(0, "v1", "error_rate", 0.4)),
        n(30, row(1, "v1", "error_rate", 0.0)),
    ];
    let history = of(rows, &[decision(Signal::Hold)]);
    let beside = &history.rollouts[0].compared[0];
    assert!((beside.candidate - 0.175).abs() < 1e-12 && (beside.baseline - 0.1).abs() < 1e-12, "{beside:?}");
    assert_eq!(beside.n, 400);
    assert!(of(vec![row(0, "v2", "error_rate", 0.1)], &[decision(Signal::Hold)]).rollouts[0].compared.is_empty());
    assert_eq!(pooled(&[]), None);
}

#[test]
fn a_rollout_stands_where_its_last_decision_beside_warnings_left_it() {
    let later = |hours, decision| Decision { time: hours * HOUR, ..decision };
    let log = [
        decision(Signal::Warn),
        later(2, Decision { cap_pct: Some(5.0), ..decision(Signal::Contain) }),
        later(3, decision(Signal::Warn)),
        Decision { candidate: "v1".to_owned(), ..decision(Signal::Warn) },
    ];
    let history = of(vec![], &log);
    assert_eq!(history.rollouts.len(), 1, "what is about the baseline itself is the world's");
    let rollout = &history.rollouts[0];
    assert_eq!((rollout.last_action.as_str(), rollout.from, rollout.to), ("contain", HOUR, 3 * HOUR));
    assert_eq!(rollout.actions, [("warn".to_owned(), 2), ("contain".to_owned(), 1)]);
    let said = "Decided on 1970-01-01 02:00 UTC: contain v2 to 5 %; the world moved";
    assert!(rollout.summary.starts_with(said) && rollout.summary.ends_with("(3 decisions)"), "{}", rollout.summary);
    assert_eq!(of(vec![], &[decision(Signal::Warn)]).rollouts[0].last_action, "warn");
}

#[test]
fn a_summary_says_what_a_decision_is_worth() {
    let said = |decision: Decision| summary(&decision, 1);
    for (authority, word) in [
        (Authority::Auto, "Decided on"),
        (Authority::Approval, "Asked of people on"),
        (Authority::Advisory, "Advised on"),
        (Authority::Frozen, "Found while frozen on"),
    ] {
        assert!(said(Decision { authority, ..decision(Signal::Hold) }).starts_with(word), "{word}");
    }
    for (action, words) in [
        (Signal::Rollback, "roll v2 back to v1;"),
        (Signal::Hold, "hold v2 where it is;"),
        (Signal::PromoteOk, "let v2 rise;"),
        (Signal::Resume, "let v2 go on;"),
        (Signal::Warn, "warn for v2;"),
    ] {
        assert!(said(decision(action)).contains(words), "{}", said(decision(action)));
    }
    assert!(said(Decision { drill: true, ..decision(Signal::Hold) }).starts_with("Decided as an exercise on"));
}

#[test]
fn who_may_act_is_told_with_who_has_approved() {
    let told = |authority| who(&Decision { authority, ..decision(Signal::Hold) });
    assert_eq!(told(Authority::Approval), "nobody yet: it waits for approval");
    assert_eq!(told(Authority::Auto), "haldane, for machines to carry out");
    let mut manual = decision(Signal::Hold);
    manual.reason.code = ReasonCode::Manual.into();
    assert_eq!(who(&manual), "a person, as the reason says");
}

#[test]
fn windows_that_are_not_trusted_are_counted_once_each() {
    let of = |hour, trust| WindowRow { trust, ..row(hour, "v1", "error_rate", 0.0) };
    let rows = vec![of(0, Trust::Untrusted), of(0, Trust::Degraded), of(1, Trust::Degraded), of(2, Trust::default())];
    let history = self::of(rows, &[decision(Signal::Hold)]);
    let summary = &history.rollouts[0].summary;
    assert!(summary.ends_with("; of 3 windows, 1 untrusted and 1 degraded"), "{summary}");
    let trusted = self::of(vec![of(0, Trust::default())], &[decision(Signal::Hold)]);
    assert!(trusted.rollouts[0].summary.ends_with("(1 decision)"));
}

#[test]
fn where_nothing_is_found_it_is_said_what_was_asked_for() {
    let none = nothing(&Log { from: Some(0), ..Log::default() });
    assert_eq!(none.to_string(), "no window was judged and nothing was decided from 1970-01-01 00:00 UTC");
    assert!(none.advice().is_some_and(|hint| hint.starts_with("widen --from")));
    assert!(nothing(&Log::default()).advice().is_some_and(|hint| hint.contains("by then")));
    let log = Log { from: Some(10), until: Some(20), ..Log::default() };
    assert_eq!([9, 10, 19, 20].map(|time| log.holds(time)), [false, true, true, false]);
}

#[test]
fn a_line_that_is_no_decision_is_named_by_its_number() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("d.jsonl");
    let whole = include_str!("../../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
    std::fs::write(&path, format!("{}\n\n{{}}\n", whole.expect("a line"))).expect("written");
    let error = history(&Log { decisions: vec![path], ..Log::default() }).expect_err("no decision");
    assert!(error.to_string().contains("d.jsonl: line 3 is not a decision"), "{error}");
    assert!(error.advice().is_some_and(|hint| hint.contains("--decisions")));
}

#[test]
fn who_asks_for_a_candidate_that_nobody_decided_about_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("d.jsonl");
    std::fs::write(&path, include_str!("../../../../tests/data/recorded/flights.decisions.jsonl")).expect("written");
    let log =
        |candidate: &str| Log { decisions: vec![path.clone()], candidate: Some(candidate.into()), ..Log::default() };
    assert!(history(&log("v1")).is_ok());
    let error = history(&log("v9")).expect_err("nothing about it");
    assert_eq!(error.to_string(), "no decision is about v9");
    let both = Log { rollout: Some("x".into()), ..log("v9") };
    assert_eq!(history(&both).expect_err("nothing").to_string(), "no decision is about x and v9");
}
