//! Both stages in one process: what replay, the demo and the standalone service drive.

use std::sync::Arc;

use crate::batch::EventBatch;
use crate::event::Micros;
use crate::judge::WindowRow;
use crate::plan::Plan;
use crate::scan::Checkpoint;
use crate::verdict::{Decision, RolloutState};

/// What a step gives rise to; the shell carries it out.
#[derive(Debug, Default)]
pub struct Effects {
    /// Judged windows, in a fixed order.
    pub windows: Vec<WindowRow>,
    /// Decisions, in their sequence.
    pub decisions: Vec<Decision>,
    /// Rollouts whose state changed.
    pub states: Vec<RolloutState>,
}

/// Scans for every lane and one judge, joined by an in-memory log.
#[derive(Debug)]
pub struct Engine {
    #[expect(dead_code, reason = "skeleton")]
    plan: Arc<Plan>,
}

impl Engine {
    /// A fresh engine for `lanes` source partitions.
    #[must_use]
    pub fn new(plan: Arc<Plan>, lanes: u32) -> Self {
        let _ = lanes;
        Self { plan }
    }

    /// Continues from rollout states read back from the state topic.
    pub fn restore_rollouts(&mut self, states: Vec<RolloutState>) {
        let _ = states;
    }

    /// Continues one lane from its committed checkpoint.
    pub fn restore_lane(&mut self, checkpoint: &Checkpoint) {
        let _ = checkpoint;
    }

    /// Takes a batch of one stream. Batches of one stream come in offset order; streams may interleave at will.
    pub fn step(&mut self, batch: &EventBatch) -> Effects {
        let _ = batch;
        todo!()
    }

    /// Tells that a stream was read up to `next_offset` (also past refused records), whether its log ended there for now,
    /// and whether for good.
    pub fn progress(&mut self, lane: u32, source: u16, next_offset: i64, at_end: bool, finished: bool) -> Effects {
        let _ = (lane, source, next_offset, at_end, finished);
        todo!()
    }

    /// Tells the newest broker time known (live: the wall clock), against which idle streams are recognised.
    pub fn broker_now(&mut self, now: Micros) -> Effects {
        let _ = now;
        todo!()
    }

    /// The open windows as they stand now: provisional, never decided on.
    #[must_use]
    pub fn early(&self) -> Vec<WindowRow> {
        todo!()
    }

    /// Where a lane would resume.
    #[must_use]
    pub fn checkpoint(&self, lane: u32) -> Checkpoint {
        let _ = lane;
        todo!()
    }

    /// Every rollout's state, in key order.
    #[must_use]
    pub fn rollouts(&self) -> Vec<RolloutState> {
        todo!()
    }
}
