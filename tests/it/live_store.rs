//! The store of a service over a real Apache Kafka: every result once after crashes, whether the service is one process
//! or its judge runs apart.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{UInt32Type, UInt64Type};
use haldane::batch::EventBatch;
use haldane::engine::{Effects, Engine};
use haldane::error::{Error, Result};
use haldane::event::SECOND;
use haldane::kafka::connection::Connection;
use haldane::kafka::reader::ReadPortion;
use haldane::kafka::watch::{Audience, Keeper};
use haldane::kafka::{judging, scanning, states};
use haldane::plan::Plan;
use haldane::scan::{LaneCounts, StreamCounts};
use haldane::store::{Every, Read, RowFilter, Store, StoreTable, StoreWriter};
use object_store::ObjectStore;
use rdkafka::producer::BaseRecord;
use serde_json::Value;

use crate::broker::Broker;
use crate::kafka::settings;
use crate::live::{Bell, EPOCH, Recorder, SMALL_STEPS, Stage, before_the_end, in_memory, log, log_with_an_end, trace};
use crate::replay_laws::{Trace, assert_same};
use crate::store::{Failing, panes_before};
use crate::world::{self, Rng};

/// Keeps what is published in a store, too.
struct Kept<'a> {
    told: &'a dyn Keeper,
    writer: Mutex<StoreWriter>,
}

impl<'a> Kept<'a> {
    fn open(url: &str, plan: &Arc<Plan>, told: &'a dyn Keeper) -> Self {
        let every = Every { span: 60 * SECOND, ..Every::default() };
        Self { told, writer: Mutex::new(StoreWriter::open(url, plan, every).unwrap()) }
    }
}

impl Keeper for Kept<'_> {
    fn keeps_panes(&self) -> bool {
        true
    }

    fn keep(&self, effects: &Effects) -> Result<bool> {
        let mut writer = self.writer.lock().unwrap();
        writer.take(effects);
        if writer.holds_records() {
            writer.flush()?;
        }
        Ok(true)
    }

    fn counted_upto(&self, source: u16, lane: u32) -> i64 {
        self.writer.lock().unwrap().counted_upto(source, lane)
    }

    fn took(&self, portion: &ReadPortion, fresh: &EventBatch, counts: (LaneCounts, LaneCounts)) {
        let ReadPortion { source, lane, next_offset, ref rejects, .. } = *portion;
        let mut writer = self.writer.lock().unwrap();
        writer.refuse(source, lane, rejects);
        writer.read(&Read { source, lane, batch: Some(fresh), counts, next_offset });
    }

    fn settle(&self, at_end: bool) -> Result<bool> {
        let mut writer = self.writer.lock().unwrap();
        if at_end || writer.is_due() {
            writer.flush()?;
        }
        Ok(writer.is_clean())
    }

    fn tallied(&self, source: u16, lane: u32, tally: &StreamCounts) {
        self.writer.lock().unwrap().tally(source, lane, tally);
        self.told.tallied(source, lane, tally);
    }

    fn conclude(&self, effects: &Effects) -> Result<()> {
        self.told.conclude(effects)
    }
}

#[test]
fn a_store_holds_every_result_once_after_crashes() {
    let log = log();
    let expected = in_memory(&log, 1);
    let stage = Stage::set(&log, 4);
    let scratch = tempfile::tempdir().unwrap();
    let url = scratch.path().to_str().unwrap();
    let recorder = Recorder::crashing(vec![4, 9, 15]);
    let run = || stage.run(2, &Kept::open(url, &stage.plan, &recorder));
    assert_eq!((0..9).take_while(|_| run().is_err()).count(), 3);
    let store = Store::open(url).unwrap();
    assert_holds(&store, &expected);
    let batches = store.batches(StoreTable::Quality, &RowFilter::default()).unwrap();
    let sum = |name: &str| batches.iter().map(|batch| sum_of(batch, name)).sum::<u64>();
    assert_eq!((sum("rows"), sum("refused")), (log.len() as u64, 0), "no event is counted twice");
    let mut engine = Engine::new(Arc::clone(&stage.plan), 4);
    let streams = world::streams(&log, 4);
    world::feed(&mut engine, &streams, &BTreeMap::new(), (100, &mut Rng::new(1)), |_, _| true);
    let counted = |of: fn(&LaneCounts) -> u64| engine.counts().values().map(of).sum::<u64>();
    assert_eq!((sum("late"), sum("duplicates")), (counted(|lane| lane.late), counted(|lane| lane.duplicates)));
    assert!(sum("duplicates") > 0, "the log repeats events");
}

/// Every result once, and every decision.
fn assert_holds(store: &Store, expected: &Trace) {
    let all = RowFilter::default();
    let numbered = store.windows(&all).unwrap();
    let mut kept = Trace::default();
    let windows = store.final_windows(&all).unwrap();
    kept.take(Effects { windows: windows.clone(), decisions: store.decisions(&all).unwrap(), ..Effects::default() });
    assert_eq!(kept.windows.len(), windows.len(), "one last revision of each result");
    assert_same(&without_revisions(expected), &without_revisions(&kept), "in the store");
    let revisions: BTreeSet<String> =
        numbered.iter().map(|row| format!("{} {:?}", row.revision, serde_json::to_string(row))).collect();
    assert_eq!(revisions.len(), numbered.len(), "no row twice");
}

/// Keeps in a store that is out of order while so many steps are told; fails, as a crash would, at one of them.
struct Stormy<'a> {
    kept: Kept<'a>,
    store: &'a Failing,
    steps: AtomicUsize,
    fails: Range<usize>,
    crash_at: usize,
}

impl<'a> Stormy<'a> {
    fn open(stage: &Stage, store: &'a Arc<Failing>, told: &'a Recorder, fails: Range<usize>, crash_at: usize) -> Self {
        let every = Every { span: 60 * SECOND, ..Every::default() };
        let writer = StoreWriter::over(Arc::clone(store) as Arc<dyn ObjectStore>, &stage.plan, every).unwrap();
        let kept = Kept { told, writer: Mutex::new(writer) };
        Self { kept, store, steps: AtomicUsize::new(0), fails, crash_at }
    }
}

impl Keeper for Stormy<'_> {
    fn keeps_panes(&self) -> bool {
        true
    }

    fn keep(&self, effects: &Effects) -> Result<bool> {
        let is_out = self.fails.contains(&self.steps.load(Ordering::Relaxed));
        *self.store.fails.lock().unwrap() = if is_out { 0..usize::MAX } else { 0..0 };
        let mut writer = self.kept.writer.lock().unwrap();
        writer.take(effects);
        Ok(!writer.holds_records() || writer.flush().is_ok())
    }

    fn settle(&self, at_end: bool) -> Result<bool> {
        let mut writer = self.kept.writer.lock().unwrap();
        let done = writer.flush();
        if at_end { done.map(|()| true) } else { Ok(writer.is_clean()) }
    }

    fn conclude(&self, effects: &Effects) -> Result<()> {
        self.kept.conclude(effects)?;
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        if step == self.crash_at { Err(Error::internal("crash")) } else { Ok(()) }
    }
}

#[test]
fn decisions_do_not_wait_for_a_store_that_fails_and_it_lacks_nothing_in_the_end() {
    let log = log();
    let expected = in_memory(&log, 1);
    let stage = Stage::set(&log, 1);
    let (store, recorder) = (Arc::new(Failing::sound()), Recorder::default());
    let (connection, rollout) = (Connection::open(&stage.settings).unwrap(), &stage.plan.policy.rollout);
    // Panes of labels are told of, too, before the first decision falls.
    let crash_at = 45;
    assert!(stage.run(1, &Stormy::open(&stage, &store, &recorder, 0..usize::MAX, crash_at)).is_err());
    assert!(!stage.decisions().is_empty(), "decisions go out");
    assert_eq!(states::read(&connection, rollout).unwrap(), [], "what a restart starts from does not");
    *store.fails.lock().unwrap() = 0..0;
    let second = Stormy::open(&stage, &store, &recorder, 5..crash_at, usize::MAX);
    stage.run(1, &second).unwrap();
    assert!(second.steps.load(Ordering::Relaxed) > crash_at, "it is back before the end");
    let store = Store::over(Arc::clone(&store.inner) as Arc<dyn ObjectStore>).unwrap();
    assert_holds(&store, &expected);
    let last =
        store.verdicts(&RowFilter::default()).unwrap().into_iter().map(|state| (state.candidate, state.sequence));
    let told = states::read(&connection, rollout).unwrap().into_iter().map(|state| (state.candidate, state.sequence));
    assert_eq!(told.collect::<BTreeMap<_, _>>(), last.collect(), "the last states went out");
}

fn sum_of(batch: &RecordBatch, name: &str) -> u64 {
    let column = batch.column_by_name(name).unwrap().as_primitive::<UInt64Type>();
    column.iter().flatten().sum()
}

/// How often a result was revised depends on where the process was killed; the last one does not.
fn without_revisions(trace: &Trace) -> Trace {
    let bare = |row: &String| {
        let mut row: Value = serde_json::from_str(row).unwrap();
        row["revision"] = 0.into();
        row.to_string()
    };
    let windows = trace.windows.iter().map(|(key, row)| (key.clone(), bare(row))).collect();
    Trace { windows, decisions: trace.decisions.clone() }
}

/// What was read of every stream, as it stands in a store.
fn readings(store: &Store) -> BTreeMap<(String, u32), [u64; 4]> {
    let mut readings = BTreeMap::new();
    for batch in store.batches(StoreTable::Quality, &RowFilter::default()).unwrap() {
        let (topics, lanes) = (batch["topic"].as_string::<i32>(), batch["lane"].as_primitive::<UInt32Type>());
        for row in 0..batch.num_rows() {
            let sums: &mut [u64; 4] = readings.entry((topics.value(row).to_owned(), lanes.value(row))).or_default();
            for (sum, name) in sums.iter_mut().zip(["rows", "late", "duplicates", "refused"]) {
                *sum += batch[name].as_primitive::<UInt64Type>().value(row);
            }
        }
    }
    readings
}

#[test]
fn the_store_of_a_judge_apart_holds_what_that_of_one_process_does() {
    let log = log_with_an_end(4);
    let stage = Stage::set(&log, 4);
    let spoilt = BaseRecord::to(&stage.topics[0]).partition(1).key(b"k".as_slice()).payload(b"{".as_slice());
    let producer = stage.producer();
    producer.send(spoilt).unwrap();
    producer.settle().unwrap();
    let scratch = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [whole, apart] = scratch.each_ref().map(|folder| folder.path().to_str().unwrap());
    let alone =
        Stage { settings: settings(Broker::shared()), topics: stage.topics.clone(), plan: Arc::clone(&stage.plan) };
    let recorder = Recorder::default();
    alone.run(2, &Kept::open(whole, &stage.plan, &recorder)).unwrap();
    let expected = before_the_end(&trace(recorder));

    let bell = Bell::around(Recorder::crashing(vec![3, 8]));
    let (stop, first_stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let scan = |stop| scanning::run(&stage.plan, &stage.settings, SMALL_STEPS, Audience::none(), stop);
    let judge = || {
        judging::run(
            &stage.plan,
            &stage.settings,
            SMALL_STEPS,
            Audience::keeping(&Kept::open(apart, &stage.plan, &bell)),
            &stop,
        )
    };
    std::thread::scope(|scope| {
        let first_scan = scope.spawn(|| scan(&first_stop));
        let judges = scope.spawn(|| (0..9).take_while(|_| judge().is_err()).count());
        bell.wait_for(|trace| trace.windows.len() > 100);
        first_stop.store(true, Ordering::Relaxed);
        first_scan.join().unwrap().unwrap();
        let others = [scope.spawn(|| scan(&stop)), scope.spawn(|| scan(&stop))];
        let read = |tallied: &BTreeMap<(u16, u32), i64>| tallied.values().sum::<i64>() == log.len() as i64 + 1;
        bell.wait_for(|trace| before_the_end(trace) == expected && read(&bell.tallied.lock().unwrap()));
        stop.store(true, Ordering::Relaxed);
        for scan in others {
            scan.join().unwrap().unwrap();
        }
        assert_eq!(judges.join().unwrap(), 2, "the judge crashed twice");
    });
    let [whole, apart] = [whole, apart].map(|url| Store::open(url).unwrap());
    let end = EPOCH + 2_900 * SECOND;
    let said = |store: &Store| {
        let mut said = Trace::default();
        let (windows, decisions) = (store.final_windows(&RowFilter::default()), store.decisions(&RowFilter::default()));
        said.take(Effects { windows: windows.unwrap(), decisions: decisions.unwrap(), ..Effects::default() });
        without_revisions(&before_the_end(&said))
    };
    assert_same(&said(&whole), &said(&apart), "in the judge's store");
    let panes = panes_before(&whole, end);
    assert!(panes.len() > 500, "{}", panes.len());
    assert_eq!(panes.symmetric_difference(&panes_before(&apart, end)).next(), None, "panes");
    assert_eq!(readings(&whole), readings(&apart));
    assert_eq!(readings(&apart).values().map(|sums| sums[3]).sum::<u64>(), 1, "one record was refused");
}
