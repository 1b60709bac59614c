//! The account of a stream, pane by pane: what came of its records. The trust of a window rests on it.
//!
//! A record that has no row of its own in a pane is accounted for **where the clock of its stream stood at its place in
//! the log**: in the pane of the latest event time that came in order (of outcomes, of the latest broker time). So do
//! refused records, of which nobody knows the event time, and late rows, whose own pane is complete and was judged.
//! That pane is still open whatever comes, and which one it is depends on the records and their order alone. What is
//! refused before a stream has a clock belongs to no pane.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::plan::TimePlan;

/// So many panes make what a stream usually brings.
///
/// Origin: engineering choice; ten minutes of panes of ten seconds follow a day and outlast a burst.
const USUAL_PANES: Micros = 64;

/// What came of one stream while its clock stood in one pane, and what it counted in that pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Intake {
    /// Rows counted in the pane; of outcomes, those that arrived in it.
    pub rows: u64,
    /// Rows that came too late for their own pane.
    pub late: u64,
    /// Re-deliveries of rows of the pane.
    pub duplicates: u64,
    /// Refused records.
    pub refused: u64,
    /// Rows of the pane whose event time is further ahead of their broker time than the plan takes for right.
    pub ahead: u64,
    /// Records that were deleted from the log before they were read.
    pub lost: u64,
    /// What the stream brought before this pane.
    pub pace: Pace,
}

/// What a stream usually brings: rows over the time from the first pane that had some to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pace {
    /// Rows.
    pub rows: u64,
    /// Time.
    pub over: Micros,
    /// End of the last pane that had rows.
    pub until: Micros,
}

impl Intake {
    /// What the stream brought up to the end of this pane.
    pub(crate) fn pace_after(&self, (start, end): (Micros, Micros), pane: Micros) -> Pace {
        if self.rows == 0 { self.pace } else { self.pace.after((start, end), self.rows, pane) }
    }
}

impl Pace {
    /// Nothing is known yet.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// After another pane with rows; older ones count ever less.
    fn after(self, (start, end): (Micros, Micros), rows: u64, pane: Micros) -> Self {
        let begun = if self.is_unknown() { start } else { self.until };
        let most = USUAL_PANES.saturating_mul(pane);
        let over = self.over.saturating_add(end.saturating_sub(begun).clamp(0, most));
        let rows = self.rows.saturating_add(rows);
        if over <= most {
            return Self { rows, over, until: end };
        }
        let kept = u128::from(rows) * u128::from(most.unsigned_abs()) / u128::from(over.unsigned_abs());
        Self { rows: u64::try_from(kept).unwrap_or(u64::MAX), over: most, until: end }
    }

    /// Rows that such a stream brings in a stretch of time.
    #[must_use]
    pub fn expected(&self, time: Micros) -> u64 {
        let all = u128::from(self.rows) * u128::from(time.max(0).unsigned_abs());
        u64::try_from(all / u128::from(self.over.max(1).unsigned_abs())).unwrap_or(u64::MAX)
    }
}

/// The open accounts of one stream.
#[derive(Debug, Default)]
pub(crate) struct Intakes {
    open: BTreeMap<Micros, Intake>,
    pace: Pace,
    /// For each pane with rows that a restart may need, and that is closed: the pace before it.
    paces: BTreeMap<Micros, Pace>,
    /// Panes before this are read in part only, and say nothing of the pace.
    whole_from: Micros,
}

impl Intakes {
    /// Of a stream that is read on, whose pace was known.
    pub(crate) fn restored(whole_from: Micros, pace: Pace) -> Self {
        Self { pace, whole_from, ..Self::default() }
    }

    /// The account of a pane.
    pub(crate) fn of(&mut self, pane: Micros) -> &mut Intake {
        self.open.entry(pane).or_default()
    }

    /// Takes out the first account if its pane ended by `mark`.
    pub(crate) fn close(&mut self, plan: &TimePlan, mark: Micros) -> Option<(Micros, Intake)> {
        let first = self.open.first_entry().filter(|entry| plan.pane_end(*entry.key()) <= mark)?;
        let (start, mut intake) = first.remove_entry();
        intake.pace = self.pace;
        if intake.rows > 0 && start >= self.whole_from {
            self.paces.insert(start, self.pace);
            self.pace = intake.pace_after((start, plan.pane_end(start)), plan.pane);
        }
        Some((start, intake))
    }

    /// What the stream brought up to the last pane that is closed.
    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// The pace before a pane; what was before is forgotten.
    pub(crate) fn pace_before(&mut self, pane: Micros) -> Pace {
        self.paces = self.paces.split_off(&pane);
        self.paces.values().next().copied().unwrap_or(self.pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::clock::tests::plan;

    #[test]
    fn the_pace_follows_what_a_stream_brings_and_waits_while_it_is_silent() {
        let pace = (0..20).fold(Pace::default(), |pace, i| pace.after((10 * i, 10 * i + 10), 5, 10));
        assert_eq!((pace.expected(10), pace.expected(100)), (5, 50));
        let (slow, hourly) = (pace.after((5_000, 5_010), 5, 10), Pace::default());
        assert!((1..3).contains(&slow.expected(10)), "it was silent for long: {slow:?}");
        let hourly = (0..20).fold(hourly, |pace, i| pace.after((600 * i, 600 * i + 10), 1, 10));
        assert_eq!(hourly.expected(6_400), 10, "{hourly:?}");
        let grown = (20..200).fold(pace, |pace, i| pace.after((10 * i, 10 * i + 10), 50, 10));
        assert!((45..=50).contains(&grown.expected(10)), "{grown:?}");
    }

    #[test]
    fn a_pane_says_what_came_before_it_and_a_restart_knows_it_again() {
        let (plan, mut intakes) = (plan(), Intakes::default());
        for pane in [0, 10, 20] {
            intakes.of(pane).rows += 6;
        }
        let closed = std::iter::from_fn(|| intakes.close(&plan, 30));
        let known: Vec<u64> = closed.map(|(_, intake)| intake.pace.expected(10)).collect();
        assert_eq!(known, [0, 6, 6]);
        let before = intakes.pace_before(20);
        let mut again = Intakes::restored(20, before);
        again.of(10).rows += 1;
        again.of(20).rows += 6;
        assert_eq!(again.close(&plan, 30).map(|(pane, _)| pane), Some(10), "of which only a part is read again");
        assert_eq!(again.close(&plan, 30).map(|(_, intake)| intake.pace), Some(before));
        assert_eq!(again.pace(), intakes.pace());
    }
}
