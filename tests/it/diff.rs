//! `haldane replay --diff`: two pipelines over one log.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::AsArray as _;
use arrow::datatypes::{DataType, Int64Type};
use clap::Parser as _;
use haldane::error::Result;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

const SOURCES: &str = "
pipeline: flights
sources:
  predictions:
    topic: flights.predictions
    event_time: { path: event_time_us, unit: us }
    id: prediction_id
    model: model
    version: version
    score: score
    status: status
    features: { numeric: { visib: { path: visib, range: [0, 20] } } }
rollout: { name: flights, baseline: v1 }
guards: off
baselines: [concurrent]
";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/spring").join(name)
}

/// Runs the command on two pipelines that share their sources; what it printed.
fn diff(dir: &Path, a: &str, b: &str, more: &[&str]) -> Result<String> {
    let paths = [("a.yaml", a), ("b.yaml", b)].map(|(name, rest)| {
        let path = dir.join(name);
        fs::write(&path, format!("{SOURCES}{rest}")).unwrap();
        path.display().to_string()
    });
    let file = fixture("predictions.parquet").display().to_string();
    let arguments = ["haldane", "replay", "-c", &paths[0], "--diff", &paths[1], &file];
    let cli = haldane::cli::Cli::try_parse_from(arguments.into_iter().chain(more.iter().copied())).unwrap();
    let mut printed = Vec::new();
    haldane::cli::run(&cli, &mut printed)?;
    Ok(String::from_utf8(printed).unwrap())
}

/// Event times of one version's predictions.
fn times(version: &str) -> Vec<i64> {
    let file = fs::File::open(fixture("predictions.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut times = Vec::new();
    for batch in reader.map(|batch| batch.unwrap()) {
        let column = |name: &str, kind| arrow::compute::cast(batch.column_by_name(name).unwrap(), kind).unwrap();
        let (text, at) = (column("version", &DataType::Utf8), column("event_time", &DataType::Int64));
        let rows = text.as_string::<i32>().iter().zip(at.as_primitive::<Int64Type>().values());
        times.extend(rows.filter(|(name, _)| *name == Some(version)).map(|(_, &at)| at));
    }
    times
}

const PATIENT: &str = "
windows: { size: 6h, lateness: 1h }
policy:
  - { name: visibility, metric: psi, columns: [visib], baseline: concurrent, above: 0.25, min_n: 50, breaches: 3, of: 3, action: hold }
";
const EAGER: &str = "
windows: { size: 3h, lateness: 1h }
policy:
  - { name: visibility, metric: psi, columns: [visib], baseline: concurrent, above: 0.25, min_n: 20, breaches: 1, action: hold }
  - { name: cap, metric: psi, columns: [visib], baseline: concurrent, above: 0.25, min_n: 20, breaches: 3, of: 3, action: contain, cap: 5% }
";

#[test]
fn decisions_are_paired_and_the_traffic_beyond_a_cap_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let lines = dir.path().join("diff.jsonl");
    let shown = diff(dir.path(), PATIENT, EAGER, &["--decisions", lines.to_str().unwrap()]).unwrap();
    let lines: Vec<Value> =
        fs::read_to_string(lines).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<(&str, &str)> =
        lines.iter().map(|line| (line["action"].as_str().unwrap(), line["found_in"].as_str().unwrap())).collect();
    assert_eq!(found, [("hold", "both"), ("contain", "b")], "{shown}");
    let shift = lines[0]["shift_us"].as_i64().unwrap();
    let of = |side: &str| lines[0][side]["time"].as_i64().unwrap();
    assert!(shift < 0 && shift == of("b") - of("a"), "{shown}");
    assert!(lines[1]["a"].is_null() && lines[1]["shift_us"].is_null());

    let hour = 3_600_000_000;
    let in_force = lines[1]["b"]["time"].as_i64().unwrap() + hour;
    let after = |version: &str| times(version).iter().filter(|&&at| at >= in_force).count() as f64;
    let (own, other) = (after("v2"), after("v1"));
    let kept = (own - 0.05 * (own + other)).round();
    let all = times("v2").len() as f64;
    let percent = 100.0 * (own - 0.05 * (own + other)) / all;
    let told = shown.lines().find(|line| line.contains("kept from v2")).unwrap();
    assert!(kept > 10.0 && told.contains(&format!("A 0 (0 %), B {kept} (")), "{kept}: {told}");
    assert!(told.contains(&format!("B alone {kept} ({percent:.2} %)")), "{percent}: {told}");
    assert!(shown.contains("only in B") && shown.contains(" earlier"), "{shown}");
}

#[test]
fn a_pipeline_differs_in_nothing_from_itself() {
    let dir = tempfile::tempdir().unwrap();
    let shown = diff(dir.path(), EAGER, EAGER, &[]).unwrap();
    assert!(shown.contains("2 alike, 0 shifted in time, 0 only in A, 0 only in B"), "{shown}");
    assert!(shown.ends_with("; A alone 0 (0 %), B alone 0 (0 %)\n"), "{shown}");
}

#[test]
fn a_pipeline_that_cannot_read_the_files_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let strange = "
segments_are_unknown: 1
";
    let misspelt = diff(dir.path(), PATIENT, strange, &[]).unwrap_err();
    assert!(misspelt.to_string().contains("b.yaml:"), "{misspelt}");
    let [a, b] = ["a.yaml", "b.yaml"].map(|name| dir.path().join(name));
    let outcomes = "  outcomes: { topic: o, id: prediction_id, label: label }\nrollout:";
    fs::write(&a, SOURCES.replace("rollout:", outcomes)).unwrap();
    fs::write(&b, SOURCES).unwrap();
    let file = fixture("outcomes.parquet").display().to_string();
    let paths = [a.to_str().unwrap(), "--diff", b.to_str().unwrap(), "--outcomes", &file];
    let cli = haldane::cli::Cli::try_parse_from(["haldane", "replay", "-c"].into_iter().chain(paths)).unwrap();
    let error = haldane::cli::run(&cli, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), format!("with {}: {file} cannot be read as outcomes", b.display()));
}
