//! The service's ports over the model of brokers: one process's way to it, with everything that goes wrong on the way.

use std::sync::{Arc, LazyLock, Mutex};

use haldane::config::{KafkaConfig, OnGap};
use haldane::error::{Error, Result};
use haldane::kafka::checkpoint::Stream;
use haldane::kafka::ports::{Cluster, Consumer, Incoming, Machine, Rebalance, Sink, Wait};
use haldane::kafka::producer::OutgoingRecord;
use haldane::kafka::topics::Own;
use rdkafka::message::{Header, Headers as _, OwnedHeaders};

use crate::broker::{Kept, Log, Outgoing, World, unanswered, with};
use crate::fate::Who;
use crate::host::Host;
use crate::run;
use crate::scenario::Scenario;

/// The names of topics and of the group.
pub(crate) static SETTINGS: LazyLock<KafkaConfig> = LazyLock::new(|| {
    haldane::config::parse(Scenario::pipeline(), "sim.yaml", std::path::Path::new(""))
        .expect("a pipeline")
        .kafka
        .expect("a cluster")
});

/// Topics of results that brokers may lose records of.
pub(crate) static CONTROL_AND_WINDOWS: LazyLock<[&str; 2]> =
    LazyLock::new(|| [SETTINGS.topics.control.as_str(), "windows"]);
/// The same settings, to halt where records are gone.
static HALTING: LazyLock<KafkaConfig> = LazyLock::new(|| KafkaConfig { on_gap: OnGap::Halt, ..SETTINGS.clone() });

/// The brokers, as one life of one process reaches them.
#[derive(Debug)]
pub(crate) struct Way {
    who: Who,
    machine: Arc<dyn Machine>,
    on_gap: OnGap,
}

impl Way {
    pub(crate) fn new(who: Who) -> Self {
        let on_gap = with(|world| world.scenario.on_gap);
        Self { who, machine: Arc::new(Host { process: who.process }), on_gap }
    }
}

impl Cluster for Way {
    fn settings(&self) -> &KafkaConfig {
        if self.on_gap == OnGap::Halt { &HALTING } else { &SETTINGS }
    }

    fn id(&self) -> &'static str {
        "sim"
    }

    fn machine(&self) -> &Arc<dyn Machine> {
        &self.machine
    }

    fn consumer(&self, group: &str, _: &str) -> Result<Box<dyn Consumer>> {
        let id = with(|world| {
            self.who.lives(world)?;
            Ok::<_, Error>(world.client(self.who.process, group))
        })?;
        Ok(Box::new(Member { who: self.who, id }))
    }

    fn producer(&self) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(Producer { who: self.who, failed: Mutex::new(false) }))
    }

    fn create(&self, topics: &[Own<'_>]) -> Result<()> {
        let missing: Vec<(String, bool)> = with(|world| {
            let missing = topics.iter().filter(|own| !world.topics.contains_key(own.name));
            missing.map(|own| (own.name.to_owned(), own.timed_by_brokers)).collect()
        });
        if missing.is_empty() {
            return Ok(());
        }
        self.who.effect("creates topics", |world| {
            for (name, timed_by_brokers) in missing {
                world.topics.insert(name, vec![Log { timed_by_brokers, ..Log::default() }]);
            }
            Ok(())
        })
    }

    fn read_last(&self, topic: &str, records: i64, take: &mut dyn FnMut(&dyn Incoming)) -> Result<()> {
        let end = with(|world| world.topics.get(topic).map_or(0, |logs| logs[0].next));
        self.read_whole(topic, &mut |record| {
            if record.offset() >= end - records {
                take(record);
            }
        })
    }

    fn read_whole(&self, topic: &str, take: &mut dyn FnMut(&dyn Incoming)) -> Result<()> {
        let records = self.who.request("reads a topic", |world| {
            if world.rng.below(2) == 0 && topic == SETTINGS.topics.state {
                world.compact(topic);
            }
            let logs = world.topics.get(topic).ok_or_else(|| unanswered("no such topic"))?;
            let of_log = |(partition, log): (u32, &Log)| {
                log.records.iter().map(move |kept| Record::of(topic, partition, kept)).collect::<Vec<_>>()
            };
            Ok((0..).zip(logs).flat_map(of_log).collect::<Vec<_>>())
        })?;
        records.iter().for_each(|record| take(record));
        Ok(())
    }
}

/// A record that was read.
#[derive(Debug)]
pub(crate) struct Record {
    topic: String,
    partition: i32,
    kept: Kept,
}

impl Record {
    pub(crate) fn of(topic: &str, partition: u32, kept: &Kept) -> Self {
        Self { topic: topic.to_owned(), partition: i32::try_from(partition).expect("few"), kept: kept.clone() }
    }
}

impl Incoming for Record {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn partition(&self) -> i32 {
        self.partition
    }

    fn offset(&self) -> i64 {
        self.kept.offset
    }

    fn millis(&self) -> Option<i64> {
        Some(self.kept.millis)
    }

    fn key(&self) -> Option<&[u8]> {
        self.kept.key.as_deref()
    }

    fn payload(&self) -> Option<&[u8]> {
        self.kept.payload.as_deref()
    }

    fn headers(&self) -> Option<Vec<(&str, &[u8])>> {
        let all = self.kept.headers.iter();
        Some(all.map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or_default())).collect())
    }

    fn headers_copied(&self) -> OwnedHeaders {
        let add = |headers: OwnedHeaders, (key, value): &(String, Option<Vec<u8>>)| {
            headers.insert(Header { key, value: value.as_deref() })
        };
        self.kept.headers.iter().fold(OwnedHeaders::new(), add)
    }
}

/// A client of a group.
#[derive(Debug)]
struct Member {
    who: Who,
    id: u64,
}

impl Consumer for Member {
    fn subscribe(&self, topics: &[&str]) -> Result<()> {
        self.who.effect("joins a group", |world| {
            world.subscribe(self.id, topics);
            Ok(())
        })
    }

    fn change(&self) -> Option<Rebalance> {
        with(|world| world.change(self.id))
    }

    fn assignment_lost(&self) -> bool {
        with(|world| world.clients.get(&self.id).is_none_or(|client| client.lost))
    }

    fn assign(&self, places: &[(Stream, i64)]) -> Result<()> {
        with(|world| {
            self.who.lives(world)?;
            let client = world.clients.get_mut(&self.id).expect("it lives");
            client.positions =
                places.iter().map(|(stream, offset)| ((stream.topic.clone(), stream.lane), *offset)).collect();
            world.answer(self.id);
            Ok(())
        })
    }

    fn unassign(&self) -> Result<()> {
        self.assign(&[])
    }

    fn leave(&self) {
        with(|world| {
            let Some(client) = world.clients.remove(&self.id) else { return };
            world.remove(&client.group, self.id);
        });
    }

    fn read(&self, wait: Wait, take: &mut dyn FnMut(&[&dyn Incoming]) -> Result<()>) -> Result<()> {
        let records = with(|world| {
            self.who.lives(world)?;
            fetch(world, self.id, wait.records_max)
        })?;
        let records: Vec<&dyn Incoming> = records.iter().map(|record| record as &dyn Incoming).collect();
        if records.is_empty() { Ok(()) } else { take(&records) }
    }

    fn positions(&self, streams: &[Stream]) -> Result<Vec<Option<i64>>> {
        with(|world| {
            self.who.lives(world)?;
            let client = &world.clients[&self.id];
            let position = |stream: &Stream| client.positions.get(&(stream.topic.clone(), stream.lane)).copied();
            Ok(streams.iter().map(position).collect())
        })
    }

    fn first(&self, streams: &[Stream]) -> Result<Vec<i64>> {
        self.bounds(streams, Log::first)
    }

    fn ends(&self, streams: &[Stream]) -> Result<Vec<i64>> {
        self.bounds(streams, |log| log.next)
    }

    fn committed(&self, streams: &[Stream]) -> Result<Vec<Option<(i64, String)>>> {
        self.who.request("asks for commits", |world| {
            let group = world.clients[&self.id].group.clone();
            let saved =
                |stream: &Stream| world.committed.get(&(group.clone(), stream.topic.clone(), stream.lane)).cloned();
            Ok(streams.iter().map(saved).collect())
        })
    }

    fn commit(&self, offsets: &[(Stream, i64, String)]) -> Result<()> {
        self.who.effect("commits", |world| {
            world.let_commit(self.id)?;
            let rate = world.scenario.rates.request_fails;
            let fails = world.strikes(rate);
            if fails && world.rng.below(2) == 0 {
                world.fault("commit fails", String::new);
                return Err(unanswered("commit"));
            }
            let group = world.clients[&self.id].group.clone();
            for (stream, offset, text) in offsets {
                let end = world.topics[&stream.topic][stream.lane as usize].next;
                if *offset > end {
                    world.flaws.push(format!(
                        "{group} commits {offset} of {}/{}, whose log ends at {end}",
                        stream.topic, stream.lane
                    ));
                }
                world.note(|| format!("   {}/{} {offset} {}", stream.topic, stream.lane, &text[..text.len().min(200)]));
                world.committed.insert((group.clone(), stream.topic.clone(), stream.lane), (*offset, text.clone()));
            }
            if fails {
                world.fault("answer to a commit lost", String::new);
                return Err(unanswered("commit"));
            }
            Ok(())
        })
    }

    fn partitions(&self, topic: &str) -> Result<Option<u32>> {
        self.who.request("looks up a topic", |world| {
            Ok(world.topics.get(topic).map(|logs| u32::try_from(logs.len()).expect("few")))
        })
    }
}

impl Member {
    fn bounds(&self, streams: &[Stream], bound: fn(&Log) -> i64) -> Result<Vec<i64>> {
        self.who.request("looks up ends of logs", |world| {
            let of = |stream: &Stream| match world.topics.get(&stream.topic) {
                Some(logs) if world.has_leader(&stream.topic, stream.lane) => Ok(bound(&logs[stream.lane as usize])),
                _ => Err(unanswered("a partition has no leader")),
            };
            streams.iter().map(of).collect()
        })
    }
}

/// What a client reads next; partitions take turns at random.
fn fetch(world: &mut World, id: u64, records_max: usize) -> Result<Vec<Record>> {
    let places: Vec<((String, u32), i64)> =
        world.clients[&id].positions.iter().map(|(place, &at)| (place.clone(), at)).collect();
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let rate = world.scenario.rates.trickle;
    let most = if world.strikes(rate) { usize::try_from(world.rng.below(5)).expect("few") } else { records_max };
    let first = usize::try_from(world.rng.below(places.len() as u64)).expect("few");
    let mut records = Vec::new();
    for ((topic, partition), at) in places[first..].iter().chain(&places[..first]) {
        if !world.has_leader(topic, *partition) || records.len() >= most.min(records_max) {
            continue;
        }
        let log = &world.topics[topic][*partition as usize];
        if *at < log.first() {
            return Err(Error::external("records were deleted before they were read"));
        }
        let taken: Vec<Record> = log
            .from(*at)
            .take(most.min(records_max) - records.len())
            .map(|kept| Record::of(topic, *partition, kept))
            .collect();
        if let Some(last) = taken.last() {
            let client = world.clients.get_mut(&id).expect("it lives");
            client.positions.insert((topic.clone(), *partition), last.kept.offset + 1);
        }
        records.extend(taken);
    }
    Ok(records)
}

/// An idempotent producer.
#[derive(Debug)]
struct Producer {
    who: Who,
    failed: Mutex<bool>,
}

impl Producer {
    fn has_failed(&self) -> bool {
        *self.failed.lock().expect("one thread")
    }

    fn failure(&self) -> Error {
        *self.failed.lock().expect("one thread") = true;
        Error::external("a topic did not take a record")
    }
}

impl Sink for Producer {
    fn send(&self, record: OutgoingRecord<'_>) -> Result<()> {
        let headers = record.headers.as_ref().map_or_else(Vec::new, |headers| {
            headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
        });
        // As its client's clock says, unless the record says something else.
        let now = Host { process: self.who.process }.wall_clock() / 1_000;
        let outgoing = Outgoing {
            process: self.who.process,
            topic: record.topic.to_owned(),
            partition: record.partition.map_or(0, i32::unsigned_abs),
            key: record.key.map(<[u8]>::to_vec),
            payload: record.payload.map(<[u8]>::to_vec),
            headers,
            millis: record.timestamp.unwrap_or(now),
        };
        with(|world| {
            self.who.lives(world)?;
            world.hear(outgoing.process, &outgoing.topic, outgoing.key.as_deref());
            world.outgoing.push(outgoing);
            Ok(())
        })
    }

    fn settle(&self) -> Result<()> {
        if self.has_failed() {
            return Err(self.failure());
        }
        let process = self.who.process;
        loop {
            let next = with(|world| {
                self.who.lives(world)?;
                let place = world
                    .outgoing
                    .iter()
                    .position(|one| one.process == process && world.has_leader(&one.topic, one.partition));
                let waits = world.outgoing.iter().any(|one| one.process == process);
                Ok::<_, Error>((place.map(|place| world.outgoing[place].topic.clone()), waits))
            })?;
            match next {
                (None, false) => return Ok(()),
                (None, true) => run::stall(process),
                (Some(topic), _) => self.deliver(&topic)?,
            }
        }
    }
}

impl Producer {
    /// Sends the first record that waits for a topic.
    fn deliver(&self, topic: &str) -> Result<()> {
        let process = self.who.process;
        let acknowledged = self.who.effect(&format!("sends to {topic}"), |world| {
            let Some(place) = world.outgoing.iter().position(|one| one.process == process && one.topic == topic) else {
                return Ok(true);
            };
            let record = world.outgoing.remove(place);
            let rate = world.scenario.rates.ack_lost;
            if !world.strikes(rate) {
                world.deliver(record);
                return Ok(true);
            }
            world.fault("acknowledgement lost", || topic.to_owned());
            if world.rng.below(2) == 0 {
                world.deliver(record);
            }
            world.outgoing.retain(|one| one.process != process);
            Ok(false)
        })?;
        if acknowledged { Ok(()) } else { Err(self.failure()) }
    }
}
