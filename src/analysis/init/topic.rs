//! The first records of a topic, for those who want to know what is in it.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;

use super::TopicSample;
use crate::error::{Error, Result};
use crate::kafka::Connection;
use crate::kafka::clock::now;
use crate::kafka::dead_letter::readable_headers;
use crate::kafka::reader::record;
use crate::kafka::whole_topic::{assigned, failed};

/// Reads up to `records` events of a topic, or as many as its last record brings, from the beginning of every partition
/// alike, for at most `patience`. What comes after the present end is not waited for.
///
/// # Errors
/// When the topic does not exist or cannot be read.
pub fn read(connection: &Connection, topic: &str, records: usize, patience: Duration) -> Result<TopicSample> {
    let mut sample = TopicSample::new(connection.settings(), topic);
    let (consumer, partitions) = assigned(connection, topic)?;
    let quota = records.div_ceil(partitions.len().max(1));
    let mut wanted: BTreeMap<i32, usize> = partitions.into_iter().map(|partition| (partition, quota)).collect();
    let mut trouble = None;
    let deadline = now() + patience;
    while !wanted.is_empty() && now() < deadline {
        match consumer.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => {
                let Some(left) = wanted.get_mut(&message.partition()) else { continue };
                let lane = u32::try_from(message.partition()).unwrap_or(0);
                let n = sample.push(lane, &record(&message, &readable_headers(&message).unwrap_or_default()));
                *left = left.saturating_sub(n.max(1));
                if *left == 0 {
                    wanted.remove(&message.partition());
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(wanted.remove(&partition)),
            Some(Err(error)) => trouble = Some(error),
            None => {}
        }
    }
    match trouble {
        Some(error) if sample.n() == 0 => Err(failed(topic, error)),
        None if sample.n() == 0 && !wanted.is_empty() => {
            Err(Error::external(format!("topic `{topic}` gave nothing within {} s", patience.as_secs()))
                .hint("give it more time with --seconds"))
        }
        _ => Ok(sample),
    }
}
