//! Bugs on purpose: each a decorator around one of the service's ports, so that nothing of it is in the service. The
//! checker must find every one of them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use haldane::config::KafkaConfig;
use haldane::error::Result;
use haldane::kafka::checkpoint::Stream;
use haldane::kafka::ports::{Cluster, Consumer, Incoming, Machine, Rebalance, Sink, Wait};
use haldane::kafka::producer::OutgoingRecord;
use haldane::kafka::topics::Own;

use crate::altered::{self, Ids, Sums};
use crate::campaign::simulate;
use crate::ports::SETTINGS;
use crate::scenario::{COMMANDS, Scenario};

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// How far was read is committed, not what is needed still.
    HeadCommitted,
    /// The first record that is needed is passed over.
    CommittedOneTooFar,
    /// What stands beside an offset is lost.
    MetadataLost,
    /// States go out before the decisions that led to them.
    StatesFirst,
    /// Nobody waits for acknowledgements.
    NotSettled,
    /// Whoever works never hears that others do.
    NeverRenewed,
    /// Brokers take commits of whoever is no member any more.
    NoFence,
    /// The store acknowledges what it loses.
    FlushLost,
    /// Nobody asks whether the store has kept what was said.
    NotKept,
    /// Whoever takes over a store goes on with what he knew of it, and the store lets him.
    StoreNotFenced,
    /// Commands are let go of before they are carried out.
    CommandsLetGo,
    /// Commands that were committed are read again as if they were new, and new ones never.
    CommandsForgotten,
    /// Refused records do not reach the dead letters.
    DeadLettersLost,
    /// Now and then a rollout's state is not written.
    StatesLost,
    /// Of a topic that is read whole, the last record is missed.
    LastStateMissed,
    /// Now and then a record is passed over.
    RecordsMissed,
    /// Now and then two records change places.
    RecordsSwapped,
    /// Now and then a judged window is not written.
    WindowsLost,
    /// Ends of logs are where reading is.
    EndsInvented,
    /// What is about to be said is not written down.
    IntentsLost,
    /// Now and then a frame of counts does not reach the judge.
    PartialsLost,
    /// Counts that are told again are added to those before.
    PartialsAdded,
    /// Nobody knows an event again.
    DedupForgets,
}

/// Those that a few seeds show.
const PLAIN: [Bug; 20] = [
    Bug::HeadCommitted,
    Bug::CommittedOneTooFar,
    Bug::MetadataLost,
    Bug::StatesFirst,
    Bug::NotSettled,
    Bug::FlushLost,
    Bug::NotKept,
    Bug::CommandsForgotten,
    Bug::DeadLettersLost,
    Bug::RecordsMissed,
    Bug::RecordsSwapped,
    Bug::PartialsLost,
    Bug::CommandsLetGo,
    Bug::IntentsLost,
    Bug::WindowsLost,
    Bug::PartialsAdded,
    Bug::DedupForgets,
    Bug::StatesLost,
    Bug::NeverRenewed,
    Bug::NoFence,
];

/// Those that show only when several faults meet.
const RARE: [Bug; 3] = [Bug::StoreNotFenced, Bug::EndsInvented, Bug::LastStateMissed];

/// Looks in so many seeds for the bugs that a few seeds show. Whether all were found.
pub(crate) fn find_plain(seeds: u64) -> bool {
    find(&PLAIN, &(0..seeds), "")
}

/// Looks in these seeds for every bug whose name holds a text. Whether all were found.
pub(crate) fn find_all(seeds: &Range<u64>, named: &str) -> bool {
    find(&PLAIN, seeds, named) & find(&RARE, seeds, named)
}

fn find(bugs: &[Bug], seeds: &Range<u64>, named: &str) -> bool {
    let mut fine = true;
    for &bug in bugs.iter().filter(|bug| format!("{bug:?}").contains(named)) {
        let found = seeds.clone().find_map(|seed| {
            let findings = simulate(&Scenario::of(seed), Some(bug), false).findings;
            findings.lines().next().map(|line| (seed, line))
        });
        fine &= found.is_some();
        match found {
            Some((seed, line)) => {
                println!("{bug:?}: found by seed {seed}: {}", line.chars().take(160).collect::<String>());
            }
            None => println!("{bug:?}: NOT FOUND in seeds {seeds:?}"),
        }
    }
    fine
}

impl Bug {
    /// The way to the brokers, with the bug around it.
    pub(crate) fn around(bug: Option<Self>, way: Box<dyn Cluster>) -> Box<dyn Cluster> {
        match bug {
            Some(bug) => Box::new(Around { bug, way }),
            None => way,
        }
    }
}

/// A way with a bug in it.
struct Around {
    bug: Bug,
    way: Box<dyn Cluster>,
}

impl Cluster for Around {
    fn settings(&self) -> &KafkaConfig {
        self.way.settings()
    }

    fn id(&self) -> &str {
        self.way.id()
    }

    fn machine(&self) -> &Arc<dyn Machine> {
        self.way.machine()
    }

    fn consumer(&self, group: &str, name: &str) -> Result<Box<dyn Consumer>> {
        let consumer = self.way.consumer(group, name)?;
        Ok(Box::new(Reader { bug: self.bug, group: group.to_owned(), consumer, state: Mutex::default() }))
    }

    fn producer(&self) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(Writer { bug: self.bug, sink: self.way.producer()?, held: Mutex::default() }))
    }

    fn create(&self, topics: &[Own<'_>]) -> Result<()> {
        self.way.create(topics)
    }

    fn read_last(&self, topic: &str, records: i64, take: &mut dyn FnMut(&dyn Incoming)) -> Result<()> {
        self.way.read_last(topic, records, take)
    }

    fn read_whole(&self, topic: &str, take: &mut dyn FnMut(&dyn Incoming)) -> Result<()> {
        if self.bug != Bug::LastStateMissed {
            return self.way.read_whole(topic, take);
        }
        let mut n = 0;
        self.way.read_whole(topic, &mut |_| n += 1)?;
        let mut left = n - 1;
        self.way.read_whole(topic, &mut |record| {
            if left > 0 {
                take(record);
            }
            left -= 1;
        })
    }
}

#[derive(Debug, Default)]
struct Reading {
    /// Records so far, by which now and then is told.
    n: u64,
    assigned: bool,
    sums: Sums,
    ids: Ids,
}

/// A consumer with a bug in it.
struct Reader {
    bug: Bug,
    group: String,
    consumer: Box<dyn Consumer>,
    state: Mutex<Reading>,
}

impl Reader {
    fn is_of_commands(&self) -> bool {
        self.group == format!("{}.commands", SETTINGS.group)
    }

    /// Whether it is the one that decides who works.
    fn is_of_leaders(&self) -> bool {
        self.group == format!("{}.all", SETTINGS.group)
    }

    /// Counts a record; whether it is one of so many.
    fn is_nth(&self, of: u64) -> bool {
        let mut state = self.state.lock().expect("one thread");
        state.n += 1;
        state.n.is_multiple_of(of)
    }

    fn passed_on(&self, records: &[&dyn Incoming], take: &mut dyn FnMut(&[&dyn Incoming]) -> Result<()>) -> Result<()> {
        let is_input =
            records.first().is_some_and(|record| ["predictions", "outcomes", "events"].contains(&record.topic()));
        let is_partial = records.first().is_some_and(|record| record.topic() == SETTINGS.topics.partials);
        match self.bug {
            Bug::RecordsMissed if is_input => {
                let kept: Vec<&dyn Incoming> = records.iter().copied().filter(|_| !self.is_nth(97)).collect();
                if kept.is_empty() { Ok(()) } else { take(&kept) }
            }
            Bug::RecordsSwapped if is_input && records.len() > 1 && self.is_nth(7) => altered::hand_on(
                records,
                |at, record| records[if at < 2 { 0 } else { at }].payload().or(record.payload()).map(<[u8]>::to_vec),
                take,
            ),
            Bug::PartialsAdded if is_partial => {
                let mut state = self.state.lock().expect("one thread");
                let payloads: Vec<_> = records.iter().map(|record| state.sums.add(*record)).collect();
                drop(state);
                altered::hand_on(records, |at, _| payloads[at].clone(), take)
            }
            Bug::DedupForgets if is_input => {
                let mut state = self.state.lock().expect("one thread");
                let payloads: Vec<_> = records.iter().map(|record| state.ids.renamed(*record)).collect();
                drop(state);
                altered::hand_on(records, |at, _| payloads[at].clone(), take)
            }
            Bug::CommandsForgotten if self.is_of_commands() => Ok(()),
            _ => take(records),
        }
    }
}

impl Consumer for Reader {
    fn subscribe(&self, topics: &[&str]) -> Result<()> {
        self.consumer.subscribe(topics)
    }

    fn change(&self) -> Option<Rebalance> {
        let mut state = self.state.lock().expect("one thread");
        if self.bug == Bug::NeverRenewed && self.is_of_leaders() && state.assigned {
            return None;
        }
        let change = self.consumer.change();
        state.assigned |= matches!(&change, Some(Rebalance::Assigned(own)) if !own.is_empty());
        change
    }

    fn assignment_lost(&self) -> bool {
        self.bug != Bug::NoFence && self.consumer.assignment_lost()
    }

    fn assign(&self, places: &[(Stream, i64)]) -> Result<()> {
        self.consumer.assign(places)
    }

    fn unassign(&self) -> Result<()> {
        self.consumer.unassign()
    }

    fn leave(&self) {
        self.consumer.leave();
    }

    fn read(&self, wait: Wait, take: &mut dyn FnMut(&[&dyn Incoming]) -> Result<()>) -> Result<()> {
        if self.bug == Bug::CommandsLetGo && self.is_of_commands() {
            let mut next = BTreeMap::new();
            return self.consumer.read(wait, &mut |records| {
                for record in records {
                    next.insert(record.partition().unsigned_abs(), record.offset() + 1);
                }
                for (&lane, &offset) in &next {
                    let stream = Stream { source: 0, lane, topic: COMMANDS.to_owned(), kind: None };
                    let _ = self.consumer.commit(&[(stream, offset, String::new())]);
                }
                take(records)
            });
        }
        self.consumer.read(wait, &mut |records| self.passed_on(records, take))
    }

    fn positions(&self, streams: &[Stream]) -> Result<Vec<Option<i64>>> {
        self.consumer.positions(streams)
    }

    fn first(&self, streams: &[Stream]) -> Result<Vec<i64>> {
        self.consumer.first(streams)
    }

    fn ends(&self, streams: &[Stream]) -> Result<Vec<i64>> {
        let ends = self.consumer.ends(streams)?;
        if self.bug != Bug::EndsInvented {
            return Ok(ends);
        }
        let positions = self.consumer.positions(streams)?;
        Ok(ends.into_iter().zip(positions).map(|(end, position)| position.unwrap_or(end)).collect())
    }

    fn committed(&self, streams: &[Stream]) -> Result<Vec<Option<(i64, String)>>> {
        self.consumer.committed(streams)
    }

    fn commit(&self, offsets: &[(Stream, i64, String)]) -> Result<()> {
        let mut offsets = offsets.to_vec();
        let of_input = !self.is_of_commands() && !self.is_of_leaders();
        match self.bug {
            Bug::HeadCommitted if of_input => {
                let streams: Vec<Stream> = offsets.iter().map(|(stream, ..)| stream.clone()).collect();
                let ends = self.consumer.ends(&streams)?;
                offsets.iter_mut().zip(ends).for_each(|((_, offset, _), end)| *offset = end);
            }
            Bug::CommittedOneTooFar if of_input => {
                let streams: Vec<Stream> = offsets.iter().map(|(stream, ..)| stream.clone()).collect();
                let ends = self.consumer.ends(&streams)?;
                offsets.iter_mut().zip(ends).for_each(|((_, offset, _), end)| *offset = (*offset + 1).min(end));
            }
            Bug::MetadataLost => offsets.iter_mut().for_each(|(.., text)| text.clear()),
            _ => {}
        }
        let done = self.consumer.commit(&offsets);
        if self.bug == Bug::NoFence || (self.bug == Bug::NeverRenewed && self.is_of_leaders()) { Ok(()) } else { done }
    }

    fn partitions(&self, topic: &str) -> Result<Option<u32>> {
        self.consumer.partitions(topic)
    }
}

/// A record that is held back.
struct Held {
    topic: String,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Option<rdkafka::message::OwnedHeaders>,
    timestamp: Option<i64>,
}

/// A producer with a bug in it.
struct Writer {
    bug: Bug,
    sink: Arc<dyn Sink>,
    held: Mutex<(u64, Vec<Held>)>,
}

impl Writer {
    fn is_nth(&self, of: u64) -> bool {
        let mut held = self.held.lock().expect("one thread");
        held.0 += 1;
        held.0.is_multiple_of(of)
    }

    /// Whether a record never leaves.
    fn is_lost(&self, record: &OutgoingRecord<'_>) -> bool {
        let own = &SETTINGS.topics;
        let is_state = record.topic == own.state && record.key.is_some_and(|key| !key.starts_with(b"@"));
        let is_intent = record.topic == own.state && record.key.is_some_and(|key| key.starts_with(b"@intent/"));
        match self.bug {
            Bug::DeadLettersLost => record.topic == own.dead_letter,
            Bug::IntentsLost => is_intent,
            Bug::StatesLost => is_state && self.is_nth(3),
            Bug::WindowsLost => record.topic == "windows" && self.is_nth(97),
            Bug::PartialsLost => record.topic == own.partials && self.is_nth(97),
            _ => false,
        }
    }

    fn let_go(&self) -> Result<()> {
        let held = std::mem::take(&mut self.held.lock().expect("one thread").1);
        held.into_iter().try_for_each(|held| {
            let mut record = OutgoingRecord::to(&held.topic);
            (record.key, record.payload) = (held.key.as_deref(), held.payload.as_deref());
            (record.headers, record.timestamp) = (held.headers, held.timestamp);
            self.sink.send(record)
        })
    }
}

impl Sink for Writer {
    fn send(&self, record: OutgoingRecord<'_>) -> Result<()> {
        if self.is_lost(&record) {
            return Ok(());
        }
        if self.bug == Bug::StatesFirst && record.topic == SETTINGS.topics.control {
            let held = Held {
                topic: record.topic.to_owned(),
                key: record.key.map(<[u8]>::to_vec),
                payload: record.payload.map(<[u8]>::to_vec),
                headers: record.headers,
                timestamp: record.timestamp,
            };
            self.held.lock().expect("one thread").1.push(held);
            return Ok(());
        }
        self.sink.send(record)
    }

    fn settle(&self) -> Result<()> {
        if self.bug == Bug::NotSettled {
            return Ok(());
        }
        // What is held back is acknowledged, as the service is told, and leaves before the next wait but one.
        let (is_held, is_due) = {
            let mut held = self.held.lock().expect("one thread");
            held.0 += u64::from(!held.1.is_empty());
            (!held.1.is_empty(), held.0.is_multiple_of(2))
        };
        if is_held && is_due {
            self.let_go()?;
        }
        self.sink.settle()
    }
}
