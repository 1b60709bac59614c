//! Reports made by hand, and what each form says of them.

use super::model::*;
use super::{junit, markdown, note, page, report};

const DAY: i64 = 86_400_000_000;

fn shape() -> Shape {
    Shape {
        rows: 1_000,
        missing: 0.0,
        mean: Some(1.5),
        std_dev: None,
        min: Some(0.0),
        max: Some(3.0),
        quantiles: Vec::new(),
        categories: None,
        notes: Vec::new(),
    }
}

fn column(name: &str, verdict: Stand, debiased: f64) -> ColumnReport {
    let is_drifted = verdict == Stand::Drifted;
    ColumnReport {
        column: name.to_owned(),
        kind: "numeric".to_owned(),
        role: "feature".to_owned(),
        verdict,
        drifted: is_drifted,
        drifted_e: is_drifted,
        p_value: 0.25,
        psi: PsiEffect {
            value: debiased + 0.01,
            debiased,
            low: debiased / 2.0,
            high: debiased * 2.0,
            tolerated: 0.1,
            p_value: 0.25,
            log10_e: 0.0,
        },
        ks: None,
        n: 1_000,
        n_reference: 2_000,
        reference: shape(),
        current: shape(),
        figures: Vec::new(),
        tests: Vec::new(),
        missing: None,
        distribution: Distribution {
            edges: Vec::new(),
            names: vec!["a".to_owned()],
            reference: vec![1.0],
            current: vec![1.0],
            beyond: (0.0, 0.0),
        },
        periods: Vec::new(),
    }
}

fn problem(column: &str) -> Problem {
    Problem {
        column: column.to_owned(),
        what: "missing".to_owned(),
        text: "5.0 % missing, 0 % before".to_owned(),
        reference: Some(0.0),
        current: Some(0.05),
        n_reference: 2_000,
        n: 1_000,
    }
}

fn source(name: &str) -> Source {
    Source {
        name: name.to_owned(),
        rows: 1_000,
        compared: 84_621,
        duplicates: 0,
        outside: 0,
        refused: 0,
        passed_over: 0,
        first: None,
        last: None,
        versions: Vec::new(),
    }
}

fn comparison(columns: Vec<ColumnReport>) -> Comparison {
    let named = columns.iter().filter(|column| column.drifted).count();
    Comparison {
        reference: source("last week.parquet"),
        current: Source { first: Some(0), last: Some(DAY), ..source("today.csv") },
        reference_id: "b3:0123".to_owned(),
        method: Method {
            psi_tolerated: 0.1,
            ks_tolerated: 0.1,
            rate_psi_tolerated: 0.02,
            false_discovery_rate: 0.05,
            confidence: 0.9,
            tested: columns.len(),
            named_bh: named,
            named_e_bh: named,
            bins: 10,
            notes: Vec::new(),
        },
        columns,
        problems: Vec::new(),
        untested: Vec::new(),
        answers: Vec::new(),
        latency: Vec::new(),
        quality: None,
        segments: Vec::new(),
        timeline: None,
        trust: Vec::new(),
        roles: Vec::new(),
    }
}

fn figure(metric: &str, reference: Option<f64>, value: Option<f64>) -> Figure {
    Figure {
        metric: metric.to_owned(),
        convention: "exact".to_owned(),
        unit: String::new(),
        value,
        reference,
        low: None,
        high: None,
        p_value: None,
        n: 500,
        n_reference: 600,
        bins: 0,
    }
}

fn quality(figures: Vec<Figure>) -> QualityReport {
    QualityReport {
        task: "binary".to_owned(),
        n: (600, 500),
        coverage: (None, Some(0.5)),
        figures,
        reference_curve: Vec::new(),
        current_curve: Vec::new(),
        log10_e_miscalibrated: None,
        classes: Vec::new(),
    }
}

fn rollout(candidate: &str, last_action: &str) -> Rollout {
    Rollout {
        rollout: "r".to_owned(),
        model: "m".to_owned(),
        candidate: candidate.to_owned(),
        baseline: "v1".to_owned(),
        summary: format!("Decided: {last_action} {candidate}."),
        last_action: last_action.to_owned(),
        from: 0,
        to: DAY,
        actions: vec![(last_action.to_owned(), 2)],
        compared: Vec::new(),
    }
}

fn decision(sequence: u64, action: &str) -> DecisionNote {
    DecisionNote {
        id: format!("b3:{sequence:064}"),
        sequence,
        time: i64::try_from(sequence).expect("a small number") * DAY,
        action: action.to_owned(),
        cap_pct: None,
        rollout: "r".to_owned(),
        model: "m".to_owned(),
        candidate: "v2".to_owned(),
        reason: "errors doubled".to_owned(),
        code: "ERRORS".to_owned(),
        who: "haldane, for machines to carry out".to_owned(),
        policy: "b3:plan".to_owned(),
        evidence: vec![format!("evidence of {action} {sequence}")],
    }
}

fn history(rollouts: Vec<Rollout>, decisions: Vec<DecisionNote>) -> History {
    History {
        windows: 3,
        first: Some(0),
        last: Some(3 * DAY),
        versions: vec!["v1".to_owned(), "v2".to_owned()],
        references: Vec::new(),
        series: Vec::new(),
        decisions,
        rollouts,
    }
}

fn of(comparison: Comparison) -> Report {
    report(Some(comparison), None)
}

fn sentences(comparison: Comparison) -> String {
    of(comparison).verdict.sentences.join(" | ")
}

#[test]
fn a_verdict_is_the_worst_that_was_found() {
    let within = || vec![column("a", Stand::Within, 0.0)];
    let outcome = |comparison: Comparison| of(comparison).verdict.outcome;
    assert_eq!(outcome(comparison(within())), Outcome::Ok);
    assert_eq!(outcome(comparison(vec![])), Outcome::Unknown);
    let problems = vec![problem("a")];
    assert_eq!(outcome(Comparison { problems: problems.clone(), ..comparison(within()) }), Outcome::Quality);
    assert_eq!(outcome(Comparison { problems: problems.clone(), ..comparison(vec![]) }), Outcome::Quality);
    let drifted = vec![column("a", Stand::Drifted, 0.5)];
    assert_eq!(outcome(Comparison { problems, ..comparison(drifted) }), Outcome::Drift);
    assert_eq!(outcome(comparison(vec![column("a", Stand::Unclear, 0.2)])), Outcome::Ok, "perhaps by chance");
    assert_eq!(report(None, None).verdict.outcome, Outcome::Unknown);
}

#[test]
fn a_headline_counts_columns() {
    let headline = |columns: Vec<ColumnReport>| of(comparison(columns)).verdict.headline;
    assert_eq!(headline(vec![]), "No column could be tested.");
    let within = |name: &str| column(name, Stand::Within, 0.0);
    assert_eq!(headline(vec![within("a")]), "None of 1 column drifted beyond what is tolerated.");
    let two = vec![column("b", Stand::Drifted, 0.5), within("a")];
    assert_eq!(headline(two), "1 of 2 columns drifted beyond what is tolerated.");
}

#[test]
fn a_verdict_names_five_columns_each_with_the_number_that_is_beyond() {
    let mut columns: Vec<ColumnReport> = (0..7).map(|at| column(&format!("c{at}"), Stand::Drifted, 0.5)).collect();
    columns[1].psi.debiased = 0.05;
    columns[1].ks = Some(KsEffect { low: 0.25, high: 0.3, p_value: 0.0 });
    columns[2].ks = Some(KsEffect { low: 0.25, high: 0.3, p_value: 0.0 });
    let said = sentences(comparison(columns));
    assert!(said.contains("Moved most: c0 (PSI 0.51), c1 (KS 0.25), c2 (PSI 0.51), c3"), "{said}");
    assert!(said.contains("c4 (PSI 0.51) and 2 more."), "{said}");
    assert!(said.contains("PSI beyond 0.1 or KS beyond 0.1, 7 columns in all"), "{said}");
    assert!(said.contains("at most 5 % wrong on average (Benjamini-Hochberg 7, e-BH 7)"), "{said}");
    let unclear = (0..6).map(|at| column(&format!("u{at}"), Stand::Unclear, 0.2)).collect();
    let said = sentences(comparison(unclear));
    assert!(!said.contains("Moved most"), "{said}");
    assert!(said.contains("perhaps by chance: u0 (PSI 0.21)") && said.contains("u4 (PSI 0.21) and 1 more;"), "{said}");
}

#[test]
fn a_verdict_tells_the_first_problem_and_how_many_more() {
    let with = |problems: Vec<Problem>| sentences(Comparison { problems, ..comparison(vec![]) });
    assert!(with(vec![]).contains("No problem with the data itself."));
    assert!(with(vec![problem("a")]).contains("1 problem with the data: a 5.0 % missing, 0 % before."));
    let three = with(vec![problem("a"), problem("b"), problem("c")]);
    assert!(three.contains("3 problems with the data: a 5.0 % missing, 0 % before, and 2 more."), "{three}");
    let untested = vec![Untested { column: "x".to_owned(), why: "no value".to_owned() }];
    let said = sentences(Comparison { untested, ..comparison(vec![]) });
    assert!(said.ends_with("1 column was not tested, with reasons below."), "{said}");
}

#[test]
fn a_verdict_tells_the_figure_that_says_most_of_the_answers() {
    let said = |figures: Vec<Figure>| sentences(Comparison { quality: Some(quality(figures)), ..comparison(vec![]) });
    let [accuracy, mae, brier] =
        [("accuracy", 0.9), ("mae", 2.5), ("brier", 0.125)].map(|(name, value)| figure(name, None, Some(value)));
    assert!(said(vec![accuracy.clone(), mae.clone(), brier.clone()]).contains("Brier score 0.125."));
    assert!(said(vec![accuracy.clone(), mae]).contains("Mean absolute error 2.5."));
    assert!(said(vec![accuracy]).contains("Accuracy 0.9."));
    let both = vec![figure("brier", Some(0.1), Some(0.125)), figure("calibration_in_the_large", None, Some(-0.02))];
    assert!(said(both).contains("Brier score 0.125, 0.1 in the reference; labels less scores -0.02 on average."));
    let none = said(vec![figure("brier", Some(0.1), None)]);
    assert!(!none.contains("Brier"), "no number of today is no sentence: {none}");
}

#[test]
fn a_history_is_restricted_as_long_as_a_candidate_is() {
    let told = |rollouts: Vec<Rollout>, decisions| report(None, Some(history(rollouts, decisions))).verdict;
    for (action, outcome) in [
        ("hold", Outcome::Restricted),
        ("contain", Outcome::Restricted),
        ("rollback", Outcome::Restricted),
        ("promote_ok", Outcome::Ok),
        ("resume", Outcome::Ok),
        ("warn", Outcome::Ok),
    ] {
        let verdict = told(vec![rollout("v2", action)], vec![decision(1, action)]);
        assert_eq!(verdict.outcome, outcome, "{action}");
        assert_eq!(verdict.headline, format!("Decided: {action} v2."), "one candidate speaks for itself");
        assert_eq!(verdict.sentences, ["3 windows judged, 1 decision."]);
    }
    let two = told(vec![rollout("v2", "rollback"), rollout("v3", "resume")], vec![]);
    assert_eq!(two.headline, "1 of 2 candidates are restricted.");
    assert_eq!(two.sentences.len(), 3, "each candidate, and what was counted: {:?}", two.sentences);
    let nothing = told(vec![], vec![]);
    assert_eq!((nothing.outcome, nothing.headline.as_str()), (Outcome::Ok, "3 windows, and no decision."));
    let empty = report(None, Some(History { windows: 0, ..history(vec![], vec![]) })).verdict;
    assert_eq!(empty.outcome, Outcome::Unknown);
}

/// Texts that would end a cell, a line, an attribute or an element, or be a link, if they were markup.
const HOSTILE: &str = "a|b\\|c\n# d\r<img src=x onerror=\"alert(1)\"> [e](http://f) ![g](h) 'i' &lt; \u{1b}[31m";

fn hostile() -> Report {
    let name = || HOSTILE.to_owned();
    let mut column = column(HOSTILE, Stand::Drifted, 0.5);
    column.distribution.names = vec![name()];
    column.current.notes = vec![name()];
    column.figures = vec![figure(HOSTILE, None, None)];
    column.tests =
        vec![KnownTest { test: "welch".to_owned(), statistic: 1.0, p_value: 0.5, method: "student_t".to_owned() }];
    let segment = Segment {
        field: name(),
        value: name(),
        n_reference: 1,
        n: 1,
        tested: 1,
        drifted: vec![name()],
        worst: Some(name()),
        psi: Some(1.0),
        psi_all: None,
    };
    let comparison = Comparison {
        reference: source(HOSTILE),
        current: source(HOSTILE),
        problems: vec![Problem { text: name(), what: name(), ..problem(HOSTILE) }],
        untested: vec![Untested { column: name(), why: name() }],
        segments: vec![segment],
        trust: vec![name()],
        roles: vec![RoleNote { column: name(), role: name(), why: name() }],
        quality: Some(quality(vec![figure(HOSTILE, Some(0.1), Some(0.1))])),
        ..comparison(vec![column])
    };
    let candidate = Rollout {
        summary: name(),
        compared: vec![Beside { metric: name(), column: name(), candidate: 1.0, baseline: 1.0, n: 1 }],
        ..rollout(HOSTILE, "hold")
    };
    let said =
        DecisionNote { reason: name(), who: name(), candidate: name(), evidence: vec![name()], ..decision(1, "hold") };
    report(Some(comparison), Some(history(vec![candidate], vec![said])))
}

/// Whether a pipe ends a cell: one that an even number of backslashes stands before.
fn ends_cells(line: &str) -> usize {
    let is_bare = |at: usize| line[..at].bytes().rev().take_while(|byte| *byte == b'\\').count().is_multiple_of(2);
    line.match_indices('|').filter(|(at, _)| is_bare(*at)).count()
}

#[test]
fn names_end_no_cell_or_line_of_markdown_and_are_no_links() {
    for text in [markdown(&hostile()), note(&hostile(), &[("Criteria of |", vec![HOSTILE.to_owned()])])] {
        let mut columns = 0;
        for line in text.lines() {
            if !line.starts_with('|') {
                columns = 0;
                continue;
            }
            let found = ends_cells(line);
            assert!(columns == 0 || columns == found, "{found} cells instead of {columns}: {line}");
            columns = found;
        }
        assert!(!text.contains("\n# d") && !text.contains("<img") && !text.contains("](http"), "{text}");
        assert!(text.contains("a\\|b\\\\\\|c # d &lt;img") && text.contains("&amp;lt;"), "what was written is shown");
    }
}

#[test]
fn names_are_texts_in_html_and_xml() {
    for text in [page(&hostile()), junit(&hostile())] {
        assert!(!text.contains("<img") && !text.contains("onerror=\"") && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;") && text.contains("&amp;lt;"));
        let opened = text.matches('<').count();
        assert_eq!(opened, text.matches('>').count().min(opened), "every tag that is opened is closed");
    }
}

#[test]
fn markdown_says_of_a_column_where_it_stands() {
    let mut columns = vec![
        column("drifts", Stand::Drifted, 0.5),
        column("by one rule", Stand::Drifted, 0.4),
        column("unclear", Stand::Unclear, 0.2),
        column("stays", Stand::Within, 0.0),
    ];
    columns[1].drifted_e = false;
    columns[0].ks = Some(KsEffect { low: 0.25, high: 0.3, p_value: 0.0 });
    columns[0].current.missing = 0.125;
    let text = markdown(&of(comparison(columns)));
    let row =
        |name: &str| text.lines().find(|line| line.starts_with(&format!("| {name} |"))).expect("a row").to_owned();
    assert_eq!(row("drifts"), "| drifts | **drifted** | 0.5 | 0.25 – 1 | 0.25 | 0 % → 12.5 % | 1,000 |");
    assert!(row("by one rule").contains("| drifted, not by e-BH | 0.4 | 0.2 – 0.8 | – |"));
    assert!(row("unclear").contains("| unclear |") && row("stays").contains("| within |"));
    assert!(text.contains("Current: today.csv (84,621 rows, 1970-01-01 00:00 UTC to 1970-01-02 00:00 UTC)"), "{text}");
    assert!(text.contains("Reference: last week.parquet (84,621 rows)  \n"), "{text}");
    assert!(!text.contains("## Not tested") && !text.contains("## Problems"), "nothing has no table");
}

#[test]
fn markdown_lists_fifty_columns_and_ten_segments() {
    let columns = (0..60).map(|at| column(&format!("c{at}"), Stand::Within, 0.0)).collect();
    let segment = |at: usize| Segment {
        field: "country".to_owned(),
        value: format!("s{at}"),
        n_reference: 100,
        n: 100,
        tested: 4,
        drifted: vec![String::new(); at % 3],
        worst: None,
        psi: None,
        psi_all: None,
    };
    let text = markdown(&of(Comparison { segments: (0..12).map(segment).collect(), ..comparison(columns) }));
    let listed = text.lines().filter(|line| line.contains("| within |")).count();
    assert_eq!(listed, 50);
    assert!(text.contains("| country = s9 | 0 of 4 |  | – | 100 |") && !text.contains("s10"), "{text}");
    assert!(text.contains("| country = s2 | 2 of 4 |"));
}

#[test]
fn markdown_shows_answers_latencies_and_tests() {
    let side = |value| Some(Estimate { value, low: value / 2.0, high: value * 2.0 });
    let apart = RatesApart { difference: 0.01, low: -0.005, high: 0.025, z: 1.0, z_p_value: 0.3, fisher_p_value: 0.31 };
    let rate = Rate {
        metric: "error_rate".to_owned(),
        reference: None,
        current: side(0.02),
        apart: Some(apart),
        n_reference: 0,
        n: 100,
    };
    let latency = LatencyFigure {
        metric: "latency_p99".to_owned(),
        reference: Some(100.0),
        current: None,
        ratio: side(1.5),
        n_reference: 10,
        n: 10,
    };
    let mut tested = column("x", Stand::Within, 0.0);
    tested.tests =
        vec![KnownTest { test: "welch".to_owned(), statistic: 2.0, p_value: 1e-9, method: "student_t".to_owned() }];
    let text = markdown(&of(Comparison { answers: vec![rate], latency: vec![latency], ..comparison(vec![tested]) }));
    assert!(text.contains("| error_rate | – | 2.0 % | +1.00 pp (-0.50 pp – +2.50 pp) | 100 |"), "{text}");
    assert!(text.contains("| latency_p99 | 100 | – | 1.50 (0.75 – 3.00) |"), "{text}");
    assert!(text.contains("| x | – | – | 1e-9 | – | – |"), "{text}");
}

#[test]
fn junit_counts_what_failed_and_what_was_left_out() {
    let columns = vec![column("a", Stand::Drifted, 0.5), column("b", Stand::Within, 0.0)];
    let report = of(Comparison {
        problems: vec![problem("a")],
        untested: vec![Untested { column: "c".to_owned(), why: "no value".to_owned() }],
        ..comparison(columns)
    });
    let text = junit(&report);
    assert_eq!(text.matches("tests=\"4\" failures=\"2\" errors=\"0\" skipped=\"1\"").count(), 2, "{text}");
    assert_eq!((text.matches("<failure ").count(), text.matches("<skipped ").count()), (2, 1));
    assert!(text.contains("<testcase classname=\"drift\" name=\"b\"/>\n"), "{text}");
    assert!(text.contains("PSI 0.5100 (between 0.2500 and 1.0000, tolerated 0.100); n 1000, 2000 of the reference"));
    assert!(text.contains("<testsuite name=\"drift\"") && text.contains("<skipped message=\"no value\"/>"), "{text}");
    let restricted = super::report(None, Some(history(vec![rollout("v2", "hold"), rollout("v3", "warn")], Vec::new())));
    let text = junit(&restricted);
    assert!(text.contains("tests=\"2\" failures=\"1\"") && text.contains("name=\"r m v3\"/>"), "{text}");
    assert!(text.contains("name=\"r m v2\"><failure message=\"Decided: hold v2.\"/>"), "{text}");
}

#[test]
fn a_note_tells_the_course_without_what_only_stands() {
    let decisions = ["observe", "warn", "contain", "heartbeat", "rollback", "warn"];
    let decisions = (1..).zip(decisions).map(|(sequence, action)| decision(sequence, action)).collect();
    let text = note(&super::report(None, Some(history(vec![rollout("v2", "rollback")], decisions))), &[]);
    let course: Vec<&str> = text.lines().filter(|line| line.contains("| ERRORS: errors doubled |")).collect();
    assert_eq!(course.len(), 4, "{text}");
    assert!(!text.contains("| observe |") && !text.contains("| heartbeat |"), "{text}");
    assert!(
        text.contains("## What it rests on (rollback, 1970-01-06 00:00 UTC)"),
        "the last that moved traffic: {text}"
    );
    assert!(text.contains("- evidence of rollback 5\n") && !text.contains("- evidence of warn"), "{text}");
    assert!(text.contains("Judged in 3 windows from 1970-01-01 00:00 UTC to 1970-01-04 00:00 UTC."), "{text}");
    assert!(text.contains("Decided: rollback v2.\n"), "one full stop: {text}");
}

#[test]
fn a_note_rests_on_the_last_word_where_nothing_moved_traffic() {
    let warned = (1..=2).map(|sequence| decision(sequence, "warn")).collect();
    let text = note(&report(None, Some(history(vec![rollout("v2", "warn")], warned))), &[]);
    assert!(text.contains("## What it rests on (warn, 1970-01-03") && text.contains("- evidence of warn 2"), "{text}");
    let mut silent = decision(1, "warn");
    silent.evidence.clear();
    let text = note(&report(None, Some(history(vec![rollout("v2", "warn")], vec![silent]))), &[]);
    assert!(!text.contains("What it rests on"), "{text}");
    let nothing =
        note(&report(None, Some(history(vec![], vec![]))), &[("Errors", vec![]), ("Drift", vec!["x".into()])]);
    assert!(nothing.starts_with("# Nothing was decided\n"), "{nothing}");
    assert!(nothing.contains("## Criteria\n\nDrift:\n\n- x\n") && !nothing.contains("Errors"), "{nothing}");
}

#[test]
fn a_note_is_of_one_rollout_of_one_version_of_one_model() {
    let other = DecisionNote { candidate: "v3".to_owned(), ..decision(1, "hold") };
    let elsewhere = DecisionNote { rollout: "other".to_owned(), ..decision(2, "contain") };
    let of_another = DecisionNote { model: "other".to_owned(), ..decision(4, "rollback") };
    let decisions = vec![other, elsewhere, of_another, DecisionNote { cap_pct: Some(12.5), ..decision(3, "resume") }];
    let text = note(&report(None, Some(history(vec![rollout("v2", "resume")], decisions))), &[]);
    assert!(
        text.contains("| resume to 12.5 % |")
            && ["hold", "contain", "rollback"].iter().all(|what| !text.contains(what)),
        "{text}"
    );
}

#[test]
fn a_page_has_a_section_only_of_what_there_is() {
    let bare = page(&of(comparison(vec![])));
    for (id, there) in [("columns", true), ("data", true), ("quality", false), ("answers", false), ("time", false)] {
        assert_eq!(bare.contains(&format!("<section id=\"{id}\">")), there, "{id}");
        assert_eq!(bare.contains(&format!("<a href=\"#{id}\">")), there, "{id}");
    }
    assert!(bare.contains("No column could be tested; the reasons are below.") && bare.contains("nothing to say"));
    let decided = page(&report(None, Some(history(vec![rollout("v2", "hold")], vec![decision(1, "hold")]))));
    assert!(
        decided.contains("<section id=\"rollouts\">") && !decided.contains("<section id=\"windows\">"),
        "{decided}"
    );
    assert!(decided.contains("hold</span> ×2") && decided.contains("windows and decisions"), "{decided}");
}

#[test]
fn a_page_shows_quality_by_its_main_figures_first() {
    let figures = vec![
        figure("brier", Some(0.1), Some(0.25)),
        Figure { convention: "equal_mass_15".into(), ..figure("ece", None, Some(0.5)) },
    ];
    let report = QualityReport { log10_e_miscalibrated: Some(1.25), coverage: (None, Some(0.5)), ..quality(figures) };
    let text = page(&of(Comparison { quality: Some(report), ..comparison(vec![]) }));
    let (first, rest) = text.split_once("every other quality metric").expect("both");
    assert!(first.contains(">brier<") && !first.contains("equal_mass_15") && rest.contains("equal_mass_15"), "{first}");
    assert!(
        text.contains("600 in the reference, 500 (50.0 % of the scored) now. Evidence")
            && text.contains("10<sup>1.2</sup>")
    );
    assert!(text.contains("<div class=\"n\">0.1 → 0.25</div><div class=\"l\">Brier score</div>"), "{first}");
}

#[test]
fn a_json_report_is_of_the_published_form() {
    let text = super::json(&hostile());
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["format"], 1);
    assert_eq!(value["verdict"]["outcome"], "drift");
    assert_eq!(value["comparison"]["columns"][0]["column"], HOSTILE);
    assert_eq!(value["comparison"]["columns"][0]["verdict"], "drifted");
    assert!(text.ends_with("}\n"));
}
