//! What stands on the state topic, and where whoever takes over goes on.

use super::*;
use crate::engine::Effects;
use crate::kafka::cloud_event::Letter;
use crate::kafka::intent::Intent;
use crate::kafka::liveness;
use crate::kafka::states::{self, StateTopic};
use crate::verdict::Liveness;

fn sign(rollout: &str, format: u32) -> Liveness {
    Liveness {
        format,
        rollout: rollout.to_owned(),
        pipeline: "p".to_owned(),
        who: "host".to_owned(),
        at: NOW,
        judged_upto: None,
        lag: None,
    }
}

fn sent(letter: &Letter) -> SentRecord {
    let log = EventLog::default();
    log.send(letter.to("s")).expect("sent");
    log.sent().remove(0)
}

fn of(state: &RolloutState) -> SentRecord {
    sent(&Letter::state(state, NOW))
}

fn topic(records: &[SentRecord]) -> StateTopic {
    let mut seen = StateTopic::default();
    records.iter().for_each(|record| seen.take(record));
    seen
}

fn names(states: &[RolloutState]) -> Vec<(&str, u64)> {
    states.iter().map(|state| (state.candidate.as_str(), state.sequence)).collect()
}

#[test]
fn of_each_candidate_the_last_record_counts_and_one_without_a_value_takes_it_away() {
    let gone = RolloutState { gone: true, ..state("v3", 9) };
    let seen = topic(&[of(&state("v2", 1)), of(&state("v3", 1)), of(&state("v2", 2)), of(&gone), of(&state("v4", 1))]);
    assert_eq!(names(&seen.states("r").expect("states")), [("v2", 2), ("v4", 1)]);
    assert!(topic(&[foreign("", Some("x"))]).states("").expect("none").is_empty(), "a record without a key is none");
}

#[test]
fn a_rollout_is_not_one_whose_name_begins_like_it() {
    let other = RolloutState { rollout: "r2".to_owned(), ..state("v2", 5) };
    let seen = topic(&[of(&other), of(&state("v2", 1))]);
    assert_eq!(names(&seen.states("r").expect("states")), [("v2", 1)]);
    assert_eq!(names(&seen.states("r2").expect("states")), [("v2", 5)]);
}

#[test]
fn what_cannot_be_read_is_never_passed_over_but_of_others_does_not_matter() {
    let damaged = foreign("r/m/v3", Some("{"));
    let seen = topic(&[of(&state("v2", 1)), damaged.clone()]);
    let error = seen.states("r").expect_err("one is damaged");
    assert!(
        error.to_string().starts_with("the rollout state r/m/v3 (topic t, partition 2, offset 7) cannot be read: "),
        "{error}"
    );
    assert!(error.advice().is_some_and(|hint| hint.starts_with("use the release of haldane that wrote it")));
    assert!(seen.states("other").expect("none").is_empty());
    let mended = topic(&[damaged.clone(), foreign("r/m/v3", None)]);
    assert!(mended.states("r").expect("none").is_empty());
    let cluster = MemoryCluster::new("");
    cluster.hold("s", [damaged]);
    assert!(states::all(&cluster).is_err() && states::read(&cluster, "r").is_err());
    assert!(states::read(&cluster, "other").is_ok());
}

#[test]
fn signs_of_life_count_while_they_are_understood() {
    let good = sent(&Letter::liveness(&sign("r", crate::verdict::liveness::FORMAT)));
    let newer = sent(&Letter::liveness(&sign("r", crate::verdict::liveness::FORMAT + 1)));
    let other = sent(&Letter::liveness(&sign("q", crate::verdict::liveness::FORMAT)));
    let heard = |records: &[SentRecord]| {
        let seen = topic(records);
        ["r", "q"].map(|rollout| seen.liveness(rollout).is_some())
    };
    assert_eq!(heard(&[good.clone(), other.clone()]), [true, true]);
    assert_eq!(heard(&[good.clone(), other.clone(), newer]), [false, true], "whoever is not understood is not heard");
    assert_eq!(heard(&[good.clone(), other, foreign(&liveness::key("r"), None)]), [false, true]);
    assert_eq!(heard(&[good, foreign("@other/r", Some("{}"))]), [true, false]);
    assert!(topic(&[foreign("@pipeline/r/x", Some("{"))]).states("r").expect("none").is_empty());
}

/// A cluster whose state topic holds these states, and what was about to be said.
fn cluster(states: &[RolloutState], intents: &[Effects], said: &[Letter]) -> MemoryCluster {
    let cluster = MemoryCluster::new("");
    cluster.hold("s", states.iter().map(of));
    for intent in intents.iter().flat_map(Intent::all) {
        cluster.hold("s", [sent(&Letter::intent(&intent, NOW))]);
    }
    cluster.hold("c", said.iter().map(sent));
    cluster
}

fn step(state: RolloutState, decisions: Vec<Decision>, results: Vec<CommandResult>) -> Effects {
    Effects { states: vec![state], decisions, results, ..Effects::default() }
}

#[test]
fn where_all_was_said_nothing_is_said_again() {
    let intent = step(state("v2", 1), vec![decision("v2", 1)], vec![]);
    let resumed = states::resume(&cluster(&[state("v2", 1)], &[intent], &[]), "r").expect("resumed");
    assert_eq!(names(&resumed.states), [("v2", 1)]);
    assert!(resumed.said.decisions.is_empty() && resumed.said.states.is_empty());
}

#[test]
fn whoever_takes_over_goes_on_from_what_was_about_to_be_said() {
    let intent = step(knowing(state("v2", 3), &["cmd"]), vec![decision("v2", 3)], vec![result("cmd", "v2")]);
    let of = |candidate: &str, sequence| Letter::decision(&decision(candidate, sequence), "k", NOW);
    let said = [of("v2", 1), of("v2", 2), of("v3", 9), of("v2", 3), Letter::result(&result("cmd", "v2"), "k", NOW)];
    let all = cluster(&[state("v2", 1), state("v3", 8)], &[intent], &said);
    let resumed = states::resume(&all, "r").expect("resumed");
    let mut candidates = names(&resumed.states);
    candidates.sort_unstable();
    assert_eq!(candidates, [("v2", 3), ("v3", 8)]);
    let sequences: Vec<u64> = resumed.said.decisions.iter().map(|one| one.sequence).collect();
    assert_eq!(sequences, [2, 3], "one that a lost state would have told of, and the intended one, once");
    assert_eq!(resumed.said.results.iter().map(|one| one.command.id.as_str()).collect::<Vec<_>>(), ["cmd"]);
    assert_eq!(names(&resumed.said.states), [("v2", 3)]);
}

#[test]
fn a_candidate_without_a_state_may_have_been_about_to_get_one() {
    let intent = step(state("v2", 1), vec![decision("v2", 1)], vec![]);
    let resumed = states::resume(&cluster(&[], std::slice::from_ref(&intent), &[]), "r").expect("resumed");
    assert_eq!((names(&resumed.states), resumed.said.decisions.len()), (vec![("v2", 1)], 1));
    let elsewhere = states::resume(&cluster(&[], &[intent], &[]), "q").expect("resumed");
    assert!(elsewhere.states.is_empty() && elsewhere.said.decisions.is_empty());
}

#[test]
fn results_that_the_state_knew_before_are_no_news() {
    let before = knowing(state("v2", 1), &["old"]);
    let intent = step(knowing(state("v2", 2), &["old", "new"]), vec![decision("v2", 2)], vec![result("new", "v2")]);
    let said = [Letter::result(&result("old", "v2"), "k", NOW), Letter::result(&result("foreign", "v9"), "k", NOW)];
    let resumed = states::resume(&cluster(&[before], &[intent], &said), "r").expect("resumed");
    assert_eq!(resumed.said.results.iter().map(|one| one.command.id.as_str()).collect::<Vec<_>>(), ["new"]);
}
