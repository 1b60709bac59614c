//! Who takes part in a run: whoever keeps what it says, such as a store, has a say in it; the others listen, such as
//! the HTTP server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::checkpoint::{StartPosition, Stream};
use super::liveness::Behind;
use super::reader::ReadPortion;
use crate::batch::EventBatch;
use crate::engine::{Effects, MemoryUse};
use crate::error::Result;
use crate::event::Micros;
use crate::judge::WindowRow;
use crate::scan::{LaneCounts, StreamCounts};
use crate::summary::Spill;
use crate::verdict::{Liveness, RolloutState};

/// How far one stream was read and committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStanding {
    /// The stream.
    pub stream: Stream,
    /// The next offset to read.
    pub next_offset: i64,
    /// The end of its log.
    pub end: i64,
    /// The offset committed last; `None` before the first commit.
    pub low_water: Option<i64>,
    /// Wall-clock time of the last commit that was made or had nothing to say; of the start before that.
    pub committed_at: Micros,
    /// Latest broker time read.
    pub broker_time: Option<Micros>,
    /// Latest event time read.
    pub event_time: Option<Micros>,
    /// How far reading is behind.
    pub behind: Behind,
}

impl StreamStanding {
    /// Nothing read yet, at this wall-clock time.
    #[must_use]
    pub fn new(origin: &StartPosition, now: Micros) -> Self {
        let (stream, next_offset, end) = (origin.stream.clone(), origin.offset, origin.end);
        let low_water = origin.meta.as_ref().map(|_| origin.offset);
        Self {
            stream,
            next_offset,
            end,
            low_water,
            committed_at: now,
            broker_time: None,
            event_time: None,
            behind: Behind::default(),
        }
    }

    /// The end of the log was looked up.
    pub fn look(&mut self, next_offset: i64, end: i64, at: Micros) {
        (self.next_offset, self.end) = (next_offset, end);
        self.behind.look(next_offset, end, at);
    }

    /// Takes what was read.
    pub fn note(&mut self, portion: &ReadPortion) {
        let newest = portion.batch.broker_time.values().iter().copied().max();
        self.broker_time = self.broker_time.max(newest);
        self.event_time = self.event_time.max(portion.batch.event_time_max());
    }
}

/// Those who take part in a run.
#[derive(Clone, Copy)]
pub struct Audience<'a> {
    /// Keeps what the run says, and has a say in it.
    pub keeper: &'a dyn Keeper,
    /// Only listens.
    pub watch: &'a dyn RunObserver,
}

impl<'a> Audience<'a> {
    /// Nothing is kept, and nobody listens.
    #[must_use]
    pub fn none() -> Self {
        Self { keeper: &Nobody, watch: &Nobody }
    }

    /// One who keeps what is said; nobody listens.
    #[must_use]
    pub fn keeping(keeper: &'a dyn Keeper) -> Self {
        Self { keeper, ..Self::none() }
    }

    /// One who listens; nothing is kept.
    #[must_use]
    pub fn watching(watch: &'a dyn RunObserver) -> Self {
        Self { watch, ..Self::none() }
    }
}

/// Keeps what a run says, and with its answers decides how the run goes on. Unless a method is written, nothing is kept
/// and nothing held up.
pub trait Keeper: Sync {
    /// The work is this process's own from now on; what others have left is about to be read. An error ends the run.
    fn taking_over(&self) -> Result<()> {
        Ok(())
    }

    /// Whether complete panes are wanted too.
    fn keeps_panes(&self) -> bool {
        false
    }

    /// How many bytes the engine may keep in memory, and where it puts the rest. No answer: as many as it needs.
    fn bound(&self) -> Option<(usize, Arc<dyn Spill>)> {
        None
    }

    /// Up to which offset a stream was counted before the start; a batch is split there.
    fn counted_upto(&self, source: u16, lane: u32) -> i64 {
        let _ = (source, lane);
        0
    }

    /// What the lane had counted before and after the engine took the rows of a portion beyond that offset.
    fn took(&self, portion: &ReadPortion, fresh: &EventBatch, counts: (LaneCounts, LaneCounts)) {
        let _ = (portion, fresh, counts);
    }

    /// A scan that runs apart has counted so much of a stream; it may say so again.
    fn tallied(&self, source: u16, lane: u32, tally: &StreamCounts) {
        let _ = (source, lane, tally);
    }

    /// Decisions are acknowledged, and states are not on their way yet: whether what a restart does not say again is
    /// kept now. `false` holds the states back until all that was told is kept. An error ends the run before anything
    /// is committed.
    fn keep(&self, effects: &Effects) -> Result<bool> {
        let _ = effects;
        Ok(true)
    }

    /// Decisions are acknowledged and states are on their way; what a restart says again, windows above all, is kept at
    /// the latest now. An error ends the run before anything is committed.
    fn conclude(&self, effects: &Effects) -> Result<()> {
        let _ = effects;
        Ok(())
    }

    /// Offsets are to be committed: whether all that was told is kept. `false` puts the commit off, except at the end
    /// of a run, when there is no later one.
    fn settle(&self, at_end: bool) -> Result<bool> {
        let _ = at_end;
        Ok(true)
    }
}

/// Listens. Every method does nothing unless it is written.
pub trait RunObserver: Sync {
    /// Everything is restored; reading begins.
    fn started(&self, rollouts: &[RolloutState]) {
        let _ = rollouts;
    }

    /// Another process of the group does the work; this one takes over when that one is gone.
    fn standing_by(&self) {}

    /// Every log has been read near to its end, once since the start or since the work was taken over.
    fn caught_up(&self) {}

    /// This process judges; told about once a second.
    fn judging(&self, liveness: &Liveness) {
        let _ = liveness;
    }

    /// One batch was decoded and given to the engine.
    fn read(&self, portion: &ReadPortion) {
        let _ = portion;
    }

    /// The engine took so long for it.
    fn stepped(&self, took: Duration) {
        let _ = took;
    }

    /// What every lane of a thread has counted so far, about once a second.
    fn counted(&self, thread: &str, counts: &BTreeMap<u32, LaneCounts>) {
        let _ = (thread, counts);
    }

    /// Decisions are acknowledged and states are on their way.
    fn published(&self, effects: &Effects) {
        let _ = effects;
    }

    /// How the open windows stand.
    fn provisional(&self, rows: Vec<WindowRow>) {
        let _ = rows;
    }

    /// So many looks at open windows were left out, because the engine has more urgent things to do.
    fn skipped(&self, looks: u64) {
        let _ = looks;
    }

    /// What a thread keeps in memory, now and then; `queued` bytes of records were read and wait for it.
    fn remembered(&self, thread: &str, memory: &MemoryUse, queued: u64) {
        let _ = (thread, memory, queued);
    }

    /// How far the streams of a thread are, about once a second. What it does not name any more went elsewhere.
    fn standing(&self, thread: &str, standings: &[StreamStanding]) {
        let _ = (thread, standings);
    }

    /// So many partitions of input topics are not read yet.
    fn unread(&self, partitions: u32) {
        let _ = partitions;
    }

    /// Whether the schema registry answers, about once a second; until it does, records wait.
    fn schemas(&self, answer: bool) {
        let _ = answer;
    }

    /// A thread is alive; called several times a second.
    fn alive(&self, thread: &str) {
        let _ = thread;
    }
}

/// Keeps nothing, and listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Keeper for Nobody {}
impl RunObserver for Nobody {}
