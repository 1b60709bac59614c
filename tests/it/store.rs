//! The store holds what the engine says, once, wherever writing it breaks off.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{TimestampMicrosecondType, UInt64Type};
use bytes::Bytes;
use clap::Parser as _;
use futures_util::stream::{BoxStream, StreamExt as _};
use haldane::engine::{Effects, Engine};
use haldane::error::Fault;
use haldane::event::{Micros, SECOND};
use haldane::judge::WindowRow;
use haldane::plan::{Plan, WindowKind};
use haldane::scan::{Checkpoint, StreamCounts};
use haldane::store::{Every, Keep, RowFilter, Store, StoreTable, StoreWriter, compact_over, sizes};
use haldane::verdict::Decision;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, Error as ObjectError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as ObjectResult,
};

use crate::compaction::stretched;
use crate::world::{self, Event, Rng};

const TUMBLING: WindowKind = WindowKind::Sliding { size: 30 * SECOND, slide: 30 * SECOND };
const OFTEN: Every = Every { span: 60 * SECOND, rows: 1_000_000 };

pub(crate) fn everything() -> RowFilter {
    RowFilter::default()
}

/// Runs the program with the words; what it prints.
pub(crate) fn haldane(words: &[&str]) -> Result<String, haldane::error::Error> {
    let cli = haldane::cli::Cli::try_parse_from([&["haldane"], words].concat()).unwrap();
    let mut printed = Vec::new();
    haldane::cli::run(&cli, &mut printed)?;
    Ok(String::from_utf8(printed).unwrap())
}

pub(crate) fn pipeline(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name)
}

/// Replays the example of frauds into a store, and more where asked.
pub(crate) fn replay_fraud(store: &Path, more: &[&str]) {
    let files = ["fraud.yaml", "data/fraud.predictions.parquet", "data/fraud.outcomes.parquet"].map(pipeline);
    let [config, predictions, outcomes] = files.each_ref().map(|path| path.to_str().unwrap());
    let words = ["replay", "--quiet", "-c", config, "--store", store.to_str().unwrap(), predictions, outcomes];
    haldane(&[&words, more].concat()).unwrap();
}

fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn texts(rows: &[WindowRow]) -> BTreeSet<String> {
    rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect()
}

#[test]
fn a_replay_leaves_every_result_in_the_store_and_a_second_one_adds_none() {
    let scratch = tempfile::tempdir().unwrap();
    let [store, windows, decisions] = ["store", "w.jsonl", "d.jsonl"].map(|name| scratch.path().join(name));
    let files = ["--windows", windows.to_str().unwrap(), "--decisions", decisions.to_str().unwrap()];
    replay_fraud(&store, &files);
    let kept = Store::open(store.to_str().unwrap()).unwrap();
    let stored = kept.windows(&everything()).unwrap();
    let written: Vec<WindowRow> = lines(&windows);
    assert!(written.len() > 10_000, "the log fills windows: {}", written.len());
    assert_eq!((stored.len(), texts(&stored)), (written.len(), texts(&written)));
    let mut written: Vec<Decision> = lines(&decisions);
    written.sort_by_key(|one| (one.time, one.sequence));
    assert_eq!(kept.decisions(&everything()).unwrap(), written);
    assert!(!kept.verdicts(&everything()).unwrap().is_empty());
    assert_eq!(kept.pipeline().unwrap(), "fraud");
    let files = kept.files().unwrap();
    assert_eq!(
        sizes(&files).keys().copied().collect::<Vec<_>>(),
        [
            StoreTable::Windows,
            StoreTable::Verdicts,
            StoreTable::Decisions,
            StoreTable::Panes,
            StoreTable::Columns,
            StoreTable::Quality
        ]
    );
    replay_fraud(&store, &[]);
    assert!(kept.files().unwrap() == files, "everything was recognised");
}

#[test]
fn a_selection_leaves_out_other_days_and_models() {
    let scratch = tempfile::tempdir().unwrap();
    replay_fraud(scratch.path(), &[]);
    let store = Store::open(scratch.path().to_str().unwrap()).unwrap();
    let all = store.windows(&everything()).unwrap();
    let middle = all[all.len() / 2].window_start;
    let model = all[0].model.clone();
    let before = RowFilter { model: Some(model), to: Some(middle), ..everything() };
    let after = RowFilter { from: Some(middle), ..everything() };
    let (before, after) = (store.windows(&before).unwrap(), store.windows(&after).unwrap());
    assert!(!before.is_empty() && before.len() + after.len() == all.len());
    assert!(before.iter().all(|row| row.window_start < middle));
    let nobody = RowFilter { model: Some("nobody".to_owned()), ..everything() };
    assert_eq!(store.windows(&nobody).unwrap(), []);
    let last = store.final_windows(&everything()).unwrap();
    assert!(last.len() <= all.len() && !last.is_empty());
}

#[test]
fn another_pipeline_and_no_store_at_all_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    replay_fraud(scratch.path(), &[]);
    let plan = Arc::new(world::plan(TUMBLING));
    let error = StoreWriter::open(scratch.path().to_str().unwrap(), &plan, OFTEN).unwrap_err();
    assert!(error.to_string().contains("is that of pipeline fraud"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    for url in [empty.path().to_str().unwrap(), "/no/such/place"] {
        let error = Store::open(url).unwrap_err();
        assert!(error.to_string().starts_with(&format!("there is no store at {url}")), "{error}");
        assert!(error.advice().unwrap().contains("haldane replay --store"));
    }
    assert_eq!(Store::open("ftp://host/x").unwrap_err().fault(), Fault::User);
}

/// An object store some of whose operations fail, as when the process is killed there, or the store is out of order for
/// a while; a write that fails may or may not have happened.
#[derive(Debug)]
pub(crate) struct Failing {
    pub(crate) inner: Arc<InMemory>,
    done: AtomicUsize,
    /// Numbers of the operations that fail.
    pub(crate) fails: Mutex<Range<usize>>,
    /// Whether the first of them happens all the same.
    happens: bool,
    /// Whether reading counts, or writing only.
    reading_too: bool,
}

impl Failing {
    /// Sound until its range is set.
    pub(crate) fn sound() -> Self {
        Self::during(0..0, false)
    }

    fn during(fails: Range<usize>, happens: bool) -> Self {
        let (inner, done) = (Arc::default(), AtomicUsize::new(0));
        Self { inner, done, fails: Mutex::new(fails), happens, reading_too: true }
    }

    /// Counts an operation; where it fails, whether it happens all the same.
    fn count(&self, is_read: bool) -> Option<bool> {
        if is_read && !self.reading_too {
            return None;
        }
        let number = self.done.fetch_add(1, Ordering::Relaxed);
        let fails = self.fails.lock().unwrap();
        fails.contains(&number).then_some(number == fails.start && self.happens)
    }
}

fn failure() -> ObjectError {
    ObjectError::Generic { store: "failing", source: "killed".into() }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, at: &ObjectPath, bytes: PutPayload, options: PutOptions) -> ObjectResult<PutResult> {
        let fails = self.count(false);
        if fails == Some(false) {
            return Err(failure());
        }
        let done = self.inner.put_opts(at, bytes, options).await;
        if fails.is_some() { Err(failure()) } else { done }
    }

    async fn put_multipart_opts(
        &self,
        at: &ObjectPath,
        options: PutMultipartOptions,
    ) -> ObjectResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &ObjectPath, options: GetOptions) -> ObjectResult<GetResult> {
        if self.count(true).is_some() {
            return Err(failure());
        }
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &ObjectPath, ranges: &[Range<u64>]) -> ObjectResult<Vec<Bytes>> {
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, ObjectResult<ObjectPath>>,
    ) -> BoxStream<'static, ObjectResult<ObjectPath>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, ObjectResult<ObjectMeta>> {
        if self.count(true).is_some() {
            return futures_util::stream::once(async { Err(failure()) }).boxed();
        }
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> ObjectResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &ObjectPath, to: &ObjectPath, options: CopyOptions) -> ObjectResult<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// One run of files at a time, and nobody reads what was replaced.
pub(crate) const PIECE: Keep = Keep { days: BTreeMap::new(), replaced_for: Duration::ZERO, bytes_max: 1 };

/// Results, decisions and panes.
type Said = (BTreeSet<String>, Vec<Decision>, BTreeSet<String>);

/// What survives a crash: the store, the states on their topic, and the offsets committed.
#[derive(Default)]
struct Durable {
    objects: Arc<InMemory>,
    states: BTreeMap<(String, String), haldane::verdict::RolloutState>,
    checkpoints: BTreeMap<u32, Checkpoint>,
    commits: u64,
    /// Whether the store is compacted after every commit, a piece at a time.
    tidied: bool,
    /// Writes of the last life.
    puts: usize,
}

impl Durable {
    /// Runs from the last commit until the log ends, or a write fails; whether it came to the end.
    fn live(&mut self, plan: &Arc<Plan>, log: &[Event], lanes: u32, crash: Option<(usize, bool)>) -> bool {
        let (fail_at, happens) = crash.unwrap_or((usize::MAX, true));
        let failing = Failing::during(fail_at..usize::MAX, happens);
        let failing = Arc::new(Failing { inner: Arc::clone(&self.objects), reading_too: false, ..failing });
        let every = Every { span: 6 * plan.time.pane, ..OFTEN };
        let mut writer = StoreWriter::over(Arc::clone(&failing) as Arc<dyn ObjectStore>, plan, every).unwrap();
        let mut engine = Engine::new(Arc::clone(plan), lanes).keeping_panes(true);
        engine.restore_rollouts(self.states.values().cloned().collect());
        let mut from = BTreeMap::new();
        for checkpoint in self.checkpoints.values() {
            engine.restore_lane(checkpoint);
            from.extend(checkpoint.streams.iter().map(|s| ((s.source, checkpoint.lane), s.low_water)));
        }
        let streams = world::streams(log, lanes);
        let mut alive = true;
        // Each life reads in another order, as another process would.
        let mut rng = Rng::new(7 + self.commits);
        world::feed(&mut engine, &streams, &from, (50, &mut rng), |engine, effects| {
            writer.take(&effects);
            // Records are stored before the states that keep the engine from saying them again.
            alive = !writer.holds_records() || writer.flush().is_ok();
            if !alive {
                return false;
            }
            for state in &effects.states {
                self.states.insert((state.model.clone(), state.candidate.clone()), state.clone());
            }
            if writer.is_due() {
                alive = writer.flush().is_ok();
            }
            if alive && writer.is_clean() {
                self.checkpoints.extend((0..lanes).map(|lane| (lane, engine.checkpoint(lane))));
                self.commits += 1;
                alive = !self.tidied || compact_over(Arc::clone(&failing) as Arc<dyn ObjectStore>, &PIECE).is_ok();
            }
            alive
        });
        let ended = alive && writer.flush().is_ok();
        self.puts = failing.done.load(Ordering::Relaxed);
        ended
    }

    fn store(&self) -> Store {
        Store::over(Arc::clone(&self.objects) as Arc<dyn ObjectStore>).unwrap()
    }

    /// The last revision of every result, whatever its number, and the decisions and panes.
    fn said(&self) -> Said {
        let store = self.store();
        let rows = store.windows(&everything()).unwrap();
        let unique: BTreeSet<String> = rows.iter().map(identity).collect();
        assert_eq!(unique.len(), rows.len(), "no result is stored twice");
        let last = store.final_windows(&everything()).unwrap();
        let last = last.into_iter().map(|row| WindowRow { revision: 0, ..row }).collect::<Vec<_>>();
        (texts(&last), store.decisions(&everything()).unwrap(), panes(&store))
    }
}

fn identity(row: &WindowRow) -> String {
    let bare = WindowRow {
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
    serde_json::to_string(&bare).unwrap()
}

/// Every pane's rows with their counts, as text; positions in the log depend on who read it.
pub(crate) fn panes(store: &Store) -> BTreeSet<String> {
    panes_before(store, Micros::MAX)
}

/// The same, of panes that start before a time.
pub(crate) fn panes_before(store: &Store, end: Micros) -> BTreeSet<String> {
    let mut all = Vec::new();
    for batch in store.batches(StoreTable::Panes, &everything()).unwrap() {
        let starts = batch["pane_start"].as_primitive::<TimestampMicrosecondType>().clone();
        let keep: Vec<usize> =
            (0..batch.num_columns()).filter(|&at| batch.schema().field(at).name() != "upto").collect();
        let batch: RecordBatch = batch.project(&keep).unwrap();
        let rows = (0..batch.num_rows()).filter(|&row| starts.value(row) < end);
        all.extend(rows.map(|row| format!("{:?}", batch.slice(row, 1))));
    }
    let unique: BTreeSet<String> = all.iter().cloned().collect();
    assert_eq!(unique.len(), all.len(), "no pane is stored twice");
    unique
}

#[test]
fn rows_are_neither_lost_nor_doubled_wherever_writing_breaks_off() {
    let log = world::log(7, 300);
    let plan = Arc::new(world::plan(TUMBLING));
    for lanes in [1, 2] {
        let mut whole = Durable::default();
        assert!(whole.live(&plan, &log, lanes, None));
        let expected = whole.said();
        assert!(expected.0.len() > 500 && !expected.1.is_empty() && expected.2.len() > 100, "the log is worth storing");
        let puts = whole.objects_written();
        for fail_at in (lanes as usize..puts).step_by(11) {
            for happens in [false, true] {
                let mut durable = Durable::default();
                let crashed = !durable.live(&plan, &log, lanes, Some((fail_at, happens)));
                assert!(crashed, "writes are counted alike");
                durable.live(&plan, &log, lanes, Some((fail_at / 2, !happens)));
                assert!(durable.live(&plan, &log, lanes, None));
                let how = format!("killed at write {fail_at} of {puts}, done {happens}, {lanes} lanes");
                same(&expected, &durable.said(), &how);
            }
        }
    }
}

/// What was said is told apart by its first difference, since all of it is long.
fn same(expected: &Said, found: &Said, how: &str) {
    let first = |left: &BTreeSet<String>, right: &BTreeSet<String>| left.difference(right).next().cloned();
    assert_eq!(first(&expected.0, &found.0), None, "lost: {how}");
    assert_eq!(first(&found.0, &expected.0), None, "added: {how}");
    assert_eq!(expected.1, found.1, "{how}");
    assert_eq!(first(&expected.2, &found.2), None, "lost pane: {how}");
    assert_eq!(first(&found.2, &expected.2), None, "added pane: {how}");
}

impl Durable {
    fn objects_written(&self) -> usize {
        let files = self.store().files().unwrap().len();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let manifests = ObjectPath::from("_manifests");
        let listed = runtime.block_on(self.objects.list_with_delimiter(Some(&manifests))).unwrap();
        files + listed.objects.len()
    }
}

#[test]
fn a_second_writer_is_noticed() {
    a_second_writer_is_told_so(&(Arc::new(InMemory::new()) as Arc<dyn ObjectStore>));
}

/// Two writers in turn: the first writes, the second is told, and what is stored stays whole.
pub(crate) fn a_second_writer_is_told_so(objects: &Arc<dyn ObjectStore>) {
    let log = world::log(7, 300);
    let plan = Arc::new(world::plan(TUMBLING));
    let open = || StoreWriter::over(Arc::clone(objects), &plan, OFTEN).unwrap();
    let mut writers = [open(), open()];
    let streams = world::streams(&log, 1);
    let mut engine = Engine::new(Arc::clone(&plan), 1);
    let (mut at, mut stored) = (0, 0);
    let mut problem = None;
    world::feed(&mut engine, &streams, &BTreeMap::new(), (50, &mut Rng::new(1)), |_, effects| {
        if !effects.windows.is_empty() {
            writers[at % 2].take(&effects);
            problem = writers[at % 2].flush().err();
            stored += if problem.is_none() { effects.windows.len() } else { 0 };
            at += 1;
        }
        problem.is_none()
    });
    let problem = problem.expect("the second one finds that another has written").to_string();
    assert!(problem.starts_with("another process writes to the store"), "{problem}");
    let store = Store::over(Arc::clone(objects)).unwrap();
    store.verify().unwrap();
    assert_eq!(store.windows(&everything()).unwrap().len(), stored);
    let again = writers[(at + 1) % 2].flush().expect_err("and so again").to_string();
    assert_eq!(again, problem);
}

#[test]
fn rows_are_neither_lost_nor_doubled_when_the_store_is_compacted_meanwhile() {
    let (plan, log) = stretched(300);
    let mut untidied = Durable::default();
    assert!(untidied.live(&plan, &log, 1, None));
    let expected = untidied.said();
    let mut whole = Durable { tidied: true, ..Durable::default() };
    assert!(whole.live(&plan, &log, 1, None));
    same(&expected, &whole.said(), "compacted meanwhile");
    let n_files = |durable: &Durable| durable.store().files().unwrap().len();
    assert!(n_files(&whole) < n_files(&untidied), "{} files, {} without", n_files(&whole), n_files(&untidied));
    for fail_at in (1..whole.puts).step_by(whole.puts / 8) {
        for happens in [false, true] {
            let mut durable = Durable { tidied: true, ..Durable::default() };
            assert!(!durable.live(&plan, &log, 1, Some((fail_at, happens))), "writes are counted alike");
            durable.live(&plan, &log, 1, Some((fail_at / 2, !happens)));
            assert!(durable.live(&plan, &log, 1, None));
            same(&expected, &durable.said(), &format!("killed at write {fail_at} of {}, done {happens}", whole.puts));
        }
    }
}

/// What is done about a flush that failed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    /// The same writer tries again.
    Again,
    /// The same, after a compaction.
    Compacted,
    /// The same, with what has been said since.
    Later,
    /// The store is opened anew, and everything is said again.
    Anew,
}

impl Then {
    const ALL: [Self; 4] = [Self::Again, Self::Compacted, Self::Later, Self::Anew];
}

/// Writes what was said, in that order; what is stored then, and after how many operations.
fn written(plan: &Arc<Plan>, said: &[Effects], failing: Failing, then: Then) -> Durable {
    let failing = Arc::new(failing);
    let objects = Arc::clone(&failing.inner);
    let over = || StoreWriter::over(Arc::clone(&failing) as Arc<dyn ObjectStore>, plan, OFTEN);
    let open = || (0..5).find_map(|_| over().ok()).unwrap();
    let (mut writer, mut at) = (open(), 0);
    while at < said.len() || !writer.is_clean() {
        if let Some(effects) = said.get(at) {
            writer.take(effects);
            at += 1;
            let tally = StreamCounts { next_offset: 10 * at as i64, rows: 10 * at as u64, ..StreamCounts::default() };
            writer.tally(0, 0, &tally);
        }
        let is_due = at == said.len() || writer.holds_records() || writer.is_due();
        let failed = is_due && writer.flush().is_err();
        match then {
            _ if !failed => {}
            Then::Again => writer.flush().unwrap(),
            Then::Compacted => {
                // There may be nothing yet to compact.
                let _ = compact_over(Arc::clone(&objects) as Arc<dyn ObjectStore>, &PIECE);
                writer.flush().unwrap();
            }
            Then::Later => {}
            Then::Anew => (writer, at) = (open(), 0),
        }
    }
    Durable { objects, puts: failing.done.load(Ordering::Relaxed), ..Durable::default() }
}

impl Durable {
    /// Every object by its name.
    fn bytes(&self) -> BTreeMap<String, Bytes> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut all = BTreeMap::new();
            let mut listed = self.objects.list(None);
            while let Some(meta) = listed.next().await {
                let at = meta.unwrap().location;
                all.insert(at.to_string(), self.objects.get(&at).await.unwrap().bytes().await.unwrap());
            }
            all
        })
    }

    /// The files that count, which are named by their content.
    fn files(&self) -> BTreeSet<String> {
        self.store().verify().unwrap();
        let files = self.store().files().unwrap();
        let paths: BTreeSet<String> = files.iter().map(|file| file.path.clone()).collect();
        assert_eq!(paths.len(), files.len(), "no file counts twice");
        paths
    }

    fn rows_read(&self) -> u64 {
        let batches = self.store().batches(StoreTable::Quality, &everything()).unwrap();
        batches.iter().flat_map(|batch| batch["rows"].as_primitive::<UInt64Type>().iter().flatten()).sum()
    }
}

#[test]
fn a_flush_that_fails_is_made_good_by_the_next_whichever_operation_it_was() {
    let plan = Arc::new(world::plan(TUMBLING));
    let mut said = Vec::new();
    let log = world::log(7, 300);
    let streams = world::streams(&log, 1);
    let mut engine = Engine::new(Arc::clone(&plan), 1).keeping_panes(true);
    // A few flushes are enough: all are alike.
    world::feed(&mut engine, &streams, &BTreeMap::new(), (50, &mut Rng::new(1)), |_, effects| {
        said.push(effects);
        said.iter().filter(|effects| !effects.states.is_empty()).count() < 3
    });
    let whole = written(&plan, &said, Failing::sound(), Then::Again);
    let (expected, bytes) = (whole.said(), whole.bytes());
    assert!(expected.0.len() > 50 && expected.2.len() > 10 && whole.rows_read() > 0, "it is worth storing");
    assert!((15..60).contains(&whole.puts), "{} operations", whole.puts);
    for number in 0..whole.puts {
        for (then, happens) in Then::ALL.into_iter().flat_map(|then| [(then, false), (then, true)]) {
            let how = format!("operation {number} of {}, done {happens}, {then:?}", whole.puts);
            let lasts = if then == Then::Later { 3 } else { 1 };
            let found = written(&plan, &said, Failing::during(number..number + lasts, happens), then);
            match then {
                Then::Again | Then::Anew => assert!(found.bytes() == bytes, "{how}"),
                Then::Compacted => assert!(found.files() == whole.files(), "{how}"),
                Then::Later => {
                    same(&expected, &found.said(), &how);
                    assert_eq!(found.rows_read(), whole.rows_read(), "{how}");
                }
            }
        }
    }
}
