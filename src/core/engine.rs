//! Both stages in one process: what replay, the demo and the standalone service drive.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::batch::EventBatch;
use crate::event::Micros;
pub use crate::judge::Effects;
use crate::judge::{Judge, LookStep, SealedPartial};
use crate::plan::Plan;
use crate::scan::{Checkpoint, Complete, LaneCounts, Scan, portions};
use crate::summary::Spill;
use crate::verdict::{Command, RolloutState, Scheduled};

/// What an engine keeps in memory, in bytes, about: found by looking, not by asking whoever hands memory out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryUse {
    /// Panes that are counted into.
    pub open_panes: usize,
    /// Panes that are complete, and what windows that were judged are remembered by.
    pub sealed_panes: usize,
    /// Predictions and labels that wait for each other, and panes whose labels are still coming in.
    pub labels: usize,
    /// Ids of events, by which re-deliveries are recognised.
    pub ids: usize,
    /// What the last window took while it was judged; it will be so again.
    pub judging: usize,
}

impl MemoryUse {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> usize {
        let Self { open_panes, sealed_panes, labels, ids, judging } = self;
        open_panes + sealed_panes + labels + ids + judging
    }
}

/// Scans for every lane and one judge, joined by an in-memory log.
#[derive(Debug)]
pub struct Engine {
    scans: BTreeMap<u32, Scan>,
    judge: Judge,
    /// How long a pane is.
    pane: Micros,
    keeps_panes: bool,
    bound: Option<MemoryBound>,
    /// How far judging had come when what nobody needs any more was let go of last.
    tidied_at: Micros,
}

/// How much may be kept in memory, and where the rest goes.
#[derive(Debug)]
struct MemoryBound {
    bytes: usize,
    spill: Arc<dyn Spill>,
}

impl Engine {
    /// A fresh engine for `lanes` source partitions.
    #[must_use]
    pub fn new(plan: Arc<Plan>, lanes: u32) -> Self {
        let scans = (0..lanes).map(|lane| (lane, Scan::new(Arc::clone(&plan), lane, lanes))).collect();
        let pane = plan.time.pane;
        Self {
            scans,
            judge: Judge::new(plan).of_one_process(),
            pane,
            keeps_panes: false,
            bound: None,
            tidied_at: Micros::MIN,
        }
    }

    /// Hands complete panes out too, for those who keep them.
    #[must_use]
    pub fn keeping_panes(self, keeps_panes: bool) -> Self {
        Self { keeps_panes, ..self }
    }

    /// Keeps so many bytes in memory, about, and puts what is beyond on disk: complete panes, labels and what waits
    /// for them, the oldest first. What is counted into stays, and so do the ids by which re-deliveries are recognised.
    /// Results are the same with and without.
    #[must_use]
    pub fn bounded(self, bytes: usize, spill: Arc<dyn Spill>) -> Self {
        Self { bound: Some(MemoryBound { bytes, spill }), ..self }
    }

    /// Continues from rollout states read back from the state topic.
    pub fn restore_rollouts(&mut self, states: Vec<RolloutState>) {
        self.judge.restore_rollouts(states);
    }

    /// Continues one lane from its committed checkpoint; the caller reads each stream from its low-water offset.
    pub fn restore_lane(&mut self, checkpoint: &Checkpoint) {
        self.scan(checkpoint.lane).restore(checkpoint);
        self.judge.restore_lane(checkpoint);
    }

    /// Takes a batch of one stream. Batches of one stream come in offset order; streams may interleave at will.
    pub fn step(&mut self, batch: &EventBatch) -> Effects {
        let mut effects = Effects::default();
        for portion in portions(batch, self.pane) {
            let complete = self.scan(batch.lane).step(&portion);
            effects.extend(self.pass_on(batch.lane, complete));
        }
        effects
    }

    /// Tells that a stream was read up to `next_offset` (also past refused records), whether its log ended there for
    /// now, and whether for good.
    pub fn progress(&mut self, lane: u32, source: u16, next_offset: i64, at_end: bool, finished: bool) -> Effects {
        let complete = self.scan(lane).progress(source, next_offset, at_end, finished);
        self.pass_on(lane, complete)
    }

    fn pass_on(&mut self, lane: u32, complete: Complete) -> Effects {
        let mut panes = Vec::new();
        let whole_from = self.scan(lane).whole_from();
        // Of panes before that only a part was read again.
        for partial in complete.filter(|partial| partial.is_whole(whole_from)) {
            let kept = self.keeps_panes.then(|| SealedPartial::new(&partial));
            if self.judge.put(partial) {
                panes.extend(kept);
            }
        }
        let tick = self.scan(lane).tick();
        let mut effects = self.judge.tick(tick);
        effects.panes = panes;
        if self.tidied_at != self.judge.released_at() {
            self.tidied_at = self.judge.released_at();
            self.forget();
            self.put_away();
        }
        effects
    }

    /// Lets go of where panes began that no restart needs any more: nobody may ever ask for a checkpoint.
    fn forget(&mut self) {
        let lanes: Vec<u32> = self.scans.keys().copied().collect();
        lanes.into_iter().for_each(|lane| drop(self.checkpoint(lane)));
    }

    /// Looks after the bound.
    fn put_away(&mut self) {
        let Some(MemoryBound { bytes, spill }) = &self.bound else { return };
        let (bytes, spill) = (*bytes, Arc::clone(spill));
        let kept = self.memory().total();
        if kept <= bytes {
            return;
        }
        // A little more than that, so that there is room until the next pane.
        let wanted = kept - bytes + bytes / 8;
        let mut gained = self.judge.put_away(&spill, wanted);
        for scan in self.scans.values_mut() {
            gained += scan.put_away(&spill, wanted.saturating_sub(gained));
        }
    }

    /// Tells the newest broker time known (live: the wall clock), against which idle streams are recognised when their
    /// next progress is told.
    pub fn broker_now(&mut self, now: Micros) {
        self.judge.broker_now(now);
    }

    /// Carries out a command, at once; its result says after which judgement that was.
    pub fn command(&mut self, command: Command) -> Effects {
        self.judge.command(command)
    }

    /// Notes a command of a replay, to be carried out at its place among the judgements.
    pub fn schedule(&mut self, scheduled: Scheduled) {
        self.judge.schedule(scheduled);
    }

    /// A step of a look at the open window as it stands: adds up so many of its groups. It is left to the caller when
    /// the next step is taken, and when and where the look is measured.
    pub fn early(&mut self, groups: usize) -> LookStep {
        self.judge.early(self.scans.values().flat_map(Scan::open), groups)
    }

    /// What is kept in memory.
    #[must_use]
    pub fn memory(&self) -> MemoryUse {
        let of_scans = |bytes: fn(&Scan) -> usize| self.scans.values().map(bytes).sum();
        MemoryUse {
            open_panes: of_scans(Scan::open_bytes),
            sealed_panes: self.judge.bytes(),
            labels: of_scans(Scan::label_bytes),
            ids: of_scans(Scan::id_bytes),
            judging: self.judge.judging_bytes(),
        }
    }

    /// Where a lane would resume.
    pub fn checkpoint(&mut self, lane: u32) -> Checkpoint {
        let (needed_from, emit_from) = self.judge.needed_from();
        self.scan(lane).checkpoint(needed_from, emit_from)
    }

    /// Every rollout's state, in key order.
    #[must_use]
    pub fn rollouts(&self) -> Vec<RolloutState> {
        self.judge.rollouts()
    }

    /// What a lane counted besides its panes, and what of these came too late for every window.
    #[must_use]
    pub fn counts_of(&self, lane: u32) -> LaneCounts {
        let mut counts = self.scans.get(&lane).map(Scan::counts).unwrap_or_default();
        self.judge.missed().get(&lane).into_iter().for_each(|missed| counts += LaneCounts::from(*missed));
        counts
    }

    /// The same, of each lane.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<u32, LaneCounts> {
        self.scans.keys().map(|&lane| (lane, self.counts_of(lane))).collect()
    }

    fn scan(&mut self, lane: u32) -> &mut Scan {
        self.scans.get_mut(&lane).expect("lanes are counted when the engine is made")
    }
}
