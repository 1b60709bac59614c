//! Outcomes that are corrected: with `corrections: last` the last windows are those of a log that never held the former
//! ones, in whatever order outcomes came, and however the log is read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use haldane::cli::check::memory::{self, Assumed};
use haldane::engine::Engine;
use haldane::event::{Micros, SECOND};
use haldane::plan::{Corrections, Plan, QualityPlan, TrustPlan, WindowKind};
use haldane::scan::LabelCounts;
use haldane::scan::frame::CORRECTED;

use crate::replay_laws::{
    Trace, WINDOWS, assert_same, judged, run_of, run_spilled, run_with_crashes, said, told_and_stored,
};
use crate::store::haldane;
use crate::world::{self, Event, Rng};

/// How far windows are trusted depends on how many outcomes came when, so nothing is said of it.
fn plan(window: WindowKind, corrections: Corrections) -> Arc<Plan> {
    let mut plan = world::plan(window);
    plan.policy.trust = TrustPlan::off();
    plan.quality = plan.quality.map(|quality| QualityPlan { corrections, horizon: 150 * SECOND, ..quality });
    Arc::new(plan)
}

/// A log with one outcome of each prediction, and the same with former ones, wrong as often as right, that came before
/// or after it, in time or late. Outcomes came up to half a minute out of order.
fn logs(seed: u64) -> (Vec<Event>, Vec<Event>) {
    let mut rng = Rng::new(seed);
    let mut plain = world::log(7, 1_500);
    // The last outcome of a prediction became known when it came.
    plain.iter_mut().filter(|event| event.source == 1).for_each(|event| event.time = event.broker_time);
    let made: BTreeMap<u64, Micros> =
        plain.iter().filter(|event| event.source == 0).map(|event| (event.id, event.broker_time)).collect();
    let mut corrected = plain.clone();
    for last in plain.iter().filter(|event| event.source == 1) {
        for n in 1..=rng.below(4) as i64 {
            let broker_time = made[&last.id] + rng.below(110) as i64 * SECOND;
            let label = rng.below(2) as f64;
            corrected.push(Event { time: last.time - n * SECOND, broker_time, label, ..last.clone() });
        }
    }
    (plain, shuffled(corrected, seed))
}

/// The log with outcomes up to half a minute out of order.
fn shuffled(log: Vec<Event>, seed: u64) -> Vec<Event> {
    let mut rng = Rng::new(seed + 1);
    let jitter = |event: &Event, rng: &mut Rng| if event.source == 1 { rng.below(30) as i64 * SECOND } else { 0 };
    let mut keyed: Vec<_> =
        log.into_iter().map(|event| (event.broker_time + jitter(&event, &mut rng), event)).collect();
    keyed.sort_by_key(|(at, event)| (*at, event.source, event.id, event.time));
    keyed.into_iter().map(|(_, event)| event).collect()
}

fn windows(trace: &Trace) -> Trace {
    Trace { windows: trace.windows.clone(), ..Trace::default() }
}

#[test]
fn the_last_windows_are_those_of_the_last_outcomes_alone() {
    for window in WINDOWS {
        let (plain, corrected) = logs(3);
        let alone = run_of(&plan(window, Corrections::First), &plain, 1, (1, 8_192));
        let last = run_of(&plan(window, Corrections::Last), &corrected, 1, (1, 8_192));
        assert!(last.windows.len() > 500, "the log fills windows: {}", last.windows.len());
        assert_same(&windows(&alone), &windows(&last), &format!("{window:?}"));
        let first = run_of(&plan(window, Corrections::First), &corrected, 1, (1, 8_192));
        assert!(first.windows != alone.windows, "{window:?}: the former outcomes are others");
        let same = run_of(&plan(window, Corrections::Last), &plain, 1, (1, 8_192));
        assert_same(&alone, &same, &format!("{window:?}: nothing is corrected"));
    }
}

#[test]
fn the_order_of_outcomes_batches_and_partitions_do_not_matter() {
    for window in WINDOWS {
        let plan = plan(window, Corrections::Last);
        let (_, corrected) = logs(3);
        let whole = run_of(&plan, &corrected, 1, (1, 8_192));
        for (lanes, batch_rows) in [(1, 1), (4, 7), (4, 8_192)] {
            for seed in 1..3 {
                let log = shuffled(corrected.clone(), 100 * seed);
                let other = run_of(&plan, &log, seed, (lanes, batch_rows));
                assert_same(&whole, &other, &format!("{window:?}, seed {seed}, {lanes} lanes of {batch_rows}"));
            }
        }
    }
}

#[test]
fn crashes_repeated_partials_and_a_full_memory_change_nothing() {
    for window in WINDOWS {
        let plan = plan(window, Corrections::Last);
        let (_, log) = logs(5);
        let streams = world::streams(&log, 4);
        let whole = run_of(&plan, &log, 1, (4, 50));
        for seed in 1..4 {
            let crashed = run_with_crashes(&plan, 4, &streams, seed);
            assert_same(&whole, &crashed, &format!("{window:?}, seed {seed}: crashes"));
            let (apart, _) = judged(&plan, &said(&plan, &log, 4), true, seed);
            assert_same(&whole, &apart, &format!("{window:?}, seed {seed}: stages apart"));
        }
        assert_same(&whole, &run_spilled(&plan, &streams), &format!("{window:?}: spilled"));
    }
}

#[test]
fn a_store_gives_corrected_labels_back() {
    let plan = plan(WINDOWS[0], Corrections::Last);
    let (_, log) = logs(3);
    let (told, stored) = told_and_stored(&plan, &log, |partial| partial.body.part() == CORRECTED);
    assert!(told.len() > 50 && told == stored, "{} told, {} stored", told.len(), stored.len());
}

#[test]
fn what_labels_take_until_the_horizon_is_told_beforehand() {
    let bytes = |corrections: Corrections| {
        let plan = plan(WINDOWS[0], corrections);
        let log: Vec<Event> = world::log(7, 1_500).into_iter().filter(|event| event.time < 100 * SECOND).collect();
        let (streams, mut engine) = (world::streams(&log, 1), Engine::new(Arc::clone(&plan), 1));
        for source in 0..2 {
            engine.step(&world::batch(&streams[&(source, 0)], 0, 0));
        }
        let assumed = Assumed { rate: 75, partitions: 1, versions: 2, segments: 2 };
        let stays = memory::least(&plan, assumed).labels;
        (memory::expected(&plan, assumed).labels, stays, engine.memory().labels)
    };
    let ((first, least_first, _), (last, least_last, taken)) = (bytes(Corrections::First), bytes(Corrections::Last));
    assert!(last > first + 20_000 && least_last - least_first == last - first, "{first} and {last} bytes");
    assert!(last <= taken * 4 && taken <= last * 4, "{last} bytes told, {taken} taken");
}

/// What became of labels when one stream was read as far as it goes before the other was begun.
fn fates(corrections: Corrections, log: &[Event], sources: [u16; 2]) -> (LabelCounts, Trace) {
    let (streams, mut trace) = (world::streams(log, 1), Trace::default());
    let plan = plan(WINDOWS[0], corrections);
    let mut engine = Engine::new(plan, 1);
    for source in sources {
        trace.take(engine.step(&world::batch(&streams[&(source, 0)], 0, 0)));
    }
    for source in sources {
        trace.take(engine.progress(0, source, streams[&(source, 0)].len() as i64, true, true));
    }
    let counts = engine.counts().values().map(|lane| lane.labels).next().unwrap();
    (counts, trace)
}

#[test]
fn each_label_has_one_fate_whichever_stream_is_read_first() {
    let (plain, mut corrected) = logs(3);
    // Corrections that come after the horizon are told of, and revise nothing.
    let (_, alone) = fates(Corrections::Last, &plain, [0, 1]);
    let joined: Vec<Event> = plain.iter().filter(|event| event.source == 1).take(5).cloned().collect();
    let too_late = |event: &Event| {
        let time = event.time + 700 * SECOND;
        Event { time, broker_time: time, label: 1.0 - event.label, ..event.clone() }
    };
    let n = corrected.iter().filter(|event| event.source == 1).count() as u64 + 5;
    corrected.extend(joined.iter().map(too_late));
    let (counts, trace) = fates(Corrections::Last, &corrected, [0, 1]);
    let (other, same) = fates(Corrections::Last, &corrected, [1, 0]);
    assert_eq!(counts, other);
    assert_same(&trace, &same, "either stream first");
    assert_same(&windows(&alone), &windows(&trace), "what came too late");
    let LabelCounts { joined, duplicates, corrected: newer, orphans, expired, early, refused } = counts;
    assert_eq!(joined + duplicates + newer + orphans + expired + early, n, "{counts:?}");
    assert!(duplicates > 100 && newer > 100, "{counts:?}");
    assert_eq!((expired, early, refused), (5, 0, 0), "{counts:?}");
    let (first, _) = fates(Corrections::First, &corrected, [0, 1]);
    assert_eq!((first.corrected, first.joined), (0, joined), "{first:?}");
}

const PIPELINE: &str = "
pipeline: chargebacks
sources:
  predictions:
    topic: p
    event_time: { path: at, unit: s }
    id: id
    version: v
    score: s
    features: { numeric: { x: { path: x, range: [0, 10] } } }
  outcomes:
    topic: o
    event_time: { path: at, unit: s }
    id: id
    label: y
windows: { size: 10m, lateness: 1m }
labels: { wait: 1h, horizon: 5h, corrections: last }
rollout: { baseline: v1 }
";

/// Numbers of the last revisions, less which revision it is.
fn last_revisions(path: &std::path::Path) -> BTreeMap<String, serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    rows.map(|row| {
        let key = ["window_start", "window_end", "metric", "convention", "column", "version", "segment", "baseline"];
        (format!("{:?}", key.map(|name| &row[name])), row)
    })
    .collect()
}

#[test]
fn files_are_replayed_as_if_only_the_last_outcomes_were_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = |name: &str| path(name).display().to_string();
    std::fs::write(path("p.yaml"), PIPELINE).unwrap();
    let (start, minute) = (1_700_000_400_i64, 60);
    let (mut predictions, mut last, mut former) = ("at,id,v,s,x\n".to_owned(), String::new(), String::new());
    for at in 0..240_i64 {
        let made = start + at * minute;
        let version = if at % 3 == 0 { "v2" } else { "v1" };
        writeln!(predictions, "{made},r{at},{version},{},{}", (at % 10) as f64 / 10.0, at % 10).unwrap();
        // Each has a label within the hour; every second one is corrected after it, every fourth once more.
        let right = i64::from(at % 10 > 4);
        let wrong = |after: i64| format!("{},r{at},{}\n", made + after * minute, 1 - right);
        match at % 4 {
            0 => former += &(wrong(5) + &wrong(100)),
            2 => former += &wrong(20),
            _ => {}
        }
        writeln!(last, "{},r{at},{right}", made + if at % 2 == 0 { 150 } else { 30 } * minute).unwrap();
    }
    std::fs::write(path("p.csv"), predictions).unwrap();
    std::fs::write(path("alone.csv"), format!("at,id,y\n{last}")).unwrap();
    let all = format!("{last}{former}");
    let mut all: Vec<&str> = all.lines().collect();
    all.sort_unstable();
    std::fs::write(path("all.csv"), format!("at,id,y\n{}\n", all.join("\n"))).unwrap();
    let replayed = |outcomes: &str, rows: &str| {
        let windows = text(&format!("{outcomes}.{rows}.jsonl"));
        let (config, predictions, outcomes) = (text("p.yaml"), text("p.csv"), text(outcomes));
        let words = ["replay", "-c", &config, "--windows", &windows, "--batch-rows", rows];
        let said = haldane(&[&words[..], &["--predictions", &predictions, "--outcomes", &outcomes]].concat()).unwrap();
        (said, std::path::PathBuf::from(windows))
    };
    let said = haldane(&["check", "-c", &text("p.yaml")]).unwrap();
    assert!(said.contains(", the last outcome of a prediction counts"), "{said}");
    let (told, all) = replayed("all.csv", "8192");
    assert!(told.contains("labels: 240 joined, 180 corrected, 0 orphaned"), "{told}");
    let (_, alone) = replayed("alone.csv", "8192");
    let (mut all_rows, mut alone_rows) = (last_revisions(&all), last_revisions(&alone));
    for row in all_rows.values_mut().chain(alone_rows.values_mut()) {
        row["revision"] = 0.into();
    }
    assert!(all_rows.keys().filter(|key| key.contains("brier")).count() > 20, "{}", all_rows.len());
    assert!(all_rows == alone_rows, "last revisions");
    let (_, in_small_steps) = replayed("all.csv", "1");
    assert!(std::fs::read(all).unwrap() == std::fs::read(in_small_steps).unwrap(), "batches of one row");
}
