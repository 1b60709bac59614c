//! The HTTP side: health for orchestrators, metrics for Prometheus, windows and rollouts as JSON.
//!
//! The engine's thread writes into [`Shared`] and never waits for a reader; the server runs on a thread of its own with a
//! small runtime, so a slow client cannot hold up a window.

pub mod health;
mod http;
mod server;
mod verdict;
pub mod view;
#[cfg(feature = "kafka")]
pub mod watch;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use health::{Health, Phase};
pub use server::Server;
use verdict::{Question, Terms};
pub use view::{Judged, View};
#[cfg(feature = "kafka")]
pub use watch::Listener;

use crate::engine::Effects;
use crate::judge::WindowRow;
use crate::plan::Plan;
use crate::telemetry::Telemetry;
use crate::verdict::RolloutState;

/// What the engine's threads tell and the server shows.
#[derive(Debug, Default)]
pub struct Shared {
    telemetry: Arc<Telemetry>,
    health: Health,
    view: RwLock<View>,
    /// Who may act, and how far exposure may rise at a time; unknown before a pipeline is run.
    terms: RwLock<Option<Terms>>,
}

impl Shared {
    /// Nothing seen yet, starting up.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The metrics that `/metrics` shows.
    #[must_use]
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// Heartbeats and readiness.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Shows what a step of the engine gave rise to.
    pub fn publish(&self, effects: &Effects) {
        self.telemetry.judged(&effects.windows);
        self.telemetry.rollouts(&effects.states);
        for decision in &effects.decisions {
            self.telemetry.decided(decision);
        }
        for result in &effects.results {
            self.telemetry.answered(result);
        }
        let mut view = self.write();
        view.judged(&effects.windows);
        view.decided(&effects.decisions);
        view.rollouts(&effects.states, Some(self.health.age()).filter(|_| !effects.windows.is_empty()));
    }

    /// Shows rollouts read back at a start.
    pub fn restore(&self, states: &[RolloutState]) {
        self.telemetry.restored(states);
        self.write().rollouts(states, None);
    }

    /// Replaces the open windows shown.
    pub fn provisional(&self, rows: Vec<WindowRow>) {
        self.write().provisional(rows);
    }

    /// How far windows have been judged.
    #[must_use]
    pub fn judged(&self) -> Judged {
        self.read().progress()
    }

    /// Tells whose rollouts these are.
    pub fn follow(&self, plan: &Plan) {
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = Some(Terms::of(plan));
    }

    /// Whether a candidate may get more traffic, must lose what it has, or neither.
    fn verdict(&self, question: &Question) -> verdict::Answer {
        let alive = self.health.pulses().iter().all(health::Pulse::alive);
        let terms = self.terms.read().unwrap_or_else(PoisonError::into_inner);
        verdict::answer(&self.read(), terms.as_ref(), question, self.health.age(), alive)
    }

    fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}
