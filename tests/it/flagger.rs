//! Flagger's webhooks: what lets a canary go on, what makes it wait, and what alone rolls it back.

use haldane::kafka::clock::wall_clock;
use haldane::verdict::{RolloutState, State, Validity};
use serde_json::json;

use crate::dashboard::send;
use crate::sample::living;
use crate::verdict::{Served, at};

const HOOKS: [&str; 4] = ["confirm-rollout", "confirm-traffic-increase", "confirm-promotion", "rollback"];

impl Served {
    /// Status and reason for a hook, with `metadata` as in a Canary.
    fn hook(&self, hook: &str, metadata: &[(&str, &str)]) -> (u16, String) {
        let metadata: serde_json::Map<String, serde_json::Value> =
            metadata.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let body = json!({ "name": "fraud", "namespace": "ml", "phase": "Progressing", "checksum": "85d5", "metadata": metadata });
        let headers = [("Content-Type", "application/json")];
        let path = format!("/v1/flagger/{hook}");
        let answer = send(self.server.address(), "POST", &path, &headers, &body.to_string());
        (answer.status, answer.body)
    }

    /// The hooks that are answered with yes.
    fn yes(&self, metadata: &[(&str, &str)]) -> Vec<&'static str> {
        let says_yes = |hook: &&str| {
            let (status, reason) = self.hook(hook, metadata);
            assert!([200, 403].contains(&status) && reason.len() > 3, "{hook}: {status} {reason}");
            status == 200
        };
        HOOKS.into_iter().filter(says_yes).collect()
    }
}

const V2: [(&str, &str); 2] = [("rollout", "fraud"), ("candidate", "v2")];

#[test]
fn every_state_has_its_answers() {
    let served = Served::under("auto");
    for state in State::ALL {
        served.judge(at(state));
        let expected: &[&str] = match state {
            // At the second step of the ladder it may have the third, and not everything.
            State::Passed => &["confirm-rollout", "confirm-traffic-increase"],
            State::Baking | State::Stable => &["confirm-rollout", "confirm-traffic-increase", "confirm-promotion"],
            State::RollingBack | State::RolledBack => &["rollback"],
            _ => &["confirm-rollout"],
        };
        assert_eq!(served.yes(&V2), expected, "{state:?}");
    }
}

#[test]
fn what_nobody_may_carry_out_or_no_data_shows_rolls_nothing_back() {
    for authority in ["advisory", "approval"] {
        let served = Served::under(authority);
        served.judge(at(State::Observing));
        assert_eq!(served.yes(&V2), ["confirm-rollout"], "{authority}");
    }
    let advice = Served::under("advisory");
    advice.judge(at(State::RollingBack));
    assert_eq!(advice.yes(&V2), ["confirm-rollout"], "advice rolls nothing back");
    let served = Served::under("auto");
    served.judge(RolloutState { validity: Validity::Blind, ..at(State::Passed) });
    assert_eq!(served.yes(&V2), ["confirm-rollout"]);
}

#[test]
fn a_candidate_that_no_window_has_shown_may_have_its_first_traffic() {
    let served = Served::under("auto");
    assert_eq!(served.yes(&V2), [""; 0], "before whoever judges was heard of");
    served.shared.judging(&living("fraud", wall_clock() - 120_000_000));
    assert_eq!(served.yes(&V2), [""; 0], "it was heard of too long ago");
    served.shared.judging(&living("fraud", wall_clock()));
    assert_eq!(served.yes(&V2), ["confirm-rollout", "confirm-traffic-increase"]);
}

#[test]
fn without_a_name_the_candidate_that_runs_is_meant() {
    let served = Served::under("auto");
    let rollout = [("rollout", "fraud")];
    served.judge(RolloutState { candidate: "v1".to_owned(), ..at(State::Observing) });
    served.judge(at(State::RolledBack));
    // v2 was rolled back before; the canary that begins now is another one.
    assert_eq!(served.yes(&rollout), ["confirm-rollout", "confirm-traffic-increase"]);
    served.judge(RolloutState { candidate: "v3".to_owned(), ..at(State::RollingBack) });
    assert_eq!(served.yes(&rollout), ["rollback"]);
    served.judge(RolloutState { candidate: "v4".to_owned(), ..at(State::Observing) });
    let (status, reason) = served.hook("rollback", &rollout);
    assert!(status == 403 && reason.contains("2 candidates could be meant"), "{status} {reason}");
}

#[test]
fn hooks_that_would_count_an_outage_are_refused() {
    let served = Served::under("auto");
    for hook in ["rollout", "pre-rollout", "post-rollout", "event", "x"] {
        let (status, reason) = served.hook(hook, &V2);
        assert!(
            status == 400 && reason.contains("an outage of haldane would roll it back"),
            "{hook}: {status} {reason}"
        );
    }
    assert_eq!(served.hook("rollback", &[("step", "many")]).0, 400);
    let answer = send(served.server.address(), "POST", "/v1/flagger/rollback", &[], "{");
    assert_eq!(answer.status, 400, "{}", answer.body);
}
