//! What the service asks of the world around it: brokers, and the machine that it runs on.
//!
//! The logic of every role is written against these traits and waits for nothing but them. librdkafka and this machine
//! carry them out for the service ([`Connection`](super::Connection), [`consumer`](super::consumer),
//! [`Producer`](super::producer::Producer), [`Here`](super::machine::Here)); a model of brokers does in `tests/sim`.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::message::OwnedHeaders;

use super::checkpoint::Stream;
use super::producer::OutgoingRecord;
use super::topics::Own;
use crate::config::KafkaConfig;
use crate::decode::schema::{SchemaId, SchemaTexts};
use crate::error::Result;
use crate::event::Micros;

/// A cluster of brokers, as one process reaches it.
pub trait Cluster: Sync {
    /// Names of topics and of the group.
    fn settings(&self) -> &KafkaConfig;

    /// The id that the cluster gives itself.
    fn id(&self) -> &str;

    /// The machine that this process runs on.
    fn machine(&self) -> &Arc<dyn Machine>;

    /// Where schemas of records are known.
    fn schemas(&self) -> Arc<dyn Schemas> {
        Arc::new(Unknown)
    }

    /// A consumer of a group, which reads nothing yet. `name` tells it from others of this process.
    fn consumer(&self, group: &str, name: &str) -> Result<Box<dyn Consumer>>;

    /// An idempotent producer.
    fn producer(&self) -> Result<Arc<dyn Sink>>;

    /// Makes those topics that are not there yet, with one partition each.
    fn create(&self, topics: &[Own<'_>]) -> Result<()>;

    /// Hands over every record of a topic that is there now; those of one partition in their order.
    fn read_whole(&self, topic: &str, take: &mut dyn FnMut(&dyn Incoming)) -> Result<()>;

    /// The same, of the last so many records of each partition.
    fn read_last(&self, topic: &str, records: i64, take: &mut dyn FnMut(&dyn Incoming)) -> Result<()>;
}

/// Where schemas of records are known.
pub trait Schemas: Send + Sync + Debug {
    /// The schema of an id. It may take a few seconds.
    fn find(&self, id: SchemaId) -> SchemaLookup;

    /// Whether whoever is asked answers; none where nobody is.
    fn answers(&self) -> Option<bool> {
        None
    }
}

/// What came of asking for a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaLookup {
    /// It.
    Here(SchemaTexts),
    /// There is no such schema.
    Missing,
    /// Nobody answers for now; why.
    Away(String),
}

/// No schema is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unknown;

impl Schemas for Unknown {
    fn find(&self, _: SchemaId) -> SchemaLookup {
        SchemaLookup::Missing
    }
}

/// How long a read may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The most records.
    pub records_max: usize,
    /// For the first of them.
    pub first: Duration,
    /// For more, after the first.
    pub more: Duration,
}

/// One client of a group: it reads what it is told or given to, and commits.
pub trait Consumer: Send {
    /// Joins the group, to share out these topics with its other members.
    fn subscribe(&self, topics: &[&str]) -> Result<()>;

    /// The change of assignment that has waited for longest, if any. Each is to be answered, by [`Consumer::assign`] or
    /// [`Consumer::unassign`].
    fn change(&self) -> Option<Rebalance>;

    /// Whether what it had was given to others before it could let go.
    fn assignment_lost(&self) -> bool;

    /// Reads these streams from these offsets on, and nothing else.
    fn assign(&self, places: &[(Stream, i64)]) -> Result<()>;

    /// Reads nothing any more.
    fn unassign(&self) -> Result<()>;

    /// From now on changes are carried out at once, and what it had goes to others.
    fn leave(&self);

    /// Takes records that have come, as many as there are at once; none is no call. They stay where the client put them
    /// for as long as `take` runs.
    ///
    /// # Errors
    /// Those of `take`, and what the client does not mend by itself.
    fn read(&self, wait: Wait, take: &mut dyn FnMut(&[&dyn Incoming]) -> Result<()>) -> Result<()>;

    /// The next offset that it would read of each stream, where it knows it; past transaction markers too.
    fn positions(&self, streams: &[Stream]) -> Result<Vec<Option<i64>>>;

    /// The first offset of each stream's log that is still there.
    fn first(&self, streams: &[Stream]) -> Result<Vec<i64>>;

    /// The next offset of each stream's log.
    fn ends(&self, streams: &[Stream]) -> Result<Vec<i64>>;

    /// What the group committed last, with the text beside it.
    fn committed(&self, streams: &[Stream]) -> Result<Vec<Option<(i64, String)>>>;

    /// Commits offsets, each with a text beside it, and waits for the answer. Brokers refuse it of whoever is no member
    /// any more.
    fn commit(&self, offsets: &[(Stream, i64, String)]) -> Result<()>;

    /// How many partitions a topic has; `None` when it does not exist.
    fn partitions(&self, topic: &str) -> Result<Option<u32>>;
}

/// A change of what a group member reads.
#[derive(Debug, Clone)]
pub enum Rebalance {
    /// These partitions are its own now.
    Assigned(Vec<(String, u32)>),
    /// What it had goes to others.
    Revoked,
}

/// A record that came.
pub trait Incoming {
    /// Its topic.
    fn topic(&self) -> &str;

    /// Its partition.
    fn partition(&self) -> i32;

    /// Its offset.
    fn offset(&self) -> i64;

    /// When it was written, in milliseconds; `None` where nothing says so.
    fn millis(&self) -> Option<i64>;

    /// Its key.
    fn key(&self) -> Option<&[u8]>;

    /// What it says.
    fn payload(&self) -> Option<&[u8]>;

    /// Its headers, or `None` when there are none or a name is not UTF-8.
    fn headers(&self) -> Option<Vec<(&str, &[u8])>>;

    /// A copy of them, to be sent on.
    fn headers_copied(&self) -> OwnedHeaders;

    /// When it was written.
    fn time(&self) -> Option<Micros> {
        self.millis().map(|millis| millis.saturating_mul(1_000))
    }
}

/// Where records leave: in their order, each once.
pub trait Sink: Send + Sync {
    /// Hands a record over.
    fn send(&self, record: OutgoingRecord<'_>) -> Result<()>;

    /// Waits until every record handed over is acknowledged.
    ///
    /// # Errors
    /// When one of them could not be delivered; nothing that depends on it may be committed then.
    fn settle(&self) -> Result<()>;

    /// Whether every record handed over is acknowledged, without waiting for it.
    ///
    /// # Errors
    /// When one of them could not be delivered.
    fn is_settled(&self) -> Result<bool> {
        self.settle().map(|()| true)
    }
}

/// The machine that a process runs on.
pub trait Machine: Send + Sync + Debug {
    /// Now, for measuring spans.
    fn now(&self) -> Instant;

    /// Now, by the calendar.
    fn wall_clock(&self) -> Micros;

    /// Does some work beside the caller's.
    fn beside(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> std::io::Result<()>;

    /// Asks every so often, beside the caller's work, until the answer is yes. Dropped, it asks no more.
    fn until(
        &self,
        name: &str,
        every: Duration,
        ask: Box<dyn FnMut() -> bool + Send>,
    ) -> std::io::Result<Box<dyn PendingRequest>>;

    /// How long ago that was.
    fn since(&self, then: Instant) -> Duration {
        self.now().saturating_duration_since(then)
    }
}

/// What is asked for again and again.
pub trait PendingRequest: Send + Debug {
    /// Whether the answer was yes.
    fn is_over(&self) -> bool;
}
