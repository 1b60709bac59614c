//! Progress as offset commits: the low-water offset of every stream, and in the commit's metadata what the scan must
//! remember to do exactly the same again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ports::Consumer;
use crate::config::OnGap;
use crate::error::{Error, Result};
use crate::event::{EventKind, Micros};
use crate::format::Version;
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
    /// What its records tell the source; none for topics of haldane's own.
    pub kind: Option<EventKind>,
}

impl Stream {
    pub(super) fn partition(&self) -> i32 {
        i32::try_from(self.lane).expect("Kafka counts partitions in 31 bits")
    }

    /// Whether another source's stream is of the same partition.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.lane == other.lane && self.topic == other.topic
    }
}

/// Where one stream starts, and what is in its log now.
#[derive(Debug, Clone, PartialEq)]
pub struct StartPosition {
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
pub fn origins(consumer: &dyn Consumer, streams: &[Stream], on_gap: OnGap) -> Result<Vec<StartPosition>> {
    if streams.is_empty() {
        return Ok(Vec::new());
    }
    let committed = consumer.committed(streams)?;
    let first = consumer.first(streams)?;
    let end = consumer.ends(streams)?;
    let bounds = committed.into_iter().zip(first.into_iter().zip(end));
    streams.iter().zip(bounds).map(|(stream, (saved, bounds))| origin(stream, saved, bounds, on_gap)).collect()
}

fn origin(
    stream: &Stream,
    saved: Option<(i64, String)>,
    (first, end): (i64, i64),
    on_gap: OnGap,
) -> Result<StartPosition> {
    let (mut offset, mut meta) = (first, None);
    if let Some((low_water, text)) = saved {
        (offset, meta) = place(low_water, &text, stream)?;
    }
    if (first..=end).contains(&offset) {
        return Ok(StartPosition { stream: stream.clone(), offset, end, meta });
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
    Ok(StartPosition { stream: stream.clone(), offset: first, end, meta })
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

/// What stands beside the committed offset of a partition that several sources read: where each is, by its kind.
#[derive(Debug, Serialize, Deserialize)]
struct SharedCommit {
    /// Version of this format.
    #[serde(default)]
    format: Version<1>,
    sources: BTreeMap<String, SourcePosition>,
}

/// Where one of them is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SourcePosition {
    low_water: i64,
    meta: CheckpointMeta,
}

/// How a source is named among those of its partition.
fn key(stream: &Stream) -> &'static str {
    stream.kind.map(EventKind::name).unwrap_or_default()
}

/// Where a stream goes on: its own place among several, else the committed one. A source that was not there before has
/// seen nothing of what is left of the log.
fn place(committed: i64, text: &str, stream: &Stream) -> Result<(i64, Option<CheckpointMeta>)> {
    let Ok(SharedCommit { mut sources, .. }) = serde_json::from_str::<SharedCommit>(text) else {
        return Ok((committed, metadata(text, stream)?));
    };
    let own = sources.remove(key(stream));
    Ok(own.map_or((committed, None), |own| (own.low_water, Some(own.meta))))
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
pub fn restored(lane: u32, origins: &[StartPosition]) -> Checkpoint {
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
    let mut partitions: Vec<(Stream, Vec<(&'static str, SourcePosition)>)> = Vec::new();
    for checkpoint in checkpoints {
        for saved in &checkpoint.streams {
            let exists = |stream: &&Stream| (stream.source, stream.lane) == (saved.source, checkpoint.lane);
            let Some(stream) = streams.iter().find(exists) else { continue };
            let place = (key(stream), SourcePosition { low_water: saved.low_water, meta: saved.meta.clone() });
            match partitions.iter_mut().find(|(known, _)| known.is_beside(stream)) {
                Some((_, places)) => places.push(place),
                None => partitions.push((stream.clone(), vec![place])),
            }
        }
    }
    partitions.into_iter().map(|(stream, places)| offset(stream, places)).collect()
}

/// The commit of one partition: the first offset that one of its sources needs.
fn offset(stream: Stream, places: Vec<(&'static str, SourcePosition)>) -> (Stream, i64, String) {
    let low_water = places.iter().map(|(_, place)| place.low_water).min().unwrap_or_default();
    let text = match <[_; 1]>::try_from(places) {
        Ok([(_, place)]) => serde_json::to_string(&place.meta),
        Err(places) => {
            let sources = places.into_iter().map(|(key, place)| (key.to_owned(), place)).collect();
            serde_json::to_string(&SharedCommit { format: Version, sources })
        }
    };
    (stream, low_water, text.expect("metadata has text keys and finite numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(source: u16, topic: &str, kind: EventKind) -> Stream {
        Stream { source, lane: 0, topic: topic.to_owned(), kind: Some(kind) }
    }

    fn meta(needed_from: Micros) -> CheckpointMeta {
        let (clock, pace) = (Clock::default(), Pace::default());
        let plan = "b3:0123456789abc".to_owned();
        CheckpointMeta { format: Version, plan, clock, needed_from, emit_from: 7, tally: None, pace, lost: None }
    }

    fn saved(source: u16, low_water: i64) -> StreamCheckpoint {
        StreamCheckpoint { source, low_water, meta: meta(low_water) }
    }

    #[test]
    fn sources_of_one_partition_have_one_commit_and_go_on_where_each_was() {
        let [answers, questions] =
            [(0, EventKind::Prediction), (1, EventKind::Feature)].map(|(source, kind)| stream(source, "log", kind));
        let labels = stream(2, "labels", EventKind::Outcome);
        let streams = [answers.clone(), questions.clone(), labels.clone()];
        let checkpoint = Checkpoint { lane: 0, streams: vec![saved(0, 40), saved(1, 25), saved(2, 3)] };
        let [(first, at, text), (_, 3, alone)] = &offsets(&streams, &[checkpoint])[..] else {
            panic!("two partitions")
        };
        assert_eq!((first, *at), (&answers, 25), "the first offset that one of them needs");
        assert_eq!(place(*at, text, &answers).unwrap(), (40, Some(meta(40))));
        assert_eq!(place(*at, text, &questions).unwrap(), (25, Some(meta(25))));
        assert_eq!(place(3, alone, &labels).unwrap(), (3, Some(meta(3))));
        // A source that was added knows nothing; one that reads the topic alone from now on knows its own place.
        assert_eq!(place(*at, text, &stream(0, "log", EventKind::Exposure)).unwrap(), (25, None));
        assert!(text.len() < 1_500, "brokers keep 4,096 bytes beside a commit");
        let newer = text.replacen("\"format\":1", "\"format\":2", 1);
        assert!(place(25, &newer, &answers).unwrap_err().to_string().contains("cannot be read"));
    }
}
