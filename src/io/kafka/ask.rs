//! The other end of the commands topic: sends a command, and waits for what becomes of it.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::checkpoint::Stream;
use super::clock::now;
use super::cloud_event::{self, Letter};
use super::connection::{Connection, Errors};
use super::ports;
use super::producer::Producer;
use super::topics::{self, Own};
use crate::error::{Error, Result};
use crate::verdict::{Command, CommandResult};

/// How long a record is waited for at a time.
const POLL: Duration = Duration::from_millis(100);

/// Sends a command, and returns when the brokers have it and either its result has come or `wait` is over.
pub fn ask(connection: &Connection, command: &Command, wait: Duration) -> Result<Option<CommandResult>> {
    let own = &connection.settings().topics;
    topics::create(connection, &[&own.control, &own.commands].map(|name| Own::of(name)))?;
    // Found before the command is sent: its result can only come after that.
    let results = results(connection)?;
    let producer = Producer::open(connection)?;
    producer.send(Letter::command(command).to(&own.commands))?;
    producer.settle()?;
    let deadline = now() + wait;
    loop {
        let left = deadline.saturating_duration_since(now());
        if left.is_zero() {
            return Ok(None);
        }
        match results.poll(left.min(POLL)) {
            Some(Ok(message)) => match cloud_event::body_of::<CommandResult>(&message, cloud_event::RESULT) {
                Some(Ok(result)) if result.command.id == command.id => return Ok(Some(result)),
                _ => {}
            },
            Some(Err(error)) if matches!(error, KafkaError::MessageConsumptionFatal(_)) => return Err(unread(error)),
            // The client goes on by itself after everything else.
            _ => {}
        }
    }
}

/// A reader of the control topic, at its present end.
fn results(connection: &Connection) -> Result<BaseConsumer<Errors>> {
    let topic = &connection.settings().topics.control;
    let reader = connection.reader("results")?;
    let count = ports::Consumer::partitions(&reader, topic)?.unwrap_or(1);
    let streams: Vec<Stream> =
        (0..count).map(|lane| Stream { source: 0, lane, topic: topic.clone(), kind: None }).collect();
    let mut start = TopicPartitionList::new();
    for (partition, end) in (0..).zip(ports::Consumer::ends(&reader, &streams)?) {
        start.add_partition_offset(topic, partition, Offset::Offset(end)).map_err(unread)?;
    }
    reader.assign(&start).map_err(unread)?;
    Ok(reader)
}

fn unread(error: KafkaError) -> Error {
    Error::external("cannot read what becomes of commands").because(error)
}
