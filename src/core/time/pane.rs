//! Panes and windows as arithmetic. Both are half-open, `[start, end)`, and begin at whole multiples of their length on
//! the clock of the plan, also before 1970. In UTC they are all of one length. By a clock on a wall they are of one
//! length in what it shows: a pane is shorter or longer where the clock is put forward or back, and there is none where
//! the clock shows nothing of it.

use crate::event::Micros;
use crate::plan::TimePlan;

/// The last multiple of `length` up to a reading.
fn floor(reading: Micros, length: Micros) -> Micros {
    debug_assert!(length > 0, "panes and windows have a length");
    reading.saturating_sub(reading.rem_euclid(length))
}

/// The ends of time stand for never and for ever, and stay what they are.
fn is_end_of_time(time: Micros) -> bool {
    matches!(time, Micros::MIN | Micros::MAX)
}

impl TimePlan {
    /// Start of the pane that `time` falls into.
    #[must_use]
    pub fn pane_of(&self, time: Micros) -> Micros {
        if is_end_of_time(time) { time } else { self.clock.time_of(floor(self.clock.reading(time), self.pane)) }
    }

    /// End of the pane that starts at `start`.
    #[must_use]
    pub fn pane_end(&self, start: Micros) -> Micros {
        if is_end_of_time(start) {
            return start;
        }
        self.clock.time_of(floor(self.clock.reading(start), self.pane).saturating_add(self.pane))
    }

    /// All windows that hold the pane starting at `pane`, ascending: those of `size`, of which one starts every
    /// `slide`. One whose newest part the clock never shows is none: the one before it ends as it does.
    pub fn windows_of(&self, pane: Micros, size: Micros, slide: Micros) -> impl Iterator<Item = (Micros, Micros)> {
        let reading = self.clock.reading(pane);
        let last = floor(reading, slide);
        let n = (size - (reading - last) + slide - 1).div_euclid(slide).max(0);
        let starts = (0..n).rev().map(move |back| last - back * slide);
        let at = |reading| self.clock.time_of(reading);
        let ends = move |start: &Micros| at(start + size - slide) < at(start + size);
        starts.filter(ends).map(move |start| (at(start), at(start + size)))
    }

    /// What the clock shows at the end of a window of `size`, of which one starts every `slide`.
    fn end_reading(&self, end: Micros, size: Micros, slide: Micros) -> Micros {
        let shown = self.clock.reading(end - 1) + 1;
        shown + (size - shown).rem_euclid(slide)
    }

    /// Where the part of a window starts that no window before it held.
    #[must_use]
    pub fn newest_from(&self, end: Micros, size: Micros, slide: Micros) -> Micros {
        self.clock.time_of(self.end_reading(end, size, slide) - slide)
    }

    /// The window that ended so much earlier, by the clock, than one that ended at `end`.
    #[must_use]
    pub fn window_before(&self, end: Micros, size: Micros, slide: Micros, back: Micros) -> (Micros, Micros) {
        let end = self.end_reading(end, size, slide) - back;
        (self.clock.time_of(end - size), self.clock.time_of(end))
    }

    /// A time at which the clock showed at least so much less than just before `time`.
    #[must_use]
    pub fn earlier(&self, time: Micros, by: Micros) -> Micros {
        if is_end_of_time(time) || self.clock.is_even() {
            return time.saturating_sub(by);
        }
        self.clock.time_of(self.clock.reading(time - 1).saturating_sub(by))
    }

    /// When the clock shows so much more than at `time`.
    #[must_use]
    pub fn later(&self, time: Micros, by: Micros) -> Micros {
        if is_end_of_time(time) { time } else { self.clock.time_of(self.clock.reading(time).saturating_add(by)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::WallClock;
    use crate::time::clock::tests::plan;

    fn with(clock: WallClock, pane: Micros) -> TimePlan {
        TimePlan { pane, clock, ..plan() }
    }

    #[test]
    fn panes_are_aligned_before_the_epoch_too() {
        let plan = with(WallClock::default(), 10);
        assert_eq!([25, 20, -1].map(|time| plan.pane_of(time)), [20, 20, -10]);
        assert_eq!([Micros::MIN, Micros::MAX].map(|time| plan.pane_of(time)), [Micros::MIN, Micros::MAX]);
        assert_eq!(with(WallClock::utc(3), 10).pane_of(12), 3);
    }

    #[test]
    fn tumbling_windows_are_single() {
        let starts = |pane, size, slide| {
            let plan = with(WallClock::default(), 5);
            plan.windows_of(pane, size, slide).map(|(start, _)| start).collect::<Vec<_>>()
        };
        assert_eq!(starts(20, 10, 10), [20]);
        assert_eq!(starts(20, 30, 10), [0, 10, 20]);
        assert_eq!(starts(25, 20, 15), [15]);
    }

    /// A clock that is put forward and back at random.
    fn clock() -> impl Strategy<Value = WallClock> {
        let changes = prop::collection::vec((1_i64..150, -40_i64..40), 0..5);
        (changes, -50_i64..50).prop_map(|(changes, begin)| {
            let mut at = -200;
            let changes: Vec<_> = changes
                .iter()
                .map(|&(after, to)| {
                    at += after;
                    (at, to)
                })
                .collect();
            WallClock::local("Somewhere", begin, 0, &changes)
        })
    }

    proptest! {
        #[test]
        fn panes_follow_one_another_and_hold_their_times(clock in clock(), pane in 1_i64..60) {
            let plan = with(clock, pane);
            let mut end = plan.pane_of(-300);
            for time in -300..500 {
                let start = plan.pane_of(time);
                prop_assert!(start <= time && time < plan.pane_end(start));
                prop_assert_eq!(plan.pane_of(start), start);
                if start >= end {
                    prop_assert_eq!(start, end, "no time is between two panes");
                    end = plan.pane_end(start);
                }
                prop_assert_eq!(plan.pane_end(start), end);
                prop_assert!(plan.earlier(time, pane) <= start);
            }
        }

        #[test]
        fn windows_hold_their_panes_and_their_newest_parts_are_apart(
            clock in clock(),
            pane in 1_i64..40,
            parts in 1_i64..4,
            more in 0_i64..9,
        ) {
            let (slide, size) = (pane * parts, pane * (parts + more));
            let plan = with(clock, pane);
            let mut all = std::collections::BTreeSet::new();
            let mut time = plan.pane_of(-300);
            while time < 500 {
                let of_pane: Vec<_> = plan.windows_of(time, size, slide).collect();
                let end = plan.pane_end(time);
                prop_assert!(!of_pane.is_empty());
                prop_assert!(of_pane.iter().all(|(start, until)| *start <= time && end <= *until));
                prop_assert!(plan.earlier(time, size) <= of_pane[0].0);
                all.extend(of_pane);
                time = end;
            }
            let panes = |(start, end): (Micros, Micros)| (start..end).map(|time| plan.pane_of(time));
            for &(start, end) in &all {
                let hold = panes((start, end)).all(|pane| plan.windows_of(pane, size, slide).any(|of| of == (start, end)));
                prop_assert!(hold, "a window is one of all its panes");
                prop_assert_eq!(plan.window_before(end, size, slide, 0), (start, end));
            }
            let ends: Vec<Micros> = all.iter().map(|(_, end)| *end).collect();
            for pair in ends.windows(2) {
                prop_assert_eq!(plan.newest_from(pair[1], size, slide), pair[0]);
            }
        }
    }
}
