//! What stage 1 tells stage 2: partials, ticks and checkpoints, and their bytes on the partials topic.
//!
//! A [`Partial`] is the whole summary of one group in one pane of one lane (source partition) so far, with the log
//! position it was computed up to. The judge keeps, per (lane, pane, group, part), the one with the highest position,
//! so duplicates, zombies and early firings cannot count twice.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
pub use crate::event::OTHER;
use crate::event::{Micros, Poison};
use crate::format::Version;
use crate::plan::Plan;
use crate::scan::intake::{Intake, Pace};
use crate::summary::quality::ReliabilityBin;
use crate::summary::{Classes, MeasureSummary, PairLosses, Pairs, Quality, Tails, Traffic};
use crate::time::Clock;

/// Versions of the frame's bytes; the first byte of every frame. With values beyond the reach of edges it is the second
/// one, of the account of a stream the third, with measures the fourth, of corrected labels the fifth, and of labels by
/// class the sixth, of pairs the seventh: what came after the first stands after all else.
const FRAME_VERSIONS: RangeInclusive<u8> = 3..=9;
/// The version of frames with the account of a stream.
const WITH_ACCOUNTS: u8 = 5;
/// The version of frames with measures.
const WITH_MEASURES: u8 = 6;
/// The version of frames with corrected labels.
const WITH_CORRECTIONS: u8 = 7;
/// The version of frames with labels by class.
const WITH_CLASSES: u8 = 8;

/// The version of frames with pairs.
const WITH_PAIRS: u8 = 9;

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
    /// What came of the records of the stream, whatever their group.
    Intake(Intake) = 4,
    /// Labels of the predictions that had one in time, as those that came until the `horizon` have corrected it. In the
    /// last revision they stand for those that came in time.
    QualityCorrected(Quality) = 5,
    /// Requests that the version and the baseline version both answered.
    Pairs(Pairs) = 6,
    /// Of those the ones whose label arrived within the plan's `wait`.
    PairsInTime(PairLosses) = 7,
    /// Of those the ones whose label arrived after it, within the plan's `horizon`.
    PairsLate(PairLosses) = 8,
}

/// The part that traffic is; see [`Body::part`].
pub const TRAFFIC: u8 = 0;
/// The part that labels are that came in time.
pub const IN_TIME: u8 = 1;
/// The part that declared shares are.
pub const EXPOSURE: u8 = 3;
/// The part that stands for [`IN_TIME`] in the last revision.
pub const CORRECTED: u8 = 5;

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
            Self::Intake(_) => 4,
            Self::QualityCorrected(_) => CORRECTED,
            Self::Pairs(_) => 6,
            Self::PairsInTime(_) => 7,
            Self::PairsLate(_) => 8,
        }
    }

    /// Whether it is made of pairs.
    #[must_use]
    pub fn is_of_pairs(&self) -> bool {
        matches!(self, Self::Pairs(_) | Self::PairsInTime(_) | Self::PairsLate(_))
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
    pub const NONE: Self = Self { first: 0, last: -1 };

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

impl Partial {
    /// Whether it holds all of its pane. A scan that was restarted reads panes before a time again in part only; see
    /// [`Scan::whole_from`](super::Scan::whole_from).
    #[must_use]
    pub fn is_whole(&self, whole_from: Micros) -> bool {
        self.pane >= whole_from || matches!(self.body, Body::Exposure(_))
    }

    /// The start of the last pane that it says something about.
    #[must_use]
    pub fn needed_until(&self, plan: &Plan) -> Micros {
        match (&self.body, plan.share_reach()) {
            (Body::Exposure(declared), Some(reach)) => plan.time.pane_of(declared.at.saturating_add(reach)),
            _ => self.pane,
        }
    }
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
    /// What it brought up to the last pane that is complete. Frames hold it after all else.
    #[serde(skip)]
    pub pace: Pace,
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
    pub tally: Option<StreamCounts>,
    /// What the stream brought before the first pane that is needed.
    #[serde(default, skip_serializing_if = "Pace::is_unknown")]
    pub pace: Pace,
    /// What was deleted right before the low-water offset, and never read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
}

/// Records that were deleted from a log before they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// How many; `u32::MAX` where nobody knows.
    pub records: u64,
    /// The first pane that was needed when that was found; the smallest time until it is known.
    pub since: Micros,
}

impl Lost {
    /// So many, found just now.
    #[must_use]
    pub fn now(records: u64) -> Self {
        Self { records, since: Micros::MIN }
    }

    /// Nobody knows how many: the topic was made anew.
    #[must_use]
    pub fn unknown() -> Self {
        Self::now(u64::from(u32::MAX))
    }
}

/// What was counted of a stream besides panes: from its first record up to a position.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamCounts {
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
    Tally(u32, u16, StreamCounts) = 2,
}

impl Frame {
    /// The frame's bytes: a version byte, then the postcard encoding. Equal frames have equal bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let far = Far::of(self);
        let version = match (self, &far) {
            (Self::Partial(partial), _) if partial.body.is_of_pairs() => WITH_PAIRS,
            (_, Some(Far::Classes(..))) => WITH_CLASSES,
            (Self::Partial(partial), _) if matches!(partial.body, Body::QualityCorrected(_)) => WITH_CORRECTIONS,
            (_, Some(Far::Measures(..))) => WITH_MEASURES,
            (_, Some(Far::Paces(_))) => WITH_ACCOUNTS,
            (Self::Partial(partial), _) if matches!(partial.body, Body::Intake(_)) => WITH_ACCOUNTS,
            (_, Some(_)) => FRAME_VERSIONS.start() + 1,
            (_, None) => *FRAME_VERSIONS.start(),
        };
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
            Some((version, body)) if FRAME_VERSIONS.contains(version) => Self::read(body, *version)
                .map_err(|error| Error::external("damaged frame on the partials topic").because(error)),
            Some((&version, _)) => Err(Error::user(format!(
                "a frame of format {version} on the partials topic, and this release of haldane reads formats {} to {}",
                FRAME_VERSIONS.start(),
                FRAME_VERSIONS.end()
            ))
            .hint(foreign(version))),
            None => Err(Error::external("empty frame on the partials topic")),
        }
    }

    fn read(body: &[u8], version: u8) -> std::result::Result<Self, postcard::Error> {
        let (mut frame, rest) = postcard::take_from_bytes::<Self>(body)?;
        let [first, second] = [*FRAME_VERSIONS.start(), FRAME_VERSIONS.start() + 1];
        if version == second || (version != first && !rest.is_empty()) {
            let far = postcard::from_bytes::<Far>(rest)?;
            far.put_back(&mut frame).ok_or(postcard::Error::SerdeDeCustom)?;
        }
        Ok(frame)
    }
}

/// What came to be known after frames had their first version, as it is sent: beyond the reach of edges, and of
/// streams.
#[derive(Serialize, Deserialize)]
enum Far {
    /// By numeric column.
    Numbers(Vec<(u32, Tails<u64>)>),
    /// Of labelled predictions.
    Labels(Tails<ReliabilityBin>),
    /// By stream of a tick.
    Paces(Vec<Pace>),
    /// By numeric column, and by measure.
    Measures(Vec<(u32, Tails<u64>)>, Vec<MeasureSummary>),
    /// Of labelled predictions, and by class.
    Classes(Tails<ReliabilityBin>, Classes),
}

impl Far {
    fn of(frame: &Frame) -> Option<Self> {
        let partial = match frame {
            Frame::Partial(partial) => partial,
            Frame::Tick(Tick { streams, .. }) => {
                let paces: Vec<Pace> = streams.iter().map(|stream| stream.pace).collect();
                return paces.iter().any(|pace| !pace.is_unknown()).then_some(Self::Paces(paces));
            }
            Frame::Tally(..) => return None,
        };
        match &partial.body {
            Body::Traffic(traffic) => {
                let far = (0_u32..).zip(&traffic.numeric).filter(|(_, column)| !column.tails.is_empty());
                let far: Vec<_> = far.map(|(index, column)| (index, column.tails.clone())).collect();
                if !traffic.measures.is_empty() {
                    return Some(Self::Measures(far, traffic.measures.clone()));
                }
                (!far.is_empty()).then_some(Self::Numbers(far))
            }
            Body::QualityInTime(quality) | Body::QualityLate(quality) | Body::QualityCorrected(quality) => {
                if !quality.classes.is_empty() {
                    return Some(Self::Classes(quality.tails.clone(), quality.classes.clone()));
                }
                (!quality.tails.is_empty()).then(|| Self::Labels(quality.tails.clone()))
            }
            Body::Exposure(_) | Body::Intake(_) | Body::Pairs(_) | Body::PairsInTime(_) | Body::PairsLate(_) => None,
        }
    }

    /// Puts it where it was counted; `None` where the frame has no such place.
    fn put_back(self, frame: &mut Frame) -> Option<()> {
        let partial = match (frame, &self) {
            (Frame::Partial(partial), _) => partial,
            (Frame::Tick(Tick { streams, .. }), Self::Paces(paces)) if streams.len() == paces.len() => {
                streams.iter_mut().zip(paces).for_each(|(stream, pace)| stream.pace = *pace);
                return Some(());
            }
            _ => return None,
        };
        match (self, &mut partial.body) {
            (Self::Numbers(far), Body::Traffic(traffic)) => put_back(far, traffic)?,
            (Self::Measures(far, measures), Body::Traffic(traffic)) => {
                put_back(far, traffic)?;
                traffic.measures = measures;
            }
            (
                Self::Labels(tails),
                Body::QualityInTime(quality) | Body::QualityLate(quality) | Body::QualityCorrected(quality),
            ) => quality.tails = tails,
            (
                Self::Classes(tails, classes),
                Body::QualityInTime(quality) | Body::QualityLate(quality) | Body::QualityCorrected(quality),
            ) => (quality.tails, quality.classes) = (tails, classes),
            _ => return None,
        }
        Some(())
    }
}

/// Puts what is beyond the reach of edges into its columns.
fn put_back(far: Vec<(u32, Tails<u64>)>, traffic: &mut Traffic) -> Option<()> {
    for (index, tails) in far {
        traffic.numeric.get_mut(index as usize)?.tails = tails;
    }
    Some(())
}

/// What to do about frames of another version.
fn foreign(version: u8) -> &'static str {
    if version > *FRAME_VERSIONS.end() {
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
        assert_eq!(Frame::Tally(0, 0, StreamCounts::default()).encode()[..2], [3, 2]);
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
            role: crate::plan::ColumnRole::Feature,
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
    fn measures_are_sent_as_their_version() {
        let mut traffic = Traffic::new(&crate::plan::Columns::default());
        traffic.measures.push(MeasureSummary::default());
        traffic.measures[0].update(12.5, Some(7));
        let group = GroupKey { model: "m".into(), version: "v".into(), segment: Vec::new() };
        let (body, inputs) = (Body::Traffic(traffic), Inputs::of(0));
        let frame = Frame::Partial(Box::new(Partial { lane: 0, source: 0, pane: 0, group, upto: 0, body, inputs }));
        assert_eq!(frame.encode()[0], 6);
        assert_eq!(Frame::decode(&frame.encode()).expect("decodes"), frame);
        let cut_short = &frame.encode()[..frame.encode().len() - 1];
        assert_eq!(Frame::decode(cut_short).expect_err("damaged").fault(), Fault::External);
    }

    #[test]
    fn corrected_labels_are_sent_as_their_version() {
        let group = GroupKey { model: "m".into(), version: "v".into(), segment: Vec::new() };
        let (inputs, mut labels) = (Inputs::of(0), Quality { n: 3, ..Quality::default() });
        let frame = |labels: &Quality| {
            let body = Body::QualityCorrected(labels.clone());
            assert_eq!((body.part(), postcard::to_stdvec(&body).expect("encodes")[0]), (5, 5));
            let partial = Partial { lane: 0, source: 1, pane: 0, group: group.clone(), upto: 0, body, inputs };
            Frame::Partial(Box::new(partial))
        };
        let near = frame(&labels);
        labels.tails.above.add(7.5, &ReliabilityBin { n: 1, ..ReliabilityBin::default() });
        for frame in [near, frame(&labels)] {
            assert_eq!(frame.encode()[0], 7);
            assert_eq!(Frame::decode(&frame.encode()).expect("decodes"), frame);
        }
        let cut_short = &frame(&labels).encode()[..frame(&labels).encode().len() - 1];
        assert_eq!(Frame::decode(cut_short).expect_err("damaged").fault(), Fault::External);
    }

    #[test]
    fn labels_by_class_are_sent_as_their_version() {
        let group = GroupKey { model: "m".into(), version: "v".into(), segment: Vec::new() };
        let mut labels = Quality { n: 2, ..Quality::default() };
        labels.classes.count("cat", "dog");
        labels.classes.count("cat", "cat");
        labels.tails.above.add(7.5, &ReliabilityBin { n: 1, ..ReliabilityBin::default() });
        for body in [Body::QualityInTime, Body::QualityLate, Body::QualityCorrected].map(|body| body(labels.clone())) {
            let (group, inputs) = (group.clone(), Inputs::of(0));
            let partial = Partial { lane: 0, source: 1, pane: 0, group, upto: 0, body, inputs };
            let (frame, bytes) = {
                let frame = Frame::Partial(Box::new(partial));
                (frame.clone(), frame.encode())
            };
            assert_eq!(bytes[0], 8);
            assert_eq!(Frame::decode(&bytes).expect("decodes"), frame);
            assert_eq!(Frame::decode(&bytes[..bytes.len() - 1]).expect_err("damaged").fault(), Fault::External);
        }
    }

    #[test]
    fn pairs_are_sent_as_the_newest_version() {
        let mut losses = PairLosses::default();
        losses.add(crate::plan::Task::Binary, true, 1.05, [None, None]);
        let pairs = Pairs { paired: 3, unpaired: 1, ..Pairs::default() };
        let bodies = [Body::Pairs(pairs), Body::PairsInTime(losses.clone()), Body::PairsLate(losses)];
        for (number, body) in (6..).zip(bodies) {
            assert_eq!((body.part(), postcard::to_stdvec(&body).expect("encodes")[0]), (number, number));
            let group = GroupKey { model: "m".into(), version: "v".into(), segment: Vec::new() };
            let partial = Partial { lane: 0, source: 0, pane: 0, group, upto: 0, body, inputs: Inputs::NONE };
            let frame = Frame::Partial(Box::new(partial));
            let bytes = frame.encode();
            assert_eq!(bytes[0], 9);
            assert_eq!(Frame::decode(&bytes).expect("decodes"), frame);
            assert_eq!(Frame::decode(&bytes[..bytes.len() - 1]).expect_err("damaged").fault(), Fault::External);
        }
    }

    #[test]
    fn the_account_of_a_stream_is_sent_as_its_version() {
        let pace = Pace { rows: 7, over: 20, until: 30 };
        let stream = |pace| StreamState {
            source: 0,
            next_offset: 9,
            watermark: 1,
            broker_time: 2,
            at_end: false,
            finished: false,
            pace,
        };
        let tick = |pace| Frame::Tick(Tick { lane: 1, lanes: 2, plan: "p".into(), streams: vec![stream(pace)] });
        let group = GroupKey { model: String::new(), version: String::new(), segment: Vec::new() };
        let intake = Intake { rows: 3, refused: 1, pace, ..Intake::default() };
        let (body, inputs) = (Body::Intake(intake), Inputs::NONE);
        assert_eq!((body.part(), postcard::to_stdvec(&body).expect("encodes")[0]), (4, 4));
        let partial = Partial { lane: 1, source: 0, pane: 10, group, upto: 9, body, inputs };
        for (frame, version) in [(tick(Pace::default()), 3), (tick(pace), 5), (Frame::Partial(Box::new(partial)), 5)] {
            let bytes = frame.encode();
            assert_eq!(bytes[0], version);
            assert_eq!(Frame::decode(&bytes).expect("decodes"), frame);
        }
        let cut_short = &tick(pace).encode()[..tick(pace).encode().len() - 1];
        assert_eq!(Frame::decode(cut_short).expect_err("damaged").fault(), Fault::External);
    }

    #[test]
    fn who_upgrades_is_told_which_versions_are_read() {
        let told = include_str!("../../../deploy/UPGRADE.md");
        let versions = format!("this release reads {} to {}", FRAME_VERSIONS.start(), FRAME_VERSIONS.end());
        assert!(told.contains(&versions), "{versions}");
    }

    #[test]
    fn a_frame_of_another_version_says_which_release_comes_first() {
        for (version, hint) in [(10, "start the judge with that release"), (2, "judge with that release until")] {
            let error = Frame::decode(&[version, 0, 0]).expect_err("another version");
            assert_eq!(error.fault(), Fault::User);
            assert!(error.advice().expect("a hint").contains(hint), "{error}");
        }
        assert_eq!(Frame::decode(&[3, 9]).expect_err("damaged").fault(), Fault::External);
        assert_eq!(Frame::decode(&[]).expect_err("empty").fault(), Fault::External);
    }
}
