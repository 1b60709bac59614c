//! `haldane run` as a process: a log read from Kafka to its end gives the windows that `haldane replay` gives over the
//! archive of that log.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use haldane::config::KafkaConfig;
use haldane::judge::WindowRow;

use crate::broker::Broker;
use crate::envelope;
use crate::kafka::settings;

fn pipeline(predictions: &str, outcomes: &str, kafka: &str) -> String {
    format!(
        "pipeline: flights
task: binary
sources:
  predictions:
    topic: {predictions}
    event_time: {{ path: event_time_us, unit: us }}
    id: prediction_id
    model: model
    version: version
    segments: {{ origin: cohort }}
    score: {{ path: score, range: [0, 1] }}
    latency: {{ path: latency_ms, unit: ms }}
    status: status
    features:
      categorical: {{ carrier: features_cat.carrier }}
  outcomes:
    topic: {outcomes}
    event_time: {{ path: event_time_us, unit: us }}
    id: prediction_id
    model: model
    label: label
rollout: {{ baseline: v1 }}
windows: {{ size: 1h, lateness: 4h }}
labels: {{ wait: 6h, horizon: 14d }}
baselines: [concurrent]
metrics: {{ names: all }}
{kafka}"
    )
}

fn section(kafka: &KafkaConfig) -> String {
    let topics = &kafka.topics;
    format!(
        "kafka: {{ brokers: '{}', group: {}, control_topic: {}, commands_topic: {}, state_topic: {}, dead_letter_topic: {} }}\n",
        kafka.brokers, kafka.group, topics.control, topics.commands, topics.state, topics.dead_letter
    )
}

fn haldane(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_haldane")).args(arguments).output().unwrap()
}

/// The last revision of every result, by what it is about.
fn last_rows(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<WindowRow>(line).unwrap());
    let about = |row: &WindowRow| {
        let span = (row.window_start, row.window_end);
        format!(
            "{span:?} {} {} {} {} {} {} {}",
            row.model, row.version, row.segment, row.baseline, row.column, row.metric, row.convention
        )
    };
    rows.map(|row| (about(&row), serde_json::to_string(&row).unwrap())).collect()
}

#[test]
fn the_service_and_the_replay_agree() {
    let broker = Broker::shared();
    let kafka = settings(broker);
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample.jsonl");
    let topics = envelope::produce(broker, &kafka, &archive, 4);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let section = section(&kafka);
    std::fs::write(at("live.yaml"), pipeline(&topics["predictions"], &topics["outcomes"], &section)).unwrap();
    std::fs::write(at("archive.yaml"), pipeline("predictions", "outcomes", "")).unwrap();

    let live =
        haldane(&["run", "-c", &at("live.yaml"), "--until-end", "--shards", "2", "--windows", &at("live.jsonl")]);
    assert!(live.status.success(), "{}", String::from_utf8_lossy(&live.stderr));
    let said = String::from_utf8_lossy(&live.stdout).into_owned();
    let events = std::fs::read_to_string(&archive).unwrap().lines().count();
    assert!(said.starts_with(&format!("{events} events read, 0 refused; ")), "{said}");
    std::fs::write(at("log.jsonl"), envelope::keyed(&archive, 4)).unwrap();
    let replay = haldane(&["replay", "-c", &at("archive.yaml"), &at("log.jsonl"), "--windows", &at("archive.jsonl")]);
    assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stderr));

    let (live, replayed) = (last_rows(at("live.jsonl").as_ref()), last_rows(at("archive.jsonl").as_ref()));
    assert!(replayed.len() > 1_000, "{} rows are worth comparing", replayed.len());
    let differing = replayed.iter().find(|(about, row)| live.get(*about) != Some(row));
    assert_eq!(differing.map(|(about, row)| (row, live.get(about))), None);
    assert_eq!(live.len(), replayed.len());
}

#[test]
fn a_pipeline_without_a_cluster_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive.yaml");
    std::fs::write(&path, pipeline("predictions", "outcomes", "")).unwrap();
    let path = path.to_str().unwrap();
    let output = haldane(&["run", "-c", path]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains(&format!("{path} names no Kafka cluster")) && said.contains("add a `kafka:` section"),
        "{said}"
    );
}

#[test]
fn a_signal_ends_the_service_in_good_order() {
    let broker = Broker::shared();
    let kafka = settings(broker);
    let topics = [broker.topic("predictions", 2), broker.topic("outcomes", 2)];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.yaml");
    std::fs::write(&path, pipeline(&topics[0], &topics[1], &section(&kafka))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
    command.args(["run", "--listen", "127.0.0.1:0", "-c"]).arg(&path).env("HALDANE_LOG", "info");
    let mut service = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(service.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("reading begins")), "the service starts");
    assert!(Command::new("kill").args(["-TERM", &service.id().to_string()]).status().unwrap().success());
    let last_words = log.map(Result::unwrap).collect::<Vec<_>>().join("\n");
    let output = service.wait_with_output().unwrap();
    assert!(output.status.success(), "{last_words}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0 events read, 0 refused; 0 results, 0 decisions\n");
    assert!(last_words.contains("stopping"), "{last_words}");
}
