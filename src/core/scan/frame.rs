//! What stage 1 tells stage 2: partials, ticks and checkpoints, and their bytes on the partials topic.
//!
//! A [`Partial`] is the whole summary of one group in one pane of one lane (source partition) so far, with the log
//! position it was computed up to. The judge keeps, per (lane, pane, group, part), the one with the highest position,
//! so duplicates, zombies and early firings cannot count twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
pub use crate::event::OTHER;
use crate::event::{Micros, Poison};
use crate::format::Version;
use crate::summary::{Quality, Traffic};
use crate::time::Clock;

/// Version of the frame's bytes; the first byte of every frame.
const FRAME_VERSION: u8 = 3;

/// What is counted apart. Sorted by model, then version, then segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupKey {
    /// Model name.
    pub model: String,
    /// Version name.
    pub version: String,
    /// One value per segment field of the plan; a missing one is the empty text.
    pub segment: Vec<String>,
}

impl GroupKey {
    /// How many bytes it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let values: usize = self.segment.iter().map(|value| size_of::<String>() + value.len()).sum();
        size_of::<Self>() + self.model.len() + self.version.len() + values
    }
}

/// The part of a pane that a partial carries. Its numbers stand in frames and in marks of stores: none is ever given to
/// another part, and their order here is that of the numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Body {
    /// Predictions and feature events.
    Traffic(Traffic) = 0,
    /// Labels that arrived within the plan's `wait`.
    QualityInTime(Quality) = 1,
    /// Labels that arrived after it, within the plan's `horizon`.
    QualityLate(Quality) = 2,
    /// The share of traffic that the version is meant to get.
    Exposure(DeclaredShare) = 3,
}

/// The part that traffic is; see [`Body::part`].
pub const TRAFFIC: u8 = 0;
/// The part that declared shares are.
pub const EXPOSURE: u8 = 3;

/// What the last exposure event of a pane said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DeclaredShare {
    /// Event time.
    pub at: Micros,
    /// Share of traffic, 0 to 1.
    pub share: f64,
}

impl Body {
    /// Which part it is. Part of the partial's identity.
    #[must_use]
    pub fn part(&self) -> u8 {
        match self {
            Self::Traffic(_) => TRAFFIC,
            Self::QualityInTime(_) => 1,
            Self::QualityLate(_) => 2,
            Self::Exposure(_) => EXPOSURE,
        }
    }
}

/// Offsets of the source that fell into the pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Inputs {
    /// First offset.
    pub first: i64,
    /// Last offset.
    pub last: i64,
}

/// The summary of one group in one pane of one lane, up to a position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    /// Source partition.
    pub lane: u32,
    /// Index of the source in the plan: each source of a lane is counted by itself.
    pub source: u16,
    /// Start of the pane.
    pub pane: Micros,
    /// What was counted.
    pub group: GroupKey,
    /// Position in the lane: the sum of the next offsets of its streams. It grows with every record read.
    pub upto: i64,
    /// The counts.
    pub body: Body,
    /// Where they came from.
    pub inputs: Inputs,
}

/// How far one stream of a lane has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamState {
    /// Index of the source in the plan.
    pub source: u16,
    /// The next offset to read.
    pub next_offset: i64,
    /// No event before this time is still counted: latest event time less lateness (outcomes: latest broker time).
    pub watermark: Micros,
    /// Latest broker time seen.
    pub broker_time: Micros,
    /// Whether the end of the log was reached.
    pub at_end: bool,
    /// Whether nothing more will ever come (a file ended, a bounded run reached its last offset).
    pub finished: bool,
}

/// How far a lane has been read; sent after the partials it completes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// Source partition.
    pub lane: u32,
    /// How many lanes there are; windows wait for all of them.
    pub lanes: u32,
    /// Digest of the plan that the lane runs.
    pub plan: String,
    /// One per stream of the lane, by source index.
    pub streams: Vec<StreamState>,
}

impl Tick {
    /// Position in the lane: the sum of the next offsets.
    #[must_use]
    pub fn upto(&self) -> i64 {
        self.streams.iter().map(|stream| stream.next_offset).sum()
    }
}

/// Where a lane resumes after a restart: per stream the first offset that an unfinished pane still needs, and what the
/// scan must remember to drop exactly the same late events again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Source partition.
    pub lane: u32,
    /// One per stream of the lane.
    pub streams: Vec<StreamCheckpoint>,
}

/// Where one stream resumes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCheckpoint {
    /// Index of the source in the plan.
    pub source: u16,
    /// The offset to commit: the first one that is still needed.
    pub low_water: i64,
    /// The commit's metadata, below 500 bytes.
    pub meta: CheckpointMeta,
}

/// What stands in the metadata of an offset commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointMeta {
    /// Version of this format.
    #[serde(default)]
    pub format: Version<1>,
    /// Digest of the plan, shortened to 16 characters.
    pub plan: String,
    /// The stream's clock at the low-water offset, so that the same events are late again.
    pub clock: Clock,
    /// Windows that start before this lack data after a restart; they are history only.
    pub needed_from: Micros,
    /// Windows that start before this were finished.
    pub emit_from: Micros,
    /// Of a scan that runs apart: what was counted of the stream up to the commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
}

/// What was counted of a stream besides panes: from its first record up to a position.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// The next offset.
    pub next_offset: i64,
    /// Good rows.
    pub rows: u64,
    /// Rows that were too late for their pane.
    pub late: u64,
    /// Re-deliveries.
    pub duplicates: u64,
    /// Refused records by reason.
    pub refused: BTreeMap<Poison, u64>,
    /// Latest broker time.
    pub arrived: Micros,
}

/// What travels on the partials topic. The numbers stand in the bytes, and their order here is that of the numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Frame {
    /// Counts.
    Partial(Box<Partial>) = 0,
    /// Progress.
    Tick(Tick) = 1,
    /// What was counted of a stream, by lane and source, for those who keep it.
    Tally(u32, u16, Tally) = 2,
}

impl Frame {
    /// The frame's bytes: a version byte, then the postcard encoding. Equal frames have equal bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FRAME_VERSION]).expect("a frame always encodes")
    }

    /// Reads a frame back.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((&FRAME_VERSION, body)) => postcard::from_bytes(body)
                .map_err(|error| Error::external("damaged frame on the partials topic").because(error)),
            Some((&version, _)) => Err(Error::user(format!(
                "a frame of format {version} on the partials topic, and this release of haldane reads format {FRAME_VERSION}"
            ))
            .hint(foreign(version))),
            None => Err(Error::external("empty frame on the partials topic")),
        }
    }
}

/// What to do about frames of another version.
fn foreign(version: u8) -> &'static str {
    if version > FRAME_VERSION {
        "a scan of a newer release wrote it: start the judge with that release before the scans"
    } else {
        "a scan of an older release wrote it: judge with that release until all that it wrote is judged, then go on with this one"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;

    /// The byte after the version says which frame it is, and the byte that postcard writes first which body.
    #[test]
    fn the_numbers_of_frames_and_parts_stay() {
        let tick = Tick { lane: 0, lanes: 1, plan: String::new(), streams: Vec::new() };
        assert_eq!(Frame::Tick(tick).encode()[..2], [3, 1]);
        assert_eq!(Frame::Tally(0, 0, Tally::default()).encode()[..2], [3, 2]);
        let exposure = Body::Exposure(DeclaredShare { at: 0, share: 0.5 });
        let labels = crate::summary::Quality::default();
        let bodies = [Body::QualityInTime(labels.clone()), Body::QualityLate(labels), exposure];
        for (number, body) in (1..).zip(bodies) {
            assert_eq!((body.part(), postcard::to_stdvec(&body).expect("encodes")[0]), (number, number));
        }
        let traffic = Body::Traffic(Traffic::new(&crate::plan::Columns::default()));
        assert_eq!((traffic.part(), postcard::to_stdvec(&traffic).expect("encodes")[0]), (0, 0));
        let group = GroupKey { model: String::new(), version: String::new(), segment: Vec::new() };
        let inputs = Inputs { first: 0, last: 0 };
        let partial = Partial { lane: 0, source: 0, pane: 0, group, upto: 0, body: traffic, inputs };
        assert_eq!(Frame::Partial(Box::new(partial)).encode()[..2], [3, 0]);
    }

    #[test]
    fn a_frame_of_another_version_says_which_release_comes_first() {
        for (version, hint) in [(4, "start the judge with that release"), (2, "judge with that release until")] {
            let error = Frame::decode(&[version, 0, 0]).expect_err("another version");
            assert_eq!(error.fault(), Fault::User);
            assert!(error.advice().expect("a hint").contains(hint), "{error}");
        }
        assert_eq!(Frame::decode(&[3, 9]).expect_err("damaged").fault(), Fault::External);
        assert_eq!(Frame::decode(&[]).expect_err("empty").fault(), Fault::External);
    }
}
