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
use haldane::replay::{self, ReplayOptions, ReplayStep};
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
    let log = replay::open(&pipeline.plan, files, &ReplayOptions::default()).expect("files of this pipeline");
    let mut engine = Engine::new(Arc::clone(&pipeline.plan), log.lanes());
    let (mut rows, mut refused, mut effects) = (0, 0, Effects::default());
    for step in log {
        match step.expect("a readable file") {
            ReplayStep::Batch(batch) => {
                rows += batch.len();
                effects.extend(engine.step(&batch));
            }
            ReplayStep::Refused(some) => refused += some.len(),
            ReplayStep::End { source, lane, next_offset } => {
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

/// Lines of a file, each an event that `line` makes.
fn lines(folder: &Path, name: &str, n: u32, line: impl Fn(u32) -> serde_json::Value) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, (0..n).map(|row| line(row).to_string() + "\n").collect::<String>()).expect("a file");
    path
}

/// Makes a pipeline of a file, replays it, and sees that all of its rows were taken and these lines were written.
fn says(path: &Path, rows: usize, wanted: &[&str]) {
    let made = replayed(&[path.to_owned()]);
    assert_eq!((made.rows, made.refused), (rows, 0), "{}", made.text);
    for line in wanted {
        assert!(made.text.contains(line), "`{line}` is not in\n{}", made.text);
    }
    assert!(!made.effects.windows.is_empty());
}

fn version(row: u32) -> &'static str {
    if row.is_multiple_of(4) { "v2" } else { "v1" }
}

fn share(row: u32) -> f64 {
    f64::from(row * 37 % 100) / 100.0
}

fn seconds(row: u32) -> u32 {
    1_700_000_000 + row * 20
}

#[test]
fn messages_of_model_servers_are_recognised() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |row: u32| u64::from(seconds(row)) * 1_000_000;
    let answers = lines(dir.path(), "answers.jsonl", 300, |row| {
        let tensor = json!({ "name": "p", "shape": [2, 1], "datatype": "FP64", "data": [share(row), 0.5] });
        json!({ "id": format!("r{row}"), "timestamp_us": at(row), "model_version": version(row), "outputs": [tensor] })
    });
    let said =
        ["format: open_inference", "side: response", "version: model_version", "score: \"outputs[name=p]\"", "id: id"];
    says(&answers, 600, &said);
    let timeless = lines(dir.path(), "timeless.jsonl", 30, |row| {
        let tensor = json!({ "name": "p", "shape": [1], "datatype": "FP64", "data": [0.5] });
        json!({ "id": row, "at": at(row), "outputs": [tensor] })
    });
    let error = init::draft(&[timeless]).expect_err("no time that can be read");
    assert!(error.advice().is_some_and(|hint| hint.contains("timestamp_us")), "{error}");
}

#[test]
fn elements_of_lists_are_rows_where_records_answer_nothing_themselves() {
    let dir = tempfile::tempdir().expect("a directory");
    let batches = lines(dir.path(), "batches.jsonl", 200, |row| {
        let country = ["DE", "FR"][(row % 2) as usize];
        let instance = |n: u32| json!({ "amount": row + n, "country": country, "score": share(row + n) });
        let instances: Vec<_> = (0..=row % 3).map(instance).collect();
        json!({ "id": format!("r{row}"), "version": version(row), "ts": seconds(row), "instances": instances })
    });
    let said = [
        "rows: \"instances[*]\"",
        "id: id #",
        "country: \"$row.country\"",
        "score: \"$row.score\"",
        "amount: { path: \"$row.amount\"",
    ];
    says(&batches, 399, &said);
    let sites = lines(dir.path(), "sites.jsonl", 100, |row| {
        let call = |n: u32| json!({ "id": format!("{row}-{n}"), "version": "v1", "score": share(row + n) });
        let site = |name: &str, calls: Vec<u32>| json!({ "name": name, "calls": calls.into_iter().map(call).collect::<Vec<_>>() });
        json!({ "ts": seconds(row), "sites": [site("a", vec![0, 1]), site("b", vec![2])] })
    });
    says(&sites, 300, &["rows: \"sites[*].calls[*]\"", "id: \"$row.id\"", "name: \"sites[*].name\""]);
    // A list beside an answer is none of rows.
    let reasons = lines(dir.path(), "reasons.jsonl", 100, |row| {
        let reasons = [json!({ "code": "a", "weight": 0.1 })];
        json!({ "id": format!("r{row}"), "ts": seconds(row), "score": share(row), "reasons": reasons })
    });
    says(&reasons, 100, &["score: score", "reasons: lists and the like are not measured"]);
}

#[test]
fn elements_of_vectors_are_features() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = lines(dir.path(), "vectors.jsonl", 200, |row| {
        let long: Vec<f64> = (0..128).map(|n| share(row + n)).collect();
        let uneven: Vec<f64> = (0..row % 3).map(share).collect();
        json!({ "id": format!("r{row}"), "version": version(row), "ts": seconds(row), "score": share(row),
            "features": [share(row), row % 5], "embedding": long, "uneven": uneven })
    });
    let said = [
        "`embedding` is a vector of 128 numbers, of which the first 16 are watched; `features` is a vector of 2 numbers",
        "features_1: { path: \"features[1]\", range: [0.0, 4.0] }",
        "embedding_9: { path: \"embedding[9]\"",
        "embedding_15: ",
    ];
    says(&path, 200, &said);
    let text = init::draft(&[path]).expect("a pipeline").text;
    assert!(!text.contains("embedding_16") && !text.contains("path: \"uneven"), "{text}");
}

#[test]
fn changes_of_a_table_are_the_rows_that_they_leave_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = lines(dir.path(), "changes.jsonl", 300, |row| {
        let whole = json!({ "id": format!("t{row}"), "score": share(row), "made_by": version(row), "amount": row });
        let is_gone = row.is_multiple_of(10);
        let after = if is_gone { json!(null) } else { whole.clone() };
        let op = if is_gone { "d" } else { ["c", "u"][(row % 2) as usize] };
        json!({ "before": whole, "after": after, "source": { "table": "x", "lsn": row }, "op": op,
            "ts_ms": u64::from(seconds(row)) * 1_000 })
    });
    let said = [
        "# changes of a table, as Debezium tells them",
        "op: [c, r, u]",
        "event_time: { path: ts_ms, unit: ms }",
        "id: after.id",
        "score: after.score",
        "amount: { path: after.amount",
    ];
    says(&path, 270, &said);
    assert!(!init::draft(&[path]).expect("a pipeline").text.contains("path: before"));
}

#[test]
fn spans_and_log_records_of_opentelemetry_are_recognised() {
    let data = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/otlp").join(name);
    let said = [
        "rows: \"resourceSpans[*].scopeSpans[*].spans[*]\"",
        "\"$row.attributes[key=gen_ai.operation.name].value.stringValue\": [chat]",
        "event_time: { path: \"$row.endTimeUnixNano\", unit: ns }",
        "id: \"$row.attributes[key=gen_ai.response.id].value.stringValue\"",
        "version: \"$row.attributes[key=gen_ai.response.model].value.stringValue\"",
        "error: \"$row.attributes[key=error.type].value.stringValue\"",
        "service.name: \"resourceSpans[*].resource.attributes[key=service.name].value.stringValue\"",
        "gen_ai.usage.input_tokens: { path: \"$row.attributes[key=gen_ai.usage.input_tokens].value.intValue\"",
    ];
    says(&data("spans.json"), 6, &said);
    let said = [
        "rows: \"resourceLogs[*].scopeLogs[*].logRecords[*]\"",
        "\"$row.eventName\": [feature_flag.evaluation]",
        "version: \"$row.attributes[key=feature_flag.result.variant].value.stringValue\"",
    ];
    says(&data("logs.json"), 6, &said);
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
    let options = standalone::RunOptions { until_end: true, ..standalone::RunOptions::default() };
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
    assert_eq!(refused(&address(&avro)), format!("records of topic `{avro}` name schema 7, and it is not known"));
    assert!(refused("kafka://127.0.0.1:1/p").starts_with("no answer from Kafka at 127.0.0.1:1 within 10 s"));
    assert_eq!(refused("kafka://127.0.0.1:1"), "kafka://127.0.0.1:1 names no topic");
    let mixed = haldane(&["init", "log.jsonl", &address(&empty)]).unwrap_err().to_string();
    assert_eq!(mixed, "files and topics cannot be mixed");
}

#[test]
fn requests_and_answers_on_one_topic_become_two_sources() {
    let mut sample = init::TopicSample::new(&KafkaConfig::plain("b:9092", "haldane.init"), "kserve");
    for row in 0..200_u32 {
        let instances = json!({ "instances": [[share(row), 3], [share(row + 1), 4]] }).to_string();
        let predictions = json!({ "predictions": [share(row), 0.5] }).to_string();
        let (id, time) = (format!("r{row}"), instant(i64::from(row)));
        for (kind, payload) in [("request", instances), ("response", predictions)] {
            let kind = format!("org.kubeflow.serving.inference.{kind}");
            let attributes = [("specversion", "1.0"), ("type", &kind), ("id", &id), ("time", &time)];
            let names = attributes.map(|(name, _)| format!("ce_{name}"));
            let headers: Vec<(&str, &[u8])> =
                names.iter().zip(attributes).map(|(name, (_, value))| (name.as_str(), value.as_bytes())).collect();
            sample.push(
                0,
                &haldane::decode::Record {
                    offset: i64::from(row),
                    broker_time: i64::from(seconds(row)) * 1_000_000,
                    key: None,
                    payload: Some(payload.as_bytes()),
                    headers: &headers,
                    topic: "kserve",
                },
            );
        }
    }
    let text = init::draft_topics(vec![sample]).expect("a pipeline").text;
    for line in [
        "  predictions:\n    topic: kserve\n    rows: \"predictions[*]\"",
        "\"$ce.type\": [org.kubeflow.serving.inference.response]",
        "event_time: \"$ce.time\"",
        "id: \"$ce.id\"",
        "score: \"$row\"",
        "  features:\n    topic: kserve\n    rows: \"instances[*]\"",
        "\"$ce.type\": [org.kubeflow.serving.inference.request]",
        "instances_1: { path: \"$row[1]\", range: [3.0, 4.0] }",
    ] {
        assert!(text.contains(line), "`{line}` is not in\n{text}");
    }
    config::parse(&text, "made.yaml", Path::new("")).unwrap_or_else(|error| panic!("{error}\n{text}"));
}

#[test]
fn a_sample_is_shown_as_it_is_read_with_what_nothing_reads() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = lines(dir.path(), "rows.jsonl", 20, |row| {
        let score = if row == 3 { json!("high") } else { json!(share(row)) };
        let instances = json!([{ "amount": row, "country": "DE", "score": score, "note": "x" }]);
        json!({ "id": format!("r{row}"), "ts": seconds(row), "kind": if row == 4 { "ping" } else { "call" }, "vector": [row, 7],
            "attributes": [{ "key": "a", "value": 1 }, { "key": "b", "value": 2 }], "instances": instances, "extra": { "deep": 1 } })
    });
    let pipeline = dir.path().join("p.yaml");
    let text = "pipeline: p\nsources:\n  predictions:\n    topic: rows\n    rows: instances[*]\n    where: { kind: call }\n    \
        event_time: { path: ts, unit: s }\n    id: id\n    version: { constant: v1 }\n    score: $row.score\n    \
        features:\n      numeric:\n        amount: { path: $row.amount, range: [0, 9] }\n        first: { path: \"vector[0]\", range: [0, 9] }\n        \
        a: { path: \"attributes[key=a].value\", range: [0, 9] }\nrollout: { baseline: v1 }\nwindows: { size: 1m }\n";
    std::fs::write(&pipeline, text).expect("a file");
    let said = haldane(&["check", "-c", pipeline.to_str().unwrap(), "--sample", path.to_str().unwrap()]).unwrap();
    for line in [
        "the first rows, as they are read (--sample)",
        "prediction at 2023-11-14 22:13:40 UTC, id #",
        "version v1, amount 1, first 1, a 1, score 0.37",
        "prediction refused, line 4: ",
        "of the first rows 18 were read, 1 refused, 1 passed over",
        "fields of the sample that nothing reads\n",
    ] {
        assert!(said.contains(line), "`{line}` is not in\n{said}");
    }
    let unread: Vec<&str> =
        said.split("that nothing reads\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty()).collect();
    let mut unread: Vec<&str> = unread.into_iter().map(str::trim).collect();
    unread.sort_unstable();
    assert_eq!(unread, ["attributes[key=b].value", "extra.deep", "instances[0].country", "instances[0].note"]);
}

/// The first records of a topic, learned by files of schemas in a folder.
fn sampled(payloads: &[Vec<u8>], schemas: Option<&Path>) -> Result<init::TopicSample, haldane::error::Error> {
    let mut sample = init::TopicSample::new(&KafkaConfig::plain("b:9092", "haldane.init"), "scored");
    for (row, payload) in (0_u32..).zip(payloads) {
        sample.push(
            0,
            &haldane::decode::Record {
                offset: i64::from(row),
                broker_time: i64::from(seconds(row)) * 1_000_000,
                key: None,
                payload: Some(payload),
                headers: &[],
                topic: "scored",
            },
        );
    }
    haldane::cli::init::learn(&mut sample, schemas.map(|path| path.to_str().unwrap()))?;
    Ok(sample)
}

#[test]
fn records_that_name_schemas_are_read_by_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let avro = r#"{"type":"record","name":"Scored","fields":[{"name":"id","type":"string"},{"name":"version","type":"string"},{"name":"score","type":"double"}]}"#;
    let proto = "syntax = \"proto3\"; message Scored { string id = 1; string version = 2; double score = 3; }";
    std::fs::write(dir.path().join("42.avsc"), avro).expect("a file");
    std::fs::write(dir.path().join("9.proto"), proto).expect("a file");
    let body = |row: u32| (format!("r{row:03}"), version(row), share(row).to_le_bytes());
    let avro = |head: &'static [u8]| {
        move |row: u32| {
            let (id, version, score) = body(row);
            [head, &[8], id.as_bytes(), &[4], version.as_bytes(), &score].concat()
        }
    };
    let proto = |row: u32| {
        let (id, version, score) = body(row);
        let head: &[u8] = &[0, 0, 0, 0, 9, 0, 0x0a, 4];
        [head, id.as_bytes(), &[0x12, 2], version.as_bytes(), &[0x19], &score].concat()
    };
    let json = |row: u32| {
        let (id, version, _) = body(row);
        let text = json!({ "id": id, "version": version, "score": share(row) }).to_string();
        [&[0, 0, 0, 0, 7][..], text.as_bytes()].concat()
    };
    let all = |record: &dyn Fn(u32) -> Vec<u8>| (0..60).map(record).collect::<Vec<_>>();
    for (payloads, said) in [
        (all(&avro(&[0, 0, 0, 0, 42])), vec!["format: avro", "registry: { schemas: "]),
        (all(&avro(&[0, 0, 0, 0, 0, 0, 0, 0, 42])), vec!["format: avro", "frame: apicurio8 }"]),
        (all(&proto), vec!["format: protobuf", "registry: { schemas: "]),
        (all(&json), vec!["registry: { schemas: "]),
    ] {
        let sample = sampled(&payloads, Some(dir.path())).expect("known schemas");
        let text = init::draft_topics(vec![sample]).expect("a pipeline").text;
        for line in said.into_iter().chain(["id: id #", "version: version #", "score: score #"]) {
            assert!(text.contains(line), "`{line}` is not in\n{text}");
        }
        let plan = config::parse(&text, "made.yaml", Path::new("")).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(plan.registry.is_some());
    }
    // One that nobody knows does not spoil the others.
    let mut mixed: Vec<Vec<u8>> = all(&json).iter().map(|record| record[5..].to_vec()).collect();
    mixed.push(avro(&[0, 0, 0, 0, 43])(0));
    let text = init::draft_topics(vec![sampled(&mixed, None).expect("others")]).expect("a pipeline").text;
    assert!(text.contains("score: score #") && !text.contains("registry:"), "{text}");
    let error = sampled(&all(&avro(&[0, 0, 0, 0, 43])), Some(dir.path())).expect_err("no such schema");
    assert!(error.to_string().contains("name schema 43, and it is not known"), "{error}");
    assert!(sampled(&all(&proto), None).expect_err("nothing known").advice().unwrap().contains("--registry"));
}

#[test]
fn requests_of_opentelemetry_in_protobuf_are_recognised() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/otlp/spans.pb");
    let sample = sampled(&[std::fs::read(path).expect("a file")], None).expect("no schema is needed");
    let text = init::draft_topics(vec![sample]).expect("a pipeline").text;
    for line in [
        "format: otlp",
        "rows: \"resourceSpans[*].scopeSpans[*].spans[*]\"",
        "version: \"$row.attributes[key=gen_ai.response.model].value.stringValue\"",
    ] {
        assert!(text.contains(line), "`{line}` is not in\n{text}");
    }
    config::parse(&text, "made.yaml", Path::new("")).unwrap_or_else(|error| panic!("{error}\n{text}"));
}
