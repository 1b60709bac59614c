//! Puts an archived log, one JSON envelope per line (`topic`, `key`, `timestamp_us`, `value`), onto Kafka topics.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use haldane::config::KafkaConfig;
use haldane::event::stable_hash;
use haldane::kafka::connection::Connection;
use haldane::kafka::producer::Producer;
use rdkafka::producer::BaseRecord;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::broker::Broker;

#[derive(Deserialize)]
struct Envelope<'a> {
    topic: String,
    key: String,
    timestamp_us: i64,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// The partition that a key belongs to, on every topic.
fn partition(key: &str, partitions: u32) -> i32 {
    i32::try_from(stable_hash(key.as_bytes()) % u64::from(partitions)).unwrap()
}

/// The archive as it would have been written of topics keyed by the prediction id.
pub(crate) fn keyed(archive: &Path, partitions: u32) -> String {
    let keyed = |line: &str| {
        let mut envelope: Value = serde_json::from_str(line).unwrap();
        envelope["partition"] = partition(envelope["key"].as_str().unwrap(), partitions).into();
        format!("{envelope}\n")
    };
    std::fs::read_to_string(archive).unwrap().lines().map(keyed).collect()
}

/// Makes a topic for every one in the archive and fills it: the same key in the same partition of each, values to the
/// byte, times to the millisecond. Returns the topics by their names in the archive.
pub(crate) fn produce(
    broker: &Broker,
    kafka: &KafkaConfig,
    archive: &Path,
    partitions: u32,
) -> BTreeMap<String, String> {
    let producer = Producer::open(&Connection::open(kafka).unwrap()).unwrap();
    let mut topics: BTreeMap<String, String> = BTreeMap::new();
    for line in std::fs::read_to_string(archive).unwrap().lines() {
        let envelope: Envelope<'_> = serde_json::from_str(line).unwrap();
        let make = || broker.topic(&envelope.topic, i32::try_from(partitions).unwrap());
        let topic = topics.entry(envelope.topic.clone()).or_insert_with(make);
        let partition = partition(&envelope.key, partitions);
        let mut record = BaseRecord::to(topic).partition(partition).key(envelope.key.as_bytes());
        record.payload = envelope.value.map(|value| value.get().as_bytes());
        producer.send(record.timestamp(envelope.timestamp_us / 1_000)).unwrap();
    }
    producer.settle().unwrap();
    topics
}
