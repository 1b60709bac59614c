//! Carries out what a step gave rise to, in the one safe order: decisions first, and acknowledged; states after them, and what
//! became of commands last.
//!
//! A crash in between repeats a decision with the same id, which every adapter ignores. The other order would lose one.

use std::sync::Arc;

use super::clock::wall_clock;
use super::cloud_event::Letter;
use super::connection::Connection;
use super::producer::Producer;
use super::topics::{self, Own};
use crate::engine::Effects;
use crate::error::Result;

/// Takes decisions and states to their topics.
#[derive(Clone)]
pub struct Publisher {
    producer: Arc<Producer>,
    control: String,
    state: String,
    windows: Option<String>,
    cluster: String,
}

impl Publisher {
    /// Makes the topics where they are missing.
    pub fn open(connection: &Connection, producer: Arc<Producer>) -> Result<Self> {
        let own = &connection.settings().topics;
        let mut wanted = vec![Own { name: &own.control, compacted: false }, Own { name: &own.state, compacted: true }];
        wanted.extend(own.windows.iter().map(|name| Own { name, compacted: false }));
        topics::create(connection, &wanted)?;
        let (control, state) = (own.control.clone(), own.state.clone());
        Ok(Self { producer, control, state, windows: own.windows.clone(), cluster: connection.cluster().to_owned() })
    }

    /// Returns when every decision is acknowledged; states and windows are on their way then. In between, `keep` is called:
    /// once a state is out, a restart does not say again what led to it.
    pub fn publish(&self, effects: &Effects, keep: impl FnOnce() -> Result<()>) -> Result<()> {
        for decision in &effects.decisions {
            self.producer.send(Letter::decision(decision, &self.cluster, wall_clock()).to(&self.control))?;
        }
        if !effects.decisions.is_empty() {
            self.producer.settle()?;
        }
        keep()?;
        for state in &effects.states {
            self.producer.send(Letter::state(state, wall_clock()).to(&self.state))?;
        }
        for result in &effects.results {
            self.producer.send(Letter::result(result, &self.cluster, wall_clock()).to(&self.control))?;
        }
        if let Some(topic) = &self.windows {
            for row in &effects.windows {
                self.producer.send(Letter::window(row, wall_clock()).to(topic))?;
            }
        }
        Ok(())
    }

    /// Waits for everything that is on its way, dead letters too; only then may an offset be committed.
    pub fn settle(&self) -> Result<()> {
        self.producer.settle()
    }
}
