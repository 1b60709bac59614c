//! How far one stream has come in event time, and how records whose clock is wrong are kept from closing windows.
//!
//! The clock is the latest time seen in order. A record is in order when it is no further ahead of the clock than
//! records of the plan may be out of order (its lateness). A record further ahead is doubted: it moves the clock only
//! when enough others agree, and each record in order takes one of them away. Then the clock moves to the earliest of
//! them, and on to those in order after it. So after a pause it follows within a few records, and producers whose own
//! clocks are ahead do not move it as long as they are the fewer. Where records say who made them, it is the producers
//! that must agree, more than half of those that were heard of late. The clock depends on the records and their order
//! alone, never on how they were batched.

use std::ops::Range;

use arrow_array::{Array as _, UInt64Array};
use serde::{Deserialize, Serialize};

use super::producers::Producers;
use crate::event::Micros;
use crate::plan::TimePlan;

/// How many records of a steady stream must be ahead, beside as many as came in order meanwhile, before the clock
/// follows them. Of a stream that is not steady as many as confirm a jump are enough: where hardly any record comes
/// within the lateness of another, each is ahead of the one before.
///
/// Origin: engineering choice. The balance is a random walk; where a share `p < 1/2` of the records is ahead, it gets
/// so far from any one record on with a chance of `(p / (1 - p))^8`: 1e-16 for 1 %, 2e-8 for 10 %.
const AHEAD_MAX: usize = 8;
/// As many records in order since the clock last followed records ahead make a stream steady.
///
/// Origin: engineering choice: several times [`AHEAD_MAX`], so that a handful in a burst does not.
const STEADY: u8 = 64;

/// The clock of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Clock {
    latest: Option<Micros>,
    /// Times of records ahead that wait for others to agree, in ascending order.
    ahead: Vec<Micros>,
    /// Records in order since records ahead were followed, up to [`STEADY`].
    #[serde(default, skip_serializing_if = "is_none")]
    in_order: u8,
    #[serde(default, skip_serializing_if = "Producers::is_empty")]
    producers: Producers,
}

/// Event times of records one after another, and who made these, where records say so.
#[derive(Debug, Clone)]
pub struct Times<'a> {
    /// The times.
    pub times: &'a [Micros],
    /// As many hashes of producers, if any is known.
    pub producers: Option<UInt64Array>,
}

impl Times<'_> {
    /// Some of them.
    pub(crate) fn range(&self, rows: Range<usize>) -> Self {
        let producers = self.producers.as_ref().map(|producers| producers.slice(rows.start, rows.len()));
        Self { times: &self.times[rows], producers }
    }

    /// Each time, and who made the record.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Micros, Option<u64>)> {
        let known = |row: usize| self.producers.as_ref().filter(|producers| producers.is_valid(row));
        let producer = move |row: usize| known(row).map(|producers| producers.value(row));
        self.times.iter().enumerate().map(move |(row, &time)| (time, producer(row)))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none(in_order: &u8) -> bool {
    *in_order == 0
}

impl Clock {
    /// Takes the event time of the next record, and who made it, where that is known.
    pub fn observe(&mut self, time: Micros, producer: Option<u64>, plan: &TimePlan) {
        let is_in_order = self.latest.is_some_and(|latest| time <= latest.saturating_add(disorder(plan)));
        if let Some(producer) = producer {
            self.producers.hear(producer, time, !is_in_order);
        }
        match self.latest {
            _ if is_in_order => self.in_order(time),
            _ if self.producers.are_several() => self.follow_producers(disorder(plan)),
            Some(latest) if time > latest.saturating_add(plan.jump_max) => self.doubt_jump(time, disorder(plan), plan),
            _ => self.doubt(time, self.needed(plan), disorder(plan)),
        }
    }

    /// Takes the arrival (broker time) of the next record: the brokers' clocks are trusted, but for jumps.
    pub fn arrive(&mut self, time: Micros, plan: &TimePlan) {
        match self.latest {
            Some(latest) if time > latest.saturating_add(plan.jump_max) => self.doubt_jump(time, plan.jump_max, plan),
            _ => self.in_order(time),
        }
    }

    /// Takes the next records at once; the same as one by one.
    pub fn observe_all(&mut self, records: &Times<'_>, plan: &TimePlan) {
        let Times { times, producers } = records;
        let Some(&max) = times.iter().max() else { return };
        match self.latest {
            Some(latest) if producers.is_none() && max <= latest.saturating_add(disorder(plan)) => {
                self.latest = Some(latest.max(max));
                self.ahead.truncate(self.ahead.len().saturating_sub(times.len()));
                self.count(times.len());
            }
            _ => records.iter().for_each(|(time, producer)| self.observe(time, producer, plan)),
        }
    }

    fn in_order(&mut self, time: Micros) {
        self.latest = self.latest.max(Some(time));
        self.ahead.pop();
        self.count(1);
    }

    fn count(&mut self, n: usize) {
        let n = u8::try_from(n).unwrap_or(u8::MAX);
        self.in_order = self.in_order.saturating_add(n).min(STEADY);
    }

    fn needed(&self, plan: &TimePlan) -> usize {
        let few = plan.jump_confirmations as usize;
        if self.in_order < STEADY { few.min(AHEAD_MAX) } else { AHEAD_MAX }
    }

    /// A time that is further ahead than any pause explains: only records that agree with it count.
    fn doubt_jump(&mut self, time: Micros, disorder: Micros, plan: &TimePlan) {
        self.ahead.retain(|other| other.abs_diff(time) <= plan.jump_max.unsigned_abs());
        self.doubt(time, plan.jump_confirmations as usize, disorder);
    }

    fn doubt(&mut self, time: Micros, needed: usize, disorder: Micros) {
        if let Some(latest) = self.latest {
            self.ahead.retain(|&other| other > latest.saturating_add(disorder));
        }
        let place = self.ahead.partition_point(|&other| other <= time);
        self.ahead.insert(place, time);
        if self.ahead.len() >= needed {
            let n = together(&self.ahead, disorder);
            self.latest = self.ahead.drain(..n).next_back();
            self.in_order = 0;
        }
    }

    /// Follows the producers that are ahead, once they are the more.
    fn follow_producers(&mut self, disorder: Micros) {
        let agreed = self.producers.agreed(self.latest.map_or(Micros::MIN, |latest| latest.saturating_add(disorder)));
        if let Some(&latest) = together(&agreed, disorder).checked_sub(1).and_then(|last| agreed.get(last)) {
            self.latest = Some(latest);
            self.ahead.clear();
            self.in_order = 0;
        }
    }

    /// The latest time that came in order; `None` before the first record.
    #[must_use]
    pub(crate) fn latest(&self) -> Option<Micros> {
        self.latest
    }

    /// No record before this time is counted any more; `None` before the first record.
    #[must_use]
    pub fn watermark(&self, plan: &TimePlan) -> Option<Micros> {
        self.latest.map(|latest| latest.saturating_sub(plan.lateness))
    }
}

/// How many of these rising times are in order one after another from the first one on.
fn together(times: &[Micros], disorder: Micros) -> usize {
    let apart = |pair: &[Micros]| pair[1] > pair[0].saturating_add(disorder);
    times.windows(2).position(apart).map_or(times.len(), |at| at + 1)
}

/// How far ahead of the clock a record may be and still be in order. Where nothing may be late, a pane.
fn disorder(plan: &TimePlan) -> Micros {
    let lateness = if plan.lateness > 0 { plan.lateness } else { plan.pane };
    lateness.min(plan.jump_max)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::{WallClock, WindowKind};

    /// Panes of 10, 5 of lateness.
    pub(crate) fn plan() -> TimePlan {
        TimePlan {
            pane: 10,
            window: WindowKind::Sliding { size: 10, slide: 10 },
            clock: WallClock::default(),
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
        times.iter().for_each(|&time| clock.observe(time, None, &plan()));
        clock.watermark(&plan())
    }

    /// As [`after`], of records that say who made them.
    fn after_those_of(records: impl IntoIterator<Item = (Micros, u64)>) -> Option<Micros> {
        let mut clock = Clock::default();
        records.into_iter().for_each(|(time, producer)| clock.observe(time, Some(producer), &plan()));
        clock.watermark(&plan())
    }

    /// Records in order up to this time, enough to call the stream steady.
    fn steady(until: Micros) -> Vec<Micros> {
        (until - 100..=until).collect()
    }

    #[test]
    fn watermark_trails_the_latest_time() {
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[50, 40]), None, "two records say nothing yet");
        assert_eq!(after(&[steady(50), vec![40]].concat()), Some(45));
    }

    #[test]
    fn a_lone_jump_is_doubted_and_a_confirmed_one_believed() {
        assert_eq!(after(&[steady(50), vec![9_000, 55]].concat()), Some(50));
        assert_eq!(after(&[steady(50), vec![9_000, 55, 20_000, 60]].concat()), Some(55));
        assert_eq!(after(&[steady(50), vec![9_000, 9_090, 9_005]].concat()), Some(9_000));
    }

    #[test]
    fn a_first_record_that_is_ahead_is_not_believed() {
        assert_eq!(after(&[vec![80], steady(50)].concat()), Some(45));
    }

    #[test]
    fn a_tenth_of_the_records_ahead_do_not_move_it() {
        let fast = |i: Micros| if i % 10 == 0 { i / 10 + 90 } else { i / 10 };
        let times: Vec<Micros> = (0..5_000).map(fast).collect();
        assert_eq!(after(&times), Some(499 - 5));
    }

    #[test]
    fn a_stream_of_few_records_is_followed_by_as_few() {
        let sparse: Vec<Micros> = (0..40).map(|i| 20 * i).collect();
        assert_eq!(after(&sparse), Some(20 * 37 - 5), "two records behind");
        assert_eq!(after(&[&sparse[..], &[830], &[800]].concat()), Some(20 * 39 - 5), "one that is ahead is not");
    }

    #[test]
    fn after_a_pause_it_follows_within_a_few_records() {
        let resumed: Vec<Micros> = (0..8).map(|i| 120 + i).collect();
        assert_eq!(after(&[steady(50), resumed].concat()), Some(122));
    }

    /// A record a tick: two of three are of the first producer, the others of two more in turn.
    fn of_three(until: Micros) -> impl Iterator<Item = (Micros, u64)> + Clone {
        (0..until).map(|i| (i, if i % 3 > 0 { 0 } else { 1 + (i % 2).unsigned_abs() }))
    }

    #[test]
    fn a_producer_whose_clock_is_fast_does_not_move_it_however_much_it_sends() {
        let fast = of_three(5_000).map(|(time, producer)| (if producer == 0 { time + 60 } else { time }, producer));
        let times: Vec<Micros> = fast.clone().map(|(time, _)| time).collect();
        assert_eq!(after_those_of(fast), Some(4_998 - 5));
        assert!(after(&times) > Some(5_050), "where nobody says whose records they are, it follows the most");
    }

    #[test]
    fn producers_that_are_ahead_are_followed_once_they_are_the_more() {
        let resumed = |n| of_three(300).chain(of_three(n).map(|(time, producer)| (time + 1_000, producer)));
        assert_eq!(after_those_of(resumed(12)), Some(299 - 5));
        assert_eq!(after_those_of(resumed(20)), Some(1_019 - 5));
    }

    #[test]
    fn one_wrong_time_of_each_producer_moves_nothing() {
        let wrong = [0, 1, 2].map(|producer| (90_000, producer));
        assert_eq!(after_those_of(of_three(300).chain(wrong).chain([(301, 0)])), Some(301 - 5));
    }

    #[test]
    fn a_producer_that_went_is_not_asked_for_ever() {
        let alone = |n: Micros| of_three(300).chain((0..n).map(|i| (1_000 + i, 0)));
        assert_eq!(after_those_of(alone(100)), Some(299 - 5));
        assert!(after_those_of(alone(400)) > Some(1_300));
    }

    proptest! {
        #[test]
        fn it_never_goes_back(times in prop::collection::vec(0_i64..300, 0..80)) {
            let mut clock = Clock::default();
            for time in times {
                let before = clock.latest;
                clock.observe(time, None, &plan());
                prop_assert!(clock.latest >= before);
            }
        }

        #[test]
        fn batches_do_not_matter(
            records in prop::collection::vec((prop_oneof![0_i64..2_000, 0_i64..30], 0_u64..20), 0..60),
            cut in 0_usize..60,
            says_who in any::<bool>(),
        ) {
            let (times, producers): (Vec<_>, Vec<_>) = records.into_iter().unzip();
            let producers = producers.into_iter().map(|producer| (producer > 0).then_some(producer)).collect();
            let all = Times { times: &times, producers: says_who.then_some(producers) };
            let (mut one, mut two) = (Clock::default(), Clock::default());
            all.iter().for_each(|(time, producer)| one.observe(time, producer, &plan()));
            let cut = cut.min(times.len());
            two.observe_all(&all.range(0..cut), &plan());
            let saved = serde_json::to_string(&two).expect("a clock always encodes");
            let mut two: Clock = serde_json::from_str(&saved).expect("decodes");
            two.observe_all(&all.range(cut..times.len()), &plan());
            prop_assert_eq!(one, two);
        }
    }
}
