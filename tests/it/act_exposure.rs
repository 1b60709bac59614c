//! Shares of traffic that an adapter sees at its target count as declared, over a real Kafka: they are shown, followed,
//! and a router that sends something else is found; a replay of the topics says the same.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use haldane::config::KafkaConfig;
use haldane::kafka::clock::wall_clock;
use haldane::kafka::cloud_event::{DECISION, EXPOSURE, attribute, body_of};
use haldane::kafka::ports::Incoming as _;
use haldane::kafka::producer::Producer;
use haldane::kafka::{Connection, states, whole_topic};
use haldane::reason::ReasonCode;
use haldane::verdict::{Decision, RolloutState};
use rdkafka::producer::BaseRecord;
use serde_json::{Value, json};

use crate::act::until;
use crate::broker::Broker;
use crate::kafka::settings;
use crate::one_log::haldane;
use crate::service::Service;

/// From one handful of requests to the next.
const BEAT: Duration = Duration::from_millis(100);
const REQUESTS: u64 = 10;

struct Routed {
    folder: tempfile::TempDir,
    kafka: KafkaConfig,
    requests: String,
    /// Share of v2 that the router really sends, percent.
    sent: AtomicU64,
    ended: AtomicBool,
}

impl Routed {
    fn set() -> Self {
        let broker = Broker::shared();
        let (kafka, requests) = (settings(broker), broker.topic("predictions", 1));
        let folder = tempfile::tempdir().unwrap();
        let routed = Self { folder, kafka, requests, sent: AtomicU64::new(20), ended: AtomicBool::new(false) };
        let topics = &routed.kafka.topics;
        let text = format!(
            "pipeline: routed
sources:
  predictions:
    topic: {}
    event_time: {{ path: at, unit: us }}
    id: id
    model: {{ constant: fraud }}
    version: version
    status: status
rollout: {{ baseline: v1, authority: auto, acks: true }}
windows: {{ size: 2s, lateness: 1s, idle_after: 3s }}
baselines: [concurrent]
kafka: {{ brokers: '{}', group: {}, control_topic: {}, commands_topic: {}, state_topic: {},
  partials_topic: {}, dead_letter_topic: {}, exposures_topic: {} }}
act:
  - {{ name: flags, every: 1s, exposure: true, file: {{ path: flags.json, share: {{ weight: '/{{candidate}}', rest: '/{{baseline}}' }} }} }}
",
            routed.requests,
            routed.kafka.brokers,
            routed.kafka.group,
            topics.control,
            topics.commands,
            topics.state,
            topics.partials,
            topics.dead_letter,
            topics.exposures
        );
        fs::write(routed.config(), text).unwrap();
        routed.declare(20);
        routed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> PathBuf {
        self.path("routed.yaml")
    }

    fn connection(&self) -> Connection {
        Connection::open(&self.kafka).unwrap()
    }

    /// Somebody writes a weight; the router follows it.
    fn declare(&self, share: u64) {
        let path = self.path("flags.json");
        fs::write(&path, format!("{{ \"v1\": {}, \"v2\": {share} }}\n", 100 - share)).unwrap();
        self.sent.store(share, Ordering::Relaxed);
    }

    /// Requests as they come, until the end.
    fn route(&self) {
        let producer = Producer::open(&self.connection()).unwrap();
        let (mut sum, mut number) = (0, 0_u64);
        while !self.ended.load(Ordering::Relaxed) {
            for _ in 0..REQUESTS {
                // Shares are exact: each request adds to the sum what v2 is owed.
                sum += self.sent.load(Ordering::Relaxed);
                let version = if sum >= 100 { "v2" } else { "v1" };
                (sum, number) = (sum % 100, number + 1);
                let (at, id) = (wall_clock(), format!("r-{number}"));
                let body = json!({ "at": at, "id": id, "version": version, "status": 200 }).to_string();
                let record = BaseRecord::to(&self.requests).key(id.as_bytes()).payload(body.as_bytes());
                producer.send(record.timestamp(at / 1_000)).unwrap();
            }
            producer.settle().unwrap();
            std::thread::park_timeout(BEAT);
        }
    }

    fn v2(&self) -> Option<RolloutState> {
        states::read(&self.connection(), "routed").unwrap().into_iter().find(|state| state.candidate == "v2")
    }

    fn shows(&self, share: f64) {
        let is_it = |state: &RolloutState| state.declared_pct.is_some_and(|declared| (declared - share).abs() < 1e-6);
        until(&format!("a declared share of {share} %"), || self.v2().filter(is_it));
    }

    fn decisions(&self) -> Vec<Decision> {
        let mut all: Vec<Decision> = Vec::new();
        whole_topic::read(&self.connection(), &self.kafka.topics.control, |message| {
            all.extend(body_of::<Decision>(message, DECISION).map(Result::unwrap));
        })
        .unwrap();
        all
    }

    fn mismatch(&self) -> Option<Decision> {
        self.decisions().into_iter().find(|decision| decision.reason.code == ReasonCode::TrafficMismatch)
    }

    /// The records of a topic in an archive.
    fn archive(&self, topic: &str, name: &str) -> PathBuf {
        let mut lines = String::new();
        whole_topic::read(&self.connection(), topic, |message| {
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            let record = json!({
                "topic": topic, "partition": 0, "offset": message.offset(), "tstype": "create",
                "ts": message.time().unwrap() / 1_000, "broker": 1, "headers": [],
                "key": text(message.key()), "payload": text(message.payload()),
            });
            writeln!(lines, "{record}").unwrap();
        })
        .unwrap();
        let path = self.path(name);
        fs::write(&path, lines).unwrap();
        path
    }

    /// What a replay of both topics decides.
    fn replayed(&self) -> Vec<Decision> {
        let decisions = self.path("decisions.jsonl");
        let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
        command.args(["replay", "--quiet", "-c"]).arg(self.config()).arg("--decisions").arg(&decisions);
        command.arg(self.archive(&self.requests, "requests.jsonl"));
        command.arg(self.archive(&self.kafka.topics.exposures, "exposures.jsonl"));
        haldane(&mut command);
        let text = fs::read_to_string(decisions).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Checks what was written of looks.
    fn assert_written(&self) {
        let mut last = String::new();
        let mut shares = Vec::new();
        whole_topic::read(&self.connection(), &self.kafka.topics.exposures, |message| {
            assert_eq!(attribute(message, "type").as_deref(), Some(EXPOSURE));
            assert_eq!(message.key(), Some(b"routed/routed/fraud/v2".as_slice()));
            let seen: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            let time = seen["time"].as_str().unwrap().to_owned();
            assert!(time > last, "{time} after {last}");
            last = time;
            shares.push(seen["exposure"].as_f64().unwrap());
        })
        .unwrap();
        shares.dedup();
        assert_eq!(shares, [0.2, 0.4]);
    }
}

/// Ends the traffic, however the test ends.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn run(config: &Path) -> Service {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
    command.args(["run", "--act", "--listen", "127.0.0.1:0", "-c"]).arg(config);
    Service::of(command)
}

#[test]
fn what_stands_at_the_target_is_declared_and_a_router_that_sends_something_else_is_found() {
    let routed = Routed::set();
    std::thread::scope(|scope| {
        scope.spawn(|| routed.route());
        let ended = Ended(&routed.ended);
        let mut service = run(&routed.config());
        service.says("reading begins");
        routed.shows(20.0);
        routed.declare(40);
        routed.shows(40.0);
        assert_eq!(routed.mismatch(), None, "the router does as it is told");
        routed.sent.store(80, Ordering::Relaxed);
        let told = until("a word about the share", || routed.mismatch());
        assert!(told.reason.text.contains("declared are 40.00 %"), "{told:?}");
        drop(ended);
        service.signal("-TERM");
        assert!(service.ended().success());
    });
    routed.assert_written();

    let (live, replayed) = (routed.decisions(), routed.replayed());
    let ids = |decisions: &[Decision]| decisions.iter().map(|decision| decision.id.clone()).collect::<Vec<_>>();
    assert!(live.len() <= replayed.len(), "a replay goes to the end of the logs");
    assert_eq!(ids(&live), ids(&replayed[..live.len()]));
}
