//! In which order what a step says goes out.

use super::*;
use crate::engine::Effects;
use crate::kafka::intent::Intent;
use crate::kafka::publish::Publisher;
use crate::output::summary::tests::row;

/// What goes out for a step whose news are kept, or not.
fn told(cluster: &MemoryCluster, publisher: &mut Publisher, effects: &Effects, is_kept: bool) -> Vec<String> {
    let log = cluster.log.clone();
    publisher
        .publish(effects, || {
            log.push(LogEntry::Kept);
            Ok(is_kept)
        })
        .expect("published");
    cluster.log.told()
}

fn publisher(cluster: &MemoryCluster) -> Publisher {
    Publisher::open(cluster, cluster.producer().expect("a producer")).expect("topics")
}

#[test]
fn each_kind_is_acknowledged_before_the_next_that_rests_on_it() {
    let cluster = MemoryCluster::new(", windows_topic: w");
    let mut publisher = publisher(&cluster);
    let effects = Effects {
        states: vec![knowing(state("v2", 1), &["cmd"])],
        decisions: vec![decision("v2", 1)],
        results: vec![result("cmd", "v2")],
        windows: vec![row(0, "x", "own", 0.5)],
        ..Effects::default()
    };
    let expected = ["s @intent/r/m/v2", "settled", "c r", "c r", "settled", "kept", "s r/m/v2", "w flight-delay/v2"];
    assert_eq!(told(&cluster, &mut publisher, &effects, true), expected);
}

#[test]
fn where_nothing_is_said_nothing_is_waited_for() {
    let cluster = MemoryCluster::new("");
    let mut publisher = publisher(&cluster);
    let windows = vec![row(0, "x", "own", 0.5)];
    let silent = Effects { states: vec![state("v2", 0)], windows, ..Effects::default() };
    assert_eq!(told(&cluster, &mut publisher, &silent, true), ["kept", "s r/m/v2"], "nor are there windows on a topic");
}

#[test]
fn a_result_stands_before_the_decisions_that_follow_from_it() {
    let cluster = MemoryCluster::new("");
    let mut publisher = publisher(&cluster);
    let (decisions, results) = (vec![decision("v2", 1)], vec![result("cmd", "v2")]);
    publisher.publish(&Effects { decisions, results, ..Effects::default() }, || Ok(true)).expect("published");
    let types: Vec<String> =
        cluster.log.sent().iter().filter_map(|sent| crate::kafka::cloud_event::attribute(sent, "type")).collect();
    assert_eq!(types, ["io.haldane.command-result.v1", "io.haldane.decision.v1"]);
}

#[test]
fn a_result_alone_is_waited_for_too() {
    let cluster = MemoryCluster::new("");
    let mut publisher = publisher(&cluster);
    let effects = Effects { results: vec![result("cmd", "v2")], ..Effects::default() };
    assert_eq!(told(&cluster, &mut publisher, &effects, true), ["c r", "settled", "kept"]);
}

#[test]
fn states_wait_until_what_led_to_them_is_kept_and_of_each_candidate_the_last_alone() {
    let cluster = MemoryCluster::new("");
    let mut publisher = publisher(&cluster);
    let step = |states: Vec<RolloutState>| Effects { states, ..Effects::default() };
    assert_eq!(told(&cluster, &mut publisher, &step(vec![state("v2", 1), state("v3", 1)]), false), ["kept"]);
    assert_eq!(told(&cluster, &mut publisher, &step(vec![state("v2", 2)]), false), ["kept"]);
    assert!(publisher.holds());
    publisher.release().expect("released");
    assert!(!publisher.holds());
    let sent = cluster.log.sent();
    let sequence = |record: &SentRecord| {
        serde_json::from_slice::<RolloutState>(record.payload().expect("a state")).expect("a state").sequence
    };
    assert_eq!(sent.iter().map(sequence).collect::<Vec<_>>(), [1, 2], "v3, and v2 as it is now");
    assert_eq!(cluster.log.told(), ["s r/m/v3", "s r/m/v2"]);
    publisher.release().expect("released");
    assert!(cluster.log.told().is_empty(), "once");
}

#[test]
fn what_was_held_goes_out_before_what_came_later_or_is_forgotten() {
    let cluster = MemoryCluster::new("");
    let mut publisher = publisher(&cluster);
    let step = |candidate: &str| Effects { states: vec![state(candidate, 1)], ..Effects::default() };
    told(&cluster, &mut publisher, &step("v3"), false);
    assert_eq!(told(&cluster, &mut publisher, &step("v2"), true), ["kept", "s r/m/v3", "s r/m/v2"]);
    told(&cluster, &mut publisher, &step("v3"), false);
    publisher.forget();
    assert!(!publisher.holds());
    assert_eq!(told(&cluster, &mut publisher, &step("v2"), true), ["kept", "s r/m/v2"]);
}

#[test]
fn a_candidate_is_taken_away_once_what_is_kept_of_it_is_there() {
    let cluster = MemoryCluster::new("");
    let mut publisher = publisher(&cluster);
    let gone = RolloutState { gone: true, ..state("v2", 3) };
    let effects = Effects { states: vec![gone, state("v1", 0)], ..Effects::default() };
    let expected = ["kept", "s r/m/v1", "-s @intent/r/m/v2", "settled", "-s r/m/v2"];
    assert_eq!(told(&cluster, &mut publisher, &effects, true), expected);
}

#[test]
fn topics_are_made_and_that_of_states_is_compacted() {
    let cluster = MemoryCluster::new(", windows_topic: w");
    drop(publisher(&cluster));
    let made = cluster.made.lock().expect("no panic").clone();
    let is_compacted: Vec<bool> = made.iter().map(|topic| topic.contains("compacted: true")).collect();
    assert_eq!((made.len(), is_compacted), (3, vec![false, true, false]), "{made:?}");
}

#[test]
fn an_intent_holds_what_is_said_of_its_candidate_after_the_whole_step() {
    let effects = Effects {
        states: vec![state("v2", 1), state("v3", 1), knowing(state("v2", 2), &["cmd"]), state("v4", 0)],
        decisions: vec![decision("v2", 1), decision("v3", 1), decision("v2", 2), decision("v9", 1)],
        results: vec![result("cmd", "v2"), result("other", "v2")],
        ..Effects::default()
    };
    let intents = Intent::all(&effects);
    let said: Vec<(&str, u64, Vec<u64>, usize)> = intents
        .iter()
        .map(|one| {
            let sequences = one.decisions.iter().map(|decision| decision.sequence).collect();
            (one.state.candidate.as_str(), one.state.sequence, sequences, one.results.len())
        })
        .collect();
    assert_eq!(said, [("v3", 1, vec![1], 0), ("v2", 2, vec![1, 2], 1)]);
    let gone = RolloutState { gone: true, ..state("v3", 1) };
    assert!(
        Intent::all(&Effects { states: vec![gone], decisions: vec![decision("v3", 1)], ..Effects::default() })
            .is_empty()
    );
}

#[test]
fn an_intent_is_ahead_of_a_state_that_lacks_some_of_it() {
    let effects = |of: RolloutState| Effects {
        states: vec![of],
        decisions: vec![decision("v2", 2)],
        results: vec![result("cmd", "v2")],
        ..Effects::default()
    };
    let intent = Intent::all(&effects(knowing(state("v2", 2), &["cmd"]))).remove(0);
    let later = |mut of: RolloutState| {
        of.judged_upto.0 += 1;
        of
    };
    let cases = vec![
        (None, true),
        (Some(state("v2", 1)), true),
        (Some(state("v2", 2)), true),
        (Some(knowing(state("v2", 2), &["cmd"])), false),
        (Some(knowing(state("v2", 1), &["cmd"])), true),
        (Some(later(state("v2", 1))), false),
    ];
    for (written, expected) in cases {
        assert_eq!(intent.is_ahead_of(written.as_ref()), expected, "{written:?}");
    }
}
