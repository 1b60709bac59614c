//! Every transition, by hand.

use super::*;
use crate::reason::ReasonCode;
use crate::verdict::decision::Severity;

/// A state, windows, and the state and signals after them.
struct Case {
    name: &'static str,
    from: fn() -> Bench,
    windows: Vec<Seen>,
    state: State,
    signals: Vec<Signal>,
}

fn fresh() -> Bench {
    Bench::new("AUTO", stages())
}

fn with(seen: &[(u32, Seen)]) -> Bench {
    let mut bench = Bench::observing();
    seen.iter().for_each(|(n, seen)| drop(bench.windows(*n, seen)));
    bench.decisions.clear();
    bench
}

fn suspect() -> Bench {
    with(&[(1, bad(Action::Contain, false))])
}

fn held() -> Bench {
    with(&[(1, bad(Action::Hold, true))])
}

fn contained() -> Bench {
    with(&[(1, bad(Action::Contain, true))])
}

fn rolling_back() -> Bench {
    with(&[(1, bad(Action::Rollback, true))])
}

fn rolled_back() -> Bench {
    with(&[(1, bad(Action::Rollback, true)), (1, quiet().at(0.0))])
}

fn passed() -> Bench {
    with(&[(2, good())])
}

fn baking() -> Bench {
    with(&[(4, quiet().at(100.0))])
}

fn stable() -> Bench {
    let mut bench = baking();
    bench.windows(6, &good().at(100.0));
    bench.decisions.clear();
    bench
}

fn many(n: usize, seen: &Seen) -> Vec<Seen> {
    vec![seen.clone(); n]
}

fn then(before: Vec<Seen>, after: Vec<Seen>) -> Vec<Seen> {
    before.into_iter().chain(after).collect()
}

fn case(name: &'static str, from: fn() -> Bench, windows: Vec<Seen>, state: State, signals: &[Signal]) -> Case {
    Case { name, from, windows, state, signals: signals.to_vec() }
}

fn check(cases: Vec<Case>) {
    for Case { name, from, windows, state, signals } in cases {
        let mut bench = from();
        let said: Vec<Signal> = windows.iter().flat_map(|seen| bench.window(seen)).collect();
        assert_eq!((bench.state.state, said), (state, signals), "{name}");
    }
}

fn doubt() -> Seen {
    Seen { verdict: Verdict { suspicious: true, ..Verdict::default() }, ..quiet() }
}

#[test]
fn towards_observing() {
    check(vec![
        case("no traffic yet", fresh, many(3, &quiet().at(0.0)), State::Registered, &[]),
        case("its first window", fresh, vec![quiet()], State::Warming, &[]),
        case("warmed up", fresh, many(2, &quiet()), State::Observing, &[]),
        case("a soft finding while warming", fresh, vec![bad(Action::Contain, false)], State::Warming, &[]),
        case("a hard one", fresh, vec![bad(Action::Rollback, true)], State::RollingBack, &[Signal::Rollback]),
        case("doubt while warming", fresh, vec![doubt()], State::Warming, &[]),
    ]);
}

#[test]
fn restricting_is_immediate() {
    let contain = &[Signal::Contain][..];
    check(vec![
        case("warn", Bench::observing, vec![bad(Action::Warn, true)], State::Suspect, &[Signal::Warn]),
        case("hold", Bench::observing, vec![bad(Action::Hold, true)], State::Held, &[Signal::Hold]),
        case("contain", Bench::observing, vec![bad(Action::Contain, true)], State::Contained, contain),
        case("rollback", Bench::observing, vec![bad(Action::Rollback, true)], State::RollingBack, &[Signal::Rollback]),
        case("held, worse", held, vec![bad(Action::Contain, true)], State::Contained, contain),
        case("held, no worse", held, vec![bad(Action::Hold, true)], State::Held, &[]),
        case("held, milder", held, vec![bad(Action::Warn, true)], State::Held, &[]),
        case("contained, worse", contained, vec![bad(Action::Rollback, true)], State::RollingBack, &[Signal::Rollback]),
        case("passed, then bad", passed, vec![bad(Action::Hold, true)], State::Held, &[Signal::Hold]),
        case("baking, then bad", baking, vec![bad(Action::Rollback, true)], State::RollingBack, &[Signal::Rollback]),
    ]);
}

#[test]
fn what_is_not_hard_must_be_confirmed() {
    let soft = bad(Action::Contain, false);
    let both = &[Signal::Warn, Signal::Contain][..];
    check(vec![
        case("at first it warns", Bench::observing, vec![soft.clone()], State::Suspect, &[Signal::Warn]),
        case("then it acts", Bench::observing, many(2, &soft), State::Contained, both),
        case("a blip does not", suspect, then(many(1, &quiet()), many(1, &soft)), State::Suspect, &[]),
        case("doubt warns once", Bench::observing, many(4, &doubt()), State::Suspect, &[Signal::Warn]),
        case("cleared", suspect, many(2, &quiet()), State::Observing, &[Signal::Observe]),
        case("not yet cleared", suspect, many(1, &quiet()), State::Suspect, &[]),
        case("blind windows clear nothing", suspect, many(2, &blind()), State::Suspect, &[]),
        case("nor do they confirm", suspect, vec![Seen { data: false, ..soft }], State::Suspect, &[]),
    ]);
}

#[test]
fn lifting_takes_clear_evidence_and_time() {
    check(vec![
        case("cleared and stayed", held, many(4, &good()), State::Observing, &[Signal::Resume]),
        case("not long enough", held, many(3, &good()), State::Held, &[]),
        case("not cleared", held, many(20, &quiet()), State::Held, &[]),
        case("no data", held, many(20, &blind()), State::Held, &[]),
        case(
            "interrupted",
            held,
            then(many(3, &good()), then(vec![bad(Action::Hold, true)], many(1, &good()))),
            State::Held,
            &[],
        ),
    ]);
    let mut bench = contained();
    bench.windows(4, &good().at(5.0));
    assert_eq!(
        (bench.last().action, bench.last().cap_pct, bench.state.cap_pct),
        (Signal::Resume, Some(25.0), Some(25.0))
    );
}

#[test]
fn the_flap_budget_leaves_the_third_lift_to_a_person() {
    let mut bench = held();
    for _ in 0..2 {
        assert_eq!(bench.windows(4, &good()), [Signal::Resume]);
        assert_eq!(bench.window(&bad(Action::Hold, true).at(5.0)), [Signal::Hold]);
    }
    assert_eq!(bench.windows(9, &good()), [Signal::Warn], "people are asked once");
    assert_eq!((bench.state.state, bench.last().reason.code.clone()), (State::Held, ReasonCode::FlapBudget.into()));
    assert_eq!(bench.command(CommandKind::Resume { cap_pct: None }), (Outcome::Accepted, vec![Signal::Resume]));
    bench.is(State::Observing);
}

#[test]
fn a_quiet_time_ends_the_episode() {
    let mut bench = held();
    let episode = bench.state.episode.clone();
    bench.windows(4, &good());
    assert_eq!((&bench.last().episode, bench.state.counts.relaxations), (&episode, 1));
    bench.windows(4, &quiet());
    assert_eq!((bench.state.episode.as_str(), bench.state.counts.relaxations), ("", 0));
    bench.window(&bad(Action::Hold, true));
    assert_ne!(bench.last().episode, episode);
}

#[test]
fn a_tighter_cap_is_a_new_containment_and_a_wider_one_is_not() {
    let with_cap = |cap| {
        let mut seen = bad(Action::Contain, true);
        seen.verdict.findings[0].cap_pct = Some(cap);
        seen
    };
    let mut bench = contained();
    assert_eq!(bench.window(&with_cap(10.0).at(5.0)), []);
    assert_eq!(bench.window(&with_cap(1.0).at(5.0)), [Signal::Contain]);
    assert_eq!((bench.last().cap_pct, bench.state.cap_pct), (Some(1.0), Some(1.0)));
}

#[test]
fn a_containment_is_no_wider_than_the_step_it_is_made_at() {
    let caps = [0.5, 1.0, 5.0, 20.0].map(|share| {
        let mut bench = fresh();
        bench.windows(4, &quiet().at(share));
        bench.window(&bad(Action::Contain, true).at(share));
        bench.last().cap_pct
    });
    assert_eq!(caps, [Some(1.0), Some(1.0), Some(5.0), Some(5.0)]);
    let mut bench = fresh();
    bench.windows(4, &quiet().at(1.0));
    bench.window(&bad(Action::Contain, true).at(1.0));
    bench.command(CommandKind::Resume { cap_pct: None });
    assert_eq!(bench.last().cap_pct, Some(5.0), "one step above what it had");
}

#[test]
fn a_step_is_passed_when_it_is_safe_and_long_enough() {
    let safe_but_unclear = Seen { verdict: Verdict { safe: true, suspicious: true, ..Verdict::default() }, ..good() };
    let degraded = Seen { verdict: Verdict { validity: Validity::Degraded, ..good().verdict }, ..good() };
    check(vec![
        case("safe for the dwell", Bench::observing, many(2, &good()), State::Passed, &[Signal::PromoteOk]),
        case("not shown to be safe", Bench::observing, many(20, &quiet()), State::Observing, &[]),
        case("no data is not safe", Bench::observing, many(2, &blind()), State::Observing, &[]),
        case("doubtful data is not safe", Bench::observing, many(9, &degraded), State::Observing, &[]),
        case("doubt", Bench::observing, many(9, &safe_but_unclear), State::Suspect, &[Signal::Warn]),
        case("used", passed, many(2, &quiet().at(25.0)), State::Observing, &[]),
        case("lapsed and renewed", passed, many(5, &good()), State::Passed, &[Signal::PromoteOk]),
        case("lapsed for good", passed, many(5, &quiet()), State::Observing, &[Signal::Retract]),
    ]);
    let mut bench = Bench::observing();
    bench.windows(2, &good());
    assert_eq!((bench.last().cap_pct, bench.last().lease_s), (Some(25.0), 300));
    assert!(bench.last().evidence.is_empty());
    let successful = Seen { verdict: Verdict { proofs: vec![proof("base_rate")], ..good().verdict }, ..good() };
    let mut bench = Bench::observing();
    bench.windows(2, &successful);
    assert_eq!(bench.last().evidence, [proof("base_rate")], "a permission shows what was asked for");
}

#[test]
fn a_person_is_asked_when_a_step_takes_too_long() {
    let mut bench = Bench::observing();
    assert_eq!(bench.windows(80, &quiet()), [Signal::Warn]);
    assert_eq!(
        (bench.last().reason.code.clone(), bench.state.state),
        (ReasonCode::StageBudget.into(), State::Observing)
    );
}

#[test]
fn the_way_from_one_percent_to_stable() {
    let mut bench = fresh();
    let mut signals = Vec::new();
    for (windows, share) in [(7, 1.0), (8, 5.0), (8, 25.0), (9, 50.0), (12, 100.0)] {
        signals.extend(bench.windows(windows, &good().at(share)));
    }
    let permits = vec![Signal::PromoteOk; 4];
    assert_eq!(signals, [permits, vec![Signal::Observe]].concat());
    bench.is(State::Stable);
    let caps: Vec<_> = bench.decisions.iter().filter_map(|decision| decision.cap_pct).collect();
    assert_eq!(caps, [5.0, 25.0, 50.0, 100.0]);
}

#[test]
fn full_exposure_bakes_before_it_is_stable() {
    let full = |seen: Seen| seen.at(100.0);
    check(vec![
        case("at 100 %", Bench::observing, many(4, &full(quiet())), State::Baking, &[]),
        case("shown to be safe", baking, many(6, &full(good())), State::Stable, &[Signal::Observe]),
        case("not long enough", baking, many(3, &full(good())), State::Baking, &[]),
        case("never passed: people are asked", baking, many(30, &full(quiet())), State::Baking, &[Signal::Warn]),
        case("back at 5 %", baking, many(4, &quiet()), State::Observing, &[]),
        case(
            "stable reopens",
            stable,
            vec![full(bad(Action::Rollback, true))],
            State::RollingBack,
            &[Signal::Rollback],
        ),
        case(
            "beyond the horizon it warns",
            stable,
            then(many(11, &full(quiet())), vec![full(bad(Action::Rollback, true))]),
            State::Suspect,
            &[Signal::Warn],
        ),
    ]);
    let mut bench = baking();
    bench.state.people.passed = true;
    assert_eq!(bench.windows(30, &full(quiet())), [Signal::Observe], "what was passed has baked to the end");
    bench.is(State::Stable);
}

#[test]
fn without_data_exposure_is_held_after_a_while_and_resumes_with_it() {
    check(vec![
        case("not yet", Bench::observing, many(2, &blind()), State::Observing, &[]),
        case("after a while", Bench::observing, many(3, &blind()), State::Held, &[Signal::Hold]),
        case("passed too", passed, many(3, &blind()), State::Held, &[Signal::Hold]),
        case(
            "data is back",
            Bench::observing,
            then(many(3, &blind()), many(4, &quiet())),
            State::Observing,
            &[Signal::Hold, Signal::Resume],
        ),
        case("a containment is not lifted", contained, many(30, &blind()), State::Contained, &[]),
    ]);
}

#[test]
fn a_rollback_is_over_when_traffic_says_so() {
    let gone = quiet().at(0.5);
    check(vec![
        case("still there", rolling_back, many(2, &quiet()), State::RollingBack, &[]),
        case("gone", rolling_back, vec![gone.clone()], State::RolledBack, &[Signal::Heartbeat]),
        case(
            "asserted again, ever more rarely",
            rolling_back,
            many(13, &quiet()),
            State::RollingBack,
            &[Signal::Heartbeat; 3],
        ),
        case("back again", rolled_back, vec![quiet()], State::RollingBack, &[Signal::Rollback]),
        case("it stays denied", rolled_back, many(50, &good().at(0.0)), State::RolledBack, &[]),
    ]);
    let mut bench = rolling_back();
    bench.windows(30, &quiet());
    let (first, rest) = bench.decisions.split_first().expect("heartbeats");
    assert_eq!((first.severity, rest.last().map(|last| last.severity)), (Severity::Warn, Some(Severity::Fatal)));
    let effect = bench.state.effect.clone().expect("a restriction");
    assert!(bench.decisions.iter().all(|decision| decision.causation.as_ref() == Some(&effect.decision)));
    assert!(
        bench.decisions.iter().all(|decision| decision.denied_versions == ["v2"] && decision.supersedes.is_empty())
    );
    bench.window(&gone);
    let effect = bench.state.effect.clone().expect("a restriction");
    assert_eq!(effect.took_us, Some(31 * MINUTE));
}

#[test]
fn advice_is_given_once() {
    let mut bench = Bench::new("ADVISORY", stages());
    bench.windows(3, &quiet());
    bench.window(&bad(Action::Rollback, true));
    assert_eq!(bench.windows(30, &quiet()), [], "nobody is there to act on a repetition");
    assert_eq!(bench.window(&quiet().at(0.0)), [Signal::Heartbeat]);
    bench.is(State::RolledBack);
}

#[test]
fn where_actuators_acknowledge_a_rollback_needs_their_word() {
    let stages = RolloutPlan { acks: true, ..stages() };
    let mut bench = Bench::new("AUTO", stages);
    bench.windows(3, &quiet());
    bench.window(&bad(Action::Rollback, true));
    let decision = bench.last().id.clone();
    assert_eq!(bench.windows(4, &quiet().at(0.0)), [Signal::Heartbeat], "the share alone does not do");
    bench.is(State::RollingBack);
    let ack = |status| CommandKind::Ack {
        decision: decision.clone(),
        status,
        adapter: "flagd".into(),
        observed_cap_pct: None,
        detail: String::new(),
    };
    assert_eq!(bench.command(ack(crate::verdict::AckStatus::Failed)).0, Outcome::Accepted);
    bench.window(&quiet().at(0.0));
    assert_eq!(bench.last().severity, Severity::Fatal, "a failure calls people at once");
    assert_eq!(bench.command(ack(crate::verdict::AckStatus::Applied)).0, Outcome::Accepted);
    bench.window(&quiet().at(0.0));
    bench.is(State::RolledBack);
}

#[test]
fn the_time_to_contain_is_from_the_decision_to_the_share() {
    let mut bench = contained();
    bench.windows(2, &quiet().at(20.0));
    bench.window(&quiet().at(5.5));
    let effect = bench.state.effect.clone().expect("a restriction");
    assert_eq!((effect.seen_at, effect.took_us, effect.unseen), (Some(bench.now), Some(3 * MINUTE), 0));
    assert_eq!(bench.windows(3, &quiet().at(20.0)), [Signal::Heartbeat], "it is watched for as long as it holds");
}

#[test]
fn a_newer_candidate_takes_the_place_of_one_without_traffic() {
    let stages = stages();
    let mut old = held();
    old.windows(2, &quiet().at(0.0));
    let newer = |share| RolloutState {
        since: 5,
        observed_pct: share,
        state: State::Observing,
        ..RolloutState::new("toy", "m", "v3", "v1")
    };
    let by = |old: &Bench, newer: &RolloutState| {
        super::super::succession::successor(&old.state, [newer].into_iter(), &stages).map(str::to_owned)
    };
    assert_eq!(by(&old, &newer(0.5)), None, "it must have traffic");
    assert_eq!(by(&held(), &newer(20.0)), None, "the older one must have none");
    assert_eq!(by(&rolling_back(), &newer(20.0)), None, "a rollback is seen to its end");
    assert_eq!(by(&old, &newer(20.0)).as_deref(), Some("v3"));
    let draft = super::super::succession::supersede(&mut old.state, "v3");
    old.is(State::Superseded);
    assert_eq!(draft.signal, Signal::Retract);
    old.window(&quiet());
    super::super::succession::revive_or_retire(&mut old.state, old.now, &stages);
    old.is(State::Warming);
}

#[test]
fn a_superseded_candidate_is_gone_in_the_end() {
    let mut old = held();
    drop(super::super::succession::supersede(&mut old.state, "v3"));
    for _ in 0..stages().horizon_windows {
        old.window(&bad(Action::Rollback, true).at(0.0));
        super::super::succession::revive_or_retire(&mut old.state, old.now, &stages());
    }
    old.is(State::Retired);
}

#[test]
fn a_candidate_that_was_rolled_back_ends_and_stays_denied_until_a_person_clears_it() {
    let mut bench = rolling_back();
    bench.window(&quiet().at(0.0));
    bench.is(State::RolledBack);
    assert_eq!((bench.state.validity, bench.state.counts.blind), (Validity::Valid, 0), "no data of it is missed");
    for _ in 0..stages().horizon_windows {
        bench.window(&blind());
        super::super::succession::revive_or_retire(&mut bench.state, bench.now, &stages());
    }
    bench.is(State::Retired);
    assert_eq!(bench.state.state.severity(), Action::Observe);
    assert!(bench.state.is_denied() && bench.state.ended_at.is_some() && bench.state.validity == Validity::Valid);
    let sequence = bench.state.sequence;
    // Traffic does not bring it back to life.
    assert_eq!(bench.window(&good().at(20.0)), [Signal::Rollback]);
    assert_eq!(
        (bench.last().reason.code.clone(), bench.last().sequence),
        (ReasonCode::DeniedVersion.into(), sequence + 1)
    );
    assert_eq!(bench.last().denied_versions, ["v2"]);
    bench.is(State::RollingBack);
    bench.window(&quiet().at(0.0));
    bench.state.retire(bench.now);
    assert_eq!(bench.command(CommandKind::ClearDenial).0, Outcome::Accepted);
    assert!(!bench.state.is_denied() && bench.state.ended_at.is_none());
    bench.is(State::Registered);
}
