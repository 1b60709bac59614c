//! A pipeline made from files replays these files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use haldane::config;
use haldane::engine::{Effects, Engine};
use haldane::init;
use haldane::replay::{self, Options, Step};

/// What a replay of files through a made pipeline comes to.
struct Replayed {
    text: String,
    rows: usize,
    refused: usize,
    effects: Effects,
}

/// Makes a pipeline of files, and replays them through it.
fn replayed(files: &[PathBuf]) -> Replayed {
    let draft = init::draft(files).expect("a pipeline");
    let pipeline = config::parse(&draft.text, "made.yaml", Path::new("")).unwrap_or_else(|error| {
        panic!("{error}\n{}", draft.text);
    });
    let log = replay::open(&pipeline.plan, files, &Options::default()).expect("files of this pipeline");
    let mut engine = Engine::new(Arc::clone(&pipeline.plan), log.lanes());
    let (mut rows, mut refused, mut effects) = (0, 0, Effects::default());
    for step in log {
        match step.expect("a readable file") {
            Step::Batch(batch) => {
                rows += batch.len();
                effects.extend(engine.step(&batch));
            }
            Step::Refused(some) => refused += some.len(),
            Step::End { source, lane, next_offset } => {
                effects.extend(engine.progress(lane, source, next_offset, true, true));
            }
        }
    }
    Replayed { text: draft.text, rows, refused, effects }
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/data").join(name)
}

fn has_metric(effects: &Effects, metric: &str) -> bool {
    effects.windows.iter().any(|row| row.metric == metric && row.value.is_some())
}

#[test]
fn parquet_with_labels_in_another_file() {
    let made = replayed(&["flights.predictions.parquet", "flights.outcomes.parquet"].map(data));
    assert_eq!(made.refused, 0, "{}", made.text);
    assert!(made.rows > 200_000);
    for line in [
        "event_time: event_time",
        "id: prediction_id",
        "version: version",
        "cohort: cohort",
        "score: score",
        "predicted_label: predicted_label",
        "latency: { path: latency_ms, unit: ms }",
        "status: status",
        "label: label",
        "baseline: v1",
        "carrier: carrier",
    ] {
        assert!(made.text.contains(line), "`{line}` is not in\n{}", made.text);
    }
    assert!(has_metric(&made.effects, "brier") && has_metric(&made.effects, "error_rate"), "{}", made.text);
}

#[test]
fn json_lines_with_nested_paths_and_several_topics() {
    let made = replayed(&[data("house-prices.jsonl")]);
    assert_eq!(made.refused, 0, "{}", made.text);
    for line in
        ["id: valuation_id", "version: model.version", "property.floor_area_m2", "has_garden: property.has_garden"]
    {
        assert!(made.text.contains(line), "`{line}` is not in\n{}", made.text);
    }
    assert!(!made.effects.windows.is_empty());
}

#[test]
fn csv_with_seconds_and_its_own_labels() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("answers.csv");
    let mut text = "id,ts,amount,country,vip,score,label,duration_s,http_status,note\n".to_owned();
    for row in 0..3_000_u32 {
        let (score, label) = (f64::from(row % 100) / 100.0, u32::from(row % 100 > 60));
        text += &format!(
            "r{row},{},{}.5,{},{},{score},{label},0.0{},200,free text number {row}\n",
            1_700_000_000 + row * 20,
            (row * 37) % 1000,
            ["DE", "FR", "IT"][row as usize % 3],
            row % 7 == 0,
            row % 9 + 1
        );
    }
    std::fs::write(&path, text).expect("a file");
    let made = replayed(&[path]);
    assert_eq!((made.rows, made.refused), (3_000, 0), "{}", made.text);
    for line in [
        "event_time: { path: ts, unit: s }",
        "country: country",
        "vip: vip",
        "latency: { path: duration_s, unit: s }",
        "status: http_status",
        "label: label",
        "version: { constant: v1 }",
        "#   note: texts that hardly repeat",
    ] {
        assert!(made.text.contains(line), "`{line}` is not in\n{}", made.text);
    }
    assert!(has_metric(&made.effects, "brier") && has_metric(&made.effects, "latency_p99"), "{}", made.text);
}

#[test]
fn what_cannot_be_a_pipeline_is_a_clear_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("timeless.csv");
    std::fs::write(&path, "a,b\n1,2\n3,4\n").expect("a file");
    let error = init::draft(&[path]).expect_err("no times");
    assert!(error.to_string().contains("when a prediction was made"), "{error}");
    assert!(error.advice().is_some_and(|hint| hint.contains("haldane report")));
    let error = init::draft(&[data("flights.outcomes.parquet")]).expect_err("only labels");
    assert!(error.to_string().contains("no predictions"), "{error}");
}
