//! `haldane dlq` on a real broker: refused records are counted, shown, and sent back to where they came from.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;

use clap::Parser as _;
use haldane::config::KafkaConfig;
use haldane::kafka::dead_letter::readable_headers;
use haldane::kafka::producer::Producer;
use haldane::kafka::{Connection, whole_topic};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use crate::broker::Broker;
use crate::doctor::{cluster, pipeline};

/// What the command line prints.
fn said(kafka: &KafkaConfig, inputs: [&str; 2], words: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.yaml");
    fs::write(&file, pipeline(folder.path(), kafka, inputs)).unwrap();
    let words = ["haldane"].iter().chain(words).copied().chain(["-c", file.to_str().unwrap()]);
    let mut printed = Vec::new();
    haldane::cli::run(&haldane::cli::Cli::try_parse_from(words).unwrap(), &mut printed).unwrap();
    String::from_utf8(printed).unwrap()
}

/// Key, payload and headers of every record of a topic.
fn records(kafka: &KafkaConfig, topic: &str) -> Vec<(String, Vec<u8>, BTreeMap<String, String>)> {
    let mut all = Vec::new();
    whole_topic::read(&Connection::open(kafka).unwrap(), topic, |message| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = readable_headers(message).unwrap_or_default();
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect();
        all.push((text(message.key().unwrap_or_default()), message.payload().unwrap_or_default().to_vec(), headers));
    })
    .unwrap();
    all
}

#[test]
fn refused_records_are_counted_shown_and_sent_back() {
    let broker = Broker::shared();
    let kafka = cluster(broker);
    let (predictions, outcomes) = (broker.topic("predictions", 2), broker.topic("outcomes", 2));
    let inputs = [predictions.as_str(), outcomes.as_str()];
    let producer = Producer::open(&Connection::open(&kafka).unwrap()).unwrap();
    let long = format!("{{\"x\": \"{}\"", "y".repeat(950_000));
    let bad: [(&str, &[u8]); 4] = [("k1", b"{"), ("k2", b"{\"at\": 1}"), ("k3", b"\xff\x00{"), ("k4", long.as_bytes())];
    for (key, payload) in bad {
        let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some(key) });
        let record = BaseRecord::to(&predictions).partition(1).key(key.as_bytes()).payload(payload);
        producer.send(record.headers(headers)).unwrap();
    }
    producer.settle().unwrap();
    said(&kafka, inputs, &["run", "--until-end"]);

    let listed = said(&kafka, inputs, &["dlq", "list"]);
    let malformed = listed.lines().find(|line| line.contains(" malformed ")).unwrap_or_else(|| panic!("{listed}"));
    assert!(malformed.starts_with(&predictions) && malformed.contains("partition 1, offset "), "{listed}");
    assert!(listed.contains("missing_field") && listed.contains("newest"), "{listed}");
    let shown = said(&kafka, inputs, &["dlq", "show", "--reason", "missing_field"]);
    for part in
        ["missing_field: ", "partition 1, offset 1, row 0", "key: k2", "header trace: k2", "payload: {\"at\": 1}"]
    {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    assert!(!shown.contains("k1"), "{shown}");
    let newest = said(&kafka, inputs, &["dlq", "show", "--last", "2"]);
    assert!(newest.contains("payload: ff 00 7b\n") && newest.contains("only the beginning of 950"), "{newest}");
    assert!(newest.contains("… (900,000 bytes)") && !newest.contains("key: k2"), "{newest}");
    assert_eq!(said(&kafka, inputs, &["dlq", "list", "--source", &outcomes]), "no dead letters\n");

    let elsewhere = [("reason", "malformed"), ("detail", "d"), ("source.partition", "0"), ("source.offset", "0")];
    let elsewhere = elsewhere
        .iter()
        .chain(&[("source.topic", kafka.topics.control.as_str())])
        .fold(OwnedHeaders::new(), |headers, (name, value)| {
            headers.insert(Header { key: &format!("haldane.{name}"), value: Some(*value) })
        });
    let payload: &[u8] = b"{}";
    producer.send(BaseRecord::to(&kafka.topics.dead_letter).payload(payload).key(payload).headers(elsewhere)).unwrap();
    producer.settle().unwrap();
    let asked = said(&kafka, inputs, &["dlq", "redrive"]);
    assert_eq!(
        asked,
        "3 records would be sent back; 1 too long to be whole here stay; 1 of topics that this pipeline does not read \
         stay; --yes does it\n"
    );
    assert_eq!(records(&kafka, &predictions).len(), 4, "nothing was sent");
    let done = said(&kafka, inputs, &["dlq", "redrive", "--reason", "missing_field", "--since", "1h", "--yes"]);
    assert_eq!(done, "sent back: 1 record\n");
    let (key, payload, headers) = records(&kafka, &predictions).pop().unwrap();
    assert_eq!((key.as_str(), payload.as_slice()), ("k2", b"{\"at\": 1}".as_slice()));
    let expected = [("haldane.redriven", "1"), ("trace", "k2")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!(headers, BTreeMap::from(expected));

    // What is refused again says how often, and is not taken for another fault.
    said(&kafka, inputs, &["run", "--until-end"]);
    said(&kafka, inputs, &["dlq", "redrive", "--reason", "missing_field", "--yes"]);
    let again =
        records(&kafka, &predictions).iter().map(|(.., headers)| headers.get("haldane.redriven").cloned()).max();
    assert_eq!(again.flatten().as_deref(), Some("2"));
}
