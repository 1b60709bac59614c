//! One log, two roads: the flights log through a real Apache Kafka, with one partition and with four, killed half way
//! and started again, gives the windows and decisions that the replay of its Parquet files gives, to the byte.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use haldane::kafka::connection::Connection;
use haldane::kafka::{cloud_event, whole_topic};
use haldane::verdict::Decision;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use serde_json::{Map, Value};

use crate::broker::Broker;

const NUMERIC: [&str; 9] =
    ["dep_hour", "lead_min", "distance", "orig_delay_avg", "temp", "wind_speed", "precip", "pressure", "visib"];
const CATEGORICAL: [&str; 3] = ["carrier", "origin", "dest"];
/// Enough to see every kind of state; all of them would only take longer.
const METRICS: &str = "names: [psi, ks, mean, missing_rate, unseen_rate, js_distance, error_rate, latency_p90, latency_p99, \
                       calibration_in_the_large, ece, brier, auc]";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn kafka_and_parquet_give_the_same_windows_and_decisions() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let replayed = replay(scratch.path());
    assert!(replayed.0.len() > 10_000 && replayed.1.len() >= 3, "{} rows, {:?}", replayed.0.len(), replayed.1);
    for (partitions, killed) in [(1, false), (4, false), (4, true)] {
        let live = live(scratch.path(), partitions, killed);
        let what = format!("{partitions} partitions, killed: {killed}");
        assert_eq!(replayed.1, live.1, "decisions over {what}");
        let differing = replayed.0.iter().zip(&live.0).find(|(left, right)| left != right);
        assert_eq!(differing, None, "{what}");
        assert_eq!(replayed.0.len(), live.0.len(), "{what}");
    }
}

/// Window rows, sorted, and decision ids.
pub(crate) type Results = (Vec<String>, Vec<String>);

fn replay(scratch: &Path) -> Results {
    replay_by(scratch, &|text| text)
}

/// The same by a pipeline that `change` has changed.
pub(crate) fn replay_by(scratch: &Path, change: &dyn Fn(String) -> String) -> Results {
    let files = ["predictions", "outcomes"].map(|name| root().join(format!("pipelines/data/flights.{name}.parquet")));
    replay_files(scratch, change, &files)
}

/// The same of other files.
pub(crate) fn replay_files(scratch: &Path, change: &dyn Fn(String) -> String, files: &[PathBuf]) -> Results {
    let config = pipeline(scratch, "replay", change);
    let (windows, decisions) = (scratch.join("replay.jsonl"), scratch.join("decisions.jsonl"));
    haldane(
        Command::new(env!("CARGO_BIN_EXE_haldane"))
            .args(["replay", "--quiet", "--config"])
            .arg(config)
            .arg("--windows")
            .arg(&windows)
            .arg("--decisions")
            .arg(&decisions)
            .args(files),
    );
    let decisions = std::fs::read_to_string(decisions).expect("decisions");
    let id = |line: &str| serde_json::from_str::<Decision>(line).expect("a decision").id;
    (sorted_lines(&windows), decisions.lines().map(id).collect())
}

fn live(scratch: &Path, partitions: i32, killed: bool) -> Results {
    live_in(scratch, partitions, killed, &|value| value.to_string().into_bytes(), &|text| text)
}

/// The same with records that `written` makes, by a pipeline that `change` has changed.
pub(crate) fn live_in(
    scratch: &Path,
    partitions: i32,
    killed: bool,
    written: &dyn Fn(&Value) -> Vec<u8>,
    change: &dyn Fn(String) -> String,
) -> Results {
    let broker = Broker::shared();
    let (predictions, outcomes) =
        (broker.topic("flights.predictions", partitions), broker.topic("flights.outcomes", partitions));
    produce(broker, &predictions, "predictions", |batch, row| written(&prediction(batch, row)));
    produce(broker, &outcomes, "outcomes", |batch, row| written(&outcome(batch, row)));
    let own = |what: &str| broker.name(what);
    let topics = format!(
        "control_topic: {}\n  commands_topic: {}\n  state_topic: {}\n  partials_topic: {}\n  dead_letter_topic: {}\n",
        own("control"),
        own("commands"),
        own("state"),
        own("partials"),
        own("deadletter")
    );
    let config = pipeline(scratch, &format!("live{partitions}{killed}"), |text| {
        change(text)
            .replace("topic: flights.predictions", &format!("topic: {predictions}"))
            .replace("topic: flights.outcomes", &format!("topic: {outcomes}"))
            .replace("brokers: localhost:9092", &format!("brokers: {}\n  {topics}", broker.bootstrap))
            .replace("group: haldane.flights", &format!("group: {}", own("group")))
    });
    let windows = config.with_extension("jsonl");
    let service = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
        command.args(["run", "--config"]).arg(&config).arg("--windows").arg(&windows);
        command
    };
    if killed {
        kill_after_a_decision(service().args(["--listen", "127.0.0.1:0"]));
    }
    haldane(service().arg("--until-end"));
    (sorted_lines(&windows), decision_ids(&config))
}

/// A crash with decisions published whose offsets are not committed yet, and most of the log still to come.
fn kill_after_a_decision(command: &mut Command) {
    let mut service = command.stderr(Stdio::piped()).spawn().expect("haldane starts");
    let said = BufReader::new(service.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
    let decided = said.inspect(|line| println!("{line}")).any(|line| line.contains("decided"));
    service.kill().expect("a running service");
    service.wait().expect("a killed service");
    assert!(decided, "the service ended without a decision");
}

/// The flights pipeline with fewer metrics and a change.
fn pipeline(scratch: &Path, name: &str, change: impl Fn(String) -> String) -> PathBuf {
    let text = std::fs::read_to_string(root().join("pipelines/flights.yaml")).expect("the pipeline");
    let profile = root().join("pipelines/profiles/flights.json");
    let text =
        text.replace("names: all", METRICS).replace("profiles/flights.json\n", &format!("{}\n", profile.display()));
    let path = scratch.join(name).with_extension("yaml");
    std::fs::write(&path, change(text)).expect("a writable directory");
    path
}

pub(crate) fn haldane(command: &mut Command) {
    let output = command.output().expect("haldane starts");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    println!("{}{}", said(&output.stdout), said(&output.stderr));
    assert!(output.status.success());
}

fn sorted_lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("windows");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    // After a crash some windows are written again: the same lines.
    lines.dedup();
    lines
}

/// Sends the rows of a file in its order, keyed by prediction id, with their arrival times.
fn produce(broker: &Broker, topic: &str, file: &str, row_of: impl Fn(&RecordBatch, usize) -> Vec<u8>) {
    let path = root().join(format!("pipelines/data/flights.{file}.parquet"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("the log")).expect("Parquet");
    let producer: BaseProducer = broker.client().set("linger.ms", "20").create().expect("a producer");
    for batch in reader.build().expect("Parquet") {
        let batch = batch.expect("a row group");
        for row in 0..batch.num_rows() {
            let key = text(column(&batch, "prediction_id"), row).expect("an id");
            let payload = row_of(&batch, row);
            let arrived_ms = time(column(&batch, "ingest_time"), row) / 1_000;
            let mut record = BaseRecord::to(topic).key(&key).payload(&payload).timestamp(arrived_ms);
            while let Err((error, back)) = producer.send(record) {
                assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
                producer.poll(Duration::from_millis(50));
                record = back;
            }
        }
    }
    producer.flush(Duration::from_mins(1)).expect("everything is delivered");
}

/// The records of one topic: each with its key, when it arrived in milliseconds, and what it says.
pub(crate) fn each_record(file: &str, mut take: impl FnMut(&str, i64, &Value)) {
    let path = root().join(format!("pipelines/data/flights.{file}.parquet"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("the log")).expect("Parquet");
    let value = if file == "outcomes" { outcome } else { prediction };
    for batch in reader.build().expect("Parquet") {
        let batch = batch.expect("a row group");
        for row in 0..batch.num_rows() {
            let key = text(column(&batch, "prediction_id"), row).expect("an id");
            take(&key, time(column(&batch, "ingest_time"), row) / 1_000, &value(&batch, row));
        }
    }
}

fn prediction(batch: &RecordBatch, row: usize) -> Value {
    let mut value = outcome_part(batch, row);
    for name in ["version", "cohort"] {
        value.insert(name.into(), text(column(batch, name), row).into());
    }
    for name in ["score", "latency_ms", "predicted_label", "status"] {
        value.insert(name.into(), number(column(batch, name), row));
    }
    let numeric = NUMERIC.iter().map(|name| ((*name).to_owned(), number(column(batch, name), row)));
    let categorical = CATEGORICAL.iter().map(|name| ((*name).to_owned(), text(column(batch, name), row).into()));
    value.insert("features_num".into(), Value::Object(numeric.collect()));
    value.insert("features_cat".into(), Value::Object(categorical.collect()));
    Value::Object(value)
}

fn outcome(batch: &RecordBatch, row: usize) -> Value {
    let mut value = outcome_part(batch, row);
    value.insert("label".into(), number(column(batch, "label"), row));
    Value::Object(value)
}

fn outcome_part(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let at = time(column(batch, "event_time"), row);
    let texts = ["prediction_id", "model"].map(|name| (name.to_owned(), text(column(batch, name), row).into()));
    texts.into_iter().chain([("event_time_us".to_owned(), at.into())]).collect()
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a ArrayRef {
    batch.column_by_name(name).unwrap_or_else(|| panic!("column {name}"))
}

fn text(column: &ArrayRef, row: usize) -> Option<String> {
    column.is_valid(row).then(|| column.as_string::<i32>().value(row).to_owned())
}

fn time(column: &ArrayRef, row: usize) -> i64 {
    column.as_primitive::<TimestampMicrosecondType>().value(row)
}

/// Whole numbers stay whole in JSON.
fn number(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    if let Some(numbers) = column.as_primitive_opt::<Float64Type>() {
        return numbers.value(row).into();
    }
    let whole = arrow::compute::cast(&column.slice(row, 1), &DataType::Int64).expect("an integer column");
    whole.as_primitive::<Int64Type>().value(0).into()
}

fn decision_ids(config: &Path) -> Vec<String> {
    let kafka = haldane::config::load(config).expect("a valid pipeline").kafka.expect("a cluster");
    let connection = Connection::open(&kafka).expect("a broker");
    let mut ids = Vec::new();
    whole_topic::read(&connection, &kafka.topics.control, |message| {
        let Some(decision) = cloud_event::body_of::<Decision>(message, cloud_event::DECISION) else { return };
        let decision = decision.expect("a decision");
        // A crash between a decision and its commit repeats the decision, with the same id.
        if !ids.contains(&decision.id) {
            ids.push(decision.id);
        }
    })
    .expect("a readable topic");
    ids
}
