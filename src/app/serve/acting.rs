//! Shows on the HTTP side what those do who carry decisions out.

use std::sync::Arc;

use super::Shared;
use crate::kafka::clock::wall_clock;
use crate::targets::watch::{AdapterObserver, Event};

/// Listens to adapters. The process is ready only once all of them have read what was there at their start.
#[derive(Debug)]
pub struct Board {
    shared: Arc<Shared>,
}

impl Board {
    /// Listens to these adapters; with each, whether it only tells.
    pub fn new<'a>(shared: Arc<Shared>, adapters: impl Iterator<Item = (&'a str, bool)>) -> Self {
        for (name, tells) in adapters {
            shared.telemetry().acting().begins(name, tells);
            shared.health().expect(&worker(name));
        }
        Self { shared }
    }
}

/// What an adapter is called among other workers.
fn worker(adapter: &str) -> String {
    format!("target {adapter}")
}

impl AdapterObserver for Board {
    fn saw(&self, adapter: &str, event: Event<'_>) {
        let (health, worker) = (self.shared.health(), worker(adapter));
        match event {
            // Its time-out and its pauses bound that, not the silence of a worker.
            Event::Waits => health.retire(&worker),
            Event::CaughtUp => health.caught_up(&worker),
            _ => health.tick(&worker),
        }
        self.shared.telemetry().acting().saw(adapter, event, wall_clock());
    }
}
