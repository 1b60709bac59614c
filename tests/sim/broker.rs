//! The model of brokers: logs, groups and committed offsets, and the time that passes.
//!
//! One simulation runs on one thread, and so its world is the thread's: the ports of every process find it there. No
//! borrow of it outlives a call, so that a process that is frozen in the middle of an effect lets the others run.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use haldane::error::{Error, Result};
use haldane::event::{Micros, SECOND};
use haldane::kafka::ports::Rebalance;

use crate::ports::SETTINGS;
use crate::rng::Rng;
use crate::scenario::{COMMANDS, EPOCH, HEALED, Produced, Scenario};

/// A process that has not been heard of for so long is no member any more.
const SESSION: Micros = 8 * SECOND;
/// How late a member hears of what became of its group at most.
const HEARTBEAT: Micros = 2 * SECOND;

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
    pub(crate) next: i64,
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

/// One client in a group.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) consumer: u64,
    process: usize,
    topics: Vec<String>,
    heard_at: Micros,
    /// Whether it waits for an assignment, and holds nothing.
    ready: bool,
}

/// A group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) generation: u64,
    pub(crate) members: Vec<Membership>,
    rebalancing: bool,
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
    pub(crate) millis: Option<i64>,
}

/// A client of a process, as the brokers know it.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) process: usize,
    pub(crate) group: String,
    pub(crate) subscribed: Vec<String>,
    pub(crate) generation: u64,
    pub(crate) lost: bool,
    /// Changes that it will hear of, and when.
    changes: VecDeque<(Micros, Rebalance)>,
    /// Whether a change was taken and is not answered yet.
    asked: Option<bool>,
    /// By topic and partition: the next offset.
    pub(crate) positions: BTreeMap<(String, u32), i64>,
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
    /// Effects so far, which crash points count.
    pub(crate) effects: u64,
    next_client: u64,
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
        topics: [("predictions", scenario.partitions), ("outcomes", scenario.partitions), (COMMANDS, 1)]
            .map(|(name, n)| (name.to_owned(), (0..n).map(|_| Log::default()).collect()))
            .into(),
        groups: BTreeMap::new(),
        committed: BTreeMap::new(),
        clients: BTreeMap::new(),
        processes: vec![Standing::default(); scenario.processes()],
        traffic: traffic.into(),
        outgoing: Vec::new(),
        store_away_until: 0,
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
        let mut waiting = VecDeque::new();
        while self.traffic.front().is_some_and(|record| record.at <= self.now) {
            let record = self.traffic.pop_front().expect("it was there");
            let away = |one: &Produced| (one.topic, one.partition) == (record.topic, record.partition);
            let log = &self.topics[record.topic][record.partition as usize];
            if log.away_until > self.now || waiting.iter().any(away) {
                waiting.push_back(record);
            } else {
                let Produced { topic, partition, key, payload, .. } = record;
                self.append(topic, partition, (Some(key), Some(payload)), Vec::new(), None);
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
            let most = if self.scenario.far_jumps { 7_200 } else { 5 };
            let skew = self.rng.between(-most, most) * SECOND;
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
        millis: Option<i64>,
    ) {
        let millis = millis.unwrap_or((EPOCH + self.now) / 1_000);
        let logs = self.topics.entry(topic.to_owned()).or_insert_with(|| vec![Log::default()]);
        let log = &mut logs[partition as usize];
        let offset = log.next;
        log.next += 1;
        log.records.push_back(Kept { offset, millis, key, payload, headers });
        self.note(|| format!("{topic}/{partition} takes record {offset}"));
    }

    // -- groups ------------------------------------------------------------------------------------

    pub(crate) fn client(&mut self, process: usize, group: &str) -> u64 {
        self.next_client += 1;
        let client = Client { process, group: group.to_owned(), ..Client::default() };
        self.clients.insert(self.next_client, client);
        self.next_client
    }

    pub(crate) fn subscribe(&mut self, consumer: u64, topics: &[&str]) {
        let topics: Vec<String> = topics.iter().map(|&topic| topic.to_owned()).collect();
        let client = self.clients.get_mut(&consumer).expect("it was made");
        client.subscribed.clone_from(&topics);
        let process = client.process;
        let group = self.groups.entry(client.group.clone()).or_default();
        group.members.push(Membership { consumer, process, topics, heard_at: self.now, ready: true });
        group.members.sort_by_key(|member| member.consumer);
        let name = self.clients[&consumer].group.clone();
        self.begin_rebalance(&name);
    }

    /// A group is shared out anew: members hear of it with their next heartbeat. One that was killed never does, and
    /// the others wait until it is missed.
    fn begin_rebalance(&mut self, name: &str) {
        let group = self.groups.get_mut(name).expect("it is there");
        group.rebalancing = true;
        for member in &mut group.members {
            let Some(client) = self.clients.get_mut(&member.consumer) else { continue };
            let told = client.changes.iter().any(|(_, change)| matches!(change, Rebalance::Revoked));
            if member.ready || told || client.asked == Some(false) {
                continue;
            }
            let at = self.now + self.rng.between(0, HEARTBEAT);
            client.changes.push_back((at, Rebalance::Revoked));
        }
    }

    fn tend_groups(&mut self) {
        let names: Vec<String> = self.groups.keys().cloned().collect();
        for name in names {
            let (now, processes) = (self.now, self.processes.clone());
            let group = self.groups.get_mut(&name).expect("it is there");
            for member in &mut group.members {
                let standing = processes[member.process];
                if standing.alive && !standing.frozen && self.clients.contains_key(&member.consumer) {
                    member.heard_at = now;
                }
            }
            let missed: Vec<u64> = group
                .members
                .iter()
                .filter(|member| now - member.heard_at > SESSION)
                .map(|member| member.consumer)
                .collect();
            for consumer in missed {
                self.remove(&name, consumer);
            }
            self.end_rebalance(&name);
        }
    }

    /// A member is no member any more; it may be there still, and hear of it later.
    pub(crate) fn remove(&mut self, name: &str, consumer: u64) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let before = group.members.len();
        group.members.retain(|member| member.consumer != consumer);
        if group.members.len() == before {
            return;
        }
        group.generation += 1;
        self.note(|| format!("group {name} misses client {consumer}"));
        self.begin_rebalance(name);
    }

    fn end_rebalance(&mut self, name: &str) {
        let group = self.groups.get_mut(name).expect("it is there");
        if !group.rebalancing || group.members.is_empty() || !group.members.iter().all(|member| member.ready) {
            return;
        }
        group.rebalancing = false;
        group.generation += 1;
        let generation = group.generation;
        let members: Vec<(u64, Vec<String>)> = group
            .members
            .iter_mut()
            .map(|member| {
                member.ready = false;
                (member.consumer, member.topics.clone())
            })
            .collect();
        let mut own: BTreeMap<u64, Vec<(String, u32)>> = members.iter().map(|(id, _)| (*id, Vec::new())).collect();
        let topics: std::collections::BTreeSet<String> =
            members.iter().flat_map(|(_, topics)| topics.clone()).collect();
        for topic in topics {
            let count = self.topics.get(&topic).map_or(0, Vec::len);
            let takers: Vec<u64> =
                members.iter().filter(|(_, topics)| topics.contains(&topic)).map(|(id, _)| *id).collect();
            let (each, more) = (count / takers.len(), count % takers.len());
            let mut next = 0;
            for (index, taker) in takers.into_iter().enumerate() {
                let n = each + usize::from(index < more);
                let range = (next..next + n).map(|lane| (topic.clone(), u32::try_from(lane).expect("few")));
                own.get_mut(&taker).expect("a member").extend(range);
                next += n;
            }
        }
        for (consumer, partitions) in own {
            self.note(|| format!("group {name} generation {generation}: client {consumer} has {partitions:?}"));
            let Some(client) = self.clients.get_mut(&consumer) else { continue };
            client.generation = generation;
            client.changes.push_back((self.now, Rebalance::Assigned(partitions)));
        }
    }

    /// Whether a client that joined is a member still.
    fn is_member(&self, consumer: u64) -> bool {
        let client = &self.clients[&consumer];
        self.groups.get(&client.group).is_some_and(|group| group.members.iter().any(|one| one.consumer == consumer))
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

    /// A process wakes up: its clients hear soon that they are members no more.
    pub(crate) fn wake(&mut self, process: usize) {
        self.processes[process].frozen = false;
        let own = self.clients.iter().filter(|(_, client)| client.process == process).map(|(&id, _)| id);
        for consumer in own.collect::<Vec<_>>() {
            let joined = self.clients.get(&consumer).is_some_and(|client| !client.subscribed.is_empty());
            if joined && !self.is_member(consumer) {
                let at = self.now + self.rng.between(0, HEARTBEAT);
                let client = self.clients.get_mut(&consumer).expect("it is there");
                client.lost = true;
                client.changes.clear();
                client.changes.push_back((at, Rebalance::Revoked));
            }
        }
    }

    pub(crate) fn change(&mut self, consumer: u64) -> Option<Rebalance> {
        let now = self.now;
        let client = self.clients.get_mut(&consumer)?;
        if client.asked.is_some() || client.changes.front().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        let (_, change) = client.changes.pop_front()?;
        client.asked = Some(matches!(change, Rebalance::Assigned(_)));
        Some(change)
    }

    /// An answer to a change: after one that took everything away, the client asks for a new share.
    pub(crate) fn answer(&mut self, consumer: u64) {
        let Some(client) = self.clients.get_mut(&consumer) else { return };
        if client.asked.take() != Some(false) {
            return;
        }
        client.lost = false;
        let (name, topics) = (client.group.clone(), client.subscribed.clone());
        let group = self.groups.get_mut(&name).expect("it is there");
        if let Some(member) = group.members.iter_mut().find(|member| member.consumer == consumer) {
            member.ready = true;
        } else {
            let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
            self.subscribe(consumer, &topics);
        }
    }

    /// Whether the brokers take a commit of a client.
    pub(crate) fn may_commit(&self, consumer: u64) -> Result<()> {
        let client = &self.clients[&consumer];
        let members = self.groups.get(&client.group).map_or(0, |group| group.members.len());
        if client.subscribed.is_empty() {
            return if members == 0 { Ok(()) } else { Err(refused()) };
        }
        let generation = self.groups[&client.group].generation;
        if self.is_member(consumer) && generation == client.generation { Ok(()) } else { Err(refused()) }
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

fn refused() -> Error {
    Error::external("cannot commit offsets: no member of this generation")
}
