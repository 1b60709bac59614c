//! What systemd is told of a service of type `notify`: that it has started, how it stands, that it lives, that it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::error::{Error, Result};
use crate::serve::Shared;
use crate::serve::health::{Phase, WorkerSilence};

/// How often it is told, unless the unit's `WatchdogSec` is so short that it must be more often.
const EVERY: Duration = Duration::from_secs(1);

/// Tells it for as long as it is there, on a thread of its own, and at last that the service ends.
#[derive(Debug)]
pub(super) struct Notifier {
    /// Closed to end the thread.
    _end: Sender<()>,
}

impl Notifier {
    /// Starts the thread, where a service manager listens.
    pub(super) fn start(shared: &Arc<Shared>, stop: &Arc<AtomicBool>) -> Result<Option<Self>> {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(None);
        }
        let every = sd_notify::watchdog_enabled().map_or(EVERY, |limit| EVERY.min(limit / 3));
        let (end, ended) = channel();
        let (shared, stop) = (Arc::clone(shared), Arc::clone(stop));
        let work = move || {
            let mut told = String::new();
            tell(&[NotifyState::Ready]);
            loop {
                let status = status(&shared, stop.load(Ordering::Relaxed));
                if status != told {
                    tell(&[NotifyState::Status(&status)]);
                    told = status;
                }
                if shared.health().pulses().iter().all(WorkerSilence::alive) {
                    tell(&[NotifyState::Watchdog]);
                }
                if ended.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("haldane-systemd".to_owned()).spawn(work);
        thread.map_err(|error| Error::internal("cannot start a thread").because(error))?;
        Ok(Some(Self { _end: end }))
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// One line for `systemctl status`.
fn status(shared: &Shared, stopping: bool) -> String {
    if stopping {
        return "finishing what was read".to_owned();
    }
    if let Some(what) = shared.health().outages().into_keys().next() {
        return format!("no answer: {what}");
    }
    match shared.health().phase() {
        Phase::Starting => "joining, restoring or catching up",
        Phase::Standby => "another process works; standing by",
        Phase::Ready => "reading near the ends of the logs",
        Phase::Stopping => "finishing what was read",
    }
    .to_owned()
}
