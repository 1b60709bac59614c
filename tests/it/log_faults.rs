//! What becomes of a service when the log itself is at fault: a topic made anew, records deleted before they were read,
//! records too long to send or to read, and too few replicas.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use haldane::config::KafkaConfig;
use haldane::judge::WindowRow;
use haldane::kafka::connection::Connection;
use haldane::kafka::producer::Producer;
use haldane::kafka::whole_topic;
use haldane::output::read_windows;
use haldane::trust::Trust;
use rdkafka::message::Message as _;
use rdkafka::producer::BaseRecord;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::json;
use tempfile::TempDir;

use crate::broker::Broker;
use crate::kafka::settings;
use crate::live::at_epoch;
use crate::outage::Cluster;
use crate::service::{Service, pipeline};
use crate::world::{self, Event};

/// A rule that finds the failing candidate of the world's log.
const RULE: &str = "guards: off
policy:
  - { name: errors, metric: error_rate, against: difference, above: 0.1, min_n: 5, action: contain, cap: 5% }
";

/// A topic of predictions, and a pipeline over it.
struct Scene {
    kafka: KafkaConfig,
    topic: String,
    folder: TempDir,
}

impl Scene {
    fn of(kafka: KafkaConfig, topic: String) -> Self {
        Self { kafka, topic, folder: tempfile::tempdir().unwrap() }
    }

    fn new() -> Self {
        let broker = Broker::shared();
        Self::of(settings(broker), broker.topic("predictions", 1))
    }

    /// The pipeline file, with more keys of `kafka` before its end.
    fn pipeline(&self, kafka: &str) -> PathBuf {
        let path = pipeline(self.folder.path(), &self.topic, &self.kafka, RULE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("dead_letter_topic:", &format!("{kafka} dead_letter_topic:"))).unwrap();
        path
    }

    fn producer(&self) -> Producer {
        Producer::open(&Connection::open(&self.kafka).unwrap()).unwrap()
    }

    fn produce(&self, events: &[Event]) {
        let producer = self.producer();
        for event in events.iter().filter(|event| event.source == 0) {
            let body = json!({
                "at": event.time, "id": format!("{:016x}", event.id), "model": "m", "version": event.version,
                "status": event.status, "score": (event.status == 200).then_some(event.score),
            });
            let body = if event.refused { "{".to_owned() } else { body.to_string() };
            let record = BaseRecord::to(&self.topic).key(b"".as_slice()).payload(body.as_bytes());
            producer.send(record.timestamp(event.broker_time / 1_000)).unwrap();
        }
        producer.settle().unwrap();
    }

    /// Reads up to the ends of the logs: exit code, what was said, and the windows of all traffic by their trust.
    fn run(&self, kafka: &str, more: &[&str]) -> (Option<i32>, String, Vec<(Trust, String)>) {
        let windows = self.folder.path().join("windows.jsonl");
        let _ = std::fs::remove_file(&windows);
        let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
        command.args(["run", "--until-end", "--shards", "1", "-c"]).arg(self.pipeline(kafka)).args(more);
        let output = command.arg("--windows").arg(&windows).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), said, trusts(&windows))
    }

    /// The series that says so.
    fn all_is_read(&self) -> String {
        format!("haldane_lag_records{{partition=\"0\",pipeline=\"world\",topic=\"{}\"}} 0\n", self.topic)
    }

    fn n_records(&self, topic: &str) -> usize {
        let mut n = 0;
        whole_topic::read(&Connection::open(&self.kafka).unwrap(), topic, |message| {
            n += usize::from(message.payload().is_some());
        })
        .unwrap();
        n
    }
}

/// Windows in their order: how far each is trusted, and why not further.
fn trusts(file: &Path) -> Vec<(Trust, String)> {
    let mut rows: Vec<WindowRow> = Vec::new();
    if file.exists() {
        read_windows(file, |row| rows.push(row)).unwrap();
    }
    rows.sort_by_key(|row| row.window_end);
    rows.dedup_by_key(|row| row.window_end);
    rows.into_iter().map(|row| (row.trust, row.doubts)).collect()
}

fn log() -> Vec<Event> {
    at_epoch(world::log(7, 1_500))
}

#[test]
fn poison_on_the_topic_is_told_beside_every_verdict_and_nothing_passes() {
    let scene = Scene::new();
    let mut log = log();
    for event in log.iter_mut().filter(|event| event.source == 0).step_by(4) {
        event.refused = true;
    }
    scene.produce(&log);
    let (code, said, windows) = scene.run("", &[]);
    assert_eq!(code, Some(0), "{said}");
    let untrusted = windows.iter().filter(|(trust, why)| *trust == Trust::Untrusted && why.contains("poison"));
    assert!(untrusted.count() * 10 >= windows.len() * 8, "{windows:?}");
    let path = scene.pipeline("");
    let asked = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_haldane")).args(words).arg("-c").arg(&path).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, told) = asked(&["gate", "--candidate", "v2"]);
    assert_ne!(code, Some(0), "{told}");
    let (_, told) = asked(&["rollouts"]);
    assert!(told.contains("UNTRUSTED"), "{told}");
    assert!(scene.n_records(&scene.kafka.topics.control) > 0, "and it is contained all the same");
}

#[test]
fn records_that_were_deleted_before_they_were_read_make_their_windows_untrusted_or_end_the_process() {
    let scene = Scene::new();
    let log = log();
    let (first, second) = log.split_at(log.len() / 2);
    scene.produce(first);
    // The windows at the end are not finished: what they rest on is read again.
    let mut service = Service::start(&scene.pipeline(""), &["--shards", "1"]);
    crate::outage::until(&service, "/metrics", 200, &scene.all_is_read());
    service.signal("-TERM");
    assert!(service.ended().success());
    scene.produce(second);
    let read = first.iter().filter(|event| event.source == 0).count();
    Broker::shared().cut(&scene.topic, i64::try_from(read + 20).unwrap());
    let (code, said, _) = scene.run("on_gap: halt,", &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("were deleted before they were read") && said.contains("on_gap: resume"), "{said}");
    let (code, said, windows) = scene.run("on_gap: resume,", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("were deleted before they were read"), "{said}");
    let (lacking, whole): (Vec<_>, Vec<_>) = windows.iter().partition(|(_, why)| why.contains("untrusted_gaps"));
    assert!((1..=3).contains(&lacking.len()) && whole.len() >= 5, "{windows:?}");
    assert!(whole.iter().all(|(trust, _)| *trust == Trust::Ok), "{windows:?}");
}

#[test]
fn a_topic_that_is_made_anew_while_it_is_read_ends_the_process_and_is_read_from_its_beginning() {
    let (broker, scene) = (Broker::shared(), Scene::new());
    let log = log();
    scene.produce(&log);
    let path = scene.pipeline("");
    let mut service = Service::start(&path, &["--shards", "1"]);
    crate::outage::until(&service, "/readyz", 200, "ready");
    crate::outage::until(&service, "/metrics", 200, "haldane_windows_total{pipeline=\"world\",trust=\"ok\"} 19\n");
    broker.make_anew(&scene.topic, 1);
    let code = service.ended().code();
    assert_eq!(code, Some(3), "{}", service.lines().join("\n"));
    let said = service.lines().join("\n");
    assert!(said.contains("an input topic") || said.contains("was made anew"), "{said}");
    scene.produce(&log[..log.len() / 3]);
    // Brokers forget what was committed along with the topic, so nothing tells that there was another one.
    let (code, said, windows) = scene.run("on_gap: halt,", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(windows.len() > 3 && said.contains(" 0 decisions"), "what was decided is not decided again: {said}");
}

#[test]
fn a_record_that_is_too_long_to_send_ends_the_process_and_commits_nothing() {
    let broker = Broker::shared();
    let control = broker.topic_with("control", 1, &[("max.message.bytes", "600")]);
    let mut kafka = settings(broker);
    kafka.topics.control.clone_from(&control);
    let scene = Scene::of(kafka, broker.topic("predictions", 1));
    scene.produce(&log());
    for _ in 0..2 {
        let (code, said, _) = scene.run("", &[]);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains(&control) && said.contains("Message size too large"), "{said}");
        assert!(said.contains("max.message.bytes"), "it says what to do: {said}");
        assert_eq!(scene.n_records(&control), 0);
    }
    broker.alter(&control, &[("max.message.bytes", "1000000")]);
    let (code, said, _) = scene.run("", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(scene.n_records(&control) > 0, "nothing was lost");
}

#[test]
fn a_record_far_longer_than_others_is_read_and_refused_alone() {
    let broker = Broker::shared();
    let topic = broker.topic_with("predictions", 1, &[("max.message.bytes", "20000000")]);
    let scene = Scene::of(settings(broker), topic);
    let log = log();
    scene.produce(&log[..200]);
    let huge = format!("{{\"id\": \"{}\"}}", "y".repeat(9_000_000));
    let mut kafka = scene.kafka.clone();
    kafka.librdkafka.insert("message.max.bytes".into(), "20000000".into());
    let producer = Producer::open(&Connection::open(&kafka).unwrap()).unwrap();
    producer.send(BaseRecord::to(&scene.topic).key(b"long".as_slice()).payload(huge.as_bytes())).unwrap();
    producer.settle().unwrap();
    scene.produce(&log[200..]);
    let (code, said, windows) = scene.run("", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 too_long") || said.contains("1 missing_field"), "{said}");
    assert!(windows.len() > 15, "the rest goes on: {windows:?}");
    let mut letters = Vec::new();
    whole_topic::read(&Connection::open(&scene.kafka).unwrap(), &scene.kafka.topics.dead_letter, |message| {
        letters.push((message.key().unwrap_or_default().to_vec(), message.payload_len()));
    })
    .unwrap();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].0 == b"long" && letters[0].1 < 1_000_000, "its beginning: {:?}", letters[0].1);
}

#[test]
fn too_few_replicas_in_sync_end_the_process_after_a_while_and_commit_nothing() {
    let cluster = Cluster::start();
    let scene = Scene::of(cluster.kafka.clone(), "predictions".to_owned());
    scene.produce(&log());
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 1_000];
    cluster.mock.request_errors(RDKafkaApiKey::Produce, &refused);
    let (code, said, _) = scene.run("librdkafka: { delivery.timeout.ms: 3000 },", &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("did not take a record") && said.contains("min.insync.replicas"), "{said}");
    cluster.mock.clear_request_errors(RDKafkaApiKey::Produce);
    assert_eq!(scene.n_records(&scene.kafka.topics.control), 0);
    let (code, said, _) = scene.run("", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(scene.n_records(&scene.kafka.topics.control) > 0, "nothing was lost");
}

/// A broker asks for no more replicas in sync than a topic has.
#[test]
fn two_replicas_asked_of_a_topic_with_one_hold_nothing_up() {
    let broker = Broker::shared();
    let control = broker.topic_with("control", 1, &[("min.insync.replicas", "2")]);
    let mut kafka = settings(broker);
    kafka.topics.control.clone_from(&control);
    let scene = Scene::of(kafka, broker.topic("predictions", 1));
    scene.produce(&log());
    let (code, said, _) = scene.run("", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(scene.n_records(&control) > 0);
}
