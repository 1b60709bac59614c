//! What is kept in memory follows what is open and may still be revised, never how much went by; and looks at open
//! windows.
#![expect(clippy::format_collect, reason = "a few lines of text")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use haldane::batch::EventBatch;
use haldane::cli::check::memory::{self, Assumed};
use haldane::config;
use haldane::engine::Engine;
use haldane::event::{Micros, SECOND, stable_hash};
use haldane::judge::{ALL_VERSIONS, LookStep, OpenWindow, WindowRow};
use haldane::kernel::bin::Edges;
use haldane::plan::{Bounds, Plan, TimePlan, WindowKind};
use haldane::scan::open::{Numbers, OpenTraffic};
use haldane::scan::{Body, Scan, portions};
use haldane::summary::Spill;

use crate::world::{self, Event, Rng};

const PANE: Micros = 10 * SECOND;
const LANES: u32 = 2;

/// The world's plan with two metrics, so that thousands of windows are judged soon.
fn plan() -> Plan {
    let plan = world::plan(WindowKind::Sliding { size: PANE, slide: PANE });
    let few = ["error_rate", "brier"];
    let names = plan.metrics.names.iter().copied().filter(|name| few.contains(name)).collect();
    Plan { metrics: haldane::plan::MetricsPlan { names, ..plan.metrics.clone() }, ..plan }
}

/// Predictions of one pane, and labels of those of the pane before: as many in each group of each lane, whatever the
/// pane.
fn events(pane: u64, rng: &mut Rng) -> [Vec<Event>; 2] {
    let start = pane as Micros * PANE;
    let event = |source: u16, i: u64, rng: &mut Rng| Event {
        source,
        time: start + (i as Micros) * SECOND,
        broker_time: start + (i as Micros) * SECOND,
        id: stable_hash(&((pane - u64::from(source)) * 10 + i).to_le_bytes()),
        version: ["v1", "v2"][(i % 2) as usize],
        segment: ["eu", "us"][(i / 4 % 2) as usize],
        x: Some(rng.unit()),
        color: Some("green".to_owned()),
        score: rng.unit(),
        latency_ms: 10.0 * i as f64,
        status: 200,
        label: f64::from(u8::from(rng.below(2) == 0)),
        refused: false,
    };
    [0, 1].map(|source| (0..10).map(|i| event(source, i, rng)).collect())
}

#[test]
fn memory_does_not_rise_with_what_went_by() {
    let mut engine = Engine::new(Arc::new(plan()), LANES);
    let (mut rng, mut offsets) = (Rng::new(3), BTreeMap::<(u16, u32), i64>::new());
    let mut kept = Vec::new();
    for pane in 1..=1_000 {
        let [predictions, labels] = events(pane, &mut rng);
        for (source, events) in [(0, &predictions), (1, &labels)] {
            for lane in 0..LANES {
                let is_own = |at: usize| at / 2 % LANES as usize == lane as usize;
                let own: Vec<&Event> =
                    (0..).zip(events).filter(|(at, _)| is_own(*at)).map(|(_, event)| event).collect();
                let offset = offsets.entry((source, lane)).or_default();
                engine.step(&world::batch(&own, lane, *offset));
                *offset += own.len() as i64;
            }
        }
        engine.checkpoint(0);
        engine.checkpoint(1);
        kept.push(engine.memory());
    }
    let mean = |panes: std::ops::Range<usize>| {
        let n = panes.len() as f64;
        kept[panes].iter().map(|memory| memory.total() as f64).sum::<f64>() / n
    };
    let (early, late) = (mean(100..400), mean(700..1_000));
    assert!(late <= early * 1.03, "{early} bytes after a few hundred panes, {late} after a thousand");
    let last = kept.last().unwrap();
    assert!(last.sealed_panes > 0 && last.labels > 0 && last.open_panes > 0 && last.ids > 0, "{last:?}");
}

#[test]
fn labels_of_a_whole_horizon_are_opened_one_at_a_time() {
    let mut plan = plan();
    let quality = plan.quality.as_mut().unwrap();
    quality.horizon = 100_000 * SECOND;
    quality.score_edges = Edges::new((1..1_040).map(|edge| f64::from(edge) / 1_040.0).collect()).unwrap();
    let (mut scan, mut rng, mut next) = (Scan::new(Arc::new(plan), 0, 1), Rng::new(3), [0, 0]);
    for pane in 1..=500 {
        for (source, events) in events(pane, &mut rng).iter().enumerate() {
            let late = |event: &Event| Event { broker_time: event.broker_time + 60 * SECOND, ..event.clone() };
            let events: Vec<Event> =
                events.iter().map(|one| if source == 1 { late(one) } else { one.clone() }).collect();
            drop(scan.step(&world::batch(&events.iter().collect::<Vec<_>>(), 0, next[source])));
            next[source] += events.len() as i64;
        }
    }
    drop(scan.progress(0, next[0], true, true));
    let complete = scan.progress(1, next[1], true, true);
    let waiting = complete.bytes();
    let (mut n, mut opened) = (0, 0);
    for partial in complete {
        let Body::QualityLate(labels) = partial.body else { continue };
        n += 1;
        opened += labels.bytes();
    }
    assert!(n > 1_000, "{n} groups of panes");
    assert!(waiting * 50 < opened, "{waiting} bytes wait; opened they are {opened}");
}

#[test]
fn rows_of_many_panes_are_taken_in_portions() {
    let mut rng = Rng::new(3);
    let events: Vec<Event> = (1..=100).flat_map(|pane| events(pane, &mut rng).into_iter().next().unwrap()).collect();
    let batch = world::batch(&events.iter().collect::<Vec<_>>(), 0, 0);
    let lengths = |pane: Micros, batch: &EventBatch| portions(batch, pane).map(|part| part.len()).collect::<Vec<_>>();
    assert_eq!(lengths(PANE, &batch), [256, 256, 256, 232]);
    assert_eq!(lengths(13 * PANE, &batch), [1_000], "eight panes");
    assert_eq!(lengths(PANE, &batch.slice(0, 0)), [0]);
    // Rows of one record stay together.
    let records = EventBatch { offset: (0..1_000).map(|row| row / 300).collect(), ..batch };
    assert_eq!(lengths(PANE, &records), [300, 300, 300, 100]);
}

/// Results of labels of so many panes, taken by so many rows, forwards or backwards within a pane; and how many events
/// found no room.
fn labelled(plan: Plan, panes: u64, rows: usize, forwards: bool) -> (Vec<WindowRow>, u64) {
    let (mut engine, mut rng, mut results) = (Engine::new(Arc::new(plan), 1), Rng::new(5), Vec::new());
    let mut offset = 0;
    for pane in 1..=panes {
        let mut both = events(pane, &mut rng);
        if !forwards {
            both[0].reverse();
        }
        for events in &both {
            for (at, chunk) in events.chunks(rows).enumerate() {
                let chunk: Vec<&Event> = chunk.iter().collect();
                results.extend(engine.step(&world::batch(&chunk, 0, offset + (at * rows) as i64)).windows);
            }
        }
        offset += both[0].len() as i64;
    }
    (0..2).for_each(|source| results.extend(engine.progress(0, source, offset, true, true).windows));
    results.retain(|row| row.coverage.is_some());
    (results, engine.counts_of(0).labels.refused)
}

#[test]
fn where_not_all_can_wait_every_pane_follows_a_sample_whatever_the_order() {
    let few = || {
        let mut plan = plan();
        let quality = plan.quality.as_mut().unwrap();
        while quality.pending_of_pane(&plan.time) != 3 {
            quality.pending_max = quality.pending_max * 3 / 4;
        }
        plan
    };
    let (results, refused) = labelled(few(), 40, 10, true);
    let followed = followed(&results);
    assert!(followed.len() >= 39 && followed.iter().all(|n| *n <= 3), "{followed:?}");
    let late: u64 = followed[20..].iter().sum();
    assert!(late >= 20, "windows after the first ones have labels as well: {followed:?}");
    assert!(refused > 200, "{refused} of 400 predictions are not followed up");
    for (rows, forwards) in [(1, true), (10, false), (3, false)] {
        assert_eq!(labelled(few(), 40, rows, forwards).0, results, "{rows} rows at once, forwards: {forwards}");
    }
}

/// How many labels each window has.
fn followed(results: &[WindowRow]) -> Vec<u64> {
    let all = |row: &&WindowRow| row.version == ALL_VERSIONS && row.segment.is_empty() && row.metric == "brier";
    results.iter().filter(all).map(|row| row.n).collect()
}

#[test]
fn a_pane_follows_a_sample_only_once_half_of_the_room_is_taken() {
    let long = || {
        let mut plan = plan();
        let quality = plan.quality.as_mut().unwrap();
        (quality.horizon, quality.pending_max) = (1_200 * SECOND, 2_000);
        assert!(quality.pending_of_pane(&plan.time) < 10, "less than a pane has");
        plan
    };
    let (results, _) = labelled(long(), 160, 10, true);
    let followed = followed(&results);
    assert!(followed.len() > 150 && followed[..98].iter().all(|n| *n == 10), "{followed:?}");
    assert!(followed[102..118].iter().all(|n| (1..8).contains(n)), "{followed:?}");
    for (rows, forwards) in [(1, true), (10, false), (3, false)] {
        assert_eq!(labelled(long(), 160, rows, forwards).0, results, "{rows} rows at once, forwards: {forwards}");
    }
}

/// Fifty columns and a score, every key that is not named at its default.
fn busy(more: &str) -> config::Pipeline {
    let features: String = (0..48).map(|i| format!("        f{i}: {{ path: f{i}, range: [0, 1] }}\n")).collect();
    let text = format!(
        "sources:\n  predictions:\n    topic: p\n    id: id\n    version: v\n    score: s\n    latency: l\n    \
         segments: {{ country: c }}\n    features:\n      numeric:\n{features}  outcomes: {{ topic: o, id: id, label: y }}\n\
         rollout: {{ baseline: v1 }}\nlabels: {{}}\n{more}"
    );
    config::parse(&text, "busy.yaml", Path::new("")).unwrap()
}

/// Ten thousand events a second in windows of five minutes.
const BUSY: Assumed = Assumed { rate: 3_000_000, partitions: 4, versions: 2, segments: 16 };

#[test]
fn defaults_keep_a_busy_pipeline_below_400_megabytes() {
    let pipeline = busy("");
    let expected = memory::expected(&pipeline.plan, BUSY);
    assert!(expected.total() + memory::PROCESS < 400_000_000, "{expected:?}");
}

#[test]
fn a_bound_is_refused_that_does_not_hold_what_has_to_stay() {
    let folder = tempfile::tempdir().unwrap();
    let bounded = |max: &str| busy(&format!("memory: {max}\nspill: {}\n", folder.path().display()));
    let expected = memory::expected(&bounded("1GB").plan, BUSY).total() + memory::PROCESS;
    let needed = memory::least(&bounded("1GB").plan, BUSY).total() + memory::PROCESS;
    assert!(needed + 50_000_000 < expected, "{needed} of {expected} stay");
    memory::fits(&bounded(&format!("{}MB", needed / 1_000_000 + 1)), BUSY).unwrap();
    let error = memory::fits(&bounded(&format!("{}MB", needed / 1_000_000 - 1)), BUSY).unwrap_err();
    assert!(error.to_string().contains("cannot go to disk"), "{error}");
    assert!(error.advice().unwrap().contains("or less of what takes most: open panes"), "{error:?}");
    let error = memory::bound(&bounded("50MB")).unwrap_err();
    assert!(error.to_string().contains("the process itself takes"), "{error}");
    assert!(memory::bound(&busy("")).unwrap().is_none());
}

#[test]
fn a_plan_tells_beforehand_what_it_will_take() {
    let (plan, mut rng) = (Arc::new(plan()), Rng::new(5));
    let mut engine = Engine::new(Arc::clone(&plan), 1);
    for pane in 1..=40 {
        let [predictions, labels] = events(pane, &mut rng);
        for (events, rows) in [(&predictions, 10), (&labels, 10)] {
            engine.step(&world::batch(&events.iter().collect::<Vec<_>>(), 0, (pane as i64 - 1) * rows));
        }
    }
    let assumed = Assumed { rate: 10, partitions: 1, versions: 2, segments: 2 };
    let (told, taken, most) = (memory::expected(&plan, assumed), engine.memory(), memory::largest(&plan, 1));
    for (part, told, taken, most) in [
        ("open panes", told.open_panes, taken.open_panes, most.open_panes),
        ("sealed panes", told.sealed_panes, taken.sealed_panes, most.sealed_panes),
        ("labels", told.labels, taken.labels, most.labels),
        ("ids", told.ids, taken.ids, most.ids),
        ("judging", told.judging, taken.judging, most.judging),
    ] {
        assert!(told <= taken * 4 && taken <= told * 4, "{part}: {told} bytes told, {taken} taken");
        assert!(most > 100 * told, "{part}: {most} bytes at most, {told} told");
    }
    let mut far = OpenTraffic::new(&plan.columns);
    let values: Vec<f64> = (1..3_000).flat_map(|i| [1e6 * f64::from(i), -1e6 * f64::from(i)]).collect();
    for (open, column) in far.numeric.iter_mut().zip(&plan.columns.numeric) {
        open.update(&column.cut, &values);
    }
    let groups = plan.bounds.versions_max * plan.bounds.groups_max;
    assert!(most.open_panes > groups * far.bytes(), "every group may have {} bytes", far.bytes());
}

/// A look, some groups at a time; in how many steps it was added up.
fn look(engine: &mut Engine, groups: usize) -> (Option<OpenWindow>, u32) {
    let mut steps = 1;
    loop {
        match engine.early(groups) {
            LookStep::Unfinished => steps += 1,
            step => return (step.look(), steps),
        }
    }
}

#[test]
fn what_is_shown_early_of_a_whole_window_is_its_result() {
    for window in
        [WindowKind::Sliding { size: PANE, slide: PANE }, WindowKind::Sliding { size: 6 * PANE, slide: 2 * PANE }]
    {
        let log = world::log(7, 600);
        let streams = world::streams(&log, 4);
        let mut engine = Engine::new(Arc::new(world::plan(window)), 4);
        let mut looks = 0;
        for ((_, lane), events) in streams.iter().filter(|((source, _), _)| *source == 0) {
            for (at, events) in events.chunks(40).enumerate() {
                engine.step(&world::batch(events, *lane, at as i64 * 40));
                looks += usize::from(look(&mut engine, 3).0.is_some());
                assert!(matches!(engine.early(3), LookStep::Unchanged), "nothing was counted since the last look");
            }
        }
        assert!(looks > 4, "{looks} looks");
        // A prediction that nobody labels: the last look is made anew.
        let last = Event { id: 4 << 20, ..log.iter().rfind(|event| event.source == 0).unwrap().clone() };
        let next = streams[&(0, 0)].len() as i64;
        engine.step(&world::batch(&[&last], 0, next));
        let (early, steps) = look(&mut engine, 1);
        let early = early.expect("one more event").rows();
        assert!(steps > 3, "{steps} steps");
        let mut results = Vec::new();
        for &(source, lane) in streams.keys() {
            results.extend(engine.progress(lane, source, 1 << 30, true, true).windows);
        }
        let of = |rows: &[WindowRow]| {
            let rows = rows.iter().filter(|row| row.window_end == early[0].window_end && row.coverage.is_none());
            let same = rows.filter(|row| row.window_start == early[0].window_start && row.baseline != "previous");
            same.cloned().collect::<Vec<_>>()
        };
        assert!(of(&early).len() > 100, "{} rows", of(&early).len());
        assert_eq!(of(&early), of(&results));
    }
}

/// Predictions that a look has seen.
fn seen(look: Option<OpenWindow>) -> u64 {
    let rows = look.expect("events have come").rows();
    let all = |row: &&WindowRow| row.metric == "error_rate" && row.version == ALL_VERSIONS && row.segment.is_empty();
    rows.iter().find(all).expect("traffic").n
}

#[test]
fn what_comes_while_a_look_is_taken_is_seen_once_or_at_the_next_look() {
    const SEGMENTS: [&str; 10] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"];
    let plan = Plan { bounds: Bounds { groups_max: 2, ..plan().bounds }, ..plan() };
    let mut engine = Engine::new(Arc::new(plan), 1);
    let (mut rng, mut offset, mut in_between) = (Rng::new(9), 0, 0);
    let mut step = |engine: &mut Engine, events: &[Event]| {
        engine.step(&world::batch(&events.iter().collect::<Vec<_>>(), 0, offset));
        offset += events.len() as i64;
    };
    for pane in 90..120 {
        let [mut predictions, _] = events(pane, &mut rng);
        // Later ones are of other segments than the first, so that groups that were added up are folded into one that
        // comes after them.
        predictions.iter_mut().zip(SEGMENTS).for_each(|(event, segment)| event.segment = segment);
        let first = 1 + rng.below(9) as usize;
        step(&mut engine, &predictions[..first]);
        let begun = engine.early(1);
        step(&mut engine, &predictions[first..]);
        let shown = match begun {
            LookStep::Unfinished => seen(look(&mut engine, 1).0),
            step => seen(step.look()),
        };
        assert!((first as u64..=10).contains(&shown), "{shown} of 10 are shown, of which {first} had come");
        in_between += usize::from(shown > first as u64);
        assert!(shown == 10 || seen(look(&mut engine, 1).0) == 10);
    }
    assert!(in_between > 5, "in {in_between} looks something is seen that came meanwhile");
}

/// All that was ever put there, and how often it was looked at.
#[derive(Debug, Default)]
struct Watched {
    all: Mutex<Vec<u8>>,
    looks: AtomicU64,
}

impl Spill for Watched {
    fn put(&self, bytes: &[u8]) -> Option<u64> {
        let mut all = self.all.lock().unwrap();
        all.extend(bytes);
        Some((all.len() - bytes.len()) as u64)
    }

    fn get(&self, at: u64, len: usize) -> Vec<u8> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.all.lock().unwrap()[at as usize..at as usize + len].to_vec()
    }

    fn free(&self, _: u64, _: usize) {}
}

#[test]
fn a_look_at_an_open_window_reads_complete_panes_only_once() {
    let (watched, mut rng, mut offset) = (Arc::new(Watched::default()), Rng::new(5), 0);
    let plan = Plan { time: TimePlan { lateness: 0, ..plan().time }, ..plan() };
    let window = WindowKind::Sliding { size: 30 * PANE, slide: 30 * PANE };
    let plan = Plan { time: TimePlan { window, ..plan.time.clone() }, ..plan };
    let mut engine = Engine::new(Arc::new(plan), 1).bounded(1, Arc::clone(&watched) as Arc<dyn Spill>);
    let mut reads = [0, 0];
    for pane in 3 * 30..3 * 30 + 20 {
        let [predictions, labels] = events(pane, &mut rng);
        engine.step(&world::batch(&labels.iter().collect::<Vec<_>>(), 0, offset));
        for (half, events) in predictions.chunks(5).enumerate() {
            engine.step(&world::batch(&events.iter().collect::<Vec<_>>(), 0, offset + half as i64 * 5));
            watched.looks.store(0, Ordering::Relaxed);
            assert!(engine.early(usize::MAX).look().is_some(), "events have come");
            reads[half] += watched.looks.load(Ordering::Relaxed);
        }
        offset += 10;
    }
    assert!(reads[0] > 100, "a pane has completed, which is read from disk: {reads:?}");
    assert_eq!(reads[1], 0, "only the open pane has changed");
}
