//! Refused records: the original as it came, with the reason and the place beside it; and the way back.

use rdkafka::message::{BorrowedMessage, Header, Headers as _, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use super::connection::Connection;
use super::ports::{Incoming, Sink};
use super::producer::Producer;
use super::whole_topic;
use crate::error::Result;
use crate::event::{EventKind, Micros, Reject};

/// The most of a payload that is kept: below every broker's default limit for one record.
const PAYLOAD_BYTES_MAX: usize = 900_000;

/// What the headers that are added have before their name.
const ADDED: &str = "haldane.";
const REASON: &str = "haldane.reason";
const DETAIL: &str = "haldane.detail";
/// Whether the source that refused it is that of predictions, features, …
const KIND: &str = "haldane.source.kind";
const TOPIC: &str = "haldane.source.topic";
const PARTITION: &str = "haldane.source.partition";
const OFFSET: &str = "haldane.source.offset";
const ROW: &str = "haldane.source.row";
const PAYLOAD_BYTES: &str = "haldane.payload_bytes";
/// How often a record was sent back to where it came from.
const REDRIVEN: &str = "haldane.redriven";

/// Hands a refused record to the dead-letter topic. It must be acknowledged before an offset beyond it is committed.
pub fn send(producer: &dyn Sink, topic: &str, message: &dyn Incoming, reject: &Reject) -> Result<()> {
    send_of(producer, topic, message, reject, None)
}

/// The same of a record that a source of this kind refused; another may have taken it.
pub fn send_of(
    producer: &dyn Sink,
    topic: &str,
    message: &dyn Incoming,
    reject: &Reject,
    kind: Option<EventKind>,
) -> Result<()> {
    let payload = message.payload().map(|payload| &payload[..payload.len().min(PAYLOAD_BYTES_MAX)]);
    let mut record = BaseRecord::to(topic).headers(headers(message, reject, kind));
    (record.key, record.payload) = (message.key(), payload);
    producer.send(record)
}

fn headers(message: &dyn Incoming, reject: &Reject, kind: Option<EventKind>) -> OwnedHeaders {
    let original = message.headers_copied();
    let bytes = message.payload().map_or(0, <[u8]>::len);
    let added = [
        (REASON, reject.reason.code().to_owned()),
        (DETAIL, reject.detail.clone()),
        (TOPIC, message.topic().to_owned()),
        (PARTITION, message.partition().to_string()),
        (OFFSET, message.offset().to_string()),
        (ROW, reject.row.to_string()),
    ];
    let headers =
        added.iter().fold(original, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
    let headers = match kind {
        Some(kind) => headers.insert(Header { key: KIND, value: Some(kind.name()) }),
        None => headers,
    };
    if bytes <= PAYLOAD_BYTES_MAX {
        return headers;
    }
    headers.insert(Header { key: PAYLOAD_BYTES, value: Some(&bytes.to_string()) })
}

/// The headers of a record, or `None` when there are none or a name is not UTF-8. The client panics at such a name; one
/// producer with an odd encoding must not end the service.
pub fn readable_headers<'a>(message: &'a BorrowedMessage<'_>) -> Option<Vec<(&'a str, &'a [u8])>> {
    let headers = rdkafka::message::Message::headers(message)?;
    let read = || headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).ok()
}

/// A refused record as it stands in the dead-letter topic.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its partition and offset there.
    pub place: (i32, i64),
    /// When it was put there.
    pub time: Micros,
    /// Why it was refused: the code.
    pub reason: String,
    /// Why it was refused, in words.
    pub detail: String,
    /// Topic, partition and offset of the record.
    pub source: (String, i32, i64),
    /// Which row of the record, from 0.
    pub row: String,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's payload; its first bytes where it was too long.
    pub payload: Option<Vec<u8>>,
    /// How long the payload was, where not all of it was kept.
    pub cut_from: Option<String>,
    /// How often the record was sent back before.
    pub redriven: u32,
    /// The record's own headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl DeadLetter {
    /// Reads a letter; none if the record is none.
    pub(super) fn of(message: &dyn Incoming) -> Option<Self> {
        let headers = message.headers()?;
        let last = |name: &str| headers.iter().rfind(|(key, _)| *key == name).map(|(_, value)| *value);
        let text = |name: &str| last(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let own = headers.iter().filter(|(key, _)| !key.starts_with(ADDED));
        Some(Self {
            place: (message.partition(), message.offset()),
            time: message.time().unwrap_or(0),
            reason: text(REASON)?,
            detail: text(DETAIL)?,
            source: (text(TOPIC)?, text(PARTITION)?.parse().ok()?, text(OFFSET)?.parse().ok()?),
            row: text(ROW).unwrap_or_default(),
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            cut_from: text(PAYLOAD_BYTES),
            redriven: text(REDRIVEN).and_then(|times| times.parse().ok()).unwrap_or(0),
            headers: own.map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect(),
        })
    }

    /// Sends the record back to the partition that it came from, with its key and its own headers.
    ///
    /// # Errors
    /// When the client takes no more records.
    pub fn redrive(&self, producer: &Producer) -> Result<()> {
        let times = self.redriven.saturating_add(1).to_string();
        let own = self
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        let headers = own.insert(Header { key: REDRIVEN, value: Some(&times) });
        let mut record = BaseRecord::to(&self.source.0).partition(self.source.1).headers(headers);
        (record.key, record.payload) = (self.key.as_deref(), self.payload.as_deref());
        producer.send(record)
    }
}

/// Calls `take` with every dead letter; those of one partition come in their order. How many records are none.
///
/// # Errors
/// When the topic cannot be read.
pub fn read(connection: &Connection, topic: &str, mut take: impl FnMut(DeadLetter)) -> Result<u64> {
    let mut others = 0;
    whole_topic::read(connection, topic, |message| match DeadLetter::of(message) {
        Some(letter) => take(letter),
        None => others += 1,
    })?;
    Ok(others)
}
