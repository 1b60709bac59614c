//! Who may act on what: authority, drills, freezes, approvals.

use super::*;
use crate::act::Order;
use crate::plan::{Action, Authority, Signal};
use crate::verdict::rollout::tests::{Bench, bad, quiet, stages};

fn ordered(world: &mut World) -> Order {
    world.read();
    world.book.order(&about(), world.now)
}

/// A rollback of somebody with this authority.
fn rollback(authority: &str) -> Bench {
    let mut bench = Bench::new(authority, stages());
    bench.windows(3, &quiet());
    bench.window(&bad(Action::Rollback, true));
    bench
}

#[test]
fn only_what_is_for_machines_is_carried_out() {
    for (authority, acts) in [("AUTO", true), ("APPROVAL", false), ("ADVISORY", false)] {
        let mut world = World::new(rollback(authority), true);
        assert_eq!(ordered(&mut world).decision().is_some(), acts, "{authority}");
        world.settle();
        assert_eq!((world.target.writes.len(), world.acks.is_empty()), (usize::from(acts), !acts), "{authority}");
    }
}

#[test]
fn drills_are_left_alone_whatever_the_state_says() {
    let mut bench = rollback("AUTO");
    bench.decisions.last_mut().expect("a decision").drill = true;
    let mut world = World::new(bench, true);
    world.settle();
    assert_eq!((world.target.writes.len(), world.acks.len()), (0, 0));
}

#[test]
fn a_decision_with_another_authority_than_the_state_has_is_left_alone() {
    let mut bench = rollback("AUTO");
    bench.decisions.last_mut().expect("a decision").authority = Authority::Frozen;
    let mut world = World::new(bench, true);
    world.settle();
    assert_eq!(world.target.writes.len(), 0);
}

#[test]
fn what_people_approve_is_carried_out_then() {
    let bench = rollback("APPROVAL");
    let waits = bench.last().id.clone();
    let mut world = World::new(bench, false);
    world.settle();
    assert_eq!(world.target.writes.len(), 0);
    world.bench.command(CommandKind::Approve { decision: waits });
    world.publish();
    world.settle();
    let granted = world.bench.last().id.clone();
    assert_eq!((world.target.share_pct, world.status(&granted)), (0.0, Some(AckStatus::Applied)));
}

#[test]
fn the_restriction_before_one_that_waits_for_approval_stays() {
    let mut stages = stages();
    stages.authority = vec![(Signal::Rollback, Authority::Approval)];
    let mut bench = Bench::new("AUTO", stages);
    bench.windows(3, &quiet());
    bench.window(&bad(Action::Contain, true));
    let contain = bench.last().id.clone();
    bench.window(&bad(Action::Rollback, true));
    let waits = bench.last().id.clone();
    assert_eq!(bench.last().authority, Authority::Approval);
    let mut world = World::new(bench, false);
    assert_eq!(ordered(&mut world), Order::AtMost { decision: contain.clone(), cap_pct: 5.0 });
    world.settle();
    assert_eq!(world.target.share_pct, 5.0);
    // Rejected, it leaves the containment as it was.
    world.bench.command(CommandKind::Reject { decision: waits });
    world.publish();
    assert_eq!(ordered(&mut world).decision(), Some(contain.as_str()));
}

#[test]
fn nothing_is_written_while_everything_is_frozen() {
    let mut bench = rollback("AUTO");
    bench.command(CommandKind::Freeze { until: bench.now + 3_600 * SECOND });
    let mut world = World::new(bench, true);
    world.settle();
    assert_eq!(world.target.writes.len(), 0, "the rollback stands, and is frozen");
    world.bench.command(CommandKind::Unfreeze);
    world.publish();
    world.settle();
    assert_eq!(world.target.writes, [0.0]);

    // The freeze is known before the state that follows from it.
    let mut world = World::new(rollback("AUTO"), true);
    world.bench.command(CommandKind::Freeze { until: world.now + 3_600 * SECOND });
    world.publish_decisions();
    world.settle();
    assert_eq!(world.target.writes.len(), 0);
}

#[test]
fn a_decision_that_left_the_control_topic_is_known_by_its_state() {
    let mut world = World::new(rollback("AUTO"), false);
    world.control.clear();
    world.taken = 0;
    let id = world.bench.last().id.clone();
    world.heard = world.now;
    assert_eq!(ordered(&mut world), Order::AtMost { decision: id, cap_pct: 0.0 });
}

#[test]
fn other_rollouts_models_and_candidates_are_not_known() {
    let bench = rollback("AUTO");
    let mut world = World::new(bench, false);
    world.terms.candidate = Some("v9".into());
    world.crash();
    world.settle();
    assert!(world.book.candidates().is_empty() && world.target.looks == 0);
    let mut other = world.bench.last().clone();
    other.rollout = "other".into();
    let mut book =
        Book::new(Arc::new(world.bench.plan.clone()), AdapterTerms { candidate: None, ..world.terms.clone() });
    book.decided(&other, 0);
    assert!(book.candidates().is_empty());
}
