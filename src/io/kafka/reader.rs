//! One shard's reading: a consumer of its own, whole batches of borrowed records, decoded without a copy.
//!
//! A record whose schema nobody tells for now stays where it is, and so do those behind it in its partition: the
//! client is told to read the others, and goes on from there once the schema is known. Meanwhile it is polled as ever,
//! so that it stays in its group.
//!
//! A batch's records stay borrowed from the client until the batch is decoded: the decoders read the payloads where the
//! client put them, and a refused record is still at hand for the dead-letter topic.

use std::sync::Arc;
use std::time::Duration;

use super::checkpoint::{StartPosition, Stream};
use super::dead_letter;
use super::ports::{Consumer, Incoming, Rebalance, SchemaLookup, Schemas, Sink, Wait};
use crate::batch::EventBatch;
use crate::decode::schema::SchemaId;
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
    /// What the source does not take.
    pub passed_over: u64,
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
    pub producer: Arc<dyn Sink>,
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
    /// The schema that the next record needs, while nobody tells it.
    waits_for: Option<SchemaId>,
    /// The next stream of the same partition, which another source reads.
    also: Option<usize>,
}

/// One shard's consumer and what it reads.
pub struct ShardReader {
    consumer: Box<dyn Consumer>,
    readings: Vec<ReaderState>,
    dead_letters: DeadLetters,
    schemas: Arc<dyn Schemas>,
    /// Whether the consumer reads what does not wait for a schema, and nothing else.
    is_told: bool,
}

impl ShardReader {
    /// Takes over a consumer that has been given nothing to read yet.
    #[must_use]
    pub fn new(consumer: Box<dyn Consumer>, dead_letters: DeadLetters, schemas: Arc<dyn Schemas>) -> Self {
        Self { consumer, readings: Vec::new(), dead_letters, schemas, is_told: true }
    }

    /// The consumer, for commits and look-ups.
    #[must_use]
    pub fn consumer(&self) -> &dyn Consumer {
        self.consumer.as_ref()
    }

    /// Starts to read these streams instead of those before. With `bounded`, up to the ends that their origins name.
    pub fn assign(
        &mut self,
        origins: &[StartPosition],
        bounded: bool,
        mut decoder: impl FnMut(&Stream) -> Box<dyn Decoder>,
    ) -> Result<()> {
        self.consumer.assign(&places(origins.iter().map(|origin| (&origin.stream, origin.offset))))?;
        let reading = |(at, origin): (usize, &StartPosition)| ReaderState {
            stream: origin.stream.clone(),
            decoder: decoder(&origin.stream),
            next_offset: origin.offset,
            limit: bounded.then_some(origin.end),
            bytes: 0,
            waits_for: None,
            also: (at + 1..origins.len()).find(|&other| origins[other].stream.is_beside(&origin.stream)),
        };
        self.is_told = true;
        self.readings = origins.iter().enumerate().map(reading).collect();
        Ok(())
    }

    /// Stops reading.
    pub fn unassign(&mut self) -> Result<()> {
        self.readings.clear();
        self.is_told = true;
        self.consumer.unassign()
    }

    /// A change of assignment that waits to be carried out, if any.
    #[must_use]
    pub fn rebalance(&self) -> Option<Rebalance> {
        self.consumer.change()
    }

    /// Reads and decodes one batch of at most so many records; empty when nothing came. Refused records are on their
    /// way when it returns.
    pub fn read(&mut self, records_max: usize) -> Result<Vec<ReadPortion>> {
        self.go_on()?;
        let Self { consumer, readings, dead_letters, schemas, is_told } = self;
        let mut portions = Vec::new();
        let wait = Wait { records_max, first: IDLE_WAIT, more: BATCH_WAIT };
        consumer.read(wait, &mut |records| {
            let mut at = 0;
            for record in records {
                // A record of a partition that was just revoked belongs to its new owner.
                let mut of = find(readings, at, *record).inspect(|&found| at = found);
                while let Some(reading) = of.map(|of| &mut readings[of]) {
                    let was_waiting = reading.waits_for.is_some();
                    reading.take(*record, schemas.as_ref());
                    *is_told &= was_waiting || reading.waits_for.is_none();
                    of = reading.also;
                }
            }
            for reading in readings.iter_mut().filter(|reading| reading.bytes > 0 || reading.decoder.n_pending() > 0) {
                let portion = reading.finish();
                bury(dead_letters, records, &reading.stream, &portion.rejects)?;
                portions.push(portion);
            }
            Ok(())
        })?;
        Ok(portions)
    }

    /// Asks for the schemas that streams wait for, and has those read that do not.
    fn go_on(&mut self) -> Result<()> {
        for reading in &mut self.readings {
            let Some(id) = reading.waits_for.filter(|id| reading.learn(*id, self.schemas.as_ref())) else { continue };
            tracing::info!(topic = reading.stream.topic, partition = reading.stream.lane, schema = %id, "reading goes on");
            reading.waits_for = None;
            self.is_told = false;
        }
        if self.is_told {
            return Ok(());
        }
        let reads = self.readings.iter().filter(|reading| reading.waits_for.is_none());
        let places = places(reads.map(|reading| (&reading.stream, reading.next_offset)));
        self.is_told = true;
        self.consumer.assign(&places)
    }

    /// How far every stream is, as the client tells it: past transaction markers too. Local, costs no request. For a
    /// bounded run the end is the limit, else `ends` as looked up before.
    fn extents(&mut self, ends: &[i64]) -> Result<Vec<Extent>> {
        let positions = self.consumer.positions(&self.streams())?;
        // Of a stream that waits the client may have read more than was taken.
        let readings = self.readings.iter_mut().zip(positions).filter(|(reading, _)| reading.waits_for.is_none());
        for (reading, position) in readings {
            reading.next_offset = reading.next_offset.max(position.unwrap_or_default());
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
        let ends = if let Some(limits) = limits { limits } else { self.consumer.ends(&self.streams())? };
        self.extents(&ends)
    }

    fn streams(&self) -> Vec<Stream> {
        self.readings.iter().map(|reading| reading.stream.clone()).collect()
    }
}

impl Drop for ShardReader {
    fn drop(&mut self) {
        self.consumer.leave();
    }
}

impl ReaderState {
    fn take(&mut self, message: &dyn Incoming, schemas: &dyn Schemas) {
        let offset = message.offset();
        // Where two sources read a partition, it is read from the first offset that one of them needs.
        if self.waits_for.is_some() || offset < self.next_offset || self.limit.is_some_and(|limit| offset >= limit) {
            return;
        }
        let headers = message.headers().unwrap_or_default();
        let record = record(message, &headers);
        if let Some(id) = self.decoder.needs(&record)
            && !self.learn(id, schemas)
        {
            self.waits_for = Some(id);
            return;
        }
        self.decoder.push(&record);
        self.next_offset = offset + 1;
        self.bytes += message.payload().map_or(0, <[u8]>::len) as u64;
    }

    /// Tells the decoder of a schema, unless nobody answers for now.
    fn learn(&mut self, id: SchemaId, schemas: &dyn Schemas) -> bool {
        learn(self.decoder.as_mut(), id, schemas).is_ok()
    }

    fn finish(&mut self) -> ReadPortion {
        let decoded = self.decoder.finish();
        ReadPortion {
            source: self.stream.source,
            lane: self.stream.lane,
            batch: decoded.batch,
            rejects: decoded.rejects,
            passed_over: decoded.passed_over,
            next_offset: self.next_offset,
            bytes: std::mem::take(&mut self.bytes),
        }
    }
}

/// Hands a record to its decoder, which is told of the schema first that the record needs.
///
/// # Errors
/// When nobody tells the schema for now.
pub fn push(decoder: &mut dyn Decoder, record: &Record<'_>, schemas: &dyn Schemas) -> Result<()> {
    if let Some(id) = decoder.needs(record) {
        learn(decoder, id, schemas).map_err(|why| {
            Error::external(format!("nobody tells the schema {id}"))
                .because(why)
                .hint("see that the registry answers, or name a `cache` that has what it said")
        })?;
    }
    decoder.push(record);
    Ok(())
}

/// Tells a decoder of a schema, or that there is none.
///
/// # Errors
/// Why nobody tells for now.
fn learn(decoder: &mut dyn Decoder, id: SchemaId, schemas: &dyn Schemas) -> std::result::Result<(), String> {
    match schemas.find(id) {
        SchemaLookup::Here(texts) => decoder.learn(id, Some(&texts)),
        SchemaLookup::Missing => decoder.learn(id, None),
        SchemaLookup::Away(why) => return Err(why),
    }
    Ok(())
}

/// Where each partition is read from: the first offset that one of its streams needs.
fn places<'a>(streams: impl Iterator<Item = (&'a Stream, i64)>) -> Vec<(Stream, i64)> {
    let mut places: Vec<(Stream, i64)> = Vec::new();
    for (stream, offset) in streams {
        match places.iter_mut().find(|(known, _)| known.is_beside(stream)) {
            Some((_, first)) => *first = (*first).min(offset),
            None => places.push((stream.clone(), offset)),
        }
    }
    places
}

/// A record as decoders see it.
pub fn record<'a>(message: &'a (impl Incoming + ?Sized), headers: &'a [(&'a str, &'a [u8])]) -> Record<'a> {
    Record {
        offset: message.offset(),
        broker_time: message.millis().unwrap_or(0) * 1_000,
        key: message.key(),
        payload: message.payload(),
        headers,
        topic: message.topic(),
    }
}

/// Finds the first reading that a record belongs to. Records of one stream come in runs: the last one is tried first.
fn find(readings: &[ReaderState], last: usize, message: &dyn Incoming) -> Option<usize> {
    let (topic, partition) = (message.topic(), message.partition());
    let fits =
        |reading: &ReaderState| i64::from(reading.stream.lane) == i64::from(partition) && reading.stream.topic == topic;
    if readings.get(last).is_some_and(fits) { Some(last) } else { readings.iter().position(fits) }
}

/// Sends each refused record, once however many of its rows were refused.
fn bury(letters: &DeadLetters, messages: &[&dyn Incoming], stream: &Stream, rejects: &[Reject]) -> Result<()> {
    let mut rejects = rejects.iter().peekable();
    for message in messages {
        let Some(reject) = rejects.peek() else { return Ok(()) };
        if message.offset() != reject.offset
            || message.topic() != stream.topic
            || i64::from(message.partition()) != i64::from(stream.lane)
        {
            continue;
        }
        dead_letter::send_of(letters.producer.as_ref(), &letters.topic, *message, reject, stream.kind)?;
        let done = reject.offset;
        while rejects.next_if(|next| next.offset == done).is_some() {}
    }
    Ok(())
}
