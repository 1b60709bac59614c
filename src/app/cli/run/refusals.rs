//! Refused events in the log: the first at once, then how many a minute and one of them as an example.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::event::Reject;
use crate::kafka::clock::now;

/// The pause between two lines.
const EVERY: Duration = Duration::from_mins(1);

/// What was refused since the last line.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Since>);

#[derive(Debug, Default)]
struct Since {
    n: u64,
    next_at: Option<Instant>,
}

impl Refusals {
    /// Takes what a batch refused.
    pub(super) fn note(&self, rejects: &[Reject]) {
        let Some(example) = rejects.first() else { return };
        if let Some(refused) = self.due(rejects.len() as u64, now()) {
            let Reject { offset, reason, detail, .. } = example;
            tracing::warn!(refused, example = detail, %reason, offset, "events are refused; the dead letters hold them");
        }
    }

    /// How many to tell of now, if any.
    fn due(&self, n: u64, at: Instant) -> Option<u64> {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.n += n;
        if since.next_at.is_some_and(|next_at| at < next_at) {
            return None;
        }
        since.next_at = Some(at + EVERY);
        Some(std::mem::take(&mut since.n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_rest_by_the_minute() {
        let (refusals, begun) = (Refusals::default(), now());
        assert_eq!(refusals.due(2, begun), Some(2));
        assert_eq!((refusals.due(55_000, begun), refusals.due(1, begun + EVERY / 2)), (None, None));
        assert_eq!(refusals.due(1, begun + EVERY), Some(55_002));
    }
}
