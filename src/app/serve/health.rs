//! Is it alive, and may it get traffic: heartbeats of the workers and the phase of the process.
//!
//! A worker that hangs or died stops ticking; an orchestrator then restarts the process, which is always safe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// A worker that has not ticked for so long is taken for dead. Loops tick at least every second.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The name of Kafka among what may be away.
pub const KAFKA: &str = "kafka";
/// The name of the schema registry there.
pub const REGISTRY: &str = "registry";

/// Where the process stands between its start and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Joining, restoring, catching up: some log was not read near to its end yet, or not by all who read it.
    Starting,
    /// Another process does the work, and this one waits to take over.
    Standby,
    /// Every log was read near to its end once since the start.
    Ready,
    /// Handing over and ending.
    Stopping,
}

/// How long one worker has been silent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerSilence {
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
    /// When each worker ticked last, counted from `born`.
    workers: Mutex<BTreeMap<String, Duration>>,
    /// Who has yet to read what was there at the start.
    behind: Mutex<BTreeSet<String>>,
    outages: Mutex<Outages>,
}

/// What does not answer outside.
#[derive(Debug, Default)]
struct Outages {
    /// By what it is: since when.
    since: BTreeMap<&'static str, Duration>,
    /// When Kafka last was away. Until then workers were right to wait.
    away_at: Duration,
}

impl Default for Health {
    fn default() -> Self {
        #[expect(clippy::disallowed_methods, reason = "silence is measured in wall time; no result depends on it")]
        let born = Instant::now();
        Self {
            born,
            phase: Mutex::new(Phase::Starting),
            workers: Mutex::default(),
            behind: Mutex::default(),
            outages: Mutex::default(),
        }
    }
}

impl Health {
    /// How long ago the process was started.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// A worker is at it. Its first tick registers it, and from then on its silence is noticed.
    pub fn tick(&self, worker: &str) {
        self.tick_at(worker, self.born.elapsed());
    }

    fn tick_at(&self, worker: &str, age: Duration) {
        let mut workers = lock(&self.workers);
        match workers.get_mut(worker) {
            Some(last) => *last = age,
            None => drop(workers.insert(worker.to_owned(), age)),
        }
    }

    /// A worker has ended as it should.
    pub fn retire(&self, worker: &str) {
        lock(&self.workers).remove(worker);
    }

    /// The process is not ready before this part of it has caught up.
    pub fn expect(&self, part: &str) {
        lock(&self.behind).insert(part.to_owned());
    }

    /// A part has caught up; with the last of them a process that starts is ready.
    pub fn caught_up(&self, part: &str) {
        let mut behind = lock(&self.behind);
        behind.remove(part);
        if behind.is_empty() {
            self.turn(Phase::Starting, Phase::Ready);
        }
    }

    /// Something outside answers, or does not: for how long it has not.
    pub fn reached(&self, what: &'static str, answers: bool) -> Duration {
        self.reached_at(what, answers, self.born.elapsed())
    }

    fn reached_at(&self, what: &'static str, answers: bool, age: Duration) -> Duration {
        let mut outages = lock(&self.outages);
        let was_away = outages.since.contains_key(KAFKA);
        if what == KAFKA && (!answers || was_away) {
            outages.away_at = age;
        }
        if answers {
            outages.since.remove(what);
            return Duration::ZERO;
        }
        age.saturating_sub(*outages.since.entry(what).or_insert(age))
    }

    /// What does not answer outside, and for how long.
    #[must_use]
    pub fn outages(&self) -> BTreeMap<&'static str, Duration> {
        let age = self.age();
        lock(&self.outages).since.iter().map(|(what, since)| (*what, age.saturating_sub(*since))).collect()
    }

    /// The phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *lock(&self.phase)
    }

    /// Goes from one phase to another; from any other phase it goes nowhere.
    pub fn turn(&self, from: Phase, to: Phase) {
        let mut phase = lock(&self.phase);
        if *phase == from {
            *phase = to;
        }
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        *lock(&self.phase) = phase;
    }

    /// How long each worker has been silent, by name.
    #[must_use]
    pub fn pulses(&self) -> Vec<WorkerSilence> {
        self.pulses_at(self.born.elapsed())
    }

    /// Whether every worker was heard of lately.
    #[must_use]
    pub fn all_alive(&self) -> bool {
        self.pulses().iter().all(WorkerSilence::alive)
    }

    /// A worker that waits for Kafka is not dead: its silence counts from when Kafka was back.
    fn pulses_at(&self, age: Duration) -> Vec<WorkerSilence> {
        let away_at = lock(&self.outages).away_at;
        let pulse = |(worker, last): (&String, &Duration)| WorkerSilence {
            worker: worker.clone(),
            silent_ms: u64::try_from(age.saturating_sub(away_at.max(*last)).as_millis()).unwrap_or(u64::MAX),
        };
        lock(&self.workers).iter().map(pulse).collect()
    }
}

impl WorkerSilence {
    /// Whether the worker was heard of lately.
    #[must_use]
    pub fn alive(&self) -> bool {
        Duration::from_millis(self.silent_ms) <= SILENCE_MAX
    }
}

/// A panic elsewhere leaves the value whole: it is changed by single calls only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(health: &Health, age_ms: u64) -> Vec<String> {
        let pulses = health.pulses_at(Duration::from_millis(age_ms));
        pulses.into_iter().filter(|pulse| !pulse.alive()).map(|pulse| pulse.worker).collect()
    }

    #[test]
    fn a_silent_worker_is_dead_after_thirty_seconds_and_not_before() {
        let health = Health::default();
        health.tick_at("judge", Duration::from_millis(1));
        health.tick_at("judge", Duration::from_secs(10));
        health.tick_at("shard-0", Duration::from_millis(10_001));
        assert!(dead(&health, 40_000).is_empty());
        assert_eq!(dead(&health, 40_001), ["judge"]);
        assert_eq!(dead(&health, 50_000), ["judge", "shard-0"]);
        health.tick_at("judge", Duration::from_secs(45));
        assert_eq!(dead(&health, 50_000), ["shard-0"]);
    }

    #[test]
    fn a_worker_that_waits_for_kafka_is_not_dead() {
        let (health, second) = (Health::default(), Duration::from_secs);
        health.tick_at("engine", second(10));
        assert_eq!(health.reached_at(KAFKA, false, second(20)), Duration::ZERO);
        assert_eq!(health.reached_at(KAFKA, false, second(80)), second(60));
        assert!(dead(&health, 82_000).is_empty());
        assert_eq!(health.reached_at(KAFKA, true, second(90)), Duration::ZERO);
        assert!(dead(&health, 119_000).is_empty() && health.outages().is_empty());
        assert_eq!(dead(&health, 121_000), ["engine"], "it has been back for long");
        health.reached_at("store", false, second(130));
        assert_eq!(dead(&health, 131_000), ["engine"], "nobody waits for the store");
    }

    #[test]
    fn a_process_is_ready_once_every_part_has_caught_up_and_again_after_it_stood_by() {
        let health = Health::default();
        health.expect("logs");
        health.expect("target flags");
        health.caught_up("target flags");
        assert_eq!(health.phase(), Phase::Starting);
        health.turn(Phase::Starting, Phase::Standby);
        health.caught_up("logs");
        assert_eq!(health.phase(), Phase::Standby, "another process does the work");
        health.expect("logs");
        health.turn(Phase::Standby, Phase::Starting);
        health.caught_up("target flags");
        assert_eq!(health.phase(), Phase::Starting);
        health.caught_up("logs");
        assert_eq!(health.phase(), Phase::Ready);
    }

    #[test]
    fn a_worker_that_retired_is_not_missed() {
        let health = Health::default();
        health.tick("shard-0");
        health.retire("shard-0");
        assert!(dead(&health, 99_000).is_empty());
    }
}
