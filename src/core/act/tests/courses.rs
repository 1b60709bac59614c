//! Single courses of one decision.

use super::*;
use crate::plan::Action;
use crate::verdict::rollout::tests::{Bench, bad, good, quiet, stages};

/// A candidate that was just rolled back, and the decision.
fn rolled_back() -> (World, String) {
    let mut bench = Bench::observing();
    bench.window(&bad(Action::Rollback, true));
    let id = bench.last().id.clone();
    (World::new(bench, false), id)
}

fn contained() -> (World, String) {
    let mut bench = Bench::observing();
    bench.window(&bad(Action::Contain, true));
    let id = bench.last().id.clone();
    (World::new(bench, false), id)
}

fn kinds(steps: &[Step]) -> Vec<&'static str> {
    let kind = |step: &Step| match step {
        Step::Look => "look",
        Step::Set { .. } => "set",
        Step::Say(_) => "say",
        Step::Rest(_) => "rest",
    };
    steps.iter().map(kind).collect()
}

#[test]
fn a_restriction_is_looked_at_set_looked_at_again_and_acknowledged() {
    let (mut world, id) = rolled_back();
    assert_eq!(kinds(&world.settle()), ["look", "set", "look", "say"]);
    assert_eq!((world.target.share_pct, world.status(&id)), (0.0, Some(AckStatus::Applied)));
    let (mut world, id) = contained();
    world.settle();
    assert_eq!((world.target.share_pct, world.status(&id)), (5.0, Some(AckStatus::Applied)));
}

#[test]
fn what_is_so_already_is_acknowledged_and_not_written() {
    let (mut world, id) = rolled_back();
    world.target.share_pct = 0.0;
    assert_eq!(kinds(&world.settle()), ["look", "say"]);
    assert_eq!((world.target.writes.len(), world.status(&id)), (0, Some(AckStatus::Applied)));
}

#[test]
fn the_same_decision_twice_changes_nothing() {
    let (mut world, _) = rolled_back();
    world.settle();
    let (writes, acks) = (world.target.writes.clone(), world.acks.clone());
    world.crash();
    world.answer();
    assert_eq!(kinds(&world.settle()), ["look"]);
    world.later(61);
    assert_eq!(kinds(&world.settle()), ["look"]);
    assert_eq!((&world.target.writes, &world.acks), (&writes, &acks));
}

#[test]
fn a_share_that_a_robot_puts_back_is_seen_and_answered() {
    let (mut world, _) = contained();
    world.settle();
    world.target.tamper(25.0);
    assert_eq!(kinds(&world.settle()), [""; 0], "it looks once a minute");
    world.later(61);
    let steps = world.settle();
    assert_eq!(kinds(&steps), ["look", "set", "look"]);
    assert!(matches!(steps[1], Step::Set { again: true, share_pct: 5.0, .. }));
    assert_eq!((world.target.share_pct, world.acks.len()), (5.0, 1));
}

#[test]
fn a_target_that_is_away_is_tried_again_and_nothing_is_said() {
    let (mut world, id) = rolled_back();
    world.target.mood = Mood::Away;
    let mut waited = Vec::new();
    for _ in 0..9 {
        world.settle();
        let Step::Rest(until) = world.step(None) else { panic!("it rests") };
        waited.push((until - world.now) / SECOND);
        world.later((until - world.now) / SECOND);
    }
    assert_eq!(waited, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!((world.target.share_pct, world.acks.len()), (25.0, 0));
    world.target.mood = Mood::Well;
    world.settle();
    assert_eq!((world.target.share_pct, world.status(&id)), (0.0, Some(AckStatus::Applied)));
}

#[test]
fn a_newer_restriction_does_not_wait_for_the_pause_of_an_older_one() {
    let (mut world, contain) = contained();
    world.target.mood = Mood::Away;
    for _ in 0..7 {
        world.settle();
        world.later(60);
    }
    world.target.mood = Mood::Well;
    world.bench.window(&bad(Action::Rollback, true));
    world.publish();
    world.settle();
    let rollback = world.bench.last().id.clone();
    assert_eq!((world.target.share_pct, world.status(&rollback)), (0.0, Some(AckStatus::Applied)));
    assert_eq!(world.status(&contain), Some(AckStatus::Ignored));
}

#[test]
fn a_target_that_lies_is_told_of() {
    let (mut world, id) = rolled_back();
    world.target.mood = Mood::Lying;
    for _ in 0..5 {
        world.settle();
        world.later(8);
    }
    assert_eq!(world.acks, [(id.clone(), AckStatus::Failed)]);
    world.target.mood = Mood::Well;
    world.later(61);
    world.settle();
    assert_eq!((world.target.share_pct, world.status(&id)), (0.0, Some(AckStatus::Applied)));
}

#[test]
fn a_refusal_is_said_once_and_tried_again_later() {
    let (mut world, id) = rolled_back();
    world.target.mood = Mood::Refusing;
    for _ in 0..3 {
        world.settle();
        world.later(61);
    }
    assert_eq!((world.acks.as_slice(), world.target.looks), ([(id.clone(), AckStatus::Failed)].as_slice(), 3));
    world.target.mood = Mood::Well;
    world.settle();
    assert_eq!(world.status(&id), Some(AckStatus::Applied));
}

#[test]
fn changes_by_others_are_answered_at_once_a_few_times() {
    let (mut world, id) = rolled_back();
    world.target.mood = Mood::Contested;
    let steps = world.settle();
    assert_eq!(kinds(&steps).iter().filter(|kind| **kind == "set").count(), 6);
    assert_eq!((world.target.share_pct, world.acks.len()), (25.0, 0));
    for _ in 0..4 {
        world.later(60);
        world.settle();
    }
    assert_eq!(world.acks, [(id, AckStatus::Failed)], "it says that there is no getting through");
    world.target.mood = Mood::Well;
    world.later(60);
    world.settle();
    assert_eq!(world.target.share_pct, 0.0);
}

#[test]
fn the_share_of_another_version_is_left_alone() {
    let (mut world, id) = rolled_back();
    world.target.version = Some("v3".into());
    world.settle();
    assert_eq!((world.target.share_pct, world.status(&id)), (25.0, Some(AckStatus::Ignored)));
    assert!(world.course.is_met(), "there is nothing to do here");
    world.target.version = Some("v2".into());
    world.later(61);
    world.settle();
    assert_eq!((world.target.share_pct, world.status(&id)), (0.0, Some(AckStatus::Applied)));
}

/// A candidate that may have its next step.
fn passed(raise: bool) -> (World, String, f64) {
    let mut bench = Bench::new("AUTO", stages());
    let mut n = 0;
    while !bench.decisions.last().is_some_and(|last| last.action.permits()) {
        bench.window(&good());
        n += 1;
        assert!(n < 50, "it passes");
    }
    let (id, cap) = (bench.last().id.clone(), bench.last().cap_pct.expect("a cap"));
    let mut world = World::new(bench, raise);
    world.target.share_pct = 5.0;
    (world, id, cap)
}

#[test]
fn a_permission_is_used_once_and_up_to_its_cap() {
    let (mut world, id, cap) = passed(true);
    assert_eq!(kinds(&world.settle()), ["look", "set", "look", "say"]);
    assert_eq!((world.target.writes.as_slice(), world.status(&id)), ([cap].as_slice(), Some(AckStatus::Applied)));
    // A person lowers it: the permission is no order.
    world.target.tamper(2.0);
    world.later(61);
    world.crash();
    world.answer();
    assert_eq!(kinds(&world.settle()), [""; 0]);
    assert!(world.target.share_pct == 2.0 && world.course.is_met());
}

#[test]
fn who_only_lowers_says_so() {
    let (mut world, id, _) = passed(false);
    assert_eq!(kinds(&world.settle()), ["say"]);
    assert_eq!((world.target.share_pct, world.status(&id)), (5.0, Some(AckStatus::Ignored)));
}

#[test]
fn a_permission_that_is_not_alive_moves_nothing() {
    let (mut world, id, _) = passed(true);
    // Whoever judges was heard of, but has judged no window for long.
    world.later(6 * 60);
    world.settle();
    assert_eq!((world.target.writes.len(), world.status(&id)), (0, None));
    let (mut world, _, _) = passed(true);
    world.now += 61 * SECOND;
    world.settle();
    assert_eq!(world.target.writes.len(), 0, "silence of a minute");
}

#[test]
fn a_permission_that_ends_between_look_and_set_is_not_used() {
    let (mut world, _, _) = passed(true);
    assert_eq!(world.step(None), Step::Look);
    world.now += 61 * SECOND;
    world.settle();
    assert_eq!(world.target.writes.len(), 0);
    let (mut world, _, _) = passed(true);
    assert_eq!(world.step(None), Step::Look);
    world.bench.window(&bad(Action::Rollback, true));
    world.publish();
    world.settle();
    assert_eq!(world.target.writes, [0.0]);
}

#[test]
fn a_restriction_that_its_state_does_not_know_yet_is_carried_out() {
    let mut bench = Bench::observing();
    let mut world = World::new(Bench::observing(), false);
    bench.window(&bad(Action::Rollback, true));
    world.bench = bench;
    world.publish_decisions();
    world.settle();
    assert_eq!(world.target.writes, [0.0]);
}

#[test]
fn a_restriction_counts_for_its_lease_after_the_last_sign_of_life() {
    let (mut world, _) = contained();
    world.settle();
    let lease = i64::try_from(world.bench.last().lease_s).expect("seconds");
    world.target.tamper(25.0);
    world.now += (lease + 1) * SECOND;
    world.settle();
    assert_eq!(world.target.share_pct, 25.0, "nobody watches: exposure is left where it is");
    world.heard = world.now;
    world.later(61);
    world.settle();
    assert_eq!(world.target.share_pct, 5.0);
}

#[test]
fn who_is_new_to_a_rollout_does_not_answer_its_history() {
    let (mut world, contain) = contained();
    world.bench.window(&bad(Action::Rollback, true));
    world.now += 2 * 86_400 * SECOND;
    world.bench.now = world.now;
    world.bench.window(&bad(Action::Rollback, true));
    world.publish();
    world.settle();
    assert_eq!((world.target.share_pct, world.status(&contain)), (0.0, None));
}

#[test]
fn what_was_lifted_is_not_carried_out_any_more() {
    let (mut world, contain) = contained();
    let mut n = 0;
    while !world.bench.decisions.last().is_some_and(|last| last.action.permits()) {
        world.bench.window(&good().at(5.0));
        n += 1;
        assert!(n < 50, "it is lifted");
    }
    world.publish();
    world.settle();
    assert_eq!((world.target.share_pct, world.status(&contain)), (25.0, Some(AckStatus::Ignored)));
    world.bench.windows(2, &quiet());
    world.publish();
    world.settle();
    assert_eq!(world.target.writes.len(), 0);
}
