//! This machine: its clocks, and threads for work beside the service's own.

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::clock;
use super::ports::{Machine, PendingRequest};
use crate::event::Micros;

/// The machine that this process runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Here;

impl Machine for Here {
    fn now(&self) -> Instant {
        clock::now()
    }

    fn wall_clock(&self) -> Micros {
        clock::wall_clock()
    }

    fn beside(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> std::io::Result<()> {
        thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
    }

    fn until(
        &self,
        name: &str,
        every: Duration,
        mut ask: Box<dyn FnMut() -> bool + Send>,
    ) -> std::io::Result<Box<dyn PendingRequest>> {
        let ((end, ended), (asks, over)) = (channel(), channel());
        let work = move || {
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) && !ask() {}
            drop(asks);
        };
        self.beside(name, Box::new(work))?;
        Ok(Box::new(Asking { over, _end: end }))
    }
}

/// A thread that asks.
#[derive(Debug)]
struct Asking {
    /// Disconnected when it is over.
    over: Receiver<Infallible>,
    /// Closed to end the thread.
    _end: Sender<()>,
}

impl PendingRequest for Asking {
    fn is_over(&self) -> bool {
        matches!(self.over.try_recv(), Err(TryRecvError::Disconnected))
    }
}
