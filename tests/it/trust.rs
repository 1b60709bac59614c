//! The trust of windows: the same however a log is read, and what it keeps from a candidate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use haldane::engine::Engine;
use haldane::event::{Micros, SECOND, stable_hash};
use haldane::judge::WindowRow;
use haldane::plan::{Action, Cause, GuardPlan, Plan, RolloutPlan, Signal, TrustPlan, WindowKind};
use haldane::scan::frame::{Body, Partial};
use haldane::scan::{Lost, Scan};
use haldane::trust::Trust;
use haldane::verdict::Decision;

use crate::replay_laws::{assert_same, judged, run_of, run_with_crashes, said};
use crate::world::{self, Event, Rng};

const TUMBLING: WindowKind = WindowKind::Sliding { size: 30 * SECOND, slide: 30 * SECOND };
const SLIDING: WindowKind = WindowKind::Sliding { size: 60 * SECOND, slide: 20 * SECOND };
const AT_LEAST: WindowKind = WindowKind::AtLeast { n_min: 60, size_max: 120 * SECOND };

/// The world with everything wrong that can be: for a while records are refused, rows late, event times ahead, and one
/// in four partitions silent.
pub(crate) fn troubled() -> Vec<Event> {
    let mut log = Vec::new();
    for event in world::log(7, 1_500) {
        let at = event.broker_time / SECOND;
        // Copies of one event share its id, and what is wrong with it.
        let (silent, hit) = (event.id % 4 == 3, event.id % 6 == 0);
        if (420..480).contains(&at) && silent {
            continue;
        }
        if (100..200).contains(&at) && hit {
            log.push(Event { refused: true, ..event.clone() });
        }
        match event.time / SECOND {
            220..300 if hit => log.push(Event { time: event.time - 120 * SECOND, ..event }),
            330..400 if hit => log.push(Event { time: event.time + 45 * SECOND, ..event }),
            _ => log.push(event),
        }
    }
    log
}

/// The world's plan with a few metrics of each kind.
fn few(window: WindowKind) -> Arc<Plan> {
    let mut plan = world::plan(window);
    plan.metrics.names = vec!["error_rate", "psi", "brier"];
    Arc::new(plan)
}

/// How far each window is trusted, and why not further, by the rows of traffic.
fn trusts<'a>(rows: impl Iterator<Item = &'a WindowRow>) -> BTreeMap<Micros, (Trust, String)> {
    let of_traffic = rows.filter(|row| row.coverage.is_none());
    of_traffic.map(|row| (row.window_end / SECOND, (row.trust, row.doubts.clone()))).collect()
}

fn rows_of(trace: &crate::replay_laws::Trace) -> Vec<WindowRow> {
    trace.windows.values().map(|row| serde_json::from_str(row).expect("a row")).collect()
}

#[test]
fn the_trust_of_a_window_is_the_same_however_its_log_is_read() {
    let log = troubled();
    for window in [TUMBLING, SLIDING, AT_LEAST] {
        let plan = few(window);
        for lanes in [1, 4] {
            let whole = run_of(&plan, &log, 1, (lanes, 8_192));
            let rows = rows_of(&whole);
            let levels: Vec<Trust> = trusts(rows.iter()).into_values().map(|(trust, _)| trust).collect();
            assert!(levels.contains(&Trust::Ok) && levels.contains(&Trust::Untrusted), "{levels:?}");
            for (batch_rows, seed) in [(1, 2), (7, 3)] {
                let how = format!("{window:?}, {lanes} lanes, batches of {batch_rows}");
                assert_same(&whole, &run_of(&plan, &log, seed, (lanes, batch_rows)), &how);
            }
            let streams = world::streams(&log, lanes);
            for seed in 1..5 {
                let trace = run_with_crashes(&plan, lanes, &streams, seed);
                assert_same(&whole, &trace, &format!("{window:?}, {lanes} lanes, crashes {seed}"));
            }
            let said = said(&plan, &log, lanes);
            for seed in 1..3 {
                let (apart, _) = judged(&plan, &said, true, seed);
                assert_same(&whole, &apart, &format!("{window:?}, {lanes} lanes, roles apart {seed}"));
            }
        }
    }
}

#[test]
fn each_trouble_is_told_in_the_windows_where_it_was() {
    let rows = rows_of(&run_of(&few(TUMBLING), &troubled(), 1, (4, 100)));
    let found = trusts(rows.iter());
    let told = |from: i64, to: i64, cause: &str| {
        found.iter().filter(|(end, _)| (from..=to).contains(*end)).any(|(_, (_, doubts))| doubts.contains(cause))
    };
    for (from, to, cause) in [
        (90, 210, "untrusted_poison"),
        // Clocks that are ahead make those late that are right.
        (210, 480, "untrusted_late"),
        (330, 420, "untrusted_skew"),
        (420, 510, "untrusted_missing"),
    ] {
        assert!(told(from, to, cause), "{cause}: {found:?}");
        let name = cause.trim_start_matches("untrusted_");
        assert!(!told(0, from - 30, name) && !told(to + 30, 700, name), "{cause} elsewhere: {found:?}");
    }
    assert_eq!(found[&60], (Trust::Ok, String::new()));
}

/// Two versions that are alike, or a candidate that fails, over twenty minutes.
fn even(failing: bool) -> Vec<Event> {
    let event = |i: u64| {
        let id = stable_hash(&i.to_le_bytes());
        let at = (i / 50) as Micros * SECOND + (i % 50) as Micros * SECOND / 50;
        let version = if id.is_multiple_of(2) { "v1" } else { "v2" };
        let fails = if failing && version == "v2" { id % 10 < 6 } else { id % 1_000 < 20 };
        Event {
            source: 0,
            time: at,
            broker_time: at + SECOND,
            id: (id >> 2 << 2) | (i % 4),
            version,
            segment: "eu",
            x: Some(0.5),
            color: None,
            score: 0.5,
            latency_ms: (id >> 7) as f64 % 100.0,
            status: if fails { 500 } else { 200 },
            label: 0.0,
            refused: false,
        }
    };
    (0..60_000).map(event).collect()
}

/// A plan under which a candidate that is alike passes soon.
fn passing() -> Plan {
    let mut plan = world::plan(TUMBLING);
    (plan.quality, plan.baselines, plan.segments) = (None, Vec::new(), vec!["region".into()]);
    plan.metrics.names = vec!["error_rate"];
    plan.policy.rules.clear();
    plan.policy.guards =
        Some(GuardPlan { planned: 40, design_effect: 1.0, errors: 2.0, latency: 0.5, ..GuardPlan::default() });
    plan.policy.stages = RolloutPlan {
        ladder: vec![60.0, 80.0, 100.0],
        warmup_windows: 1,
        dwell_windows: 3,
        dwell_final_windows: 3,
        ..RolloutPlan::default()
    };
    plan
}

/// A fault that lasts throughout the log.
fn with(cause: Cause, log: Vec<Event>) -> Vec<Event> {
    let mut n = 0_u64;
    let changed = |event: Event| {
        n += 1;
        let hit = n.is_multiple_of(8);
        match cause {
            Cause::Poison if hit => vec![Event { refused: true, ..event.clone() }, event],
            Cause::Late if hit && event.time > 300 * SECOND => {
                vec![Event { time: event.time - 200 * SECOND, ..event }]
            }
            Cause::Duplicates => vec![event.clone(), event.clone(), event],
            Cause::Missing if event.id % 4 == 3 && event.time > 60 * SECOND => Vec::new(),
            Cause::Skew if hit => vec![Event { time: event.broker_time + 15 * SECOND, ..event }],
            _ => vec![event],
        }
    };
    log.into_iter().flat_map(changed).collect()
}

/// Decisions on a log over four lanes, and how far its windows are trusted.
fn decided(plan: &Plan, log: &[Event]) -> (Vec<Decision>, BTreeMap<Micros, (Trust, String)>) {
    let mut engine = Engine::new(Arc::new(plan.clone()), 4);
    let (mut decisions, mut rows) = (Vec::new(), Vec::new());
    let streams = world::streams(log, 4);
    world::feed(&mut engine, &streams, &BTreeMap::new(), (500, &mut Rng::new(1)), |_, effects| {
        decisions.extend(effects.decisions);
        rows.extend(effects.windows);
        true
    });
    (decisions, trusts(rows.iter()))
}

fn first(decisions: &[Decision], signal: Signal) -> Option<&Decision> {
    decisions.iter().find(|decision| decision.action == signal)
}

/// Causes that can last; records that were deleted are one event.
const LASTING: [Cause; 5] = [Cause::Poison, Cause::Late, Cause::Duplicates, Cause::Missing, Cause::Skew];

#[test]
fn a_candidate_that_would_have_passed_does_not_pass_for_any_cause() {
    let plan = passing();
    let (decisions, trusted) = decided(&plan, &even(false));
    let passed = first(&decisions, Signal::PromoteOk).expect("it passes where nothing is wrong").window_end() / SECOND;
    assert!(passed > 300 && trusted.values().all(|(trust, _)| *trust == Trust::Ok), "{passed}: {trusted:?}");
    for cause in LASTING {
        let (decisions, trusted) = decided(&plan, &with(cause, even(false)));
        let untrusted = trusted.range(360..).filter(|(_, (trust, _))| *trust == Trust::Untrusted).count();
        assert!(untrusted >= 25, "{cause:?}: {trusted:?}");
        let of_cause = trusted.range(360..).all(|(_, (_, doubts))| doubts.contains(haldane::name::Name::name(cause)));
        assert!(of_cause || cause == Cause::Late, "{cause:?}: {trusted:?}");
        let permits = decisions.iter().filter(|one| one.action.permits() && one.window_end() / SECOND > 360);
        assert_eq!(permits.count(), 0, "{cause:?}");
        let ignored = Plan {
            policy: haldane::plan::PolicyPlan { trust: TrustPlan::off(), ..plan.policy.clone() },
            ..plan.clone()
        };
        let (decisions, _) = decided(&ignored, &with(cause, even(false)));
        assert!(first(&decisions, Signal::PromoteOk).is_some(), "{cause:?} alone keeps nothing from passing");
    }
}

#[test]
fn a_restriction_comes_whatever_is_wrong_and_its_evidence_says_so() {
    for cause in LASTING {
        let (decisions, _) = decided(&passing(), &with(cause, even(true)));
        let restricted = decisions.iter().find(|one| one.action >= Signal::Contain && one.action <= Signal::Rollback);
        let restricted = restricted.unwrap_or_else(|| panic!("{cause:?}: {decisions:?}"));
        let remarks = restricted.evidence[0].remarks();
        let early = restricted.window_end() < 360 * SECOND && matches!(cause, Cause::Late | Cause::Missing);
        let name = format!("untrusted_{}", haldane::name::Name::name(cause));
        assert!(early || remarks.iter().any(|remark| remark.starts_with(&name)), "{cause:?}: {remarks:?}");
    }
    assert!(Action::Contain > Action::Hold);
}

#[test]
fn what_was_deleted_before_it_was_read_is_missed_in_its_window_alone_and_after_restarts() {
    let (plan, log) = (Arc::new(passing()), even(false));
    let streams = world::streams(&log, 1);
    let clean = decided_until(&plan, &streams, None);
    let passed = first(&clean.0, Signal::PromoteOk).expect("it passes").window_end();
    // In the middle of the window in which it would pass.
    let from = log.partition_point(|event| event.time < passed - 25 * SECOND) as i64;
    let lost = decided_until(&plan, &streams, Some((from, from + 150)));
    let untrusted: Vec<_> = lost.1.iter().filter(|(_, (trust, _))| *trust != Trust::Ok).collect();
    let ends: Vec<i64> = untrusted.iter().map(|(end, _)| passed / SECOND - **end).collect();
    assert_eq!(ends, [0], "of the one before it nothing is left to judge: {untrusted:?}");
    assert!(untrusted.iter().all(|(_, (_, doubts))| doubts.starts_with("untrusted_gaps_")), "{untrusted:?}");
    let later = first(&lost.0, Signal::PromoteOk).expect("it passes later").window_end();
    assert!(later > passed, "{later} against {passed}");
}

#[test]
fn what_was_deleted_is_missed_in_every_pane_from_the_first_needed_to_that_of_the_next_row() {
    missed_in_the_gap(None);
    // The first record behind the gap came before, and comes again.
    missed_in_the_gap(Some(450));
}

fn missed_in_the_gap(again: Option<usize>) {
    let (plan, log) = (Arc::new(passing()), even(false));
    let mut events = world::streams(&log, 1)[&(0, 0)].clone();
    let mut scan = Scan::new(Arc::clone(&plan), 0, 1);
    drop(scan.step(&world::batch(&events[..500], 0, 0)));
    let mut saved = scan.checkpoint(Micros::MAX, 0);
    let from = events[499].time + 100 * SECOND;
    let next = events.partition_point(|event| event.time < from) as i64;
    let broker_time = events[next as usize].broker_time;
    let repeated = again.map(|again| Event { broker_time, ..events[again].clone() });
    repeated.iter().for_each(|repeated| events.insert(next as usize, repeated));
    let stream = saved.streams.iter_mut().find(|stream| stream.source == 0).expect("a stream of predictions");
    let needed = stream.meta.needed_from;
    stream.meta.lost = Some(Lost::now((next - stream.low_water) as u64));
    stream.low_water = next;
    let mut again = Scan::new(Arc::clone(&plan), 0, 1);
    again.restore(&saved);
    let mut said: Vec<Partial> = again.step(&world::batch(&events[next as usize..], 0, next)).collect();
    said.extend(again.progress(0, events.len() as i64, true, true));
    let missed = |one: &Partial| matches!(one.body, Body::Intake(intake) if intake.lost > 0);
    let panes: BTreeSet<Micros> = said.iter().filter(|one| missed(one)).map(|one| one.pane).collect();
    let between = std::iter::successors(Some(needed), |&pane| Some(plan.time.pane_end(pane)));
    assert_eq!(panes, between.take_while(|&pane| pane <= from).collect(), "in all panes of the gap, and in no other");
}

/// What is decided where records between two offsets are deleted before they are read, with a restart there and another
/// one soon after it.
fn decided_until(
    plan: &Arc<Plan>,
    streams: &BTreeMap<(u16, u32), Vec<&Event>>,
    gap: Option<(i64, i64)>,
) -> (Vec<Decision>, BTreeMap<Micros, (Trust, String)>) {
    let mut engine = Engine::new(Arc::clone(plan), 1);
    let (mut decisions, mut rows, mut states) = (Vec::new(), Vec::new(), BTreeMap::new());
    let events = &streams[&(0, 0)];
    let mut keep = |effects: haldane::engine::Effects| {
        decisions.extend(effects.decisions);
        rows.extend(effects.windows);
        states.extend(effects.states.into_iter().map(|state| (state.candidate.clone(), state)));
        states.values().cloned().collect::<Vec<_>>()
    };
    keep(engine.progress(0, 1, 0, true, true));
    let (mut next, mut restarts) = (0_i64, 0);
    while next < events.len() as i64 {
        let until = (next + 100).min(events.len() as i64);
        let known = keep(engine.step(&world::batch(&events[next as usize..until as usize], 0, next)));
        next = until;
        let Some((_, to)) = gap.filter(|&(from, to)| next > if restarts == 0 { from } else { to + 300 }) else {
            continue;
        };
        if restarts == 2 {
            continue;
        }
        let mut saved = engine.checkpoint(0);
        for stream in saved.streams.iter_mut().filter(|stream| stream.source == 0) {
            if restarts == 0 {
                stream.meta.lost = Some(Lost::now((to - stream.low_water) as u64));
                stream.low_water = to;
            }
            next = stream.low_water;
        }
        restarts += 1;
        engine = Engine::new(Arc::clone(plan), 1);
        engine.restore_rollouts(known);
        engine.restore_lane(&saved);
        keep(engine.progress(0, 1, 0, true, true));
    }
    keep(engine.progress(0, 0, next, true, true));
    (decisions, trusts(rows.iter()))
}
