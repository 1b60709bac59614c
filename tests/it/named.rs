//! The number that a decision names is that of the windows table, for the window and rows that it states.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haldane::config;
use haldane::engine::Engine;
use haldane::judge::WindowRow;
use haldane::replay::{self, Options, Step};
use haldane::verdict::decision::Test;
use haldane::verdict::{Decision, Evidence};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(path)
}

/// What the log of an example gives.
fn judged(pipeline: &str, files: &[&str]) -> (Vec<Decision>, Vec<WindowRow>) {
    let plan = config::load(&repository(pipeline)).expect("an example").plan;
    let files: Vec<PathBuf> = files.iter().map(|file| repository("data").join(file)).collect();
    let files = replay::open(&plan, &files, &Options::default()).expect("the example's log");
    let mut engine = Engine::new(Arc::clone(&plan), files.lanes());
    let (mut decisions, mut windows) = (Vec::new(), Vec::new());
    for step in files {
        let effects = match step.expect("a whole log") {
            Step::Batch(batch) => engine.step(&batch),
            Step::Refused(_) => continue,
            Step::End { source, lane, next_offset } => engine.progress(lane, source, next_offset, true, true),
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
