//! A pipeline made from files replays these files, and one made from topics reads them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use haldane::config::{self, KafkaConfig};
use haldane::engine::{Effects, Engine};
use haldane::init;
use haldane::kafka::connection::Connection;
use haldane::kafka::producer::Producer;
use haldane::kafka::standalone;
use haldane::kafka::watch::Audience;
use haldane::replay::{self, Options, Step};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use serde_json::json;

use crate::broker::{Broker, PASSWORD};
use crate::decode_columnar::ipc;
use crate::kafka::settings;
use crate::store::haldane;

/// What a replay of files through a made pipeline comes to.
struct Replayed {
    text: String,
    rows: usize,
    refused: usize,
    effects: Effects,
}

/// Makes a pipeline of files, and replays them through it.
fn replayed(files: &[PathBuf]) -> Replayed {
    let draft = init::draft(files).expect("a pipeline");
    let pipeline = config::parse(&draft.text, "made.yaml", Path::new("")).unwrap_or_else(|error| {
        panic!("{error}\n{}", draft.text);
    });
    let log = replay::open(&pipeline.plan, files, &Options::default()).expect("files of this pipeline");
    let mut engine = Engine::new(Arc::clone(&pipeline.plan), log.lanes());
    let (mut rows, mut refused, mut effects) = (0, 0, Effects::default());
    for step in log {
        match step.expect("a readable file") {
            Step::Batch(batch) => {
                rows += batch.len();
                effects.extend(engine.step(&batch));
            }
            Step::Refused(some) => refused += some.len(),
            Step::End { source, lane, next_offset } => {
                effects.extend(engine.progress(lane, source, next_offset, true, true));
            }
        }
    }
    Replayed { text: draft.text, rows, refused, effects }
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/data").join(name)
}

fn has_metric(effects: &Effects, metric: &str) -> bool {
    effects.windows.iter().any(|row| row.metric == metric && row.value.is_some())
}

#[test]
fn parquet_with_labels_in_another_file() {
    let made = replayed(&["flights.predictions.parquet", "flights.outcomes.parquet"].map(data));
    assert_eq!(made.refused, 0, "{}", made.text);
    assert!(made.rows > 200_000);
    for line in [
        "event_time: event_time",
        "id: prediction_id",
        "version: version",
        "cohort: cohort",
        "score: score",
        "predicted_label: predicted_label",
        "latency: { path: latency_ms, unit: ms }",
        "status: status",
        "label: label",
        "baseline: v1",
        "carrier: carrier",
    ] {
        assert!(made.text.contains(line), "`{line}` is not in\n{}", made.text);
    }
    assert!(has_metric(&made.effects, "brier") && has_metric(&made.effects, "error_rate"), "{}", made.text);
}

#[test]
fn json_lines_with_nested_paths_and_several_topics() {
    let made = replayed(&[data("house-prices.jsonl")]);
    assert_eq!(made.refused, 0, "{}", made.text);
    for line in
        ["id: valuation_id", "version: model.version", "property.floor_area_m2", "has_garden: property.has_garden"]
    {
        assert!(made.text.contains(line), "`{line}` is not in\n{}", made.text);
    }
    assert!(!made.effects.windows.is_empty());
}

#[test]
fn tensors_of_model_servers_are_told_with_the_words_that_read_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("answers.jsonl");
    let line = |row: u32| {
        format!(
            r#"{{"id":"r{row}","at":{},"model_version":"v1","outputs":[{{"name":"p","shape":[1],"datatype":"FP64","data":[0.5]}}]}}"#,
            1_700_000_000 + row
        )
    };
    std::fs::write(&path, (0..300).map(line).collect::<Vec<_>>().join("\n")).expect("a file");
    let text = init::draft(&[path]).expect("a pipeline").text;
    let told =
        "#   outputs: if these are tensors, say `format: open_inference` and `side: response`; outputs[name=NAME] is";
    assert!(text.contains(told), "{text}");
}

#[test]
fn csv_with_seconds_and_its_own_labels() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("answers.csv");
    let head = "id,ts,amount,country,vip,score,label,duration_s,http_status,note\n";
    let line = |row: u32| {
        let (score, label) = (f64::from(row % 100) / 100.0, u32::from(row % 100 > 60));
        format!(
            "r{row},{},{}.5,{},{},{score},{label},0.0{},200,free text number {row}\n",
            1_700_000_000 + row * 20,
            (row * 37) % 1000,
            ["DE", "FR", "IT"][row as usize % 3],
            row.is_multiple_of(7),
            row % 9 + 1
        )
    };
    let text = head.to_owned() + &(0..3_000).map(line).collect::<Vec<_>>().concat();
    std::fs::write(&path, text).expect("a file");
    let made = replayed(&[path]);
    assert_eq!((made.rows, made.refused), (3_000, 0), "{}", made.text);
    for line in [
        "event_time: { path: ts, unit: s }",
        "country: country",
        "vip: vip",
        "latency: { path: duration_s, unit: s }",
        "status: http_status",
        "label: label",
        "version: { constant: v1 }",
        "#   note: texts that hardly repeat",
    ] {
        assert!(made.text.contains(line), "`{line}` is not in\n{}", made.text);
    }
    assert!(has_metric(&made.effects, "brier") && has_metric(&made.effects, "latency_p99"), "{}", made.text);
}

#[test]
fn labels_that_nobody_can_read_and_columns_of_one_name_are_left_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("tumours.csv");
    let line = |row: u32| {
        let score = f64::from(row % 100) / 100.0;
        let label = if row % 100 > 60 { "M" } else { "B" };
        format!("r{row},{},{score},{label},{},{}\n", 1_700_000_000 + row * 20, row * 37 % 1000, row * 41 % 900)
    };
    let text = "id,ts,score,label,size,size\n".to_owned() + &(0..2_000).map(line).collect::<String>();
    std::fs::write(&path, text).expect("a file");
    let made = replayed(&[path]);
    assert_eq!((made.rows, made.refused), (2_000, 0), "{}", made.text);
    assert!(!has_metric(&made.effects, "brier") && has_metric(&made.effects, "mean"), "{}", made.text);
    assert!(made.text.contains("a column before it has the same name"), "{}", made.text);
}

#[test]
fn what_cannot_be_a_pipeline_is_a_clear_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("timeless.csv");
    std::fs::write(&path, "a,b\n1,2\n3,4\n").expect("a file");
    let error = init::draft(&[path]).expect_err("no times");
    assert!(error.to_string().contains("when a prediction was made"), "{error}");
    assert!(error.advice().is_some_and(|hint| hint.contains("haldane report")));
    let error = init::draft(&[data("flights.outcomes.parquet")]).expect_err("only labels");
    assert!(error.to_string().contains("no predictions"), "{error}");
}

/// How events are put into records.
#[derive(Clone, Copy)]
enum Mode {
    Plain,
    Binary,
    Structured,
}

/// Fills a topic with predictions whose id and time are told by the envelope, where there is one.
fn fill(topic: &str, mode: Mode, n: i64) {
    let connection = Connection::open(&KafkaConfig::plain(&Broker::shared().bootstrap, "init")).unwrap();
    let producer = Producer::open(&connection).unwrap();
    for at in 0..n {
        let version = if at % 4 == 0 { "v2" } else { "v1" };
        let mut event = json!({ "amount": at * 37 % 1000, "model_version": version, "score": 0.25, "latency_ms": 5 });
        let (id, time) = (format!("p{at}"), instant(at));
        let mut headers = OwnedHeaders::new();
        let mut add = |key, value: &str| headers = headers.clone().insert(Header { key, value: Some(value) });
        match mode {
            Mode::Plain => {
                event["prediction_id"] = json!(id);
                event["ts"] = (EPOCH + at * 60).into();
            }
            Mode::Binary => {
                let attributes = [("ce_specversion", "1.0"), ("ce_id", &id), ("ce_time", &time), ("ce_type", "asked")];
                attributes.into_iter().for_each(|(key, value)| add(key, value));
            }
            Mode::Structured => {
                add("content-type", "application/cloudevents+json");
                event = json!({ "specversion": "1.0", "id": id, "time": time, "type": "asked", "data": event });
            }
        }
        let body = event.to_string();
        let partition = i32::try_from(at % 2).unwrap();
        let record = BaseRecord::to(topic).partition(partition).key(id.as_bytes()).payload(body.as_bytes());
        producer.send(record.headers(headers).timestamp((EPOCH + at * 60) * 1_000)).unwrap();
    }
    producer.settle().unwrap();
}

const EPOCH: i64 = 1_700_000_000;

fn instant(at: i64) -> String {
    let time = arrow::temporal_conversions::timestamp_s_to_datetime(EPOCH + at * 60).unwrap();
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn address(topic: &str) -> String {
    format!("kafka://{}/{topic}", Broker::shared().bootstrap)
}

#[test]
fn topics_in_every_envelope_become_a_pipeline_that_reads_them() {
    let broker = Broker::shared();
    for (mode, lines) in [
        (Mode::Plain, ["id: prediction_id", "event_time: { path: ts, unit: s }"]),
        (Mode::Binary, ["id: \"$ce.id\"", "event_time: \"$ce.time\""]),
        (Mode::Structured, ["id: \"$ce.id\"", "event_time: \"$ce.time\""]),
    ] {
        let topic = broker.topic("init.predictions", 2);
        fill(&topic, mode, 1_000);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made.yaml");
        let path = path.to_str().unwrap();
        let said = haldane(&["init", &address(&topic), "--records", "500", "-o", path]).unwrap();
        assert!(said.contains("500 rows of predictions") && said.contains(&format!("haldane run -c {path}")), "{said}");
        let text = std::fs::read_to_string(path).unwrap();
        let of_topic = format!("topic: {topic}\n");
        let brokers = format!("kafka:\n  brokers: \"{}\"\n", broker.bootstrap);
        for line in [&of_topic, &brokers, "version: model_version", "baseline: v1"].into_iter().chain(lines) {
            assert!(text.contains(line), "`{line}` is not in\n{text}");
        }
        assert!(!text.contains("specversion:") || !matches!(mode, Mode::Plain), "{text}");
        reads_a_thousand_events(path);
    }
}

/// Checks that a made pipeline is one, and reads its topic to the end.
fn reads_a_thousand_events(path: &str) {
    haldane(&["check", "-c", path]).unwrap();
    let pipeline = config::load(Path::new(path)).unwrap();
    let settings = KafkaConfig { topics: settings(Broker::shared()).topics, ..pipeline.kafka.unwrap() };
    let options = standalone::Options { until_end: true, ..standalone::Options::default() };
    let summary =
        standalone::run(&pipeline.plan, &settings, options, Audience::none(), &AtomicBool::new(false)).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!((summary.events, summary.rejects), (1_000, 0), "{text}");
    assert!(summary.rows > 0);
}

#[test]
fn arrow_tables_become_a_pipeline_that_reads_them() {
    let topic = Broker::shared().topic("init.arrow", 2);
    let connection = Connection::open(&KafkaConfig::plain(&Broker::shared().bootstrap, "init")).unwrap();
    let producer = Producer::open(&connection).unwrap();
    for record in 0..10 {
        let rows = record * 100..(record + 1) * 100;
        let texts =
            |text: fn(i64) -> String| Arc::new(StringArray::from_iter_values(rows.clone().map(text))) as ArrayRef;
        let times = TimestampMillisecondArray::from_iter_values(rows.clone().map(|at| (EPOCH + at * 60) * 1_000));
        let amounts =
            Float64Array::from_iter_values(rows.clone().map(|at| f64::from(i32::try_from(at * 37 % 1_000).unwrap())));
        let table = RecordBatch::try_from_iter([
            ("prediction_id", texts(|at| format!("p{at}"))),
            ("ts", Arc::new(times)),
            ("model_version", texts(|at| if at % 4 == 0 { "v2" } else { "v1" }.to_owned())),
            ("amount", Arc::new(amounts)),
            ("score", Arc::new(Float64Array::from(vec![0.25; 100]))),
        ]);
        let body = ipc(&[table.unwrap()]);
        let partition = i32::try_from(record % 2).unwrap();
        producer.send(BaseRecord::to(&topic).partition(partition).payload(body.as_slice())).unwrap();
    }
    producer.settle().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made.yaml");
    let path = path.to_str().unwrap();
    let said = haldane(&["init", &address(&topic), "--records", "600", "-o", path]).unwrap();
    assert!(said.contains("600 rows of predictions"), "{said}");
    let text = std::fs::read_to_string(path).unwrap();
    for line in
        ["    format: arrow_ipc\n", "id: prediction_id", "event_time: ts", "version: model_version", "path: amount"]
    {
        assert!(text.contains(line), "`{line}` is not in\n{text}");
    }
    reads_a_thousand_events(path);
}

#[test]
fn topics_behind_a_login_become_a_pipeline_that_logs_in() {
    let broker = Broker::shared();
    let Some(login) = &broker.login else {
        eprintln!("HALDANE_TEST_BOOTSTRAP names a cluster without a login listener: not tested");
        return;
    };
    let topic = broker.topic("init.login", 2);
    fill(&topic, Mode::Plain, 1_000);
    let [there, here] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let file = there.path().join("login.yaml");
    let security = "{ protocol: sasl_plaintext, mechanism: PLAIN, username: haldane, password_file: password }";
    std::fs::write(&file, format!("kafka: {{ brokers: \"{login}\", security: {security} }}\n")).unwrap();
    let path = here.path().join("made.yaml");
    let path = path.to_str().unwrap();
    let (file, address) = (file.to_str().unwrap(), format!("kafka://{login}/{topic}"));
    let init = |password: &str| {
        std::fs::write(there.path().join("password"), password).unwrap();
        haldane(&["init", "--kafka", file, &address, "-o", path])
    };
    let refused = init("wrong").unwrap_err().to_string();
    assert!(refused.starts_with(&format!("Kafka at {login} refuses the login of user `haldane`: ")), "{refused}");
    init(PASSWORD).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert!(!text.contains(PASSWORD) && text.contains("    username: haldane\n"), "{text}");
    reads_a_thousand_events(path);

    let of_files = haldane(&["init", "--kafka", file, "log.jsonl"]).unwrap_err().to_string();
    assert_eq!(of_files, "--kafka says how to reach topics, and no topic is named");
    std::fs::write(file, "sources: {}\n").unwrap();
    let no_section = haldane(&["init", "--kafka", file, &address, "-o", path, "--force"]).unwrap_err().to_string();
    assert!(no_section.contains("the key `kafka` is missing"), "{no_section}");
}

#[test]
fn topics_that_give_no_pipeline_are_clear_errors() {
    let broker = Broker::shared();
    let [empty, binary, avro] = ["init.empty", "init.binary", "init.avro"].map(|name| broker.topic(name, 1));
    let connection = Connection::open(&KafkaConfig::plain(&broker.bootstrap, "init")).unwrap();
    let producer = Producer::open(&connection).unwrap();
    for payload in [b"\xfe\x01\x02".as_slice(), b"{\"a\":", b"[1]"] {
        producer.send(BaseRecord::to(&binary).payload(payload)).unwrap();
    }
    producer.send(BaseRecord::to(&avro).payload(b"\0\0\0\0\x07abc".as_slice())).unwrap();
    producer.settle().unwrap();
    let refused = |address: &str| haldane(&["init", address]).unwrap_err().to_string();
    assert_eq!(refused(&address(&empty)), format!("topic `{empty}` holds no records"));
    assert_eq!(refused(&address("init.absent")), "topic `init.absent` does not exist");
    let none = |n: u8, topic: &str| format!("none of {n} records of topic `{topic}` holds an event; the first is ");
    assert_eq!(refused(&address(&binary)), none(3, &binary) + "binary");
    assert_eq!(refused(&address(&avro)), none(1, &avro) + "binary, like Avro or Protobuf with a schema registry");
    assert!(refused("kafka://127.0.0.1:1/p").starts_with("no answer from Kafka at 127.0.0.1:1 within 10 s"));
    assert_eq!(refused("kafka://127.0.0.1:1"), "kafka://127.0.0.1:1 names no topic");
    let mixed = haldane(&["init", "log.jsonl", &address(&empty)]).unwrap_err().to_string();
    assert_eq!(mixed, "files and topics cannot be mixed");
}
