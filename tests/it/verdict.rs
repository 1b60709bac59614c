//! `/v1/verdict`: always an answer, and never one that promotes or rolls back for want of something better.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::path::Path;
use std::sync::Arc;

use haldane::config;
use haldane::engine::Effects;
use haldane::event::{Micros, SECOND};
use haldane::kafka::clock::wall_clock;
use haldane::plan::Signal;
use haldane::serve::{Server, Shared};
use haldane::verdict::rollout::{Pending, People};
use haldane::verdict::{Liveness, RolloutState, State, Validity};
use serde_json::{Value, json};

use crate::dashboard::send;
use crate::sample::{decision, living, row, state};
use crate::serve::ask;

fn pipeline(authority: &str) -> String {
    format!(
        "pipeline: fraud
sources:
  predictions:
    topic: p
    event_time: {{ path: at, unit: us }}
    id: id
    model: model
    version: version
    status: status
rollout: {{ baseline: v1, authority: {authority} }}
windows: {{ size: 5m }}
"
    )
}

pub(crate) struct Served {
    pub(crate) server: Server,
    pub(crate) shared: Arc<Shared>,
}

impl Served {
    pub(crate) fn under(authority: &str) -> Self {
        let shared = Arc::new(Shared::new());
        let plan = config::parse(&pipeline(authority), "fraud.yaml", Path::new(".")).unwrap().plan;
        shared.follow(&plan);
        Self { server: Server::start("127.0.0.1:0", Arc::clone(&shared)).unwrap(), shared }
    }

    /// As if a window had just been judged by somebody who is at work.
    pub(crate) fn judge(&self, state: RolloutState) {
        self.shared.judging(&living("fraud", wall_clock()));
        self.tell(state);
    }

    pub(crate) fn tell(&self, state: RolloutState) {
        let windows = vec![row("amount", 10, Some(0.3))];
        self.shared.publish(&Effects { windows, states: vec![state], ..Effects::default() });
    }

    /// The answer; it is an answer of a page that is there, whatever it says.
    fn ask(&self, query: &str) -> Value {
        let answer = ask(self.server.address(), "GET", &format!("/v1/verdict?{query}"));
        assert_eq!(answer.status, 200, "{query}");
        let json = answer.json();
        for field in ["verdict", "decision_id", "sequence", "exposure_cap_pct", "reason", "state", "n"] {
            assert!(json.get(field).is_some(), "{field} is missing in {json}");
        }
        assert!(!json["reason"].as_str().unwrap().is_empty(), "{json}");
        json
    }

    fn word(&self, query: &str) -> String {
        self.ask(query)["verdict"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn at(step: State) -> RolloutState {
    let people = People { passed: true, ..People::default() };
    RolloutState { step: 1, judged_upto: (wall_clock(), 0), people, ..state("v2", step, Validity::Valid) }
}

const V2: &str = "rollout=fraud&model=fraud&candidate=v2";

#[test]
fn what_is_not_known_waits() {
    let nothing = Arc::new(Shared::new());
    let before = Server::start("127.0.0.1:0", Arc::clone(&nothing)).unwrap();
    assert_eq!(ask(before.address(), "GET", "/v1/verdict?candidate=v2").json()["verdict"], "WAIT");
    let served = Served::under("auto");
    let no_question = ["", "candidate=", "rollout=fraud", "candidate=v2&step=many", "candidat=v2", "candidate=%FF&%=1"];
    for query in [V2].into_iter().chain(no_question) {
        let answer = served.ask(query);
        assert_eq!((&answer["verdict"], &answer["exposure_cap_pct"]), (&json!("WAIT"), &Value::Null), "{query}");
    }
    served.judge(at(State::Passed));
    served.judge(RolloutState { model: "spam".to_owned(), ..at(State::RolledBack) });
    assert_eq!(served.word("candidate=v2"), "WAIT", "two models have this candidate");
    assert_eq!(served.word("candidate=v2&model=spam"), "FAIL");
    assert_eq!(served.word("candidate=v9"), "WAIT");
}

#[test]
fn a_state_is_a_word() {
    let served = Served::under("auto");
    let words = |state: State| match state {
        State::Passed | State::Baking | State::Stable => "PASS",
        State::RollingBack | State::RolledBack => "FAIL",
        _ => "WAIT",
    };
    for state in State::ALL {
        served.judge(at(state));
        let answer = served.ask(V2);
        assert_eq!(answer["verdict"], words(state), "{answer}");
        assert_eq!(answer["state"], state.name());
        assert_eq!(answer["n"], json!({ "candidate": 100, "baseline": 100 }));
    }
}

#[test]
fn data_that_says_nothing_promotes_nothing_and_undoes_no_rollback() {
    let served = Served::under("auto");
    for (state, word) in [(State::Passed, "BLIND"), (State::Observing, "BLIND"), (State::RolledBack, "FAIL")] {
        served.judge(RolloutState { validity: Validity::Blind, ..at(state) });
        assert_eq!(served.word(V2), word, "{state:?}");
    }
}

#[test]
fn a_permission_goes_as_far_as_its_cap() {
    let served = Served::under("auto");
    served.judge(at(State::Passed));
    let answer = served.ask(&format!("{V2}&step=25"));
    assert_eq!((&answer["verdict"], &answer["exposure_cap_pct"]), (&json!("PASS"), &json!(25.0)));
    assert_eq!(served.word(&format!("{V2}&step=50%25")), "WAIT");
    served.judge(RolloutState { cap_pct: Some(5.0), ..at(State::Contained) });
    assert_eq!(served.word(&format!("{V2}&step=5")), "WAIT");
    assert_eq!(served.word(&format!("{V2}&step=25")), "FAIL", "this much was asked back");
}

#[test]
fn a_permission_counts_while_its_window_is_recent_and_somebody_judges() {
    let served = Served::under("auto");
    served.shared.restore(&[at(State::Passed)]);
    let says = |word: &str, reason: &str| {
        let answer = served.ask(V2);
        assert!(answer["verdict"] == word && answer["reason"].as_str().unwrap().contains(reason), "{reason}: {answer}");
        let cap = if word == "PASS" { 25.0 } else { 5.0 };
        assert_eq!(answer["exposure_cap_pct"], cap, "{reason}");
    };
    says("WAIT", "no sign of life");
    let lives = |life: Liveness| served.shared.judging(&life);
    lives(Liveness { lag: None, ..living("fraud", wall_clock()) });
    says("WAIT", "catching up");
    lives(living("fraud", wall_clock()));
    says("PASS", "PASSED");
    lives(Liveness { lag: Some(31 * SECOND), ..living("fraud", wall_clock()) });
    says("WAIT", "catching up");
    lives(living("fraud", wall_clock() - 61 * SECOND));
    says("WAIT", "last heard of 6");
    lives(living("fraud", wall_clock()));
    says("PASS", "PASSED");
    // Judged a moment ago, about what was hours ago.
    let ago =
        |minutes: Micros| RolloutState { judged_upto: (wall_clock() - minutes * 60 * SECOND, 0), ..at(State::Passed) };
    served.tell(ago(59));
    says("PASS", "PASSED");
    served.tell(ago(65));
    says("WAIT", "the newest judged window ended 65 min ago");
    served.shared.restore(&[RolloutState { candidate: "v3".to_owned(), ..at(State::RollingBack) }]);
    assert_eq!(served.word("candidate=v3"), "FAIL", "a rollback stands until it is lifted");
}

#[test]
fn the_dashboard_says_what_tools_are_told() {
    let served = Served::under("auto");
    let page = || send(served.server.address(), "GET", "/ui", &[], "").body;
    served.judge(at(State::Passed));
    assert!(page().contains("</span> PASS</span>") && page().contains("Exposure may rise to 25 %."));
    served.shared.judging(&living("fraud", wall_clock() - 61 * SECOND));
    assert!(page().contains("</span> WAIT</span>") && page().contains("at most 5 %"), "{}", page());
    assert!(page().contains("Leave exposure where it is"));
    let unpassed = People::default();
    served.judge(RolloutState { people: unpassed, ..at(State::Baking) });
    assert!(page().contains("</span> WAIT</span>") && page().contains("never passed"), "{}", page());
    assert_eq!(served.word(V2), "WAIT", "nobody has let it serve everybody");
}

#[test]
fn what_nobody_may_act_on_waits() {
    let waits_for = |signal| Pending {
        decision: "b3:1".to_owned(),
        signal,
        cap_pct: None,
        granted: Vec::new(),
        deadline: 99,
        before: State::Observing,
        cap_before: None,
        in_force_before: Vec::new(),
        effect_before: None,
    };
    let served = Served::under("approval");
    for (state, signal) in [(State::RollingBack, Signal::Rollback), (State::Passed, Signal::PromoteOk)] {
        served.judge(RolloutState { pending: Some(waits_for(signal)), ..at(state) });
        let answer = served.ask(V2);
        assert_eq!(answer["verdict"], "WAIT", "{state:?} is not approved");
        assert_eq!(answer["exposure_cap_pct"], 5.0, "what {state:?} names does not count yet");
        served.judge(at(state));
        assert_ne!(served.word(V2), "WAIT", "{state:?} is approved");
    }
    let people = People { unissued: true, frozen_until: Some(99), passed: true, ..People::default() };
    for state in [State::RollingBack, State::Passed] {
        served.judge(RolloutState { people: people.clone(), ..at(state) });
        assert_eq!(served.word(V2), "WAIT", "{state:?} is frozen");
    }
}

#[test]
fn advice_waits_and_what_a_person_says_does_not() {
    let served = Served::under("advisory");
    let pinned = People { pinned: true, ..People::default() };
    let forced = People { forced: true, ..People::default() };
    for (state, people, word) in [(State::RollingBack, pinned, "FAIL"), (State::Passed, forced, "PASS")] {
        served.judge(at(state));
        assert_eq!(served.word(V2), "WAIT");
        served.judge(RolloutState { people, ..at(state) });
        assert_eq!(served.word(V2), word);
    }
}

#[test]
fn a_decision_in_force_is_named_with_its_reason() {
    let served = Served::under("auto");
    let decision = decision(Signal::Rollback);
    let state = RolloutState { in_force: vec![decision.id.clone()], ..at(State::RollingBack) };
    served.shared.publish(&Effects { decisions: vec![decision.clone()], ..Effects::default() });
    served.judge(state);
    let answer = served.ask(V2);
    assert_eq!(answer["decision_id"], decision.id);
    assert!(answer["reason"].as_str().unwrap().contains(&decision.reason.text), "{answer}");
}
