//! The first records of a topic as lines of JSON, whatever envelope they came in; Arrow tables, a line for each row.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::rows::rows;
use crate::config::KafkaConfig;
use crate::decode::Record;
use crate::decode::arrow_ipc::tables;
use crate::decode::cloudevents::{DATA, Mode, attributes, mode};
use crate::decode::object::object;
use crate::decode::origin::CLOUD_EVENT;
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::table::Table;

/// How an Arrow IPC stream begins.
const ARROW: [u8; 4] = [0xFF; 4];
/// The most rows that are taken of one record.
const ROWS_MAX: usize = 10_000;

/// The first records of a topic.
#[derive(Debug)]
pub struct Sample {
    cluster: KafkaConfig,
    topic: String,
    /// Whether its events are rows of Arrow tables.
    is_arrow: bool,
    /// By partition: what is in order in one need not be across them.
    lanes: BTreeMap<u32, SampledLane>,
    /// Records that hold no events, and what the first of them is.
    refused: u64,
    oddity: &'static str,
}

/// Records of one partition.
#[derive(Debug, Default)]
struct SampledLane {
    lines: Vec<u8>,
    times: Vec<Micros>,
}

impl Sample {
    /// Nothing yet of a topic of this cluster.
    #[must_use]
    pub fn new(cluster: &KafkaConfig, topic: &str) -> Self {
        let (cluster, topic) = (cluster.clone(), topic.to_owned());
        Self { cluster, topic, is_arrow: false, lanes: BTreeMap::new(), refused: 0, oddity: "" }
    }

    /// Takes the next record of a partition; returns how many events it holds. What the first good record of the topic
    /// is, all must be.
    pub fn push(&mut self, lane: u32, record: &Record<'_>) -> usize {
        let is_arrow = record.payload.is_some_and(|payload| payload.starts_with(&ARROW));
        let events = if is_arrow { arrow_events(record) } else { event(record).into_iter().collect() };
        if self.lanes.is_empty() {
            self.is_arrow = is_arrow;
        }
        if events.is_empty() || is_arrow != self.is_arrow {
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

    /// Events taken, and records that hold none.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.lanes.values().map(|lane| lane.times.len() as u64).sum::<u64>() + self.refused
    }

    /// Where it is from.
    pub(super) fn address(&self) -> String {
        format!("kafka://{}/{}", self.cluster.brokers, self.topic)
    }

    pub(super) fn cluster(&self) -> &KafkaConfig {
        &self.cluster
    }

    pub(super) fn is_arrow(&self) -> bool {
        self.is_arrow
    }

    /// When its rows arrived, in the order of [`Sample::table`].
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
        let wanted = if self.is_arrow { "Arrow IPC streams with rows" } else { "JSON objects" };
        (refused > 0).then(|| format!("{refused} records of `{}` are no {wanted}; the first is {oddity}", self.topic))
    }

    fn useless(&self) -> Error {
        let (topic, n) = (&self.topic, self.n());
        if n == 0 {
            return Error::user(format!("topic `{topic}` holds no records"))
                .hint("send some first, or name a file of them");
        }
        Error::user(format!("none of {n} records of topic `{topic}` holds an event; the first is {}", self.oddity))
            .hint("JSON is read, plain or in CloudEvents, and Arrow IPC streams")
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
        Mode::Plain => return Some(event),
        Mode::Binary => attributes(record.headers).map(|(name, value)| (name.to_owned(), value.into())).collect(),
        Mode::Structured => {
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
