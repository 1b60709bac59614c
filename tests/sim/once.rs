//! What happens once in a simulation, if at all, and what must hold after it nevertheless.
//!
//! - A partition is silent for longer than `idle_after`, and then brings all that it held back. Windows that were
//!   judged without it are revised, by whoever judged them.
//! - Topics get one more partition each.
//! - A topic of results loses its last records, though they were acknowledged. What is left is right, and a decision
//!   that is missing shows in the chain.
//! - Retention deletes records that nobody has read. The service halts and says so, or goes on, and windows that
//!   did not need them are right.

use std::collections::BTreeSet;
use std::ops::Range;

use haldane::config::OnGap;
use haldane::event::{Micros, SECOND};

use crate::broker::{Log, World};
use crate::check::{WINDOW, Windows};
use crate::ports::CONTROL_AND_WINDOWS;
use crate::rng::Rng;
use crate::scenario::EPOCH;

/// How much of the log a judgement may still need: horizon, wait, lateness, and a window.
const NEEDED: Micros = 60 * SECOND;
/// Windows that end so long after records were deleted need none of them.
const AFTER_GAP: Micros = 20 * SECOND;
/// How long a partition's records that were held back are behind the others at most.
const BEHIND: Micros = 50 * SECOND;

/// A partition that brings nothing for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Silence {
    pub(crate) partition: u32,
    pub(crate) from: Micros,
    pub(crate) until: Micros,
}

/// What happens once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Once {
    pub(crate) silence: Option<Silence>,
    /// Topics of events get one more partition.
    pub(crate) grows_at: Option<Micros>,
    /// A topic of results loses records at its end.
    pub(crate) torn_at: Option<Micros>,
    /// Records are deleted unread; what the service does then.
    pub(crate) gap: Option<(Micros, OnGap)>,
}

impl Once {
    /// At most one of them.
    pub(crate) fn of(rng: &mut Rng, partitions: u32) -> Self {
        let at = rng.between(30, 90) * SECOND;
        match rng.below(10) {
            0 | 1 => {
                let until = at + rng.between(21, 28) * SECOND;
                let partition = u32::try_from(rng.below(u64::from(partitions))).expect("few");
                Self { silence: Some(Silence { partition, from: at, until }), ..Self::default() }
            }
            2 => Self { grows_at: Some(at), ..Self::default() },
            3 => Self { torn_at: Some(at), ..Self::default() },
            4 => {
                let on_gap = if rng.below(2) == 0 { OnGap::Halt } else { OnGap::Resume };
                Self { gap: Some((at, on_gap)), ..Self::default() }
            }
            _ => Self::default(),
        }
    }

    /// When a record of a partition is there that was sent at a time.
    pub(crate) fn there_at(&self, partition: u32, sent: Micros) -> Micros {
        let silent =
            |silence: &Silence| silence.partition == partition && (silence.from..silence.until).contains(&sent);
        self.silence.filter(silent).map_or(sent, |silence| silence.until)
    }

    /// Whether decisions are those of the log alone.
    pub(crate) fn is_steady(&self) -> bool {
        self.silence.is_none() && self.grows_at.is_none() && self.torn_at.is_none() && self.gap.is_none()
    }
}

impl World {
    /// Lets happen what is due.
    pub(crate) fn strike_once(&mut self) {
        let now = self.now;
        if let Some(silence) = self.to_come.silence.take_if(|silence| silence.from <= now) {
            self.fault("partition silent", || format!("{silence:?}"));
        }
        if self.to_come.grows_at.take_if(|at| *at <= now).is_some() {
            self.grow();
        }
        if self.to_come.torn_at.take_if(|at| *at <= now).is_some() {
            self.tear();
        }
        if self.to_come.gap.take_if(|(at, _)| *at <= now).is_some() {
            self.delete_unread();
        }
    }

    fn grow(&mut self) {
        for &topic in self.scenario.inputs() {
            self.topics.get_mut(topic).expect("it is there").push(Log::default());
            self.fault("partition added", || topic.to_owned());
            self.share_out_anew(topic);
        }
    }

    /// Records that were acknowledged are lost: brokers elect a leader that does not have them.
    fn tear(&mut self) {
        let topic = *self.rng.one(&*CONTROL_AND_WINDOWS);
        let most = 1 + self.rng.below(8);
        let Some(log) = self.topics.get_mut(topic).map(|logs| &mut logs[0]) else { return };
        let n = log.records.len().min(usize::try_from(most).expect("few"));
        let torn = log.records.split_off(log.records.len() - n);
        log.next -= i64::try_from(n).expect("few");
        log.torn.extend(torn);
        if n > 0 {
            self.fault("records lost by brokers", || format!("{n} of {topic}"));
        }
    }

    /// Retention deletes records that a commit holds back.
    fn delete_unread(&mut self) {
        let topic = *self.rng.one(self.scenario.inputs());
        let place = usize::try_from(self.rng.below(self.topics[topic].len() as u64)).expect("few");
        let left = usize::try_from(self.rng.below(10)).expect("few");
        let log = &mut self.topics.get_mut(topic).expect("it is there")[place];
        let n = log.records.len().saturating_sub(left);
        for kept in log.records.drain(..n) {
            let body: serde_json::Value =
                serde_json::from_slice(kept.payload.as_deref().unwrap_or_default()).unwrap_or_default();
            let at = body["at"].as_i64().unwrap_or(EPOCH) - EPOCH;
            *self.unread.entry(at - at.rem_euclid(WINDOW) + WINDOW).or_default() += 1;
            log.eaten.push(kept);
        }
        self.fault("deleted unread", || format!("{n} of {topic}/{place}"));
    }

    /// Whether a decision may never be followed by its state, because all have halted.
    pub(crate) fn loses_track(&self) -> bool {
        self.scenario.on_gap == OnGap::Halt && self.halted
    }

    /// Whether records were deleted before they were read.
    pub(crate) fn lacks_records(&self) -> bool {
        self.scenario.once.gap.is_some()
    }

    /// What is to be compared where records were deleted unread: of traffic, which is judged once, all that was said
    /// before the service halted; and where it went on, all windows but those that were needed then and are said not to
    /// be trusted.
    pub(crate) fn excused(&self, mut expected: Windows, mut found: Windows) -> (Windows, Windows) {
        let end =
            |name: &str| name.split('|').next().and_then(|text| text.parse().ok()).map_or(0, |end: Micros| end * 1_000);
        let is_traffic = |name: &str| name.contains("|error_rate|");
        match self.scenario.once.gap {
            Some((_, OnGap::Halt)) if self.halted => found.retain(|name, _| is_traffic(name)),
            Some((at, OnGap::Resume)) => {
                let touched = |name: &str| end(name) < at + AFTER_GAP;
                let few = self.lack_few();
                let trusted = |name: &str, text: &str| text.contains("\"trust\":\"ok\"") && !few.contains(&end(name));
                found.retain(|name, (_, text)| is_traffic(name) && (!touched(name) || trusted(name, text)));
            }
            _ => return (expected, found),
        }
        expected.retain(|name, _| found.contains_key(name));
        (expected, found)
    }

    /// Ends of windows of which so few records were deleted that they are trusted all the same.
    fn lack_few(&self) -> BTreeSet<Micros> {
        let n_min = self.scenario.plan().policy.trust.n_min;
        self.unread.iter().filter(|(_, n)| **n < n_min).map(|(end, _)| *end).collect()
    }

    /// Windows that ended in this time may lack what a silent partition brought later: another process has taken over
    /// since they were judged, which knows no window that was finished before.
    pub(crate) fn unrevised(&self) -> Option<Range<Micros>> {
        let silence = self.scenario.once.silence?;
        let matters = silence.from..silence.until + NEEDED;
        let taken = self.takeovers.iter().any(|at| matters.contains(at));
        taken.then_some(EPOCH + silence.from - NEEDED..EPOCH + silence.until + BEHIND)
    }
}
