//! Shows on the HTTP side what those do who carry decisions out.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Phase, Shared};
use crate::kafka::clock::wall_clock;
use crate::plan::Plan;
use crate::targets::watch::{AdapterObserver, Event};

/// Listens to adapters.
#[derive(Debug)]
pub struct Board {
    shared: Arc<Shared>,
    /// Those that have not read yet what was there at their start.
    starting: Mutex<BTreeSet<String>>,
}

impl Board {
    /// Listens to these adapters; with each, whether it only tells.
    pub fn new<'a>(shared: Arc<Shared>, plan: &Plan, adapters: impl Iterator<Item = (&'a str, bool)>) -> Self {
        shared.follow(plan);
        shared.telemetry().runs_as("act");
        let begins = |(name, tells): (&str, bool)| {
            shared.telemetry().acting().begins(name, tells);
            name.to_owned()
        };
        let starting = Mutex::new(adapters.map(begins).collect());
        Self { shared, starting }
    }
}

impl AdapterObserver for Board {
    fn saw(&self, adapter: &str, event: Event<'_>) {
        let health = self.shared.health();
        match event {
            // Its time-out and its pauses bound that, not the silence of a worker.
            Event::Waits => health.retire(adapter),
            Event::CaughtUp => {
                // A panic elsewhere leaves the set whole: it is changed by single calls only.
                let mut starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
                starting.remove(adapter);
                if starting.is_empty() {
                    health.turn(Phase::Starting, Phase::Ready);
                }
            }
            _ => health.tick(adapter),
        }
        self.shared.telemetry().acting().saw(adapter, event, wall_clock());
    }
}
