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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// Predictions and outcomes on topics of their own, and predictions again on the first.
    const TWO: &str = "sources: { predictions: { topic: a.p, id: id, version: v, event_time: t, score: s }, \
                       outcomes: { topic: a.o, id: id, label: y, event_time: t } }\nrollout: { baseline: v1 }\n";

    fn plan(text: &str) -> Arc<Plan> {
        config::parse(text, "p.yaml", Path::new("")).unwrap_or_else(|error| panic!("{error}")).plan
    }

    fn router(explicit: Option<u16>) -> Router {
        Router { plan: plan(TWO), explicit, home: None }
    }

    /// Where a line goes, in words: sources, lane, arrival and payload; a topic that feeds nothing; or nowhere.
    fn routed(by: &Router, text: &str) -> String {
        match by.route(text.as_bytes()) {
            Route::To(sources, lane, arrival, payload) => {
                let arrival = if arrival == ARRIVAL_UNKNOWN { "?".to_owned() } else { arrival.to_string() };
                let payload = payload.map_or("none".into(), String::from_utf8_lossy);
                format!("{sources:?}/{lane} at {arrival}: {payload}")
            }
            Route::Foreign(topic) => format!("foreign {topic}"),
            Route::Unknown => "nowhere".to_owned(),
        }
    }

    #[test]
    fn a_line_goes_where_its_topic_or_its_fields_say() {
        let cases = [
            (r#"{"topic":"a.p","value":{"id":1}}"#, r#"[0]/0 at ?: {"id":1}"#),
            (r#"{"topic":"p","partition":3,"value":{"id":1}}"#, r#"[0]/3 at ?: {"id":1}"#),
            (r#"{"topic":"b.o","partition":0,"timestamp_us":7,"value":[1]}"#, "[1]/0 at 7: [1]"),
            (r#"{"topic":"a.p","value":null}"#, "[0]/0 at ?: none"),
            (r#"{"topic":"x","value":{}}"#, "foreign x"),
            (r#"{"topic":1,"value":{}}"#, "nowhere"),
            (r#"{"topic":"a.p","partition":-1,"value":{}}"#, "nowhere"),
            (r#"{"topic":"a.p","partition":"0","value":{}}"#, "nowhere"),
            (r#"{"topic":"a.p","partition":65535,"value":{}}"#, "[0]/65535 at ?: {}"),
            (r#"{"topic":"a.p","partition":65536,"value":{}}"#, "nowhere"),
            (r#"{"topic":"a.p","v":"v1","s":0.5}"#, r#"[0]/0 at ?: {"topic":"a.p","v":"v1","s":0.5}"#),
            (r#"{"id":1,"y":1}"#, r#"[1]/0 at ?: {"id":1,"y":1}"#),
            (r#"{"id":1,"y":1,"s":0.5}"#, r#"[0]/0 at ?: {"id":1,"y":1,"s":0.5}"#),
            ("[1]", "nowhere"),
            ("{", "nowhere"),
            ("", "nowhere"),
        ];
        for (line, place) in cases {
            assert_eq!(routed(&router(None), line), place, "{line}");
        }
        assert_eq!(routed(&router(Some(1)), r#"{"s":0.5}"#), r#"[1]/0 at ?: {"s":0.5}"#, "the file was named for it");
        assert_eq!(routed(&router(Some(1)), r#"{"topic":"x","value":{}}"#), "[1]/0 at ?: {}");
    }

    #[test]
    fn numbers_that_json_does_not_have_leave_the_payload_as_it_is() {
        let line = r#"{"topic":"a.p","partition":2,"value":{"s":NaN,"x":-Infinity}}"#;
        assert_eq!(routed(&router(None), line), r#"[0]/2 at ?: {"s":NaN,"x":-Infinity}"#);
        let bare = r#"{"s":NaN,"v":"v1"}"#;
        assert_eq!(routed(&router(None), bare), format!("[0]/0 at ?: {bare}"));
    }

    #[test]
    fn when_a_line_arrived_is_told_by_the_best_of_its_names_in_any_spelling() {
        let cases = [
            (r#""broker_time":5"#, "5"),
            (r#""timestamp_us":5,"broker_time":6"#, "6"),
            (r#""ingest_time":"1970-01-01T00:00:01Z""#, "1000000"),
            (r#""arrival_time":5.25"#, "5"),
            (r#""broker_time":"5""#, "5"),
            (r#""broker_time":null,"timestamp_us":7"#, "?"),
            (r#""broker_time":true"#, "?"),
            (r#""broker_time":1e300"#, "?"),
        ];
        for (keys, expected) in cases {
            let line = format!(r#"{{"topic":"a.p",{keys},"value":0}}"#);
            assert_eq!(routed(&router(None), &line), format!("[0]/0 at {expected}: 0"), "{keys}");
        }
    }

    fn file(lines: &[&str]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), lines.join("\n") + "\n").expect("written");
        file
    }

    #[test]
    fn a_survey_knows_every_stream_and_where_odd_lines_belong() {
        let lines = file(&[
            "no JSON",
            r#"{"topic":"a.o","partition":4,"value":{}}"#,
            r#"{"topic":"a.p","value":{}}"#,
            r#"{"topic":"x","value":{}}"#,
            r#"{"topic":"x","value":{}}"#,
        ]);
        let survey = survey(&plan(TWO), lines.path(), None).expect("a survey");
        assert_eq!((survey.rows, survey.router.home), (5, Some((1, 4))), "the first good line's");
        assert_eq!(survey.streams, [(0, 0), (1, 4)].into());
        assert_eq!(survey.warnings, ["2 lines of topic `x` feed no source; they are skipped"]);
    }

    #[test]
    fn odd_lines_of_a_file_that_was_named_for_a_source_are_its_first_lanes() {
        let lines = file(&["no JSON", r#"{"topic":"a.o","partition":4,"value":{}}"#]);
        let survey = survey(&plan(TWO), lines.path(), Some(1)).expect("a survey");
        assert_eq!(survey.streams, [(1, 0), (1, 4)].into(), "no good line is of its first lane");
    }

    #[test]
    fn so_many_foreign_topics_are_named_and_no_more() {
        let foreign: Vec<String> =
            (0..FOREIGN_MAX + 3).map(|at| format!(r#"{{"topic":"x{at:02}","value":{{}}}}"#)).collect();
        let all: Vec<&str> = foreign.iter().map(String::as_str).chain([foreign[0].as_str(), r#"{"y":1}"#]).collect();
        let lines = file(&all);
        let survey = survey(&plan(TWO), lines.path(), None).expect("a survey");
        assert_eq!(survey.warnings.len(), FOREIGN_MAX);
        assert_eq!(survey.warnings[0], "2 lines of topic `x00` feed no source; they are skipped");
    }

    #[test]
    fn a_file_that_fits_nothing_says_why() {
        let refused = |text: &str, lines: &[&str]| {
            let file = file(lines);
            let error = survey(&plan(text), file.path(), None).map(|_| ()).expect_err("no source");
            let place = format!("{}", file.path().display());
            (error.to_string().replace(&place, "F"), error.advice().unwrap_or_default().to_owned())
        };
        let (error, hint) = refused(TWO, &[r#"{"topic":"x","value":{}}"#]);
        assert_eq!(error, "F holds topic `x`, which feeds no source");
        assert_eq!(hint, "the topics of pipeline pipeline are a.p, a.o");
        assert_eq!(refused(TWO, &["no JSON"]).0, "F holds no JSON object that fits a source of pipeline pipeline");
        let timeless = "sources: { predictions: { topic: p, id: id, version: v, score: s } }";
        let (error, hint) = refused(timeless, &[r#"{"s":1,"broker_time":1}"#, r#"{"s":1}"#]);
        assert_eq!(error, "F: line 2 does not tell when it happened or arrived");
        assert!(
            hint.ends_with("or give each line one of broker_time, ingest_time, arrival_time, timestamp_us"),
            "{hint}"
        );
    }

    /// Where a line was refused: its place in the file, its stream, and its offset there.
    type RefusedAt = (String, StreamKey, i64);

    /// What is read of lines: offsets of rows by stream, and the places and offsets of those that were refused.
    fn read(text: &str, lines: &[&str]) -> (Vec<(StreamKey, Vec<i64>)>, Vec<RefusedAt>) {
        let (plan, file) = (plan(text), file(lines));
        let survey = survey(&plan, file.path(), None).expect("a survey");
        let mut blocks = LineBlocks::open(&plan, file.path().into(), survey).expect("a file");
        let mut offsets = Offsets::new();
        let block = blocks.next_block(&mut offsets).expect("read").expect("lines");
        assert!(blocks.next_block(&mut offsets).expect("read").is_none());
        let rows = block.batches.iter().map(|batch| ((batch.source, batch.lane), batch.offset.values().to_vec()));
        let refused =
            block.refused.iter().map(|one| (one.place.to_string(), (one.source, one.lane), one.reject.offset));
        (rows.collect(), refused.collect())
    }

    #[test]
    fn every_record_has_an_offset_in_its_stream_also_a_bad_one() {
        let good = |lane: u32, id: u32| {
            format!(
                r#"{{"topic":"a.p","partition":{lane},"value":{{"id":"{id}","v":"v1","t":"2026-01-01T00:00:00Z","s":0.5}}}}"#
            )
        };
        let lines =
            [good(0, 1), good(1, 2), "no JSON".to_owned(), r#"{"topic":"x","value":{}}"#.to_owned(), good(0, 3)];
        let (rows, refused) = read(TWO, &lines.each_ref().map(String::as_str));
        assert_eq!(rows, [((0, 0), vec![0, 2]), ((0, 1), vec![0])], "one of another topic has none");
        assert_eq!(refused, [("line 3".to_owned(), (0, 0), 1)]);
    }

    #[test]
    fn a_line_that_two_sources_read_is_offered_to_both() {
        let text = "sources: { predictions: { topic: t, id: id, version: v, event_time: t, score: s, where: { k: p } }, \
                    outcomes: { topic: t, id: id, label: y, event_time: t, where: { k: o } } }\nrollout: { baseline: v1 }\n";
        let lines = [
            r#"{"topic":"t","value":{"k":"p","id":"1","v":"v1","t":"2026-01-01T00:00:00Z","s":0.5}}"#,
            r#"{"topic":"t","value":{"k":"o","id":"1","y":1,"t":"2026-01-01T00:00:00Z"}}"#,
        ];
        let (rows, refused) = read(text, &lines);
        assert_eq!(rows, [((0, 0), vec![0]), ((1, 0), vec![1])]);
        assert!(refused.is_empty());
    }
}
