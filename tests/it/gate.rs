//! `haldane gate`: what an exit code says of a candidate's state.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use clap::Parser as _;
use haldane::config;
use haldane::engine::Engine;
use haldane::error::{Error, Result};
use haldane::event::SECOND;
use haldane::kafka::clock::wall_clock;
use haldane::replay::{self, ReplayOptions, ReplayStep};
use haldane::verdict::{Liveness, State};
use serde_json::{Value, json};

use crate::sample::living;

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
rollout: { baseline: v1, authority: auto, ladder: [10%, 50%, 100%] }
windows: { size: 6h, lateness: 1h }
";

/// The state in which a replay leaves the candidate v2, judged up to now.
fn state() -> Value {
    let plan = config::parse(PIPELINE, "flights.yaml", Path::new("")).unwrap().plan;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/spring/predictions.parquet");
    let files = replay::open(&plan, &[file], &ReplayOptions::default()).unwrap();
    let mut engine = Engine::new(Arc::clone(&plan), files.lanes());
    for step in files {
        if let ReplayStep::Batch(batch) = step.unwrap() {
            engine.step(&batch);
        }
    }
    let states = engine.rollouts();
    let state = states.iter().find(|state| state.candidate == "v2").expect("a state of the candidate");
    let state = serde_json::to_value(state).unwrap();
    let mut state = with(state, &json!({ "judged_upto": [wall_clock(), 0], "validity": "VALID", "step": 0 }));
    state["people"]["passed"] = true.into();
    state
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
    gate_of(PIPELINE, states, more)
}

fn gate_of(pipeline: &str, states: &str, more: &[&str]) -> Result<String> {
    let folder = tempfile::tempdir().unwrap();
    let [config, file] = ["flights.yaml", "states.jsonl"].map(|name| folder.path().join(name));
    fs::write(&config, pipeline).unwrap();
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

const ASK: [&str; 2] = ["--candidate", "v2"];

#[test]
fn every_state_has_its_exit_code() {
    let base = state();
    for state in State::ALL {
        let line = with(base.clone(), &json!({ "state": state, "cap_pct": null })).to_string();
        let expected = match state {
            State::Passed | State::Baking | State::Stable => 0,
            State::RollingBack | State::RolledBack => 1,
            _ => 3,
        };
        assert_eq!(code(gate(&line, &ASK)), expected, "{}", state.name());
    }
    let contained = with(base, &json!({ "state": "CONTAINED", "cap_pct": 10.0 })).to_string();
    for (step, expected) in [("10%", 3), ("50%", 1)] {
        assert_eq!(code(gate(&contained, &["--candidate", "v2", "--step", step])), expected, "{step} of at most 10 %");
    }
}

#[test]
fn a_step_asks_for_its_share() {
    let passed = with(state(), &json!({ "state": "PASSED", "cap_pct": null })).to_string();
    for (step, expected) in [("10%", 0), ("50%", 0), ("51%", 3), ("100%", 3)] {
        assert_eq!(code(gate(&passed, &["--candidate", "v2", "--step", step])), expected, "{step}");
    }
    let told = gate(&passed, &ASK).unwrap();
    assert_eq!(told, "flight-delay v2 is PASSED, and may have 50 % of traffic\n");
    let baking = with(state(), &json!({ "state": "BAKING", "cap_pct": null })).to_string();
    assert_eq!(code(gate(&baking, &["--candidate", "v2", "--step", "100%"])), 0);
}

/// What a gate says of a candidate that has passed, once something is otherwise: no verdict, and why.
fn doubts(changes: &Value, people: &Value, why: &str) {
    let mut state = with(with(state(), &json!({ "state": "PASSED", "cap_pct": null })), changes);
    for (key, value) in people.as_object().unwrap() {
        state["people"][key] = value.clone();
    }
    let error = gate(&state.to_string(), &ASK).unwrap_err();
    assert_eq!(error.exit_code(), 3, "{why}: {error}");
    assert!(error.to_string().contains(why), "{why}: {error}");
}

#[test]
fn what_nobody_may_use_is_no_pass() {
    let waits = json!({ "decision": "b3:1", "signal": "promote_ok", "cap_pct": 50.0, "granted": [], "deadline": 99,
                        "before": "OBSERVING", "cap_before": null });
    let none = json!({});
    doubts(&json!({ "pending": waits }), &none, "waits for approval");
    doubts(&none, &json!({ "frozen_until": 99 }), "frozen");
    doubts(&json!({ "validity": "BLIND" }), &none, "lacked data");
    doubts(&json!({ "state": "BAKING", "validity": "BLIND" }), &json!({ "passed": false }), "lacked data");
    doubts(&json!({ "state": "BAKING" }), &json!({ "passed": false }), "never passed");
    let six_hours = 6 * 3600 * SECOND;
    // Windows of six hours and permissions of twelve: 72 hours, and one of lateness.
    doubts(
        &json!({ "judged_upto": [wall_clock() - 13 * six_hours, 0] }),
        &none,
        "the newest judged window ended 3 d ago",
    );
    let advice = PIPELINE.replace(", authority: auto", "");
    let passed = with(state(), &json!({ "state": "PASSED", "cap_pct": null })).to_string();
    let error = gate_of(&advice, &passed, &ASK).unwrap_err();
    assert!(error.exit_code() == 3 && error.to_string().contains("advice only"), "{error}");
    let rolled_back = with(state(), &json!({ "state": "ROLLED_BACK" })).to_string();
    assert_eq!(code(gate_of(&advice, &rolled_back, &ASK)), 3, "a rollback as advice fails nobody");
}

#[test]
fn whoever_judges_must_be_alive_and_near_the_end_of_the_log() {
    let passed = with(state(), &json!({ "state": "PASSED", "cap_pct": null })).to_string();
    let now = wall_clock();
    let beside = |life: Liveness| gate(&format!("{passed}\n{}\n", json!(life)), &ASK);
    assert_eq!(code(beside(living("flights", now))), 0);
    let cases = [
        (living("flights", now - 120 * SECOND), "haldane was last heard of 2 min ago"),
        (Liveness { lag: None, ..living("flights", now) }, "catching up"),
        (Liveness { lag: Some(3600 * SECOND), ..living("flights", now) }, "catching up"),
    ];
    for (life, why) in cases {
        let error = beside(life).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains(why), "{error}");
    }
    assert_eq!(code(beside(living("another", now - 120 * SECOND))), 0, "another rollout's judge is dead");
    let later = (now + 74 * 3600 * SECOND).to_string();
    assert_eq!(code(gate(&passed, &["--candidate", "v2", "--at", &later])), 3, "then it will be old");
}

#[test]
fn an_outage_is_what_the_caller_says_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("flights.yaml");
    fs::write(&config, format!("{PIPELINE}kafka: {{ brokers: '127.0.0.1:1' }}\n")).unwrap();
    let gate = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
        command
            .args(["gate", "--candidate", "v2", "-c"])
            .arg(&config)
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let gates = [(None, 3), (Some("pass"), 0), (Some("fail"), 1)];
    let gates =
        gates.map(|(word, code)| (word, code, gate(&word.map_or(Vec::new(), |word| vec!["--undecided", word]))));
    let mut waits = gate(&["--undecided", "wait"]);
    for (word, code, gate) in gates {
        let output = gate.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{word:?}: {said}");
    }
    let mut said = BufReader::new(waits.stderr.take().unwrap()).lines().map_while(std::result::Result::ok);
    assert!(said.any(|line| line.contains("asked again in 5 s")), "it goes on");
    assert_eq!(waits.try_wait().unwrap(), None, "an outage ends no wait");
    waits.kill().unwrap();
    waits.wait().unwrap();
}

#[test]
fn the_last_state_of_the_candidate_counts_and_one_failing_model_is_enough() {
    let (good, bad) = (json!({ "state": "PASSED", "cap_pct": null }), json!({ "state": "ROLLING_BACK" }));
    let [passed, failed] = [good, bad].map(|changes| with(state(), &changes));
    let lines = |states: &[&Value]| states.iter().map(|state| state.to_string() + "\n").collect::<String>();
    assert_eq!(code(gate(&lines(&[&failed, &passed]), &ASK)), 0);
    let error: Error = gate(&lines(&[&passed, &failed]), &ASK).unwrap_err();
    assert_eq!(error.to_string(), "flight-delay v2 is ROLLING_BACK");
    let other = with(passed.clone(), &json!({ "model": "other" }));
    assert_eq!(code(gate(&lines(&[&other, &failed]), &ASK)), 1);
    assert_eq!(code(gate(&lines(&[&other, &failed]), &["--candidate", "v2", "--model", "other"])), 0);
    assert_eq!(code(gate(&json!([passed]).to_string(), &ASK)), 0, "as `haldane rollouts --json` prints");
    for (candidate, rollout) in [("v3", "flights"), ("v2", "elsewhere")] {
        let asked = ["--candidate", candidate, "--rollout", rollout];
        let error = gate(&lines(&[&passed]), &asked).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert_eq!(
            error.to_string(),
            format!("no verdict on {candidate} in rollout {rollout} yet: no such candidate has been judged yet")
        );
    }
    assert_eq!(gate("hello", &ASK).unwrap_err().exit_code(), 2);
}
