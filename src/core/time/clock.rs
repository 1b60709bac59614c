//! How far one stream has come in event time, and how one absurd record is kept from closing every window.
//!
//! The clock is the latest time seen. A time further ahead than `jump_max` moves it only when enough records agree (to
//! within `jump_max` of each other): then it moves to the earliest of them. The clock depends on the records and their order
//! alone, never on how they were batched.

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::plan::TimePlan;

/// The clock of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clock {
    latest: Option<Micros>,
    /// Times of records far ahead that wait for confirmation; fewer than the plan's `jump_confirmations`.
    ahead: Vec<Micros>,
}

impl Clock {
    /// Takes the time of the next record.
    pub fn observe(&mut self, time: Micros, plan: &TimePlan) {
        match self.latest {
            Some(latest) if time > latest.saturating_add(plan.jump_max) => self.doubt(time, plan),
            Some(latest) => self.latest = Some(latest.max(time)),
            None => self.latest = Some(time),
        }
    }

    /// Takes the times of the next records at once; the same as one by one.
    pub fn observe_all(&mut self, times: &[Micros], plan: &TimePlan) {
        let Some(&max) = times.iter().max() else { return };
        match self.latest {
            Some(latest) if max <= latest.saturating_add(plan.jump_max) => self.latest = Some(latest.max(max)),
            _ => times.iter().for_each(|&time| self.observe(time, plan)),
        }
    }

    fn doubt(&mut self, time: Micros, plan: &TimePlan) {
        self.ahead.retain(|other| other.abs_diff(time) <= plan.jump_max.unsigned_abs());
        self.ahead.push(time);
        if self.ahead.len() >= plan.jump_confirmations as usize {
            self.latest = self.ahead.drain(..).min();
        }
    }

    /// No record before this time is counted any more; `None` before the first record.
    #[must_use]
    pub fn watermark(&self, plan: &TimePlan) -> Option<Micros> {
        self.latest.map(|latest| latest.saturating_sub(plan.lateness))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::WindowKind;

    fn plan() -> TimePlan {
        TimePlan {
            pane: 10,
            window: WindowKind::Sliding { size: 10, slide: 10 },
            lateness: 5,
            skew_max: 1000,
            jump_max: 100,
            jump_confirmations: 3,
            idle_after: 10,
            early_every: 1,
            revise_for: 100,
        }
    }

    fn after(times: &[Micros]) -> Option<Micros> {
        let mut clock = Clock::default();
        times.iter().for_each(|&time| clock.observe(time, &plan()));
        clock.watermark(&plan())
    }

    #[test]
    fn watermark_trails_the_latest_time() {
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[50, 40]), Some(45));
    }

    #[test]
    fn a_lone_jump_is_doubted_and_a_confirmed_one_believed() {
        assert_eq!(after(&[50, 9_000, 55]), Some(50));
        assert_eq!(after(&[50, 9_000, 55, 20_000, 60]), Some(55));
        assert_eq!(after(&[50, 9_000, 9_010, 9_005]), Some(8_995));
    }

    proptest! {
        #[test]
        fn batches_do_not_matter(times in prop::collection::vec(0_i64..2_000, 0..60), cut in 0_usize..60) {
            let (mut one, mut two) = (Clock::default(), Clock::default());
            times.iter().for_each(|&time| one.observe(time, &plan()));
            let (head, tail) = times.split_at(cut.min(times.len()));
            two.observe_all(head, &plan());
            two.observe_all(tail, &plan());
            prop_assert_eq!(one, two);
        }
    }
}
