//! The machine of a simulated process: its clocks, and what is asked for beside its work.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use haldane::event::Micros;
use haldane::kafka::ports::{Machine, PendingRequest};

use crate::broker::with;
use crate::scenario::EPOCH;

/// The machine of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host {
    pub(crate) process: usize,
}

impl Machine for Host {
    fn now(&self) -> Instant {
        with(|world| world.instant())
    }

    fn wall_clock(&self) -> Micros {
        with(|world| EPOCH + world.now + world.processes[self.process].skew)
    }

    fn beside(&self, _: &str, work: Box<dyn FnOnce() + Send>) -> std::io::Result<()> {
        work();
        Ok(())
    }

    fn until(
        &self,
        _: &str,
        every: Duration,
        ask: Box<dyn FnMut() -> bool + Send>,
    ) -> std::io::Result<Box<dyn PendingRequest>> {
        let (host, next) = (*self, self.now() + every);
        Ok(Box::new(Asked { host, every, state: Mutex::new((next, false, ask)) }))
    }
}

/// When it is asked next, whether the answer was yes, and the question.
type Question = (Instant, bool, Box<dyn FnMut() -> bool + Send>);

/// What is asked for, whenever somebody wants to know.
struct Asked {
    host: Host,
    every: Duration,
    state: Mutex<Question>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Asked")
    }
}

impl PendingRequest for Asked {
    fn is_over(&self) -> bool {
        let mut state = self.state.lock().expect("one thread");
        let now = self.host.now();
        if !state.1 && now >= state.0 {
            state.0 = now + self.every;
            state.1 = (state.2)();
        }
        state.1
    }
}
