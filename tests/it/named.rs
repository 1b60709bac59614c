//! The number that a decision names is that of the windows table, for the window and rows that it states.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haldane::batch::EventBatch;
use haldane::config;
use haldane::engine::Engine;
use haldane::event::EventKind;
use haldane::judge::WindowRow;
use haldane::plan::Plan;
use haldane::replay::{self, ReplayOptions, ReplayStep};
use haldane::verdict::decision::Test;
use haldane::verdict::{Decision, Evidence};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(path)
}

/// What the log of an example gives.
fn judged(pipeline: &str, files: &[&str]) -> (Vec<Decision>, Vec<WindowRow>) {
    let plan = config::load(&repository(pipeline)).expect("an example").plan;
    let files: Vec<PathBuf> = files.iter().map(|file| repository("data").join(file)).collect();
    let files = replay::open(&plan, &files, &ReplayOptions::default()).expect("the example's log");
    let mut engine = Engine::new(Arc::clone(&plan), files.lanes());
    let (mut decisions, mut windows) = (Vec::new(), Vec::new());
    for step in files {
        let effects = match step.expect("a whole log") {
            ReplayStep::Batch(batch) => engine.step(&batch),
            ReplayStep::Refused(_) => continue,
            ReplayStep::End { source, lane, next_offset } => engine.progress(lane, source, next_offset, true, true),
        };
        decisions.extend(effects.decisions);
        windows.extend(effects.windows);
    }
    (decisions, windows)
}

/// The rows of the windows table that a number claims to be.
fn rows<'a>(windows: &'a [WindowRow], one: &Decision, proof: &Evidence) -> Vec<&'a WindowRow> {
    let is_it = |row: &&WindowRow| {
        (row.window_start, row.window_end) == proof.window
            && (&row.version, &row.metric, &row.column) == (&one.candidate, &proof.metric, &proof.column)
            && (&row.segment, row.revision) == (&proof.segment, 0)
            && (row.baseline.is_empty() || row.baseline == proof.baseline_kind)
    };
    windows.iter().filter(is_it).collect()
}

#[test]
fn a_number_of_one_window_stands_in_the_windows_table() {
    let mut compared = 0;
    for (pipeline, files) in [
        ("flights.yaml", &["flights.predictions.parquet", "flights.outcomes.parquet"]),
        ("fraud.yaml", &["fraud.predictions.parquet", "fraud.outcomes.parquet"]),
    ] {
        let (decisions, windows) = judged(pipeline, files);
        for one in &decisions {
            let of_the_window = one.evidence.iter().filter(|proof| one.inputs.window == Some(proof.window));
            let own = |proof: &&Evidence| {
                [Test::Contrast, Test::Hx, Test::ShiryaevRoberts].iter().any(|test| proof.test == *test)
            };
            for proof in of_the_window.filter(own) {
                let rows = rows(&windows, one, proof);
                let usual = proof.baseline_kind == "usual";
                let same = |row: &&WindowRow| {
                    row.value == Some(proof.estimate) && (usual || row.convention == proof.convention)
                };
                assert!(rows.is_empty() || rows.iter().any(same), "{pipeline}: {proof:?} is none of {rows:?}");
                compared += usize::from(!rows.is_empty());
            }
        }
        let mut last = BTreeMap::new();
        for one in &decisions {
            let before = last.insert((&one.model, &one.candidate), one.time);
            assert!(before.is_none_or(|before| before <= one.time), "{pipeline}: decision {} goes back", one.sequence);
            assert!(one.inputs.window.is_some_and(|(start, end)| start < end && end <= one.time), "{one:?}");
        }
    }
    assert!(compared >= 5, "{compared} numbers were compared");
}

/// Of each record of a log: where it stands, its id and its times.
struct Record {
    kind: EventKind,
    offset: i64,
    id: u64,
    event_time: i64,
    broker_time: i64,
}

fn records(plan: &Plan, files: replay::Replay) -> Vec<Record> {
    let batches = files.filter_map(|step| match step.expect("a whole log") {
        ReplayStep::Batch(batch) => Some(batch),
        _ => None,
    });
    let of_batch = |batch: Box<EventBatch>| {
        let kind = plan.sources[usize::from(batch.source)].kind;
        let record = |row| Record {
            kind,
            offset: batch.offset.value(row),
            id: batch.id.value(row),
            event_time: batch.event_time.value(row),
            broker_time: batch.broker_time.value(row),
        };
        (0..batch.offset.len()).map(record).collect::<Vec<_>>()
    };
    batches.flat_map(of_batch).collect()
}

/// First and last, if any.
fn range(offsets: impl Iterator<Item = i64> + Clone) -> Option<(i64, i64)> {
    Some((offsets.clone().min()?, offsets.max()?))
}

#[test]
fn a_decision_names_the_records_that_it_was_made_from() {
    let names = ["flights.predictions.parquet", "flights.outcomes.parquet"];
    let (decisions, _) = judged("flights.yaml", &names);
    let plan = config::load(&repository("flights.yaml")).expect("an example").plan;
    let files: Vec<PathBuf> = names.iter().map(|file| repository("data").join(file)).collect();
    let records = records(&plan, replay::open(&plan, &files, &ReplayOptions::default()).expect("the example's log"));
    let wait = plan.quality.as_ref().expect("flights have labels").wait;
    let topic = |kind| &plan.sources.iter().find(|source| source.kind == kind).expect("both kinds").topic;
    let mut by_labels = 0;
    for one in decisions {
        let (start, end) = one.inputs.window.expect("no commands here");
        let predicted =
            |record: &&Record| record.kind == EventKind::Prediction && (start..end).contains(&record.event_time);
        let predictions = records.iter().filter(predicted);
        let panes: BTreeMap<u64, i64> = predictions
            .clone()
            .map(|record| (record.id, plan.time.pane_end(plan.time.pane_of(record.event_time))))
            .collect();
        let is_in_time = |record: &&Record| {
            let pane_end = panes.get(&record.id).filter(|_| record.kind == EventKind::Outcome);
            pane_end.is_some_and(|end| record.broker_time - end <= wait)
        };
        let mut expected = BTreeMap::new();
        expected.insert(topic(EventKind::Prediction), range(predictions.map(|record| record.offset)));
        let told: BTreeMap<_, _> =
            one.inputs.offsets.iter().map(|(topic, _, first, last)| (topic, Some((*first, *last)))).collect();
        if told.len() > 1 {
            by_labels += 1;
            expected.insert(
                topic(EventKind::Outcome),
                range(records.iter().filter(is_in_time).map(|record| record.offset)),
            );
        }
        assert_eq!(told, expected, "decision {}: {}", one.sequence, one.reason.text);
        let speaks_of_labels =
            one.evidence.iter().any(|proof| ["brier", "accuracy", "ece"].contains(&proof.metric.as_str()));
        assert!(!speaks_of_labels || told.len() > 1, "{one:?}");
    }
    assert!(by_labels > 0, "no decision was made by labels");
}
