//! How long streams have said nothing, by a clock that only goes forward.
//!
//! A calendar may be set forward or back at any time. By it a stream would be silent that spoke a moment ago, and windows
//! would be judged without it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::reader::ReadPortion;
use crate::event::Micros;

/// When each stream was heard of.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Since when nothing was read of a stream: its last record, or the start.
    since: BTreeMap<(u16, u32), Instant>,
    /// The newest broker time, and when it was read.
    newest: Option<(Micros, Instant)>,
}

impl Silence {
    /// Nothing was read of these streams yet.
    pub(super) fn of(streams: impl Iterator<Item = (u16, u32)>, now: Instant) -> Self {
        Self { since: streams.map(|stream| (stream, now)).collect(), newest: None }
    }

    /// Records of a stream were read.
    pub(super) fn heard(&mut self, portion: &ReadPortion, now: Instant) {
        self.since.insert((portion.source, portion.lane), now);
        let newest = portion.batch.broker_time.values().iter().copied().max();
        if newest > self.broker_now(now) {
            self.newest = newest.map(|newest| (newest, now));
        }
    }

    /// Whether nothing was read of a stream for so long.
    pub(super) fn is_silent(&self, stream: (u16, u32), now: Instant, after: Duration) -> bool {
        self.since.get(&stream).is_none_or(|&since| now.saturating_duration_since(since) >= after)
    }

    /// What the brokers' clocks show now, by the newest record and the time that has passed since it was read.
    pub(super) fn broker_now(&self, now: Instant) -> Option<Micros> {
        let (newest, at) = self.newest?;
        let passed = Micros::try_from(now.saturating_duration_since(at).as_micros()).unwrap_or(Micros::MAX);
        Some(newest.saturating_add(passed))
    }
}
