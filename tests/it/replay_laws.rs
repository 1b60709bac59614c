//! Same log, same decisions: however the log is batched, partitioned, interleaved or interrupted, the final windows and
//! the decisions are the same to the byte.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use haldane::disk::Disk;
use haldane::engine::{Effects, Engine};
use haldane::event::{Micros, SECOND};
use haldane::judge::{Judge, WindowRow};
use haldane::plan::{Plan, WallClock, WindowKind};
use haldane::scan::frame::Frame;
use haldane::scan::{Checkpoint, Partial, Scan, Tick};
use haldane::store::{Every, RowFilter, Store, StoreWriter};
use haldane::summary::Spill;

use crate::world::{self, Rng};

/// What a run leaves behind: the last revision of every result, and the decisions.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Trace {
    pub(crate) windows: BTreeMap<String, String>,
    /// By sequence: id, what was said, and the end of the window that called for it.
    pub(crate) decisions: BTreeMap<u64, (String, String, Micros)>,
}

impl Trace {
    pub(crate) fn take(&mut self, effects: Effects) {
        for row in effects.windows {
            let identity = WindowRow {
                revision: 0,
                status: haldane::judge::RowStatus::Ok,
                value: None,
                low: None,
                high: None,
                p_value: None,
                n: 0,
                n_baseline: 0,
                bins: 0,
                coverage: None,
                doubts: String::new(),
                trust: haldane::trust::Trust::Ok,
                ..row.clone()
            };
            self.windows.insert(serde_json::to_string(&identity).unwrap(), serde_json::to_string(&row).unwrap());
        }
        for decision in effects.decisions {
            let text = format!("{:?} {:?} {}", decision.action, decision.cap_pct, decision.reason.text);
            let said = (decision.id, text, decision.time);
            let before = self.decisions.insert(decision.sequence, said.clone());
            assert!(before.is_none_or(|before| before == said), "a decision never changes");
        }
    }
}

/// How windows are cut, and whether by a clock on a wall.
type Cut = (WindowKind, bool);

const TUMBLING: Cut = (WindowKind::Sliding { size: 30 * SECOND, slide: 30 * SECOND }, false);
const SLIDING: Cut = (WindowKind::Sliding { size: 60 * SECOND, slide: 20 * SECOND }, false);
const AT_LEAST: Cut = (WindowKind::AtLeast { n_min: 60, size_max: 120 * SECOND }, false);
const LOCAL: Cut = (WindowKind::Sliding { size: 60 * SECOND, slide: 20 * SECOND }, true);

/// A clock on a wall is put forward and later back, neither by whole panes.
fn plan((window, is_local): Cut) -> Plan {
    let mut plan = world::plan(window);
    if is_local {
        let changes = [(203 * SECOND, 45 * SECOND), (397 * SECOND, -18 * SECOND)];
        plan.time.clock = WallClock::local("Somewhere", 7 * SECOND, 0, &changes);
    }
    plan
}

fn run(window: Cut, seed: u64, lanes: u32, batch_rows: usize) -> Trace {
    run_of(&Arc::new(plan(window)), &world::log(7, 1_500), seed, (lanes, batch_rows))
}

/// What comes of a log over so many lanes, in batches of so many rows.
pub(crate) fn run_of(plan: &Arc<Plan>, log: &[world::Event], seed: u64, (lanes, batch_rows): (u32, usize)) -> Trace {
    let streams = world::streams(log, lanes);
    let mut engine = Engine::new(Arc::clone(plan), lanes);
    let mut trace = Trace::default();
    world::feed(&mut engine, &streams, &BTreeMap::new(), (batch_rows, &mut Rng::new(seed)), |_, effects| {
        trace.take(effects);
        true
    });
    trace
}

#[test]
fn batches_partitions_and_interleaving_do_not_matter() {
    for window in [TUMBLING, SLIDING, AT_LEAST, LOCAL] {
        let whole = run(window, 1, 1, 8_192);
        assert!(whole.windows.len() > 500, "the log fills windows: {}", whole.windows.len());
        assert!(whole.decisions.len() >= 2, "the failing version is acted on: {:?}", whole.decisions);
        for (lanes, batch_rows) in [(1, 1), (1, 7), (4, 1), (4, 7), (4, 8_192)] {
            for seed in 1..4 {
                let other = run(window, seed, lanes, batch_rows);
                assert_same(
                    &whole,
                    &other,
                    &format!("{window:?}, seed {seed}, {lanes} lanes, batches of {batch_rows}"),
                );
            }
        }
    }
}

/// Windows of each kind: side by side, overlapping, and as long as they must be.
pub(crate) const WINDOWS: [WindowKind; 3] = [
    WindowKind::Sliding { size: 30 * SECOND, slide: 30 * SECOND },
    WindowKind::Sliding { size: 60 * SECOND, slide: 20 * SECOND },
    WindowKind::AtLeast { n_min: 60, size_max: 120 * SECOND },
];

/// The same of an engine that has no memory, and puts on disk all that may wait.
pub(crate) fn run_spilled(plan: &Arc<Plan>, streams: &BTreeMap<(u16, u32), Vec<&world::Event>>) -> Trace {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Spill> = Arc::new(Disk::open(folder.path()).unwrap());
    let mut engine = Engine::new(Arc::clone(plan), 4).bounded(1, disk);
    let mut trace = Trace::default();
    world::feed(&mut engine, streams, &BTreeMap::new(), (50, &mut Rng::new(3)), |_, effects| {
        trace.take(effects);
        true
    });
    trace
}

/// Those partials of a log that are looked for: as the engine tells them, and as a store gives them back.
pub(crate) fn told_and_stored(
    plan: &Arc<Plan>,
    log: &[world::Event],
    looked_for: impl Fn(&Partial) -> bool,
) -> (Vec<Partial>, Vec<Partial>) {
    let streams = world::streams(log, 2);
    let folder = tempfile::tempdir().unwrap();
    let every = Every { span: Micros::MAX, rows: usize::MAX };
    let mut writer = StoreWriter::open(folder.path().to_str().unwrap(), plan, every).unwrap();
    let mut engine = Engine::new(Arc::clone(plan), 2).keeping_panes(true);
    let mut told = Vec::new();
    world::feed(&mut engine, &streams, &BTreeMap::new(), (50, &mut Rng::new(3)), |_, effects| {
        writer.take(&effects);
        told.extend(effects.panes.iter().map(|pane| pane.open(plan)).filter(&looked_for));
        true
    });
    writer.flush().unwrap();
    let (store, all) = (Store::open(folder.path().to_str().unwrap()).unwrap(), RowFilter::default());
    let days = store.pane_days(plan, &all).unwrap().map(Result::unwrap);
    let mut stored: Vec<Partial> = days.flat_map(|day| day.panes).filter(&looked_for).collect();
    for all in [&mut told, &mut stored] {
        all.sort_by_key(|one| (one.pane, one.lane, one.body.part(), one.group.clone()));
    }
    (told, stored)
}

pub(crate) fn assert_same(left: &Trace, right: &Trace, how: &str) {
    assert_eq!(left.decisions, right.decisions, "{how}");
    let differing = left.windows.iter().find(|(key, row)| right.windows.get(*key) != Some(row));
    assert_eq!(differing.map(|(key, row)| (row, right.windows.get(key))), None, "{how}");
    assert_eq!(left.windows.len(), right.windows.len(), "{how}");
}

/// What a scan says of one stretch of its lane.
pub(crate) type Said = (Vec<Partial>, Tick);

/// All that the scan of each lane says of a log, in its order.
pub(crate) fn said(plan: &Arc<Plan>, log: &[world::Event], lanes: u32) -> Vec<Vec<Said>> {
    let streams = world::streams(log, lanes);
    let of_lane = |lane: u32| {
        let mut scan = Scan::new(Arc::clone(plan), lane, lanes);
        let [one, other] = [0, 1].map(|source| (source, &streams[&(source, lane)]));
        let mut said = Vec::new();
        for start in (0..one.1.len().max(other.1.len())).step_by(5) {
            for (_, events) in [one, other] {
                let end = (start + 5).min(events.len());
                if start < end {
                    let partials = scan.step(&world::batch(&events[start..end], lane, start as i64)).collect();
                    said.push((partials, scan.tick()));
                }
            }
        }
        for (source, events) in [one, other] {
            let partials = scan.progress(source, events.len() as i64, true, true).collect();
            said.push((partials, scan.tick()));
        }
        said
    };
    (0..lanes).map(of_lane).collect()
}

/// What a judge makes of it when lanes take turns and, if they `stutter`, say things again; and how many rows.
pub(crate) fn judged(plan: &Arc<Plan>, said: &[Vec<Said>], stutter: bool, seed: u64) -> (Trace, usize) {
    let mut judge = Judge::new(Arc::clone(plan));
    let (mut trace, mut n_rows, mut rng) = (Trace::default(), 0, Rng::new(seed));
    let mut next = vec![0; said.len()];
    while next.iter().zip(said).any(|(&next, said)| next < said.len()) {
        let lane = rng.below(said.len() as u64) as usize;
        if next[lane] == said[lane].len() {
            continue;
        }
        if stutter && rng.below(30) == 0 {
            next[lane] -= (rng.below(50) as usize).min(next[lane]);
        }
        let (partials, tick) = &said[lane][next[lane]];
        next[lane] += 1;
        for partial in partials.iter().cloned() {
            let Frame::Partial(partial) = sent(&Frame::Partial(Box::new(partial))) else { panic!("another frame") };
            judge.put(*partial);
        }
        let Frame::Tick(tick) = sent(&Frame::Tick(tick.clone())) else { panic!("another frame") };
        let effects = judge.tick(tick);
        n_rows += effects.windows.len();
        trace.take(effects);
    }
    (trace, n_rows)
}

/// A frame as it comes out of the partials topic.
fn sent(frame: &Frame) -> Frame {
    Frame::decode(&frame.encode()).unwrap()
}

#[test]
fn what_a_scan_says_again_changes_nothing() {
    for window in [TUMBLING, SLIDING, AT_LEAST, LOCAL] {
        let plan = Arc::new(plan(window));
        let said = said(&plan, &world::log(7, 1_500), 4);
        let (whole, n_rows) = judged(&plan, &said, false, 1);
        assert!(n_rows > 500, "{n_rows} rows");
        for seed in 1..12 {
            let (again, n_again) = judged(&plan, &said, true, seed);
            assert_same(&whole, &again, &format!("{window:?}, seed {seed}"));
            assert_eq!(n_rows, n_again, "{window:?}, seed {seed}: rows");
        }
    }
}

#[test]
fn a_crash_at_any_point_changes_nothing() {
    let log = world::log(7, 1_500);
    for window in [TUMBLING, SLIDING, AT_LEAST, LOCAL] {
        for lanes in [1, 4] {
            let whole = run(window, 1, lanes, 50);
            let streams = world::streams(&log, lanes);
            for seed in 1..12 {
                let trace = run_with_crashes(&Arc::new(plan(window)), lanes, &streams, seed);
                assert_same(&whole, &trace, &format!("{window:?}, {lanes} lanes, seed {seed}"));
            }
        }
    }
}

/// Runs with two crashes. What was published stays published; the rest starts again from the last checkpoints, which
/// lie some steps before the crash and, lane by lane, at different steps.
pub(crate) fn run_with_crashes(
    plan: &Arc<Plan>,
    lanes: u32,
    streams: &BTreeMap<(u16, u32), Vec<&world::Event>>,
    seed: u64,
) -> Trace {
    let mut rng = Rng::new(seed * 977);
    let mut trace = Trace::default();
    let mut states = BTreeMap::new();
    let mut checkpoints: BTreeMap<u32, Checkpoint> = BTreeMap::new();
    for life in 0..3 {
        let mut engine = Engine::new(Arc::clone(plan), lanes);
        engine.restore_rollouts(states.values().cloned().collect());
        let mut from = BTreeMap::new();
        for checkpoint in checkpoints.values() {
            engine.restore_lane(checkpoint);
            let low_water = checkpoint.streams.iter().map(|s| ((s.source, checkpoint.lane), s.low_water));
            from.extend(low_water);
        }
        let mut steps_left = if life < 2 { 20 + rng.below(60) } else { u64::MAX };
        let mut commit = Rng::new(seed + life);
        world::feed(&mut engine, streams, &from, (50, &mut rng), |engine, effects| {
            for state in &effects.states {
                states.insert((state.model.clone(), state.candidate.clone()), state.clone());
            }
            trace.take(effects);
            if commit.below(5) == 0 {
                let lane = commit.below(u64::from(lanes)) as u32;
                checkpoints.insert(lane, engine.checkpoint(lane));
            }
            steps_left -= 1;
            steps_left > 0
        });
    }
    trace
}

/// Lets a scan read what it has not read yet of the first events of a log, in small steps.
fn read(scan: &mut Scan, streams: &BTreeMap<(u16, u32), Vec<&world::Event>>, share: f64) -> Vec<Partial> {
    let mut partials = Vec::new();
    for (&(source, lane), rows) in streams {
        let upto = (rows.len() as f64 * share) as i64;
        let from = scan.tick().streams.iter().find(|one| one.source == source).map_or(0, |one| one.next_offset);
        for first in (from..upto).step_by(10) {
            let part = &rows[first as usize..upto.min(first + 10) as usize];
            partials.extend(scan.step(&world::batch(part, lane, first)));
        }
    }
    partials
}

#[test]
fn a_scan_that_resumes_twice_tells_of_whole_panes_only() {
    let log = world::log(7, 1_500);
    let (plan, streams) = (Arc::new(plan(TUMBLING)), world::streams(&log, 1));
    let new = || Scan::new(Arc::clone(&plan), 0, 1);
    let slot = |one: &Partial| (one.pane, one.source, format!("{:?}", one.group), one.body.part());
    let whole: BTreeMap<_, String> =
        read(&mut new(), &streams, 1.0).iter().map(|one| (slot(one), format!("{:?}", one.body))).collect();
    let mut n = 0;
    for share in [0.2, 0.35, 0.5, 0.65, 0.8] {
        let mut first = new();
        read(&mut first, &streams, share);
        let mut saved = first.checkpoint(Micros::MAX, 0);
        for _ in 0..2 {
            let mut next = new();
            next.restore(&saved);
            let again = next.checkpoint(Micros::MAX, 0);
            for (one, before) in again.streams.iter().zip(&saved.streams) {
                assert!(one.low_water >= before.low_water && one.meta.needed_from >= before.meta.needed_from);
            }
            saved = again;
        }
        let mut last = new();
        last.restore(&saved);
        for partial in read(&mut last, &streams, 1.0).iter().filter(|one| one.pane >= last.whole_from()) {
            assert_eq!(Some(&format!("{:?}", partial.body)), whole.get(&slot(partial)), "{share}: {:?}", slot(partial));
            n += 1;
        }
    }
    assert!(n > 100, "{n} partials were compared");
}

#[test]
fn a_batch_that_was_read_before_is_noticed() {
    let log = world::log(3, 4);
    let rows: Vec<_> = log.iter().filter(|event| event.source == 0).collect();
    let mut scan = Scan::new(Arc::new(plan(TUMBLING)), 0, 1);
    drop(scan.step(&world::batch(&rows, 0, 10)));
    let again = std::panic::AssertUnwindSafe(|| scan.step(&world::batch(&rows, 0, 9)));
    assert!(std::panic::catch_unwind(again).is_err());
}

#[test]
fn what_goes_to_disk_changes_nothing() {
    let log = world::log(7, 1_500);
    for window in [TUMBLING, SLIDING, AT_LEAST, LOCAL] {
        for lanes in [1, 4] {
            let whole = run(window, 1, lanes, 50);
            let streams = world::streams(&log, lanes);
            let folder = tempfile::tempdir().unwrap();
            let disk = Arc::new(Disk::open(folder.path()).unwrap());
            let plan = Arc::new(plan(window));
            // A bound that holds nothing: whatever may go to disk goes there.
            let mut engine = Engine::new(plan, lanes).bounded(1, Arc::clone(&disk) as Arc<dyn Spill>);
            let (mut trace, mut most) = (Trace::default(), 0);
            world::feed(&mut engine, &streams, &BTreeMap::new(), (50, &mut Rng::new(3)), |_, effects| {
                trace.take(effects);
                most = most.max(disk.bytes());
                true
            });
            assert_same(&whole, &trace, &format!("{window:?}, {lanes} lanes"));
            assert!(most > 20_000, "{window:?}, {lanes} lanes: {most} bytes on disk at most");
            drop(engine);
            assert_eq!(disk.bytes(), 0, "what nobody wants any more is gone");
        }
    }
}

#[test]
fn offsets_committed_never_go_back() {
    let log = world::log(3, 2_000);
    let streams = world::streams(&log, 1);
    let mut engine = Engine::new(Arc::new(plan(TUMBLING)), 1);
    let mut committed = BTreeMap::new();
    let mut distinct = BTreeSet::new();
    world::feed(&mut engine, &streams, &BTreeMap::new(), (20, &mut Rng::new(5)), |engine, _| {
        for stream in engine.checkpoint(0).streams {
            let before = committed.insert(stream.source, stream.low_water);
            assert!(before.is_none_or(|before| before <= stream.low_water), "source {}", stream.source);
            distinct.insert(stream.low_water);
        }
        true
    });
    assert!(distinct.len() > 5, "checkpoints move on: {distinct:?}");
}
