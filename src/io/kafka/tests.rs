//! What is written and read back, over a cluster in memory that notes what happens in which order.

mod letters;
mod publish;
mod states;
mod versions;

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::message::{Header, Headers as _, OwnedHeaders};

use super::machine::Here;
use super::ports::{Cluster, Consumer, Incoming, Machine, PendingRequest, Sink};
use super::producer::OutgoingRecord;
use super::topics::Own;
use crate::config::{self, KafkaConfig};
use crate::error::Result;
use crate::event::Micros;
use crate::output::summary::tests::decision as recorded;
use crate::verdict::{Command, CommandKind, CommandResult, Decision, Outcome, RolloutState};

/// When everything here begins.
const NOW: Micros = 1_796_000_000_123_456;

/// A record that was sent.
#[derive(Debug, Clone)]
struct SentRecord {
    topic: String,
    offset: i64,
    millis: Option<i64>,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: OwnedHeaders,
}

impl Incoming for SentRecord {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn partition(&self) -> i32 {
        2
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    fn millis(&self) -> Option<i64> {
        self.millis
    }

    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    fn headers(&self) -> Option<Vec<(&str, &[u8])>> {
        Some(self.headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect())
    }

    fn headers_copied(&self) -> OwnedHeaders {
        self.headers.clone()
    }
}

/// A record that somebody else wrote.
fn foreign(key: &str, payload: Option<&str>) -> SentRecord {
    let (key, payload) = (Some(key.as_bytes().to_vec()), payload.map(|text| text.as_bytes().to_vec()));
    SentRecord { topic: "t".to_owned(), offset: 7, millis: Some(5), key, payload, headers: OwnedHeaders::new() }
}

/// Something that was done, in order.
#[derive(Debug, Clone)]
enum LogEntry {
    Sent(SentRecord),
    Settled,
    /// What was said is kept now.
    Kept,
}

/// What was done so far.
#[derive(Debug, Clone, Default)]
struct EventLog(Arc<Mutex<Vec<LogEntry>>>);

impl EventLog {
    fn push(&self, entry: LogEntry) {
        self.0.lock().expect("no panic").push(entry);
    }

    fn sent(&self) -> Vec<SentRecord> {
        let entries = self.0.lock().expect("no panic");
        let sent = |entry: &LogEntry| if let LogEntry::Sent(record) = entry { Some(record.clone()) } else { None };
        entries.iter().filter_map(sent).collect()
    }

    /// Each entry in a word, and forgets them: the key of a record, with `-` before one that takes away.
    fn told(&self) -> Vec<String> {
        let entries = std::mem::take(&mut *self.0.lock().expect("no panic"));
        let word = |entry: LogEntry| match entry {
            LogEntry::Settled => "settled".to_owned(),
            LogEntry::Kept => "kept".to_owned(),
            LogEntry::Sent(record) => {
                let sign = if record.payload.is_some() { "" } else { "-" };
                format!("{sign}{} {}", record.topic, String::from_utf8_lossy(&record.key.unwrap_or_default()))
            }
        };
        entries.into_iter().map(word).collect()
    }
}

impl Sink for EventLog {
    fn send(&self, record: OutgoingRecord<'_>) -> Result<()> {
        let offset = i64::try_from(self.sent().len()).expect("few");
        self.push(LogEntry::Sent(SentRecord {
            topic: record.topic.to_owned(),
            offset,
            millis: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            payload: record.payload.map(<[u8]>::to_vec),
            headers: record.headers.unwrap_or_default(),
        }));
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.push(LogEntry::Settled);
        Ok(())
    }
}

/// This machine, whose calendar goes on by a microsecond when somebody looks at it.
#[derive(Debug)]
struct SlowCalendar(Here, AtomicI64);

impl Machine for SlowCalendar {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wall_clock(&self) -> Micros {
        self.1.fetch_add(1, Ordering::Relaxed)
    }

    fn beside(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> std::io::Result<()> {
        self.0.beside(name, work)
    }

    fn until(
        &self,
        name: &str,
        every: Duration,
        ask: Box<dyn FnMut() -> bool + Send>,
    ) -> std::io::Result<Box<dyn PendingRequest>> {
        self.0.until(name, every, ask)
    }
}

/// A cluster that holds what was sent to it.
struct MemoryCluster {
    settings: KafkaConfig,
    machine: Arc<dyn Machine>,
    log: EventLog,
    made: Mutex<Vec<String>>,
}

impl MemoryCluster {
    /// An empty one, with more said of its topics.
    fn new(topics: &str) -> Self {
        let text = format!(
            "sources: {{ predictions: {{ topic: p, id: id, version: v, event_time: t, score: s }} }}\n\
             kafka: {{ brokers: 'b:9092', control_topic: c, state_topic: s{topics} }}\n"
        );
        let settings = config::parse(&text, "p.yaml", Path::new("")).expect("a pipeline").kafka.expect("a cluster");
        let machine = Arc::new(SlowCalendar(Here, AtomicI64::new(NOW)));
        Self { settings, machine, log: EventLog::default(), made: Mutex::default() }
    }

    /// Puts records on a topic.
    fn hold(&self, topic: &str, records: impl IntoIterator<Item = SentRecord>) {
        let on_topic = |record| LogEntry::Sent(SentRecord { topic: topic.to_owned(), ..record });
        records.into_iter().for_each(|record| self.log.push(on_topic(record)));
    }
}

impl Cluster for MemoryCluster {
    fn settings(&self) -> &KafkaConfig {
        &self.settings
    }

    fn id(&self) -> &'static str {
        "cluster-1"
    }

    fn machine(&self) -> &Arc<dyn Machine> {
        &self.machine
    }

    fn consumer(&self, group: &str, _: &str) -> Result<Box<dyn Consumer>> {
        panic!("nobody joins {group} here")
    }

    fn producer(&self) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(self.log.clone()))
    }

    fn create(&self, topics: &[Own<'_>]) -> Result<()> {
        self.made.lock().expect("no panic").extend(topics.iter().map(|topic| format!("{topic:?}")));
        Ok(())
    }

    fn read_whole(&self, topic: &str, take: &mut dyn FnMut(&dyn Incoming)) -> Result<()> {
        self.read_last(topic, i64::MAX, take)
    }

    fn read_last(&self, topic: &str, records: i64, take: &mut dyn FnMut(&dyn Incoming)) -> Result<()> {
        let of_topic: Vec<SentRecord> = self.log.sent().into_iter().filter(|record| record.topic == topic).collect();
        let skipped = of_topic.len().saturating_sub(usize::try_from(records).expect("some records"));
        of_topic.iter().skip(skipped).for_each(|record| take(record));
        Ok(())
    }
}

/// A candidate after so many decisions.
fn state(candidate: &str, sequence: u64) -> RolloutState {
    RolloutState { sequence, ..RolloutState::new("r", "m", candidate, "v1") }
}

/// A decision about a candidate of that rollout.
fn decision(candidate: &str, sequence: u64) -> Decision {
    let id = format!("b3:{candidate}{sequence}");
    let names = ("r".to_owned(), "m".to_owned(), candidate.to_owned());
    Decision { id, sequence, rollout: names.0, model: names.1, candidate: names.2, ..recorded() }
}

/// What became of a command to a candidate of that rollout.
fn result(id: &str, candidate: &str) -> CommandResult {
    let command = Command {
        id: id.to_owned(),
        at: NOW,
        rollout: "r".to_owned(),
        model: "m".to_owned(),
        candidate: candidate.to_owned(),
        kind: CommandKind::Hold,
        actor: "ada".to_owned(),
        reason: String::new(),
        ticket: None,
        if_sequence: None,
        expires_at: None,
    };
    CommandResult {
        command,
        outcome: Outcome::Accepted,
        text: "done".to_owned(),
        sequence: 1,
        state: None,
        decisions: Vec::new(),
        applied_after: None,
    }
}

/// A state that knows these commands.
fn knowing(of: RolloutState, commands: &[&str]) -> RolloutState {
    let mut of = of;
    of.people.commands = commands.iter().map(|id| (*id).to_owned()).collect();
    of
}

/// Headers by name and value.
fn headers(all: &[(&str, &str)]) -> OwnedHeaders {
    let add = |headers: OwnedHeaders, (key, value): &(&str, &str)| headers.insert(Header { key, value: Some(*value) });
    all.iter().fold(OwnedHeaders::new(), add)
}
