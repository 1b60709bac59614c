//! How long streams have said nothing, by a clock that only goes forward.
//!
//! A calendar may be set forward or back at any time. By it a stream would be silent that spoke a moment ago, and
//! windows would be judged without it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

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
    pub(super) fn heard(&mut self, stream: (u16, u32), broker_times: &[Micros], now: Instant) {
        self.since.insert(stream, now);
        let newest = broker_times.iter().copied().max();
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

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(10);

    #[test]
    fn a_stream_is_silent_once_nothing_was_read_of_it_for_long_whatever_its_records_say() {
        let start = crate::kafka::clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::of([(0, 0), (1, 0)].into_iter(), start);
        silence.heard((0, 0), &[1_000], at(5));
        assert!(!silence.is_silent((0, 0), at(14), AFTER) && !silence.is_silent((1, 0), at(9), AFTER));
        assert!(silence.is_silent((0, 0), at(15), AFTER) && silence.is_silent((1, 0), at(10), AFTER));
    }

    #[test]
    fn the_brokers_time_goes_on_from_the_newest_record() {
        let start = crate::kafka::clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::default();
        assert_eq!(silence.broker_now(start), None, "nothing was read yet");
        silence.heard((0, 0), &[7_000_000, 5_000_000], at(1));
        silence.heard((0, 1), &[6_000_000], at(2));
        assert_eq!(silence.broker_now(at(4)), Some(10_000_000), "three seconds after the newest");
        silence.heard((0, 1), &[60_000_000], at(4));
        assert_eq!(silence.broker_now(at(4)), Some(60_000_000));
    }
}
