//! Two sources that read one topic, of which each takes the records that are its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use haldane::config;
use haldane::decode::{Record, decoder};
use haldane::event::{row_id, stable_hash};
use haldane::kafka::connection::Connection;
use haldane::kafka::producer::{OutgoingRecord, Producer};
use haldane::kafka::standalone::{self, RunOptions};
use haldane::kafka::watch::Audience;
use haldane::kafka::whole_topic;
use haldane::plan::Plan;
use haldane::replay;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use serde_json::json;

use crate::broker::Broker;
use crate::flights::rows;
use crate::kafka::settings;
use crate::live::{self, Recorder, SMALL_STEPS, Stage, in_memory, log, log_with_an_end, trace};
use crate::replay_laws::assert_same;

#[test]
fn two_sources_on_one_topic_say_what_two_topics_say_wherever_the_process_is_killed() {
    let log = log();
    let expected = in_memory(&log, 1);
    for (partitions, shards, crash_at) in [(1, 1, vec![]), (4, 2, vec![]), (4, 2, vec![3, 8]), (1, 1, vec![2, 5, 9])] {
        let stage = Stage::on_one_topic(&log, partitions);
        let recorder = Recorder::crashing(crash_at.clone());
        let crashes = (0..9).take_while(|_| stage.run(shards, &recorder).is_err()).count();
        assert_eq!(crashes, crash_at.len());
        assert_same(&expected, &trace(recorder), &format!("{partitions} partitions, crashes at {crash_at:?}"));
        let said: BTreeMap<u64, String> =
            stage.decisions().into_iter().map(|decision| (decision.sequence, decision.id)).collect();
        let wanted = expected.decisions.iter().map(|(sequence, said)| (*sequence, said.0.clone()));
        assert_eq!(said, wanted.collect());
    }
}

#[test]
fn scans_and_judge_apart_read_one_topic_for_two_sources() {
    let log = log_with_an_end(4);
    live::apart(&Stage::on_one_topic(&log, 4), &log);
}

const SHARED: &str = "
task: binary
sources:
  predictions: { topic: events, where: { kind: answer }, event_time: { path: at, unit: s }, id: id, version: v, score: s }
  features:
    topic: events
    where: { kind: question }
    event_time: { path: at, unit: s }
    id: id
    version: v
    features: { numeric: { x: { path: x, range: [0, 10] } } }
windows: { size: 1m }
";

fn load(text: &str) -> Result<Arc<Plan>, String> {
    config::parse(text, "p.yaml", FilePath::new("")).map(|pipeline| pipeline.plan).map_err(|error| error.to_string())
}

#[test]
fn a_topic_is_shared_by_sources_that_all_say_what_they_take() {
    assert!(load(SHARED).is_ok());
    for condition in ["where: { kind: answer }, ", "    where: { kind: question }\n"] {
        let error = load(&SHARED.replace(condition, "")).unwrap_err();
        assert!(error.contains("topic `events` is the topic of two sources"), "{error}");
        assert!(error.contains("give each of them a `where`"), "{error}");
    }
}

#[test]
fn the_streams_of_a_shared_topic_have_names_of_their_own() {
    let plan = load(SHARED).unwrap();
    assert_eq!([0, 1].map(|source| plan.stream_name(source)), ["events (predictions)", "events (features)"]);
    let apart = load(&SHARED.replacen("topic: events", "topic: answers", 1)).unwrap();
    assert_eq!([0, 1].map(|source| apart.stream_name(source)), ["answers", "events"]);
}

#[test]
fn lines_of_a_shared_topic_go_to_each_of_its_sources() {
    let plan = load(SHARED).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.jsonl");
    let line = |n: i64| {
        let kind = ["answer", "question", "other"][n as usize % 3];
        let value = json!({ "kind": kind, "at": 1_700_000_000 + n, "id": n, "v": "v1", "s": 0.5, "x": 1 });
        json!({ "topic": "events", "partition": 0, "value": value, "timestamp_us": (1_700_000_000 + n) * 1_000_000 })
    };
    fs::write(&file, (0..30).map(|n| line(n).to_string()).collect::<Vec<_>>().join("\n")).unwrap();
    let mut replay = replay::open(&plan, &[file], &replay::ReplayOptions::default()).unwrap();
    let mut taken = [0, 0];
    for step in &mut replay {
        match step.unwrap() {
            replay::ReplayStep::Batch(batch) => taken[usize::from(batch.source)] += batch.len(),
            replay::ReplayStep::Refused(refused) => panic!("{refused:?}"),
            replay::ReplayStep::End { next_offset, .. } => assert_eq!(next_offset, 30),
        }
    }
    assert_eq!((taken, replay.passed_over()), ([10, 10], 40));
}

/// One record: headers and payload.
type Sent<'a> = (&'a [(&'a str, &'a str)], &'a str);

/// Runs a pipeline over a topic of these records up to its end; gives its summary and the dead letters: which source
/// refused which record, and why.
fn run(plan: &str, sent: &[Sent<'_>]) -> (haldane::kafka::summary::RunSummary, Vec<[String; 3]>) {
    let broker = Broker::shared();
    let (settings, topic) = (settings(broker), broker.topic("events", 1));
    let plan = load(&plan.replace("topic: events", &format!("topic: {topic}"))).unwrap();
    let connection = Connection::open(&settings).unwrap();
    let producer = Producer::open(&connection).unwrap();
    for (headers, payload) in sent {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
        let record = BaseRecord::to(&topic).partition(0).payload(payload.as_bytes()).headers(headers);
        let record: OutgoingRecord<'_> = record.timestamp(1_785_585_600_200);
        producer.send(record).unwrap();
    }
    producer.settle().unwrap();
    let options = RunOptions { until_end: true, ..SMALL_STEPS };
    let summary = standalone::run(&plan, &settings, options, Audience::none(), &AtomicBool::new(false)).unwrap();
    let mut letters = Vec::new();
    whole_topic::read(&connection, &settings.topics.dead_letter, |message| {
        let headers = message.headers().unwrap();
        let text = |name: &str| {
            let found = headers.iter().find(|header| header.key == name).unwrap();
            String::from_utf8_lossy(found.value.unwrap()).into_owned()
        };
        letters.push(["haldane.source.kind", "haldane.source.offset", "haldane.reason"].map(text));
    })
    .unwrap();
    (summary, letters)
}

#[test]
fn a_refused_record_is_a_letter_that_names_its_source() {
    let answer = r#"{"kind": "answer", "at": 1785585600, "id": 1, "v": "v1", "s": "x"}"#;
    let question = r#"{"kind": "question", "at": 1785585600, "id": 1, "v": "v1", "x": []}"#;
    let other = r#"{"kind": "other", "s": "x", "x": []}"#;
    let (summary, mut letters) = run(SHARED, &[(&[], answer), (&[], other), (&[], question), (&[], "{")]);
    letters.sort();
    let letter = |kind: &str, offset: &str, reason: &str| [kind, offset, reason].map(str::to_owned);
    let expected = [
        letter("feature", "2", "wrong_type"),
        letter("feature", "3", "malformed"),
        letter("prediction", "0", "wrong_type"),
        letter("prediction", "3", "malformed"),
    ];
    assert_eq!((summary.events, summary.rejects, letters), (0, 4, expected.to_vec()));
}

/// The example pipeline of this name.
fn example(name: &str) -> String {
    let path = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(format!("{name}.yaml"));
    fs::read_to_string(path).unwrap()
}

/// A request of two rows and its answer, as KServe's logger writes them.
const REQUEST: Sent<'_> = (
    &[
        ("ce_specversion", "1.0"),
        ("ce_id", "9c1f"),
        ("ce_type", "org.kubeflow.serving.inference.request"),
        ("ce_source", "fraud-predictor-00002-deployment-7d9"),
        ("ce_time", "2026-08-01T12:00:00.103Z"),
        ("ce_inferenceservicename", "fraud"),
        ("ce_metadata", r#"{"x-user":["u-17"]}"#),
        ("content-type", "application/json"),
    ],
    r#"{"instances":[[12.5,3,"food"],[99.0,0,"fuel"]]}"#,
);
const ANSWER: Sent<'_> = (
    &[
        ("ce_specversion", "1.0"),
        ("ce_id", "9c1f"),
        ("ce_type", "org.kubeflow.serving.inference.response"),
        ("ce_source", "fraud-predictor-00002-deployment-7d9"),
        ("ce_time", "2026-08-01T12:00:00.121Z"),
        ("ce_inferenceservicename", "fraud"),
        ("ce_metadata", r#"{"x-user":["u-17"]}"#),
        ("content-type", "application/json"),
    ],
    r#"{"predictions":[0.03,0.81]}"#,
);

#[test]
fn requests_and_answers_of_kserve_are_features_and_predictions_of_one_topic() {
    let plan = load(&example("kserve")).unwrap();
    for (source, numeric, category) in [
        (0, [vec![None, None, Some(0.03)], vec![None, None, Some(0.81)]], [None, None]),
        (1, [vec![Some(12.5), Some(3.0), None], vec![Some(99.0), Some(0.0), None]], [Some("food"), Some("fuel")]),
    ] {
        let mut taker = decoder(&plan, source, 0);
        for (offset, (headers, payload)) in (0..).zip([REQUEST, ANSWER]) {
            let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            let (payload, topic) = (Some(payload.as_bytes()), "kserve.logger");
            let broker_time = 1_785_585_600_200_000;
            taker.push(&Record { offset, broker_time, key: None, payload, headers: &headers, topic });
        }
        let decoded = taker.finish();
        assert_eq!((decoded.rejects.len(), decoded.passed_over), (0, 1));
        let rows = rows(&decoded.batch);
        assert_eq!(rows.iter().map(|row| row.numeric.clone()).collect::<Vec<_>>(), numeric);
        assert_eq!(rows.iter().map(|row| row.categorical[0].as_deref()).collect::<Vec<_>>(), category);
        assert!(rows.iter().all(|row| row.version.as_deref() == Some("00002")));
        let ids: Vec<_> = rows.iter().map(|row| row.id.unwrap()).collect();
        assert_eq!(ids, [0, 1].map(|row| row_id(stable_hash(b"9c1f"), row)));
        let users = decoded.batch.entity.values();
        assert!(source == 1 || users.iter().all(|user| *user == stable_hash(b"u-17")));
    }
}

#[test]
fn what_kserve_logs_is_read_from_a_broker() {
    let text = example("kserve").replace("topic: kserve.logger", "topic: events");
    let (from, to) = (text.find("  # Chargebacks").unwrap(), text.find("rollout:").unwrap());
    let text = format!("{}{}", &text[..from], &text[to..]).replace("labels: { wait: 1h, horizon: 7d }\n", "");
    let other: Sent<'_> = (&[("ce_specversion", "1.0"), ("ce_type", "org.kubeflow.serving.feedback")], "x");
    let (summary, letters) = run(&text, &[REQUEST, ANSWER, other]);
    assert_eq!((summary.events, summary.rejects, letters.len()), (4, 0, 0));
}
