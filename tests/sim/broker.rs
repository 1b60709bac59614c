//! The model of brokers: logs, groups and committed offsets, and the time that passes.
//!
//! One simulation runs on one thread, and so its world is the thread's: the ports of every process find it there. No
//! borrow of it outlives a call, so that a process that is frozen in the middle of an effect lets the others run.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use haldane::error::Error;
use haldane::event::{Micros, SECOND};

use crate::groups::{Client, Group};
use crate::once::Once;
use crate::ports::SETTINGS;
use crate::rng::Rng;
use crate::scenario::{COMMANDS, EPOCH, HEALED, Produced, Scenario};

/// A record in a log.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) offset: i64,
    pub(crate) millis: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// One partition's log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) records: VecDeque<Kept>,
    /// What retention has eaten, for the checker alone.
    pub(crate) eaten: Vec<Kept>,
    /// What brokers have lost, for the checker alone.
    pub(crate) torn: Vec<Kept>,
    pub(crate) next: i64,
    /// Whether records have the brokers' time, and not their producers'.
    pub(crate) timed_by_brokers: bool,
    /// Without a leader until then.
    pub(crate) away_until: Micros,
}

impl Log {
    pub(crate) fn first(&self) -> i64 {
        self.records.front().map_or(self.next, |record| record.offset)
    }

    /// Everything that ever was in it.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Kept> {
        self.eaten.iter().chain(&self.records)
    }

    pub(crate) fn from(&self, offset: i64) -> impl Iterator<Item = &Kept> {
        let start = self.records.partition_point(|record| record.offset < offset);
        self.records.range(start..)
    }
}

/// A record that a process has handed to its producer.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) process: usize,
    pub(crate) topic: String,
    pub(crate) partition: u32,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) millis: i64,
}

/// One process's standing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standing {
    /// Counts its starts; ports of an earlier life are dead.
    pub(crate) life: u64,
    pub(crate) alive: bool,
    pub(crate) frozen: bool,
    /// Inside an operation of the store, where others cannot run: it is frozen after it, for so long.
    pub(crate) storing: bool,
    pub(crate) owes: Micros,
    /// When it is started again.
    pub(crate) starts_at: Micros,
    /// How far its calendar is off.
    pub(crate) skew: Micros,
}

/// The whole world of one simulation.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) rng: Rng,
    /// Since the beginning.
    pub(crate) now: Micros,
    pub(crate) topics: BTreeMap<String, Vec<Log>>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) committed: BTreeMap<(String, String, u32), (i64, String)>,
    pub(crate) clients: BTreeMap<u64, Client>,
    pub(crate) processes: Vec<Standing>,
    traffic: VecDeque<Produced>,
    pub(crate) outgoing: Vec<Outgoing>,
    pub(crate) store_away_until: Micros,
    /// What has not happened yet.
    pub(crate) to_come: Once,
    /// When some process has taken the judging over.
    pub(crate) takeovers: Vec<Micros>,
    /// Whether some process has ended because records were gone.
    pub(crate) halted: bool,
    /// By the end of their window: records that may have been deleted before they were read.
    pub(crate) unread: BTreeMap<Micros, u64>,
    /// Effects so far, which crash points count.
    pub(crate) effects: u64,
    pub(crate) next_client: u64,
    /// How often each fault was injected.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) trace: Option<Vec<String>>,
    /// What the brokers saw that must never be.
    pub(crate) flaws: Vec<String>,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Looks at the world, or changes it.
pub(crate) fn with<T>(change: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(|world| change(world.as_mut().expect("a simulation runs")))
}

/// Begins a world.
pub(crate) fn begin(scenario: Scenario, traffic: Vec<Produced>, traced: bool) {
    let world = World {
        rng: Rng::new(scenario.seed),
        now: 0,
        topics: (scenario.inputs().iter().map(|&topic| (topic, scenario.partitions)))
            .chain([(COMMANDS, 1)])
            .map(|(name, n)| (name.to_owned(), (0..n).map(|_| Log::default()).collect()))
            .collect(),
        groups: BTreeMap::new(),
        committed: BTreeMap::new(),
        clients: BTreeMap::new(),
        processes: vec![Standing::default(); scenario.processes()],
        traffic: traffic.into(),
        outgoing: Vec::new(),
        store_away_until: 0,
        to_come: scenario.once.clone(),
        takeovers: Vec::new(),
        halted: false,
        unread: BTreeMap::new(),
        effects: 0,
        next_client: 0,
        faults: BTreeMap::new(),
        trace: traced.then(Vec::new),
        flaws: Vec::new(),
        scenario,
    };
    WORLD.set(Some(world));
}

/// Ends it.
pub(crate) fn end() -> World {
    WORLD.take().expect("a simulation has run")
}

/// The moment that every simulation begins at, by the clock that measures spans.
pub(crate) fn base() -> Instant {
    static BASE: OnceLock<Instant> = OnceLock::new();
    *BASE.get_or_init(haldane::kafka::clock::now)
}

/// What a request that the brokers do not answer becomes.
pub(crate) fn unanswered(what: &str) -> Error {
    Error::external(format!("{what}: the brokers do not answer"))
}

impl World {
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:9.3}  {}", self.now as f64 / 1e6, text()));
        }
    }

    /// A process has ended by itself.
    pub(crate) fn end_of(&mut self, process: usize, error: &Error) {
        self.halted |= error.to_string().contains("deleted before they were read");
        self.note(|| format!("process {process} ends: {error}"));
    }

    pub(crate) fn fault(&mut self, name: &'static str, text: impl FnOnce() -> String) {
        *self.faults.entry(name).or_default() += 1;
        self.note(|| format!("-- {name}: {}", text()));
    }

    /// Whether something goes wrong now.
    pub(crate) fn strikes(&mut self, per_million: u64) -> bool {
        per_million > 0 && self.now < HEALED && self.rng.happens(per_million)
    }

    pub(crate) fn instant(&self) -> Instant {
        base() + Duration::from_micros(self.now.unsigned_abs())
    }

    /// Lets time pass: traffic comes, groups miss members, things go wrong.
    pub(crate) fn pass(&mut self, span: Micros) {
        self.now += span;
        self.strike();
        self.strike_once();
        let mut waiting = VecDeque::new();
        while self.traffic.front().is_some_and(|record| record.at <= self.now) {
            let record = self.traffic.pop_front().expect("it was there");
            let away = |one: &Produced| (one.topic, one.partition) == (record.topic, record.partition);
            let log = &self.topics[record.topic][record.partition as usize];
            if log.away_until > self.now || waiting.iter().any(away) {
                waiting.push_back(record);
            } else {
                let Produced { topic, partition, key, payload, .. } = record;
                let millis = (EPOCH + self.now) / 1_000;
                self.append(topic, partition, (Some(key), Some(payload)), Vec::new(), millis);
            }
        }
        while let Some(record) = waiting.pop_back() {
            self.traffic.push_front(record);
        }
        self.send_some();
        self.tend_groups();
    }

    /// Producers send beside the work of their processes: of each partition's records some, in their order.
    fn send_some(&mut self) {
        let mut kept: Vec<Outgoing> = Vec::new();
        for record in std::mem::take(&mut self.outgoing) {
            let waits = |one: &Outgoing| {
                (one.process, &one.topic, one.partition) == (record.process, &record.topic, record.partition)
            };
            let held = self.processes[record.process].frozen || !self.has_leader(&record.topic, record.partition);
            if held || kept.iter().any(waits) || self.rng.below(4) == 0 {
                kept.push(record);
            } else {
                self.deliver(record);
            }
        }
        self.outgoing = kept;
    }

    /// A record is written.
    pub(crate) fn deliver(&mut self, record: Outgoing) {
        let Outgoing { topic, partition, key, payload, headers, millis, .. } = record;
        self.append(&topic, partition, (key, payload), headers, millis);
    }

    /// A process is no more: what it had not sent is lost, and its group misses it later.
    pub(crate) fn kill(&mut self, process: usize, within: Micros) {
        let standing = &mut self.processes[process];
        (standing.alive, standing.frozen) = (false, false);
        standing.starts_at = self.now + within;
        self.outgoing.retain(|record| record.process != process);
        self.clients.retain(|_, client| client.process != process);
    }

    fn strike(&mut self) {
        let rates = self.scenario.rates.clone();
        if self.strikes(rates.leader_lost) {
            let names: Vec<String> = self.topics.keys().cloned().collect();
            let topic = self.rng.one(&names).clone();
            let partition = self.rng.below(self.topics[&topic].len() as u64);
            let until = self.now + self.rng.between(200, 6_000) * 1_000;
            self.topics.get_mut(&topic).expect("it is there")[usize::try_from(partition).expect("few")].away_until =
                until;
            self.fault("leader lost", || format!("{topic}/{partition}"));
        }
        if self.strikes(rates.clock_jumps) {
            let process = usize::try_from(self.rng.below(self.processes.len() as u64)).expect("few");
            let skew = self.rng.between(-7_200, 7_200) * SECOND;
            self.processes[process].skew = skew;
            self.fault("clock jumps", || format!("process {process} by {} s", skew / SECOND));
        }
        if self.strikes(rates.retention) {
            self.retain();
        }
        if self.scenario.store && self.strikes(rates.store_away) {
            self.store_away_until = self.now + self.rng.between(1, 15) * SECOND;
            self.fault("store away", String::new);
        }
    }

    /// Retention deletes what no commit holds back any more.
    fn retain(&mut self) {
        let kept: Vec<((String, u32), i64)> = self
            .committed
            .iter()
            .filter(|((_, topic, _), _)| *topic != SETTINGS.topics.control)
            .map(|((_, topic, partition), (offset, _))| ((topic.clone(), *partition), *offset))
            .collect();
        for ((topic, partition), offset) in kept {
            let log = &mut self.topics.get_mut(&topic).expect("it is there")[partition as usize];
            let n = log.records.partition_point(|record| record.offset < offset);
            log.eaten.extend(log.records.drain(..n));
            if n > 0 {
                self.fault("retention", || format!("{topic}/{partition} begins at {offset}"));
            }
        }
    }

    /// Whether a record could be appended now.
    pub(crate) fn has_leader(&self, topic: &str, partition: u32) -> bool {
        self.topics.get(topic).is_some_and(|logs| logs[partition as usize].away_until <= self.now)
    }

    pub(crate) fn append(
        &mut self,
        topic: &str,
        partition: u32,
        (key, payload): (Option<Vec<u8>>, Option<Vec<u8>>),
        headers: Vec<(String, Option<Vec<u8>>)>,
        millis: i64,
    ) {
        let now = (EPOCH + self.now) / 1_000;
        let logs = self.topics.entry(topic.to_owned()).or_insert_with(|| vec![Log::default()]);
        let log = &mut logs[partition as usize];
        let offset = log.next;
        log.next += 1;
        let millis = if log.timed_by_brokers { now } else { millis };
        log.records.push_back(Kept { offset, millis, key, payload, headers });
        self.note(|| format!("{topic}/{partition} takes record {offset}"));
    }

    /// A process stands still; what it had handed over has left it.
    pub(crate) fn freeze(&mut self, process: usize) {
        let (own, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.outgoing).into_iter().partition(|one| one.process == process);
        self.outgoing = others;
        let (gone, stays): (Vec<_>, Vec<_>) =
            own.into_iter().partition(|one: &Outgoing| self.has_leader(&one.topic, one.partition));
        gone.into_iter().for_each(|record| self.deliver(record));
        self.outgoing.extend(stays);
        self.processes[process].frozen = true;
    }

    /// Compaction: of each key only the last record stays.
    pub(crate) fn compact(&mut self, topic: &str) {
        let Some(logs) = self.topics.get_mut(topic) else { return };
        for log in logs {
            let last: BTreeMap<Option<Vec<u8>>, i64> =
                log.records.iter().map(|record| (record.key.clone(), record.offset)).collect();
            log.records.retain(|record| last[&record.key] == record.offset);
        }
    }
}
