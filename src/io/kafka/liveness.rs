//! Signs of life on the state topic: whoever judges a rollout writes one every few seconds, and gates and adapters rest
//! on it.

use std::collections::BTreeMap;
use std::fs;
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ports::{Incoming, Machine};
use super::publish::Publisher;
use super::watch::RunObserver;
use crate::error::Result;
use crate::event::{Micros, SECOND};
use crate::judge::WindowRow;
use crate::plan::Plan;
use crate::scan::{StreamState, Tick};
use crate::verdict::liveness::{FORMAT, Liveness};

/// What keys of signs of life begin with; no rollout may have such a name.
pub const PREFIX: &str = "@alive/";

/// The key of a rollout's sign of life.
#[must_use]
pub fn key(rollout: &str) -> String {
    format!("{PREFIX}{rollout}")
}

/// A scan whose last record is no older than this reads near the end of its log.
const LAG_NEAR: Micros = 10 * SECOND;

/// Whether a record of the state topic is a sign of life, and not the state of a candidate.
#[must_use]
pub fn is_liveness(message: &dyn Incoming) -> bool {
    message.key().is_some_and(|key| key.starts_with(PREFIX.as_bytes()))
}

/// The sign of life in a record. One of another format says nothing: whoever rests on it waits.
#[must_use]
pub fn read(message: &dyn Incoming) -> Option<Liveness> {
    let parsed = serde_json::from_slice::<Liveness>(message.payload()?);
    let known = |liveness: &Liveness| liveness.format == FORMAT;
    let told = |error| tracing::warn!(topic = message.topic(), offset = message.offset(), %error, "not a sign of life");
    parsed.map_err(told).ok().filter(known)
}

/// Tells that this process judges, and how far it is.
#[derive(Debug)]
pub struct Pulse {
    liveness: Liveness,
    every: Duration,
    machine: Arc<dyn Machine>,
    /// What was written last, and when the next one is due at the latest; `None` before the first.
    written: Option<(Liveness, Instant)>,
}

impl Pulse {
    /// Nothing judged and nothing read yet.
    #[must_use]
    pub fn new(plan: &Plan, machine: Arc<dyn Machine>) -> Self {
        let liveness = Liveness {
            format: FORMAT,
            rollout: plan.policy.rollout.clone(),
            pipeline: plan.name.clone(),
            who: who(),
            at: 0,
            judged_upto: None,
            lag: None,
        };
        let every = Liveness::every(plan.policy.stages.lease_s);
        Self { liveness, every: Duration::from_micros(every.unsigned_abs()), machine, written: None }
    }

    /// Windows were judged.
    pub fn judged(&mut self, rows: &[WindowRow]) {
        let newest = rows.iter().map(|row| row.window_end).max();
        self.liveness.judged_upto = self.liveness.judged_upto.max(newest);
    }

    /// Tells it to the listener each time, and to the state topic now and then, and whenever a window was judged, or a
    /// backlog begins or ends.
    pub fn beat(&mut self, lag: Option<Micros>, publisher: &Publisher, watch: &dyn RunObserver) -> Result<()> {
        let was_near = self.liveness.is_near_end();
        (self.liveness.at, self.liveness.lag) = (self.machine.wall_clock(), lag);
        let near = self.liveness.is_near_end();
        watch.judging(&self.liveness);
        if near && !was_near {
            watch.caught_up();
        }
        if self.is_due() {
            publisher.alive(&self.liveness)?;
            self.written = Some((self.liveness.clone(), self.machine.now() + self.every));
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        let told = |liveness: &Liveness| (liveness.is_near_end(), liveness.judged_upto);
        let still =
            |(last, next_at): &(Liveness, Instant)| told(last) == told(&self.liveness) && self.machine.now() < *next_at;
        !self.written.as_ref().is_some_and(still)
    }
}

/// Host and process.
fn who() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", host.trim(), process::id())
}

/// How far reading one log is behind what is written to it, without trust in anybody's time stamps: the end is looked
/// up now and then, and once reading has come to it, everything is read that was there then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Behind {
    /// Everything that was there at this time is read.
    read_upto: Option<Micros>,
    /// The end of the log as it was looked up, and when; to be reached yet.
    goal: Option<(i64, Micros)>,
}

impl Behind {
    /// The end of the log was looked up; the next record to be read is known.
    pub fn look(&mut self, next_offset: i64, end: i64, at: Micros) {
        if next_offset >= end {
            (self.read_upto, self.goal) = (Some(at), None);
            return;
        }
        match self.goal {
            Some((goal, since)) if next_offset >= goal => {
                self.read_upto = Some(since);
                self.goal = Some((end, at));
            }
            Some(_) => {}
            None => self.goal = Some((end, at)),
        }
    }

    /// Everything that was there so long ago is read; `None` until that has been so for any time.
    #[must_use]
    pub fn lag(&self, at: Micros) -> Option<Micros> {
        self.read_upto.map(|upto| at.saturating_sub(upto))
    }
}

/// How far scans that run apart are behind the logs, as their ticks say.
#[derive(Debug, Clone, Default)]
pub struct Scans {
    /// When each lane last said that it is near the ends of its logs.
    near_at: BTreeMap<u32, Micros>,
    n_lanes: u32,
}

impl Scans {
    /// A lane has told how far it is.
    pub fn heard(&mut self, tick: &Tick, at: Option<Micros>) {
        self.n_lanes = self.n_lanes.max(tick.lanes);
        let Some(at) = at else { return };
        let is_near = |stream: &StreamState| {
            stream.finished || stream.at_end || stream.broker_time >= at.saturating_sub(LAG_NEAR)
        };
        if tick.streams.iter().all(is_near) {
            self.near_at.insert(tick.lane, at);
        }
    }

    /// Every lane was near its ends so long ago; `None` until each has been.
    #[must_use]
    pub fn lag(&self, at: Micros) -> Option<Micros> {
        let all = self.n_lanes > 0 && self.near_at.len() >= self.n_lanes as usize;
        let first = self.near_at.values().min().filter(|_| all)?;
        Some(at.saturating_sub(*first).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_up_to_when_its_end_was_looked_up() {
        let mut behind = Behind::default();
        behind.look(0, 100, 1_000);
        behind.look(60, 200, 2_000);
        assert_eq!(behind.lag(2_000), None, "what was there at the first look is not read yet");
        behind.look(120, 300, 3_000);
        assert_eq!(behind.lag(3_000), Some(2_000), "it is now, and that was at 1,000");
        behind.look(200, 400, 4_000);
        assert_eq!(behind.lag(4_000), Some(3_000));
        behind.look(310, 500, 5_000);
        assert_eq!(behind.lag(5_000), Some(2_000));
        behind.look(500, 500, 6_000);
        assert_eq!(behind.lag(6_500), Some(500));
        let mut empty = Behind::default();
        empty.look(0, 0, 7_000);
        assert_eq!(empty.lag(7_000), Some(0), "an empty log is read");
    }

    fn tick(lane: u32, broker_time: Micros, at_end: bool) -> Tick {
        let pace = crate::scan::Pace::default();
        let stream =
            StreamState { source: 0, next_offset: 9, watermark: 0, broker_time, at_end, finished: false, pace };
        Tick { lane, lanes: 2, plan: String::new(), streams: vec![stream] }
    }

    #[test]
    fn scans_are_as_far_behind_as_the_slowest_lane() {
        let (mut scans, second) = (Scans::default(), SECOND);
        scans.heard(&tick(0, 0, true), Some(100 * second));
        assert_eq!(scans.lag(100 * second), None, "one lane was not heard of");
        scans.heard(&tick(1, 50 * second, false), Some(101 * second));
        assert_eq!(scans.lag(101 * second), None, "it reads what is 51 s old");
        scans.heard(&tick(1, 95 * second, false), Some(102 * second));
        assert_eq!(scans.lag(103 * second), Some(3 * second));
        scans.heard(&tick(0, 0, false), Some(140 * second));
        assert_eq!(scans.lag(140 * second), Some(40 * second), "it was left behind");
    }
}
