//! Candidates that end, and what is left of them.

use super::*;
use crate::event::SECOND;
use crate::metric::view::{Baselines, ViewKey, Views};
use crate::plan::{ENDED_KEPT, ENDED_MAX, Signal};
use crate::reason::ReasonCode;
use crate::verdict::decision::Exposure;
use crate::verdict::guard::tests::traffic;
use crate::verdict::judged::{ActiveVersion, VersionCounts};
use crate::verdict::rollout::tests::{plan, stages};
use crate::verdict::{Validity, with_ended};

const MINUTE: Micros = 60 * SECOND;

/// A rollout to which windows are told.
struct World {
    policy: Policy,
    now: Micros,
    /// What stands on the state topic.
    kept: BTreeMap<StateKey, RolloutState>,
    decisions: Vec<Decision>,
}

impl World {
    fn new() -> Self {
        let policy = Policy::new(Arc::new(plan("AUTO", stages())));
        Self { policy, now: 0, kept: BTreeMap::new(), decisions: Vec::new() }
    }

    /// A window in which versions have these shares of traffic, percent.
    fn window(&mut self, shares: &[(&str, f64)]) {
        self.now += MINUTE;
        let of = |version: &str| ActiveVersion {
            model: "m".to_owned(),
            version: version.to_owned(),
            coverage: None,
            thirds: None,
        };
        let seen: Vec<ActiveVersion> = shares.iter().map(|(version, _)| of(version)).collect();
        let share = |version: &str| shares.iter().find(|(name, _)| *name == version).map_or(0.0, |(_, share)| *share);
        let all = ViewKey { model: "m".to_owned(), version: ALL_VERSIONS.to_owned(), segment: String::new() };
        let views = Views::from([(all, traffic(1000, 0))]);
        let judged = Judged {
            start: self.now - MINUTE,
            end: self.now,
            order: (self.now, JudgedKind::Traffic),
            rows: &[],
            seen: &seen,
            newest_from: self.now - MINUTE,
            newest: &VersionCounts::Traffic(&views),
            trust: &crate::trust::WindowTrust::default(),
            exposure: &|_, version| Exposure { declared_pct: None, observed_pct: share(version) },
            looks: &|_, _| None,
            baselines: Baselines { reference: None, earlier: &|_| None },
            offsets: Vec::new(),
        };
        let outgoing = self.policy.judge(&judged);
        self.keep(outgoing);
    }

    fn windows(&mut self, n: u32, shares: &[(&str, f64)]) {
        (0..n).for_each(|_| self.window(shares));
    }

    fn command(&mut self, candidate: &str, kind: CommandKind) -> CommandResult {
        let (id, at) = (format!("c{}", self.now), self.now);
        let [model, actor, reason] = ["m", "ana", ""].map(str::to_owned);
        let (rollout, candidate) = ("toy".to_owned(), candidate.to_owned());
        let (ticket, if_sequence, expires_at) = (None, None, None);
        let command =
            Command { id, at, rollout, model, candidate, kind, actor, reason, ticket, if_sequence, expires_at };
        let (result, outgoing) = self.policy.command(command);
        self.keep(outgoing);
        result
    }

    fn keep(&mut self, outgoing: Outgoing) {
        for state in outgoing.states {
            let key = (state.model.clone(), state.candidate.clone());
            if state.gone {
                let home = &self.kept[&("m".to_owned(), "v1".to_owned())];
                assert!(home.ended.iter().any(|ended| ended.candidate == key.1), "it is noted before its record goes");
                self.kept.remove(&key);
            } else {
                self.kept.insert(key, state);
            }
        }
        self.decisions.extend(outgoing.decisions);
    }

    /// Goes on from what stands on the state topic.
    fn restart(&mut self) {
        let text = serde_json::to_string(&self.kept.values().collect::<Vec<_>>()).expect("states are JSON");
        self.policy = Policy::new(Arc::new(plan("AUTO", stages())));
        self.policy.restore(serde_json::from_str(&text).expect("and come back"));
    }

    fn of(&self, candidate: &str) -> Option<&RolloutState> {
        self.kept.get(&("m".to_owned(), candidate.to_owned()))
    }
}

/// A rollout whose candidate was taken back by hand, so long ago that it has no record of its own any more.
fn long_after_a_rollback() -> World {
    let mut world = World::new();
    world.windows(3, &[("v1", 95.0), ("v2", 5.0)]);
    assert_eq!(world.command("v2", CommandKind::ForceRollback).state, Some(State::RollingBack));
    world.window(&[("v1", 100.0)]);
    assert_eq!(world.of("v2").map(|state| state.state), Some(State::RolledBack));
    world.windows(stages().horizon_windows, &[("v1", 100.0)]);
    let ended = world.of("v2").expect("a record");
    assert_eq!((ended.state, ended.denied, ended.validity), (State::Retired, true, Validity::Valid));
    world.now += ENDED_KEPT;
    world.window(&[("v1", 100.0)]);
    assert_eq!(world.of("v2"), None, "its record is taken away");
    world.restart();
    world
}

#[test]
fn a_version_stays_denied_when_its_record_is_gone() {
    let mut world = long_after_a_rollback();
    let (sequence, seal) = world.decisions.last().map(|last| (last.sequence, seal_of(last))).expect("decisions");
    let states: Vec<RolloutState> = world.kept.values().cloned().collect();
    let ended = with_ended(states).into_iter().find(|state| state.candidate == "v2").expect("readers still see it");
    assert_eq!((ended.state, ended.is_denied(), ended.sequence, &ended.seal), (State::Retired, true, sequence, &seal));
    world.window(&[("v1", 80.0), ("v2", 20.0)]);
    let said = world.decisions.last().expect("a decision");
    assert_eq!((said.action, said.reason.code.clone()), (Signal::Rollback, ReasonCode::DeniedVersion.into()));
    assert_eq!((said.sequence, &said.previous), (sequence + 1, &seal), "the chain goes on");
    assert_eq!(said.denied_versions, ["v2"]);
}

fn seal_of(decision: &Decision) -> String {
    crate::verdict::decision::seal(&decision.body())
}

#[test]
fn a_person_clears_the_denial_of_a_version_whose_record_is_gone() {
    let mut world = long_after_a_rollback();
    let last = world.decisions.last().map(|last| last.sequence);
    assert_eq!(world.command("v3", CommandKind::ClearDenial).outcome, Outcome::Rejected, "nothing is known of it");
    let result = world.command("v2", CommandKind::ClearDenial);
    assert_eq!((result.outcome, result.state), (Outcome::Accepted, Some(State::Registered)));
    assert_eq!(Some(result.sequence), last.map(|last| last + 1));
    world.restart();
    world.windows(3, &[("v1", 80.0), ("v2", 20.0)]);
    assert_eq!(world.of("v2").map(|state| (state.state, state.is_denied())), Some((State::Observing, false)));
}

#[test]
fn candidates_do_not_grow_without_bound_and_none_that_has_traffic_is_let_go() {
    let mut world = World::new();
    for n in 0..CANDIDATES_MAX + 100 {
        let name = format!("c{n:04}");
        world.window(&[("v1", 90.0), (&name, 5.0), ("v2", 5.0)]);
        if n == 3 {
            world.command(&name, CommandKind::ForceRollback);
        }
    }
    assert!(world.policy.states.len() <= CANDIDATES_MAX + 1, "{}", world.policy.states.len());
    assert_eq!(world.policy.states.len(), world.kept.len());
    assert!(world.of("v2").is_some_and(|state| state.state.is_live()));
    world.now += ENDED_KEPT;
    world.windows(stages().horizon_windows + 2, &[("v1", 95.0), ("v2", 5.0)]);
    world.window(&[("v1", 90.0), ("c0003", 5.0), ("v2", 5.0)]);
    let said = world.decisions.last().expect("a decision");
    assert_eq!((said.candidate.as_str(), said.reason.code.clone()), ("c0003", ReasonCode::DeniedVersion.into()));
}

#[test]
fn of_those_that_ended_the_denied_are_kept_for_ever() {
    let mut home = RolloutState::new("toy", "m", "v1", "v1");
    let ended = |n: usize, denied| {
        let other = RolloutState::new("toy", "m", &format!("c{n}"), "v1");
        RolloutState { sequence: 1, denied, state: State::Retired, ..other }
    };
    let n_denied = ENDED_MAX + 5;
    (0..n_denied).for_each(|n| home.remember(ended(n, true)));
    (n_denied..n_denied + ENDED_MAX + 5).for_each(|n| home.remember(ended(n, false)));
    assert_eq!(home.ended.iter().filter(|one| one.denied).count(), n_denied, "a denial is never forgotten");
    assert_eq!(home.ended.len(), n_denied + ENDED_MAX);
    assert_eq!(home.ended[n_denied].candidate, format!("c{}", n_denied + 5), "the oldest of the others went");
}

#[test]
fn a_cap_that_rises_unsaid_is_noticed() {
    let state = RolloutState { cap_pct: Some(50.0), ..RolloutState::new("toy", "m", "v2", "v1") };
    assert!(std::panic::catch_unwind(|| assert_cap(Some(5.0), &state, &[])).is_err());
    assert_cap(Some(50.0), &state, &[]);
}
