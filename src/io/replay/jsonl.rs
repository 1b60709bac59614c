//! JSON lines: one event per line, or one envelope `{"topic", "partition", "timestamp_us", "value"}` per line.
//!
//! A file is read twice: first to learn its streams, then in blocks of a fixed number of lines. Every line has an
//! offset in its stream, also the bad ones; a line that is not JSON belongs to the stream of the file's first good
//! line.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Cursor, Read as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::decode::{Decoder, Record, json};
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::plan::Plan;

use super::columnar::with_arrival;
use super::file::{opened, unreadable};
use super::{ARRIVAL_NAMES, ARRIVAL_UNKNOWN, Block, Blocks, LANES_MAX, Offsets, Refused, Stream, route};

/// Lines that are decoded at once, over all streams of the file. Fixed, so that the order of rows depends on the file
/// alone.
const BLOCK_LINES: usize = 8192;

/// The longest line; a longer one means that the file holds something else.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// What some programs write before the first line.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Most foreign topics that a warning names.
const FOREIGN_MAX: usize = 8;

/// What a first reading of a file showed.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) streams: BTreeSet<Stream>,
    pub(super) rows: u64,
    pub(super) warnings: Vec<String>,
    router: Router,
}

/// Where the lines of a file go.
#[derive(Debug, Clone)]
struct Router {
    plan: Arc<Plan>,
    /// The source the file was named for.
    explicit: Option<u16>,
    /// Where lines go that do not say.
    home: Option<Stream>,
}

/// Where one line goes.
enum Route<'a> {
    /// To a stream, with its arrival time and payload.
    To(Stream, Micros, Option<&'a [u8]>),
    /// Nowhere: its topic is no source of the plan.
    Foreign(String),
    /// It does not say.
    Unknown,
}

impl Router {
    fn route<'a>(&self, line: &'a [u8]) -> Route<'a> {
        if let Ok(keys) = serde_json::from_slice(line) {
            return self.by_keys(&keys, line, line);
        }
        let Some(finite) = json::finite(line) else { return Route::Unknown };
        let keys = serde_json::from_slice(&finite);
        keys.map_or(Route::Unknown, |keys| self.by_keys(&keys, &finite, line))
    }

    /// Where a line goes by its keys, which stand at the same places in `read`.
    fn by_keys<'a>(&self, keys: &BTreeMap<String, &RawValue>, read: &[u8], line: &'a [u8]) -> Route<'a> {
        match (keys.get("topic"), keys.get("value")) {
            (Some(topic), Some(value)) => self.enveloped(keys, topic, &line[place_in(read, value.get().as_bytes())]),
            _ => self.bare(keys, line),
        }
    }

    fn enveloped<'a>(&self, keys: &BTreeMap<String, &RawValue>, topic: &RawValue, value: &'a [u8]) -> Route<'a> {
        let Ok(topic) = serde_json::from_str::<String>(topic.get()) else { return Route::Unknown };
        let Some(source) = self.explicit.or_else(|| route::by_topic(&self.plan, &topic)) else {
            return Route::Foreign(topic);
        };
        let lane = keys.get("partition").map_or(Ok(0), |lane| serde_json::from_str::<u32>(lane.get()));
        let Some(lane) = lane.ok().filter(|&lane| lane < LANES_MAX) else { return Route::Unknown };
        Route::To((source, lane), arrival(keys), (value != b"null").then_some(value))
    }

    fn bare<'a>(&self, keys: &BTreeMap<String, &RawValue>, line: &'a [u8]) -> Route<'a> {
        let has = |path: Option<&crate::plan::Path>, name: &str| {
            keys.contains_key(name) || path.and_then(|path| path.first()).is_some_and(|first| keys.contains_key(first))
        };
        match self.explicit.or_else(|| route::by_fields(&self.plan, has)) {
            Some(source) => Route::To((source, 0), arrival(keys), Some(line)),
            None => Route::Unknown,
        }
    }
}

fn arrival(keys: &BTreeMap<String, &RawValue>) -> Micros {
    let named = ARRIVAL_NAMES.iter().find_map(|&name| keys.get(name));
    named.and_then(|time| serde_json::from_str(time.get()).ok()).unwrap_or(ARRIVAL_UNKNOWN)
}

/// Reads a file once to learn its streams and how many lines it has.
pub(super) fn survey(plan: &Arc<Plan>, path: &Path, explicit: Option<u16>) -> Result<Survey> {
    let router = Router { plan: Arc::clone(plan), explicit, home: explicit.map(|source| (source, 0)) };
    let mut survey = Survey { streams: BTreeSet::new(), rows: 0, warnings: Vec::new(), router };
    let mut foreign: BTreeMap<String, u64> = BTreeMap::new();
    let mut unknown = false;
    let mut reader = Reader::open(path)?;
    let mut line = Vec::new();
    while reader.read(&mut line)? {
        survey.rows += 1;
        match survey.router.route(&line) {
            Route::To(stream, arrival, _) => {
                if arrival == ARRIVAL_UNKNOWN && plan.sources[usize::from(stream.0)].mapping.event_time.is_none() {
                    return Err(timeless(path, survey.rows));
                }
                survey.router.home.get_or_insert(stream);
                survey.streams.insert(stream);
            }
            Route::Foreign(topic) if foreign.len() < FOREIGN_MAX || foreign.contains_key(&topic) => {
                *foreign.entry(topic).or_default() += 1;
            }
            Route::Foreign(_) => {}
            Route::Unknown => unknown = true,
        }
        line.clear();
    }
    let home = survey.router.home.ok_or_else(|| homeless(path, plan, &foreign))?;
    survey.streams.extend(unknown.then_some(home));
    survey.warnings.extend(
        foreign.iter().map(|(topic, n)| format!("{n} lines of topic `{topic}` feed no source; they are skipped")),
    );
    Ok(survey)
}

fn timeless(path: &Path, line: u64) -> Error {
    Error::user(format!("{}: line {line} does not tell when it happened or arrived", path.display()))
        .hint(format!("map `event_time` in the pipeline, or give each line one of {}", ARRIVAL_NAMES.join(", ")))
}

fn homeless(path: &Path, plan: &Plan, foreign: &BTreeMap<String, u64>) -> Error {
    let topics: Vec<&str> = plan.sources.iter().map(|source| source.topic.as_str()).collect();
    if let Some(topic) = foreign.keys().next() {
        return Error::user(format!("{} holds topic `{topic}`, which feeds no source", path.display())).hint(format!(
            "the topics of pipeline {} are {}",
            plan.name,
            topics.join(", ")
        ));
    }
    Error::user(format!("{} holds no JSON object that fits a source of pipeline {}", path.display(), plan.name))
        .hint("each line must be one event, or an envelope with topic, partition, timestamp_us and value")
}

/// A file being read in blocks.
pub(super) struct Lines {
    path: Arc<Path>,
    router: Router,
    reader: Reader,
    decoders: BTreeMap<Stream, Box<dyn Decoder>>,
}

/// The lines of one stream in one block.
#[derive(Default)]
struct Run {
    first_offset: i64,
    records: Vec<(Micros, Option<Range<usize>>)>,
}

impl Lines {
    pub(super) fn open(plan: &Arc<Plan>, path: Arc<Path>, survey: Survey) -> Result<Self> {
        let decoder = |&stream: &Stream| -> (Stream, Box<dyn Decoder>) {
            (stream, Box::new(json::JsonDecoder::new(plan, stream.0, stream.1)))
        };
        let decoders = survey.streams.iter().map(decoder).collect();
        Ok(Self { reader: Reader::open(&path)?, path, router: survey.router, decoders })
    }

    /// Reads lines into `bytes` and sorts them by stream.
    fn runs(&mut self, bytes: &mut Vec<u8>, offsets: &mut Offsets) -> Result<BTreeMap<Stream, Run>> {
        let mut runs: BTreeMap<Stream, Run> = BTreeMap::new();
        for _ in 0..BLOCK_LINES {
            let from = bytes.len();
            if !self.reader.read(bytes)? {
                break;
            }
            let line = &bytes[from..];
            let routed = match self.router.route(line) {
                Route::To(stream, arrival, payload) => Some((stream, arrival, payload)),
                Route::Unknown => self.router.home.map(|home| (home, ARRIVAL_UNKNOWN, Some(line))),
                Route::Foreign(_) => None,
            };
            let Some((stream, arrival, payload)) = routed else { continue };
            let next = offsets.entry(stream).or_default();
            let run = runs.entry(stream).or_insert_with(|| Run { first_offset: *next, ..Run::default() });
            run.records.push((arrival, payload.map(|payload| place_in(bytes, payload))));
            *next += 1;
        }
        Ok(runs)
    }

    fn decode(&mut self, stream: Stream, run: &Run, bytes: &[u8]) -> Block {
        let taker = self.decoders.get_mut(&stream).expect("the survey saw every stream");
        for (offset, (arrival, payload)) in (run.first_offset..).zip(&run.records) {
            let payload = payload.clone().map(|range| &bytes[range]);
            taker.push(&Record { offset, broker_time: *arrival, key: None, payload, headers: &[] });
        }
        let decoded = taker.finish();
        let refused = decoded.rejects.into_iter().map(|reject| {
            let at = usize::try_from(reject.offset - run.first_offset).ok();
            let range = at.and_then(|at| run.records.get(at)).and_then(|(_, payload)| payload.clone());
            let payload = range.map(|range| String::from_utf8_lossy(&bytes[range]).into_owned());
            Refused { file: Arc::clone(&self.path), source: stream.0, lane: stream.1, reject, payload }
        });
        Block { refused: refused.collect(), batches: vec![with_arrival(decoded.batch)] }
    }
}

impl Blocks for Lines {
    fn next_block(&mut self, offsets: &mut Offsets) -> Result<Option<Block>> {
        let mut bytes = Vec::new();
        let runs = self.runs(&mut bytes, offsets)?;
        if bytes.is_empty() && runs.is_empty() {
            return Ok(None);
        }
        let mut all = Block::default();
        for (stream, run) in &runs {
            let block = self.decode(*stream, run, &bytes);
            all.batches.extend(block.batches);
            all.refused.extend(block.refused);
        }
        Ok(Some(all))
    }
}

/// Where a part of `bytes` stands in it.
fn place_in(bytes: &[u8], part: &[u8]) -> Range<usize> {
    let from = part.as_ptr().addr() - bytes.as_ptr().addr();
    from..from + part.len()
}

/// Reads lines without their line breaks.
pub(crate) struct Reader {
    path: Arc<Path>,
    file: Box<dyn BufRead + Send>,
    line: u64,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = Box::new(BufReader::with_capacity(1 << 18, opened(path)?));
        Ok(Self { file, path: path.into(), line: 0 })
    }

    /// Lines that are in memory; `name` is what errors call them.
    pub(crate) fn over(name: &Path, lines: Arc<[u8]>) -> Self {
        Self { file: Box::new(Cursor::new(lines)), path: name.into(), line: 0 }
    }

    /// The number of the line that was read last.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Appends the next line to `bytes`; false at the end of the file.
    pub(crate) fn read(&mut self, bytes: &mut Vec<u8>) -> Result<bool> {
        let from = bytes.len();
        let read = self.file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', bytes);
        let read = read.map_err(|error| unreadable(&self.path, error))?;
        self.line += 1;
        if read as u64 == LINE_BYTES_MAX {
            return Err(Error::user(format!("{}: line {} is longer than 64 MiB", self.path.display(), self.line))
                .hint("JSON lines hold one event per line; convert the file"));
        }
        if self.line == 1 && bytes[from..].starts_with(BYTE_ORDER_MARK) {
            bytes.drain(from..from + BYTE_ORDER_MARK.len());
        }
        let text = bytes[from..].trim_ascii_end().len();
        bytes.truncate(from + text);
        Ok(read > 0)
    }
}
