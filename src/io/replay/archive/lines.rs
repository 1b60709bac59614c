//! Archives as lines of JSON, as `kcat -J` writes them: the bytes of a record are a text, in which bytes stand that are
//! no UTF-8.

use std::fmt;
use std::path::Path;

use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::{ArchivedRecord, ArchivedRecords};
use crate::error::Result;
use crate::event::Micros;
use crate::files::RowPosition;
use crate::files::records::Records;

/// So many records are looked at for the first that says something.
const TOMBSTONES_MAX: usize = 1_000;

/// Whether lines are records.
pub(super) fn are_archived(path: &Path) -> Result<bool> {
    let (mut reader, mut line) = (Records::open(path)?, Vec::new());
    for _ in 0..TOMBSTONES_MAX {
        line.clear();
        if !reader.read(&mut line)? {
            break;
        }
        match parsed(&line) {
            None => break,
            Some(ArchiveLine { payload: Some(_), .. }) => return Ok(true),
            Some(_) => {}
        }
    }
    Ok(false)
}

/// The records of lines.
pub(super) fn records(path: &Path) -> Result<ArchivedRecords> {
    let mut reader = Records::open(path)?;
    let mut line = Vec::new();
    Ok(Box::new(std::iter::from_fn(move || {
        line.clear();
        match reader.read(&mut line) {
            Ok(true) => Some(Ok(record(&line, RowPosition::Line(reader.line())))),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    })))
}

/// A line that is no record says what it holds; whoever decodes it refuses it.
fn record(line: &[u8], place: RowPosition) -> ArchivedRecord {
    let Some(read) = parsed(line) else {
        let payload = Some(line.to_vec());
        return ArchivedRecord { topic: None, lane: 0, arrival: None, key: None, payload, headers: Vec::new(), place };
    };
    let millis = read.ts.or(read.timestamp).filter(|millis| *millis >= 0).and_then(|millis| millis.checked_mul(1_000));
    ArchivedRecord {
        topic: Some(read.topic),
        lane: read.partition,
        arrival: millis.or(read.timestamp_us),
        key: read.key.map(|key| key.0),
        payload: read.payload.map(|payload| payload.0),
        headers: read.headers.map(|headers| headers.0).unwrap_or_default(),
        place,
    }
}

fn parsed(line: &[u8]) -> Option<ArchiveLine> {
    serde_json::from_slice(line).ok()
}

/// A record, and what stands beside it.
#[derive(Deserialize)]
struct ArchiveLine {
    topic: String,
    #[serde(default)]
    partition: u32,
    /// Milliseconds.
    ts: Option<Micros>,
    timestamp: Option<Micros>,
    timestamp_us: Option<Micros>,
    key: Option<TextBytes>,
    #[serde(alias = "value")]
    payload: Option<TextBytes>,
    headers: Option<Headers>,
}

/// The bytes of a text.
struct TextBytes(Vec<u8>);

impl<'de> Deserialize<'de> for TextBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = TextBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> std::result::Result<TextBytes, E> {
                Ok(TextBytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(TextVisitor)
    }
}

/// A list of names and values in turn, or an object.
struct Headers(Vec<(String, Vec<u8>)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct HeadersVisitor;
        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("headers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> std::result::Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some(name) = all.next_element::<String>()? {
                    let value =
                        all.next_element::<Option<TextBytes>>()?.ok_or_else(|| A::Error::custom("a bare name"))?;
                    headers.push((name, value.map(|value| value.0).unwrap_or_default()));
                }
                Ok(Headers(headers))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> std::result::Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some((name, value)) = all.next_entry::<String, Option<TextBytes>>()? {
                    headers.push((name, value.map(|value| value.0).unwrap_or_default()));
                }
                Ok(Headers(headers))
            }
        }
        deserializer.deserialize_any(HeadersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_kcat_are_records_byte_by_byte() {
        let line = b"{\"topic\":\"p\",\"partition\":3,\"offset\":7,\"tstype\":\"create\",\"ts\":1500,\"broker\":1,\
            \"headers\":[\"a\",\"1\",\"b\",null],\"key\":\"k\",\"payload\":\"\\u0000\\u0000\\u0000\\u0001\xff\\n\"}";
        let read = record(line, RowPosition::Line(1));
        assert_eq!((read.topic.as_deref(), read.lane, read.arrival), (Some("p"), 3, Some(1_500_000)));
        assert_eq!(read.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(read.payload.as_deref(), Some(&[0, 0, 0, 1, 0xff, b'\n'][..]));
        assert_eq!(read.headers, [("a".to_owned(), b"1".to_vec()), ("b".to_owned(), Vec::new())]);
        let tombstone = record(br#"{"topic":"p","key":null,"payload":null,"headers":{"a":"1"}}"#, RowPosition::Line(1));
        assert_eq!((tombstone.payload, tombstone.headers.len(), tombstone.arrival), (None, 1, None));
        assert!(parsed(br#"{"topic":"p","value":{"id":1}}"#).is_none(), "an event in an envelope is no record");
    }
}
