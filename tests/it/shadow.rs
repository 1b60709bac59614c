//! A shadow that answers the baseline version's requests: what is a pair does not depend on how the log is read, and it
//! is rejected or passes before a user sees it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use haldane::config;
use haldane::engine::{Effects, Engine};
use haldane::event::{Micros, SECOND};
use haldane::metric::row::WindowRow;
use haldane::plan::{Plan, ShadowPlan, Signal, TrustPlan, WindowKind};

use crate::columns::replayed;
use crate::replay_laws::{
    Trace, WINDOWS, assert_same, judged, run_of, run_spilled, run_with_crashes, said, told_and_stored,
};
use crate::world::{self, Event, Rng};

const WAIT: Micros = 15 * SECOND;
fn plan(window: WindowKind, pending_max: usize) -> Arc<Plan> {
    let mut plan = world::plan(window);
    plan.policy.trust = TrustPlan::off();
    plan.policy.guards = Some(haldane::plan::GuardPlan::default());
    plan.shadow = Some(ShadowPlan {
        share: 1.0,
        wait: WAIT,
        tolerance: Some(0.2),
        disagreement: 0.05,
        margin: 1.05,
        pending_max,
    });
    Arc::new(plan)
}

/// A log in which `v2` gets a copy of most of what `v1` gets. Its answers come up to twenty seconds earlier or later,
/// and some of them twice, an instant later.
fn log(seed: u64, n: u64) -> Vec<Event> {
    let mut rng = Rng::new(seed + 50);
    let mut log: Vec<Event> = world::log(seed, n).into_iter().map(|event| Event { version: "v1", ..event }).collect();
    let answered: BTreeMap<u64, Event> =
        log.iter().filter(|event| event.source == 0).map(|event| (event.id, event.clone())).collect();
    for answer in answered.into_values() {
        let later = rng.below(40_000_000) as Micros - 20 * SECOND;
        let copy = Event {
            time: (answer.time + later).max(0),
            broker_time: (answer.broker_time + later).max(0),
            version: "v2",
            score: (answer.score + rng.unit() * 0.4 - 0.2).clamp(0.0, 1.0),
            status: if rng.below(15) == 0 { 500 } else { 200 },
            ..answer
        };
        if rng.below(20) == 0 {
            log.push(Event { time: copy.time + 1, ..copy.clone() });
        }
        if rng.below(30) > 0 {
            log.push(copy);
        }
    }
    log.sort_by_key(|event| (event.broker_time, event.source, event.id, event.version, event.time));
    log
}

#[test]
fn pairs_do_not_depend_on_how_the_log_is_read() {
    for window in WINDOWS {
        let (plan, log) = (plan(window, 100_000), log(7, 1_500));
        let whole = run_of(&plan, &log, 1, (1, 8_192));
        let paired = whole.windows.keys().filter(|row: &&String| row.contains("paired_loss_difference"));
        assert!(paired.count() > 10, "{window:?}: labels of pairs are there");
        for (batch_rows, seed) in [(1, 1), (7, 2), (8_192, 3)] {
            let other = run_of(&plan, &log, seed, (1, batch_rows));
            assert_same(&whole, &other, &format!("{window:?}: {batch_rows} rows at once"));
        }
        let streams = world::streams(&log, 1);
        for seed in 1..4 {
            let crashed = run_with_crashes(&plan, 1, &streams, seed);
            assert_same(&whole, &crashed, &format!("{window:?}, seed {seed}: crashes"));
        }
    }
}

/// Where there is no room for all, the same requests of both versions are followed.
#[test]
fn a_sample_of_requests_is_the_same_however_the_log_is_read() {
    let all = plan(WINDOWS[0], 100_000);
    let few = Arc::new(Plan { quality: None, ..(*plan(WINDOWS[0], 20)).clone() });
    let mut log = log(7, 1_500);
    log.retain(|event| event.source == 0);
    let n = |trace: &Trace, metric: &str| -> u64 {
        let of = |row: &&String| row.contains("\"v2\"") && row.contains("\"segment\":\"\"") && row.contains(metric);
        let rows = trace.windows.values().filter(of).map(|row| serde_json::from_str::<serde_json::Value>(row).unwrap());
        rows.map(|row| row["n"].as_u64().unwrap()).sum()
    };
    let whole = run_of(&few, &log, 1, (1, 8_192));
    for (batch_rows, seed) in [(1, 1), (7, 2)] {
        assert_same(&whole, &run_of(&few, &log, seed, (1, batch_rows)), &format!("{batch_rows} rows at once"));
    }
    let (sampled, paired) = (n(&whole, "score_difference"), n(&run_of(&all, &log, 1, (1, 50)), "score_difference"));
    assert!(paired > 500 && (paired / 20..paired / 2).contains(&sampled), "{sampled} of {paired} pairs");
}

#[test]
fn stages_apart_several_lanes_and_a_full_memory_change_nothing() {
    let (plan, log) = (plan(WINDOWS[0], 100_000), log(5, 1_500));
    let whole = run_of(&plan, &log, 1, (1, 8_192));
    for seed in 1..3 {
        assert_same(&whole, &run_of(&plan, &log, seed, (4, 50)), "four lanes");
        let (apart, _) = judged(&plan, &said(&plan, &log, 4), true, seed);
        assert_same(&whole, &apart, &format!("seed {seed}: stages apart"));
    }
    assert_same(&whole, &run_spilled(&plan, &world::streams(&log, 4)), "spilled");
}

/// The pairs of a log by their definition: answers by time, each with the other version's before it within the wait.
fn pairs_by_hand(log: &[Event]) -> (u64, u64) {
    let mut answers: Vec<&Event> = log.iter().filter(|event| event.source == 0).collect();
    answers.sort_by_key(|event| event.time);
    let mut alone: BTreeMap<u64, Vec<(&Event, bool)>> = BTreeMap::new();
    let (mut paired, mut disagreed) = (0, 0);
    for answer in answers {
        let others = alone.entry(answer.id).or_default();
        let recent = |other: &&(&Event, bool)| other.0.time + WAIT >= answer.time;
        let is_repeated = others.iter().filter(recent).any(|(other, _)| other.version == answer.version);
        let compared = others.iter().filter(recent).filter(|(other, again)| !again && other.version != answer.version);
        for (other, _) in compared.filter(|_| !is_repeated) {
            paired += 1;
            let answered = answer.status == 200 && other.status == 200;
            let apart = (answer.score - other.score).abs() > 0.2 || (answer.score >= 0.5) != (other.score >= 0.5);
            disagreed += u64::from(answered && apart);
        }
        others.push((answer, is_repeated));
    }
    (paired, disagreed)
}

#[test]
fn what_is_counted_is_what_the_definition_says() {
    let plan = Arc::new(Plan { segments: Vec::new(), ..(*plan(WINDOWS[0], 100_000)).clone() });
    // In order, so that nothing comes late.
    let mut log = log(9, 2_000);
    log.iter_mut().for_each(|event| event.broker_time = event.broker_time.max(event.time));
    log.retain(|event| event.source == 0);
    log.sort_by_key(|event| event.time);
    let streams = world::streams(&log, 1);
    let mut engine = Engine::new(Arc::clone(&plan), 1).keeping_panes(true);
    let (mut paired, mut disagreed) = (0, 0);
    let mut count = |effects: Effects| {
        for pane in &effects.panes {
            if let haldane::scan::Body::Pairs(pairs) = pane.open(&plan).body {
                paired += pairs.paired;
                disagreed += pairs.disagreed;
            }
        }
    };
    world::feed(&mut engine, &streams, &BTreeMap::new(), (50, &mut Rng::new(3)), |_, effects| {
        count(effects);
        true
    });
    let by_hand = pairs_by_hand(&log);
    assert!(by_hand.0 > 1_000 && by_hand.1 > 100, "{by_hand:?}");
    assert_eq!((paired, disagreed), by_hand);
}

#[test]
fn a_store_gives_pairs_back() {
    let (plan, log) = (plan(WINDOWS[0], 100_000), log(3, 1_500));
    let (told, stored) = told_and_stored(&plan, &log, |partial| partial.body.is_of_pairs());
    assert!(told.len() > 50 && told == stored, "{} told, {} stored", told.len(), stored.len());
}

const PIPELINE: &str = "pipeline: loans\nsources:\n  predictions:\n    topic: answers\n    event_time: time\n    id: id\n    \
     version: version\n    score: score\n  outcomes:\n    topic: truths\n    event_time: time\n    id: id\n    \
     label: paid\nrollout: { baseline: v1, authority: auto, dwell_windows: 4 }\nwindows: { size: 10m, lateness: 1m }\n\
     labels: { wait: 5m, horizon: 1h }\nguards: { design_effect: 1 }\nshadow: { wait: 10s }\n";
/// Requests of a window of ten minutes; each is answered twice.
const WINDOW: u32 = 200;

/// A log of so many windows. The shadow's scores are the baseline version's, and a little noise, moved by `shift`.
fn loans(windows: u32, shift: f64, versions: &[&str]) -> String {
    let mut rng = Rng::new(11);
    let mut text = String::new();
    for n in 0..windows * WINDOW {
        let time = |after: u32| {
            let second = n / WINDOW * 600 + n % WINDOW * 600 / WINDOW + after;
            let (day, second) = (2 + second / 86_400, second % 86_400);
            format!("2026-03-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
        };
        let score = rng.unit();
        let paid = u8::from(rng.unit() < score);
        for version in versions {
            let own = if *version == "v1" { 0.0 } else { shift + 0.02 * (rng.unit() - 0.5) };
            let (at, score) = (time(u32::from(*version != "v1")), (score + own).clamp(0.001, 0.999));
            writeln!(text, r#"{{"id":"r{n}","time":"{at}","version":"{version}","score":{score:.4}}}"#).unwrap();
        }
        writeln!(text, r#"{{"id":"r{n}","time":"{}","paid":{paid}}}"#, time(7)).unwrap();
    }
    text
}

fn effects_of(pipeline: &str, log: &str) -> Effects {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.jsonl");
    std::fs::write(&file, log).unwrap();
    replayed(pipeline, &file)
}

fn last(effects: &Effects, version: &str, metric: &str) -> WindowRow {
    let of = |row: &&WindowRow| row.version == version && row.metric == metric && row.segment.is_empty();
    effects.windows.iter().rfind(of).expect(metric).clone()
}

#[test]
fn a_shadow_that_is_worse_is_rejected_before_a_user_sees_it() {
    let effects = effects_of(PIPELINE, &loans(40, 0.25, &["v1", "v2"]));
    let rollback = effects.decisions.iter().find(|one| one.action == Signal::Rollback).expect("a rollback");
    let pairs = rollback.evidence.iter().find(|one| one.metric == "paired_loss_difference");
    let pairs = pairs.unwrap_or_else(|| panic!("{}", rollback.reason.text));
    assert!(pairs.estimate > pairs.bound && pairs.n_candidate == pairs.n_baseline, "{pairs:?}");
    let windows = (rollback.time - effects.windows[0].window_start) / (600 * SECOND);
    assert!((3..12).contains(&windows), "after {windows} windows");
    assert!(rollback.exposure.observed_pct < 0.5, "no user has seen it: {:?}", rollback.exposure);
    assert!(effects.decisions.iter().all(|one| one.action != Signal::PromoteOk), "it got nothing");
    let difference = last(&effects, "v2", "score_difference").value.expect("pairs");
    assert!((0.1..0.25).contains(&difference), "{difference}");
    assert!(last(&effects, "v2", "disagreement_rate").value > Some(0.1));
}

#[test]
fn a_shadow_that_is_alike_passes_and_then_may_get_its_first_users() {
    let effects = effects_of(PIPELINE, &loans(120, 0.0, &["v1", "v2"]));
    assert!(effects.decisions.iter().all(|one| !one.action.restricts()), "{:?}", effects.decisions);
    let first = effects.decisions.iter().find(|one| one.action == Signal::PromoteOk).expect("a permission");
    assert_eq!(first.cap_pct, Some(1.0), "{first:?}");
    assert_eq!(last(&effects, "v2", "unpaired_rate").value, Some(0.0));
    assert!(last(&effects, "v2", "paired_loss_difference").value.is_some_and(|value| value.abs() < 0.02));
    // The same answers as samples that are not paired pass later, or not at all.
    let unpaired = effects_of(&PIPELINE.replace("shadow: { wait: 10s }\n", ""), &loans(120, 0.0, &["v1", "v2"]));
    let passed = unpaired.decisions.iter().find(|one| one.action == Signal::PromoteOk).map(|one| one.time);
    assert!(passed.is_none_or(|time| time >= first.time));
}

#[test]
fn both_versions_answers_count_and_get_their_label() {
    let effects = effects_of(PIPELINE, &loans(6, 0.0, &["v1", "v2"]));
    for version in ["v1", "v2"] {
        let requests = last(&effects, version, "error_rate");
        assert_eq!(requests.n, u64::from(WINDOW), "{version}");
        let brier = last(&effects, version, "brier");
        assert_eq!((brier.n, brier.coverage), (u64::from(WINDOW), Some(1.0)), "{version}");
    }
}

#[test]
fn what_a_shadow_needs_is_said() {
    let error = |text: &str| config::parse(text, "loans.yaml", std::path::Path::new("")).unwrap_err().to_string();
    let without = error(&PIPELINE.replace("rollout: { baseline: v1, authority: auto, dwell_windows: 4 }\n", ""));
    assert!(without.contains("`shadow` without a `rollout`"), "{without}");
    let last = error(&PIPELINE.replace("horizon: 1h", "horizon: 1h, corrections: last"));
    assert!(last.contains("`corrections: last` with a `shadow`"), "{last}");
    for (key, said) in [
        ("wait: 0s", "neither version may answer later than the other"),
        ("tolerance: -1", "`tolerance` is -1"),
        ("share: 0%", "`share` is zero"),
        ("disagreement: 0", "`disagreement` is 0"),
        ("disagreement: 100%", "`disagreement` is 1"),
        ("pending_max: 0", "`pending_max` is zero"),
    ] {
        let error = error(&PIPELINE.replace("wait: 10s", key));
        assert!(error.contains(said), "{error}");
    }
    let ladder = |text: &str| {
        config::parse(text, "loans.yaml", std::path::Path::new("")).unwrap().plan.policy.stages.ladder.clone()
    };
    assert_eq!(ladder(PIPELINE), [0.0, 1.0, 5.0, 25.0, 50.0, 100.0]);
    assert_eq!(
        ladder(&PIPELINE.replace("baseline: v1,", "baseline: v1, ladder: [0%, 10%, 100%],")),
        [0.0, 10.0, 100.0]
    );
    let without =
        PIPELINE.replace("shadow: { wait: 10s }\n", "").replace("baseline: v1,", "baseline: v1, ladder: [0%, 100%],");
    assert!(error(&without).contains("`ladder` must rise from above zero"));
}
