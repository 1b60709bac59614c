//! The instances of one pipeline: processes that are killed, frozen, ended and started again, as a supervisor does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use haldane::config::{KafkaConfig, Topics};
use haldane::event::{Micros, SECOND};
use haldane::kafka::clock::now;

use crate::load::INPUTS;
use crate::service::Service;

/// A window's length, and how long it waits for late events; as the pipeline file says.
pub(crate) const SIZE: Micros = 2 * SECOND;
pub(crate) const LATENESS: Micros = 2 * SECOND;
/// How long labels are waited for.
pub(crate) const WAIT: Micros = 3 * SECOND;
/// Windows that a permission lasts.
pub(crate) const PERMIT: Micros = 5;
/// A sign of life that is older counts for nothing.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// How long an instance may take to end in good order.
const END: Duration = Duration::from_secs(30);

/// A pipeline file over the input topics, and its instances.
pub(crate) struct Crew {
    pub(crate) kafka: KafkaConfig,
    pub(crate) path: PathBuf,
    pub(crate) slots: Vec<Slot>,
    /// Where the instances' logs are kept.
    logs: Option<PathBuf>,
    /// How often instances ended without being told, each with its last words.
    pub(crate) ended: Vec<String>,
    pub(crate) flaws: Vec<String>,
    started: usize,
}

/// A place for one instance.
pub(crate) struct Slot {
    pub(crate) role: &'static str,
    service: Option<Service>,
    doing: Doing,
}

/// What an instance is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Working,
    /// Stopped until then.
    Frozen(Instant),
    /// Told to end, at that time; to be started again so long after.
    Ending(Instant, Option<Duration>),
    /// Not there, until then if ever.
    Away(Option<Instant>),
}

impl Crew {
    /// A pipeline of that name, with instances of those roles; none runs yet.
    pub(crate) fn of(
        name: &str,
        roles: &[&'static str],
        bootstrap: &str,
        folder: &Path,
        logs: Option<PathBuf>,
    ) -> Result<Self, String> {
        let of = |what: &str| format!("{name}.{what}");
        let topics = Topics {
            control: of("control"),
            commands: of("commands"),
            state: of("state"),
            partials: of("partials"),
            dead_letter: of("deadletter"),
            exposures: of("exposures"),
            windows: Some(of("windows")),
        };
        let kafka = KafkaConfig { topics, ..KafkaConfig::plain(bootstrap, name) };
        let path = folder.join(format!("{name}.yaml"));
        fs::write(&path, pipeline(name, &kafka)).map_err(|error| error.to_string())?;
        let slot = |&role: &&'static str| Slot { role, service: None, doing: Doing::Away(None) };
        let slots = roles.iter().map(slot).collect();
        Ok(Self { kafka, path, slots, logs, ended: Vec::new(), flaws: Vec::new(), started: 0 })
    }

    pub(crate) fn start(&mut self, slot: usize) {
        let role = self.slots[slot].role;
        let service = Service::start(&self.path, &["--role", role, "--shards", "1"]);
        self.slots[slot].service = Some(service);
        self.slots[slot].doing = Doing::Working;
        self.started += 1;
    }

    /// Slots with an instance that works.
    pub(crate) fn working(&self) -> Vec<usize> {
        (0..self.slots.len()).filter(|&slot| self.slots[slot].doing == Doing::Working).collect()
    }

    /// Whether a slot is to have no instance.
    pub(crate) fn is_idle(&self, slot: usize) -> bool {
        self.slots[slot].doing == Doing::Away(None)
    }

    /// Whether every slot has what it should have.
    pub(crate) fn is_settled(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot.doing, Doing::Working | Doing::Away(None)))
    }

    /// Kills an instance; another one comes after a while, if ever.
    pub(crate) fn kill(&mut self, slot: usize, again: Option<Duration>) {
        if let Some(service) = &mut self.slots[slot].service {
            service.kill();
        }
        self.bury(slot, again);
    }

    /// Stops an instance in the middle of whatever it does.
    pub(crate) fn freeze(&mut self, slot: usize, span: Duration) {
        if let Some(service) = &self.slots[slot].service {
            service.signal("-STOP");
            self.slots[slot].doing = Doing::Frozen(now() + span);
        }
    }

    /// Tells an instance to end; another one comes after a while, if ever.
    pub(crate) fn end(&mut self, slot: usize, again: Option<Duration>) {
        if let Some(service) = &self.slots[slot].service {
            service.signal("-TERM");
            self.slots[slot].doing = Doing::Ending(now(), again);
        }
    }

    /// Lets frozen ones go on, starts those that are due, and looks after those that have ended.
    pub(crate) fn supervise(&mut self) {
        for slot in 0..self.slots.len() {
            let over = if let Some(service) = &mut self.slots[slot].service {
                service.child.try_wait().ok().flatten()
            } else {
                if matches!(self.slots[slot].doing, Doing::Away(Some(at)) if at <= now()) {
                    self.start(slot);
                }
                continue;
            };
            match (self.slots[slot].doing, over) {
                (Doing::Frozen(until), None) if until <= now() => self.thaw(slot),
                (Doing::Ending(told, again), None) if told.elapsed() > END => {
                    self.flaws.push(format!("{} does not end when it is told", self.name(slot)));
                    self.kill(slot, again);
                }
                (_, None) => {}
                (Doing::Ending(_, again), Some(status)) => {
                    if !status.success() {
                        self.ended.push(format!(
                            "{} when told to: {status}: {}",
                            self.name(slot),
                            self.last_words(slot)
                        ));
                    }
                    self.bury(slot, again);
                }
                (_, Some(status)) => {
                    let told = format!("{}: {status}: {}", self.name(slot), self.last_words(slot));
                    // Whatever is wrong outside is told by this code, and lets a supervisor start it again.
                    let heap = if status.code() == Some(3) { &mut self.ended } else { &mut self.flaws };
                    heap.push(told);
                    self.bury(slot, Some(Duration::from_secs(1)));
                }
            }
        }
    }

    fn thaw(&mut self, slot: usize) {
        if let Some(service) = &self.slots[slot].service {
            service.signal("-CONT");
            self.slots[slot].doing = Doing::Working;
        }
    }

    fn last_words(&self, slot: usize) -> String {
        let lines = self.slots[slot].service.as_ref().map(Service::lines).unwrap_or_default();
        lines.iter().rev().take(3).rev().cloned().collect::<Vec<_>>().join(" / ")
    }

    /// Those that work.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Service> {
        let working = self.slots.iter().filter(|slot| slot.doing == Doing::Working);
        working.filter_map(|slot| slot.service.as_ref())
    }

    /// The process id of an instance.
    pub(crate) fn process(&self, slot: usize) -> Option<u32> {
        self.slots[slot].service.as_ref().map(|service| service.child.id())
    }

    pub(crate) fn name(&self, slot: usize) -> String {
        format!("{} {slot} of {}", self.slots[slot].role, self.kafka.group)
    }

    /// Puts the log of an instance that has ended by; another one comes after a while, if ever.
    fn bury(&mut self, slot: usize, again: Option<Duration>) {
        self.slots[slot].doing = Doing::Away(again.map(|after| now() + after));
        let Some(service) = self.slots[slot].service.take() else { return };
        let lines = service.lines();
        if let Some(line) = lines.iter().find(|line| line.contains("panicked")) {
            self.flaws.push(format!("{} has panicked: {line}", self.name(slot)));
        }
        if let Some(logs) = &self.logs {
            let file = logs.join(format!("{}-{}-{slot}-{}.log", self.kafka.group, self.slots[slot].role, self.started));
            // Only whoever looks for a flaw needs it.
            let _ = fs::write(file, lines.join("\n"));
        }
    }

    /// Asks `haldane gate` about a candidate: the exit code, and what it says.
    pub(crate) fn gate(&self, candidate: &str) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
        command.arg("gate").arg("-c").arg(&self.path).args(["--candidate", candidate]).env("HALDANE_LOG", "off");
        match command.output() {
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                (output.status.code(), String::from_utf8_lossy(&said).trim().to_owned())
            }
            Err(error) => (None, error.to_string()),
        }
    }
}

/// Short windows, and guards that small numbers can pass.
fn pipeline(name: &str, kafka: &KafkaConfig) -> String {
    let topics = &kafka.topics;
    format!(
        "pipeline: {name}
task: binary
sources:
  predictions:
    topic: {}
    event_time: {{ path: at, unit: us }}
    id: id
    model: {{ constant: m }}
    version: version
    score: {{ path: score, range: [0, 1] }}
    status: status
  outcomes:
    topic: {}
    event_time: {{ path: at, unit: us }}
    id: id
    model: {{ constant: m }}
    label: label
rollout:
  baseline: v1
  authority: auto
  ladder: [60%, 100%]
  warmup_windows: 1
  dwell_windows: 2
  permit_windows: {PERMIT}
  lease: {}s
windows: {{ size: {}s, lateness: {}s, idle_after: 90s, revise_for: 60s, early_every: 30s }}
metrics: {{ names: [error_rate, accuracy, brier] }}
labels: {{ wait: {}s, horizon: 8s }}
baselines: [concurrent]
guards: {{ errors: 5x, answers: 1.0, loss: 3x, min_windows: 2, min_n: 10, planned_windows: 40, design_effect: 1 }}
policy:
  - {{ name: errors, metric: error_rate, against: difference, above: 0.2, min_n: 10, breaches: 2, of: 3, action: contain, cap: 5% }}
  - {{ name: ruin, metric: error_rate, against: difference, above: 0.7, min_n: 10, breaches: 2, of: 3, action: rollback }}
kafka:
  brokers: '{}'
  group: {}
  control_topic: {}
  commands_topic: {}
  state_topic: {}
  partials_topic: {}
  dead_letter_topic: {}
  windows_topic: {}
",
        INPUTS[0],
        INPUTS[1],
        LEASE.as_secs(),
        SIZE / SECOND,
        LATENESS / SECOND,
        WAIT / SECOND,
        kafka.brokers,
        kafka.group,
        topics.control,
        topics.commands,
        topics.state,
        topics.partials,
        topics.dead_letter,
        topics.windows.as_deref().unwrap_or_default(),
    )
}
