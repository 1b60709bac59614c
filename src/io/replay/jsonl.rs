//! JSON records: each is an event, or an envelope `{"topic", "partition", "timestamp_us", "value"}` of one.
//!
//! A file is read twice: first to learn its streams, then in blocks of a fixed number of records. Every record has an
//! offset in its stream, also the bad ones; one that is not JSON belongs to the stream of the file's first good one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::decode::time::from_float;
use crate::decode::{Decoder, Record, cell, decoder, json};
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::files::RowPosition;
use crate::files::records::Records;
use crate::plan::{Format, Plan, TimeFormat};

use super::columnar::with_arrival;
use super::{ARRIVAL_NAMES, ARRIVAL_UNKNOWN, Blocks, LANES_MAX, Offsets, ReadBlock, Refused, StreamKey, route};

/// Lines that are decoded at once, over all streams of the file. Fixed, so that the order of rows depends on the file
/// alone.
const BLOCK_LINES: usize = 8192;

/// Most foreign topics that a warning names.
const FOREIGN_MAX: usize = 8;

/// What a first reading of a file showed.
#[derive(Debug, Clone)]
pub(super) struct Survey {
    pub(super) streams: BTreeSet<StreamKey>,
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
    home: Option<StreamKey>,
}

/// Where one line goes.
enum Route<'a> {
    /// To these sources' streams of one partition, with its arrival time and payload.
    To(Vec<u16>, u32, Micros, Option<&'a [u8]>),
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
        let sources = self.explicit.map_or_else(|| route::by_topic(&self.plan, &topic).collect(), |one| vec![one]);
        if sources.is_empty() {
            return Route::Foreign(topic);
        }
        let lane = keys.get("partition").map_or(Ok(0), |lane| serde_json::from_str::<u32>(lane.get()));
        let Some(lane) = lane.ok().filter(|&lane| lane < LANES_MAX) else { return Route::Unknown };
        Route::To(sources, lane, arrival(keys), (value != b"null").then_some(value))
    }

    fn bare<'a>(&self, keys: &BTreeMap<String, &RawValue>, line: &'a [u8]) -> Route<'a> {
        let has = |path: Option<&crate::plan::Path>, name: &str| {
            keys.contains_key(name)
                || path.and_then(crate::plan::Path::first).is_some_and(|first| keys.contains_key(first))
        };
        match self.explicit.or_else(|| route::by_fields(&self.plan, has)) {
            Some(source) => Route::To(vec![source], 0, arrival(keys), Some(line)),
            None => Route::Unknown,
        }
    }
}

fn arrival(keys: &BTreeMap<String, &RawValue>) -> Micros {
    let named = ARRIVAL_NAMES.iter().find_map(|&name| keys.get(name));
    named.and_then(|time| instant(time)).unwrap_or(ARRIVAL_UNKNOWN)
}

/// A time in any spelling; bare numbers are microseconds.
fn instant(time: &RawValue) -> Option<Micros> {
    match serde_json::from_str(time.get()).ok()? {
        Value::String(text) => cell::instant(&text, TimeFormat::Micros),
        Value::Number(number) => number.as_i64().or_else(|| from_float(number.as_f64()?, TimeFormat::Micros)),
        _ => None,
    }
}

/// Reads a file once to learn its streams and how many lines it has.
pub(super) fn survey(plan: &Arc<Plan>, path: &Path, explicit: Option<u16>) -> Result<Survey> {
    let router = Router { plan: Arc::clone(plan), explicit, home: explicit.map(|source| (source, 0)) };
    let mut survey = Survey { streams: BTreeSet::new(), rows: 0, warnings: Vec::new(), router };
    let mut foreign: BTreeMap<String, u64> = BTreeMap::new();
    let mut unknown = false;
    let mut reader = Records::open(path)?;
    let mut line = Vec::new();
    while reader.read(&mut line)? {
        survey.rows += 1;
        match survey.router.route(&line) {
            Route::To(sources, partition, arrival, _) => {
                let is_timeless = |&source: &u16| plan.sources[usize::from(source)].mapping.event_time.is_none();
                if arrival == ARRIVAL_UNKNOWN && sources.iter().any(is_timeless) {
                    return Err(timeless(path, reader.line()));
                }
                for source in sources {
                    survey.router.home.get_or_insert((source, partition));
                    survey.streams.insert((source, partition));
                }
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
    survey.streams.iter().try_for_each(|(source, _)| route::check_origins(plan, *source, path))?;
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
pub(super) struct LineBlocks {
    path: Arc<Path>,
    router: Router,
    reader: Records,
    decoders: BTreeMap<StreamKey, Box<dyn Decoder>>,
}

/// One record: when it arrived, where its payload stands among the bytes of the block, and its line in the file.
struct RecordLine {
    arrival: Micros,
    payload: Option<Range<usize>>,
    at: u64,
}

/// The lines of one stream in one block.
#[derive(Default)]
struct StreamLines {
    first_offset: i64,
    records: Vec<RecordLine>,
}

impl LineBlocks {
    pub(super) fn open(plan: &Arc<Plan>, path: Arc<Path>, survey: Survey) -> Result<Self> {
        let of_stream = |&stream: &StreamKey| -> (StreamKey, Box<dyn Decoder>) {
            let decoder: Box<dyn Decoder> = match plan.sources[usize::from(stream.0)].format {
                Format::OpenInference => decoder(plan, stream.0, stream.1),
                // Whatever the records were, the lines are JSON.
                Format::Json | Format::ArrowIpc | Format::Avro | Format::Protobuf | Format::Otlp => {
                    Box::new(json::JsonDecoder::new(plan, stream.0, stream.1))
                }
            };
            (stream, decoder)
        };
        let decoders = survey.streams.iter().map(of_stream).collect();
        Ok(Self { reader: Records::open(&path)?, path, router: survey.router, decoders })
    }

    /// Reads lines into `bytes` and sorts them by stream.
    fn runs(&mut self, bytes: &mut Vec<u8>, offsets: &mut Offsets) -> Result<BTreeMap<StreamKey, StreamLines>> {
        let mut runs: BTreeMap<StreamKey, StreamLines> = BTreeMap::new();
        for _ in 0..BLOCK_LINES {
            let from = bytes.len();
            if !self.reader.read(bytes)? {
                break;
            }
            let line = &bytes[from..];
            let routed = match self.router.route(line) {
                Route::To(sources, partition, arrival, payload) => Some((sources, partition, arrival, payload)),
                Route::Unknown => {
                    self.router.home.map(|(source, lane)| (vec![source], lane, ARRIVAL_UNKNOWN, Some(line)))
                }
                Route::Foreign(_) => None,
            };
            let Some((sources, partition, arrival, payload)) = routed else { continue };
            let (payload, at) = (payload.map(|payload| place_in(bytes, payload)), self.reader.line());
            for stream in sources.into_iter().map(|source| (source, partition)) {
                let next = offsets.entry(stream).or_default();
                let run =
                    runs.entry(stream).or_insert_with(|| StreamLines { first_offset: *next, ..StreamLines::default() });
                run.records.push(RecordLine { arrival, payload: payload.clone(), at });
                *next += 1;
            }
        }
        Ok(runs)
    }

    fn decode(&mut self, stream: StreamKey, run: &StreamLines, bytes: &[u8]) -> ReadBlock {
        let taker = self.decoders.get_mut(&stream).expect("the survey saw every stream");
        for (offset, line) in (run.first_offset..).zip(&run.records) {
            let payload = line.payload.clone().map(|range| &bytes[range]);
            taker.push(&Record { offset, broker_time: line.arrival, key: None, payload, headers: &[], topic: "" });
        }
        let decoded = taker.finish();
        let passed_over = decoded.passed_over;
        let refused = decoded.rejects.into_iter().map(|reject| {
            let at = usize::try_from(reject.offset - run.first_offset).ok();
            let line = at.and_then(|at| run.records.get(at));
            let range = line.and_then(|line| line.payload.clone());
            let payload = range.map(|range| String::from_utf8_lossy(&bytes[range]).into_owned());
            let place = RowPosition::Line(line.map_or(0, |line| line.at));
            Refused { file: Arc::clone(&self.path), source: stream.0, lane: stream.1, place, reject, payload }
        });
        ReadBlock { refused: refused.collect(), batches: vec![with_arrival(decoded.batch)], passed_over }
    }
}

impl Blocks for LineBlocks {
    fn next_block(&mut self, offsets: &mut Offsets) -> Result<Option<ReadBlock>> {
        let mut bytes = Vec::new();
        let runs = self.runs(&mut bytes, offsets)?;
        if bytes.is_empty() && runs.is_empty() {
            return Ok(None);
        }
        let mut all = ReadBlock::default();
        for (stream, run) in &runs {
            let block = self.decode(*stream, run, &bytes);
            all.batches.extend(block.batches);
            all.refused.extend(block.refused);
            all.passed_over += block.passed_over;
        }
        Ok(Some(all))
    }
}

/// Where a part of `bytes` stands in it.
fn place_in(bytes: &[u8], part: &[u8]) -> Range<usize> {
    let from = part.as_ptr().addr() - bytes.as_ptr().addr();
    from..from + part.len()
}
