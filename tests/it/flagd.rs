//! Flags for flagd: who gets which version, as `OpenFeature`'s own provider understands what is served.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use haldane::kafka::clock::wall_clock;
use haldane::serve::health::Phase;
use haldane::verdict::{RolloutState, State};
use serde_json::{Value, json};

use crate::dashboard::send;
use crate::sample::living;
use crate::sql::python_with;
use crate::verdict::{Served, at};

const FLAGS: &str = "/v1/flagd/fraud.json";

impl Served {
    fn ready(authority: &str) -> Self {
        let served = Self::under(authority);
        served.shared.health().turn(Phase::Starting, Phase::Ready);
        served
    }

    fn flags(&self, query: &str) -> Value {
        let answer = send(self.server.address(), "GET", &format!("{FLAGS}{query}"), &[], "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Versions and their weights, in their order, of the one flag that there is.
    fn weights(&self, query: &str) -> Vec<(String, u64)> {
        let flags = self.flags(query)["flags"].clone();
        let [flag] = flags.as_object().unwrap().values().collect::<Vec<_>>()[..] else { panic!("one flag: {flags}") };
        let parts = flag["targeting"]["fractional"].as_array().unwrap();
        assert_eq!(flag["defaultVariant"], "v1");
        parts[1..].iter().map(|part| (part[0].as_str().unwrap().to_owned(), part[1].as_u64().unwrap())).collect()
    }
}

fn shares(of: &[(&str, u64)]) -> Vec<(String, u64)> {
    of.iter().map(|(version, weight)| ((*version).to_owned(), *weight)).collect()
}

#[test]
fn a_candidate_gets_what_its_state_permits_and_the_baseline_version_the_rest() {
    let served = Served::ready("auto");
    // The steps are 1, 5, 25, 50 and 100 %, and it is at the second.
    for (state, expected) in [
        (State::Observing, &[("v2", 500), ("v1", 9_500)][..]),
        (State::Passed, &[("v2", 2_500), ("v1", 7_500)]),
        (State::Stable, &[("v2", 10_000)]),
        (State::RollingBack, &[("v1", 10_000)]),
        (State::RolledBack, &[("v1", 10_000)]),
        (State::Superseded, &[("v1", 10_000)]),
    ] {
        served.judge(at(state));
        assert_eq!(served.weights(""), shares(expected), "{state:?}");
    }
    served.judge(RolloutState { cap_pct: Some(1.25), ..at(State::Contained) });
    assert_eq!(served.weights(""), shares(&[("v2", 125), ("v1", 9_875)]));
    served.judge(RolloutState { candidate: "v3".to_owned(), step: 0, ..at(State::Observing) });
    assert_eq!(served.weights(""), shares(&[("v2", 125), ("v3", 100), ("v1", 9_775)]), "two on their way");
}

#[test]
fn a_permission_is_not_served_once_nobody_judges() {
    let served = Served::ready("auto");
    served.shared.judging(&living("fraud", wall_clock() - 120_000_000));
    served.tell(at(State::Passed));
    assert_eq!(served.weights(""), shares(&[("v2", 500), ("v1", 9_500)]));
    let advice = Served::ready("advisory");
    advice.judge(at(State::RollingBack));
    assert_eq!(advice.weights(""), shares(&[("v2", 500), ("v1", 9_500)]), "advice moves nothing");
    for over in [State::RolledBack, State::Superseded, State::Retired] {
        advice.judge(at(over));
        assert_eq!(
            advice.weights(""),
            shares(&[("v1", 10_000)]),
            "{over:?}: what is over does not come back by itself"
        );
    }
}

#[test]
fn a_candidate_that_no_window_has_shown_gets_the_first_step_while_somebody_watches() {
    let served = Served::ready("auto");
    let first = "?candidate=v2&model=m";
    assert_eq!(served.weights(first), shares(&[("v1", 10_000)]), "nobody was heard of");
    served.shared.judging(&living("fraud", wall_clock()));
    assert_eq!(served.weights(first), shares(&[("v2", 100), ("v1", 9_900)]));
    served.judge(at(State::RolledBack));
    assert_eq!(served.weights("?candidate=v2"), shares(&[("v1", 10_000)]), "it was denied");
    assert_eq!(served.weights("?candidate=v1"), shares(&[("v1", 10_000)]));
    served.judge(at(State::Superseded));
    assert_eq!(served.weights("?candidate=v2"), shares(&[("v2", 100), ("v1", 9_900)]), "it is tried again");
}

#[test]
fn who_does_not_know_how_things_stand_gives_no_answer() {
    let served = Served::under("auto");
    served.judge(at(State::Observing));
    let status = |path: &str| send(served.server.address(), "GET", path, &[], "").status;
    assert_eq!(status(FLAGS), 503, "it has not read its logs yet");
    served.shared.health().turn(Phase::Starting, Phase::Ready);
    assert_eq!((status(FLAGS), status("/v1/flagd/other.json"), status("/v1/flagd/fraud")), (200, 404, 404));
    served.shared.health().turn(Phase::Ready, Phase::Standby);
    assert_eq!(status(FLAGS), 503, "another process works");
}

#[test]
fn what_flagd_has_already_is_not_sent_again() {
    let served = Served::ready("auto");
    served.judge(at(State::Observing));
    let ask = |tag: &str| send(served.server.address(), "GET", FLAGS, &[("If-None-Match", tag)], "");
    let first = ask("");
    let tag = first.header("etag").to_owned();
    let again = ask(&tag);
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    served.judge(at(State::RollingBack));
    let other = ask(&tag);
    assert!(other.status == 200 && other.header("etag") != tag && other.body != first.body);
}

/// Evaluates a flag for users, by each of the files; prints who got which version.
const PROVIDER: &str = r#"
import sys, json
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
told = []
for path in sys.argv[2:]:
    api.set_provider_and_wait(FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=path))
    client = api.get_client()
    got = [client.get_string_details(sys.argv[1], "-", EvaluationContext(f"user-{n}")) for n in range(4000)]
    assert not any(one.error_code for one in got), got[0]
    told.append([one.value for one in got])
    api.shutdown()
print(json.dumps(told))
"#;

#[test]
fn the_provider_of_openfeature_exposes_as_many_users_and_the_same_ones_first() {
    let packages = ["openfeature-provider-flagd==0.6.1", "openfeature-sdk==0.10.0"];
    let python = python_with("python-flagd", &packages).unwrap();
    let served = Served::ready("auto");
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (name, cap_pct) in [("wide", 25.0), ("narrow", 5.0), ("none", 0.0)] {
        served.judge(RolloutState { cap_pct: Some(cap_pct), ..at(State::Contained) });
        let path = folder.path().join(format!("{name}.json"));
        std::fs::write(&path, served.flags("").to_string()).unwrap();
        paths.push(path);
    }
    let output =
        Command::new(python).args(["-c", PROVIDER, &at(State::Contained).model]).args(&paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let got: Vec<Vec<String>> = serde_json::from_slice(&output.stdout).unwrap();
    let exposed = |users: &[String]| users.iter().filter(|version| *version == "v2").count();
    let [wide, narrow, none] = [0, 1, 2].map(|at| exposed(&got[at]));
    // Four standard deviations of so many of 4,000 users: 110 and 55.
    assert!(wide.abs_diff(1_000) < 110 && narrow.abs_diff(200) < 55 && none == 0, "{wide} {narrow} {none}");
    assert!(got[1].iter().zip(&got[0]).all(|(narrow, wide)| narrow != "v2" || wide == "v2"), "the same users");
    assert!(got.iter().flatten().all(|version| ["v1", "v2"].contains(&version.as_str())));
    assert_eq!(served.flags("")["metadata"], json!({ "flagSetId": "haldane/fraud" }));
}
