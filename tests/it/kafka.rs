//! The Kafka shell against a real Apache Kafka.

use crate::broker::Broker;

#[test]
fn the_broker_serves() {
    let broker = Broker::shared();
    let topic = broker.topic("smoke", 3);
    assert!(topic.starts_with("smoke."));
}
