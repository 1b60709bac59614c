//! The first records of a topic as lines of JSON, whatever envelope they came in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::decode::Record;
use crate::decode::binding::CLOUD_EVENT;
use crate::decode::cloudevents::{DATA, Mode, attributes, mode};
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::table::Table;

/// The first records of a topic.
#[derive(Debug)]
pub struct Sample {
    brokers: String,
    topic: String,
    /// By partition: what is in order in one need not be across them.
    lanes: BTreeMap<u32, Lane>,
    /// Records that are no JSON object, and what the first of them is.
    refused: u64,
    oddity: &'static str,
}

/// Records of one partition.
#[derive(Debug, Default)]
struct Lane {
    lines: Vec<u8>,
    times: Vec<Micros>,
}

impl Sample {
    /// Nothing yet of a topic of these brokers.
    #[must_use]
    pub fn new(brokers: &str, topic: &str) -> Self {
        let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
        Self { brokers, topic, lanes: BTreeMap::new(), refused: 0, oddity: "" }
    }

    /// Takes the next record of a partition.
    pub fn push(&mut self, lane: u32, record: &Record<'_>) {
        let Some(event) = event(record) else {
            if self.refused == 0 {
                self.oddity = oddity(record.payload.unwrap_or_default());
            }
            self.refused += 1;
            return;
        };
        let lane = self.lanes.entry(lane).or_default();
        lane.lines.extend(json!({ "topic": self.topic, "value": event }).to_string().as_bytes());
        lane.lines.push(b'\n');
        lane.times.push(record.broker_time);
    }

    /// Records taken, good and bad.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.lanes.values().map(|lane| lane.times.len() as u64).sum::<u64>() + self.refused
    }

    /// Where it is from.
    pub(super) fn address(&self) -> String {
        format!("kafka://{}/{}", self.brokers, self.topic)
    }

    pub(super) fn brokers(&self) -> &str {
        &self.brokers
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
        let (refused, n, oddity) = (self.refused, self.n(), self.oddity);
        (refused > 0)
            .then(|| format!("{refused} of {n} records of `{}` are no JSON objects; the first is {oddity}", self.topic))
    }

    fn useless(&self) -> Error {
        let (topic, n) = (&self.topic, self.n());
        if n == 0 {
            return Error::user(format!("topic `{topic}` holds no records"))
                .hint("send some first, or name a file of them");
        }
        Error::user(format!("none of {n} records of topic `{topic}` is a JSON object; the first is {}", self.oddity))
            .hint("JSON is read, plain or in CloudEvents; for Arrow IPC name a Parquet file of the same events, and add `format: arrow_ipc`")
    }
}

/// Whether a path leads to an attribute of a `CloudEvents` envelope.
pub(super) fn is_attribute(path: &[String]) -> bool {
    path.first().is_some_and(|first| first == CLOUD_EVENT)
}

/// What a record says, with the attributes of its envelope where pipelines find them.
fn event(record: &Record<'_>) -> Option<Map<String, Value>> {
    let Ok(Value::Object(mut event)) = serde_json::from_slice(record.payload?) else { return None };
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

/// What a record is that is no JSON object.
fn oddity(payload: &[u8]) -> &'static str {
    match payload {
        [] => "empty",
        [0xFF, 0xFF, 0xFF, 0xFF, ..] => "an Arrow IPC stream",
        [0, _, _, _, _, ..] => "binary, like Avro or Protobuf with a schema registry",
        _ if std::str::from_utf8(payload).is_err() => "binary",
        _ => "another text",
    }
}
