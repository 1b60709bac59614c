//! Guards read counts: which metrics people ask to see switches none of them off.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use haldane::plan::{Action, MetricsPlan, Plan};
use haldane::sim::Rng;
use serde_json::Value;

use crate::timeouts::lab;

/// Windows until a candidate that fails ten times as often is rolled back, when these metrics are shown.
fn rolled_back(names: Vec<&'static str>) -> Option<u32> {
    let shipped = lab::plan(&[], false, &|_| {});
    let metrics = MetricsPlan { names, ..shipped.metrics.clone() };
    let plan = Arc::new(Plan { metrics, ..Plan::clone(&shipped) });
    let mut rng = Rng::new(7);
    lab::windows_until(&plan, 60, Action::Rollback, |_, rows| {
        for place in 0..600 {
            let candidate = place % 2 == 0;
            rows.push(candidate, rng.chance(if candidate { 0.1 } else { 0.01 }), None, &[]);
        }
    })
}

#[test]
fn failures_are_seen_whatever_is_shown() {
    let usual = rolled_back(vec!["error_rate"]);
    assert!(usual.is_some());
    for names in [vec![], vec!["psi"], vec!["brier"]] {
        assert_eq!(rolled_back(names.clone()), usual, "{names:?}");
    }
}

/// When flights are judged by guards alone: what was decided, and when.
fn flights(metrics: &str) -> Vec<(Value, Value, Value)> {
    let pipelines = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let text = std::fs::read_to_string(pipelines.join("flights.yaml")).expect("the pipeline");
    let (before, rules) = text.split_once("\npolicy:\n").expect("rules");
    let (_, after) = rules.split_once("\nkafka:").expect("a cluster after them");
    let line = before.lines().find(|line| line.starts_with("metrics:")).expect("metrics");
    let profile = pipelines.join("profiles/flights.json").display().to_string();
    let text = format!("{}\nkafka:{after}", before.replace(line, metrics)).replace("profiles/flights.json", &profile);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (pipeline, decisions) = (folder.path().join("flights.yaml"), folder.path().join("decisions.jsonl"));
    std::fs::write(&pipeline, text).expect("a writable directory");
    let files =
        ["flights.predictions.parquet", "flights.outcomes.parquet"].map(|name| pipelines.join("data").join(name));
    let mut replay = Command::new(env!("CARGO_BIN_EXE_haldane"));
    replay.args(["replay", "--quiet", "--config"]).arg(pipeline).arg("--decisions").arg(&decisions).args(files);
    let output = replay.output().expect("haldane starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let decisions = std::fs::read_to_string(decisions).expect("decisions");
    let decision = |line| serde_json::from_str::<Value>(line).expect("a decision");
    let what = |of: Value| (of["time"].clone(), of["action"].clone(), of["candidate"].clone());
    decisions.lines().map(decision).map(what).collect()
}

#[test]
fn labels_and_features_are_judged_whatever_is_shown() {
    let all = flights("metrics: { names: all }");
    assert!(all.iter().any(|(_, action, _)| action == "contain"), "{all:?}");
    for shown in ["[psi, error_rate]", "[brier]"] {
        assert_eq!(flights(&format!("metrics: {{ names: {shown} }}")), all, "{shown}");
    }
}
