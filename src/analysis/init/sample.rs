//! The first records of a topic as lines of JSON, whatever envelope they came in; Arrow tables, a line for each row.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::rows::rows;
use crate::config::KafkaConfig;
use crate::decode::Record;
use crate::decode::arrow_ipc::tables;
use crate::decode::cloudevents::{ContentMode, DATA, attributes, mode};
use crate::decode::frame;
use crate::decode::object::object;
use crate::decode::origin::CLOUD_EVENT;
use crate::decode::schema::{SchemaId, SchemaTexts};
use crate::decode::whole::{RecordReader, otlp};
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::plan::{Format, Frame};
use crate::table::Table;

/// How an Arrow IPC stream begins.
const ARROW: [u8; 4] = [0xFF; 4];
/// The most rows that are taken of one record.
const ROWS_MAX: usize = 10_000;

/// The first records of a topic.
#[derive(Debug)]
pub struct TopicSample {
    cluster: KafkaConfig,
    topic: String,
    /// Where schemas were looked for.
    registry: Option<String>,
    /// How its records are written.
    format: Format,
    /// What names the schemas of its records, if something does.
    frame: Option<Frame>,
    /// Records that wait for their schemas.
    framed: Vec<FramedRecord>,
    /// By partition: what is in order in one need not be across them.
    lanes: BTreeMap<u32, SampledLane>,
    /// Records that hold no events, and what the first of them is.
    refused: u64,
    oddity: &'static str,
}

/// A record that names its schema.
#[derive(Debug)]
struct FramedRecord {
    lane: u32,
    time: Micros,
    id: SchemaId,
    headers: Vec<(String, Vec<u8>)>,
    payload: Vec<u8>,
}

/// Records of one partition.
#[derive(Debug, Default)]
struct SampledLane {
    lines: Vec<u8>,
    times: Vec<Micros>,
}

impl TopicSample {
    /// Nothing yet of a topic of this cluster.
    #[must_use]
    pub fn new(cluster: &KafkaConfig, topic: &str) -> Self {
        let (cluster, topic) = (cluster.clone(), topic.to_owned());
        let (format, frame, framed) = (Format::Json, None, Vec::new());
        Self { cluster, topic, registry: None, format, frame, framed, lanes: BTreeMap::new(), refused: 0, oddity: "" }
    }

    /// Takes the next record of a partition; returns how many events it holds. What the first good record of the topic
    /// is, all must be.
    pub fn push(&mut self, lane: u32, record: &Record<'_>) -> usize {
        if self.hold(lane, record) {
            return 1;
        }
        let payload = record.payload.unwrap_or_default();
        let (format, events) = if payload.starts_with(&ARROW) {
            (Format::ArrowIpc, arrow_events(record))
        } else if let Some(event) = event(record) {
            (Format::Json, vec![event])
        } else {
            (Format::Otlp, otlp(payload).iter().flat_map(|table| rows(table, 1)).collect())
        };
        self.take(lane, record, format, events)
    }

    /// Takes the events of a record, unless they are written otherwise than those before.
    fn take(&mut self, lane: u32, record: &Record<'_>, format: Format, events: Vec<Map<String, Value>>) -> usize {
        if self.lanes.is_empty() && !events.is_empty() {
            self.format = format;
        }
        if events.is_empty() || format != self.format {
            if self.refused == 0 {
                self.oddity = oddity(record.payload.unwrap_or_default());
            }
            self.refused += 1;
            return 0;
        }
        let n = events.len();
        let lane = self.lanes.entry(lane).or_default();
        for event in events {
            lane.lines.extend(json!({ "topic": self.topic, "value": event }).to_string().as_bytes());
            lane.lines.push(b'\n');
            lane.times.push(record.broker_time);
        }
        n
    }

    /// Whether a record names a schema, which it then waits for.
    fn hold(&mut self, lane: u32, record: &Record<'_>) -> bool {
        let Some(payload) = record.payload.filter(|payload| object(payload).is_none()) else { return false };
        let Some(found) = frame::id(Frame::Auto, record, payload) else { return false };
        // Numbers of Apicurio's own frame have eight bytes, of which the first are zero.
        let frame = if found == SchemaId::Number(0) { Frame::Apicurio8 } else { Frame::Auto };
        let Some(id) = frame::id(frame, record, payload) else { return false };
        self.frame = Some(frame);
        let headers = record.headers.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        let time = record.broker_time;
        self.framed.push(FramedRecord { lane, time, id, headers, payload: payload.to_vec() });
        true
    }

    /// Reads the records that name schemas, by what is known of these at a place: a registry, or a folder of files.
    ///
    /// # Errors
    /// When nothing is known of any, and there are no others.
    pub fn learn(&mut self, place: Option<&str>, find: &dyn Fn(SchemaId) -> Option<SchemaTexts>) -> Result<()> {
        self.registry = place.map(str::to_owned);
        let Some((first, frame)) = self.framed.first().map(|record| record.id).zip(self.frame) else { return Ok(()) };
        let mut known: BTreeMap<SchemaId, Option<std::result::Result<RecordReader, String>>> = BTreeMap::new();
        let (mut n_known, framed) = (0, std::mem::take(&mut self.framed));
        for FramedRecord { lane, time, id, headers, payload } in framed {
            let headers: Vec<(&str, &[u8])> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
            let record = Record {
                offset: 0,
                broker_time: time,
                key: None,
                payload: Some(&payload),
                headers: &headers,
                topic: "",
            };
            let Ok(framed) = frame::of(frame, &record, &payload) else {
                self.take(lane, &record, self.format, Vec::new());
                continue;
            };
            if let Some(event) = event(&Record { payload: Some(&framed.body), ..record }) {
                n_known += 1;
                self.take(lane, &record, Format::Json, vec![event]);
                continue;
            }
            let schema = known.entry(id).or_insert_with(|| find(id).map(|texts| RecordReader::new(&texts)));
            let read = schema.as_mut().and_then(|schema| schema.as_mut().ok());
            let (format, table) = match read {
                Some(whole) => (whole.format(), whole.read(&framed).ok()),
                None => (self.format, None),
            };
            n_known += usize::from(table.is_some());
            self.take(lane, &record, format, table.iter().flat_map(|table| rows(table, 1)).collect());
        }
        if n_known > 0 {
            return Ok(());
        }
        self.frame = None;
        if !self.lanes.is_empty() {
            return Ok(());
        }
        let why = known
            .remove(&first)
            .flatten()
            .and_then(std::result::Result::err)
            .unwrap_or_else(|| "it is not known".to_owned());
        Err(Error::user(format!("records of topic `{}` name schema {first}, and {why}", self.topic))
            .hint("say where schemas are with --registry: the URL of a registry, or a folder of files such as 42.avsc"))
    }

    /// Events taken, and records that hold none.
    #[must_use]
    pub fn n(&self) -> u64 {
        let held = self.framed.len() as u64;
        self.lanes.values().map(|lane| lane.times.len() as u64).sum::<u64>() + self.refused + held
    }

    /// Where it is from.
    pub(super) fn address(&self) -> String {
        format!("kafka://{}/{}", self.cluster.brokers, self.topic)
    }

    pub(super) fn cluster(&self) -> &KafkaConfig {
        &self.cluster
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Where schemas were looked for.
    pub(super) fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// What names the schemas of its records, if something does.
    pub(super) fn frame(&self) -> Option<Frame> {
        self.frame
    }

    /// When its rows arrived, in the order of [`TopicSample::table`].
    pub(super) fn arrivals(&self) -> impl Iterator<Item = Micros> {
        self.lanes.values().flat_map(|lane| lane.times.iter().copied())
    }

    /// The rows with which further partitions begin.
    pub(super) fn starts(&self) -> BTreeSet<u64> {
        let ends = self.lanes.values().scan(0, |end, lane| {
            *end += lane.times.len() as u64;
            Some(*end)
        });
        ends.collect()
    }

    /// Its rows, partition after partition.
    pub(super) fn table(&self) -> Result<Table> {
        if self.lanes.is_empty() {
            return Err(self.useless());
        }
        let lines: Vec<u8> = self.lanes.values().flat_map(|lane| &lane.lines).copied().collect();
        let mut table = Table::of_lines(Path::new(&self.address()), lines)?;
        // What an event says of itself comes before what its envelope says.
        table.columns.sort_by_key(|column| is_attribute(&column.path));
        Ok(table)
    }

    /// What is worth telling of records that were left out.
    pub(super) fn odd(&self) -> Option<String> {
        let (refused, oddity) = (self.refused, self.oddity);
        let wanted = match self.format {
            Format::ArrowIpc => "Arrow IPC streams with rows",
            Format::Otlp => "requests of OpenTelemetry",
            Format::Avro | Format::Protobuf => "records whose schema is known",
            Format::Json | Format::OpenInference => "JSON objects",
        };
        (refused > 0).then(|| format!("{refused} records of `{}` are no {wanted}; the first is {oddity}", self.topic))
    }

    fn useless(&self) -> Error {
        let (topic, n) = (&self.topic, self.n());
        if n == 0 {
            return Error::user(format!("topic `{topic}` holds no records"))
                .hint("send some first, or name a file of them");
        }
        Error::user(format!("none of {n} records of topic `{topic}` holds an event; the first is {}", self.oddity))
            .hint("JSON is read, plain or in CloudEvents, Arrow IPC streams, OTLP, and what names a schema")
    }
}

/// Whether a path leads to an attribute of a `CloudEvents` envelope.
pub(super) fn is_attribute(path: &[String]) -> bool {
    path.first().is_some_and(|first| first == CLOUD_EVENT)
}

/// What a record says, with the attributes of its envelope where pipelines find them.
fn event(record: &Record<'_>) -> Option<Map<String, Value>> {
    let mut event = object(record.payload?)?;
    let said: Map<String, Value> = match mode(record.headers) {
        ContentMode::Plain => return Some(event),
        ContentMode::Binary => {
            attributes(record.headers).map(|(name, value)| (name.to_owned(), value.into())).collect()
        }
        ContentMode::Structured => {
            let Some(Value::Object(data)) = event.remove(DATA) else { return None };
            std::mem::replace(&mut event, data)
        }
    };
    event.insert(CLOUD_EVENT.to_owned(), Value::Object(said));
    Some(event)
}

/// The rows of a record that is an Arrow IPC stream; none, if it is a broken one.
fn arrow_events(record: &Record<'_>) -> Vec<Map<String, Value>> {
    let tables = tables(record.payload.unwrap_or_default()).unwrap_or_default();
    tables.iter().flat_map(|table| rows(table, ROWS_MAX)).take(ROWS_MAX).collect()
}

/// What a record is that holds no event.
fn oddity(payload: &[u8]) -> &'static str {
    match payload {
        [] => "empty",
        payload if payload.starts_with(&ARROW) => "an Arrow IPC stream that is broken, empty, or among records of JSON",
        [0, _, _, _, _, ..] => "binary, like Avro or Protobuf with a schema registry",
        _ if std::str::from_utf8(payload).is_err() => "binary",
        _ => "another text",
    }
}
