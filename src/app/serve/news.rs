//! Tells readers that there is something new, without keeping anything for them: who is slow misses steps, not the end.

use std::sync::Arc;

use tokio::sync::watch::{Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most readers that are told at a time.
pub(super) const READERS_MAX: usize = 64;

/// How often something has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Beat {
    /// Windows, rollouts, decisions, answers to commands.
    pub(super) changes: u64,
    /// Lag and counts.
    pub(super) standings: u64,
    /// Tokens were read again: whoever listens has to show a token that still counts.
    pub(super) logins: u64,
    /// The process ends.
    pub(super) stopped: bool,
}

/// The newest beat, and those who wait for the next one.
#[derive(Debug)]
pub(super) struct BeatChannel {
    beat: Sender<Beat>,
    seats: Arc<Semaphore>,
}

impl Default for BeatChannel {
    fn default() -> Self {
        Self { beat: Sender::default(), seats: Arc::new(Semaphore::new(READERS_MAX)) }
    }
}

impl BeatChannel {
    pub(super) fn changed(&self) {
        self.beat.send_modify(|beat| beat.changes += 1);
    }

    pub(super) fn stood(&self) {
        self.beat.send_modify(|beat| beat.standings += 1);
    }

    pub(super) fn renewed(&self) {
        self.beat.send_modify(|beat| beat.logins += 1);
    }

    pub(super) fn stopped(&self) {
        self.beat.send_modify(|beat| beat.stopped = true);
    }

    /// Ends once tokens are read again.
    #[cfg(feature = "pg")]
    pub(super) fn until_renewed(&self) -> impl Future<Output = ()> + use<> {
        let mut beats = self.beat.subscribe();
        let logins = beats.borrow().logins;
        async move {
            // The channel is gone when the process ends.
            let _ = beats.wait_for(|beat| beat.logins != logins).await;
        }
    }

    /// A place among the readers, held until it is dropped; `None` when all are taken.
    pub(super) fn subscribe(&self) -> Option<(OwnedSemaphorePermit, Receiver<Beat>)> {
        let seat = Arc::clone(&self.seats).try_acquire_owned().ok()?;
        Some((seat, self.beat.subscribe()))
    }
}
