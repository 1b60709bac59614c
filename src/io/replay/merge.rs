//! Many files, one order: streams take turns by arrival time.
//!
//! Streams change places only where a stretch of arrival time (as long as a pane) ends, so that batches stay long;
//! within a stretch the order is by source, then partition. A stream whose arrival times go back stays in its own
//! order: it stands where its latest time so far puts it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::batch::EventBatch;
use crate::error::Result;
use crate::event::Micros;
use crate::plan::Plan;

use super::file::Input;
use super::{BATCH_ROWS, Block, Blocks, Offsets, Step, Stream};

/// All files, merged.
pub(super) struct Merge {
    plan: Arc<Plan>,
    chains: Vec<Chain>,
    ready: VecDeque<Step>,
    batch_rows: usize,
}

/// Files that are read one after another.
struct Chain {
    files: VecDeque<Input>,
    open: Option<Box<dyn Blocks + Send>>,
    streams: BTreeSet<Stream>,
    offsets: Offsets,
    arrival_max: BTreeMap<Stream, Micros>,
    heads: Vec<EventBatch>,
    ended: bool,
}

/// Where the next rows of a stream stand in the order.
type Turn = (Micros, Stream);

impl Merge {
    /// Merges chains of files; the streams in `unfed` end at once.
    pub(super) fn new(plan: &Arc<Plan>, chains: Vec<Vec<Input>>, unfed: Vec<Stream>, batch_rows: usize) -> Self {
        let ready = unfed.into_iter().map(|stream| end(stream, 0)).collect();
        Self { plan: Arc::clone(plan), chains: chains.into_iter().map(Chain::new).collect(), ready, batch_rows }
    }

    /// The next step, or `None` when every stream has ended.
    pub(super) fn step(&mut self) -> Result<Option<Step>> {
        loop {
            for chain in &mut self.chains {
                chain.fill(&self.plan, self.batch_rows, &mut self.ready)?;
            }
            if let Some(step) = self.ready.pop_front() {
                return Ok(Some(step));
            }
            if !self.take_turn() {
                return Ok(None);
            }
        }
    }

    /// Lets the stream whose turn it is give rows until it is another's turn; false when there are none.
    fn take_turn(&mut self) -> bool {
        let pane = self.plan.time.pane;
        let turns = self.chains.iter().enumerate().flat_map(|(at, chain)| {
            chain.heads.iter().enumerate().map(move |(head, batch)| (chain.turn(batch, pane), at, head))
        });
        let mut turns: Vec<(Turn, usize, usize)> = turns.collect();
        turns.sort_unstable();
        let Some(&((_, stream), at, head)) = turns.first() else { return false };
        let until = turns.get(1).map_or(Micros::MAX, |&((stretch, other), ..)| {
            let stretches = if stream < other { stretch + 1 } else { stretch };
            stretches.saturating_mul(pane)
        });
        let batch = self.chains[at].take(head, until);
        for from in (0..batch.len()).step_by(self.batch_rows) {
            let rows = self.batch_rows.min(batch.len() - from);
            self.ready.push_back(Step::Batch(Box::new(batch.slice(from, rows))));
        }
        true
    }
}

impl std::fmt::Debug for Merge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merge").field("chains", &self.chains.len()).finish_non_exhaustive()
    }
}

impl Chain {
    fn new(files: Vec<Input>) -> Self {
        Self {
            streams: files.iter().flat_map(|file| file.streams.iter().copied()).collect(),
            files: files.into(),
            open: None,
            offsets: Offsets::new(),
            arrival_max: BTreeMap::new(),
            heads: Vec::new(),
            ended: false,
        }
    }

    /// Reads on until there are rows, or the streams have ended.
    fn fill(&mut self, plan: &Arc<Plan>, batch_rows: usize, ready: &mut VecDeque<Step>) -> Result<()> {
        while self.heads.is_empty() && !self.ended {
            if let Some(Block { batches, refused }) = self.block(plan, batch_rows)? {
                self.heads.extend(batches.into_iter().filter(|batch| !batch.is_empty()));
                ready.extend((!refused.is_empty()).then_some(Step::Refused(refused)));
            } else {
                self.ended = true;
                let next = |stream| self.offsets.get(stream).copied().unwrap_or(0);
                ready.extend(self.streams.iter().map(|stream| end(*stream, next(stream))));
            }
        }
        Ok(())
    }

    fn block(&mut self, plan: &Arc<Plan>, batch_rows: usize) -> Result<Option<Block>> {
        loop {
            let block = self.open.as_mut().map(|blocks| blocks.next_block(&mut self.offsets)).transpose()?;
            if let Some(block) = block.flatten() {
                return Ok(Some(block));
            }
            let Some(file) = self.files.pop_front() else { return Ok(None) };
            self.open = Some(file.blocks(plan, batch_rows.max(BATCH_ROWS))?);
        }
    }

    fn turn(&self, batch: &EventBatch, pane: Micros) -> Turn {
        let stream = stream_of(batch);
        let before = self.arrival_max.get(&stream).copied().unwrap_or(Micros::MIN);
        (before.max(batch.broker_time.value(0)).div_euclid(pane), stream)
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

fn stream_of(batch: &EventBatch) -> Stream {
    (batch.source, batch.lane)
}

fn end((source, lane): Stream, next_offset: i64) -> Step {
    Step::End { source, lane, next_offset }
}
