//! What holds whatever happens: decisions of every kind, robots, outages, crashes between any two steps.

use super::*;
use crate::plan::{Action, Signal};
use crate::verdict::permission::{Word, permission};
use crate::verdict::rollout::tests::{bad, blind, good, quiet, stages};
use crate::verdict::{Freshness, State};

/// Numbers that look random (Steele, Lea and Flood, OOPSLA 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.roll(of.len() as u64)).expect("a small number")].clone()
    }
}

/// What whoever judges does next.
fn decide(world: &mut World, dice: &mut Dice) {
    let share = world.target.share_pct;
    let pending = world.bench.state.pending.as_ref().map(|pending| pending.decision.clone());
    match dice.roll(20) {
        0..=5 => drop(world.bench.windows(4, &good().at(share))),
        6..=8 => drop(world.bench.window(&bad(Action::Contain, true).at(share))),
        9 => drop(world.bench.window(&bad(Action::Rollback, true).at(share))),
        10 => drop(world.bench.window(&bad(Action::Hold, true).at(share))),
        11 => drop(world.bench.window(&blind())),
        12 => drop(world.bench.command(CommandKind::Freeze { until: world.bench.now + 300 * SECOND })),
        13 => drop(world.bench.command(CommandKind::Unfreeze)),
        14 => drop(world.bench.command(CommandKind::Resume { cap_pct: Some(dice.pick(&[1.0, 10.0, 50.0])) })),
        15 => drop(world.bench.command(CommandKind::ClearDenial)),
        16 => drop(world.bench.command(CommandKind::ForcePromote)),
        17 if pending.is_some() => {
            let decision = pending.unwrap_or_default();
            let kind =
                if dice.roll(2) == 0 { CommandKind::Approve { decision } } else { CommandKind::Reject { decision } };
            drop(world.bench.command(kind));
        }
        _ => drop(world.bench.window(&quiet().at(share))),
    }
    // States may be held back for a while.
    if dice.roll(4) == 0 { world.publish_decisions() } else { world.publish() }
}

/// A write must be what the state of the bench, which is the newest there is, calls for.
fn check_write(world: &World, before: f64, share_pct: f64, seed: u64) {
    let state = &world.bench.state;
    assert!(state.people.frozen_until.is_none(), "seed {seed}: written while frozen");
    let at = |asked| permission(state, &world.bench.plan.policy, Freshness::Current, Some(asked));
    if share_pct > before {
        assert_eq!(
            at(share_pct).word,
            Word::Pass,
            "seed {seed}: raised from {before} to {share_pct} in {:?}",
            state.state
        );
        assert!(world.now - world.heard <= 60 * SECOND, "seed {seed}: raised in silence");
    } else {
        let restricted = matches!(state.state, State::Contained | State::RollingBack | State::RolledBack);
        assert!(restricted || state.is_denied(), "seed {seed}: lowered to {share_pct} in {:?}", state.state);
    }
    let behind = world.bench.decisions.iter().rev().find(|one| one.authority == crate::plan::Authority::Auto);
    assert!(behind.is_some(), "seed {seed}: written without any decision for machines");
}

/// One random life of an adapter with crashes; returns how many there were.
fn live(seed: u64, authority: &str) -> (World, usize) {
    let mut dice = Dice(seed);
    let mut stages = stages();
    if dice.roll(3) == 0 {
        stages.authority = vec![(Signal::Rollback, crate::plan::Authority::Approval)];
    }
    let mut bench = Bench::new(authority, stages);
    bench.windows(3, &quiet());
    let raise = dice.roll(2) == 0;
    let mut world = World::new(bench, raise);
    let mut crashes = 0;
    for _ in 0..120 {
        match dice.roll(12) {
            0 | 1 => decide(&mut world, &mut dice),
            2 => world.target.tamper(dice.pick(&[0.0, 1.0, 10.0, 40.0, 100.0])),
            3 => {
                world.target.mood =
                    dice.pick(&[Mood::Well, Mood::Well, Mood::Away, Mood::Lying, Mood::Contested, Mood::Refusing]);
            }
            4 => world.later(i64::try_from(dice.roll(90)).expect("a small number")),
            5 => world.answer(),
            6 => world.now += 70 * SECOND,
            _ => {
                let crash = dice.pick(&[None, None, None, Some(Crash::Before), Some(Crash::After)]);
                crashes += usize::from(crash.is_some());
                let (before, writes) = (world.target.share_pct, world.target.writes.len());
                world.step(crash);
                if let Some(share_pct) = world.target.writes.get(writes) {
                    check_write(&world, before, *share_pct, seed);
                }
                if world.target.mood == Mood::Away {
                    assert_eq!(world.target.share_pct, before, "seed {seed}");
                }
            }
        }
    }
    (world, crashes)
}

#[test]
fn after_any_crashes_the_share_is_within_the_cap_and_every_decision_is_answered() {
    let mut crashes = 0;
    for seed in 0..1_000 {
        let (mut world, n) = live(seed, "AUTO");
        crashes += n;
        // The world calms down: nothing is frozen, the target is well, everything is published.
        world.bench.command(CommandKind::Unfreeze);
        world.publish();
        world.target.mood = Mood::Well;
        for _ in 0..4 {
            world.later(61);
            world.settle();
            world.answer();
        }
        let state = &world.bench.state;
        let told = permission(state, &world.bench.plan.policy, Freshness::Current, Some(100.0));
        if let (Word::Fail, Some(cap)) = (told.word, told.cap_pct) {
            assert!(world.target.share_pct <= cap, "seed {seed}: {} % under {cap} %", world.target.share_pct);
        }
        let in_force = |id: &String| world.bench.state.in_force.contains(id);
        for decision in &world.bench.decisions {
            let for_machines = decision.authority == crate::plan::Authority::Auto
                && (decision.action.restricts() || decision.action.permits());
            // A permission that has lapsed is neither used nor refused: it may come to life again.
            let lapsed = decision.action == Signal::PromoteOk && in_force(&decision.id);
            assert!(
                !for_machines || lapsed || world.status(&decision.id).is_some(),
                "seed {seed}: {} {} is not answered in {:?}",
                decision.action.name(),
                decision.sequence,
                world.bench.state.state
            );
        }
        let (writes, acks) = (world.target.writes.len(), world.acks.len());
        world.crash();
        world.settle();
        assert_eq!((world.target.writes.len(), world.acks.len()), (writes, acks), "seed {seed}: once more");
    }
    assert!(crashes >= 10_000, "{crashes} crashes");
}

#[test]
fn advice_and_what_waits_for_approval_never_write() {
    for seed in 0..200 {
        let (world, _) = live(seed, "ADVISORY");
        let by_people = world.bench.decisions.iter().any(|one| one.authority == crate::plan::Authority::Auto);
        assert!(by_people || world.target.writes.is_empty(), "seed {seed}");
    }
}
