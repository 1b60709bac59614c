//! Reads a small topic from its beginning to its present end: the state topic at the start, any topic in tests.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::clock::now;
use super::connection::{Connection, Errors};
use super::topics;
use crate::error::{Error, Result};

/// Without any record for so long, the read has failed.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Calls `take` with every record; those of one partition come in their order.
pub fn read(connection: &Connection, topic: &str, mut take: impl FnMut(&BorrowedMessage<'_>)) -> Result<()> {
    let failed = |error: KafkaError| Error::external(format!("cannot read topic `{topic}`")).because(error);
    let consumer: BaseConsumer<Errors> = connection.reader(topic)?;
    let count = topics::partitions(consumer.client(), topic)?
        .ok_or_else(|| Error::external(format!("topic `{topic}` does not exist")))?;
    let mut left: BTreeSet<i32> = (0..).take(count as usize).collect();
    let mut whole = TopicPartitionList::new();
    for &partition in &left {
        whole.add_partition_offset(topic, partition, Offset::Beginning).map_err(failed)?;
    }
    consumer.assign(&whole).map_err(failed)?;
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
            Some(Err(error)) => return Err(failed(error)),
            None => return Err(Error::external(format!("reading topic `{topic}` has stalled"))),
        }
    }
    Ok(())
}
