//! How far the judge may go: the slowest stream of all lanes that is still expected to say something.
//!
//! A lane that nobody reads is not idle. Silence counts only as far as the lane's own owner has told of it: each tick
//! of an owner that has come to the end of its log lets the others pass on to where they are then, and no further. A
//! lane whose owner was killed tells nothing, so windows wait until another one has taken over and caught up.

use std::collections::BTreeMap;

use crate::event::Micros;
use crate::plan::Plan;
use crate::scan::{Pace, StreamState, Tick};

/// What is known of each lane.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    lanes: BTreeMap<u32, LaneTick>,
    n_lanes: u32,
    broker_now: Micros,
    /// When the newest tick was written.
    told_at: Micros,
    clock: Option<Micros>,
}

/// The latest tick of a lane.
#[derive(Debug, Clone)]
struct LaneTick {
    tick: Tick,
    /// When its owner said so.
    at: Micros,
    /// By stream: up to where others had come when the owner last said that the stream is silent.
    passed: BTreeMap<u16, Micros>,
}

impl LaneTick {
    /// The streams that are silent, as the owner said: at the end of their logs, and the last record much older than
    /// the tick itself.
    fn idle<'a>(&'a self, plan: &Plan) -> impl Iterator<Item = &'a StreamState> {
        let before = self.at.saturating_sub(plan.time.idle_after);
        self.tick.streams.iter().filter(move |stream| !stream.finished && stream.at_end && stream.broker_time < before)
    }

    fn expected<'a>(&'a self, plan: &Plan) -> impl Iterator<Item = &'a StreamState> {
        let idle: Vec<u16> = self.idle(plan).map(|stream| stream.source).collect();
        self.tick.streams.iter().filter(move |stream| !idle.contains(&stream.source))
    }

    /// No window that ends after this may be judged for all that is known of the lane.
    fn reached(&self, plan: &Plan) -> Option<Micros> {
        let passed = |stream: &StreamState| self.passed.get(&stream.source).copied().unwrap_or(Micros::MIN);
        let idle = self.idle(plan).map(|stream| stream.watermark.max(passed(stream)));
        idle.chain(self.expected(plan).map(|stream| stream.watermark)).min()
    }
}

impl Progress {
    /// Takes a tick that its owner wrote at a time (`None`: now). Ticks of another plan or of an earlier position say
    /// nothing.
    pub(crate) fn tick(&mut self, plan: &Plan, tick: Tick, at: Option<Micros>) {
        let known = self.lanes.get(&tick.lane);
        if tick.plan != plan.digest || known.is_some_and(|known| known.tick.upto() > tick.upto()) {
            return;
        }
        self.n_lanes = self.n_lanes.max(tick.lanes);
        let passed = known.map(|known| known.passed.clone()).unwrap_or_default();
        self.broker_now = tick.streams.iter().map(|stream| stream.broker_time).fold(self.broker_now, Micros::max);
        let (lane, at) = (tick.lane, at.unwrap_or(self.broker_now));
        self.told_at = self.told_at.max(at);
        self.lanes.insert(lane, LaneTick { tick, at, passed });
        self.pass(plan, lane);
    }

    /// Lets the others pass the silent streams of a lane. What was said long ago, and came late, is no sign of silence.
    fn pass(&mut self, plan: &Plan, lane: u32) {
        let Some(others) = self.others(plan) else { return };
        let overdue = self.told_at.saturating_sub(plan.time.idle_after);
        let Some(lane) = self.lanes.get_mut(&lane).filter(|lane| lane.at >= overdue) else { return };
        let idle: Vec<u16> = lane.idle(plan).map(|stream| stream.source).collect();
        for source in idle {
            let passed = lane.passed.entry(source).or_insert(others);
            *passed = others.max(*passed);
        }
    }

    /// Up to where those streams have come that are not silent; where all are, the one that has come furthest.
    fn others(&self, plan: &Plan) -> Option<Micros> {
        let open = |stream: &&StreamState| !stream.finished;
        let expected = self.lanes.values().flat_map(|lane| lane.expected(plan)).filter(open);
        let all = self.lanes.values().flat_map(|lane| &lane.tick.streams).filter(open);
        let others = expected.map(|stream| stream.watermark).min();
        others.or_else(|| all.map(|stream| stream.watermark).max()).filter(|_| self.all_heard())
    }

    fn all_heard(&self) -> bool {
        self.n_lanes > 0 && self.lanes.len() >= self.n_lanes as usize
    }

    /// Takes the newest broker time known.
    pub(crate) fn broker_now(&mut self, now: Micros) {
        self.broker_now = self.broker_now.max(now);
    }

    /// The time up to which every stream is complete; never goes back. `None` until every lane has been heard of.
    pub(crate) fn clock(&mut self, plan: &Plan) -> Option<Micros> {
        let reached = self.lanes.values().filter_map(|lane| lane.reached(plan)).min().filter(|_| self.all_heard());
        self.clock = self.clock.max(reached);
        self.clock
    }

    /// What each stream brought so far, where that is known.
    pub(crate) fn paces(&self) -> BTreeMap<(u16, u32), Pace> {
        let of_lane = |(&lane, known): (&u32, &LaneTick)| {
            known.tick.streams.iter().map(move |stream| ((stream.source, lane), stream.pace)).collect::<Vec<_>>()
        };
        self.lanes.iter().flat_map(of_lane).filter(|(_, pace)| !pace.is_unknown()).collect()
    }

    /// The last answer of [`Progress::clock`].
    pub(crate) fn reached(&self) -> Option<Micros> {
        self.clock
    }

    /// Up to where every stream has come, be it silent or not: whatever is still to be told is not before this.
    pub(crate) fn complete_upto(&self) -> Micros {
        let marks = self.lanes.values().flat_map(|lane| &lane.tick.streams).map(|stream| stream.watermark);
        marks.min().filter(|_| self.all_heard()).unwrap_or(Micros::MIN)
    }

    /// How far the streams of a lane had come when it was heard of last.
    pub(crate) fn streams_of(&self, lane: u32) -> Option<impl Iterator<Item = &StreamState>> {
        self.lanes.get(&lane).map(|known| known.tick.streams.iter())
    }

    /// Whether every stream has ended for good.
    pub(crate) fn finished(&self) -> bool {
        self.all_heard() && self.lanes.values().all(|lane| lane.tick.streams.iter().all(|stream| stream.finished))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock::tests::plan as time;

    const AGO: Micros = 1_000;

    /// Silent after 10.
    fn plan() -> Plan {
        let plan = crate::verdict::rollout::tests::plan("AUTO", crate::plan::RolloutPlan::default());
        Plan { time: time(), ..plan }
    }

    /// A lane with one stream that was read to the end of its log.
    fn silent(plan: &Plan, lane: u32) -> Tick {
        reading(plan, lane, 50, AGO, true)
    }

    fn reading(plan: &Plan, lane: u32, watermark: Micros, broker_time: Micros, at_end: bool) -> Tick {
        let pace = Pace::default();
        let stream = StreamState { source: 0, next_offset: 7, watermark, broker_time, at_end, finished: false, pace };
        Tick { lane, lanes: 2, plan: plan.digest.clone(), streams: vec![stream] }
    }

    #[test]
    fn a_silent_lane_is_passed_only_as_far_as_its_owner_has_told_of_its_silence() {
        let (plan, mut progress) = (plan(), Progress::default());
        progress.tick(&plan, silent(&plan, 1), Some(2_000));
        assert_eq!(progress.clock(&plan), None, "lane 0 was not heard of");
        progress.tick(&plan, reading(&plan, 0, 100, 2_001, false), Some(2_001));
        assert_eq!(progress.clock(&plan), Some(50), "its silence was told before the others had come to 100");
        progress.tick(&plan, silent(&plan, 1), Some(2_002));
        assert_eq!(progress.clock(&plan), Some(100));
        for at in 2_003..3_000 {
            progress.broker_now(at);
            progress.tick(&plan, reading(&plan, 0, at, at, false), Some(at));
            assert_eq!(progress.clock(&plan), Some(100), "nobody reads lane 1 any more");
        }
        progress.tick(&plan, reading(&plan, 1, 40, AGO, false), Some(3_000));
        assert_eq!(progress.clock(&plan), Some(100), "the new owner catches up");
        progress.tick(&plan, reading(&plan, 1, 900, 2_999, false), Some(3_001));
        assert_eq!(progress.clock(&plan), Some(900), "it has read what had come meanwhile");
    }

    #[test]
    fn a_lane_is_silent_by_the_time_of_its_own_tick() {
        let (plan, mut progress) = (plan(), Progress::default());
        progress.tick(&plan, reading(&plan, 0, 100, 2_000, false), Some(2_000));
        progress.tick(&plan, reading(&plan, 1, 50, 1_995, true), Some(2_000));
        progress.broker_now(9_000);
        assert_eq!(progress.clock(&plan), Some(50), "it was told 5 after its last record");
        progress.tick(&plan, reading(&plan, 0, 100, 2_000, false), Some(2_020));
        progress.tick(&plan, reading(&plan, 1, 50, 1_995, true), Some(2_009));
        assert_eq!(progress.clock(&plan), Some(50), "what comes so late was said before others had come so far");
        progress.tick(&plan, reading(&plan, 1, 50, 1_995, true), Some(2_021));
        assert_eq!(progress.clock(&plan), Some(100));
    }

    #[test]
    fn streams_that_are_all_silent_go_as_far_as_the_one_that_has_come_furthest() {
        let (plan, mut progress) = (plan(), Progress::default());
        let absent = StreamState { source: 1, next_offset: 0, finished: true, ..silent(&plan, 1).streams[0] };
        let mut other = silent(&plan, 1);
        other.streams.push(StreamState { watermark: Micros::MAX, ..absent });
        progress.tick(&plan, reading(&plan, 0, 80, AGO, true), Some(2_000));
        progress.tick(&plan, other, Some(2_000));
        progress.tick(&plan, reading(&plan, 0, 80, AGO, true), Some(2_001));
        assert_eq!(progress.clock(&plan), Some(80), "and not to the end of time, where streams are that are not there");
    }
}
