//! The shell's clock. It times waits, commits and displays; what is counted and decided never depends on it.
#![expect(clippy::disallowed_methods, reason = "the one place where this shell asks for the time")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::event::Micros;

/// Now, for measuring spans.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Now, by the calendar.
#[must_use]
pub fn wall_clock() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}
