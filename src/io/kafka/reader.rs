//! One shard's reading: a consumer of its own, whole batches of borrowed records, decoded without a copy.
//!
//! A batch's records stay borrowed from the client until the batch is decoded: the decoders read the payloads where the
//! client put them, and a refused record is still at hand for the dead-letter topic.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use super::checkpoint::{Origin, Stream, list, offsets_at};
use super::clock::now;
use super::connection::trace_log;
use super::dead_letter::{self, readable_headers};
use super::producer::Producer;
use crate::batch::EventBatch;
use crate::decode::{Decoder, Record};
use crate::error::{Error, Result};
use crate::event::Reject;
use crate::plan::Plan;

/// The most records of one batch, unless told otherwise.
pub const BATCH_RECORDS_MAX: usize = 8_192;

/// How long a batch is filled after its first record.
const BATCH_WAIT: Duration = Duration::from_millis(5);

/// How long the first record is waited for.
const IDLE_WAIT: Duration = Duration::from_millis(50);

/// An answer about the ends of logs is good for so long at least: they are asked for about once a second.
const LOOK_MIN: Duration = Duration::from_secs(2);

/// What one batch brought of one stream.
#[derive(Debug)]
pub struct ReadPortion {
    /// Index of the source in the plan.
    pub source: u16,
    /// Partition.
    pub lane: u32,
    /// The good rows.
    pub batch: EventBatch,
    /// The refused ones; they are on their way to the dead-letter topic.
    pub rejects: Vec<Reject>,
    /// The next offset to read.
    pub next_offset: i64,
    /// Bytes of payload.
    pub bytes: u64,
}

/// How far one stream was read, and where its log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// The stream.
    pub stream: Stream,
    /// The next offset to read.
    pub next_offset: i64,
    /// The end of the log, or of the part that is to be read.
    pub end: i64,
}

impl Extent {
    /// Whether everything was read.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.next_offset >= self.end
    }
}

/// How long the ends of logs, once looked up, tell of silence: a process that was frozen, or is behind, knows nothing
/// of what came meanwhile.
pub(super) fn patience(plan: &Plan) -> Duration {
    Duration::from_micros(plan.time.idle_after.unsigned_abs()).max(LOOK_MIN)
}

/// Where refused records go.
#[derive(Clone)]
pub struct DeadLetters {
    /// The producer that takes them there.
    pub producer: Arc<Producer>,
    /// The topic.
    pub topic: String,
}

struct ReaderState {
    stream: Stream,
    decoder: Box<dyn Decoder>,
    next_offset: i64,
    /// Records from here on are not read (a bounded run).
    limit: Option<i64>,
    bytes: u64,
}

/// One shard's consumer and what it reads.
pub struct Reader {
    consumer: BaseConsumer<Member>,
    readings: Vec<ReaderState>,
    dead_letters: DeadLetters,
}

impl Reader {
    /// Takes over a consumer that has been given nothing to read yet.
    #[must_use]
    pub fn new(consumer: BaseConsumer<Member>, dead_letters: DeadLetters) -> Self {
        Self { consumer, readings: Vec::new(), dead_letters }
    }

    /// The consumer, for commits and look-ups.
    #[must_use]
    pub fn consumer(&self) -> &BaseConsumer<Member> {
        &self.consumer
    }

    /// Starts to read these streams instead of those before. With `bounded`, up to the ends that their origins name.
    pub fn assign(
        &mut self,
        origins: &[Origin],
        bounded: bool,
        mut decoder: impl FnMut(&Stream) -> Box<dyn Decoder>,
    ) -> Result<()> {
        let mut assignment = TopicPartitionList::new();
        for origin in origins {
            let one = list(std::slice::from_ref(&origin.stream), Offset::Offset(origin.offset))?;
            for element in one.elements() {
                assignment
                    .add_partition_offset(element.topic(), element.partition(), element.offset())
                    .map_err(unassignable)?;
            }
        }
        self.consumer.assign(&assignment).map_err(unassignable)?;
        let reading = |origin: &Origin| ReaderState {
            stream: origin.stream.clone(),
            decoder: decoder(&origin.stream),
            next_offset: origin.offset,
            limit: bounded.then_some(origin.end),
            bytes: 0,
        };
        self.readings = origins.iter().map(reading).collect();
        Ok(())
    }

    /// Stops reading.
    pub fn unassign(&mut self) -> Result<()> {
        self.readings.clear();
        self.consumer.unassign().map_err(unassignable)
    }

    /// A change of assignment that waits to be carried out, if any.
    #[must_use]
    pub fn rebalance(&self) -> Option<Rebalance> {
        self.consumer.context().next()
    }

    /// Reads and decodes one batch of at most so many records; empty when nothing came. Refused records are on their
    /// way when it returns.
    pub fn read(&mut self, records_max: usize) -> Result<Vec<ReadPortion>> {
        let messages = gather(&self.consumer, records_max)?;
        let mut at = 0;
        for message in &messages {
            // A record of a partition that was just revoked belongs to its new owner.
            if let Some(found) = find(&self.readings, at, message) {
                at = found;
                self.readings[at].take(message);
            }
        }
        let mut portions = Vec::new();
        for reading in self.readings.iter_mut().filter(|reading| reading.bytes > 0 || reading.decoder.n_pending() > 0) {
            let portion = reading.finish();
            bury(&self.dead_letters, &messages, &reading.stream, &portion.rejects)?;
            portions.push(portion);
        }
        Ok(portions)
    }

    /// How far every stream is, as the client tells it: past transaction markers too. Local, costs no request. For a
    /// bounded run the end is the limit, else `ends` as looked up before.
    fn extents(&mut self, ends: &[i64]) -> Result<Vec<Extent>> {
        let positions =
            self.consumer.position().map_err(|error| Error::external("cannot tell the position").because(error))?;
        for reading in &mut self.readings {
            let partition = i32::try_from(reading.stream.lane).unwrap_or(i32::MAX);
            if let Some(Offset::Offset(position)) =
                positions.find_partition(&reading.stream.topic, partition).map(|found| found.offset())
            {
                reading.next_offset = reading.next_offset.max(position);
            }
        }
        let extent = |(reading, &end): (&ReaderState, &i64)| Extent {
            stream: reading.stream.clone(),
            next_offset: reading.next_offset,
            end,
        };
        Ok(self.readings.iter().zip(ends).map(extent).collect())
    }

    /// How far every stream is, and where its log ends: one request per broker.
    pub fn look(&mut self) -> Result<Vec<Extent>> {
        let limits: Option<Vec<i64>> = self.readings.iter().map(|reading| reading.limit).collect();
        let ends = if let Some(limits) = limits {
            limits
        } else {
            let streams: Vec<Stream> = self.readings.iter().map(|reading| reading.stream.clone()).collect();
            offsets_at(&self.consumer, &streams, Offset::End)?
        };
        self.extents(&ends)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.consumer.context().close();
        // A change that nobody carried out would keep the client from closing.
        let _ = self.consumer.unassign();
    }
}

impl ReaderState {
    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let offset = message.offset();
        if self.limit.is_some_and(|limit| offset >= limit) {
            return;
        }
        let headers = readable_headers(message).unwrap_or_default();
        self.decoder.push(&record(message, &headers));
        self.next_offset = offset + 1;
        self.bytes += message.payload_len() as u64;
    }

    fn finish(&mut self) -> ReadPortion {
        let decoded = self.decoder.finish();
        ReadPortion {
            source: self.stream.source,
            lane: self.stream.lane,
            batch: decoded.batch,
            rejects: decoded.rejects,
            next_offset: self.next_offset,
            bytes: std::mem::take(&mut self.bytes),
        }
    }
}

/// A record as decoders see it.
pub fn record<'a>(message: &'a BorrowedMessage<'_>, headers: &'a [(&'a str, &'a [u8])]) -> Record<'a> {
    Record {
        offset: message.offset(),
        broker_time: message.timestamp().to_millis().unwrap_or(0) * 1_000,
        key: message.key(),
        payload: message.payload(),
        headers,
    }
}

/// Collects records until the batch is full or its time is over. The clock is read only when nothing is there.
fn gather(consumer: &BaseConsumer<Member>, records_max: usize) -> Result<Vec<BorrowedMessage<'_>>> {
    let mut messages = Vec::new();
    let mut deadline = None;
    while messages.len() < records_max {
        let mut polled = consumer.poll(Duration::ZERO);
        if polled.is_none() {
            let wait = match deadline {
                None => IDLE_WAIT,
                Some(deadline) => Instant::saturating_duration_since(&deadline, now()),
            };
            polled = consumer.poll(wait);
        }
        match polled {
            Some(Ok(message)) => messages.push(message),
            Some(Err(error)) => endure(error)?,
            None => break,
        }
        deadline.get_or_insert_with(|| now() + BATCH_WAIT);
    }
    Ok(messages)
}

/// Lets pass what the client mends by itself.
pub(super) fn endure(error: KafkaError) -> Result<()> {
    use RDKafkaErrorCode as Code;
    let lost = "records were deleted before they were read, or an input topic was made anew";
    let gone = "an input topic or partition is gone";
    let (what, hint) = match error.rdkafka_error_code() {
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
            (lost, "a restart says which, and goes on as `kafka.on_gap` says; raise the topic's retention")
        }
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
            (gone, "create it again, and use another `kafka.group`")
        }
        Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed) => {
            ("Kafka does not let this user read", "allow it to read the input topics and the group")
        }
        _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
            ("the Kafka consumer has failed for good", "restart: the work goes on from the last commit")
        }
        _ => {
            tracing::warn!(target: "librdkafka", %error, "reading goes on");
            return Ok(());
        }
    };
    Err(Error::external(what).because(error).hint(hint))
}

/// Finds the reading that a record belongs to; records of one stream come in runs, so the last one is tried first.
fn find(readings: &[ReaderState], last: usize, message: &BorrowedMessage<'_>) -> Option<usize> {
    let (topic, partition) = (message.topic(), message.partition());
    let fits =
        |reading: &ReaderState| i64::from(reading.stream.lane) == i64::from(partition) && reading.stream.topic == topic;
    if readings.get(last).is_some_and(fits) { Some(last) } else { readings.iter().position(fits) }
}

/// Sends each refused record, once however many of its rows were refused.
fn bury(letters: &DeadLetters, messages: &[BorrowedMessage<'_>], stream: &Stream, rejects: &[Reject]) -> Result<()> {
    let mut rejects = rejects.iter().peekable();
    for message in messages {
        let Some(reject) = rejects.peek() else { return Ok(()) };
        if message.offset() != reject.offset
            || message.topic() != stream.topic
            || i64::from(message.partition()) != i64::from(stream.lane)
        {
            continue;
        }
        dead_letter::send(&letters.producer, &letters.topic, message, reject)?;
        let done = reject.offset;
        while rejects.next_if(|next| next.offset == done).is_some() {}
    }
    Ok(())
}

fn unassignable(error: KafkaError) -> Error {
    Error::external("cannot change what is read").because(error)
}

/// A change of what a group member reads.
#[derive(Debug, Clone)]
pub enum Rebalance {
    /// These partitions are its own now.
    Assigned(Vec<(String, u32)>),
    /// What it had goes to others.
    Revoked,
}

/// What the consumer's callbacks leave for the shard: a change of assignment is carried out between two batches, when
/// nothing is borrowed and everything read has been passed on.
#[derive(Debug, Default)]
pub struct Member {
    changes: Mutex<VecDeque<Rebalance>>,
    closed: AtomicBool,
}

impl Member {
    /// The change that waits longest, if any.
    pub(super) fn next(&self) -> Option<Rebalance> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// From now on, changes are carried out at once.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        trace_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if self.closed.load(Ordering::Relaxed) {
            // Nobody will come for the change any more; the close waits for this call.
            let _ = consumer.unassign();
            return;
        }
        let change = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let own = list
                .elements()
                .iter()
                .filter_map(|one| Some((one.topic().to_owned(), u32::try_from(one.partition()).ok()?)))
                .collect();
            Rebalance::Assigned(own)
        } else {
            Rebalance::Revoked
        };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }
}
