//! `haldane doctor` on a real broker: what is sound is called so, and each thing that is not is named with what to do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use clap::Parser as _;
use haldane::config::{KafkaConfig, Topics};
use haldane::error::Result;
use haldane::kafka::Connection;
use haldane::kafka::clock::wall_clock;
use haldane::kafka::producer::Producer;
use rdkafka::producer::BaseRecord;
use serde_json::json;

use crate::broker::Broker;

/// A pipeline whose topics are given, with labels for a day.
pub(crate) fn pipeline(folder: &Path, kafka: &KafkaConfig, inputs: [&str; 2]) -> String {
    let ([predictions, outcomes], own) = (inputs, &kafka.topics);
    format!(
        "pipeline: doctor
task: binary
sources:
  predictions: {{ topic: {predictions}, event_time: {{ path: at, unit: us }}, id: id, version: version, score: score }}
  outcomes: {{ topic: {outcomes}, id: id, label: label }}
rollout: {{ baseline: v1 }}
windows: {{ size: 5m }}
labels: {{ wait: 1h, horizon: 1d }}
store: {{ path: {store} }}
memory: 2GB
spill: {spill}
kafka:
  brokers: {brokers}
  group: {group}
  control_topic: {}
  commands_topic: {}
  state_topic: {}
  partials_topic: {}
  dead_letter_topic: {}
",
        own.control,
        own.commands,
        own.state,
        own.partials,
        own.dead_letter,
        store = folder.join("store").display(),
        spill = folder.join("spill").display(),
        brokers = kafka.brokers,
        group = kafka.group,
    )
}

/// What the doctor prints, and how it ends.
fn examined(kafka: &KafkaConfig, inputs: [&str; 2]) -> (String, Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("doctor.yaml");
    fs::write(&file, pipeline(folder.path(), kafka, inputs)).unwrap();
    let cli = haldane::cli::Cli::try_parse_from(["haldane", "doctor", "-c", file.to_str().unwrap()]).unwrap();
    let mut printed = Vec::new();
    let ended = haldane::cli::run(&cli, &mut printed);
    (String::from_utf8(printed).unwrap(), ended)
}

/// A cluster on which haldane has no topics yet.
pub(crate) fn cluster(broker: &Broker) -> KafkaConfig {
    let name = |of: &str| broker.name(of);
    let topics = Topics {
        control: name("control"),
        commands: name("commands"),
        state: name("state"),
        partials: name("partials"),
        dead_letter: name("deadletter"),
        exposures: name("exposures"),
        windows: None,
    };
    KafkaConfig { topics, ..KafkaConfig::plain(&broker.bootstrap, name("doctor")) }
}

fn send(kafka: &KafkaConfig, topic: &str, bodies: &[String]) {
    let producer = Producer::open(&Connection::open(kafka).unwrap()).unwrap();
    for (place, body) in bodies.iter().enumerate() {
        let key = place.to_string();
        producer.send(BaseRecord::to(topic).partition(0).key(key.as_bytes()).payload(body.as_bytes())).unwrap();
    }
    producer.settle().unwrap();
}

fn prediction(at: i64) -> String {
    json!({ "at": at, "id": at.to_string(), "version": "v1", "score": 0.5 }).to_string()
}

#[test]
fn a_sound_cluster_is_called_so_and_left_as_it_was() {
    let broker = Broker::shared();
    let kafka = cluster(broker);
    let predictions = broker.topic_with("predictions", 2, &[("retention.ms", "-1")]);
    let appended = [("message.timestamp.type", "LogAppendTime"), ("retention.ms", "604800000")];
    let outcomes = broker.topic_with("outcomes", 2, &appended);
    let now = wall_clock();
    send(&kafka, &predictions, &(0..300).map(|place| prediction(now - place)).collect::<Vec<_>>());
    send(&kafka, &outcomes, &[json!({ "id": "1", "label": 1 }).to_string()]);
    let (told, ended) = examined(&kafka, [&predictions, &outcomes]);
    ended.unwrap();
    assert!(told.lines().all(|line| line.starts_with("ok ")), "{told}");
    for said in [
        "keeps everything; a restart may read back",
        "keeps 7 d; a restart may read back",
        "is not there, and will be made",
        "500 bytes of it",
        "begins with what the topics hold: 301 records",
        "its newest 200 records can be read",
        "can be written, read and deleted",
    ] {
        assert!(told.contains(said), "{said:?} is not in\n{told}");
    }
    let again = examined(&kafka, [&predictions, &outcomes]).0;
    assert!(again.contains("is not there, and will be made"), "nothing was made: {again}");
}

#[test]
fn what_is_wrong_is_named_with_what_to_do() {
    let broker = Broker::shared();
    let mut kafka = cluster(broker);
    kafka.topics.partials = broker.topic("partials", 3);
    kafka.topics.control = broker.topic("control", 3);
    kafka.topics.state = broker.topic("state", 1);
    let predictions = broker.topic_with("predictions", 1, &[("retention.ms", "3600000")]);
    let outcomes = broker.topic_with("outcomes", 1, &[("cleanup.policy", "compact")]);
    send(&kafka, &predictions, &[prediction(wall_clock()), "{\"at\": 1}".to_owned()]);
    let (told, ended) = examined(&kafka, [&predictions, &outcomes]);
    assert_eq!(ended.unwrap_err().exit_code(), 1);
    let control = told.lines().find(|line| line.contains(&kafka.topics.control)).unwrap();
    assert!(control.starts_with("ok "), "keys keep its order: {control}");
    for (subject, said, advice) in [
        (&kafka.topics.partials, "has 3 partitions", "with one partition"),
        (&kafka.topics.state, "is not compacted", "set cleanup.policy=compact"),
        (&predictions, "keeps 1 h, and a restart may read back", "set retention.ms"),
        (&predictions, "1 of the newest 2 records are refused; offset 1", "correct the fields"),
        (&outcomes, "is compacted", "set cleanup.policy=delete"),
        (&outcomes, "the times of its producers", "message.timestamp.type=LogAppendTime"),
        (&outcomes, "is empty", "see that its producers run"),
    ] {
        let mut lines = told.lines();
        let found = lines.find(|line| line.contains(subject.as_str()) && line.contains(said));
        assert!(found.is_some_and(|line| !line.starts_with("ok ")), "{subject}: {said:?} is not in\n{told}");
        assert!(lines.next().is_some_and(|line| line.contains("→") && line.contains(advice)), "{advice:?}: {told}");
    }
}

#[test]
fn outcomes_that_would_not_meet_their_predictions_are_wrong() {
    let broker = Broker::shared();
    let kafka = cluster(broker);
    let (predictions, outcomes) = (broker.topic("predictions", 2), broker.topic("outcomes", 3));
    let (told, ended) = examined(&kafka, [&predictions, &outcomes]);
    assert_eq!(ended.unwrap_err().exit_code(), 1);
    assert!(told.contains("outcomes would not meet their predictions"), "{told}");
    let nobody = KafkaConfig::plain("127.0.0.1:1", "nobody");
    let (told, ended) = examined(&nobody, ["p", "o"]);
    assert!(ended.is_err() && told.contains("no answer from Kafka at 127.0.0.1:1"), "{told}");
}
