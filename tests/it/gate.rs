//! `haldane gate`: what an exit code says of a candidate's state.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use clap::Parser as _;
use haldane::config;
use haldane::engine::Engine;
use haldane::error::{Error, Result};
use haldane::replay::{self, Options, Step};
use serde_json::{Value, json};

const PIPELINE: &str = "
pipeline: flights
sources:
  predictions:
    topic: flights.predictions
    event_time: { path: event_time_us, unit: us }
    id: prediction_id
    model: model
    version: version
    status: status
rollout: { baseline: v1, ladder: [10%, 50%, 100%] }
windows: { size: 6h, lateness: 1h }
";

/// The state in which a replay leaves the candidate v2.
fn state() -> Value {
    let plan = config::parse(PIPELINE, "flights.yaml", Path::new("")).unwrap().plan;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/spring/predictions.parquet");
    let files = replay::open(&plan, &[file], &Options::default()).unwrap();
    let mut engine = Engine::new(Arc::clone(&plan), files.lanes());
    for step in files {
        if let Step::Batch(batch) = step.unwrap() {
            engine.step(&batch);
        }
    }
    let states = engine.rollouts();
    let state = states.iter().find(|state| state.candidate == "v2").expect("a state of the candidate");
    serde_json::to_value(state).unwrap()
}

/// The state with other values of some keys.
fn with(mut state: Value, changes: &Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        state[key] = value.clone();
    }
    state
}

/// Asks the gate about a file of states.
fn gate(states: &str, more: &[&str]) -> Result<String> {
    let folder = tempfile::tempdir().unwrap();
    let [config, file] = ["flights.yaml", "states.jsonl"].map(|name| folder.path().join(name));
    fs::write(&config, PIPELINE).unwrap();
    fs::write(&file, states).unwrap();
    let paths = ["-c", config.to_str().unwrap(), "--states", file.to_str().unwrap()];
    let arguments = ["haldane", "gate"].into_iter().chain(paths).chain(more.iter().copied());
    let mut printed = Vec::new();
    haldane::cli::run(&haldane::cli::Cli::try_parse_from(arguments).unwrap(), &mut printed)?;
    Ok(String::from_utf8(printed).unwrap())
}

fn code(answer: Result<String>) -> u8 {
    answer.map_or_else(|error| error.exit_code(), |_| 0)
}

#[test]
fn every_state_has_its_exit_code() {
    let base = state();
    let cases = [
        ("REGISTERED", 3),
        ("WARMING", 3),
        ("OBSERVING", 3),
        ("SUSPECT", 3),
        ("HELD", 1),
        ("CONTAINED", 1),
        ("ROLLING_BACK", 1),
        ("ROLLED_BACK", 1),
        ("PASSED", 0),
        ("BAKING", 0),
        ("STABLE", 0),
        ("SUPERSEDED", 1),
        ("RETIRED", 1),
    ];
    for (name, expected) in cases {
        let line = with(base.clone(), &json!({ "state": name })).to_string();
        assert_eq!(code(gate(&line, &["--candidate", "v2"])), expected, "{name}");
    }
    let mut held = with(base, &json!({ "state": "HELD" }));
    held["people"]["pinned"] = true.into();
    assert_eq!(code(gate(&held.to_string(), &["--candidate", "v2"])), 3, "what a person holds may still pass");
}

#[test]
fn a_step_asks_for_its_share() {
    let passed = with(state(), &json!({ "state": "PASSED", "step": 0 })).to_string();
    for (step, expected) in [("10%", 0), ("50%", 0), ("51%", 3), ("100%", 3)] {
        assert_eq!(code(gate(&passed, &["--candidate", "v2", "--step", step])), expected, "{step}");
    }
    let told = gate(&passed, &["--candidate", "v2"]).unwrap();
    assert_eq!(told, "flight-delay v2 is PASSED: it may get 50 % of traffic\n");
    let baking = with(state(), &json!({ "state": "BAKING" })).to_string();
    assert_eq!(code(gate(&baking, &["--candidate", "v2", "--step", "100%"])), 0);
}

#[test]
fn the_last_state_of_the_candidate_counts_and_one_failing_model_is_enough() {
    let (good, bad) = (json!({ "state": "PASSED" }), json!({ "state": "ROLLING_BACK", "cause": "ERROR_RATE" }));
    let [passed, failed] = [good, bad].map(|changes| with(state(), &changes));
    let lines = |states: &[&Value]| states.iter().map(|state| state.to_string() + "\n").collect::<String>();
    let ask = ["--candidate", "v2"];
    assert_eq!(code(gate(&lines(&[&failed, &passed]), &ask)), 0);
    let error: Error = gate(&lines(&[&passed, &failed]), &ask).unwrap_err();
    assert_eq!(error.to_string(), "flight-delay v2 is ROLLING_BACK: it was rolled back (ERROR_RATE)");
    let other = with(passed.clone(), &json!({ "model": "other" }));
    assert_eq!(code(gate(&lines(&[&other, &failed]), &ask)), 1);
    assert_eq!(code(gate(&lines(&[&other, &failed]), &["--candidate", "v2", "--model", "other"])), 0);
    assert_eq!(code(gate(&json!([passed]).to_string(), &ask)), 0, "as `haldane rollouts --json` prints");
    for (candidate, rollout) in [("v3", "flights"), ("v2", "elsewhere")] {
        let asked = ["--candidate", candidate, "--rollout", rollout];
        let error = gate(&lines(&[&passed]), &asked).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert_eq!(error.to_string(), format!("no verdict on {candidate} in rollout {rollout} yet"));
    }
    assert_eq!(gate("hello", &ask).unwrap_err().exit_code(), 2);
}
