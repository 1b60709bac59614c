//! Whether Kafka answers, asked on a thread of its own: those that work may have to wait for it.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;

use crate::config::KafkaConfig;
use crate::error::{Error, Result};
use crate::kafka::Connection;
use crate::serve::Shared;
use crate::serve::health::KAFKA;

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(2);

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for as long as it is there. Nobody waits for the thread: it may be in the middle of a question.
#[derive(Debug)]
pub(in crate::cli) struct Probe {
    /// Closed to end the thread.
    _end: Sender<()>,
}

impl Probe {
    /// Starts the thread.
    pub(in crate::cli) fn start(kafka: &KafkaConfig, shared: &Arc<Shared>) -> Result<Self> {
        let (end, ended) = channel();
        let (kafka, shared) = (kafka.clone(), Arc::clone(shared));
        let work = move || {
            let mut ask = asking(kafka);
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                shared.reached(KAFKA, ask());
            }
        };
        let thread = std::thread::Builder::new().name("haldane-probe".to_owned()).spawn(work);
        thread.map_err(|error| Error::internal("cannot start a thread").because(error))?;
        Ok(Self { _end: end })
    }
}

/// Asks once; whether there was an answer. The connection is made when it can be, and kept.
fn asking(kafka: KafkaConfig) -> impl FnMut() -> bool {
    let mut reader = None;
    move || {
        let mut ask = || -> Result<()> {
            if reader.is_none() {
                reader = Some(Connection::open(&kafka)?.reader("reach")?);
            }
            let Some(reader) = &reader else { return Ok(()) };
            while reader.poll(Duration::ZERO).is_some() {}
            let answer = reader.client().fetch_metadata(Some(&kafka.topics.control), PATIENCE);
            answer.map(drop).map_err(|error| Error::external("the brokers do not answer").because(error))
        };
        ask().inspect_err(|error| tracing::warn!(%error, "no answer from Kafka")).is_ok()
    }
}
