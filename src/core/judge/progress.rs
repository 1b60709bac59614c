//! How far the judge may go: the slowest stream of all lanes that is still expected to say something.

use std::collections::BTreeMap;

use crate::event::Micros;
use crate::plan::Plan;
use crate::scan::{StreamState, Tick};

/// The latest tick of each lane.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    lanes: BTreeMap<u32, Tick>,
    n_lanes: u32,
    broker_now: Micros,
    clock: Option<Micros>,
}

impl Progress {
    /// Takes a tick. Ticks of another plan or of an earlier position say nothing.
    pub(crate) fn tick(&mut self, plan: &Plan, tick: Tick) {
        let stale = self.lanes.get(&tick.lane).is_some_and(|known| known.upto() > tick.upto());
        if tick.plan != plan.digest || stale {
            return;
        }
        self.n_lanes = self.n_lanes.max(tick.lanes);
        self.lanes.insert(tick.lane, tick);
    }

    /// Takes the newest broker time known.
    pub(crate) fn broker_now(&mut self, now: Micros) {
        self.broker_now = self.broker_now.max(now);
    }

    /// The time up to which every stream is complete; never goes back. `None` until every lane has been heard of.
    pub(crate) fn clock(&mut self, plan: &Plan) -> Option<Micros> {
        if self.n_lanes == 0 || self.lanes.len() < self.n_lanes as usize {
            return self.clock;
        }
        let streams = || self.lanes.values().flat_map(|tick| &tick.streams);
        let now = streams().map(|stream| stream.broker_time).fold(self.broker_now, Micros::max);
        let expected = streams().filter(|stream| !is_idle(stream, now, plan)).map(|stream| stream.watermark).min();
        let reached = expected.or_else(|| streams().map(|stream| stream.watermark).max())?;
        let clock = self.clock.map_or(reached, |clock| clock.max(reached));
        self.clock = Some(clock);
        self.clock
    }

    /// The last answer of [`Progress::clock`].
    pub(crate) fn reached(&self) -> Option<Micros> {
        self.clock
    }

    /// Whether every stream has ended for good.
    pub(crate) fn finished(&self) -> bool {
        self.n_lanes > 0
            && self.lanes.len() >= self.n_lanes as usize
            && self.lanes.values().all(|tick| tick.streams.iter().all(|stream| stream.finished))
    }
}

/// At the end of its log, and the last record much older than the newest of all streams.
fn is_idle(stream: &StreamState, now: Micros, plan: &Plan) -> bool {
    !stream.finished && stream.at_end && stream.broker_time < now.saturating_sub(plan.time.idle_after)
}
