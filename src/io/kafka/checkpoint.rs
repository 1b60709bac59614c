//! Progress as offset commits: the low-water offset of every stream, and in the commit's metadata what the scan must
//! remember to do exactly the same again.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::clock::now;
use super::connection::REQUEST_TIMEOUT;
use crate::config::OnGap;
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::scan::{Checkpoint, CheckpointMeta, Lost, Pace, StreamCheckpoint};
use crate::time::Clock;

/// One input partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Index of the source in the plan.
    pub source: u16,
    /// Partition.
    pub lane: u32,
    /// Topic.
    pub topic: String,
}

impl Stream {
    fn partition(&self) -> i32 {
        i32::try_from(self.lane).expect("Kafka counts partitions in 31 bits")
    }
}

/// Where one stream starts, and what is in its log now.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// The stream.
    pub stream: Stream,
    /// First offset to read.
    pub offset: i64,
    /// End of the log when it was looked up.
    pub end: i64,
    /// What was committed with the offset; `None` for a stream read for the first time.
    pub meta: Option<CheckpointMeta>,
}

/// Looks up where each stream starts: at its committed low-water offset, else at the beginning of its log.
///
/// # Errors
/// Where it is to halt, when the record at a committed offset is not there any more. It was deleted, or its topic was
/// made anew: then the offset is beyond the end of the log, and offsets mean other records now.
pub fn origins<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    streams: &[Stream],
    on_gap: OnGap,
) -> Result<Vec<Origin>> {
    if streams.is_empty() {
        return Ok(Vec::new());
    }
    let committed = committed(consumer, streams)?;
    let first = offsets_at(consumer, streams, Offset::Beginning)?;
    let end = offsets_at(consumer, streams, Offset::End)?;
    let bounds = first.into_iter().zip(end);
    streams.iter().zip(bounds).map(|(stream, bounds)| origin(stream, &committed, bounds, on_gap)).collect()
}

/// A coordinator that has just been made or moved refuses for a moment; polling passes the time and serves the client.
fn committed<C: ConsumerContext>(consumer: &BaseConsumer<C>, streams: &[Stream]) -> Result<TopicPartitionList> {
    use RDKafkaErrorCode as Code;
    let deadline = now() + REQUEST_TIMEOUT;
    loop {
        let answer = consumer.committed_offsets(list(streams, Offset::Invalid)?, REQUEST_TIMEOUT);
        let code = answer.as_ref().err().and_then(KafkaError::rdkafka_error_code);
        let passing = [Code::NotCoordinator, Code::CoordinatorNotAvailable, Code::CoordinatorLoadInProgress];
        match answer {
            Err(_) if code.is_some_and(|code| passing.contains(&code)) && now() < deadline => {
                drop(consumer.poll(Duration::from_millis(50)));
            }
            answer => return answer.map_err(unread),
        }
    }
}

fn unread(error: KafkaError) -> Error {
    Error::external("cannot read the committed offsets").because(error)
}

fn origin(stream: &Stream, committed: &TopicPartitionList, (first, end): (i64, i64), on_gap: OnGap) -> Result<Origin> {
    let saved = committed.find_partition(&stream.topic, stream.partition());
    let (mut offset, mut meta) = (first, None);
    if let Some((saved, Offset::Offset(low_water))) = saved.map(|saved| {
        let offset = saved.offset();
        (saved, offset)
    }) {
        saved.error().map_err(unread)?;
        offset = low_water;
        meta = metadata(saved.metadata(), stream)?;
    }
    if (first..=end).contains(&offset) {
        return Ok(Origin { stream: stream.clone(), offset, end, meta });
    }
    let (place, anew) = (format!("{}/{}", stream.topic, stream.lane), offset > end);
    let gone = if anew {
        format!("committed offset {offset} of {place} is beyond the end of its log, {end}: it was made anew")
    } else {
        format!("records {offset} to {} of {place} were deleted before they were read", first - 1)
    };
    if on_gap == OnGap::Halt {
        return Err(Error::user(gone).hint(
            "`kafka: { on_gap: resume }` goes on with what is there; windows that lack records are judged by the rest",
        ));
    }
    tracing::warn!(from = first, "{gone}; going on with what is there");
    let meta =
        meta.map(
            |meta| if anew { made_anew(meta) } else { CheckpointMeta { lost: Some(deleted(first - offset)), ..meta } },
        );
    Ok(Origin { stream: stream.clone(), offset: first, end, meta })
}

fn deleted(records: i64) -> Lost {
    Lost::now(records.unsigned_abs())
}

/// What was remembered is of other records, and nobody knows how many of them were not read.
fn made_anew(before: CheckpointMeta) -> CheckpointMeta {
    let (clock, pace, tally) = (Clock::default(), Pace::default(), None);
    let (needed_from, emit_from) = (Micros::MIN, Micros::MIN);
    CheckpointMeta { clock, needed_from, emit_from, tally, pace, lost: Some(Lost::unknown()), ..before }
}

/// What stands beside a committed offset. Other programs commit without it: then the start is a cold one.
fn metadata(text: &str, stream: &Stream) -> Result<Option<CheckpointMeta>> {
    let (topic, partition) = (&stream.topic, stream.lane);
    if text.is_empty() {
        tracing::warn!(topic, partition, "a commit without its metadata: starting cold");
        return Ok(None);
    }
    serde_json::from_str(text).map(Some).map_err(|error| {
        Error::user(format!("the metadata of the commit of {topic}/{partition} cannot be read")).because(error).hint(
            "use the release of haldane that wrote it, or a newer one; or set the group's offsets anew, which clears the \
             metadata",
        )
    })
}

/// Asks for the first (`Offset::Beginning`) or next (`Offset::End`) offset of every stream's log, in one request per
/// broker.
pub fn offsets_at<C: ConsumerContext>(consumer: &BaseConsumer<C>, streams: &[Stream], at: Offset) -> Result<Vec<i64>> {
    let failed = |error| Error::external("cannot look up the ends of the input topics").because(error);
    let found = consumer.offsets_for_times(list(streams, at)?, REQUEST_TIMEOUT).map_err(failed)?;
    let offset = |stream: &Stream| {
        let found = found.find_partition(&stream.topic, stream.partition()).map(|found| found.offset());
        match found {
            Some(Offset::Offset(offset)) => Ok(offset),
            _ => Err(Error::external(format!("partition {} of `{}` has no leader", stream.lane, stream.topic))),
        }
    };
    streams.iter().map(offset).collect()
}

/// What the engine restores of one lane: its streams that have been committed before.
#[must_use]
pub fn restored(lane: u32, origins: &[Origin]) -> Checkpoint {
    let of_lane = origins.iter().filter(|origin| origin.stream.lane == lane);
    let saved = of_lane.filter_map(|origin| {
        let meta = origin.meta.clone()?;
        Some(StreamCheckpoint { source: origin.stream.source, low_water: origin.offset, meta })
    });
    Checkpoint { lane, streams: saved.collect() }
}

/// Commits and waits for the answer. Only `streams` that exist are committed; the others of a checkpoint have no
/// partition.
pub fn commit<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    streams: &[Stream],
    checkpoints: &[Checkpoint],
) -> Result<()> {
    let list = commit_list(streams, checkpoints)?;
    if list.count() == 0 {
        return Ok(());
    }
    consumer.commit(&list, CommitMode::Sync).map_err(refused)
}

fn commit_list(streams: &[Stream], checkpoints: &[Checkpoint]) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for checkpoint in checkpoints {
        for saved in &checkpoint.streams {
            let exists = |stream: &&Stream| (stream.source, stream.lane) == (saved.source, checkpoint.lane);
            let Some(stream) = streams.iter().find(exists) else { continue };
            let invalid = |error| Error::internal("an offset that cannot be committed").because(error);
            list.add_partition_offset(&stream.topic, stream.partition(), Offset::Offset(saved.low_water))
                .map_err(invalid)?;
            let mut added = list.find_partition(&stream.topic, stream.partition()).expect("it was just added");
            added.set_metadata(serde_json::to_string(&saved.meta).expect("metadata has text keys and finite numbers"));
        }
    }
    Ok(list)
}

fn refused(error: KafkaError) -> Error {
    let taken = matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::IllegalGeneration)
    );
    let refusal = Error::external("cannot commit offsets").because(error);
    if taken {
        refusal.hint("another process reads with this group: give each pipeline its own `kafka.group`")
    } else {
        refusal
    }
}

/// The streams as the client wants them.
pub fn list(streams: &[Stream], offset: Offset) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(streams.len());
    for stream in streams {
        list.add_partition_offset(&stream.topic, stream.partition(), offset)
            .map_err(|error| Error::internal("an offset that cannot be assigned").because(error))?;
    }
    Ok(list)
}
