//! What whoever watches adapters at work is told.

use super::{Subject, Tried};
use crate::act::{Acknowledgement, ObservedShare};
use crate::event::Micros;

/// Something that happened at an adapter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// It is at work.
    Alive,
    /// What is wanted is not so yet for so many candidates.
    Open(usize),
    /// It has read what was there at its start.
    CaughtUp,
    /// It waits for its target, which may take as long as its time-out allows, or until it tries again.
    Waits,
    /// A look was answered, or was not.
    Looked(&'a Subject, &'a Tried<ObservedShare>),
    /// A share was set, or was not.
    Set {
        /// What became of it.
        done: &'a Tried<()>,
        /// Whether it was carried out before, and somebody else has undone it.
        again: bool,
    },
    /// An acknowledgement is on its topic.
    Said {
        /// The acknowledgement.
        ack: &'a Acknowledgement,
        /// From the record of a restriction to the look that showed it kept.
        contained: Option<Micros>,
    },
    /// So many shares that were seen are on their topic, or could not be written there.
    Exposed {
        /// How many.
        shares: usize,
        /// Whether the brokers have them.
        written: bool,
    },
    /// Messages to people, or to a program.
    Told(DeliveryCounts),
}

/// What became of messages since the last time that this was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Were taken on the other side.
    pub delivered: u64,
    /// Were not, and are sent again.
    pub failed: u64,
    /// Were put together with one that nobody was told yet.
    pub merged: u64,
    /// Wait now.
    pub waiting: usize,
}

impl DeliveryCounts {
    /// A message was sent.
    pub(super) fn count<T, E>(&mut self, sent: &Result<T, E>) {
        match sent {
            Ok(_) => self.delivered += 1,
            Err(_) => self.failed += 1,
        }
    }
}

/// Whoever watches adapters at work. Several call at once.
pub trait AdapterObserver: Sync {
    /// Something happened at the adapter of this name.
    fn saw(&self, adapter: &str, event: Event<'_>);
}

/// Nobody does.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl AdapterObserver for Unwatched {
    fn saw(&self, _: &str, _: Event<'_>) {}
}
