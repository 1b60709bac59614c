//! The state machine of one lane.
//!
//! What is in a pane is a function of each stream's records and their order alone. How streams interleave, how records
//! are batched and when the process was restarted change only *when* a partial is sent, never what its last version
//! says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::batch::EventBatch;
use crate::event::{EventKind, Micros, class_hash};
use crate::format::Version;
use crate::plan::{Plan, Task, TimePlan};
use crate::scan::answer::Answers;
use crate::scan::assign::{Dropped, times_of};
use crate::scan::complete::{Complete, PaneContent, PartialPart};
use crate::scan::fates::LaneCounts;
use crate::scan::frame::{
    Checkpoint, CheckpointMeta, DeclaredShare, GroupKey, Inputs, Lost, StreamCheckpoint, StreamState, Tick,
};
use crate::scan::intake::{Intake, Intakes};
use crate::scan::join::ArrivedLabel;
use crate::scan::labels::{Labels, OfGroup};
use crate::scan::open::OpenTraffic;
use crate::scan::pairing::{self, Pairing};
use crate::scan::traffic::{PerEntry, TrafficStream, text_at};
use crate::summary::Spill;
use crate::time::Clock;

/// In so many panes before the first row after deleted records these are missed.
///
/// Origin: engineering choice; three hours of panes of ten seconds are more than is revised by default, and what is
/// older was silent: it is missed as that.
const GAP_PANES: Micros = 1_024;

/// So many rows after deleted records tell how late these may have happened.
///
/// Origin: engineering choice; as many as confirm that a clock has jumped. A row that came again, or late, tells less.
const GAP_ROWS: u32 = 8;

/// Records that were deleted before they were read.
#[derive(Debug)]
struct Gap {
    lost: Lost,
    /// The first offset after them, and the clock there.
    at: i64,
    clock: Clock,
    /// How many rows after them were read, and when the first of these came.
    rows: u32,
    first: Option<Micros>,
    /// Up to which pane they are missed.
    missed: Option<Micros>,
}

/// One input stream of the lane.
#[derive(Debug)]
struct InputStream {
    kind: EventKind,
    clock: Clock,
    next_offset: i64,
    broker_time: Micros,
    at_end: bool,
    finished: bool,
    traffic: TrafficStream,
    /// What came of its records.
    intakes: Intakes,
    /// Records that were deleted before they were read.
    gap: Option<Gap>,
    /// For each pane that a restart may need: where its first record stood, and the clock there.
    firsts: BTreeMap<Micros, (i64, Clock)>,
}

/// One group of an open pane as it stands.
#[derive(Debug, Clone, Copy)]
pub struct Open<'a> {
    /// Source partition.
    pub lane: u32,
    /// Index of the source in the plan.
    pub source: u16,
    /// Start of the pane.
    pub pane: Micros,
    /// How often the pane was counted into.
    pub changes: u64,
    /// How many of its groups were folded into others.
    pub folded: usize,
    /// What is counted.
    pub group: &'a GroupKey,
    /// The counts.
    pub traffic: &'a OpenTraffic,
}

/// Stage 1 for one source partition.
#[derive(Debug)]
pub struct Scan {
    plan: Arc<Plan>,
    lane: u32,
    lanes: u32,
    streams: BTreeMap<u16, InputStream>,
    labels: Option<Labels>,
    pairing: Option<Pairing>,
    /// Panes before this were told of in an earlier life, and are read again in part only.
    whole_from: Micros,
    counts: LaneCounts,
    /// Buffer for counts of dictionary codes.
    code_counts: Vec<u64>,
}

impl Scan {
    /// A fresh scan of lane `lane` of `lanes`.
    #[must_use]
    pub fn new(plan: Arc<Plan>, lane: u32, lanes: u32) -> Self {
        let streams = (0..).zip(&plan.sources).map(|(source, spec)| (source, InputStream::new(spec.kind))).collect();
        let labels = plan.quality.as_ref().map(|quality| Labels::new(quality, plan.time.skew_max, plan.shadow));
        let pairing = plan.shadow.map(Pairing::new);
        let (counts, code_counts) = (LaneCounts::default(), Vec::new());
        Self { plan, lane, lanes, streams, labels, pairing, whole_from: Micros::MIN, counts, code_counts }
    }

    /// Continues from a committed checkpoint: the caller reads each stream from its low-water offset.
    pub fn restore(&mut self, checkpoint: &Checkpoint) {
        let whole_from = checkpoint.streams.iter().map(|saved| saved.meta.needed_from).max();
        self.whole_from = whole_from.unwrap_or(Micros::MIN);
        for saved in &checkpoint.streams {
            if let Some(stream) = self.streams.get_mut(&saved.source) {
                stream.restore(saved, self.whole_from);
            }
        }
    }

    /// The first pane that is read again as a whole; see [`Scan::restore`].
    #[must_use]
    pub fn whole_from(&self) -> Micros {
        self.whole_from
    }

    /// Takes the next rows of one stream; returns the partials that became final.
    pub fn step(&mut self, batch: &EventBatch) -> Complete {
        debug_assert_eq!(batch.lane, self.lane, "a batch goes to the scan of its lane");
        let stream = self.streams.get_mut(&batch.source).expect("a source of the plan");
        let refused_in = stream.refused_in(&self.plan, batch);
        refused_in.for_each(|pane| stream.intakes.of(pane).refused += 1);
        let Some((first, last)) = batch.offsets() else { return Complete::new(&self.plan, VecDeque::new()) };
        let next = stream.next_offset;
        assert!(first >= next, "a batch begins at offset {first} of its stream, which was read up to {next}");
        self.counts.rows += batch.len() as u64;
        let mut declared = Vec::new();
        match batch.kind {
            EventKind::Prediction | EventKind::Feature => self.count(batch, first),
            EventKind::Outcome => self.label(batch, first),
            EventKind::Exposure => declared = self.declared(batch, first),
        }
        let stream = self.streams.get_mut(&batch.source).expect("a source of the plan");
        stream.next_offset = stream.next_offset.max(last + 1);
        stream.at_end = false;
        stream.broker_time = batch.broker_time.values().iter().copied().fold(stream.broker_time, Micros::max);
        let mut parts = self.seal();
        parts.extend(declared.into_iter().map(|row| self.declare(batch, row)));
        Complete::new(&self.plan, parts)
    }

    /// Tells how far a stream was read, past refused records too, and whether its log ended there, for now or for good.
    pub fn progress(&mut self, source: u16, next_offset: i64, at_end: bool, finished: bool) -> Complete {
        let stream = self.streams.get_mut(&source).expect("a source of the plan");
        stream.next_offset = stream.next_offset.max(next_offset);
        stream.at_end = at_end;
        stream.finished |= finished;
        let parts = self.seal();
        Complete::new(&self.plan, parts)
    }

    fn count(&mut self, batch: &EventBatch, first: i64) {
        let plan = Arc::clone(&self.plan);
        let labels_follow = plan.sources.iter().any(|source| source.kind == EventKind::Outcome);
        let stream = self.streams.get_mut(&batch.source).expect("a source of the plan");
        let clock_before = stream.clock.clone();
        let InputStream { traffic, clock, intakes, .. } = &mut *stream;
        let (cells, Dropped { late, duplicates }) = traffic.assign(&plan, clock, intakes, batch);
        self.counts.late += late;
        self.counts.duplicates += duplicates;
        if stream.gap.is_some() {
            let times = batch.event_time.values().iter().zip(batch.broker_time.values());
            times.for_each(|(&time, &broker_time)| stream.pass_gap(&plan.time, time, broker_time));
        }
        let answers = (batch.kind == EventKind::Prediction).then(|| Answers::of(&plan, batch));
        if let (Some(_), Some(labels)) = (&answers, &mut self.labels) {
            labels.meet(&plan, batch);
        }
        for cell in &cells {
            stream.firsts.entry(cell.pane).or_insert_with(|| (first, clock_before.clone()));
            stream.traffic.count(&plan, batch, cell, &mut self.code_counts);
            if let (Some(answers), Some(labels)) = (&answers, &mut self.labels) {
                labels.predict(&plan, answers, cell, labels_follow);
            }
            if let (Some(answers), Some(pairing)) = (&answers, &mut self.pairing) {
                pairing.take(answers, cell);
            }
        }
    }

    fn label(&mut self, batch: &EventBatch, first: i64) {
        let Some(labels) = &mut self.labels else { return };
        let plan = &self.plan;
        let stream = self.streams.get_mut(&batch.source).expect("a source of the plan");
        let task = plan.quality.as_ref().map(|quality| quality.task);
        let classes = PerEntry::of(&batch.label_class, class_hash);
        labels.meet(plan, batch);
        let clock_before = stream.clock.clone();
        for row in 0..batch.len() {
            let broker_time = batch.broker_time.value(row);
            let watermark = stream.clock.watermark(&plan.time).unwrap_or(Micros::MIN);
            stream.clock.arrive(broker_time, &plan.time);
            let arrived_in = stream.clock.watermark(&plan.time).map_or(broker_time, |mark| mark + plan.time.lateness);
            let bucket = plan.time.pane_of(arrived_in);
            stream.firsts.entry(bucket).or_insert_with(|| (first, clock_before.clone()));
            stream.intakes.of(bucket).rows += 1;
            stream.pass_gap(&plan.time, arrived_in, broker_time);
            let value = if task == Some(Task::Multiclass) { 0.0 } else { batch.label.value(row) };
            let class = classes.get(row).unwrap_or_default();
            let offset = batch.offset.value(row);
            let event_time = batch.event_time.value(row);
            let label = ArrivedLabel { broker_time, event_time, watermark, value, class, offset };
            let answered_at = labels.label(plan, batch.id.value(row), label);
            self.pairing.iter_mut().for_each(|one| one.label(plan, batch.id.value(row), label, answered_at));
        }
    }

    /// The rows that count: all of them, but for looks that came too late for windows that may have been judged. How
    /// far looks have come is told by when they arrived: they are too rare to confirm each other.
    fn declared(&mut self, batch: &EventBatch, first: i64) -> Vec<usize> {
        let Some(reach) = self.plan.share_reach() else { return (0..batch.len()).collect() };
        let plan = &self.plan.time;
        let stream = self.streams.get_mut(&batch.source).expect("a source of the plan");
        let clock_before = stream.clock.clone();
        let mut counted = Vec::new();
        for row in 0..batch.len() {
            let (at, complete) = (batch.event_time.value(row), stream.clock.watermark(plan));
            stream.clock.arrive(batch.broker_time.value(row), plan);
            if complete.is_some_and(|complete| at < complete) {
                self.counts.late += 1;
                continue;
            }
            let needed_until = plan.pane_of(at.saturating_add(reach));
            stream.firsts.entry(needed_until).or_insert_with(|| (first, clock_before.clone()));
            counted.push(row);
        }
        counted
    }

    fn declare(&self, batch: &EventBatch, row: usize) -> PartialPart {
        let at = batch.event_time.value(row);
        let text = |column| text_at(column, row).unwrap_or_default().to_owned();
        let group = GroupKey { model: text(&batch.model), version: text(&batch.version), segment: Vec::new() };
        let share = DeclaredShare { at, share: batch.exposure.value(row) };
        let (pane, inputs) = (self.plan.time.pane_of(at), Inputs::of(batch.offset.value(row)));
        self.part(batch.source, pane, Arc::new(group), inputs, PaneContent::Exposure(share))
    }

    /// Lets go of what is complete.
    fn seal(&mut self) -> VecDeque<PartialPart> {
        let (mut sealed, mut intakes) = (Vec::new(), Vec::new());
        for (&source, stream) in &mut self.streams {
            let mark = stream.watermark(&self.plan);
            while let Some((start, intake)) = stream.intakes.close(&self.plan.time, mark) {
                intakes.push((source, start, intake));
            }
            while let Some((start, groups, inputs)) = stream.traffic.close(&self.plan, mark) {
                sealed.extend(groups.into_cells().map(|(key, traffic)| (source, start, key, inputs, traffic)));
            }
        }
        let part = |(source, start, key, inputs, traffic)| {
            self.part(source, start, key, inputs, PaneContent::Traffic(Box::new(traffic)))
        };
        let nobody = Arc::new(GroupKey { model: String::new(), version: String::new(), segment: Vec::new() });
        let account = |(source, start, intake): (u16, Micros, Intake)| {
            self.part(source, start, Arc::clone(&nobody), Inputs::NONE, PaneContent::Intake(intake))
        };
        let accounts = intakes.into_iter().map(account);
        let mut parts: VecDeque<PartialPart> = accounts.chain(sealed.into_iter().map(part)).collect();
        parts.extend(self.seal_labels());
        parts.extend(self.seal_pairs());
        parts
    }

    fn seal_pairs(&mut self) -> Vec<PartialPart> {
        let predictions = self.kind_watermark(EventKind::Prediction);
        let outcomes = self.kind_watermark(EventKind::Outcome);
        let Some(pairing) = &mut self.pairing else { return Vec::new() };
        let complete = pairing.seal(&self.plan, predictions, outcomes);
        self.parts_of(EventKind::Prediction, complete)
    }

    /// What several streams make together, as the first of a kind tells it.
    fn parts_of(&self, kind: EventKind, complete: Vec<OfGroup>) -> Vec<PartialPart> {
        let source = self.plan.sources.iter().position(|source| source.kind == kind).unwrap_or(0);
        let source = u16::try_from(source).expect("a plan has few sources");
        let part = |(start, key, inputs, content)| self.part(source, start, key, inputs, content);
        complete.into_iter().map(part).collect()
    }

    fn seal_labels(&mut self) -> Vec<PartialPart> {
        let predictions = self.kind_watermark(EventKind::Prediction);
        let outcomes = self.kind_watermark(EventKind::Outcome);
        let Some(mut labels) = self.labels.take() else { return Vec::new() };
        let complete = labels.seal(&self.plan, predictions, outcomes);
        self.counts.labels = labels.counts;
        self.labels = Some(labels);
        self.parts_of(EventKind::Outcome, complete)
    }

    /// What is counted into as it stands now; provisional. In the order of source, pane and group.
    pub fn open(&self) -> impl Iterator<Item = Open<'_>> {
        let lane = self.lane;
        let panes = self
            .streams
            .iter()
            .flat_map(|(&source, stream)| stream.traffic.panes.iter().map(move |(&start, pane)| (source, start, pane)));
        panes.flat_map(move |(source, pane, open)| {
            let (changes, folded) = (open.changes, open.groups.n_folded());
            open.groups.iter().map(move |(group, traffic)| Open { lane, source, pane, changes, folded, group, traffic })
        })
    }

    /// How much open panes take, in bytes, about.
    #[must_use]
    pub fn open_bytes(&self) -> usize {
        self.open().map(|open| open.group.bytes() + open.traffic.bytes()).sum()
    }

    /// How much is taken by predictions and labels that wait for each other, and by panes whose labels are still coming
    /// in, in bytes, about.
    #[must_use]
    pub fn label_bytes(&self) -> usize {
        self.labels.as_ref().map_or(0, Labels::bytes) + self.pairing.as_ref().map_or(0, Pairing::bytes)
    }

    /// Moves labels and what waits for them to disk; see [`Labels::put_away`].
    pub(crate) fn put_away(&mut self, spill: &Arc<dyn Spill>, wanted: usize) -> usize {
        self.labels.as_mut().map_or(0, |labels| labels.put_away(&self.plan, spill, wanted))
    }

    /// How much the ids of open panes take, in bytes.
    #[must_use]
    pub fn id_bytes(&self) -> usize {
        self.streams.values().map(|stream| stream.traffic.id_bytes()).sum()
    }

    /// How far the lane has been read.
    #[must_use]
    pub fn tick(&self) -> Tick {
        // A window asks only for looks that are so much older than its end, and so none waits for the next look.
        let holds = self.plan.share_holds();
        let ahead = |stream: &InputStream| holds.filter(|_| stream.kind == EventKind::Exposure).unwrap_or(0);
        let state = |(&source, stream): (&u16, &InputStream)| StreamState {
            source,
            next_offset: stream.next_offset,
            watermark: stream.watermark(&self.plan).saturating_add(ahead(stream)),
            broker_time: stream.broker_time,
            at_end: stream.at_end,
            finished: stream.finished,
            pace: stream.intakes.pace(),
        };
        let is_awaited = |stream: &InputStream| stream.kind != EventKind::Exposure || holds.is_some();
        let streams = self.streams.iter().filter(|(_, stream)| is_awaited(stream)).map(state).collect();
        Tick { lane: self.lane, lanes: self.lanes, plan: self.plan.digest.clone(), streams }
    }

    /// Where the lane would resume, given the first pane that the judge still needs (`Micros::MAX`: it keeps its own).
    pub fn checkpoint(&mut self, needed_from: Micros, emit_from: Micros) -> Checkpoint {
        let open = self.streams.values().filter_map(|stream| stream.traffic.panes.keys().next());
        let labelled = self.labels.iter().filter_map(|labels| labels.panes.keys().next());
        let paired = self.pairing.iter().filter_map(Pairing::first);
        let unread = self
            .streams
            .values()
            .filter(|stream| stream.kind.is_traffic())
            .map(|stream| stream.unread_from(&self.plan));
        let needed_from = open.chain(labelled).copied().chain(paired).chain(unread).fold(needed_from, Micros::min);
        // Of panes before these only a part is read again: whoever resumes from here must not take it for the whole.
        let needed_from = needed_from.max(self.whole_from);
        let plan: String = self.plan.digest.chars().take(16).collect();
        let read_from = self.plan.time.pane_of(needed_from.saturating_sub(pairing::reach(&self.plan)));
        let mut streams = Vec::new();
        for (&source, stream) in &mut self.streams {
            stream.firsts = stream.firsts.split_off(&read_from);
            let here = (stream.next_offset, stream.clock.clone());
            let first = stream.firsts.values().min_by_key(|(offset, _)| *offset).cloned();
            let (low_water, clock) = first.unwrap_or(here);
            let (plan, emit_from) = (plan.clone(), emit_from.max(needed_from));
            let pace = stream.intakes.pace_before(needed_from);
            let lost = stream.gap.as_ref().filter(|gap| gap.at == low_water).map(|gap| gap.lost);
            let meta = CheckpointMeta { format: Version, plan, clock, needed_from, emit_from, tally: None, pace, lost };
            streams.push(StreamCheckpoint { source, low_water, meta });
        }
        Checkpoint { lane: self.lane, streams }
    }

    /// What was counted besides the panes.
    #[must_use]
    pub fn counts(&self) -> LaneCounts {
        self.counts
    }

    fn part(
        &self,
        source: u16,
        pane: Micros,
        group: Arc<GroupKey>,
        inputs: Inputs,
        content: PaneContent,
    ) -> PartialPart {
        let upto = self.streams.values().map(|stream| stream.next_offset).sum();
        PartialPart { lane: self.lane, source, pane, group, upto, inputs, content }
    }

    /// The smallest watermark of the streams of one kind; the largest time when there are none.
    fn kind_watermark(&self, kind: EventKind) -> Micros {
        let marks =
            self.streams.values().filter(|stream| stream.kind == kind).map(|stream| stream.watermark(&self.plan));
        marks.min().unwrap_or(Micros::MAX)
    }
}

impl InputStream {
    fn new(kind: EventKind) -> Self {
        Self {
            kind,
            clock: Clock::default(),
            next_offset: 0,
            broker_time: Micros::MIN,
            at_end: false,
            finished: false,
            traffic: TrafficStream::default(),
            intakes: Intakes::default(),
            gap: None,
            firsts: BTreeMap::new(),
        }
    }

    /// Continues from where it was committed. Of records that are gone since nobody knows when they happened: they are
    /// missed in every pane from the first that was still needed to those of the first rows after them.
    fn restore(&mut self, saved: &StreamCheckpoint, whole_from: Micros) {
        let CheckpointMeta { clock, pace, lost, .. } = &saved.meta;
        (self.next_offset, self.clock) = (saved.low_water, clock.clone());
        self.intakes = Intakes::restored(whole_from, *pace);
        let Some(mut lost) = *lost else { return };
        lost.since = if lost.since == Micros::MIN { whole_from } else { lost.since };
        let (at, clock) = (saved.low_water, clock.clone());
        self.gap = Some(Gap { lost, at, clock, rows: 0, first: None, missed: None });
        if lost.since >= whole_from && whole_from > Micros::MIN {
            self.firsts.insert(lost.since, (saved.low_water, self.clock.clone()));
            self.intakes.of(lost.since).lost = lost.records;
        }
    }

    /// Notes when a row happened and came that stands behind the records that are gone. They came before it, and may
    /// have happened as late as it would have, had it come as early as the first of such rows.
    fn pass_gap(&mut self, plan: &TimePlan, time: Micros, broker_time: Micros) {
        let Some(gap) = self.gap.as_mut().filter(|gap| gap.rows < GAP_ROWS) else { return };
        gap.rows += 1;
        let first = *gap.first.get_or_insert(broker_time);
        let latest = time.min(first.saturating_add(plan.lateness)).saturating_sub((broker_time - first).max(0));
        let last = plan.pane_of(if gap.rows == 1 { time } else { latest });
        let since = if gap.lost.since > Micros::MIN { gap.lost.since } else { last };
        let mut pane =
            gap.missed.unwrap_or_else(|| plan.pane_of(since.max(last.saturating_sub(GAP_PANES * plan.pane))));
        while pane <= last {
            self.intakes.of(pane).lost = gap.lost.records;
            self.firsts.entry(pane).or_insert_with(|| (gap.at, gap.clock.clone()));
            pane = plan.pane_end(pane);
        }
        gap.missed = Some(pane);
    }

    /// For each refused record of a batch that is yet to be taken: the pane where the clock stands at its place.
    fn refused_in(&self, plan: &Plan, batch: &EventBatch) -> std::vec::IntoIter<Micros> {
        let (mut clock, mut taken, mut panes) = (self.clock.clone(), 0, Vec::new());
        // Shares are settings and no sample: none of them is missed in a pane.
        let refused = if self.kind == EventKind::Exposure { &[][..] } else { &batch.refused };
        for &offset in refused {
            let before = batch.offset.values().partition_point(|&row| row < offset);
            if self.kind == EventKind::Outcome {
                batch.broker_time.values()[taken..before].iter().for_each(|&time| clock.arrive(time, &plan.time));
            } else {
                clock.observe_all(&times_of(batch).range(taken..before), &plan.time);
            }
            taken = before;
            panes.extend(clock.latest().map(|latest| plan.time.pane_of(latest)));
        }
        panes.into_iter()
    }

    /// The first pane that records yet to come may open: a label may already have been read for it.
    fn unread_from(&self, plan: &Plan) -> Micros {
        plan.time.pane_of(self.watermark(plan))
    }

    fn watermark(&self, plan: &Plan) -> Micros {
        if self.finished { Micros::MAX } else { self.clock.watermark(&plan.time).unwrap_or(Micros::MIN) }
    }
}
