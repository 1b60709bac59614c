//! Many files, one order: streams take turns by arrival time.
//!
//! Streams change places only where a stretch of arrival time (as long as a pane) ends, so that batches stay long;
//! within a stretch the order is by source, then partition, then file. A file whose arrival times go back stays in its
//! own order: it stands where its latest time so far puts it. A file is opened when its first rows are due, so of a
//! year of files only those are open that overlap.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::batch::EventBatch;
use crate::error::Result;
use crate::event::Micros;
use crate::plan::Plan;

use super::file::Input;
use super::{BATCH_ROWS, Blocks, Offsets, ReadBlock, Refused, ReplayStep, StreamKey};

/// All files, merged.
pub(super) struct FileMerge {
    plan: Arc<Plan>,
    /// Files that are not open yet, the next one last.
    waiting: Vec<Input>,
    feeds: Vec<Feed>,
    streams: Streams,
    ready: VecDeque<ReplayStep>,
    batch_rows: usize,
    passed_over: Arc<AtomicU64>,
}

/// What is known of streams.
#[derive(Default)]
struct Streams {
    /// Files of each that have not ended.
    left: BTreeMap<StreamKey, usize>,
    /// The next offset of those that several files feed: their rows are numbered as they are handed on.
    shared: Offsets,
}

/// One open file.
struct Feed {
    blocks: Box<dyn Blocks + Send>,
    streams: BTreeSet<StreamKey>,
    offsets: Offsets,
    arrival_max: BTreeMap<StreamKey, Micros>,
    heads: Vec<EventBatch>,
    ended: bool,
}

/// Where the next rows of a stream stand in the order.
type MergeOrder = (Micros, StreamKey);

impl FileMerge {
    /// Merges files; the streams in `unfed` end at once.
    pub(super) fn new(plan: &Arc<Plan>, mut inputs: Vec<Input>, unfed: Vec<StreamKey>, batch_rows: usize) -> Self {
        let ready = unfed.into_iter().map(|stream| end(stream, 0)).collect();
        let mut streams = Streams::default();
        inputs.iter().flat_map(|input| &input.streams).for_each(|&stream| streams.add(stream));
        inputs.sort_by_key(|input| input.begins);
        inputs.reverse();
        let passed_over = Arc::default();
        Self { plan: Arc::clone(plan), waiting: inputs, feeds: Vec::new(), streams, ready, batch_rows, passed_over }
    }

    /// How many records were passed over so far.
    pub(super) fn passed_over(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.passed_over)
    }

    /// The next step, or `None` when every stream has ended.
    pub(super) fn step(&mut self) -> Result<Option<ReplayStep>> {
        loop {
            self.open_due()?;
            if let Some(step) = self.ready.pop_front() {
                return Ok(Some(step));
            }
            if !self.take_turn() {
                return Ok(None);
            }
        }
    }

    /// Reads on until every open file has rows or has ended, and every file is open whose rows may be next.
    fn open_due(&mut self) -> Result<()> {
        let pane = self.plan.time.pane;
        let block_rows = self.batch_rows.max(BATCH_ROWS);
        loop {
            for feed in &mut self.feeds {
                let passed_over = feed.fill(&mut self.streams, &mut self.ready)?;
                self.passed_over.fetch_add(passed_over, Ordering::Relaxed);
            }
            self.feeds.retain(|feed| !feed.ended || !feed.heads.is_empty());
            let now = self.feeds.iter().flat_map(|feed| feed.turns(pane)).map(|((stretch, _), _)| stretch).min();
            let is_due = |input: &Input| now.is_none_or(|now| input.begins.div_euclid(pane) <= now);
            let Some(input) = self.waiting.pop_if(|input| is_due(input)) else { return Ok(()) };
            self.feeds.push(Feed::open(input, &self.plan, block_rows)?);
        }
    }

    /// Lets the stream whose turn it is give rows until it is another's turn; false when there are none.
    fn take_turn(&mut self) -> bool {
        let pane = self.plan.time.pane;
        let turns = self.feeds.iter().enumerate();
        let turns = turns.flat_map(|(at, feed)| feed.turns(pane).map(move |(turn, head)| (turn, at, head)));
        let mut turns: Vec<(MergeOrder, usize, usize)> = turns.collect();
        turns.sort_unstable();
        let Some(&((_, stream), at, head)) = turns.first() else { return false };
        let until = turns.get(1).map_or(Micros::MAX, |&((stretch, other), next, _)| {
            let is_before = (stream, at) < (other, next);
            stretch.saturating_add(Micros::from(is_before)).saturating_mul(pane)
        });
        let opens = self.waiting.last().map_or(Micros::MAX, |input| input.begins.div_euclid(pane).saturating_mul(pane));
        let batch = self.feeds[at].take(head, until.min(opens));
        let batch = self.streams.numbered(batch);
        let mut from = 0;
        while from < batch.len() {
            let rows = record_end(&batch, (from + self.batch_rows).min(batch.len())) - from;
            self.ready.push_back(ReplayStep::Batch(Box::new(batch.slice(from, rows))));
            from += rows;
        }
        true
    }
}

impl std::fmt::Debug for FileMerge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (waiting, open) = (self.waiting.len(), self.feeds.len());
        f.debug_struct("Merge").field("waiting", &waiting).field("open", &open).finish_non_exhaustive()
    }
}

impl Streams {
    fn add(&mut self, stream: StreamKey) {
        let files = self.left.entry(stream).or_default();
        *files += 1;
        if *files > 1 {
            self.shared.insert(stream, 0);
        }
    }

    /// Rows as they are numbered in their stream. What was refused before a row stands where the row does: it was
    /// numbered when it was told.
    fn numbered(&mut self, mut batch: EventBatch) -> EventBatch {
        if let Some(next) = self.shared.get_mut(&stream_of(&batch)) {
            let count = |n: usize| i64::try_from(n).expect("a batch has few rows");
            let before = |offset: i64| count(batch.offset.values().partition_point(|&row| row < offset));
            batch.refused = batch.refused.iter().map(|&offset| *next + before(offset)).collect();
            let n = count(batch.len());
            batch.offset = (*next..*next + n).collect();
            *next += n;
        }
        batch
    }

    /// Refused rows as they are numbered in their streams.
    fn renumber(&mut self, refused: &mut [Refused]) {
        for one in refused {
            if let Some(next) = self.shared.get_mut(&(one.source, one.lane)) {
                one.reject.offset = *next;
                *next += 1;
            }
        }
    }

    /// A file of a stream has ended, of which `next` rows were read; says so of the last.
    fn ended(&mut self, stream: StreamKey, next: i64) -> Option<ReplayStep> {
        let left = self.left.get_mut(&stream)?;
        *left -= 1;
        (*left == 0).then(|| end(stream, self.shared.get(&stream).copied().unwrap_or(next)))
    }
}

impl Feed {
    fn open(input: Input, plan: &Arc<Plan>, block_rows: usize) -> Result<Self> {
        let (streams, offsets, arrival_max) = (input.streams.clone(), Offsets::new(), BTreeMap::new());
        let blocks = input.blocks(plan, block_rows)?;
        Ok(Self { blocks, streams, offsets, arrival_max, heads: Vec::new(), ended: false })
    }

    /// Reads on until there are rows, or the file has ended; how many records were passed over on the way.
    fn fill(&mut self, streams: &mut Streams, ready: &mut VecDeque<ReplayStep>) -> Result<u64> {
        let mut passed = 0;
        while self.heads.is_empty() && !self.ended {
            if let Some(block) = self.blocks.next_block(&mut self.offsets)? {
                let ReadBlock { batches, mut refused, passed_over } = block;
                passed += passed_over;
                let (with_rows, refused_alone) = batches.into_iter().partition::<Vec<_>, _>(|batch| !batch.is_empty());
                self.heads.extend(with_rows);
                let places = refused_alone.into_iter().filter(|batch| !batch.refused.is_empty());
                ready.extend(places.map(|batch| ReplayStep::Batch(Box::new(batch))));
                streams.renumber(&mut refused);
                ready.extend((!refused.is_empty()).then_some(ReplayStep::Refused(refused)));
            } else {
                self.ended = true;
                let next = |stream| self.offsets.get(stream).copied().unwrap_or(0);
                ready.extend(self.streams.iter().filter_map(|stream| streams.ended(*stream, next(stream))));
            }
        }
        Ok(passed)
    }

    /// The turn of each head.
    fn turns(&self, pane: Micros) -> impl Iterator<Item = (MergeOrder, usize)> {
        self.heads.iter().enumerate().map(move |(head, batch)| {
            let stream = stream_of(batch);
            let before = self.arrival_max.get(&stream).copied().unwrap_or(Micros::MIN);
            ((before.max(batch.broker_time.value(0)).div_euclid(pane), stream), head)
        })
    }

    /// Takes rows off a head up to the first one that arrived at `until` or later.
    fn take(&mut self, head: usize, until: Micros) -> EventBatch {
        let batch = &self.heads[head];
        let times = batch.broker_time.values();
        let rows = times.iter().position(|&time| time >= until).unwrap_or(times.len()).max(1);
        let latest = self.arrival_max.entry(stream_of(batch)).or_insert(Micros::MIN);
        *latest = times[..rows].iter().copied().fold(*latest, Micros::max);
        let taken = batch.slice(0, rows);
        if rows == batch.len() {
            self.heads.swap_remove(head);
        } else {
            self.heads[head] = batch.slice(rows, batch.len() - rows);
        }
        taken
    }
}

/// Where the record ends whose rows stand before a place: rows of one record stay together.
fn record_end(batch: &EventBatch, place: usize) -> usize {
    let offsets = batch.offset.values();
    let same = offsets[place..].iter().take_while(|offset| **offset == offsets[place - 1]);
    place + same.count()
}

fn stream_of(batch: &EventBatch) -> StreamKey {
    (batch.source, batch.lane)
}

fn end((source, lane): StreamKey, next_offset: i64) -> ReplayStep {
    ReplayStep::End { source, lane, next_offset }
}
