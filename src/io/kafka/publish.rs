//! Carries out what a step gave rise to, in the one safe order: what is about to be said; what became of commands, and
//! the decisions; states after them. Each is acknowledged before the next.
//!
//! A crash in between repeats a decision with the same id, which every adapter ignores. The other order would lose one.
//! A result says among which judgements its command was carried out; so it is there before anything that follows from
//! it, and a replay carries the command out at the same place.
//! While a store fails, decisions go out all the same, and what would keep a restart from saying them again is held
//! back.

use std::sync::Arc;

use super::cloud_event::Letter;
use super::intent::{self, Intent};
use super::ports::{Cluster, Machine, Sink};
use super::topics::Own;
use crate::engine::Effects;
use crate::error::Result;
use crate::verdict::{Liveness, RolloutState};

/// Takes decisions and states to their topics.
pub struct Publisher {
    producer: Arc<dyn Sink>,
    machine: Arc<dyn Machine>,
    control: String,
    state: String,
    windows: Option<String>,
    cluster: String,
    /// Whether something that was said is not kept.
    holds: bool,
    /// States that go out once what led to them is kept.
    held: Vec<RolloutState>,
}

impl Publisher {
    /// Makes the topics where they are missing.
    pub fn open(cluster: &dyn Cluster, producer: Arc<dyn Sink>) -> Result<Self> {
        let own = &cluster.settings().topics;
        let mut wanted = vec![Own::of(&own.control), Own::of(&own.state).compacted()];
        wanted.extend(own.windows.iter().map(|name| Own::of(name)));
        cluster.create(&wanted)?;
        let (control, state) = (own.control.clone(), own.state.clone());
        let (windows, machine) = (own.windows.clone(), Arc::clone(cluster.machine()));
        let cluster = cluster.id().to_owned();
        Ok(Self { producer, machine, control, state, windows, cluster, holds: false, held: Vec::new() })
    }

    /// Returns when every decision and every result is acknowledged; states and windows are on their way then. In
    /// between, `keep` is called: once a state is out, a restart does not say again what led to it. When it says
    /// `false`, states are held back until [`Publisher::release`].
    pub fn publish(&mut self, effects: &Effects, keep: impl FnOnce() -> Result<bool>) -> Result<()> {
        self.intend(effects)?;
        for result in &effects.results {
            self.producer.send(Letter::result(result, &self.cluster, self.machine.wall_clock()).to(&self.control))?;
        }
        for decision in &effects.decisions {
            self.producer
                .send(Letter::decision(decision, &self.cluster, self.machine.wall_clock()).to(&self.control))?;
        }
        if !(effects.decisions.is_empty() && effects.results.is_empty()) {
            self.producer.settle()?;
        }
        if keep()? {
            self.release()?;
            self.tell(&effects.states)?;
        } else {
            self.hold(&effects.states);
        }
        if let Some(topic) = &self.windows {
            for row in &effects.windows {
                self.producer.send(Letter::window(row, self.machine.wall_clock()).to(topic))?;
            }
        }
        Ok(())
    }

    /// Writes down what is about to be said.
    fn intend(&self, effects: &Effects) -> Result<()> {
        let intents = Intent::all(effects);
        for intent in &intents {
            self.producer.send(Letter::intent(intent, self.machine.wall_clock()).to(&self.state))?;
        }
        if intents.is_empty() { Ok(()) } else { self.producer.settle() }
    }

    /// Of each candidate only the last state counts, so what is held stays small.
    fn hold(&mut self, states: &[RolloutState]) {
        self.holds = true;
        for state in states {
            self.held.retain(|held| !intent::same(held, state));
            self.held.push(state.clone());
        }
    }

    /// Whether something that was said is not kept: commands that led to it must not be let go.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.holds
    }

    /// Lets go of what was held back: whoever works from now on says it, and what led to it, again.
    pub fn forget(&mut self) {
        (self.holds, self.held) = (false, Vec::new());
    }

    /// Sends what was held back: all that led to it is kept.
    pub fn release(&mut self) -> Result<()> {
        self.holds = false;
        let states = std::mem::take(&mut self.held);
        self.tell(&states)
    }

    fn tell(&self, states: &[RolloutState]) -> Result<()> {
        let (gone, stay): (Vec<_>, Vec<_>) = states.iter().partition(|state| state.gone);
        for state in stay {
            self.producer.send(Letter::state(state, self.machine.wall_clock()).to(&self.state))?;
        }
        for state in &gone {
            self.producer.send(Letter::no_intent(state, self.machine.wall_clock()).to(&self.state))?;
        }
        if !gone.is_empty() {
            // What is kept of them stands in another record: it must be there before theirs is taken away.
            self.producer.settle()?;
        }
        for state in gone {
            self.producer.send(Letter::state(state, self.machine.wall_clock()).to(&self.state))?;
        }
        Ok(())
    }

    /// Sends a sign of life; nothing waits for its acknowledgement.
    pub fn alive(&self, liveness: &Liveness) -> Result<()> {
        self.producer.send(Letter::liveness(liveness).to(&self.state))
    }

    /// Waits for everything that is on its way, dead letters too; only then may an offset be committed.
    pub fn settle(&self) -> Result<()> {
        self.producer.settle()
    }
}
