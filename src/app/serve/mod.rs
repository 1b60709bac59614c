//! The HTTP side: health for orchestrators, metrics for Prometheus, windows and rollouts as JSON, a dashboard for
//! people, and a way for those who may to steer rollouts.
//!
//! The engine's thread writes into [`Shared`] and never waits for a reader; the server runs on a thread of its own with
//! a small runtime, so a slow client cannot hold up a window.

mod access;
mod acting;
mod commands;
mod connections;
mod entrance;
mod events;
mod files;
mod flagd;
mod flagger;
pub mod health;
pub mod history;
mod http;
mod kayenta;
mod news;
mod patient;
#[cfg(feature = "pg")]
pub mod postgres;
mod problem;
mod roles;
mod runbooks;
mod server;
#[cfg(feature = "query")]
mod sql;
mod throttle;
mod tls;
mod ui;
mod verdict;
pub mod view;
pub mod watch;

use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use access::Access;
pub use acting::Board;
pub use commands::{CommandSender, new_id};
pub use files::is_readable_by_others;
pub use health::{Health, Phase};
use news::BeatChannel;
pub use server::Server;
use throttle::Throttle;
pub use tls::Tls;
use verdict::{AnswerTerms, VerdictQuery};
pub use view::{JudgedUpto, View};
pub use watch::Listener;

use crate::config::ClientLimits;
use crate::engine::Effects;
use crate::judge::WindowRow;
use crate::kafka::clock::wall_clock;
use crate::plan::Plan;
use crate::telemetry::Telemetry;
use crate::verdict::{CommandResult, Liveness, RolloutState};

/// What the engine's threads tell and the server shows.
#[derive(Debug, Default)]
pub struct Shared {
    telemetry: Arc<Telemetry>,
    health: Health,
    view: RwLock<View>,
    /// What is judged here; unknown before a pipeline is run.
    plan: OnceLock<Arc<Plan>>,
    /// The last sign of life of the judge of this process.
    liveness: RwLock<Option<Liveness>>,
    /// Who may read and act over HTTP.
    access: RwLock<Arc<Access>>,
    protection: OnceLock<Protection>,
    /// The way to the judge.
    desk: OnceLock<Box<dyn CommandSender>>,
    /// Where queries over the store are answered.
    #[cfg(feature = "query")]
    queries: OnceLock<crate::query::Desk>,
    news: BeatChannel,
}

/// What stands between clients and the service.
#[derive(Debug)]
struct Protection {
    tls: Option<Tls>,
    limits: ClientLimits,
    throttle: Throttle,
}

impl Protection {
    fn new(tls: Option<Tls>, limits: ClientLimits) -> Self {
        Self { tls, throttle: Throttle::new(&limits), limits }
    }
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
        self.write().publish(effects);
        self.news.changed();
    }

    /// Shows rollouts read back at a start.
    pub fn restore(&self, states: &[RolloutState]) {
        self.telemetry.restored(states);
        self.write().rollouts(states);
        self.news.changed();
    }

    /// Lets people read and act.
    pub fn admit(&self, access: Access) {
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(access);
    }

    /// Encrypts connections, and bounds what a client may take; before a server starts.
    pub fn protect(&self, tls: Option<Tls>, limits: ClientLimits) {
        // Later calls come too late: servers have begun.
        let _ = self.protection.set(Protection::new(tls, limits));
    }

    fn protection(&self) -> &Protection {
        self.protection.get_or_init(|| Protection::new(None, ClientLimits::default()))
    }

    fn tls(&self) -> Option<&Tls> {
        self.protection().tls.as_ref()
    }

    fn limits(&self) -> &ClientLimits {
        &self.protection().limits
    }

    fn throttle(&self) -> &Throttle {
        &self.protection().throttle
    }

    /// Reads certificates and tokens again where their files have changed. Connections that stay open end then, as the
    /// token that they were opened with may count no more.
    fn renew(&self) {
        if let Some(tls) = self.tls() {
            tls.renew();
            self.telemetry.expires(tls.expires_at());
        }
        if let Some(access) = self.access_now().renewed() {
            self.admit(access);
            self.news.renewed();
        }
    }

    /// Commands go this way from now on.
    pub fn steer(&self, desk: Box<dyn CommandSender>) {
        // The way is chosen once, at the start of a process.
        let _ = self.desk.set(desk);
    }

    /// Queries are answered there from now on.
    #[cfg(feature = "query")]
    pub fn answer_queries(&self, desk: crate::query::Desk) {
        // The store of a process is chosen once, at its start.
        let _ = self.queries.set(desk);
    }

    #[cfg(feature = "query")]
    fn queries(&self) -> Option<&crate::query::Desk> {
        self.queries.get()
    }

    /// Something outside answers, or does not.
    pub fn reached(&self, what: &'static str, answers: bool) {
        self.telemetry.outage(what, self.health.reached(what, answers));
    }

    /// The streams' standing was told anew.
    fn stood(&self) {
        self.news.stood();
    }

    /// Tells readers that the process ends.
    fn stop(&self) {
        self.health.enter(Phase::Stopping);
        self.news.stopped();
    }

    /// The judge of this process is at work, and so far behind.
    pub fn judging(&self, liveness: &Liveness) {
        *self.liveness.write().unwrap_or_else(PoisonError::into_inner) = Some(liveness.clone());
        self.news.stood();
    }

    /// What answers rest on now; `None` before a pipeline is run.
    fn terms(&self) -> Option<AnswerTerms> {
        let plan = Arc::clone(self.plan.get()?);
        let liveness = self.liveness.read().unwrap_or_else(PoisonError::into_inner).clone();
        Some(AnswerTerms { plan, liveness: liveness.filter(|_| self.health.all_alive()), at: wall_clock() })
    }

    fn access_now(&self) -> Arc<Access> {
        Arc::clone(&self.access.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who may act; `None` when nobody may.
    fn access(&self) -> Option<Arc<Access>> {
        Some(self.access_now()).filter(|access| !access.is_empty())
    }

    /// Shows what became of a command, where the engine's thread has not done so yet.
    fn answered(&self, result: &CommandResult) {
        self.write().answered(std::slice::from_ref(result));
        self.news.changed();
    }

    /// Replaces the open windows shown.
    pub fn provisional(&self, rows: Vec<WindowRow>) {
        self.write().provisional(rows);
    }

    /// Every rollout as it stands.
    #[must_use]
    pub fn rollouts(&self) -> Vec<RolloutState> {
        self.read().states().cloned().collect()
    }

    /// How far windows have been judged.
    #[must_use]
    pub fn judged(&self) -> JudgedUpto {
        self.read().progress()
    }

    /// Tells whose rollouts these are.
    pub fn follow(&self, plan: &Plan) {
        self.telemetry.belongs_to(&plan.name);
        // The pipeline of a process is chosen once, at its start.
        let _ = self.plan.set(Arc::new(plan.clone()));
    }

    /// Whether a candidate may get more traffic, must lose what it has, or neither.
    fn verdict(&self, question: &VerdictQuery) -> verdict::VerdictResponse {
        verdict::answer(&self.read(), self.terms().as_ref(), question)
    }

    fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}
