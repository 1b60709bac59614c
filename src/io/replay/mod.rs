//! Files instead of a broker: Parquet, Arrow, JSON lines and CSV, read as the streams they once were.
//!
//! A file feeds one source of the plan, or, when its lines are envelopes with a topic and a partition, several. All
//! files are merged by arrival time, those too that share a stream. Files may hold records of topics as they were. The
//! order of rows depends on the files alone, never on how many of them are taken at once.

mod ahead;
pub(crate) mod archive;
mod columnar;
pub(crate) mod events;
mod file;
mod jsonl;
mod merge;
mod progress;
mod route;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::batch::EventBatch;
use crate::decode::Record;
use crate::error::{Error, Result};
use crate::event::{Micros, Reject};
use crate::files::RowPosition;
use crate::kafka::ports::{Schemas, Unknown};
use crate::plan::Plan;

use self::ahead::Ahead;
use self::file::Input;
use self::merge::FileMerge;

pub use self::progress::ReplayProgress;

/// Rows that are handed on at once, unless asked otherwise.
pub const BATCH_ROWS: usize = 8192;

/// Most partitions an archive may name; a larger number is a damaged line.
const LANES_MAX: u32 = 65_536;

/// Arrival time of rows whose file does not tell it, while they are decoded: later event times are absurd. Afterwards
/// such rows count as having arrived when they happened. (2100-01-01)
const ARRIVAL_UNKNOWN: Micros = 4_102_444_800_000_000;

/// Columns and keys that may hold the arrival time, best first.
pub const ARRIVAL_NAMES: [&str; 4] = ["broker_time", "ingest_time", "arrival_time", "timestamp_us"];

/// One stream: source of the plan and partition.
type StreamKey = (u16, u32);

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// Files that feed the predictions source, whatever their columns look like.
    pub predictions: Vec<PathBuf>,
    /// Files that feed the outcomes source, whatever their columns look like.
    pub outcomes: Vec<PathBuf>,
    /// Most rows that are handed on at once; results do not depend on it.
    pub batch_rows: usize,
    /// Where the schemas are known that records in archives name.
    pub schemas: Arc<dyn Schemas>,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self { predictions: Vec::new(), outcomes: Vec::new(), batch_rows: BATCH_ROWS, schemas: Arc::new(Unknown) }
    }
}

/// What comes out of a replay, in order.
#[derive(Debug)]
pub enum ReplayStep {
    /// Rows of one stream.
    Batch(Box<EventBatch>),
    /// Rows that were refused; their neighbours are in the batches.
    Refused(Vec<Refused>),
    /// A stream ended for good.
    End {
        /// Index of the source in the plan.
        source: u16,
        /// The source partition.
        lane: u32,
        /// One past the last offset, refused rows included.
        next_offset: i64,
    },
}

/// One refused row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The file.
    pub file: Arc<Path>,
    /// Index of the source in the plan.
    pub source: u16,
    /// The source partition.
    pub lane: u32,
    /// Where it stands in the file.
    pub place: RowPosition,
    /// Where it stands in the log, and why it was refused.
    pub reject: Reject,
    /// The refused payload, where the file holds payloads.
    pub payload: Option<String>,
}

/// Files being replayed.
#[derive(Debug)]
pub struct Replay {
    steps: Ahead,
    lanes: u32,
    rows: u64,
    passed_over: Arc<AtomicU64>,
    warnings: Vec<String>,
}

/// Opens files for replay: recognises their formats, decides which source each one feeds and checks their columns, from
/// their headers alone (JSON lines are read once to find their streams). Then a thread of its own begins to read.
pub fn open(plan: &Arc<Plan>, files: &[PathBuf], options: &ReplayOptions) -> Result<Replay> {
    let mut inputs = Vec::new();
    let mut warnings = Vec::new();
    for (path, explicit) in listed(plan, files, options)? {
        let input = file::open(plan, path, explicit, &options.schemas)?;
        warnings.extend(input.warnings.iter().map(|warning| format!("{}: {warning}", path.display())));
        if input.rows == 0 {
            warnings.push(format!("{}: has no rows", path.display()));
        }
        inputs.push(input);
    }
    let streams: BTreeSet<StreamKey> = inputs.iter().flat_map(|input| input.streams.iter().copied()).collect();
    let lanes = streams.iter().map(|&(_, lane)| lane + 1).max().unwrap_or(1);
    let rows = inputs.iter().map(|input| input.rows).sum();
    note_begins(plan, &mut inputs)?;
    let merge = FileMerge::new(plan, inputs, unfed(plan, lanes, &streams), options.batch_rows.max(1));
    let passed_over = merge.passed_over();
    Ok(Replay { steps: Ahead::start(merge), lanes, rows, passed_over, warnings })
}

impl Replay {
    /// Number of source partitions.
    #[must_use]
    pub fn lanes(&self) -> u32 {
        self.lanes
    }

    /// Number of rows in all files, for progress: exact, except that quoted line breaks in CSV files count as rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Records that their source does not take, of all that were read so far.
    #[must_use]
    pub fn passed_over(&self) -> u64 {
        self.passed_over.load(Ordering::Relaxed)
    }

    /// What is odd about the files but does not stop the replay.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl Iterator for Replay {
    type Item = Result<ReplayStep>;

    fn next(&mut self) -> Option<Self::Item> {
        self.steps.next()
    }
}

/// Whether a file holds records of topics as they were.
pub fn is_archive(path: &Path) -> Result<bool> {
    archive::Archive::open(path).map(|archive| archive.is_some())
}

/// Hands on every record of an archive, with its partition.
pub fn each_archived(path: &Path, take: &mut dyn FnMut(u32, &Record<'_>)) -> Result<()> {
    let Some(archive) = archive::Archive::open(path)? else {
        return Err(
            Error::user(format!("{} holds no records of topics", path.display())).hint("name archives alone, or none")
        );
    };
    for record in archive.records(true)? {
        let record = record?;
        record.with(0, |of_topic| take(record.lane, of_topic));
    }
    Ok(())
}

/// Every file with the source it was named for, if any.
fn listed<'a>(plan: &Plan, files: &'a [PathBuf], options: &'a ReplayOptions) -> Result<Vec<(&'a Path, Option<u16>)>> {
    use crate::event::EventKind::{Outcome, Prediction};
    let mut all: Vec<(&Path, Option<u16>)> = files.iter().map(|path| (path.as_path(), None)).collect();
    for (kind, paths) in [(Prediction, &options.predictions), (Outcome, &options.outcomes)] {
        let Some(first) = paths.first() else { continue };
        let source = route::source_of(plan, kind).ok_or_else(|| {
            Error::user(format!("{} cannot be read as {}s", first.display(), kind.name()))
                .hint(format!("pipeline {} has no such source; add it under `sources`", plan.name))
        })?;
        all.extend(paths.iter().map(|path| (path.as_path(), Some(source))));
    }
    if all.is_empty() {
        return Err(Error::user("no files to replay").hint("name Parquet, Arrow, JSON or CSV files"));
    }
    Ok(all)
}

/// Notes when the files begin that share a stream with others, which decides about their order.
fn note_begins(plan: &Arc<Plan>, inputs: &mut [Input]) -> Result<()> {
    let mut files: BTreeMap<StreamKey, u32> = BTreeMap::new();
    inputs.iter().flat_map(|input| &input.streams).for_each(|stream| *files.entry(*stream).or_default() += 1);
    for input in inputs.iter_mut().filter(|input| input.streams.iter().any(|stream| files[stream] > 1)) {
        let first = input.clone().blocks(plan, BATCH_ROWS)?.next_block(&mut Offsets::new())?;
        let batches = first.map(|block| block.batches).unwrap_or_default();
        input.begins =
            batches.iter().flat_map(|batch| batch.broker_time.values()).min().copied().unwrap_or(Micros::MIN);
    }
    Ok(())
}

/// The streams of the plan that no file feeds.
fn unfed(plan: &Plan, lanes: u32, fed: &BTreeSet<StreamKey>) -> Vec<StreamKey> {
    let sources = 0..u16::try_from(plan.sources.len()).expect("a plan has few sources");
    let all = sources.flat_map(|source| (0..lanes).map(move |lane| (source, lane)));
    all.filter(|stream| !fed.contains(stream)).collect()
}

/// The next offset of each stream.
type Offsets = BTreeMap<StreamKey, i64>;

/// What one read of a file gave.
#[derive(Debug, Default)]
pub(crate) struct ReadBlock {
    pub(crate) batches: Vec<EventBatch>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) passed_over: u64,
}

/// A file being read.
trait Blocks {
    /// The next rows, or `None` at the end. Offsets are taken from `offsets`, and moved on there.
    fn next_block(&mut self, offsets: &mut Offsets) -> Result<Option<ReadBlock>>;
}
