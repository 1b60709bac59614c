//! Kayenta's API as Argo Rollouts and Spinnaker call it, played by clients that decide as these do; and its judge.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use haldane::kafka::clock::wall_clock;
use haldane::kafka::cloud_event::rfc3339;
use haldane::sim::Rng;
use haldane::verdict::{RolloutState, State, Validity};
use serde_json::{Value, json};

use crate::dashboard::{Answer, send};
use crate::verdict::{Served, at};

const HOUR: i64 = 3_600_000_000;
const PASS: i64 = 95;
const MARGINAL: i64 = 75;

impl Served {
    fn kayenta(&self, method: &str, path: &str, body: &Value) -> Answer {
        let headers = [("Content-Type", "application/json")];
        let body = if method == "GET" { String::new() } else { body.to_string() };
        send(self.server.address(), method, &format!("/v1/kayenta{path}"), &headers, &body)
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.kayenta("GET", path, &Value::Null);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    fn put(&self, path: &str, body: &Value) -> Value {
        let answer = self.kayenta("POST", path, body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Status and words of a request that is refused.
    fn refused(&self, path: &str, body: &Value) -> (u16, String) {
        let answer = self.kayenta("POST", path, body);
        assert!(answer.status >= 400, "{path}: {}", answer.body);
        (answer.status, answer.body)
    }

    /// What Argo Rollouts does first: looks its config up by its name, and begins an analysis.
    fn argo_begins(&self, until: i64) -> String {
        let configs = self.get("/canaryConfig?application=shop&configurationAccountName=any");
        let is_it = |one: &&Value| one["name"] == "fraud";
        let id = configs.as_array().unwrap().iter().find(is_it).unwrap()["id"].as_str().unwrap().to_owned();
        let path = format!(
            "/canary/{id}?application=shop&metricsAccountName=m&configurationAccountName=c&storageAccountName=s"
        );
        let scope = |scope: &str| json!({ "scope": scope, "region": "eu", "step": 60, "start": rfc3339(until - HOUR), "end": rfc3339(until) });
        let body = json!({
            "scopes": { "default": { "controlScope": scope("v1"), "experimentScope": scope("v2") } },
            "thresholds": { "pass": PASS, "marginal": MARGINAL },
        });
        self.put(&path, &body)["canaryExecutionId"].as_str().unwrap().to_owned()
    }

    /// And then every 15 s: what it makes of the answer.
    fn argo_asks(&self, id: &str) -> &'static str {
        let answer = self.get(&format!("/canary/{id}"));
        if !answer["complete"].as_bool().unwrap() {
            assert_eq!((&answer["status"], &answer["result"]), (&json!("running"), &Value::Null));
            return "Running";
        }
        match answer["result"]["judgeResult"]["score"]["score"].as_f64().unwrap() {
            score if score >= 95.0 => "Successful",
            score if score >= 75.0 => "Inconclusive",
            _ => "Failed",
        }
    }

    /// What Spinnaker's canary stage makes of one: it takes a score that is not above `marginal` for a failure.
    fn spinnaker_asks(&self, id: &str) -> &'static str {
        let answer = self.get(&format!("/canary/{id}?storageAccountName=s"));
        assert!(answer["application"].is_string(), "{answer}");
        if answer["status"] == "running" {
            return "RUNNING";
        }
        assert_eq!(answer["status"], "succeeded");
        assert!(answer["endTimeMillis"].is_i64() && answer["endTimeIso"].is_string(), "{answer}");
        let result = &answer["result"];
        assert!(result["canaryDuration"].as_str().unwrap().starts_with("PT"), "{answer}");
        let counts = result["judgeResult"]["results"].as_array().unwrap().iter();
        counts.for_each(|one| assert!(one["controlMetadata"]["stats"]["count"].is_u64(), "{answer}"));
        let score = result["judgeResult"]["score"]["score"].as_i64().expect("a whole number");
        if score <= MARGINAL { "TERMINAL" } else { "SUCCEEDED" }
    }
}

#[test]
fn a_rollout_that_is_decided_ends_an_analysis_at_once_and_one_that_is_not_runs_until_its_end() {
    let served = Served::under("auto");
    let (later, before) = (served.argo_begins(wall_clock() + HOUR), served.argo_begins(wall_clock() - HOUR));
    let asks = |id: &str| (served.argo_asks(id), served.spinnaker_asks(id));
    assert_eq!(asks(&later), ("Running", "RUNNING"), "nobody has judged it");
    assert_eq!(asks(&before), ("Inconclusive", "SUCCEEDED"), "nothing is known, and that fails nothing");
    for state in State::ALL {
        served.judge(at(state));
        let (while_it_runs, at_the_end) = match state {
            State::Passed | State::Baking | State::Stable => (("Successful", "SUCCEEDED"), ("Successful", "SUCCEEDED")),
            State::RollingBack | State::RolledBack => (("Failed", "TERMINAL"), ("Failed", "TERMINAL")),
            _ => (("Running", "RUNNING"), ("Inconclusive", "SUCCEEDED")),
        };
        assert_eq!((asks(&later), asks(&before)), (while_it_runs, at_the_end), "{state:?}");
    }
    served.judge(RolloutState { validity: Validity::Blind, ..at(State::Passed) });
    assert_eq!(asks(&before), ("Inconclusive", "SUCCEEDED"));
    let answer = served.get(&format!("/canary/{before}"));
    let said = &answer["result"]["judgeResult"]["score"];
    assert_eq!((&said["score"], &said["classification"]), (&json!(85), &json!("Marginal")));
    assert!(said["classificationReason"].as_str().unwrap().contains("the last window lacked data"), "{answer}");
}

#[test]
fn advice_fails_nothing_and_an_id_is_answered_by_whoever_takes_over() {
    let advice = Served::under("advisory");
    advice.judge(at(State::RolledBack));
    let id = advice.argo_begins(wall_clock() - HOUR);
    assert_eq!(advice.argo_asks(&id), "Inconclusive");
    let successor = Served::under("auto");
    successor.judge(at(State::RolledBack));
    assert_eq!(successor.argo_asks(&id), "Failed");
}

#[test]
fn a_standalone_analysis_lasts_as_long_as_it_says() {
    let served = Served::under("auto");
    let request = |more: Value| {
        let mut request = json!({
            "scopes": [{ "scopeName": "default", "controlScope": "v1", "controlLocation": "eu", "experimentScope": "v2",
                "experimentLocation": "eu", "step": 60, "extendedScopeParams": { "model": "fraud", "step": "50" } }],
            "thresholds": { "pass": 95.0, "marginal": 75.0 },
            "analysisIntervalMins": 30,
        });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let begin =
        |path: &str, body: &Value| served.put(path, body)["canaryAnalysisExecutionId"].as_str().unwrap().to_owned();
    let hour = begin(
        "/standalone_canary_analysis/fraud?user=ana&application=shop",
        &request(json!({ "lifetimeDurationMins": 60 })),
    );
    let config = json!({ "canaryConfig": { "name": "fraud", "metrics": [] }, "executionRequest": request(json!({ "lifetimeDurationMins": 0 })) });
    let over = begin("/standalone_canary_analysis?application=shop", &config);
    let look = |id: &str| served.get(&format!("/standalone_canary_analysis/{id}?storageAccountName=s"));
    let answer = look(&hour);
    assert_eq!(
        (&answer["complete"], &answer["status"], &answer["executionStatus"]),
        (&json!(false), &json!("running"), &json!("RUNNING"))
    );
    assert_eq!((&answer["application"], &answer["stageStatus"][0]["status"]), (&json!("shop"), &json!("running")));
    let answer = look(&over);
    let result = &answer["canaryAnalysisExecutionResult"];
    assert_eq!(
        (&answer["executionStatus"], &result["didPassThresholds"], &result["hasWarnings"]),
        (&json!("SUCCEEDED"), &json!(false), &json!(true))
    );
    assert_eq!(result["canaryScores"], json!([85.0]));
    // At the second step of the ladder it may have the third: half of the traffic is beyond it.
    served.judge(at(State::Passed));
    assert_eq!(look(&hour)["complete"], false);
    served.judge(at(State::Stable));
    let answer = look(&hour);
    assert_eq!(
        (&answer["complete"], &answer["canaryAnalysisExecutionResult"]["didPassThresholds"]),
        (&json!(true), &json!(true))
    );
    served.judge(at(State::RolledBack));
    let result = look(&hour)["canaryAnalysisExecutionResult"].clone();
    assert_eq!((&result["canaryScores"], &result["hasWarnings"]), (&json!([0.0]), &json!(false)));
}

#[test]
fn what_cannot_be_answered_is_refused_with_what_to_do() {
    let served = Served::under("auto");
    let body = |control: &str, candidate: &str, pass: f64, marginal: f64| {
        json!({ "scopes": { "default": { "controlScope": { "scope": control }, "experimentScope": { "scope": candidate } } },
            "thresholds": { "pass": pass, "marginal": marginal } })
    };
    let cases = [
        ("/canary/spam", body("v1", "v2", 95.0, 75.0), 404, "no rollout `spam` is judged here"),
        ("/canary/fraud", body("v0", "v2", 95.0, 75.0), 400, "v2 is compared with v1 here, not with `v0`"),
        ("/canary/fraud", body("v1", "", 95.0, 75.0), 400, "name it in every scope"),
        ("/canary/fraud", body("v1", "v2", 76.0, 75.0), 400, "no score between marginal 75 and pass 76"),
        ("/canary/fraud", body("v1", "v2", 95.0, 0.0), 400, "no score between"),
        ("/canary/fraud", body("v1", &"v".repeat(2_000), 95.0, 75.0), 400, "the names are too long"),
        ("/canary/fraud", json!({ "scopes": {} }), 400, "it is no request of Kayenta"),
        (
            "/canary/fraud",
            json!({ "scopes": {}, "thresholds": { "pass": 95, "marginal": 75 } }),
            400,
            "name it in every scope",
        ),
        (
            "/standalone_canary_analysis/fraud",
            json!({ "scopes": [{ "experimentScope": "v2" }], "thresholds": { "pass": 95, "marginal": 75 } }),
            400,
            "does not say how long it lasts",
        ),
        ("/judge", json!({ "canaryConfig": {} }), 400, "it is no request of Kayenta"),
    ];
    for (path, body, status, says) in cases {
        let (told, text) = served.refused(path, &body);
        assert!(told == status && text.contains(says), "{path} {body}: {told} {text}");
    }
    for id in ["7b", "7b7d", "7", "x", "a%C3%A9", "%FF"] {
        let answer = served.kayenta("GET", &format!("/canary/{id}"), &Value::Null);
        assert!([400, 404].contains(&answer.status), "{id}: {}", answer.body);
    }
    // An id that somebody made of times that there are not.
    let id = served.argo_begins(HOUR);
    let bytes = |id: &str| {
        (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()).collect::<Vec<u8>>()
    };
    let mut analysis: Value = serde_json::from_slice(&bytes(&id)).unwrap();
    for (name, time) in [("begun", i64::MIN), ("begun", -1), ("until", i64::MAX)] {
        let before = std::mem::replace(&mut analysis[name], json!(time));
        let forged = analysis.to_string().bytes().fold(String::new(), |id, byte| format!("{id}{byte:02x}"));
        let answer = served.kayenta("GET", &format!("/canary/{forged}"), &Value::Null);
        assert_eq!(answer.status, 404, "{name} {time}: {}", answer.body);
        analysis[name] = before;
    }
    assert_eq!(served.get("/credentials")[0]["supportedTypes"][0], "METRICS_STORE");
    assert_eq!(served.kayenta("PUT", "/pipelines/7b7d/cancel", &json!("")).status, 200);
}

/// A request of Kayenta's with these metrics: name, more of its terms, what the experiment's points are times those of
/// the control, and how many.
fn series(seed: u64, metrics: &[(&str, Value, f64, usize)]) -> Value {
    let mut rng = Rng::new(seed);
    let mut pairs = Vec::new();
    for (name, _, factor, n) in metrics {
        let mut side =
            |factor: f64| -> Vec<Value> { (0..*n).map(|_| json!(factor * (100.0 + 5.0 * rng.normal()))).collect() };
        let (control, mut experiment) = (side(1.0), side(*factor));
        if let Some(first) = experiment.first_mut() {
            *first = json!("NaN");
        }
        let scope = json!({ "startTimeIso": "2026-11-30T06:00:00Z", "startTimeMillis": 0, "stepMillis": 60_000 });
        pairs.push(json!({ "name": name, "id": format!("id-{name}"), "tags": {}, "values": { "control": control, "experiment": experiment },
            "scopes": { "control": scope, "experiment": scope }, "attributes": {} }));
    }
    let config = |(name, terms, ..): &(&str, Value, f64, usize)| {
        json!({ "name": name, "query": { "type": "prometheus" }, "groups": [if name.starts_with("err") { "errors" } else { "latency" }],
            "analysisConfigurations": { "canary": terms }, "scopeName": "default" })
    };
    json!({
        "canaryConfig": { "name": "c", "metrics": metrics.iter().map(config).collect::<Vec<_>>(),
            "classifier": { "groupWeights": { "latency": 70.0, "errors": 30.0 } }, "judge": { "name": "RemoteJudge-v1.0" } },
        "scoreThresholds": { "pass": 95.0, "marginal": 75.0 },
        "metricSetPairList": pairs,
    })
}

#[test]
fn the_judge_tells_what_is_worse_and_scores_by_groups() {
    let served = Served::under("auto");
    let up = json!({ "direction": "increase" });
    let tolerated = json!({ "direction": "increase", "effectSize": { "allowedIncrease": 1.2 } });
    let request = series(
        1,
        &[
            ("p50", up.clone(), 1.0, 60),
            ("p99", up.clone(), 1.1, 60),
            ("mean", tolerated, 1.1, 60),
            ("errors", json!({ "direction": "decrease" }), 0.9, 60),
            ("few", up.clone(), 2.0, 20),
            ("none", json!({ "mustHaveData": true }), 1.0, 0),
            ("muted", json!({ "muted": true }), 2.0, 60),
        ],
    );
    let answer = served.put("/judge", &request);
    let classes: Vec<(&str, &str)> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["classification"].as_str().unwrap()))
        .collect();
    assert_eq!(
        classes,
        [
            ("p50", "Pass"),
            ("p99", "High"),
            ("mean", "Pass"),
            ("errors", "Low"),
            ("few", "Nodata"),
            ("none", "NodataFailMetric"),
            ("muted", "High")
        ]
    );
    assert_eq!(
        answer["results"][1]["experimentMetadata"]["stats"]["count"], 59,
        "a point that is not a number is left out"
    );
    assert!(
        answer["results"][1]["classificationReason"]
            .as_str()
            .unwrap()
            .starts_with("above 1 times the control's mean over 59 pairs"),
        "{answer}"
    );
    // Two of four pass by latency, none of one by errors.
    assert_eq!((&answer["score"]["score"], &answer["score"]["classification"]), (&json!(35), &json!("Fail")));
    assert_eq!(
        answer["groupScores"],
        json!([
            { "name": "errors", "score": 0.0, "classification": "Fail", "classificationReason": "" },
            { "name": "latency", "score": 50.0, "classification": "Fail", "classificationReason": "" },
        ])
    );
    let critical = json!({ "direction": "increase", "critical": true });
    let answer = served.put("/judge", &series(2, &[("p50", up.clone(), 1.0, 60), ("p99", critical, 1.1, 60)]));
    assert_eq!(
        (&answer["score"]["score"], &answer["score"]["classification"]),
        (&json!(0), &json!("Fail")),
        "{answer}"
    );
    let answer = served.put("/judge", &series(3, &[("p50", up.clone(), 1.0, 60)]));
    assert_eq!(
        (&answer["score"]["score"], &answer["score"]["classification"]),
        (&json!(100), &json!("Pass")),
        "{answer}"
    );
    let answer = served.put("/judge", &series(4, &[("p50", up, 3.0, 10)]));
    assert_eq!(
        (&answer["score"]["score"], &answer["score"]["classification"]),
        (&json!(85), &json!("Nodata")),
        "{answer}"
    );
}

/// Ten healthy metrics, asked for again after every ten of 120 points: in one analysis of twenty some may be told.
#[test]
fn healthy_versions_keep_the_budget_over_all_metrics_and_looks() {
    let served = Served::under("auto");
    let mut told = 0;
    for seed in 0..20 {
        let metrics: Vec<(&str, Value, f64, usize)> =
            ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(|name| (name, json!({}), 1.0, 120)).to_vec();
        let whole = series(seed, &metrics);
        let bad = (1..=12).any(|look| {
            let mut sofar = whole.clone();
            for pair in sofar["metricSetPairList"].as_array_mut().unwrap() {
                for side in ["control", "experiment"] {
                    pair["values"][side].as_array_mut().unwrap().truncate(look * 10);
                }
            }
            let answer = served.put("/judge", &sofar);
            answer["results"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| ["High", "Low"].contains(&one["classification"].as_str().unwrap()))
        });
        told += u32::from(bad);
    }
    assert!(told <= 1, "seeds 0..20: {told} analyses with a metric told");
}
