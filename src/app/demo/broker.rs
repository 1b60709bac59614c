//! A broker in this process that speaks the Kafka protocol, and the thread that feeds it.
//!
//! librdkafka's mock cluster needs no installation and keeps everything in memory: right for a demo, not for real
//! events.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

use super::proxy::Proxy;
use super::traffic::{DemoRecord, DemoTraffic, FAULT_AT, OUTCOMES, PARTITIONS, PREDICTIONS};
use crate::error::{Error, Result};
use crate::event::Micros;

/// How long one event second lasts: eight minutes of traffic pass in seven seconds.
const PACE: Duration = Duration::from_millis(15);

/// How long the traffic waits before it asks again whether it may go on.
const BREATH: Duration = Duration::from_millis(2);

/// How long the broker may take to acknowledge what is left at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// A running broker with the demo's topics. It ends when it is dropped.
pub(super) struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Broker {
    /// Starts the broker and makes the input topics and `own` ones.
    pub(super) fn start(own: &[&str]) -> Result<Self> {
        let failed = |error| Error::internal("the in-process broker does not start").because(error);
        let cluster = MockCluster::new(1).map_err(failed)?;
        let inputs = [PREDICTIONS, OUTCOMES].map(|topic| (topic, PARTITIONS));
        for (topic, partitions) in inputs.into_iter().chain(own.iter().map(|topic| (*topic, 1))) {
            cluster.create_topic(topic, partitions, 1).map_err(failed)?;
        }
        Ok(Self { cluster })
    }

    /// Where it listens.
    #[must_use]
    pub(super) fn address(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

/// What is asked and told while the traffic goes on.
pub(super) trait TrafficControl {
    /// The fault begins.
    fn fault(&mut self);

    /// Whether the traffic may go on after what was sent up to a time.
    fn may_go_on(&mut self, upto: Micros) -> bool;

    /// So many of a second's requests went to the new version.
    fn sent(&mut self, canary: usize);
}

/// Sends the traffic at its pace, where the proxy sends it, until it ends or `stop` hangs up.
pub(super) fn feed(
    address: &str,
    (mut traffic, proxy): (DemoTraffic, &mut Proxy),
    stop: &Receiver<()>,
    course: &mut dyn TrafficControl,
) -> Result<()> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .create()
        .map_err(|error| Error::internal("the demo's producer does not start").because(error))?;
    let mut due = now();
    while let Some(ids) = traffic.upcoming() {
        if traffic.now() == FAULT_AT {
            course.fault();
        }
        let canary = proxy.route(&ids)?;
        course.sent(canary.iter().filter(|canary| **canary).count());
        traffic.pass(&canary).iter().try_for_each(|message| send(&producer, message))?;
        producer.poll(Duration::ZERO);
        due += PACE;
        let ended = |patience| stop.recv_timeout(patience) != Err(RecvTimeoutError::Timeout);
        if ended(due.saturating_duration_since(now())) {
            return Ok(());
        }
        while !course.may_go_on(traffic.now()) {
            if ended(BREATH) {
                return Ok(());
            }
            due = now();
        }
    }
    producer.flush(FLUSH_TIMEOUT).map_err(undelivered)
}

#[expect(clippy::disallowed_methods, reason = "the traffic's pace; its event times are made up")]
fn now() -> Instant {
    Instant::now()
}

fn send(producer: &BaseProducer, message: &DemoRecord) -> Result<()> {
    let mut record = BaseRecord::to(message.topic)
        .partition(message.partition)
        .key(&message.key)
        .payload(&message.payload)
        .timestamp(message.time / 1_000);
    while let Err((error, back)) = producer.send(record) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
            return Err(undelivered(error));
        }
        producer.poll(PACE);
        record = back;
    }
    Ok(())
}

fn undelivered(error: KafkaError) -> Error {
    Error::internal("the in-process broker does not take the traffic").because(error)
}
