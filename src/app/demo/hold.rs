//! Holds the traffic's clock while a decision is made and carried out.
//!
//! The traffic passes seventy times as fast as its own clock says. Without that, how much of it v2 would still get
//! would depend on how busy this machine is, and no two runs would tell the same.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use super::broker::TrafficControl;
use super::now;
use super::traffic::{FAULT_AT, RATE, START};
use crate::event::{Micros, SECOND};
use crate::serve::Shared;
use crate::targets::watch::{AdapterObserver, Event};
use crate::verdict::AckStatus;

/// Windows are judged once all that is due within so long after their end was sent: their lateness and a second.
const DUE: Micros = 6 * SECOND;
const WINDOW: Micros = 10 * SECOND;

/// How long each decision that was carried out took, from its record on the control topic to the look that showed it.
#[derive(Debug, Default)]
pub(super) struct Ears(Mutex<Vec<Micros>>);

impl Ears {
    /// In their order.
    pub(super) fn took(&self) -> Vec<Micros> {
        // A panic elsewhere leaves the list whole: it is changed by single calls only.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl AdapterObserver for Ears {
    fn saw(&self, _: &str, event: Event<'_>) {
        if let Event::Said { ack, contained } = event
            && ack.status == AckStatus::Applied
        {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(contained.unwrap_or_default());
        }
    }
}

/// A stretch of the traffic between two changes of the share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stretch {
    /// Where it ends.
    pub(super) until: Micros,
    /// The share of requests that went to the new version.
    pub(super) share_pct: f64,
}

/// Follows the traffic.
pub(super) struct TrafficFollower<'a> {
    shared: &'a Arc<Shared>,
    ears: &'a Ears,
    fault: &'a OnceLock<Instant>,
    /// Requests that went to the new version, second by second.
    canary: Vec<usize>,
    /// When the share changed: seconds after the start.
    changes: Vec<usize>,
}

impl<'a> TrafficFollower<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, ears: &'a Ears, fault: &'a OnceLock<Instant>) -> Self {
        Self { shared, ears, fault, canary: Vec::new(), changes: Vec::new() }
    }

    /// The traffic between changes of the share.
    pub(super) fn stretches(&self) -> Vec<Stretch> {
        let ends = self.changes.iter().copied().chain([self.canary.len()]);
        let mut from = 0;
        let stretch = |end: usize| {
            let seconds = &self.canary[from..end];
            from = end;
            #[expect(clippy::cast_precision_loss, reason = "some thousands")]
            let (sent, all) = (seconds.iter().sum::<usize>() as f64, (seconds.len() as f64) * RATE as f64);
            let until = START + Micros::try_from(end).unwrap_or_default() * SECOND;
            Stretch { until, share_pct: 100.0 * sent / all }
        };
        ends.map(stretch).collect()
    }

    /// Whether what was decided of windows up to a time is carried out, and the engine knows: what it tells of the
    /// next window depends on that.
    fn is_settled(&mut self, upto: Micros) -> bool {
        if self.shared.judged().upto < upto {
            return false;
        }
        let mut effects = self.shared.rollouts().into_iter().filter_map(|rollout| rollout.effect);
        let settled = effects.all(|effect| effect.acked);
        if settled && self.ears.took().len() > self.changes.len() {
            self.changes.push(self.canary.len());
        }
        settled
    }
}

impl TrafficControl for TrafficFollower<'_> {
    fn fault(&mut self) {
        // It begins once.
        let _ = self.fault.set(now());
    }

    fn may_go_on(&mut self, upto: Micros) -> bool {
        let end = upto - DUE;
        let is_due = end > FAULT_AT && (end - START) % WINDOW == 0;
        let is_over = self.canary.last() == Some(&0) && !self.changes.is_empty();
        !is_due || is_over || self.is_settled(end)
    }

    fn sent(&mut self, canary: usize) {
        self.canary.push(canary);
    }
}
