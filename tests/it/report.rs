//! Reports on two files: the flights log against reference numbers that were computed elsewhere, and files with
//! everything wrong in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use haldane::engine::Effects;
use haldane::event::{Poison, Reject};
use haldane::plan::Compat;
use haldane::report::model::{Beside, Comparison, Figure, Outcome};
use haldane::report::{self, CompareRequest, Filter};
use haldane::store::{Every, Store, StoreTable, StoreWriter};
use jsonschema::Validator;

use crate::oracle::Reference;
use crate::store::{haldane, replay_fraud};

const DAY: i64 = 86_400_000_000;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/data").join(name)
}

/// One day of one version (`all` for both) against the reference, with nothing but the files.
fn day(start: i64, version: &str) -> Comparison {
    let request = CompareRequest {
        reference: vec![data("flights.reference.parquet")],
        current: vec![data("flights.predictions.parquet")],
        outcomes: vec![data("flights.outcomes.parquet")],
        filter: Filter {
            version: (version != "all").then(|| version.to_owned()),
            from: Some(start),
            until: Some(start + DAY),
        },
        compat: vec![Compat::Eps1e4, Compat::Eps1e6, Compat::Nannyml],
        ..CompareRequest::default()
    };
    report::compare(&request, None).expect("a day of the log")
}

fn find<'a>(figures: &'a [Figure], metric: &str, convention: &str) -> &'a Figure {
    let same = |figure: &&Figure| figure.metric == metric && figure.convention == convention;
    figures.iter().find(same).unwrap_or_else(|| panic!("no {metric} ({convention})"))
}

fn is_close(ours: Option<f64>, theirs: Option<f64>, relative: f64) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() <= (relative * theirs.abs()).max(1e-12),
        (ours, theirs) => ours.is_none() && theirs.is_none(),
    }
}

/// Days and versions that are looked at: before the canary, with it, and at the end.
fn sampled(rows: &[Reference]) -> Vec<(i64, String)> {
    let mut all: Vec<(i64, String)> = rows.iter().map(|row| (row.start(), row.text("version").to_owned())).collect();
    all.sort();
    all.dedup();
    let n = all.len();
    [0, n / 3, n / 2, n - 2, n - 1].map(|at| all[at].clone()).to_vec()
}

#[test]
fn figures_of_the_flights_log_are_the_reference_numbers() {
    let (numeric, categorical) =
        (Reference::read("drift_numeric.parquet"), Reference::read("drift_categorical.parquet"));
    let quality = Reference::read("performance.parquet");
    let shares = [
        ("psi_jeffreys", "psi", "jeffreys"),
        ("psi_eps1e4", "psi", "raised_to_1e-4"),
        ("psi_eps1e6", "psi", "raised_to_1e-6"),
        ("kl_cur_ref_jeffreys", "kl_divergence", "jeffreys"),
        ("js_distance", "js_distance", "base_2"),
        ("hellinger", "hellinger", ""),
        ("tvd", "total_variation", ""),
        ("linf", "l_infinity", ""),
    ];
    let (mut n, mut wrong) = (0, Vec::new());
    for (start, version) in sampled(&numeric) {
        let comparison = day(start, &version);
        let columns: BTreeMap<&str, _> =
            comparison.columns.iter().map(|column| (column.column.as_str(), column)).collect();
        let mut check = |what: &str, ours: Option<f64>, theirs: Option<f64>| {
            n += 1;
            if !is_close(ours, theirs, 1e-9) {
                wrong.push(format!("{start} {version} {what}: {ours:?} is not {theirs:?}"));
            }
        };
        let of = |row: &&Reference| row.start() == start && row.text("version") == version;
        for (cells, rows) in [("deciles", &numeric), ("categories", &categorical)] {
            for row in rows.iter().filter(of).filter(|row| row.number("psi_jeffreys").is_some()) {
                let name = row.text("feature");
                let column = columns.get(name).unwrap_or_else(|| panic!("{name} was not tested on {start}"));
                // A value that repeats is a bin of its own here and stands at an edge there.
                let is_cut_alike = !["dep_hour", "precip", "visib"].contains(&name);
                for (theirs, metric, rule) in shares.into_iter().filter(|_| is_cut_alike) {
                    let convention = [cells, rule].join(if rule.is_empty() { "" } else { "," });
                    check(
                        &format!("{name} {theirs}"),
                        find(&column.figures, metric, &convention).value,
                        row.number(theirs),
                    );
                }
                if cells == "deciles" {
                    let exact = [
                        ("mean", "mean", "exact_sum"),
                        ("std_ddof1", "std_dev", "exact_sums"),
                        ("min", "min", "exact"),
                    ];
                    for (theirs, metric, convention) in exact {
                        check(
                            &format!("{name} {theirs}"),
                            find(&column.figures, metric, convention).value,
                            row.number(theirs),
                        );
                    }
                    let (ks, exact) = (column.ks.expect("numeric"), row.number("ks_d").expect("values"));
                    assert!(ks.low - 1e-9 <= exact && exact <= ks.high + 1e-9, "{name}: {exact} is not in {ks:?}");
                    assert!((ks.low - exact).abs() < 1e-3, "{name}: {exact} is not near {ks:?}");
                } else {
                    check(
                        &format!("{name} chi2"),
                        find(&column.figures, "chi_square", "categories,uncorrected").value,
                        row.number("chi2"),
                    );
                }
            }
        }
        let last = quality.iter().filter(of).find(|row| row.text("view") == "final").expect("labels");
        let ours = &comparison.quality.as_ref().expect("scores and labels").figures;
        for (theirs, metric, convention) in [
            ("brier", "brier", "exact_sum"),
            ("log_loss", "log_loss", "clipped_1e-15"),
            ("ece10_width", "ece", "equal_width_10"),
            ("ece15_width", "ece", "equal_width_15"),
            ("mce10_width", "mce", "equal_width_10"),
        ] {
            check(theirs, find(ours, metric, convention).value, last.number(theirs));
        }
        let covered = comparison.quality.as_ref().and_then(|quality| quality.coverage.1);
        check("label_coverage", covered, last.number("label_coverage"));
    }
    assert!(wrong.is_empty(), "{} of {n} numbers differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(n > 500, "{n} numbers were compared");
}

#[test]
fn a_pipeline_and_guesses_find_the_same_drift() {
    let plan = haldane::config::reading_plan(&data("../flights.yaml")).expect("a pipeline").plan;
    let request = CompareRequest {
        reference: vec![data("flights.reference.parquet")],
        current: vec![data("flights.predictions.parquet")],
        ..CompareRequest::default()
    };
    let (guessed, told) = (report::compare(&request, None), report::compare(&request, Some(&plan)));
    let (guessed, told) = (guessed.expect("guesses"), told.expect("a pipeline"));
    let psi = |comparison: &Comparison, name: &str| {
        comparison.columns.iter().find(|column| column.column == name).map(|column| column.psi)
    };
    for name in ["temp", "visib", "carrier", "score"] {
        assert_eq!(psi(&guessed, name), psi(&told, name), "{name}");
        assert!(psi(&guessed, name).is_some(), "{name}");
    }
    assert!(!guessed.segments.is_empty() && guessed.timeline.is_some() && guessed.latency.len() == 6);
}

/// A table of everything that goes wrong, as CSV; `side` 0 is the reference.
fn bad(side: usize) -> String {
    let head = "row_id,good,empty,nan,mixed,constant,free_text,few,holes,kind,gone_or_new\n";
    let line = |row: usize| {
        let mixed = if row.is_multiple_of(3) { "x".to_owned() } else { row.to_string() };
        let few = if row < 10 { "1.5" } else { "" };
        let holes = if side == 1 && row.is_multiple_of(4) { String::new() } else { (row % 50).to_string() };
        let kind = if side == 1 && row.is_multiple_of(5) { "ship" } else { ["car", "bus"][row % 2] };
        format!(
            "{row},{},,nan,{mixed},7,text {side} {row},{few},{holes},{kind},{}\n",
            (row * 37) % 101,
            (row * 31) % 97
        )
    };
    let text = head.to_owned() + &(0..600).map(line).collect::<Vec<_>>().concat();
    if side == 0 { text.replace("gone_or_new", "gone") } else { text.replace("gone_or_new", "new") }
}

fn written(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(name);
    std::fs::write(&path, text).expect("a file");
    (dir, path)
}

#[test]
fn no_bad_column_fails_a_report() {
    let files = [0, 1].map(|side| written("bad.csv", &bad(side)));
    let request = CompareRequest {
        reference: vec![files[0].1.clone()],
        current: vec![files[1].1.clone()],
        ..CompareRequest::default()
    };
    let comparison = report::compare(&request, None).expect("a report");
    let tested: Vec<&str> = comparison.columns.iter().map(|column| column.column.as_str()).collect();
    let untested: BTreeMap<&str, &str> =
        comparison.untested.iter().map(|column| (column.column.as_str(), column.why.as_str())).collect();
    assert!(tested.contains(&"good") && tested.contains(&"holes") && tested.contains(&"kind"), "{tested:?}");
    for name in ["empty", "nan", "constant", "few", "gone", "new", "row_id", "free_text", "mixed"] {
        assert!(untested.contains_key(name), "{name} is neither in {untested:?} nor left out");
    }
    let problems: Vec<(&str, &str)> =
        comparison.problems.iter().map(|problem| (problem.column.as_str(), problem.what.as_str())).collect();
    for expected in [("holes", "missing"), ("kind", "unseen"), ("gone", "absent"), ("new", "absent")] {
        assert!(problems.contains(&expected), "{expected:?} is not in {problems:?}");
    }
    let report = report::report(Some(comparison), None);
    assert_eq!(report.verdict.outcome, Outcome::Drift, "a fifth of the kinds is new");
    assert!(report::page(&report).contains("ship") && report::markdown(&report).contains("| kind |"));
    assert!(report::junit(&report).contains("<skipped"));
}

/// Names and values that try to be markup.
const SCRIPT: &str = "<script>alert('column')</script>";
const IMAGE: &str = "\"'><img src=x onerror=alert(1)>&";

/// A file whose columns and values try to be markup. So does its name, and it moves from one side to the other.
fn hostile(side: usize) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let [head, image] = [SCRIPT, IMAGE].map(quoted);
    let line = |row: usize| {
        let kind = if row.is_multiple_of(5 - 3 * side) { &image } else { "plain" };
        let moved = (row * 37) % 101 + 80 * side;
        let hole = if side == 1 && row.is_multiple_of(3) { "" } else { kind };
        format!("{moved},{kind},{hole},7\n")
    };
    format!("{head},{image},holes,\"<u>7</u>\"\n") + &(0..600).map(line).collect::<String>()
}

#[test]
fn hostile_names_and_values_stay_texts() {
    let files = [0, 1].map(|side| written("<u>'a'&b.csv", &hostile(side)));
    let request = CompareRequest {
        reference: vec![files[0].1.clone()],
        current: vec![files[1].1.clone()],
        ..CompareRequest::default()
    };
    let mut report = report::report(Some(report::compare(&request, None).expect("a report")), None);
    assert_eq!(report.verdict.outcome, Outcome::Drift);
    let log = report::Log {
        decisions: vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recorded/flights.decisions.jsonl")],
        ..report::Log::default()
    };
    let mut history = report::history(&log).expect("recorded decisions");
    history.versions.push(SCRIPT.to_owned());
    history.references.push(IMAGE.to_owned());
    let beside = Beside { metric: "psi".to_owned(), column: SCRIPT.to_owned(), candidate: 1.0, baseline: 1.0, n: 9 };
    for rollout in &mut history.rollouts {
        (rollout.candidate, rollout.compared) = (IMAGE.to_owned(), vec![beside.clone()]);
    }
    for note in &mut history.decisions {
        (note.action, note.reason, note.id) = (SCRIPT.to_owned(), IMAGE.to_owned(), IMAGE.to_owned());
    }
    report.history = Some(history);
    let page = report::page(&report);
    let texts = [
        "&lt;script&gt;alert(&#39;column&#39;)&lt;/script&gt;",
        "&quot;&#39;&gt;&lt;img src=x onerror=alert(1)&gt;&amp;",
    ];
    for text in texts.into_iter().chain(["&lt;u&gt;7&lt;/u&gt;", "&lt;u&gt;&#39;a&#39;&amp;b.csv"]) {
        assert!(page.contains(text), "{text} is on the page");
    }
    assert_eq!(page.matches("<script").count(), 1, "our own script only");
    assert!(!page.contains("<img") && !page.contains("<u>"));
    let xml = report::junit(&report);
    assert!(texts.iter().all(|text| xml.contains(text)), "{xml}");
    assert!(!xml.contains("<script") && !xml.contains("<img") && !xml.contains("<u>"), "{xml}");
    let markdown = report::markdown(&report);
    assert!(!["<script", "<img", "<u>"].iter().any(|tag| markdown.contains(tag)), "{markdown}");
}

#[test]
fn nothing_differs_from_itself_in_any_format() {
    let lines = (0..400)
        .map(|row| format!("{{\"a\":{{\"x\":{}}},\"kind\":\"k{}\"}}\n", (row * 31) % 97, row % 3))
        .collect::<Vec<_>>()
        .concat();
    let csv = (0..400).map(|row| format!("{},k{}\n", (row * 31) % 97, row % 3)).collect::<Vec<_>>().concat();
    for (name, text) in [("log.jsonl", lines), ("log.csv", format!("a.x,kind\n{csv}"))] {
        let (_dir, path) = written(name, &text);
        let request =
            CompareRequest { reference: vec![path.clone()], current: vec![path], ..CompareRequest::default() };
        let comparison = report::compare(&request, None).expect("a report");
        let names: Vec<&str> = comparison.columns.iter().map(|column| column.column.as_str()).collect();
        assert_eq!(names.len(), 2, "{name}: {names:?}");
        assert!(names.contains(&"a.x") && comparison.columns.iter().all(|column| column.psi.debiased == 0.0));
        assert_eq!(report::report(Some(comparison), None).verdict.outcome, Outcome::Ok, "{name}");
    }
}

#[test]
fn two_versions_answers_to_one_request_both_count() {
    let rows = |again: usize| {
        let row = |row: u32| {
            ["v1", "v2"].map(|version| format!("r{row},{version},{},2026-03-02T10:00:00Z\n", (row * 31) % 97)).concat()
        };
        format!("id,model_version,x,at\n{}", (0..300).map(row).collect::<Vec<_>>().concat().repeat(again))
    };
    let (_a, reference) = written("once.csv", &rows(1));
    let (_b, current) = written("twice.csv", &rows(2));
    let request = CompareRequest { reference: vec![reference], current: vec![current], ..CompareRequest::default() };
    let file = "sources: { predictions: { topic: t, event_time: at, id: id, version: model_version, features: { numeric: { x: x } } } }";
    let plan = haldane::config::parse_reading(file, "p.yaml", std::path::Path::new("")).expect("a pipeline").plan;
    let comparison = report::compare(&request, Some(&plan)).expect("a report");
    assert_eq!((comparison.reference.duplicates, comparison.reference.compared), (0, 600));
    assert_eq!((comparison.current.duplicates, comparison.current.compared), (600, 600));
}

#[test]
fn rows_that_were_delivered_again_count_once() {
    let row = |row: u32| format!("r{row},{},{}\n", (row * 31) % 97, ["a", "b"][row as usize % 2]);
    let once = (0..300).map(row).collect::<Vec<_>>().concat();
    let (_a, reference) = written("once.csv", &format!("id,x,kind\n{once}"));
    let (_b, current) = written("twice.csv", &format!("id,x,kind\n{once}{once}"));
    let comparison = report::compare(
        &CompareRequest { reference: vec![reference], current: vec![current], ..CompareRequest::default() },
        None,
    )
    .expect("a report");
    assert_eq!((comparison.current.duplicates, comparison.current.compared), (300, 300));
    assert!(comparison.columns.iter().all(|column| column.n == 300), "{:?}", comparison.columns);
    assert!(comparison.trust.iter().any(|note| note.contains("300 rows of the current file carried an id")));
}

#[test]
fn empty_files_and_ranges_are_clear_errors() {
    let request = |current: &Path, filter: Filter| CompareRequest {
        reference: vec![data("flights.reference.parquet")],
        current: vec![current.to_owned()],
        filter,
        ..CompareRequest::default()
    };
    let of = |request: &CompareRequest| report::compare(request, None).expect_err("nothing to compare");
    let (_dir, header) = written("header.csv", "temp,visib\n");
    let error = of(&request(&header, Filter::default()));
    assert!(error.to_string().contains("no rows to compare"), "{error}");
    let (_dir, nothing) = written("nothing.csv", "");
    assert!(of(&request(&nothing, Filter::default())).to_string().contains("is empty"));
    let later = Filter { from: Some(4_000_000_000_000_000), ..Filter::default() };
    let error = of(&request(&data("flights.predictions.parquet"), later));
    assert!(error.to_string().contains("version and time asked for"), "{error}");
    assert!(error.advice().is_some_and(|hint| hint.contains("2013-")), "{error:?}");
    let other = Filter { version: Some("v9".to_owned()), ..Filter::default() };
    assert!(of(&request(&data("flights.predictions.parquet"), other)).to_string().contains("version"));
    let (_dir, timeless) = written("timeless.csv", "temp,visib\n1,2\n3,4\n");
    let error = of(&request(&timeless, Filter { from: Some(0), ..Filter::default() }));
    assert!(error.to_string().contains("no column with the event time"), "{error}");
}

fn validator(schema: &str) -> Validator {
    jsonschema::validator_for(&serde_json::from_str(schema).expect("JSON")).expect("a schema")
}

#[test]
fn the_published_schema_describes_reports() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/report.schema.json");
    let fresh = serde_json::to_string_pretty(&report::schema()).expect("JSON") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &fresh).expect("a writable folder");
    }
    let published = std::fs::read_to_string(&path).expect("a published schema");
    assert_eq!(published, fresh, "run the tests with UPDATE=1 to rewrite the schema");
    let report = report::report(Some(day(1_366_502_400_000_000, "v2")), None);
    let value: serde_json::Value = serde_json::from_str(&report::json(&report)).expect("JSON");
    let errors: Vec<String> = validator(&published).iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert!(report::page(&report).len() < 1_000_000);
}

#[test]
fn windows_and_decisions_tell_how_a_rollout_went() {
    let log = report::Log {
        decisions: vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recorded/flights.decisions.jsonl")],
        candidate: Some("v2".to_owned()),
        ..report::Log::default()
    };
    let history = report::history(&log).expect("recorded decisions");
    assert_eq!(history.rollouts.len(), 1);
    let summary = &history.rollouts[0].summary;
    assert!(summary.starts_with("Decided on ") && summary.contains(": roll v2 back to v1; "), "{summary}");
    let report = report::report(None, Some(history));
    assert_eq!(report.verdict.outcome, Outcome::Restricted);
    for text in [report::page(&report), report::markdown(&report), report::junit(&report)] {
        assert!(text.contains("roll v2 back to v1"));
    }
    let unknown = report::Log { candidate: Some("v9".to_owned()), ..log };
    assert!(report::history(&unknown).expect_err("no such candidate").to_string().contains("v9"));
}

#[test]
fn what_people_were_asked_for_is_no_permission() {
    let mut log = include_str!("../data/recorded/flights.decisions.jsonl").lines();
    let recorded = log.find(|line| line.contains(r#""candidate":"v2""#)).expect("a decision about the candidate");
    let mut decision: serde_json::Value = serde_json::from_str(recorded).expect("JSON");
    decision["action"] = "promote_ok".into();
    decision["cap_pct"] = 50.0.into();
    for (authority, worth) in [
        ("AUTO", "Decided on "),
        ("APPROVAL", "Asked of people on "),
        ("ADVISORY", "Advised on "),
        ("FROZEN", "Found while frozen on "),
    ] {
        decision["authority"] = authority.into();
        let file = written("decisions.jsonl", &format!("{decision}\n"));
        let history = report::history(&report::Log { decisions: vec![file.1], ..report::Log::default() });
        let report = report::report(None, Some(history.expect("a decision")));
        let (summary, page) = (&report.verdict.headline, report::page(&report));
        assert!(summary.starts_with(worth) && summary.contains(" rise to 50 %"), "{summary}");
        assert!(page.contains("told by haldane gate") && !page.contains("may rise"), "{authority}");
    }
}

#[test]
fn the_command_writes_by_extension_and_fails_on_what_it_is_told_to() {
    let files = [0, 1].map(|side| written("bad.csv", &bad(side)));
    let dir = tempfile::tempdir().expect("a directory");
    let run = |output: &str, fail_on: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_haldane"));
        command.args(["report", "--reference"]).arg(&files[0].1).arg("--current").arg(&files[1].1);
        let done = command.arg("--output").arg(dir.path().join(output)).args(["--fail-on", fail_on]).output();
        done.expect("the program starts").status.code()
    };
    for output in ["r.html", "r.md", "r.json", "r.xml"] {
        assert_eq!(run(output, "never"), Some(0), "{output}");
        let text = std::fs::read_to_string(dir.path().join(output)).expect("a report");
        assert!(text.contains("drifted beyond what is tolerated"), "{output}: {text}");
    }
    assert_eq!(run("r.md", "drift"), Some(1));
    assert_eq!(run("r.md", "quality"), Some(1));
    assert_eq!(run("r.doc", "never"), Some(2));
}

/// What `haldane report` says as JSON, of a source and more words.
fn told(words: &[&str]) -> Result<serde_json::Value, haldane::error::Error> {
    let said = haldane(&[&["report", "--format", "json"], words].concat())?;
    Ok(serde_json::from_str(&said).expect("JSON"))
}

#[test]
fn a_store_tells_what_the_files_of_its_replay_do() {
    let scratch = tempfile::tempdir().expect("a directory");
    let [store, windows, decisions] =
        ["store", "w.parquet", "d.jsonl"].map(|name| scratch.path().join(name).display().to_string());
    replay_fraud(Path::new(&store), &["--windows", &windows, "--decisions", &decisions]);
    let of_files = told(&["--windows", &windows, "--decisions", &decisions]).expect("a report");
    let of_store = told(&["--store", &store]).expect("a report");
    assert!(of_store["history"]["windows"].as_u64().expect("a count") > 10);
    assert_eq!(of_store["verdict"], of_files["verdict"]);
    for part in ["windows", "first", "last", "versions", "references", "decisions"] {
        assert_eq!(of_store["history"][part], of_files["history"][part], "{part}");
    }
    // Where a metric has several conventions, a store and a file give another one first.
    let series = |report: &serde_json::Value| report["history"]["series"].as_array().expect("series").clone();
    let (ours, theirs) = (series(&of_store), series(&of_files));
    assert!(ours.len() == theirs.len() && ours.iter().filter(|one| theirs.contains(one)).count() > ours.len() / 2);

    let rollout = told(&["--store", &store, "--rollout", "fraud-canary", "--candidate", "2024.2"]).expect("a report");
    let summary = |report: &serde_json::Value| report["history"]["rollouts"][0]["summary"].clone();
    assert!(summary(&rollout).is_string() && summary(&rollout) == summary(&of_files), "{rollout}");
    let first = of_files["history"]["decisions"][0]["time"].as_i64().expect("a time");
    let day = |offset: i64| {
        let time = arrow::temporal_conversions::timestamp_us_to_datetime(first + offset * DAY).expect("a time");
        time.format("%Y-%m-%d").to_string()
    };
    let (from, until) = (day(0), day(1));
    let ranged = told(&["--store", &store, "--from", &from, "--until", &until]).expect("a report");
    let spans = |report: &serde_json::Value| report["history"]["windows"].as_u64().expect("a count");
    assert!((1..spans(&of_files)).contains(&spans(&ranged)), "{ranged}");
    let same = told(&["--windows", &windows, "--decisions", &decisions, "--from", &from, "--until", &until]);
    assert_eq!(spans(&ranged), spans(&same.expect("a report")));

    let refused = |words: &[&str]| told(words).expect_err("nothing to tell").to_string();
    let empty = refused(&["--store", &store, "--from", "2031-01-01"]);
    assert!(empty.starts_with("no window was judged and nothing was decided from 2031-01-01"), "{empty}");
    assert!(refused(&["--store", &store, "--rollout", "other"]).starts_with("no decision is about other"));
    let nowhere = scratch.path().join("nowhere").display().to_string();
    assert!(refused(&["--store", &nowhere]).starts_with(&format!("there is no store at {nowhere}")));
}

#[test]
fn a_store_without_some_tables_tells_the_rest_and_a_damaged_one_which_file() {
    let scratch = tempfile::tempdir().expect("a directory");
    let url = scratch.path().display().to_string();
    let log = include_str!("../data/recorded/flights.decisions.jsonl").lines();
    let decisions = log.map(|line| serde_json::from_str(line).expect("a decision")).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/flights.yaml");
    let plan = haldane::config::load(&path).expect("a pipeline").plan;
    let write = |effects: &Effects| {
        let mut writer = StoreWriter::open(&url, &plan, Every::default()).expect("a store");
        writer.refuse(0, 0, &[Reject { offset: 0, row: 0, reason: Poison::Empty, detail: String::new() }]);
        writer.take(effects);
        writer.flush().expect("a flush");
    };
    write(&Effects::default());
    let error = told(&["--store", &url]).expect_err("only what was read is stored");
    assert_eq!(error.to_string(), "no window was judged and nothing was decided");
    write(&Effects { decisions, ..Effects::default() });
    let report = told(&["--store", &url, "--candidate", "v2"]).expect("a report");
    let summary = report["history"]["rollouts"][0]["summary"].as_str().expect("a summary").to_owned();
    assert!(summary.starts_with("Decided on ") && summary.contains(": roll v2 back to v1; "), "{summary}");
    assert_eq!(report["history"]["windows"], 0);

    let files = Store::open(&url).expect("a store").files().expect("files");
    let file = files.iter().find(|file| file.table == StoreTable::Decisions).expect("decisions");
    std::fs::write(scratch.path().join(&file.path), b"PAR1 no more").expect("a file");
    let error = told(&["--store", &url]).expect_err("a damaged file").to_string();
    assert!(error.starts_with(&format!("{} of the store is damaged", file.path)), "{error}");
    std::fs::remove_file(scratch.path().join(&file.path)).expect("a file");
    let error = told(&["--store", &url]).expect_err("a missing file").to_string();
    assert!(error.contains(&file.path), "{error}");
}

/// Two files as texts, compared.
pub(crate) fn compared(reference: &str, current: &str, ending: &str, positive: &[&str]) -> Comparison {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(format!("{name}.{ending}"));
        std::fs::write(&path, text).expect("a file");
        path
    };
    let positive = positive.iter().map(|&class| class.to_owned()).collect();
    let (reference, current) = (vec![file("reference", reference)], vec![file("current", current)]);
    let request = CompareRequest { reference, current, positive, ..CompareRequest::default() };
    report::compare(&request, None).expect("two files")
}

/// Rows of a number that repeats after a while.
pub(crate) fn lines(header: &str, row: impl Fn(u32) -> String) -> String {
    (0..500).map(|at| row(at * 37 % 101)).fold(header.to_owned(), |text, row| format!("{text}\n{row}")) + "\n"
}

fn problem<'a>(comparison: &'a Comparison, what: &str) -> &'a str {
    let of = comparison.problems.iter().find(|problem| problem.what == what);
    &of.unwrap_or_else(|| panic!("no problem `{what}` among {:?}", comparison.problems)).text
}

#[test]
fn what_is_lost_is_a_problem() {
    let good = lines("a,b", |x| format!("{x},{}", x % 7));
    let ragged = lines("a,b", |x| if x % 2 == 0 { format!("{x},{}", x % 7) } else { x.to_string() });
    let text = problem(&compared(&good, &ragged, "csv", &[]), "refused").to_owned();
    assert!(text.contains("of 500) cannot be read; current.csv, line 3: 1 cells where the header names 2"), "{text}");
    let open = good.replacen("\n37,2\n", "\n37,\"2\n", 1);
    let text = problem(&compared(&good, &open, "csv", &[]), "refused").to_owned();
    assert!(text.contains("a quote that is not closed"), "{text}");
    let both = format!("{}{}", r#"{"topic": "a", "value": {"x": 1}}"#, "\n");
    let both = (0..60).map(|_| both.clone() + "{\"topic\": \"b\", \"value\": {\"y\": 1}}\n").collect::<String>();
    assert!(problem(&compared(&both, &both, "jsonl", &[]), "left_out").contains("for the first: b"));
}

#[test]
fn delimiters_columns_of_one_name_and_row_numbers_are_told_apart() {
    let reference = lines(";x;x", |x| format!("{x};{x};{x}"));
    let current = lines(";x;x", |x| format!("{x};{x};{}", x + 50));
    let compared = compared(&reference, &current, "csv", &[]);
    let drifted: Vec<&str> =
        compared.columns.iter().filter(|column| column.drifted).map(|column| column.column.as_str()).collect();
    assert_eq!(drifted, ["x (2)"]);
}

#[test]
fn infinite_numbers_are_counted_apart() {
    let reference = lines("x", |x| x.to_string());
    let current = lines("x", |x| if x % 5 == 0 { "inf".to_owned() } else { x.to_string() });
    let compared = compared(&reference, &current, "csv", &[]);
    assert!(problem(&compared, "infinite").contains("infinite, 0 % before"));
    let column = &compared.columns[0];
    assert!(column.current.max.is_some_and(f64::is_finite) && column.current.mean.is_some());
}

/// The engine counts in `Answer::of`: timeouts failed, and are not refused.
#[test]
fn a_status_means_what_it_means_to_the_engine() {
    let statuses = [200, 204, 302, 404, 422, 408, 499, 504, 524, 500];
    let file = lines("x,status", |x| format!("{x},{}", statuses[x as usize % 10]));
    let compared = compared(&file, &file, "csv", &[]);
    let rate = |metric: &str| {
        let rate = compared.answers.iter().find(|rate| rate.metric == metric).expect("statuses");
        rate.current.expect("requests").value
    };
    for (metric, wanted) in [("error_rate", 0.5), ("rejected_rate", 0.2)] {
        assert!((rate(metric) - wanted).abs() < 0.02, "{metric}: {}", rate(metric));
    }
}

#[test]
fn positive_classes_are_named_or_guessed() {
    let scored = |yes: &str, no: &str| {
        lines("score,label", |x| format!("{},{}", f64::from(x) / 101.0, if x > 50 { yes } else { no }))
    };
    for (yes, no) in [("1", "-1"), ("2", "1"), ("Y", "N"), ("fraud", "legit"), ("bad", "good")] {
        let file = scored(yes, no);
        let compared = compared(&file, &file, "csv", &[]);
        let quality = compared.quality.as_ref().expect("labels");
        let rate = find(&quality.figures, "base_rate", "exact").value.expect("a rate");
        assert!((rate - 0.5).abs() < 0.02, "{yes} and {no}: {rate}");
        assert!(compared.problems.is_empty(), "{yes} and {no}: {:?}", compared.problems);
    }
    let file = scored("cat", "dog");
    assert!(problem(&compared(&file, &file, "csv", &[]), "unfit").contains("--positive can say"));
    assert!(compared(&file, &file, "csv", &["cat"]).problems.is_empty());
}

#[test]
fn truth_values_and_named_classes_are_what_they_say() {
    let flags = |yes: &str, no: &str| lines("x,flag", |x| format!("{x},{}", if x % 3 == 0 { yes } else { no }));
    for (yes, no) in [("true", "false"), ("yes", "no"), ("T", "F"), ("1", "0")] {
        let compared = compared(&flags("TRUE", "FALSE"), &flags(yes, no), "csv", &[]);
        assert!(compared.columns.iter().all(|column| !column.drifted), "{yes} and {no}: {:?}", compared.columns);
    }
    let file = lines("score,label", |x| format!("{},{}", f64::from(x) / 101.0, if x > 50 { "yes" } else { "no" }));
    for positive in ["yes", "Yes", "YES", "true"] {
        let compared = compared(&file, &file, "csv", &[positive]);
        let rate = find(&compared.quality.as_ref().expect("labels").figures, "base_rate", "exact").value;
        assert!((rate.expect("a rate") - 0.5).abs() < 0.02, "{positive}: {rate:?}");
    }
}

#[test]
fn ids_join_by_their_value_and_labels_that_do_not_count_are_problems() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        vec![path]
    };
    let rows = (1..=500).map(|at| format!("{at},{},{}\n", f64::from(at % 10) / 10.0, at * 37 % 101));
    let rows = file("rows.csv", &("prediction_id,score,x\n".to_owned() + &rows.collect::<String>()));
    let label = |at: u32| format!("{at}.0,{}\n", u32::from(at % 10 > 5));
    let labels = "prediction_id,label\n".to_owned() + &(1..=500).map(label).collect::<String>();
    let of = |labels: &str| {
        let outcomes = file("labels.csv", labels);
        let request =
            CompareRequest { reference: rows.clone(), current: rows.clone(), outcomes, ..CompareRequest::default() };
        report::compare(&request, None).expect("a report")
    };
    let whole = of(&labels);
    assert!(whole.problems.is_empty() && whole.quality.is_some(), "{:?}", whole.problems);
    let lossy = of(&(labels + "1,0\n,1\n2\n"));
    assert!(problem(&lossy, "further").starts_with("0.2 % of the outcomes (1 of 503) are further labels"));
    assert!(problem(&lossy, "blank").starts_with("0.2 % of the outcomes (1 of 503) name no prediction"));
    assert!(problem(&lossy, "refused").contains("labels.csv, line 504: 1 cells where the header names 2"));
}

#[test]
fn corrected_outcomes_count_as_the_pipeline_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let rows = (1..=200).map(|at| format!("{at},v1,{},{at}\n", f64::from(at % 10) / 10.0));
    let rows = file("rows.csv", &("id,v,s,x\n".to_owned() + &rows.collect::<String>()));
    let label = |at: u32| u32::from(at % 10 > 5);
    let right = |at: u32| format!("{at},9,{}\n", label(at));
    let wrong = |at: u32, known_at: u32| format!("{at},{known_at},{}\n", 1 - label(at));
    let alone = (1..=200).map(right).collect::<String>();
    // What became known before comes before it and after it; of the same time the last in the file counts.
    let several = (1..=200).map(|at| wrong(at, 9) + &right(at) + &wrong(at, 8)).collect::<String>();
    let brier_of = |corrections: &str, header: &str, outcomes: &str| {
        let pipeline = format!(
            "pipeline: p\nsources:\n  predictions:\n    {{ topic: p, id: id, version: v, score: s, features: {{ \
             numeric: {{ x: {{ path: x, range: [0, 200] }} }} }} }}\n  outcomes: {{ topic: o, id: id, event_time: {{ \
             path: at, unit: s }}, label: y }}\nwindows: {{ size: 5m }}\nrollout: {{ baseline: v1 }}\nlabels: {{ \
             corrections: {corrections} }}\n"
        );
        let plan = haldane::config::load(&file("p.yaml", &pipeline)).expect("a pipeline").plan;
        let outcomes = vec![file("labels.csv", &format!("{header}\n{outcomes}"))];
        let (reference, current) = (vec![rows.clone()], vec![rows.clone()]);
        let request = CompareRequest { reference, current, outcomes, ..CompareRequest::default() };
        let comparison = report::compare(&request, Some(&plan)).expect("a report");
        let further = comparison.problems.iter().find(|problem| problem.what == "further").map(|one| one.text.clone());
        (format!("{:?}", comparison.quality), comparison.trust.join("; "), further.unwrap_or_default())
    };
    let brier = |corrections: &str, outcomes: &str| brier_of(corrections, "id,at,y", outcomes);
    let (only, _, _) = brier("last", &alone);
    let (last, told, further) = brier("last", &several);
    assert_eq!(only, last);
    assert!(told.contains("200 outcomes correct older ones of the same prediction"), "{told}");
    assert!(further.contains("(200 of 600) are further labels"), "{further}");
    assert!(!told.contains("without times"), "{told}");
    let undated =
        (1..=200).map(|at| format!("{at},{}\n{at},{}\n", 1 - label(at), label(at))).collect::<Vec<_>>().concat();
    let (down, told, _) = brier_of("last", "id,y", &undated);
    assert_eq!(only, down);
    assert!(told.contains("the last counts, which in 1 file without times is the one further down"), "{told}");
    let (first, told, further) = brier("first", &several);
    assert!(first != last && !told.contains("correct older"), "{told}");
    assert!(further.contains("(400 of 600) are further labels"), "{further}");
}
