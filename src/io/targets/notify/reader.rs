//! Decisions of a rollout as they come on the control topic, and how far they were told.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::Result;
use crate::kafka::checkpoint::Stream;
use crate::kafka::cloud_event::{DECISION, attribute, body_of};
use crate::kafka::ports::{Cluster, Consumer, Incoming, Wait};
use crate::verdict::Decision;

/// How long new decisions are waited for at a time.
const WAIT: Wait = Wait { records_max: 64, first: Duration::from_millis(500), more: Duration::ZERO };

/// So many records before the first that was not told say which incidents stand.
const PAST: i64 = 1_000;

/// Reads the control topic, and remembers in the group's commits what was told.
pub(super) struct ControlReader {
    consumer: Box<dyn Consumer>,
    topic: String,
    rollout: String,
    /// Each partition, and the first offset that was not told.
    places: Vec<(Stream, i64)>,
    untold: VecDeque<ControlRecord>,
}

/// A record of the control topic.
pub(super) struct ControlRecord {
    lane: u32,
    offset: i64,
    /// The decision in it, if it is one of the rollout.
    pub(super) decision: Option<Decision>,
    /// The record as a `CloudEvent` in structured mode.
    pub(super) event: Value,
}

impl ControlReader {
    /// Begins where the last commit ends; a new group begins at the end of the topic.
    pub(super) fn open(cluster: &dyn Cluster, name: &str, rollout: &str) -> Result<Self> {
        let topic = &cluster.settings().topics.control;
        let consumer = cluster.consumer(&format!("{}.act.{name}", cluster.settings().group), name)?;
        let count = consumer.partitions(topic)?.unwrap_or(1);
        let of = |lane| Stream { source: 0, lane, topic: topic.clone(), kind: None };
        let streams: Vec<Stream> = (0..count).map(of).collect();
        let (committed, ends) = (consumer.committed(&streams)?, consumer.ends(&streams)?);
        let first = consumer.first(&streams)?;
        let mut places = Vec::new();
        for (((stream, committed), end), first) in streams.into_iter().zip(committed).zip(ends).zip(first) {
            let from = match committed {
                Some((offset, _)) if (first..=end).contains(&offset) => offset,
                Some((offset, _)) => {
                    tracing::warn!(adapter = name, offset, first, "decisions were deleted before they were told");
                    first
                }
                None => {
                    // Remembered at once: what is decided before the first commit is told by a later process.
                    consumer.commit(&[(stream.clone(), end, String::new())])?;
                    end
                }
            };
            places.push((stream, from));
        }
        consumer.assign(&places)?;
        let (topic, rollout) = (topic.clone(), rollout.to_owned());
        Ok(Self { consumer, topic, rollout, places, untold: VecDeque::new() })
    }

    /// Decisions before the first that was not told, the last of them.
    pub(super) fn past(&self, cluster: &dyn Cluster) -> Result<Vec<Decision>> {
        let mut past = Vec::new();
        cluster.read_last(&self.topic, PAST, &mut |record| {
            let heard = ControlRecord::of(record, &self.rollout);
            let place = self.places.iter().find(|(stream, _)| stream.lane == heard.lane);
            if place.is_some_and(|(_, from)| heard.offset < *from) {
                past.extend(heard.decision);
            }
        })?;
        Ok(past)
    }

    /// Waits a moment for records, unless some wait already.
    pub(super) fn poll(&mut self) -> Result<()> {
        if self.untold.is_empty() {
            let Self { consumer, untold, rollout, .. } = self;
            consumer.read(WAIT, &mut |records| {
                untold.extend(records.iter().map(|record| ControlRecord::of(*record, rollout)));
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The first record that was not told, if there is one already.
    pub(super) fn first(&self) -> Option<&ControlRecord> {
        self.untold.front()
    }

    /// How many decisions of the rollout were read and not taken.
    pub(super) fn untold(&self) -> usize {
        self.untold.iter().filter(|heard| heard.decision.is_some()).count()
    }

    /// Takes the first record. It counts as told with the next [`ControlReader::commit`].
    pub(super) fn take(&mut self) -> Option<ControlRecord> {
        let heard = self.untold.pop_front()?;
        if let Some((_, next)) = self.places.iter_mut().find(|(stream, _)| stream.lane == heard.lane) {
            *next = heard.offset + 1;
        }
        Some(heard)
    }

    /// All that was taken was told.
    pub(super) fn commit(&self) -> Result<()> {
        let offsets: Vec<_> = self.places.iter().map(|(stream, next)| (stream.clone(), *next, String::new())).collect();
        self.consumer.commit(&offsets)
    }

    /// Whether everything there is was taken.
    pub(super) fn is_at_end(&self) -> Result<bool> {
        let (streams, from): (Vec<Stream>, Vec<i64>) = self.places.iter().cloned().unzip();
        let (ends, at) = (self.consumer.ends(&streams)?, self.consumer.positions(&streams)?);
        Ok(self.untold.is_empty() && ends.iter().zip(at).zip(from).all(|((end, at), from)| at.unwrap_or(from) >= *end))
    }
}

impl ControlRecord {
    fn of(record: &dyn Incoming, rollout: &str) -> Self {
        let decision = body_of::<Decision>(record, DECISION).and_then(std::result::Result::ok);
        let decision = decision.filter(|decision| decision.rollout == rollout);
        let data =
            decision.as_ref().map(|_| serde_json::from_slice(record.payload().unwrap_or_default()).unwrap_or_default());
        let mut event = json!({ "datacontenttype": "application/json", "data": data.unwrap_or(Value::Null) });
        let names = ["specversion", "type", "source", "subject", "id", "time", "sequence", "severitytext", "drill"];
        for (name, value) in names.into_iter().filter_map(|name| Some((name, attribute(record, name)?))) {
            event[name] = value.into();
        }
        Self { lane: u32::try_from(record.partition()).unwrap_or_default(), offset: record.offset(), decision, event }
    }
}
