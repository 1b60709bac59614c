//! One idempotent producer for everything that leaves: records in their order, each acknowledged by all replicas.
//!
//! [`Producer::send`] hands over, [`Producer::settle`] waits until everything handed over is acknowledged. The client's
//! own `flush` looks only ten times a second; here the delivery report itself ends the wait.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};

use super::clock::now;
use super::connection::{Connection, trace_log};
use super::login::{Login, Tokened};
use super::ports::Sink;
use crate::error::{Error, Result};

/// Longer than the client's own delivery time-out, which reports the reason.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(40);

/// A record that leaves. Bytes are copied when it is handed over.
pub type OutgoingRecord<'a> = BaseRecord<'a, [u8], [u8]>;

/// An idempotent producer that knows what is not acknowledged yet.
pub struct Producer {
    client: ThreadedProducer<Deliveries>,
}

impl Producer {
    /// Connects. The first record pays for it, so this is done at the start.
    pub fn open(connection: &Connection) -> Result<Self> {
        let deliveries = Deliveries { login: connection.login(), ..Deliveries::default() };
        let client: ThreadedProducer<Deliveries> = connection
            .producer_config()
            .create_with_context(deliveries)
            .map_err(|error| Error::user("cannot make a Kafka producer").because(error))?;
        connection.introduce(client.client())?;
        Ok(Self { client })
    }

    /// Hands a record over; waits only while the client's queue is full.
    pub fn send(&self, record: OutgoingRecord<'_>) -> Result<()> {
        let deliveries = self.deliveries();
        deliveries.lock().outstanding += 1;
        let mut record = record;
        loop {
            match self.client.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    deliveries.await_room()?;
                    record = back;
                }
                Err((error, back)) => {
                    deliveries.lock().outstanding -= 1;
                    let advice = advice(error.rdkafka_error_code());
                    return Err(Error::external(format!("cannot send to topic `{}`", back.topic))
                        .because(error)
                        .hint(advice));
                }
            }
        }
    }

    /// Waits until every record handed over is acknowledged.
    ///
    /// # Errors
    /// When one of them could not be delivered; nothing that depends on it may be committed then.
    pub fn settle(&self) -> Result<()> {
        self.deliveries().await_all()
    }

    fn deliveries(&self) -> &Deliveries {
        self.client.client().context()
    }
}

impl Sink for Producer {
    fn send(&self, record: OutgoingRecord<'_>) -> Result<()> {
        Self::send(self, record)
    }

    fn settle(&self) -> Result<()> {
        Self::settle(self)
    }

    fn is_settled(&self) -> Result<bool> {
        self.deliveries().outcome()
    }
}

#[derive(Debug, Default)]
struct ProducerState {
    outstanding: u64,
    failure: Option<(String, &'static str)>,
}

/// Counts what is on its way, and keeps the first failure.
#[derive(Debug, Default)]
struct Deliveries {
    standing: Mutex<ProducerState>,
    changed: Condvar,
    login: Option<Arc<Login>>,
}

impl Deliveries {
    fn lock(&self) -> MutexGuard<'_, ProducerState> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn await_all(&self) -> Result<()> {
        self.await_below(1)
    }

    /// Waits until a delivery makes room in the client's queue.
    fn await_room(&self) -> Result<()> {
        let now = self.lock().outstanding;
        // The record that waits is counted too, so there is room when the count has fallen by one.
        self.await_below(now.max(2))
    }

    fn await_below(&self, bound: u64) -> Result<()> {
        let deadline = now() + SETTLE_TIMEOUT;
        let mut standing = self.lock();
        while standing.outstanding >= bound && standing.failure.is_none() {
            let left = deadline.saturating_duration_since(now());
            if left.is_zero() {
                return Err(Error::external(format!("{} records are not acknowledged", standing.outstanding))
                    .hint("check that the brokers run and that enough replicas are in sync"));
            }
            standing = self.changed.wait_timeout(standing, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        standing.outcome().map(drop)
    }

    fn outcome(&self) -> Result<bool> {
        self.lock().outcome()
    }
}

impl ProducerState {
    /// Whether nothing is on its way; or the first failure.
    fn outcome(&self) -> Result<bool> {
        match &self.failure {
            Some((failure, hint)) => Err(Error::external(failure.clone()).hint(*hint)),
            None => Ok(self.outstanding == 0),
        }
    }
}

/// What to do about a record that was not taken.
fn advice(code: Option<RDKafkaErrorCode>) -> &'static str {
    use RDKafkaErrorCode as Code;
    match code {
        Some(Code::MessageSizeTooLarge) => {
            "raise `max.message.bytes` of the topic, and `message.max.bytes` under `kafka.librdkafka`; nothing is committed \
             meanwhile"
        }
        Some(Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend | Code::MessageTimedOut) => {
            "check that as many replicas are in sync as the topic's `min.insync.replicas` asks for; nothing is committed \
             meanwhile"
        }
        _ => "check the brokers; nothing is committed meanwhile",
    }
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Tokened {
        Login::refresh(self.login.as_deref())
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        trace_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(target: "librdkafka", %error, "{reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut standing = self.lock();
        standing.outstanding -= 1;
        if let Err((error, message)) = result {
            standing.failure.get_or_insert_with(|| {
                let failure = format!("topic `{}` did not take a record: {error}", message.topic());
                (failure, advice(error.rdkafka_error_code()))
            });
        }
        drop(standing);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_last_delivery_or_the_first_failure() {
        let deliveries = Deliveries::default();
        assert!(deliveries.await_all().is_ok());
        deliveries.lock().outstanding = 2;
        assert!(!deliveries.outcome().expect("nothing has failed"), "two are on their way");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| deliveries.await_all());
            deliveries.lock().failure = Some(("topic `t` did not take a record".into(), "look"));
            deliveries.changed.notify_all();
            assert_eq!(waiting.join().unwrap().unwrap_err().to_string(), "topic `t` did not take a record");
        });
        assert!(deliveries.outcome().is_err());
    }
}
