//! Hours of the week in which people are told.

use crate::event::{Micros, SECOND};
use crate::plan::WallClock;

const DAY: Micros = 86_400 * SECOND;

/// Hours of some days of the week, by a clock on a wall. Hours that end before they begin go on into the next day.
#[derive(Debug, Clone, PartialEq)]
pub struct Hours {
    /// Which days, from Monday.
    pub days: [bool; 7],
    /// When they begin, since midnight.
    pub from: Micros,
    /// When they are over, since midnight.
    pub to: Micros,
    /// The clock.
    pub clock: WallClock,
}

impl Hours {
    /// Whether a time is within.
    pub(super) fn hold(&self, at: Micros) -> bool {
        let shown = self.clock.reading(at);
        let (day, time) = (shown.div_euclid(DAY), shown.rem_euclid(DAY));
        // 1970 began on a Thursday.
        let is_on = |day: i64| self.days[usize::try_from((day + 3).rem_euclid(7)).unwrap_or_default()];
        if self.from < self.to {
            return is_on(day) && (self.from..self.to).contains(&time);
        }
        (time >= self.from && is_on(day)) || (time < self.to && is_on(day - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Micros = 3_600 * SECOND;
    /// Monday, 2026-08-03.
    const MONDAY: Micros = 1_785_715_200 * SECOND;

    #[test]
    fn nights_belong_to_the_day_on_which_they_begin() {
        let mut days = [true; 7];
        (days[5], days[6]) = (false, false);
        let nights = Hours { days, from: 18 * HOUR, to: 8 * HOUR, clock: WallClock::utc(0) };
        for (at, within) in [
            (MONDAY + 17 * HOUR, false),
            (MONDAY + 18 * HOUR, true),
            (MONDAY + 31 * HOUR, true),
            (MONDAY + 32 * HOUR, false),
            (MONDAY + 4 * DAY + 23 * HOUR, true),
            (MONDAY + 5 * DAY + 7 * HOUR, true),
            (MONDAY + 5 * DAY + 19 * HOUR, false),
            // The night from Sunday is not among them.
            (MONDAY + HOUR, false),
        ] {
            assert_eq!(nights.hold(at), within, "{} h", (at - MONDAY) / HOUR);
        }
        let days = Hours { from: 8 * HOUR, to: 18 * HOUR, ..nights };
        assert!(
            days.hold(MONDAY + 8 * HOUR) && !days.hold(MONDAY + 18 * HOUR) && !days.hold(MONDAY + 6 * DAY + 9 * HOUR)
        );
        let berlin = WallClock::local("Europe/Berlin", 0, 2 * HOUR, &[]);
        assert!(Hours { clock: berlin, ..days }.hold(MONDAY + 6 * HOUR));
    }
}
