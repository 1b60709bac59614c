//! A service whose brokers are away: at the start, in between, and at the end.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use haldane::config::{KafkaConfig, Topics};
use haldane::kafka::clock::now;
use haldane::kafka::connection::Connection;
use haldane::kafka::producer::Producer;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext};

use crate::broker::Broker;
use crate::kafka::settings;
use crate::serve::ask;
use crate::service::{PATIENCE, Service, pipeline};

/// A cluster of one broker that can be taken away.
pub(crate) struct Cluster {
    pub(crate) mock: MockCluster<'static, DefaultProducerContext>,
    pub(crate) kafka: KafkaConfig,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let mock = MockCluster::new(1).unwrap();
        let kafka = KafkaConfig::plain(mock.bootstrap_servers(), "outage");
        let Topics { control, commands, state, dead_letter, .. } = &kafka.topics;
        for topic in ["predictions", control, commands, state, dead_letter] {
            mock.create_topic(topic, 1, 1).unwrap();
        }
        Self { mock, kafka }
    }
}

/// Asks until the answer has a status and says something.
pub(crate) fn until(service: &Service, path: &str, status: u16, says: &str) {
    let deadline = now() + PATIENCE;
    loop {
        let answer = ask(service.address(), "GET", path);
        if answer.status == status && answer.text().contains(says) {
            return;
        }
        assert!(now() < deadline, "{path} does not answer {status}: {}\n{}", answer.text(), service.lines().join("\n"));
    }
}

#[test]
fn an_outage_of_kafka_is_said_and_passes() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let path = pipeline(folder.path(), "predictions", &cluster.kafka, "");
    cluster.mock.broker_down(-1).unwrap();
    let mut service = Service::start(&path, &["--shards", "1"]);
    service.says("cannot start yet; waiting");
    until(&service, "/readyz", 503, "no answer from Kafka");
    cluster.mock.broker_up(-1).unwrap();
    until(&service, "/readyz", 200, "ready");
    assert!(
        ask(service.address(), "GET", "/metrics")
            .text()
            .contains("haldane_outage_seconds{of=\"kafka\",pipeline=\"world\"} 0\n")
    );
    cluster.mock.broker_down(-1).unwrap();
    until(&service, "/readyz", 503, "no answer from Kafka");
    assert_eq!(ask(service.address(), "GET", "/livez").status, 200);
    cluster.mock.broker_up(-1).unwrap();
    until(&service, "/readyz", 200, "ready");
    assert!(service.lines().iter().all(|line| !line.contains('\u{1b}')), "no colours in a file");
    service.signal("-TERM");
    assert!(service.ended().success());
}

#[test]
fn a_second_signal_ends_a_service_at_once_whatever_it_waits_for() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let path = pipeline(folder.path(), "predictions", &cluster.kafka, "");
    let mut service = Service::start(&path, &["--shards", "1"]);
    until(&service, "/readyz", 200, "ready");
    // Something to bury and to commit.
    let producer = Producer::open(&Connection::open(&cluster.kafka).unwrap()).unwrap();
    producer.send(BaseRecord::to("predictions").key(b"".as_slice()).payload(b"{".as_slice())).unwrap();
    producer.settle().unwrap();
    until(&service, "/metrics", 200, "haldane_events_rejected_total{pipeline=\"world\",reason=\"malformed\"} 1\n");
    cluster.mock.broker_down(-1).unwrap();
    service.signal("-TERM");
    service.says("stopping");
    let told_at = now();
    service.signal("-TERM");
    let status = service.ended();
    assert!(told_at.elapsed() < Duration::from_secs(10), "{status} after {:?}", told_at.elapsed());
}

/// With a store, many clients and few files that may be open, the store could not be written any more.
#[test]
fn clients_that_hang_leave_files_for_the_rest_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let away = KafkaConfig::plain("127.0.0.1:1", "away");
    let path = pipeline(folder.path(), "predictions", &away, "store: { path: store }\n");
    let mut command = Command::new("sh");
    let few = r#"ulimit -n 400; exec "$0" run --listen 127.0.0.1:0 -c "$1""#;
    command.args(["-c", few, env!("CARGO_BIN_EXE_haldane")]).arg(&path).current_dir(folder.path());
    let mut service = Service::of(command);
    let address = service.address();
    let hanging: Vec<TcpStream> = (0..500).map(|_| TcpStream::connect(address).unwrap()).collect();
    until(&service, "/livez", 200, "alive");
    let cannot = |line: &String| line.contains("Too many open files");
    assert!(!service.lines().iter().any(cannot), "{:?}", service.lines());
    drop(hanging);
    service.signal("-TERM");
    assert!(service.ended().success(), "it ends while it waits for Kafka");
}

#[test]
fn what_is_wrong_outside_lets_a_supervisor_start_again() {
    let broker = Broker::shared();
    let kafka = settings(broker);
    let folder = tempfile::tempdir().unwrap();
    let code = |path: &std::path::Path| Service::start(path, &[]).ended().code();
    let absent = pipeline(folder.path(), "no.such.topic", &kafka, "");
    assert_eq!(code(&absent), Some(3), "a topic may be made later");
    if let Some(login) = &broker.login {
        let text = std::fs::read_to_string(&absent).unwrap();
        let refused = text.replace(&broker.bootstrap, login).replace(
            "group:",
            "security: { protocol: sasl_plaintext, mechanism: PLAIN, username: haldane, password_file: password }, group:",
        );
        std::fs::write(folder.path().join("password"), "wrong").unwrap();
        std::fs::write(&absent, refused).unwrap();
        assert_eq!(code(&absent), Some(3), "a password may be changed on both sides, one after the other");
    }
    std::fs::write(&absent, "pipeline: world\nnonsense: 1\n").unwrap();
    assert_eq!(code(&absent), Some(2), "a mistake in the file does not mend itself");
}
