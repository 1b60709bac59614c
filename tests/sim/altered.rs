//! Records with another payload, on their way to a reader: how bugs of pure logic are planted.
//!
//! The engine has no switch that makes it wrong. But a judge that is given the sum of two frames does what one would
//! that adds, and a scan that finds another id in an event that came before does what one would that forgets ids.

use std::collections::BTreeMap;

use haldane::error::Result;
use haldane::kafka::ports::Incoming;
use haldane::scan::frame::Frame;
use haldane::scan::{Body, GroupKey, Partial};
use rdkafka::message::OwnedHeaders;

/// A record with another one's payload.
struct Other<'a> {
    record: &'a dyn Incoming,
    payload: Option<Vec<u8>>,
}

impl Incoming for Other<'_> {
    fn topic(&self) -> &str {
        self.record.topic()
    }

    fn partition(&self) -> i32 {
        self.record.partition()
    }

    fn offset(&self) -> i64 {
        self.record.offset()
    }

    fn millis(&self) -> Option<i64> {
        self.record.millis()
    }

    fn key(&self) -> Option<&[u8]> {
        self.record.key()
    }

    fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    fn headers(&self) -> Option<Vec<(&str, &[u8])>> {
        self.record.headers()
    }

    fn headers_copied(&self) -> OwnedHeaders {
        self.record.headers_copied()
    }
}

/// Hands records on, each with the payload that is made for it.
pub(crate) fn hand_on(
    records: &[&dyn Incoming],
    payload: impl Fn(usize, &dyn Incoming) -> Option<Vec<u8>>,
    take: &mut dyn FnMut(&[&dyn Incoming]) -> Result<()>,
) -> Result<()> {
    let others = records.iter().enumerate().map(|(at, &record)| Other { record, payload: payload(at, record) });
    let others: Vec<Other<'_>> = others.collect();
    take(&others.iter().map(|one| one as &dyn Incoming).collect::<Vec<_>>())
}

/// What each lane told of each group in each pane.
#[derive(Debug, Default)]
pub(crate) struct Sums(BTreeMap<(u32, u16, i64, GroupKey, u8), Body>);

impl Sums {
    /// A frame of counts, added to those of the same place before.
    pub(crate) fn add(&mut self, record: &dyn Incoming) -> Option<Vec<u8>> {
        let payload = record.payload()?;
        let Ok(Frame::Partial(mut partial)) = Frame::decode(payload) else { return Some(payload.to_vec()) };
        let Partial { lane, source, pane, group, body, .. } = &mut *partial;
        let before = self.0.entry((*lane, *source, *pane, group.clone(), body.part()));
        before
            .and_modify(|before| match (&mut *body, &*before) {
                (Body::Traffic(now), Body::Traffic(before)) => now.rates.merge(&before.rates),
                (Body::QualityInTime(now), Body::QualityInTime(before))
                | (Body::QualityLate(now), Body::QualityLate(before))
                | (Body::QualityCorrected(now), Body::QualityCorrected(before)) => now.merge(before),
                _ => {}
            })
            .or_insert_with(|| body.clone());
        Some(Frame::Partial(partial).encode())
    }
}

/// Where each event came first.
#[derive(Debug, Default)]
pub(crate) struct Ids(BTreeMap<(String, Vec<u8>), i64>);

impl Ids {
    /// An event, with an id of its own if it has come before.
    pub(crate) fn renamed(&mut self, record: &dyn Incoming) -> Option<Vec<u8>> {
        let (key, payload) = (record.key()?.to_vec(), record.payload()?);
        let first = *self.0.entry((record.topic().to_owned(), key)).or_insert(record.offset());
        let text = String::from_utf8_lossy(payload);
        let renamed = text.replace("\"id\":\"", &format!("\"id\":\"{}-", record.offset()));
        Some(if first == record.offset() { payload.to_vec() } else { renamed.into_bytes() })
    }
}
