//! Records of which each element of a list is a row.

use std::fs;
use std::path::Path as FilePath;
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field};
use haldane::config;
use haldane::decode::{Decoded, Record, decoder};
use haldane::engine::Engine;
use haldane::event::{Poison, row_id, stable_hash};
use haldane::judge::WindowRow;
use haldane::plan::*;
use haldane::replay::{self, ReplayOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::decode_columnar::ipc;
use crate::flights::rows;
use crate::selected::rows_taken;

const BROKER_TIME: i64 = 1_800_000_000_000_000;

pub(crate) const PIPELINE: &str = "
sources:
  predictions:
    topic: p
    rows: instances[*]
    id: id
    version: v
    status: status
    latency: took
    score: $row.score
    segments: { place: place }
    features: { numeric: { x: { path: '$row.x[0]', range: [0, 10] } } }
  outcomes: { topic: o, id: id, row: n, label: y }
";

pub(crate) fn load(text: &str) -> Result<Arc<Plan>, String> {
    config::parse(text, "p.yaml", FilePath::new("")).map(|pipeline| pipeline.plan).map_err(|error| error.to_string())
}

fn decode(plan: &Arc<Plan>, source: u16, payloads: &[&[u8]]) -> Decoded {
    let mut decoder = decoder(plan, source, 0);
    for (offset, payload) in (0..).zip(payloads) {
        let payload = Some(*payload);
        decoder.push(&Record { offset, broker_time: BROKER_TIME, key: None, payload, headers: &[], topic: "p" });
    }
    decoder.finish()
}

pub(crate) fn record(instances: &Value) -> String {
    json!({ "v": "v1", "status": 200, "instances": instances, "id": "r", "took": 5, "place": "DE" }).to_string()
}

fn refused(decoded: &Decoded) -> Vec<(i64, u32, Poison)> {
    decoded.rejects.iter().map(|reject| (reject.offset, reject.row, reject.reason)).collect()
}

#[test]
fn each_element_is_a_row_with_the_values_of_its_record() {
    let plan = load(PIPELINE).unwrap();
    let payload = record(&json!([{ "score": 0.5, "x": [1] }, { "x": [2, 3] }, { "score": 0.25 }]));
    let decoded = decode(&plan, 0, &[payload.as_bytes()]);
    let read = rows(&decoded.batch);
    let numbers: Vec<_> = read.iter().map(|row| row.numeric.clone()).collect();
    let took = Some(5.0);
    assert_eq!(numbers, [[Some(1.0), Some(0.5), took], [Some(2.0), None, took], [None, Some(0.25), took]]);
    assert!(read.iter().all(|row| {
        row.version.as_deref() == Some("v1") && row.segments == [Some("DE".to_owned())] && row.status == Some(200)
    }));
    let ids: Vec<_> = read.iter().map(|row| row.id.unwrap()).collect();
    assert_eq!(ids, [0, 1, 2].map(|row| row_id(stable_hash(b"r"), row)));
    assert_eq!(decoded.batch.offset.values(), &[0; 3]);
    let further = decoded.batch.further.as_ref().unwrap();
    assert_eq!(further, &BooleanArray::from(vec![false, true, true]));
}

#[test]
fn elements_may_be_numbers_or_lists_and_have_ids_of_their_own() {
    let text = PIPELINE.replace("$row.score", "$row").replace("$row.x[0]", "x");
    let decoded = decode(&load(&text).unwrap(), 0, &[record(&json!([0.03, 0.81])).as_bytes()]);
    assert_eq!(decoded.batch.numeric[1].values(), &[0.03, 0.81]);
    let text = PIPELINE
        .replace("    id: id", "    id: '$row[2]'")
        .replace("$row.score", "$row[1]")
        .replace("$row.x[0]", "$row[0]");
    let decoded = decode(&load(&text).unwrap(), 0, &[record(&json!([[1, 0.5, "a"], [2, 0.25, "b"]])).as_bytes()]);
    assert_eq!(decoded.batch.id.values(), &[stable_hash(b"a"), stable_hash(b"b")]);
    assert_eq!(decoded.batch.numeric[0].values(), &[1.0, 2.0]);
}

#[test]
fn a_bad_element_is_one_reject_and_its_neighbours_stay() {
    let plan = load(PIPELINE).unwrap();
    let bad = json!([{ "score": 0.5 }, { "score": "x" }, { "score": 7 }, 3, { "score": 0.25 }, { "x": 1 }]);
    let payloads = [record(&bad), record(&json!([])), record(&json!(null)), record(&json!({})), record(&json!([{}]))];
    let cut = r#"{"id": "r", "v": "v", "instances": [{"score": 0.5}, {"score": }]}"#;
    let missing = r#"{"id": "r", "instances": [{"score": 0.5}, {}]}"#;
    let all: Vec<&[u8]> = payloads.iter().map(String::as_str).chain([cut, missing]).map(str::as_bytes).collect();
    let decoded = decode(&plan, 0, &all);
    assert_eq!(decoded.batch.offset.values(), &[0, 0, 4]);
    let ids = decoded.batch.id.values();
    assert_eq!(&ids[..2], [0, 4].map(|row| row_id(stable_hash(b"r"), row)), "ids are those of the places");
    let expected = vec![
        (0, 1, Poison::WrongType),
        (0, 2, Poison::OutOfRange),
        (0, 3, Poison::WrongType),
        (0, 5, Poison::WrongType),
        (2, 0, Poison::MissingField),
        (3, 0, Poison::WrongType),
        (5, 0, Poison::Malformed),
        (6, 0, Poison::MissingField),
        (6, 1, Poison::MissingField),
    ];
    assert_eq!((refused(&decoded), decoded.passed_over), (expected, 1));
    assert!(decoded.rejects[0].detail.starts_with("$row.score: expected a number"), "{}", decoded.rejects[0].detail);
    assert!(decoded.rejects[4].detail.starts_with("instances: missing"), "{}", decoded.rejects[4].detail);
}

#[test]
fn a_record_has_so_many_rows_at_most() {
    let plan = load(PIPELINE).unwrap();
    let list = |n: usize| format!(r#"{{"id": 1, "v": "v", "instances": [{}{{}}]}}"#, "{},".repeat(n - 1));
    let decoded = decode(&plan, 0, &[list(65_536).as_bytes(), list(65_537).as_bytes()]);
    assert_eq!((decoded.batch.len(), refused(&decoded)), (65_536, vec![(1, 0, Poison::TooLong)]));
}

#[test]
fn outcomes_name_the_row_that_they_are_about() {
    let plan = load(PIPELINE).unwrap();
    let outcome = |n: Value| json!({ "id": "r", "y": 1, "n": n }).to_string();
    let payloads = [
        outcome(json!(2)),
        outcome(json!("1")),
        outcome(json!(0)),
        outcome(json!(null)),
        outcome(json!(-1)),
        outcome(json!(0.5)),
    ];
    let all: Vec<&[u8]> = payloads.iter().map(String::as_bytes).collect();
    let decoded = decode(&plan, 1, &all);
    assert_eq!(decoded.batch.id.values(), &[2, 1, 0, 0].map(|row| row_id(stable_hash(b"r"), row)));
    assert_eq!(refused(&decoded), [(4, 0, Poison::OutOfRange), (5, 0, Poison::OutOfRange)]);
}

/// The same record as a row of an Arrow table.
pub(crate) fn table(scores: &[Option<Vec<Option<f64>>>]) -> RecordBatch {
    let n = scores.len();
    let flat: Float64Array = scores.iter().flatten().flatten().copied().collect();
    let lengths = scores.iter().map(|list| list.as_ref().map_or(0, Vec::len));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths(lengths);
    let nulls = scores.iter().map(Option::is_some).collect::<Vec<bool>>().into();
    let elements =
        StructArray::from(vec![(Arc::new(Field::new("score", DataType::Float64, true)), Arc::new(flat) as ArrayRef)]);
    let item = Arc::new(Field::new("item", elements.data_type().clone(), true));
    let text = |text: &str| Arc::new(StringArray::from(vec![text; n])) as ArrayRef;
    RecordBatch::try_from_iter_with_nullable([
        ("instances", Arc::new(ListArray::new(item, offsets, Arc::new(elements), Some(nulls))) as ArrayRef, true),
        ("id", text("r"), true),
        ("v", text("v1"), true),
        ("status", text("200"), true),
        ("place", text("DE"), true),
    ])
    .unwrap()
}

#[test]
fn lists_of_arrow_give_the_rows_that_lists_of_json_give() {
    let lists = [Some(vec![Some(0.5), None, Some(7.0), Some(0.25)]), None, Some(vec![]), Some(vec![Some(0.125)])];
    let text = PIPELINE.replace("    rows:", "    format: arrow_ipc\n    rows:");
    let arrow = decode(&load(&text).unwrap(), 0, &[&ipc(&[table(&lists)])]);
    let of_list = |list: &Option<Vec<Option<f64>>>| {
        let elements = list.as_ref().map(|list| list.iter().map(|score| json!({ "score": score })).collect::<Vec<_>>());
        json!({ "v": "v1", "status": 200, "instances": elements, "id": "r", "place": "DE" }).to_string()
    };
    let payloads: Vec<String> = lists.iter().map(of_list).collect();
    let all: Vec<&[u8]> = payloads.iter().map(String::as_bytes).collect();
    let json = decode(&load(PIPELINE).unwrap(), 0, &all);
    assert_eq!(rows(&arrow.batch), rows(&json.batch));
    let reasons = |decoded: &Decoded| decoded.rejects.iter().map(|one| (one.row, one.reason)).collect::<Vec<_>>();
    assert_eq!(reasons(&arrow), reasons(&json));
    assert_eq!(reasons(&json), [(2, Poison::OutOfRange), (0, Poison::MissingField)]);
    assert_eq!((arrow.passed_over, json.passed_over), (1, 1));
    let wrong = decode(&load(&text.replace("instances[*]", "v[*]")).unwrap(), 0, &[&ipc(&[table(&lists)])]);
    assert!(wrong.rejects[0].detail.contains("expected lists of rows"), "{}", wrong.rejects[0].detail);
}

#[test]
fn a_record_is_one_request_however_many_rows_it_has() {
    let at = |text: &str| text.replace("    id: id", "    event_time: { path: at, unit: s }\n    id: id");
    let plan = load(&at(PIPELINE)).unwrap();
    let mut payloads = Vec::new();
    for second in 0..1_000 {
        let (status, n) = if second % 10 == 0 { (500, 50) } else { (200, 1) };
        let rows = vec![json!({ "score": 0.5, "x": [1] }); n];
        payloads.push(
            json!({ "id": second, "v": "v1", "at": 1_700_000_000 + second, "status": status, "took": status,
                    "place": "DE", "instances": rows })
            .to_string(),
        );
    }
    let all: Vec<&[u8]> = payloads.iter().map(String::as_bytes).collect();
    let batch = decode(&plan, 0, &all).batch;
    for split in [0, 1, 500, 991] {
        let mut engine = Engine::new(Arc::clone(&plan), 1);
        let mut windows = Vec::new();
        let (before, after) = batch.split_at_offset(split);
        for batch in [before, after] {
            windows.extend(engine.step(&batch).windows);
        }
        for source in [0, 1] {
            windows.extend(engine.progress(0, source, 1_000, true, true).windows);
        }
        let value = |metric: &str| {
            let of = |row: &&WindowRow| row.metric == metric && row.version == "v1" && row.segment.is_empty();
            let found: Vec<f64> = windows.iter().filter(of).filter_map(|row| row.value).collect();
            (found.iter().copied().fold(f64::MAX, f64::min), found.iter().copied().fold(f64::MIN, f64::max))
        };
        let (low, high) = value("error_rate");
        assert!((0.09..=0.11).contains(&low) && (0.09..=0.11).contains(&high), "{low} to {high}");
        let (_, p50) = value("latency_p50");
        assert!((190.0..=210.0).contains(&p50), "{p50}");
    }
}

#[test]
fn a_measure_of_a_record_counts_once_and_one_of_a_row_in_each() {
    let measures = "\nmeasures: { tokens: tokens, words: $row.words }\nwindows: { size: 1h }\n";
    let timed = PIPELINE.replace("    id: id", "    event_time: { path: at, unit: s }\n    id: id");
    // The same where each row is a request of its own.
    let apart = timed.replace("status: status", "status: $row.status").replace("latency: took", "latency: $row.took");
    for pipeline in [timed, apart] {
        let windows = hundred_requests(&load(&(pipeline + measures)).unwrap());
        let mean = |column: &str| {
            let of = |row: &&WindowRow| (&*row.metric, &*row.version, &*row.column) == ("mean", "v1", column);
            windows.iter().find(of).map(|row| (row.n, row.value.unwrap()))
        };
        assert_eq!((mean("tokens"), mean("words")), (Some((100, 500.0)), Some((500, 820.0))));
    }
}

/// Windows of requests of nine rows and nine hundred tokens, and of one row and a hundred.
fn hundred_requests(plan: &Arc<Plan>) -> Vec<WindowRow> {
    let payloads: Vec<String> = (0..100)
        .map(|n| {
            let (rows, tokens) = if n % 2 == 0 { (9, 900) } else { (1, 100) };
            json!({ "id": n, "v": "v1", "at": 1_700_000_000 + n, "tokens": tokens,
                "instances": vec![json!({ "words": tokens }); rows] })
            .to_string()
        })
        .collect();
    let batch = decode(plan, 0, &payloads.iter().map(String::as_bytes).collect::<Vec<_>>()).batch;
    let mut engine = Engine::new(Arc::clone(plan), 1);
    let mut windows = engine.step(&batch).windows;
    for source in [0, 1] {
        windows.extend(engine.progress(0, source, 100, true, true).windows);
    }
    windows
}

#[test]
fn files_of_lines_and_of_columns_have_rows_in_lists_too() {
    let folder = tempfile::tempdir().unwrap();
    let text = PIPELINE.replace("    id: id", "    event_time: { path: at, unit: s }\n    id: id");
    let plan = load(&text).unwrap();
    let lines = folder.path().join("a.jsonl");
    let event = |n: usize| json!({ "id": n, "v": "v1", "at": n, "instances": vec![json!({ "score": 0.5 }); n % 3] });
    fs::write(&lines, (0..30).map(|n| event(n).to_string()).collect::<Vec<_>>().join("\n")).unwrap();
    let columns = folder.path().join("a.arrow");
    let lists: Vec<_> = (0..30).map(|n| Some(vec![Some(0.5); n % 3])).collect();
    let table = table(&lists);
    let times = Arc::new((0..30).collect::<Int64Array>()) as ArrayRef;
    let schema = table.schema();
    let fields = schema.fields().iter().cloned().chain([Arc::new(Field::new("at", DataType::Int64, true))]);
    let schema = arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
    let table =
        RecordBatch::try_new(Arc::new(schema), table.columns().iter().cloned().chain([times]).collect()).unwrap();
    fs::write(&columns, ipc(&[table])).unwrap();
    for file in [lines, columns] {
        let mut replay = replay::open(&plan, std::slice::from_ref(&file), &ReplayOptions::default()).unwrap();
        let n = rows_taken(&mut replay);
        assert_eq!((n, replay.passed_over()), (30, 10), "{}", file.display());
    }
}

#[test]
fn what_cannot_be_meant_is_told() {
    for (from, to, why) in [
        ("instances[*]", "instances", "`instances` names no rows"),
        ("    rows: instances[*]\n", "", "is in a row, but a record is one row here"),
        ("instances[*]", "$key[*]", "is no list in the record"),
        ("$row.score", "'instances[*].score'", "let it begin with $row"),
    ] {
        let error = load(&PIPELINE.replace(from, to)).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The rows of a record are those that as many records of one row would be.
    #[test]
    fn rows_are_read_as_records_of_their_own(
        records in proptest::collection::vec(proptest::collection::vec(0..8_u8, 0..6), 1..8)
    ) {
        let element = |what: &u8| match what {
            0 => json!({ "score": "x" }),
            1 => json!(7),
            2 => json!({ "score": 1.5 }),
            3 => json!({}),
            4 => json!(null),
            _ => json!({ "score": 0.5, "x": [what, "?"] }),
        };
        let plan = load(PIPELINE).unwrap();
        let together: Vec<String> =
            records.iter().map(|record_of| record(&record_of.iter().map(element).collect::<Vec<_>>().into())).collect();
        let apart: Vec<String> = records.iter().flatten().map(|what| record(&json!([element(what)]))).collect();
        let decode_all = |payloads: &[String]| {
            decode(&plan, 0, &payloads.iter().map(String::as_bytes).collect::<Vec<_>>())
        };
        let (together, apart) = (decode_all(&together), decode_all(&apart));
        let without_id = |decoded: &Decoded| -> Vec<_> {
            rows(&decoded.batch).into_iter().map(|row| crate::flights::Row { id: None, ..row }).collect()
        };
        prop_assert_eq!(without_id(&together), without_id(&apart));
        let reasons = |decoded: &Decoded| decoded.rejects.iter().map(|one| one.reason).collect::<Vec<_>>();
        prop_assert_eq!(reasons(&together), reasons(&apart));
        let empty = records.iter().filter(|record_of| record_of.is_empty()).count() as u64;
        prop_assert_eq!((together.passed_over, apart.passed_over), (empty, 0));
        let n = records.iter().flatten().count();
        prop_assert_eq!(together.batch.len() + together.rejects.len(), n);
    }
}
