//! The Kafka shell against a real Apache Kafka.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use haldane::config::{KafkaConfig, Mechanism, OnGap, Protocol, Secret, Security, Topics};
use haldane::engine::Effects;
use haldane::error::Fault;
use haldane::event::EventKind;
use haldane::format::{RecordVersion, Version};
use haldane::kafka::checkpoint::{self, StartPosition, Stream};
use haldane::kafka::connection::{Connection, Errors};
use haldane::kafka::producer::Producer;
use haldane::kafka::publish::Publisher;
use haldane::kafka::{states, topics, whole_topic};
use haldane::plan::{
    Authority, Bounds, Columns, Format, Mapping, MetricsPlan, Plan, PolicyPlan, RolloutPlan, Signal, SourcePlan,
    TimePlan, TrustPlan, WallClock, WindowKind,
};
use haldane::scan::{Checkpoint, CheckpointMeta, Lost, Pace, StreamCheckpoint};
use haldane::time::Clock;
use haldane::verdict::decision::{DecisionInputs, Exposure, Precondition, Reason, Severity};
use haldane::verdict::{Decision, RolloutState, State};
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::BaseRecord;

use serde_json::json;

use crate::broker::{Broker, PASSWORD};
use crate::sample::living;

/// Settings whose own topics and group no other test has.
pub(crate) fn settings(broker: &Broker) -> KafkaConfig {
    let topics = Topics {
        control: broker.name("control"),
        commands: broker.name("commands"),
        state: broker.name("state"),
        partials: broker.name("partials"),
        dead_letter: broker.name("deadletter"),
        exposures: broker.name("exposures"),
        windows: Some(broker.name("windows")),
    };
    KafkaConfig { topics, ..KafkaConfig::plain(&broker.bootstrap, broker.name("group")) }
}

fn source(kind: EventKind, topic: &str) -> SourcePlan {
    SourcePlan { kind, topic: topic.to_owned(), format: Format::Json, mapping: Mapping::default() }
}

fn plan(sources: Vec<SourcePlan>) -> Plan {
    let hour = 3_600_000_000;
    Plan {
        name: "toy".into(),
        digest: "0123456789abcdef0123".into(),
        sources,
        segments: Vec::new(),
        columns: Columns::default(),
        time: TimePlan {
            pane: hour,
            window: WindowKind::Sliding { size: hour, slide: hour },
            clock: WallClock::default(),
            lateness: 0,
            skew_max: hour,
            jump_max: 24 * hour,
            jump_confirmations: 3,
            idle_after: hour,
            early_every: 1_000_000,
            revise_for: hour,
        },
        quality: None,
        shadow: None,
        baselines: Vec::new(),
        reference: None,
        metrics: MetricsPlan { names: Vec::new(), compat: Vec::new(), bins: 10 },
        policy: PolicyPlan {
            guards: None,
            rollout: "toy".into(),
            baseline_version: "v1".into(),
            rules: Vec::new(),
            authority: Authority::Auto,
            stages: RolloutPlan::default(),
            trust: TrustPlan::default(),
        },
        bounds: Bounds::default(),
    }
}

fn committer(connection: &Connection) -> BaseConsumer<Errors> {
    connection.consumer(&connection.settings().group, "test").unwrap()
}

#[test]
fn an_absent_topic_is_named_with_its_source() {
    let broker = Broker::shared();
    let connection = Connection::open(&settings(broker)).unwrap();
    let error = topics::inputs(&committer(&connection), &plan(vec![source(EventKind::Prediction, "no.such.topic")]))
        .unwrap_err();
    assert_eq!(error.to_string(), "topic `no.such.topic` does not exist");
    assert_eq!(error.advice(), Some("create it, or correct the topic of the predictions in the pipeline file"));
    assert_eq!(error.fault(), Fault::User);
}

#[test]
fn outcomes_partitioned_otherwise_than_predictions_are_refused() {
    let broker = Broker::shared();
    let connection = Connection::open(&settings(broker)).unwrap();
    let (p, o) = (broker.topic("p", 4), broker.topic("o", 2));
    let plan = plan(vec![source(EventKind::Prediction, &p), source(EventKind::Outcome, &o)]);
    let error = topics::inputs(&committer(&connection), &plan).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("topic `{o}` has 2 partitions and `{p}` has 4: outcomes would not meet their predictions")
    );
    assert_eq!(error.advice(), Some("give both the same number of partitions, and key both by the prediction id"));
}

#[test]
fn brokers_that_cannot_be_reached_are_one_error() {
    let settings = KafkaConfig::plain("127.0.0.1:1", "g");
    let error = Connection::open(&settings).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("no answer from Kafka at 127.0.0.1:1 within 10 s: ") && text.contains("refused"),
        "{text}"
    );
    assert_eq!(error.advice(), Some("check `kafka.brokers`, and that the brokers run and can be reached from here"));
    assert_eq!(error.fault(), Fault::External);
}

#[test]
fn a_wrong_password_is_one_error_and_the_right_one_works() {
    let broker = Broker::shared();
    let Some(login) = &broker.login else {
        eprintln!("HALDANE_TEST_BOOTSTRAP names a cluster without a login listener: not tested");
        return;
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let open = |password: &str| {
        std::fs::write(file.path(), password).unwrap();
        let security = Security {
            protocol: Protocol::SaslPlaintext,
            mechanism: Some(Mechanism::Plain),
            username: Some("haldane".into()),
            password: Some(Secret::File(file.path().into())),
            ..Security::default()
        };
        Connection::open(&KafkaConfig { brokers: login.clone(), security, ..settings(broker) })
    };
    let error = open("wrong").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("Kafka at {login} refuses the login of user `haldane`: ")), "{text}");
    assert!(!text.contains("wrong"), "{text}");
    assert!(open(&format!("{PASSWORD}\n")).is_ok());
}

#[test]
fn tls_towards_a_listener_without_it_is_one_error() {
    let broker = Broker::shared();
    let security = Security { protocol: Protocol::Ssl, ..Security::default() };
    let error = Connection::open(&KafkaConfig { security, ..settings(broker) }).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("no TLS connection to Kafka at {}: ", broker.bootstrap)), "{text}");
}

fn meta(needed_from: i64) -> CheckpointMeta {
    let plan = "0123456789abcdef".to_owned();
    CheckpointMeta {
        format: Version,
        plan,
        clock: Clock::default(),
        needed_from,
        emit_from: needed_from,
        tally: None,
        pace: Pace::default(),
        lost: None,
    }
}

#[test]
fn a_commit_comes_back_with_its_metadata_and_a_fresh_group_starts_at_the_beginning() {
    let broker = Broker::shared();
    let settings = settings(broker);
    let connection = Connection::open(&settings).unwrap();
    let topic = broker.topic("events", 2);
    fill(&connection, &topic, 0, 5);
    let streams: Vec<Stream> =
        (0..2).map(|lane| Stream { source: 0, lane, topic: topic.clone(), kind: None }).collect();
    let consumer = committer(&connection);

    let fresh = checkpoint::origins(&consumer, &streams, OnGap::Halt).unwrap();
    let at = |lane: usize, offset, end, meta| StartPosition { stream: streams[lane].clone(), offset, end, meta };
    assert_eq!(fresh, [at(0, 0, 5, None), at(1, 0, 0, None)]);

    let saved = StreamCheckpoint { source: 0, low_water: 3, meta: meta(7_200_000_000) };
    let absent = StreamCheckpoint { source: 0, low_water: 0, meta: meta(0) };
    let checkpoints =
        [Checkpoint { lane: 0, streams: vec![saved.clone()] }, Checkpoint { lane: 9, streams: vec![absent] }];
    checkpoint::commit(&consumer, &streams, &checkpoints).unwrap();
    let again = checkpoint::origins(&committer(&connection), &streams, OnGap::Halt).unwrap();
    assert_eq!(again, [at(0, 3, 5, Some(meta(7_200_000_000))), at(1, 0, 0, None)]);
    assert_eq!(checkpoint::restored(0, &again), Checkpoint { lane: 0, streams: vec![saved] });
    assert_eq!(checkpoint::restored(1, &again).streams, []);
}

#[test]
fn a_commit_beyond_the_log_says_that_the_topic_was_made_anew() {
    let broker = Broker::shared();
    let settings = settings(broker);
    let connection = Connection::open(&settings).unwrap();
    let topic = broker.topic("events", 1);
    let streams = [Stream { source: 0, lane: 0, topic: topic.clone(), kind: None }];
    let saved = StreamCheckpoint { source: 0, low_water: 40, meta: meta(0) };
    let consumer = committer(&connection);
    checkpoint::commit(&consumer, &streams, &[Checkpoint { lane: 0, streams: vec![saved] }]).unwrap();
    let error = checkpoint::origins(&consumer, &streams, OnGap::Halt).unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("committed offset 40 of {topic}/0 is beyond the end of its log, 0"))
    );
    assert!(error.advice().unwrap().contains("on_gap: resume"));
    let origins = checkpoint::origins(&consumer, &streams, OnGap::Resume).unwrap();
    let lost = Some(Lost::unknown());
    let anew = CheckpointMeta { needed_from: i64::MIN, emit_from: i64::MIN, lost, ..meta(0) };
    assert_eq!((origins[0].offset, &origins[0].meta), (0, &Some(anew)), "what was remembered is of other records");
}

#[test]
fn records_that_were_deleted_before_they_were_read_are_told() {
    let broker = Broker::shared();
    let connection = Connection::open(&settings(broker)).unwrap();
    let topic = broker.topic("events", 1);
    fill(&connection, &topic, 0, 9);
    let streams = [Stream { source: 0, lane: 0, topic: topic.clone(), kind: None }];
    let saved = StreamCheckpoint { source: 0, low_water: 2, meta: meta(7) };
    let consumer = committer(&connection);
    checkpoint::commit(&consumer, &streams, &[Checkpoint { lane: 0, streams: vec![saved] }]).unwrap();
    broker.cut(&topic, 6);
    let error = checkpoint::origins(&consumer, &streams, OnGap::Halt).unwrap_err();
    assert_eq!(error.to_string(), format!("records 2 to 5 of {topic}/0 were deleted before they were read"));
    let origins = checkpoint::origins(&consumer, &streams, OnGap::Resume).unwrap();
    assert_eq!(
        (origins[0].offset, &origins[0].meta),
        (6, &Some(CheckpointMeta { lost: Some(Lost::now(4)), ..meta(7) }))
    );
}

/// Produces records that no test decodes.
fn fill(connection: &Connection, topic: &str, partition: i32, count: usize) {
    let producer = Producer::open(connection).unwrap();
    for _ in 0..count {
        producer.send(BaseRecord::to(topic).partition(partition).payload(b"x".as_slice())).unwrap();
    }
    producer.settle().unwrap();
}

#[test]
fn a_record_that_no_broker_takes_fails_the_settling() {
    let broker = Broker::shared();
    let connection = Connection::open(&settings(broker)).unwrap();
    let producer = Producer::open(&connection).unwrap();
    let topic = broker.topic("events", 1);
    producer.send(BaseRecord::to(&topic).payload(b"x".as_slice())).unwrap();
    producer.settle().unwrap();
    producer.send(BaseRecord::to(&topic).partition(9).payload(b"x".as_slice())).unwrap_err();
    producer.send(BaseRecord::to(&topic).payload(vec![0; 900_000].as_slice())).unwrap();
    producer.settle().unwrap();
    let narrow = broker.topic_with("narrow", 1, &[("max.message.bytes", "1000")]);
    producer.send(BaseRecord::to(&narrow).payload(vec![0; 2_000].as_slice())).unwrap();
    let text = producer.settle().unwrap_err().to_string();
    assert!(text.starts_with(&format!("topic `{narrow}` did not take a record: ")), "{text}");
}

fn decision(sequence: u64, action: Signal) -> Decision {
    Decision {
        format: RecordVersion::NEW,
        id: format!("b3:{sequence:064}"),
        sequence,
        episode: "b3:first".into(),
        time: 1_367_575_215_765_021,
        action,
        cap_pct: (action == Signal::Contain).then_some(5.0),
        rollout: "toy".into(),
        model: "fraud".into(),
        candidate: "v2".into(),
        baseline: "v1".into(),
        denied_versions: Vec::new(),
        precondition: Precondition {
            candidate: "v2".into(),
            state: "OBSERVING".into(),
            state_sequence: format!("{:020}", sequence - 1),
        },
        supersedes: Vec::new(),
        authority: Authority::Auto,
        approval: None,
        severity: Severity::of(action),
        causation: None,
        reason: Reason { code: "ERROR_RATE".into(), text: "errors".into() },
        evidence: Vec::new(),
        exposure: Exposure { declared_pct: None, observed_pct: 9.5 },
        inputs: DecisionInputs {
            offsets: vec![("p".into(), 0, 1, 2)],
            window: Some((0, 10)),
            policy: "b3:plan".into(),
            reference: String::new(),
            engine: "haldane".into(),
        },
        ledger: Vec::new(),
        lease_s: 900,
        drill: false,
        previous: String::new(),
    }
}

fn state(candidate: &str, sequence: u64) -> RolloutState {
    RolloutState {
        state: State::Contained,
        sequence,
        cap_pct: Some(5.0),
        ..RolloutState::new("toy", "fraud", candidate, "v1")
    }
}

#[test]
fn a_decision_arrives_as_a_cloud_event_in_binary_mode() {
    let broker = Broker::shared();
    let settings = settings(broker);
    let connection = Connection::open(&settings).unwrap();
    let producer = Arc::new(Producer::open(&connection).unwrap());
    let mut publisher = Publisher::open(&connection, producer).unwrap();
    let sent = [decision(1, Signal::Hold), decision(2, Signal::Contain)];
    publisher.publish(&Effects { decisions: sent.to_vec(), ..Effects::default() }, || Ok(true)).unwrap();

    let mut seen = Vec::new();
    whole_topic::read(&connection, &settings.topics.control, |message| {
        let headers: BTreeMap<String, String> = message
            .headers()
            .unwrap()
            .iter()
            .map(|header| (header.key.to_owned(), String::from_utf8(header.value.unwrap().to_vec()).unwrap()))
            .collect();
        let body: Decision = serde_json::from_slice(message.payload().unwrap()).unwrap();
        assert_eq!(message.key(), Some(b"toy".as_slice()));
        seen.push((headers, body));
    })
    .unwrap();
    assert_eq!(seen.iter().map(|(_, body)| body.clone()).collect::<Vec<_>>(), sent);
    let headers = &seen[1].0;
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_type", "io.haldane.decision.v1"),
        ("ce_source", &format!("/haldane/{}/rollouts/toy", connection.cluster())),
        ("ce_subject", "fraud/v2"),
        ("ce_id", &sent[1].id),
        ("ce_time", "2013-05-03T10:00:15.765021Z"),
        ("ce_sequence", "00000000000000000002"),
        ("ce_severitytext", "ERROR"),
        ("ce_severitynumber", "17"),
        ("ce_correlationid", "b3:first"),
        ("ce_drill", "false"),
        ("content-type", "application/json"),
    ];
    for (name, value) in expected {
        assert_eq!(headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(headers["ce_recordedtime"].starts_with("20"));
}

#[test]
fn states_are_read_back_each_in_its_last_version_and_only_those_of_the_rollout() {
    let broker = Broker::shared();
    let settings = settings(broker);
    let connection = Connection::open(&settings).unwrap();
    let producer = Arc::new(Producer::open(&connection).unwrap());
    let mut publisher = Publisher::open(&connection, producer.clone()).unwrap();
    assert_eq!(states::read(&connection, "toy").unwrap(), []);
    let other = RolloutState { rollout: "other".into(), ..state("v2", 9) };
    let states = vec![state("v3", 1), state("v2", 1), other, state("v2", 2)];
    publisher.publish(&Effects { states, ..Effects::default() }, || Ok(true)).unwrap();
    producer.send(BaseRecord::to(&settings.topics.state).key(b"junk".as_slice()).payload(b"{".as_slice())).unwrap();
    let retired = b"toy/fraud/v3".as_slice();
    producer.send(BaseRecord { key: Some(retired), ..BaseRecord::to(&settings.topics.state) }).unwrap();
    let life = living("toy", 1_767_603_600_000_000);
    publisher.alive(&life).unwrap();
    publisher.settle().unwrap();
    assert_eq!(states::read(&connection, "toy").unwrap(), [state("v2", 2)]);
    let seen = states::look(&connection).unwrap();
    assert_eq!(
        (seen.states("toy").unwrap().len(), seen.liveness("toy"), seen.liveness("other")),
        (1, Some(&life), None)
    );
    // One that a later build may write is silence.
    let later = json!({ "format": 2, "who": "host:7" }).to_string();
    let key = b"@alive/toy".as_slice();
    producer.send(BaseRecord::to(&settings.topics.state).key(key).payload(later.as_bytes())).unwrap();
    producer.settle().unwrap();
    assert_eq!(states::look(&connection).unwrap().liveness("toy"), None);
    let states = vec![RolloutState { gone: true, ..state("v2", 2) }];
    publisher.publish(&Effects { states, ..Effects::default() }, || Ok(true)).unwrap();
    publisher.settle().unwrap();
    assert_eq!(states::read(&connection, "toy").unwrap(), [], "its record is taken away");
    // Made as a compacted topic, and a second start leaves it alone.
    Publisher::open(&connection, producer).unwrap();
}
