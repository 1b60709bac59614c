//! The series of those that carry decisions out, and of those that tell of them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec, Registry};

use super::latest::Latest;
use super::{
    DELAY_BUCKETS_S, ROLLOUT_SERIES_MAX, counters, family, gauges, histograms, label_refs, lock, real_gauges, seconds,
};
use crate::act::{ObservedShare, Trouble};
use crate::event::Micros;
use crate::targets::watch::{DeliveryCounts, Event};
use crate::targets::{Subject, Tried};
use crate::verdict::AckStatus;

const UNREACHABLE: &str = "unreachable";
const CONFLICT: &str = "conflict";
const PUT_BACK: &str = "put_back";

/// What can become of shares that were seen.
const EXPOSURES: [&str; 2] = ["written", "failed"];

/// What can become of messages.
const MESSAGES: [&str; 3] = ["delivered", "failed", "merged"];

/// Every family about targets.
#[derive(Debug)]
pub struct Acting {
    look: GaugeVec,
    set: GaugeVec,
    outcomes: IntCounterVec,
    unreachable: GaugeVec,
    open: IntGaugeVec,
    share: GaugeVec,
    contained: HistogramVec,
    exposures: IntCounterVec,
    messages: IntCounterVec,
    waiting: IntGaugeVec,
    /// Since when targets have not answered.
    since: Mutex<BTreeMap<String, Micros>>,
    /// Target, model and candidate of the shares shown, at most [`ROLLOUT_SERIES_MAX`].
    shares: Mutex<Latest<[String; 3], ()>>,
}

impl Acting {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            look: real_gauges(registry, &family::ACT_LOOK),
            set: real_gauges(registry, &family::ACT_SET),
            outcomes: counters(registry, &family::ACT_OUTCOMES),
            unreachable: real_gauges(registry, &family::ACT_UNREACHABLE),
            open: gauges(registry, &family::ACT_OPEN),
            share: real_gauges(registry, &family::ACT_SHARE),
            contained: histograms(registry, &family::ACT_CONTAINED, &DELAY_BUCKETS_S),
            exposures: counters(registry, &family::ACT_EXPOSURES),
            messages: counters(registry, &family::MESSAGES),
            waiting: gauges(registry, &family::MESSAGES_PENDING),
            since: Mutex::default(),
            shares: Mutex::new(Latest::new(ROLLOUT_SERIES_MAX)),
        }
    }

    /// There is a target; `tells` one that only passes decisions on. Its counters are shown from the first time on: a
    /// rate over a counter that appears with its first event misses that event.
    pub fn begins(&self, target: &str, tells: bool) {
        if tells {
            MESSAGES.iter().for_each(|outcome| self.messages.with_label_values(&[target, outcome]).inc_by(0));
            self.waiting.with_label_values(&[target]).set(0);
            return;
        }
        let said = [AckStatus::Applied, AckStatus::Rejected, AckStatus::Ignored, AckStatus::Failed];
        let outcomes = said.iter().map(|status| status.name()).chain([UNREACHABLE, CONFLICT, PUT_BACK]);
        outcomes.for_each(|outcome| self.outcomes.with_label_values(&[target, outcome]).inc_by(0));
        self.open.with_label_values(&[target]).set(0);
        self.unreachable.with_label_values(&[target]).set(0.0);
        drop(self.contained.with_label_values(&[target]));
        EXPOSURES.iter().for_each(|outcome| self.exposures.with_label_values(&[target, outcome]).inc_by(0));
    }

    /// Something happened at a target at this wall-clock time.
    pub fn saw(&self, target: &str, event: Event<'_>, now: Micros) {
        match event {
            Event::Alive | Event::CaughtUp | Event::Waits => {}
            Event::Open(open) => self.is_open(target, open, now),
            Event::Looked(subject, seen) => self.looked(target, (subject, seen), now),
            Event::Set { done, again } => {
                if again {
                    self.count(target, PUT_BACK);
                }
                match done {
                    Ok(()) => self.set.with_label_values(&[target]).set(seconds(now)),
                    Err(trouble) => self.suffer(target, trouble, now),
                }
            }
            Event::Said { ack, contained } => {
                self.count(target, ack.status.name());
                contained.into_iter().for_each(|took| {
                    self.contained.with_label_values(&[target]).observe(seconds(took.max(0)));
                });
            }
            Event::Exposed { shares, written } => {
                let outcome = EXPOSURES[usize::from(!written)];
                self.exposures.with_label_values(&[target, outcome]).inc_by(shares as u64);
            }
            Event::Told(tally) => self.told(target, tally),
        }
    }

    fn count(&self, target: &str, outcome: &str) {
        self.outcomes.with_label_values(&[target, outcome]).inc();
    }

    /// A target at which nothing is to be done is not asked, so nobody knows whether it would answer.
    fn is_open(&self, target: &str, open: usize, now: Micros) {
        let mut since = lock(&self.since);
        if open == 0 {
            since.remove(target);
        }
        self.open.with_label_values(&[target]).set(i64::try_from(open).unwrap_or(i64::MAX));
        let lasts = since.get(target).map_or(0, |since| (now - since).max(0));
        self.unreachable.with_label_values(&[target]).set(seconds(lasts));
    }

    fn looked(&self, target: &str, (subject, seen): (&Subject, &Tried<ObservedShare>), now: Micros) {
        let seen = match seen {
            Ok(seen) => seen,
            Err(trouble) => return self.suffer(target, trouble, now),
        };
        lock(&self.since).remove(target);
        self.look.with_label_values(&[target]).set(seconds(now));
        let candidate = seen.version.as_ref().unwrap_or(&subject.candidate);
        let key = [target, subject.model.as_str(), candidate.as_str()].map(str::to_owned);
        let mut shares = lock(&self.shares);
        for (old, ()) in shares.make_room(now) {
            let _ = self.share.remove_label_values(&label_refs(&old));
        }
        if shares.put(key.clone(), now, ()) {
            self.share.with_label_values(&label_refs(&key)).set(seen.share_pct.unwrap_or(0.0) / 100.0);
        }
    }

    fn suffer(&self, target: &str, trouble: &Trouble, now: Micros) {
        match trouble {
            Trouble::Away(_) => {
                self.count(target, UNREACHABLE);
                lock(&self.since).entry(target.to_owned()).or_insert(now);
            }
            Trouble::Conflict => self.count(target, CONFLICT),
            // The acknowledgement says so.
            Trouble::Refused(_) | Trouble::Unable(_) => {}
        }
    }

    fn told(&self, target: &str, tally: DeliveryCounts) {
        let DeliveryCounts { delivered, failed, merged, waiting } = tally;
        for (outcome, n) in MESSAGES.into_iter().zip([delivered, failed, merged]) {
            self.messages.with_label_values(&[target, outcome]).inc_by(n);
        }
        self.waiting.with_label_values(&[target]).set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}
