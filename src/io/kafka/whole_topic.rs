//! Reads a small topic from its beginning to its present end, or follows it from there: the state topic, any topic in
//! tests.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::clock::now;
use super::connection::{Connection, Errors, REQUEST_TIMEOUT};
use super::topics;
use crate::error::{Error, Result};

/// Without any record for so long, the read has failed.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Calls `take` with every record; those of one partition come in their order.
pub fn read(connection: &Connection, topic: &str, take: impl FnMut(&BorrowedMessage<'_>)) -> Result<()> {
    read_from(connection, topic, Offset::Beginning, take)
}

/// Calls `take` with every record of each partition from a place on; those of one partition come in their order.
pub fn read_from(
    connection: &Connection,
    topic: &str,
    from: Offset,
    mut take: impl FnMut(&BorrowedMessage<'_>),
) -> Result<()> {
    let (consumer, mut left) = assigned_from(connection, topic, from)?;
    let mut deadline = now() + STALL_TIMEOUT;
    while !left.is_empty() {
        match consumer.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => {
                take(&message);
                deadline = now() + STALL_TIMEOUT;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(left.remove(&partition)),
            // The client goes on by itself after most errors.
            _ if now() < deadline => {}
            Some(Err(error)) => return Err(failed(topic, error)),
            None => return Err(Error::external(format!("reading topic `{topic}` has stalled"))),
        }
    }
    Ok(())
}

/// Calls `take` with every record, also with those that are still to come, and `done` whenever all there are have been
/// read; ends with its answer, or without one when the time is up.
pub fn follow<S, T>(
    connection: &Connection,
    topic: &str,
    patience: Duration,
    state: &mut S,
    take: impl Fn(&mut S, &BorrowedMessage<'_>),
    mut done: impl FnMut(&S) -> Option<T>,
) -> Result<Option<T>> {
    let deadline = now() + patience;
    let (consumer, mut left) = assigned(connection, topic)?;
    // What is there already is read in any case.
    let stalled = now() + STALL_TIMEOUT;
    while now() < deadline || (!left.is_empty() && now() < stalled) {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => take(state, &message),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                left.remove(&partition);
                if let Some(answer) = left.is_empty().then(|| done(state)).flatten() {
                    return Ok(Some(answer));
                }
            }
            Some(Err(_)) | None => {}
        }
    }
    if left.is_empty() { Ok(None) } else { Err(Error::external(format!("reading topic `{topic}` has stalled"))) }
}

/// A reader at the beginning of every partition, and the partitions.
pub fn assigned(connection: &Connection, topic: &str) -> Result<(BaseConsumer<Errors>, BTreeSet<i32>)> {
    assigned_from(connection, topic, Offset::Beginning)
}

fn assigned_from(connection: &Connection, topic: &str, from: Offset) -> Result<(BaseConsumer<Errors>, BTreeSet<i32>)> {
    let consumer: BaseConsumer<Errors> = connection.reader(topic)?;
    let count = topics::partitions(consumer.client(), topic)?
        .ok_or_else(|| Error::external(format!("topic `{topic}` does not exist")))?;
    let partitions: BTreeSet<i32> = (0..).take(count as usize).collect();
    let mut whole = TopicPartitionList::new();
    for &partition in &partitions {
        await_end(&consumer, topic, partition)?;
        whole.add_partition_offset(topic, partition, from).map_err(|error| failed(topic, error))?;
    }
    consumer.assign(&whole).map_err(|error| failed(topic, error))?;
    Ok((consumer, partitions))
}

/// A partition that another broker has just come to lead ends, for a moment, before the last records that were
/// acknowledged: reading it would stop there. Whoever asks for the end is refused meanwhile (KIP-207).
fn await_end(consumer: &BaseConsumer<Errors>, topic: &str, partition: i32) -> Result<()> {
    let deadline = now() + STALL_TIMEOUT;
    loop {
        match consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT) {
            Ok(_) => return Ok(()),
            Err(error) if now() >= deadline => return Err(failed(topic, error)),
            // Polling passes the time and serves the client.
            Err(_) => drop(consumer.poll(Duration::from_millis(50))),
        }
    }
}

/// A topic that cannot be read.
pub fn failed(topic: &str, error: KafkaError) -> Error {
    Error::external(format!("cannot read topic `{topic}`")).because(error)
}
