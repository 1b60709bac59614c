//! Files to steps: what each file feeds, in which order rows come, and what is said about files that cannot be read.
#![expect(clippy::unwrap_used, clippy::cast_possible_wrap, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use haldane::error::Fault;
use haldane::event::{EventKind, Poison, SECOND};
use haldane::files::RowPosition;
use haldane::plan::*;
use haldane::replay::{self, Refused, Replay, ReplayOptions, ReplayStep};
use parquet::arrow::ArrowWriter;

use crate::world;

const FEATURES: [&str; 9] =
    ["dep_hour", "lead_min", "distance", "orig_delay_avg", "temp", "wind_speed", "precip", "pressure", "visib"];
const CATEGORIES: [&str; 3] = ["carrier", "origin", "dest"];

/// A plan for the flights of `tests/fixtures/spring`, whose JSON events nest their features.
fn plan() -> Arc<Plan> {
    let path = |dotted: &str| dotted.parse::<haldane::plan::Path>().unwrap();
    let time = Some((path("event_time_us"), TimeFormat::Micros));
    let number = |dotted: &str| Some(NumericField { path: path(dotted), factor: 1.0 });
    let mut plan = world::plan(WindowKind::Sliding { size: 3600 * SECOND, slide: 3600 * SECOND });
    plan.time.pane = 3600 * SECOND;
    let column = |name: &str, role| NumericColumn { name: name.into(), role, cut: world::cut(-100.0, 3000.0) };
    plan.columns.numeric = FEATURES.iter().map(|name| column(name, ColumnRole::Feature)).collect();
    plan.columns.numeric.extend([column("score", ColumnRole::Score), column("latency", ColumnRole::Latency)]);
    plan.columns.categorical = CATEGORIES.iter().map(|&name| CategoricalColumn::new(name)).collect();
    let mut numeric: Vec<_> = FEATURES.iter().map(|name| number(&format!("features_num.{name}"))).collect();
    numeric.extend([number("score"), number("latency_ms")]);
    plan.sources[0].topic = "flights.predictions".into();
    plan.sources[0].mapping = Mapping {
        id: Some(path("prediction_id")),
        event_time: time.clone(),
        model: FieldSource::Path(path("model")),
        version: FieldSource::Path(path("version")),
        segments: vec![path("cohort")],
        numeric,
        categorical: CATEGORIES.iter().map(|name| Some(path(&format!("features_cat.{name}")))).collect(),
        predicted: Some(path("predicted_label")),
        status: Some(path("status")),
        ..Mapping::default()
    };
    plan.sources[1].topic = "flights.outcomes".into();
    plan.sources[1].mapping = Mapping {
        id: Some(path("prediction_id")),
        event_time: time,
        model: FieldSource::Path(path("model")),
        label: Some(path("label")),
        ..Mapping::default()
    };
    Arc::new(plan)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/spring").join(name)
}

fn open(files: &[PathBuf]) -> haldane::error::Result<Replay> {
    replay::open(&plan(), files, &ReplayOptions::default())
}

/// What a replay gave, row by row: (source, lane, offset, broker time, id), and ends and refused rows.
#[derive(Debug, Default, PartialEq)]
struct Rows {
    order: Vec<(u16, u32, i64, i64, u64)>,
    numbers: Vec<Vec<Option<f64>>>,
    texts: Vec<Vec<Option<String>>>,
    ends: Vec<(u16, u32, i64)>,
    refused: Vec<Refused>,
}

fn rows(replay: Replay) -> Rows {
    let mut rows = Rows::default();
    for step in replay {
        match step.unwrap() {
            ReplayStep::Batch(batch) => take(&mut rows, &batch),
            ReplayStep::Refused(refused) => rows.refused.extend(refused),
            ReplayStep::End { source, lane, next_offset } => rows.ends.push((source, lane, next_offset)),
        }
    }
    rows
}

fn take(rows: &mut Rows, batch: &haldane::batch::EventBatch) {
    use arrow::array::Array as _;
    for at in 0..batch.len() {
        let (offset, time) = (batch.offset.value(at), batch.broker_time.value(at));
        rows.order.push((batch.source, batch.lane, offset, time, batch.id.value(at)));
        rows.numbers.push(batch.numeric.iter().map(|n| n.is_valid(at).then(|| n.value(at))).collect());
        let text = |column: &haldane::batch::TextArray| {
            let column = column.downcast_dict::<StringArray>().unwrap();
            column.into_iter().nth(at).flatten().map(str::to_owned)
        };
        let named = [&batch.model, &batch.version];
        rows.texts.push(named.into_iter().chain(&batch.segments).chain(&batch.categorical).map(text).collect());
    }
}

fn batched(files: &[PathBuf], batch_rows: usize) -> Rows {
    let options = ReplayOptions { batch_rows, ..ReplayOptions::default() };
    rows(replay::open(&plan(), files, &options).unwrap())
}

#[test]
fn the_order_of_a_real_log_does_not_depend_on_the_batch_size() {
    let parquet = [fixture("outcomes.parquet"), fixture("predictions.parquet")];
    let whole = batched(&parquet, 8192);
    assert_eq!(whole.order.len(), 2416 + 2578);
    assert_eq!((whole.refused.len(), &whole.ends), (0, &vec![(0, 0, 2416), (1, 0, 2578)]));
    for batch_rows in [1, 7] {
        assert!(batched(&parquet, batch_rows) == whole, "batches of {batch_rows}");
    }
    let lines = [fixture("events.jsonl")];
    let whole = batched(&lines, 8192);
    assert_eq!(whole.order.len(), 200);
    for batch_rows in [1, 7] {
        assert!(batched(&lines, batch_rows) == whole, "batches of {batch_rows}");
    }
}

#[test]
fn streams_take_turns_by_stretches_of_arrival_time() {
    let whole = batched(&[fixture("predictions.parquet"), fixture("outcomes.parquet")], 8192);
    let turn = |&(source, lane, offset, time, _): &(u16, u32, i64, i64, u64)| {
        (time.div_euclid(3600 * SECOND), source, lane, offset)
    };
    assert!(whole.order.is_sorted_by_key(turn));
    let changes = whole.order.windows(2).filter(|pair| pair[0].0 != pair[1].0).count();
    assert!(changes > 40, "both streams are read side by side: {changes} changes");
}

/// Rows by stream, in their order there.
fn by_stream(rows: &Rows) -> Vec<(u16, u32, i64, i64, u64)> {
    let mut order = rows.order.clone();
    order.sort_by_key(|&(source, lane, offset, ..)| (source, lane, offset));
    order
}

#[test]
fn files_of_one_stream_are_put_in_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let lines = fs::read_to_string(fixture("events.jsonl")).unwrap();
    let written = |name: &str, wanted: &dyn Fn(usize) -> bool| {
        let path = dir.path().join(name);
        let lines = lines.lines().enumerate().filter(|(at, _)| wanted(*at)).map(|(_, line)| format!("{line}\n"));
        fs::write(&path, lines.collect::<String>()).unwrap();
        path
    };
    let whole = batched(&[fixture("events.jsonl")], 8192);
    let halves = [written("b.jsonl", &|at| at >= 100), written("a.jsonl", &|at| at < 100)];
    assert_eq!(by_stream(&batched(&halves, 8192)), by_stream(&whole), "the later one is given first");
    let hour = |at: &(u16, u32, i64, i64, u64)| at.3.div_euclid(3600 * SECOND);
    for batch_rows in [1, 7, 8192] {
        let apart = [written("even.jsonl", &|at| at % 2 == 0), written("odd.jsonl", &|at| at % 2 == 1)];
        let apart = batched(&apart, batch_rows);
        let ends = |rows: &Rows| rows.ends.iter().copied().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(ends(&apart), ends(&whole));
        assert!(by_stream(&apart).is_sorted_by_key(|row| (row.0, row.1, hour(row))), "they overlap from end to end");
        let ids =
            |rows: &Rows| rows.order.iter().map(|row| (row.0, row.1, row.4)).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(ids(&apart), ids(&whole), "and none is lost");
    }
}

#[test]
fn envelopes_keep_their_partitions() {
    let replay = open(&[fixture("events.jsonl")]).unwrap();
    assert_eq!((replay.lanes(), replay.rows(), replay.warnings().len()), (4, 200, 0));
    let rows = rows(replay);
    let count = |source, lane| rows.order.iter().filter(|row| (row.0, row.1) == (source, lane)).count();
    assert_eq!((0..4).map(|lane| count(0, lane)).sum::<usize>(), 110);
    assert_eq!((0..4).map(|lane| count(1, lane)).sum::<usize>(), 90);
    for &(source, lane, next_offset) in &rows.ends {
        assert_eq!(count(source, lane) as i64, next_offset, "source {source}, lane {lane}");
    }
    assert_eq!(rows.ends.len(), 8);
}

#[test]
fn parquet_json_and_csv_of_one_log_give_the_same_rows() {
    let dir = tempfile::tempdir().unwrap();
    let envelopes = fs::read_to_string(fixture("events.jsonl")).unwrap();
    let events: Vec<serde_json::Value> = envelopes.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = events.iter().filter(|event| event["topic"] == "predictions").collect();

    let bare = dir.path().join("bare.jsonl");
    let line = |event: &&serde_json::Value| {
        let mut value = event["value"].clone();
        value["ingest_time"] = event["timestamp_us"].clone();
        format!("{value}\n")
    };
    fs::write(&bare, events.iter().map(line).collect::<String>()).unwrap();

    let csv = dir.path().join("flat.csv");
    let named = [
        "event_time_us",
        "prediction_id",
        "model",
        "version",
        "cohort",
        "score",
        "predicted_label",
        "latency_ms",
        "status",
    ];
    let cell = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => format!("\"{text}\""),
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    };
    let mut text = [&named[..], &FEATURES, &CATEGORIES, &["ingest_time"]].concat().join(",") + "\n";
    for event in &events {
        let value = &event["value"];
        let plain = named.iter().map(|name| cell(&value[name]));
        let features = FEATURES.iter().map(|name| cell(&value["features_num"][name]));
        let categories = CATEGORIES.iter().map(|name| cell(&value["features_cat"][name]));
        let cells: Vec<String> =
            plain.chain(features).chain(categories).chain([cell(&event["timestamp_us"])]).collect();
        text += &(cells.join(",") + "\n");
    }
    fs::write(&csv, text).unwrap();

    let (bare, csv) = (batched(&[bare], 8192), batched(&[csv], 8192));
    assert_eq!((bare.order.len(), bare.refused.len()), (110, 0));
    assert!(bare == csv, "JSON and CSV agree");
    let parquet = batched(&[fixture("predictions.parquet")], 8192);
    for (at, row) in bare.order.iter().enumerate() {
        let same = parquet.order.iter().position(|other| (other.4, other.3) == (row.4, row.3)).expect("the same event");
        assert_eq!(parquet.numbers[same], bare.numbers[at]);
        assert_eq!(parquet.texts[same], bare.texts[at]);
    }
}

#[test]
fn a_bad_line_is_refused_and_its_neighbours_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("poison.jsonl");
    let good =
        r#"{"event_time_us": 1367575215765021, "prediction_id": "a", "model": "m", "version": "v1", "score": 0.5}"#;
    let outcome = r#"{"event_time_us": 1367575215765021, "prediction_id": "a", "model": "m", "label": 1}"#;
    let bad = [
        (r#"{"event_time_us": 13, "prediction_id": "#, Poison::Malformed),
        ("[1,2,3]", Poison::Malformed),
        (r#"{"event_time_us": 1367575215765021, "model": "m", "version": "v1", "score": 0.5}"#, Poison::MissingField),
        (r#"{"event_time_us": "yesterday", "prediction_id": "a", "model": "m", "version": "v1"}"#, Poison::WrongType),
        (
            r#"{"event_time_us": 253370764800000000, "prediction_id": "a", "model": "m", "version": "v1"}"#,
            Poison::AbsurdTime,
        ),
    ];
    let pairs: Vec<String> = bad.iter().map(|(line, _)| format!("{good}\n{line}")).collect();
    let text = format!("{}\n{outcome}\n{good}\n", pairs.join("\n \n"));
    fs::write(&path, text.as_bytes()).unwrap();

    let rows = rows(open(std::slice::from_ref(&path)).unwrap());
    assert_eq!(rows.order.iter().filter(|row| row.0 == 0).count(), bad.len() + 1);
    assert_eq!(rows.order.iter().filter(|row| row.0 == 1).count(), 1);
    let reasons: Vec<Poison> = rows.refused.iter().map(|refused| refused.reject.reason).collect();
    assert_eq!(reasons, bad.map(|(_, reason)| reason));
    let offsets: Vec<i64> = rows.refused.iter().map(|refused| refused.reject.offset).collect();
    let places: Vec<RowPosition> = rows.refused.iter().map(|refused| refused.place).collect();
    assert_eq!(places, [2, 5, 8, 11, 14].map(RowPosition::Line), "a blank line is no record");
    assert_eq!(offsets, [1, 3, 5, 7, 9]);
    assert_eq!(rows.refused[1].payload.as_deref(), Some("[1,2,3]"));
    assert_eq!((&*rows.refused[1].file, rows.refused[1].source), (path.as_path(), 0));
    assert_eq!(rows.ends, [(0, 0, 11), (1, 0, 1)]);
}

#[test]
fn cells_of_the_wrong_type_refuse_their_row_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flights.csv");
    let text = "event_time,prediction_id,model,version,score,visib,status\n\
        1367575215765021,1,m,7,0.25,,200\n\
        1367575215765022,2,m,7,0.5,far,200\n\
        1367575215765023,3,m,7,0.5\n\
        1367575215765024,\"4\",m,7,nan,1e3,500\n\
        tomorrow,5,m,7,0.5,1,200\n\
        1367575215765026,6,m,7,0.75,2,200";
    fs::write(&path, text).unwrap();
    let replay = open(&[path]).unwrap();
    assert_eq!(replay.rows(), 6);
    let warning = &replay.warnings()[0];
    assert!(warning.contains("has no column for cohort, features_num.dep_hour, "), "{warning}");
    assert!(!warning.contains("visib") && warning.ends_with("; it counts as missing in every row"), "{warning}");
    let rows = rows(replay);
    assert_eq!(rows.order.iter().map(|row| row.2).collect::<Vec<_>>(), [0, 3, 5]);
    let refused: Vec<_> = rows.refused.iter().map(|r| (r.reject.offset, r.reject.reason)).collect();
    assert_eq!(refused, [(1, Poison::WrongType), (2, Poison::Malformed), (4, Poison::WrongType)]);
    assert_eq!(rows.ends.last(), Some(&(0, 0, 6)));
    let (visib, score) = (8, 9);
    assert_eq!((rows.numbers[0][visib], rows.numbers[0][score]), (None, Some(0.25)));
    assert!(rows.numbers[1][score].unwrap().is_nan());
    assert_eq!((rows.numbers[1][visib], rows.numbers[2][score]), (Some(1e3), Some(0.75)));
    assert_eq!(rows.texts[0][1].as_deref(), Some("7"), "a version of digits is still a text");
}

fn table(path: &Path, columns: &[(&str, ArrayRef)]) {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn texts(n: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..n).map(|at| at.to_string())))
}

#[test]
fn every_unusable_file_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let whole = fs::read(fixture("outcomes.parquet")).unwrap();
    fs::write(path("empty.parquet"), "").unwrap();
    fs::write(path("text.parquet"), "hello").unwrap();
    fs::write(path("short.parquet"), &whole[..whole.len() / 2]).unwrap();
    fs::write(path("events.jsonl.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
    fs::write(path("notes.txt"), "hello").unwrap();
    fs::write(path("words.jsonl"), "hello\nworld\n").unwrap();
    fs::write(path("foreign.jsonl"), r#"{"topic":"orders","partition":0,"timestamp_us":1,"value":{}}"#).unwrap();
    fs::write(path("other.csv"), "a,b\n1,2\n").unwrap();
    table(&path("other.parquet"), &[("a", texts(2)), ("b", texts(2))]);
    fs::create_dir(path("day")).unwrap();

    let cases = [
        ("missing.parquet", "cannot read {}: No such file or directory", "check the path and its permissions"),
        ("day", "{} is a directory", "name its files, as in {}/*.parquet"),
        ("empty.parquet", "{} is empty", "write or copy it again, or leave it out"),
        ("text.parquet", "{} is not a Parquet file: it does not start with PAR1", "write or copy it again"),
        ("short.parquet", "{} is not a whole Parquet file: ", "it may have been cut off"),
        ("events.jsonl.gz", "cannot read {}: ", "it may have been cut off"),
        ("notes.txt", "cannot tell the format of {}", "Parquet, Arrow, JSON and CSV are read"),
        ("words.jsonl", "{} holds no JSON object that fits a source of pipeline world", "each line must be one event"),
        (
            "foreign.jsonl",
            "{} holds topic `orders`, which feeds no source",
            "are flights.predictions, flights.outcomes",
        ),
        (
            "other.csv",
            "{}, read as predictions: no column `prediction_id`; there are a, b",
            "map the field to one of these columns",
        ),
        (
            "other.parquet",
            "{}, read as predictions: no column `prediction_id`; there are a, b",
            "map the field to one of these columns",
        ),
    ];
    for (name, message, hint) in cases {
        let file = path(name);
        let error = open(std::slice::from_ref(&file)).expect_err(name);
        let filled = |text: &str| text.replace("{}", &file.display().to_string());
        assert!(error.to_string().starts_with(&filled(message)), "{name}: {error}");
        assert!(error.advice().unwrap().contains(&filled(hint)), "{name}: {:?}", error.advice());
        assert_eq!(error.fault(), Fault::User);
    }
    let error = open(&[]).unwrap_err();
    assert_eq!(error.to_string(), "no files to replay");
    assert_eq!(error.advice(), Some("name Parquet, Arrow, JSON or CSV files"));
}

#[test]
fn damage_inside_a_file_is_found_when_it_is_reached() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("outcomes.parquet");
    let mut bytes = fs::read(fixture("outcomes.parquet")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4000].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let mut steps = open(std::slice::from_ref(&path)).unwrap();
    let error = steps.find_map(Result::err).expect("the damage is noticed");
    assert!(error.to_string().starts_with(&format!("{} is damaged after row ", path.display())), "{error}");
    assert!(steps.next().is_none(), "nothing comes after an error");
}

#[test]
fn a_file_without_rows_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("quiet.parquet");
    let time: ArrayRef = Arc::new(Int64Array::from(Vec::<i64>::new()));
    table(
        &path,
        &[
            ("event_time", time),
            ("prediction_id", texts(0)),
            ("model", texts(0)),
            ("label", Arc::new(Float64Array::from(Vec::<f64>::new()))),
        ],
    );
    let replay = open(std::slice::from_ref(&path)).unwrap();
    assert_eq!(replay.warnings(), [format!("{}: has no rows", path.display())]);
    assert_eq!(rows(replay), Rows { ends: vec![(0, 0, 0), (1, 0, 0)], ..Rows::default() });
}

#[test]
fn a_file_can_be_named_for_its_source() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labelled.csv");
    fs::write(&path, "event_time,prediction_id,version,label\n1367575215765021,a,v1,1\n").unwrap();
    let options = ReplayOptions { outcomes: vec![path.clone()], ..ReplayOptions::default() };
    let rows = rows(replay::open(&plan(), &[], &options).unwrap());
    assert_eq!(rows.order.iter().map(|row| row.0).collect::<Vec<_>>(), [1]);

    let mut plan = Arc::unwrap_or_clone(plan());
    plan.sources.truncate(1);
    let error = replay::open(&Arc::new(plan), &[], &options).unwrap_err();
    assert_eq!(error.to_string(), format!("{} cannot be read as outcomes", path.display()));
    assert_eq!(error.advice(), Some("pipeline world has no such source; add it under `sources`"));
    assert_eq!(EventKind::Outcome.name(), "outcome");
}

#[test]
fn rows_without_an_arrival_time_arrive_when_they_happen() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plain.csv");
    fs::write(&path, "event_time,prediction_id,label\n1367575215765021,a,1\n1367575215765000,b,0\n").unwrap();
    let rows = rows(open(&[path]).unwrap());
    assert_eq!(rows.order.iter().map(|row| row.3).collect::<Vec<_>>(), [1_367_575_215_765_021, 1_367_575_215_765_000]);
}

#[test]
fn a_file_that_tells_no_time_at_all_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let [csv, jsonl] = ["plain.csv", "plain.jsonl"].map(|name| dir.path().join(name));
    fs::write(&csv, "prediction_id,label\na,1\n").unwrap();
    fs::write(&jsonl, r#"{"prediction_id": "a", "label": 1}"#).unwrap();
    let mut plan = Arc::unwrap_or_clone(plan());
    plan.sources[1].mapping.event_time = None;
    let plan = Arc::new(plan);
    for (path, message) in [
        (csv, ", read as outcomes: no column tells when an event happened or arrived"),
        (jsonl, ": line 1 does not tell when it happened or arrived"),
    ] {
        let error = replay::open(&plan, std::slice::from_ref(&path), &ReplayOptions::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("{}{message}", path.display()));
        assert!(error.advice().unwrap().contains("ingest_time"));
    }
}

/// Replays the fixtures by the command; returns what it printed and the files it wrote.
fn replayed(dir: &Path, batch_rows: &str) -> (String, Vec<u8>, Vec<u8>) {
    use clap::Parser as _;
    let config = dir.join("flights.yaml");
    fs::write(&config, PIPELINE).unwrap();
    let [windows, decisions] = ["windows.parquet", "decisions.jsonl"].map(|name| dir.join(name));
    let [config, predictions, outcomes] =
        [config, fixture("predictions.parquet"), fixture("outcomes.parquet")].map(|path| path.display().to_string());
    let (to_windows, to_decisions) = (windows.display().to_string(), decisions.display().to_string());
    let arguments = ["haldane", "replay", "-c", &config, &predictions, &outcomes, "--batch-rows", batch_rows];
    let sinks = ["--windows", &to_windows, "--decisions", &to_decisions];
    let cli = haldane::cli::Cli::try_parse_from(arguments.into_iter().chain(sinks)).unwrap();
    let mut printed = Vec::new();
    haldane::cli::run(&cli, &mut printed).unwrap();
    (String::from_utf8(printed).unwrap(), fs::read(windows).unwrap(), fs::read(decisions).unwrap())
}

const PIPELINE: &str = "
pipeline: flights
task: binary
sources:
  predictions:
    topic: flights.predictions
    event_time: { path: event_time_us, unit: us }
    id: prediction_id
    model: model
    version: version
    score: score
    latency: { path: latency_ms, unit: ms }
    status: status
    features: { numeric: { visib: { path: visib, range: [0, 20] } }, categorical: { origin: origin } }
  outcomes:
    topic: flights.outcomes
    event_time: { path: event_time_us, unit: us }
    id: prediction_id
    label: label
rollout: { name: flights, baseline: v1 }
windows: { size: 6h, lateness: 1h }
labels: { wait: 6h, horizon: 2d }
baselines: [concurrent]
policy:
  - { name: visibility, metric: psi, columns: [visib], baseline: concurrent, above: 0.25, min_n: 50, breaches: 2, of: 3, action: hold }
";

#[test]
fn the_command_tells_the_unit_change_and_writes_the_same_bytes_for_any_batch_size() {
    let dir = tempfile::tempdir().unwrap();
    let whole = replayed(dir.path(), "8192");
    let lines: Vec<&str> = whole.0.lines().collect();
    let ids: Vec<u64> = batched(&[fixture("predictions.parquet")], 8192).order.iter().map(|row| row.4).collect();
    let again = ids.len() - ids.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(lines[0], format!("4,994 rows read, 0 late and {again} re-delivered events dropped"));
    assert!(lines.iter().any(|line| line.contains("v2: ") && line.contains(" windows judged")), "{}", whole.0);
    assert!(lines.iter().any(|line| line.contains("hold  ") && line.contains("psi")), "{}", whole.0);
    let drift = lines.iter().position(|line| line.ends_with("in any window, against concurrent:v1")).unwrap();
    assert!(lines[drift + 2].trim_start().starts_with("visib"), "{}", whole.0);
    assert!(whole.1.starts_with(b"PAR1") && whole.2.starts_with(b"{"));
    for batch_rows in ["1", "7"] {
        assert!(replayed(dir.path(), batch_rows) == whole, "batches of {batch_rows}");
    }
}
