//! Is it alive, and may it get traffic: heartbeats of the workers and the phase of the process.
//!
//! A worker that hangs or died stops ticking; an orchestrator then restarts the process, which is always safe.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// A worker that has not ticked for so long is taken for dead. Loops tick at least every second.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Where the process stands between its start and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Joining, restoring, catching up.
    Starting,
    /// Working on fresh events.
    Ready,
    /// Handing over and ending.
    Stopping,
}

/// How long one worker has been silent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pulse {
    /// Name of the worker.
    pub worker: String,
    /// Milliseconds since its last tick.
    pub silent_ms: u64,
}

/// The heartbeats of all workers and the phase of the process.
#[derive(Debug)]
pub struct Health {
    born: Instant,
    phase: Mutex<Phase>,
    workers: Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>,
}

impl Default for Health {
    fn default() -> Self {
        #[expect(clippy::disallowed_methods, reason = "silence is measured in wall time; no result depends on it")]
        let born = Instant::now();
        Self { born, phase: Mutex::new(Phase::Starting), workers: Arc::default() }
    }
}

impl Health {
    /// Registers a worker that just ticked. A worker of the same name takes over from the one before.
    #[must_use]
    pub fn worker(&self, name: impl Into<String>) -> Heartbeat {
        let name = name.into();
        let last_ms = Arc::new(AtomicU64::new(millis(self.born.elapsed())));
        lock(&self.workers).insert(name.clone(), Arc::clone(&last_ms));
        Heartbeat { name, born: self.born, last_ms, workers: Arc::clone(&self.workers) }
    }

    /// The phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *lock(&self.phase)
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        *lock(&self.phase) = phase;
    }

    /// How long each worker has been silent, by name.
    #[must_use]
    pub fn pulses(&self) -> Vec<Pulse> {
        self.pulses_at(self.born.elapsed())
    }

    fn pulses_at(&self, age: Duration) -> Vec<Pulse> {
        let silent_ms = |last: &AtomicU64| millis(age).saturating_sub(last.load(Ordering::Relaxed));
        lock(&self.workers)
            .iter()
            .map(|(worker, last)| Pulse { worker: worker.clone(), silent_ms: silent_ms(last) })
            .collect()
    }
}

impl Pulse {
    /// Whether the worker was heard of lately.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.silent_ms <= millis(SILENCE_MAX)
    }
}

/// One worker's side of its registration. Dropping it without [`Heartbeat::retire`] leaves the worker registered, so that one
/// that panicked is found out.
#[derive(Debug)]
pub struct Heartbeat {
    name: String,
    born: Instant,
    last_ms: Arc<AtomicU64>,
    workers: Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>,
}

impl Heartbeat {
    /// The worker is still at it.
    pub fn tick(&self) {
        self.last_ms.store(millis(self.born.elapsed()), Ordering::Relaxed);
    }

    /// The worker has ended as it should.
    pub fn retire(self) {
        let mut workers = lock(&self.workers);
        if workers.get(&self.name).is_some_and(|last_ms| Arc::ptr_eq(last_ms, &self.last_ms)) {
            workers.remove(&self.name);
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A panic elsewhere leaves the map whole: it is changed by single calls only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(health: &Health, age: Duration) -> Vec<String> {
        health.pulses_at(age).into_iter().filter(|pulse| !pulse.alive()).map(|pulse| pulse.worker).collect()
    }

    #[test]
    fn a_silent_worker_is_dead_after_thirty_seconds_and_not_before() {
        let health = Health::default();
        let judge = health.worker("judge");
        let shard = health.worker("shard-0");
        judge.last_ms.store(10_000, Ordering::Relaxed);
        shard.last_ms.store(10_001, Ordering::Relaxed);
        assert!(dead(&health, Duration::from_millis(40_000)).is_empty());
        assert_eq!(dead(&health, Duration::from_millis(40_001)), ["judge"]);
        assert_eq!(dead(&health, Duration::from_millis(50_000)), ["judge", "shard-0"]);
    }

    #[test]
    fn a_worker_that_panicked_stays_registered_and_one_that_retired_does_not() {
        let health = Health::default();
        drop(health.worker("panicked"));
        health.worker("retired").retire();
        assert_eq!(dead(&health, Duration::from_secs(99)), ["panicked"]);
    }

    #[test]
    fn an_old_heartbeat_does_not_retire_its_successor() {
        let health = Health::default();
        let old = health.worker("shard-0");
        let _new = health.worker("shard-0");
        old.retire();
        assert_eq!(health.pulses().len(), 1);
    }
}
