//! Refused records: the original as it came, with the reason and the place beside it.

use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use super::producer::Producer;
use crate::error::Result;
use crate::event::Reject;

/// The most of a payload that is kept: below every broker's default limit for one record.
const PAYLOAD_BYTES_MAX: usize = 900_000;

/// Hands a refused record to the dead-letter topic. It must be acknowledged before an offset beyond it is committed.
pub fn send(producer: &Producer, topic: &str, message: &BorrowedMessage<'_>, reject: &Reject) -> Result<()> {
    let payload = message.payload().map(|payload| &payload[..payload.len().min(PAYLOAD_BYTES_MAX)]);
    let mut record = BaseRecord::to(topic).headers(headers(message, reject));
    (record.key, record.payload) = (message.key(), payload);
    producer.send(record)
}

fn headers(message: &BorrowedMessage<'_>, reject: &Reject) -> OwnedHeaders {
    let readable = readable_headers(message).and_then(|_| message.headers());
    let original = readable.map_or_else(OwnedHeaders::new, BorrowedHeaders::detach);
    let bytes = message.payload_len();
    let added = [
        ("haldane.reason", reject.reason.code().to_owned()),
        ("haldane.detail", reject.detail.clone()),
        ("haldane.source.topic", message.topic().to_owned()),
        ("haldane.source.partition", message.partition().to_string()),
        ("haldane.source.offset", message.offset().to_string()),
        ("haldane.source.row", reject.row.to_string()),
    ];
    let headers =
        added.iter().fold(original, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
    if bytes <= PAYLOAD_BYTES_MAX {
        return headers;
    }
    headers.insert(Header { key: "haldane.payload_bytes", value: Some(&bytes.to_string()) })
}

/// The headers of a record, or `None` when there are none or a name is not UTF-8. The client panics at such a name; one
/// producer with an odd encoding must not end the service.
pub fn readable_headers<'a>(message: &'a BorrowedMessage<'_>) -> Option<Vec<(&'a str, &'a [u8])>> {
    let headers = message.headers()?;
    let read = || headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).ok()
}
