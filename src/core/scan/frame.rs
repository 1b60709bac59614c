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
use crate::summary::quality::ReliabilityBin;
use crate::summary::{Quality, Tails, Traffic};
use crate::time::Clock;

/// Versions of the frame's bytes; the first byte of every frame. With values beyond the reach of edges it is the later
/// one: those stand after all else.
const FRAME_VERSIONS: [u8; 2] = [3, 4];

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
/// The part that labels are that came in time.
pub const IN_TIME: u8 = 1;
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
            Self::QualityInTime(_) => IN_TIME,
            Self::QualityLate(_) => 2,
            Self::Exposure(_) => EXPOSURE,
        }
    }
}

/// Offsets of the records of one stream that were used: of traffic all that fell into the pane, of labels those that
/// were joined to predictions of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Inputs {
    /// First offset.
    pub first: i64,
    /// Last offset.
    pub last: i64,
}

impl Inputs {
    /// Of no record.
    pub(crate) const NONE: Self = Self { first: 0, last: -1 };

    /// Of one record.
    pub(crate) fn of(offset: i64) -> Self {
        Self { first: offset, last: offset }
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.last < self.first
    }

    /// The range that holds both.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Self { first: self.first.min(other.first), last: self.last.max(other.last) },
        }
    }
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
        let far = Far::of(self);
        let version = FRAME_VERSIONS[usize::from(far.is_some())];
        let bytes = postcard::to_extend(self, vec![version]).expect("a frame always encodes");
        match far {
            Some(far) => postcard::to_extend(&far, bytes).expect("tails always encode"),
            None => bytes,
        }
    }

    /// Reads a frame back.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((version, body)) if FRAME_VERSIONS.contains(version) => {
                Self::read(body, *version == FRAME_VERSIONS[1])
                    .map_err(|error| Error::external("damaged frame on the partials topic").because(error))
            }
            Some((&version, _)) => Err(Error::user(format!(
                "a frame of format {version} on the partials topic, and this release of haldane reads formats {} and {}",
                FRAME_VERSIONS[0], FRAME_VERSIONS[1]
            ))
            .hint(foreign(version))),
            None => Err(Error::external("empty frame on the partials topic")),
        }
    }

    fn read(body: &[u8], has_far: bool) -> std::result::Result<Self, postcard::Error> {
        let (mut frame, rest) = postcard::take_from_bytes::<Self>(body)?;
        if has_far {
            let far = postcard::from_bytes::<Far>(rest)?;
            far.put_back(&mut frame).ok_or(postcard::Error::SerdeDeCustom)?;
        }
        Ok(frame)
    }
}

/// What a partial has counted beyond the reach of edges, as it is sent.
#[derive(Serialize, Deserialize)]
enum Far {
    /// By numeric column.
    Numbers(Vec<(u32, Tails<u64>)>),
    /// Of labelled predictions.
    Labels(Tails<ReliabilityBin>),
}

impl Far {
    fn of(frame: &Frame) -> Option<Self> {
        let Frame::Partial(partial) = frame else { return None };
        match &partial.body {
            Body::Traffic(traffic) => {
                let far = (0_u32..).zip(&traffic.numeric).filter(|(_, column)| !column.tails.is_empty());
                let far: Vec<_> = far.map(|(index, column)| (index, column.tails.clone())).collect();
                (!far.is_empty()).then_some(Self::Numbers(far))
            }
            Body::QualityInTime(quality) | Body::QualityLate(quality) => {
                (!quality.tails.is_empty()).then(|| Self::Labels(quality.tails.clone()))
            }
            Body::Exposure(_) => None,
        }
    }

    /// Puts it where it was counted; `None` where the frame has no such place.
    fn put_back(self, frame: &mut Frame) -> Option<()> {
        let Frame::Partial(partial) = frame else { return None };
        match (self, &mut partial.body) {
            (Self::Numbers(far), Body::Traffic(traffic)) => {
                for (index, tails) in far {
                    traffic.numeric.get_mut(index as usize)?.tails = tails;
                }
            }
            (Self::Labels(tails), Body::QualityInTime(quality) | Body::QualityLate(quality)) => quality.tails = tails,
            _ => return None,
        }
        Some(())
    }
}

/// What to do about frames of another version.
fn foreign(version: u8) -> &'static str {
    if version > FRAME_VERSIONS[1] {
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
        let inputs = Inputs::of(0);
        let partial = Partial { lane: 0, source: 0, pane: 0, group, upto: 0, body: traffic, inputs };
        assert_eq!(Frame::Partial(Box::new(partial)).encode()[..2], [3, 0]);
    }

    #[test]
    fn what_lies_beyond_the_reach_of_edges_is_sent_after_all_else() {
        let cut = std::sync::Arc::new(crate::baseline::cut::equal_width(0.0, 1.0, 20));
        let column = |name: &str| crate::plan::NumericColumn {
            name: name.to_owned(),
            role: crate::plan::Role::Feature,
            cut: std::sync::Arc::clone(&cut),
        };
        let columns = crate::plan::Columns { numeric: vec![column("near"), column("far")], ..Default::default() };
        let mut traffic = Traffic::new(&columns);
        traffic.numeric[0].update(&cut, &[0.5]);
        let group = GroupKey { model: "m".into(), version: "v".into(), segment: Vec::new() };
        let inputs = Inputs::of(0);
        let frame = |traffic: &Traffic| {
            let body = Body::Traffic(traffic.clone());
            let partial = Partial { lane: 0, source: 0, pane: 0, group: group.clone(), upto: 0, body, inputs };
            Frame::Partial(Box::new(partial))
        };
        assert_eq!(frame(&traffic).encode()[0], 3, "as earlier releases write it");
        traffic.numeric[1].update(&cut, &[-7.25, 1e6, 1e6, 1e6 + 1.0]);
        let far = frame(&traffic);
        assert_eq!(far.encode()[0], 4);
        assert_eq!(Frame::decode(&far.encode()).expect("decodes"), far);
        let cut_short = &far.encode()[..far.encode().len() - 1];
        assert_eq!(Frame::decode(cut_short).expect_err("damaged").fault(), Fault::External);
        let mut foreign = frame(&Traffic::new(&crate::plan::Columns::default())).encode();
        foreign[0] = 4;
        let foreign = postcard::to_extend(&Far::of(&far).expect("tails"), foreign).expect("encodes");
        assert_eq!(Frame::decode(&foreign).expect_err("tails of no column").fault(), Fault::External);
    }

    #[test]
    fn a_frame_of_another_version_says_which_release_comes_first() {
        for (version, hint) in [(5, "start the judge with that release"), (2, "judge with that release until")] {
            let error = Frame::decode(&[version, 0, 0]).expect_err("another version");
            assert_eq!(error.fault(), Fault::User);
            assert!(error.advice().expect("a hint").contains(hint), "{error}");
        }
        assert_eq!(Frame::decode(&[3, 9]).expect_err("damaged").fault(), Fault::External);
        assert_eq!(Frame::decode(&[]).expect_err("empty").fault(), Fault::External);
    }
}
