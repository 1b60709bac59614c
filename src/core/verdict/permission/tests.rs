//! Every state under every circumstance, as one table; then what the table is too coarse for.

use super::*;
use crate::event::{Micros, SECOND};
use crate::plan::{Plan, RolloutPlan};
use crate::verdict::liveness::{FORMAT, LAG_MAX, Liveness, SILENCE_MAX};
use crate::verdict::rollout::{Pending, People};

/// Ladder: step 1 is 5 %, the next one 25 %.
fn policy(authority: Authority) -> PolicyPlan {
    PolicyPlan { authority, baseline_version: "v1".to_owned(), ..PolicyPlan::default() }
}

/// A candidate at 5 %; contained to 1 %, or passed on its way to 100 % where the state says so.
fn at(state: State) -> RolloutState {
    let cap_pct = match state {
        State::Contained => Some(1.0),
        State::RollingBack | State::RolledBack => Some(0.0),
        _ => None,
    };
    let people = People { passed: true, ..People::default() };
    RolloutState { state, step: 1, cap_pct, people, ..RolloutState::new("fraud", "fraud", "v2", "v1") }
}

/// A decision of the state that waits for approval; before it there was no cap.
fn pending(state: State) -> Pending {
    let signal = match state {
        State::RollingBack | State::RolledBack => Signal::Rollback,
        State::Contained => Signal::Contain,
        State::Held => Signal::Hold,
        _ => Signal::PromoteOk,
    };
    Pending {
        decision: "b3:1".to_owned(),
        signal,
        cap_pct: None,
        granted: Vec::new(),
        deadline: 99,
        before: State::Observing,
        cap_before: None,
        in_force_before: Vec::new(),
        effect_before: None,
    }
}

/// The circumstances of the table's columns: a change of the state, who may act, how fresh it is, what is asked for.
fn circumstances(name: &str, state: &mut RolloutState) -> (Authority, Freshness, Option<f64>) {
    let (mut authority, mut freshness, mut asked_pct) = (Authority::Auto, Freshness::Current, None);
    match name {
        "calm" => {}
        "approval" => state.pending = Some(pending(state.state)),
        "frozen" => (state.people.frozen_until, state.people.unissued) = (Some(99), true),
        "advisory" => authority = Authority::Advisory,
        "advisory,forced" => (authority, state.people.forced) = (Authority::Advisory, true),
        "advisory,pinned" => (authority, state.people.pinned) = (Authority::Advisory, true),
        "blind" => state.validity = Validity::Blind,
        "stale" => freshness = Freshness::Stale(SECOND),
        "behind" => freshness = Freshness::CatchingUp,
        "silent" => freshness = Freshness::Silent(None),
        "unpassed" => state.people.passed = false,
        "untrusted" => state.trust = crate::trust::tests::untrusted(),
        "ask:30" => asked_pct = Some(30.0),
        "ask:101" => asked_pct = Some(101.0),
        other => panic!("{other}"),
    }
    (authority, freshness, asked_pct)
}

/// Columns, and for each state the first letter of the word and the cap: `P25` is PASS to 25 %, `W-` WAIT without a
/// cap.
const TABLE: &str = "
             calm approval frozen advisory advisory,forced advisory,pinned blind stale behind silent unpassed ask:30 ask:101 untrusted
REGISTERED   W5   W100     W5     W5       W5              W5              B5    W5    W5     W5     W5       W5     W5     W5
WARMING      W5   W100     W5     W5       W5              W5              B5    W5    W5     W5     W5       W5     W5     W5
OBSERVING    W5   W100     W5     W5       W5              W5              B5    W5    W5     W5     W5       W5     W5     W5
SUSPECT      W5   W100     W5     W5       W5              W5              B5    W5    W5     W5     W5       W5     W5     W5
HELD         W5   W100     W5     W5       W5              W5              B5    W5    W5     W5     W5       W5     W5     W5
CONTAINED    W1   W100     W5     W5       W5              W1              B1    W1    W1     W1     W1       F1     F1     W1
ROLLING_BACK F0   W100     W5     W5       W5              F0              F0    F0    F0     F0     F0       F0     F0     F0
ROLLED_BACK  F0   W100     W5     W5       W5              F0              F0    F0    F0     F0     F0       F0     F0     F0
PASSED       P25  W100     W5     W5       P100            W5              B5    W5    W5     W5     P25      W25    W25    W5
BAKING       P100 W100     W5     W5       P100            W5              B5    W5    W5     W5     W5       P100   W100   W5
STABLE       P100 W100     W5     W5       P100            W5              B5    W5    W5     W5     P100     P100   W100   W5
SUPERSEDED   W-   W-       W-     W-       W-              W-              W-    W-    W-     W-     W-       W-     W-     W-
RETIRED      W-   W-       W-     W-       W-              W-              W-    W-    W-     W-     W-       W-     W-     W-
";

fn cell(permission: &Permission) -> String {
    let cap = permission.cap_pct.map_or_else(|| "-".to_owned(), |cap| cap.to_string());
    format!("{}{cap}", &permission.word.name()[..1])
}

#[test]
fn every_state_has_one_answer_under_every_circumstance() {
    let mut lines = TABLE.trim_matches('\n').lines();
    let columns: Vec<&str> = lines.next().expect("a head").split_whitespace().collect();
    let mut wrong = Vec::new();
    let mut rows = 0;
    for (state, line) in State::ALL.into_iter().zip(lines) {
        let mut cells = line.split_whitespace();
        assert_eq!(cells.next(), Some(state.name()));
        rows += 1;
        for (name, expected) in columns.iter().zip(cells) {
            // Where a decision waits for approval, 100 % was allowed before it.
            let mut asked = at(state);
            let (authority, freshness, asked_pct) = circumstances(name, &mut asked);
            if let Some(pending) = &mut asked.pending {
                pending.cap_before = Some(100.0);
            }
            let answer = permission(&asked, &policy(authority), freshness, asked_pct);
            assert!(answer.reason.contains(state.name()), "{}", answer.reason);
            if cell(&answer) != expected {
                wrong.push(format!("{} {name}: {} and not {expected}: {}", state.name(), cell(&answer), answer.reason));
            }
        }
    }
    assert_eq!((rows, columns.len()), (State::ALL.len(), 14));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_version_that_is_denied_fails_after_its_end_too() {
    assert_eq!(ask(&RolloutState { denied: true, ..at(State::Retired) }, None), "F0");
}

fn ask(state: &RolloutState, asked_pct: Option<f64>) -> String {
    cell(&permission(state, &policy(Authority::Auto), Freshness::Current, asked_pct))
}

#[test]
fn a_permission_names_the_cap_that_was_granted_and_no_step_beyond_it() {
    // A cap of 1 % was in force at 5 %: the permission goes to 5 %, which is the cap since.
    assert_eq!(ask(&RolloutState { cap_pct: Some(5.0), ..at(State::Passed) }, None), "P5");
    assert_eq!(ask(&RolloutState { cap_pct: Some(5.0), ..at(State::Passed) }, Some(25.0)), "W5");
    assert_eq!(ask(&at(State::Passed), Some(25.0)), "P25");
    assert_eq!(ask(&RolloutState { cap_pct: Some(50.0), ..at(State::Baking) }, Some(100.0)), "W50");
    assert_eq!(ask(&at(State::Contained), Some(1.0)), "W1", "this much is allowed");
}

#[test]
fn what_waits_for_approval_leaves_the_cap_as_it_was() {
    for (state, signal, cap_before, expected) in [
        (State::Passed, Signal::PromoteOk, Some(1.0), "W1"),
        (State::Passed, Signal::PromoteOk, None, "W5"),
        (State::Contained, Signal::Contain, Some(25.0), "W25"),
        (State::RollingBack, Signal::Rollback, None, "W5"),
        // The lift of a restriction waits: the restriction binds.
        (State::Contained, Signal::Resume, Some(1.0), "F1"),
    ] {
        let waits = Pending { signal, cap_before, ..pending(state) };
        let state = RolloutState { pending: Some(waits), ..at(state) };
        assert_eq!(ask(&state, Some(30.0)), expected, "{:?} {signal:?}", state.state);
    }
}

#[test]
fn authority_counts_by_kind_of_decision() {
    let of = |signal, authority| PolicyPlan {
        stages: RolloutPlan { authority: vec![(signal, authority)], ..RolloutPlan::default() },
        ..policy(Authority::Advisory)
    };
    let word = |state, policy: &PolicyPlan| permission(&at(state), policy, Freshness::Current, None).word;
    let rolls_back = of(Signal::Rollback, Authority::Auto);
    assert_eq!([State::RolledBack, State::Passed].map(|one| word(one, &rolls_back)), [Word::Fail, Word::Wait]);
    let promotes = of(Signal::PromoteOk, Authority::Approval);
    assert_eq!([State::RolledBack, State::Passed].map(|one| word(one, &promotes)), [Word::Wait, Word::Pass]);
}

const NOW: Micros = 1_000_000 * SECOND;

fn living() -> Liveness {
    Liveness {
        format: FORMAT,
        rollout: "fraud".to_owned(),
        pipeline: "fraud".to_owned(),
        who: "host:1".to_owned(),
        at: NOW,
        judged_upto: None,
        lag: Some(0),
    }
}

/// Windows of a minute, lateness of ten seconds, and permissions that last three windows.
fn plan(lease_s: u64) -> Plan {
    let mut plan = crate::verdict::rollout::tests::plan("AUTO", RolloutPlan::default());
    plan.time.lateness = 10 * SECOND;
    (plan.policy.stages.permit_windows, plan.policy.stages.lease_s) = (3, lease_s);
    plan
}

#[test]
fn only_a_window_that_ended_lately_is_current() {
    let permit = 190 * SECOND;
    let judged = |ago: Micros| RolloutState { judged_upto: (NOW - ago, 0), ..at(State::Passed) };
    let of = |ago, life: &Liveness| Freshness::of(&judged(ago), &plan(900), Some(life), NOW);
    assert_eq!(of(permit, &living()), Freshness::Current);
    assert_eq!(of(permit + 1, &living()), Freshness::Stale(permit + 1));
    assert_eq!(of(-permit, &living()), Freshness::Current, "clocks of producers may run ahead");
    let other_model = Liveness { judged_upto: Some(NOW - permit - 1), ..living() };
    assert_eq!(of(0, &other_model), Freshness::Stale(permit + 1), "labels alone confirm no permission");
    assert_eq!(of(permit, &Liveness { judged_upto: Some(NOW), ..living() }), Freshness::Current);
    let never = Freshness::of(&at(State::Passed), &plan(900), Some(&living()), NOW);
    assert_eq!(never.doubt().as_deref(), Some("no window has been judged yet"));
}

#[test]
fn a_backlog_and_silence_confirm_nothing() {
    let judged = RolloutState { judged_upto: (NOW, 0), ..at(State::Passed) };
    let of = |life: Option<&Liveness>, lease_s| Freshness::of(&judged, &plan(lease_s), life, NOW);
    assert_eq!(of(None, 900), Freshness::Silent(None));
    for (lag, expected) in
        [(None, Freshness::CatchingUp), (Some(LAG_MAX), Freshness::Current), (Some(LAG_MAX + 1), Freshness::CatchingUp)]
    {
        assert_eq!(of(Some(&Liveness { lag, ..living() }), 900), expected);
    }
    let heard = |ago: Micros| Liveness { at: NOW - ago, ..living() };
    assert_eq!(of(Some(&heard(SILENCE_MAX)), 900), Freshness::Current);
    let dead = of(Some(&heard(SILENCE_MAX + SECOND)), 900);
    assert_eq!(dead.doubt().as_deref(), Some("haldane was last heard of 61 s ago"));
    assert_eq!(of(Some(&heard(21 * SECOND)), 20), Freshness::Silent(Some(21 * SECOND)), "the lease is over");
    let ahead = of(Some(&heard(-SILENCE_MAX - SECOND)), 900);
    assert_eq!(ahead.doubt().as_deref(), Some("haldane's clock is 61 s ahead of this one"));
}

#[test]
fn ages_are_told_in_units_that_people_count_in() {
    let told = |seconds| Freshness::Stale(seconds * SECOND).doubt().unwrap_or_default();
    for (seconds, span) in [(119, "119 s"), (120, "2 min"), (7_199, "119 min"), (7_200, "2 h"), (172_800, "2 d")] {
        assert_eq!(told(seconds), format!("the newest judged window ended {span} ago"));
    }
}

#[test]
fn each_lease_is_renewed_in_time() {
    assert_eq!([900, 30, 15].map(Liveness::every), [10, 10, 5].map(|seconds| seconds * SECOND));
}
