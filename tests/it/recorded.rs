//! The example pipelines over their logs: decisions and windows as recorded, to the byte, in batches of any size.
//!
//! Of the windows a digest is kept, and a table to read: what each number of each version was over all windows.
//! `UPDATE=1` records them anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use haldane::judge::WindowRow;
use haldane::plan::Signal;
use haldane::verdict::Decision;

struct Case {
    pipeline: &'static str,
    files: &'static [&'static str],
    batch_rows: &'static [u32],
}

const CASES: [Case; 5] = [
    Case {
        pipeline: "flights",
        files: &["flights.predictions.parquet", "flights.outcomes.parquet"],
        batch_rows: &[8_192, 997],
    },
    Case {
        pipeline: "fraud",
        files: &["fraud.predictions.parquet", "fraud.outcomes.parquet"],
        batch_rows: &[8_192, 7],
    },
    Case { pipeline: "house-prices", files: &["house-prices.jsonl"], batch_rows: &[8_192, 7, 1] },
    Case { pipeline: "assistant", files: &["assistant.predictions.csv.gz"], batch_rows: &[8_192, 7] },
    Case {
        pipeline: "digits",
        files: &["digits.predictions.csv.gz", "digits.outcomes.csv.gz"],
        batch_rows: &[8_192, 7],
    },
];

#[test]
fn flights() {
    check(&CASES[0]);
}

#[test]
fn fraud() {
    check(&CASES[1]);
}

#[test]
fn house_prices() {
    check(&CASES[2]);
}

#[test]
fn assistant() {
    check(&CASES[3]);
}

#[test]
fn digits() {
    check(&CASES[4]);
}

/// What was decided, in order.
fn decided(case: &Case) -> Vec<Decision> {
    let decisions = std::fs::read_to_string(recorded(case, "decisions.jsonl")).expect("decisions");
    decisions.lines().map(|line| serde_json::from_str(line).expect("a decision")).collect()
}

#[test]
fn a_measure_that_is_worse_than_its_margin_is_rolled_back_with_both_means() {
    let decisions = decided(&CASES[3]);
    let rollback = decisions.iter().find(|decision| decision.action == Signal::Rollback).expect("a rollback");
    assert_eq!(rollback.reason.code.to_string(), "MEASURE_REGRESSION");
    let mean = &rollback.evidence[0];
    assert_eq!((mean.metric.as_str(), mean.column.as_str()), ("mean", "tokens"));
    let (low, high) = mean.lo.zip(mean.hi).expect("an interval");
    assert!(low < mean.estimate && mean.estimate < high && mean.estimate > mean.bound, "{mean:?}");
    assert!(!rollback.reason.text.contains("sale"), "{}", rollback.reason.text);
}

#[test]
fn what_a_rule_holds_against_the_baseline_version_says_which_and_of_how_many_rows() {
    let mae = &decided(&CASES[2])[0].evidence[0];
    let said = (mae.metric.as_str(), mae.convention.as_str(), mae.baseline_kind.as_str());
    assert_eq!(said, ("mae", "ratio", "concurrent:7"));
    assert!(mae.n_baseline > 300 && mae.estimate > mae.bound, "{mae:?}");
}

fn check(case: &Case) {
    for &batch_rows in case.batch_rows {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let (windows, decisions) = (scratch.path().join("windows.jsonl"), scratch.path().join("decisions.jsonl"));
        replay(case, batch_rows, &windows, &decisions);
        let decisions = std::fs::read_to_string(decisions).expect("decisions");
        assert!(!decisions.is_empty(), "{}: the planted fault is acted on", case.pipeline);
        same(&recorded(case, "decisions.jsonl"), &decisions, batch_rows);
        let windows = std::fs::read_to_string(windows).expect("windows");
        same(&recorded(case, "windows.txt"), &overview(&windows), batch_rows);
        let digest = blake3::hash(windows.as_bytes()).to_hex();
        same(&recorded(case, "windows.b3"), &format!("{digest}\n"), batch_rows);
    }
}

/// Of all traffic, each number of each version: in how many windows it is known, and its range there.
fn overview(windows: &str) -> String {
    let mut groups = BTreeMap::<_, (u32, Vec<f64>)>::new();
    for row in windows.lines().map(|line| serde_json::from_str::<WindowRow>(line).expect("a row")) {
        if row.segment.is_empty() {
            let name = [row.version, row.baseline, row.column, row.metric, row.convention];
            let (n, known) = groups.entry(name).or_default();
            *n += 1;
            known.extend(row.value);
        }
    }
    let mut text = "version baseline column metric convention: known/windows least mean most\n".to_owned();
    for (name, (n, known)) in groups {
        let or_dash = |part: &String| if part.is_empty() { "-".to_owned() } else { part.clone() };
        let (least, most) =
            (known.iter().copied().fold(f64::MAX, f64::min), known.iter().copied().fold(f64::MIN, f64::max));
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        let range = if known.is_empty() { String::new() } else { format!(" {least:.6} {mean:.6} {most:.6}") };
        let _ = writeln!(text, "{}: {}/{n}{range}", name.each_ref().map(or_dash).join(" "), known.len());
    }
    text
}

fn replay(case: &Case, batch_rows: u32, windows: &Path, decisions: &Path) {
    let pipelines = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let output = Command::new(env!("CARGO_BIN_EXE_haldane"))
        .args(["replay", "--quiet", "--batch-rows", &batch_rows.to_string()])
        .arg("--config")
        .arg(pipelines.join(case.pipeline).with_extension("yaml"))
        .arg("--windows")
        .arg(windows)
        .arg("--decisions")
        .arg(decisions)
        .args(case.files.iter().map(|file| pipelines.join("data").join(file)))
        .output()
        .expect("haldane starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn recorded(case: &Case, what: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recorded").join(format!("{}.{what}", case.pipeline))
}

fn same(path: &Path, fresh: &str, batch_rows: u32) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, fresh).expect("a writable record");
    }
    let recorded = std::fs::read_to_string(path).expect("a record; run with UPDATE=1 to make it");
    assert_eq!(
        recorded,
        fresh,
        "{} in batches of {batch_rows}; if the change is meant, run with UPDATE=1",
        path.display()
    );
}
