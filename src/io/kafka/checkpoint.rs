//! Progress as offset commits: the low-water offset of every stream, and in the commit's metadata what the scan must
//! remember to do exactly the same again.

use super::ports::Consumer;
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
    pub(super) fn partition(&self) -> i32 {
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
pub fn origins(consumer: &dyn Consumer, streams: &[Stream], on_gap: OnGap) -> Result<Vec<Origin>> {
    if streams.is_empty() {
        return Ok(Vec::new());
    }
    let committed = consumer.committed(streams)?;
    let first = consumer.first(streams)?;
    let end = consumer.ends(streams)?;
    let bounds = committed.into_iter().zip(first.into_iter().zip(end));
    streams.iter().zip(bounds).map(|(stream, (saved, bounds))| origin(stream, saved, bounds, on_gap)).collect()
}

fn origin(stream: &Stream, saved: Option<(i64, String)>, (first, end): (i64, i64), on_gap: OnGap) -> Result<Origin> {
    let (mut offset, mut meta) = (first, None);
    if let Some((low_water, text)) = saved {
        offset = low_water;
        meta = metadata(&text, stream)?;
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
pub fn commit(consumer: &dyn Consumer, streams: &[Stream], checkpoints: &[Checkpoint]) -> Result<()> {
    let offsets = offsets(streams, checkpoints);
    if offsets.is_empty() { Ok(()) } else { consumer.commit(&offsets) }
}

fn offsets(streams: &[Stream], checkpoints: &[Checkpoint]) -> Vec<(Stream, i64, String)> {
    let mut offsets = Vec::new();
    for checkpoint in checkpoints {
        for saved in &checkpoint.streams {
            let exists = |stream: &&Stream| (stream.source, stream.lane) == (saved.source, checkpoint.lane);
            let Some(stream) = streams.iter().find(exists) else { continue };
            let text = serde_json::to_string(&saved.meta).expect("metadata has text keys and finite numbers");
            offsets.push((stream.clone(), saved.low_water, text));
        }
    }
    offsets
}
