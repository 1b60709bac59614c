//! The example pipelines over their logs: decisions and windows as recorded, to the byte, in batches of any size.
//!
//! `UPDATE=1` records them anew.

use std::path::{Path, PathBuf};
use std::process::Command;

struct Case {
    pipeline: &'static str,
    files: &'static [&'static str],
    batch_rows: &'static [u32],
}

const CASES: [Case; 3] = [
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

fn check(case: &Case) {
    for &batch_rows in case.batch_rows {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let (windows, decisions) = (scratch.path().join("windows.parquet"), scratch.path().join("decisions.jsonl"));
        replay(case, batch_rows, &windows, &decisions);
        let decisions = std::fs::read_to_string(decisions).expect("decisions");
        assert!(!decisions.is_empty(), "{}: the planted fault is acted on", case.pipeline);
        same(&recorded(case, "decisions.jsonl"), &decisions, batch_rows);
        let digest = blake3::hash(&std::fs::read(windows).expect("windows")).to_hex();
        same(&recorded(case, "windows.b3"), &format!("{digest}\n"), batch_rows);
    }
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
