//! The clock by which windows are aligned: in UTC, or on the wall of some place.

use serde::Serialize;

use crate::event::Micros;

/// A clock by which windows are aligned; what it shows, in microseconds, is a *reading*.
///
/// A clock on a wall is put forward and back. While it shows readings again that it has shown, its reading here stands
/// still until it shows a new one. So readings never decrease, what lies between two of them is one stretch of time,
/// and a day lasts the 23, 24 or 25 hours that it takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct WallClock {
    /// Name of its time zone; none for UTC.
    zone: Option<String>,
    /// What it shows when some window begins; readings count from there.
    begin: Micros,
    /// In which it is not touched, one after another; none in UTC.
    periods: Vec<OffsetPeriod>,
}

/// A stretch of time in which a clock is not touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct OffsetPeriod {
    from: Micros,
    /// How far it is ahead of UTC.
    offset: Micros,
    /// The last that it showed before; `Micros::MIN` in the first.
    shown: Micros,
}

impl WallClock {
    /// A clock in UTC; a window begins when it shows `begin`, microseconds since 1970.
    #[must_use]
    pub fn utc(begin: Micros) -> Self {
        Self { begin, ..Self::default() }
    }

    /// A clock in a time zone, which is `first` ahead of UTC until it is put to other offsets at some times, in order.
    #[must_use]
    pub fn local(zone: &str, begin: Micros, first: Micros, changes: &[(Micros, Micros)]) -> Self {
        let mut periods = vec![OffsetPeriod { from: Micros::MIN, offset: first, shown: Micros::MIN }];
        for &(from, offset) in changes {
            let last = periods[periods.len() - 1];
            let shown = last.shown.max(from.saturating_add(last.offset).saturating_sub(1));
            periods.push(OffsetPeriod { from, offset, shown });
        }
        Self { zone: Some(zone.to_owned()), begin, periods }
    }

    /// Whether windows begin at whole multiples of their length since 1970 in UTC, as they do unless it is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.zone.is_none() && self.begin == 0
    }

    /// Name of its time zone; none for UTC.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// What it shows when some window begins, in microseconds since 1970.
    #[must_use]
    pub fn begin(&self) -> Micros {
        self.begin
    }

    /// Whether it is ever put forward or back.
    #[must_use]
    pub fn is_even(&self) -> bool {
        self.periods.len() < 2
    }

    /// What it shows at a time, since a window began.
    #[must_use]
    pub fn reading(&self, time: Micros) -> Micros {
        let after = self.periods.partition_point(|period| period.from <= time);
        let shows = match after.checked_sub(1).map(|at| self.periods[at]) {
            Some(OffsetPeriod { offset, shown, .. }) => time.saturating_add(offset).max(shown),
            None => time,
        };
        shows.saturating_sub(self.begin)
    }

    /// When it shows so much, or more, for the first time.
    pub(crate) fn time_of(&self, reading: Micros) -> Micros {
        let shows = reading.saturating_add(self.begin);
        let after = self.periods.partition_point(|period| period.shown < shows).max(1);
        match self.periods.get(after - 1) {
            Some(OffsetPeriod { from, offset, .. }) => shows.saturating_sub(*offset).max(*from),
            None => shows,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A clock that is put forward by 60 at 1,000 and back by 60 at 2,000.
    fn touched(begin: Micros) -> WallClock {
        WallClock::local("Somewhere", begin, 100, &[(1_000, 160), (2_000, 100)])
    }

    #[test]
    fn readings_skip_what_is_never_shown_and_stand_still_for_what_is_shown_again() {
        let clock = touched(0);
        let shown = [(999, 1_099), (1_000, 1_160), (1_999, 2_159), (2_000, 2_159), (2_059, 2_159), (2_060, 2_160)];
        for (time, reading) in shown {
            assert_eq!(clock.reading(time), reading, "at {time}");
        }
        let first = [(1_099, 999), (1_100, 1_000), (1_130, 1_000), (1_161, 1_001), (2_159, 1_999), (2_160, 2_060)];
        for (reading, time) in first {
            assert_eq!(clock.time_of(reading), time, "the first time of {reading}");
        }
        assert_eq!((touched(30).reading(0), touched(30).time_of(70)), (70, 0));
        assert_eq!((WallClock::utc(30).reading(40), WallClock::utc(30).time_of(10)), (10, 40));
    }

    proptest! {
        #[test]
        fn a_reading_comes_first_when_none_before_reached_it(
            changes in prop::collection::vec((1_i64..200, -50_i64..50), 0..6),
            begin in -50_i64..50,
            reading in -400_i64..1_500,
        ) {
            let mut at = 0;
            let changes: Vec<(Micros, Micros)> = changes.iter().map(|&(after, to)| { at += after; (at, to) }).collect();
            let clock = WallClock::local("Somewhere", begin, 0, &changes);
            let offset = |time: Micros| changes.iter().rfind(|(from, _)| *from <= time).map_or(0, |(_, to)| *to);
            let shows = |time: Micros| time + offset(time) - begin;
            let first = (-1_000..3_000).find(|&time| shows(time) >= reading);
            prop_assert_eq!(Some(clock.time_of(reading)), first);
            let furthest = (-1_000..=reading).map(shows).max();
            prop_assert_eq!(Some(clock.reading(reading)), furthest);
        }
    }
}
