//! Paths through lists: elements by their place and by a text in them, in JSON, in Arrow and in files.
#![expect(clippy::similar_names, reason = "a decoder and what it decoded")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path as FilePath;
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::Float64Type;
use haldane::decode::columnar::from_record_batch;
use haldane::decode::{Record, decoder};
use haldane::event::Poison;
use haldane::plan::*;
use haldane::replay::{self, ReplayOptions, ReplayStep};
use haldane::{config, report};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::flights::{PREDICTIONS, Row, path, plan_with, rows};

const BROKER_TIME: i64 = 1_400_000_000_000_000;

/// The plan of flights with the numeric columns read from these places, the others from none.
fn plan_of(places: &[&str]) -> Arc<Plan> {
    plan_with(PREDICTIONS, |source| {
        let mapping = &mut source.mapping;
        (mapping.numeric, mapping.categorical) = (vec![None; 11], vec![None; 3]);
        (mapping.predicted, mapping.status, mapping.segments) = (None, None, vec![path("cohort")]);
        for (column, place) in mapping.numeric.iter_mut().zip(places) {
            *column = Some(NumericField { path: path(place), factor: 1.0 });
        }
    })
}

/// A prediction with these fields and what every one needs.
fn event(more: &Value) -> Value {
    let mut event = json!({ "event_time_us": 1_300_000_000_000_000_i64, "prediction_id": "p", "model": "m",
                            "version": "v", "cohort": "c" });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn decode(plan: &Arc<Plan>, payload: &[u8]) -> Result<Row, (Poison, String)> {
    let mut decoder = decoder(plan, PREDICTIONS, 0);
    decoder.push(&Record {
        offset: 0,
        broker_time: BROKER_TIME,
        key: None,
        payload: Some(payload),
        headers: &[],
        topic: "t",
    });
    let mut decoded = decoder.finish();
    let reject = decoded.rejects.pop().map(|reject| (reject.reason, reject.detail));
    reject.map_or_else(|| Ok(rows(&decoded.batch).pop().unwrap()), Err)
}

fn numbers(plan: &Arc<Plan>, more: &Value) -> Result<Vec<Option<f64>>, (Poison, String)> {
    let n = plan.sources[0].mapping.numeric.iter().flatten().count();
    decode(plan, event(more).to_string().as_bytes()).map(|row| row.numeric[..n].to_vec())
}

#[test]
fn elements_are_found_by_their_place_and_by_a_text_in_them() {
    let plan = plan_of(&["f[0]", "f[2]", "o[name=p].data[1]", "o[name=q].data[0]", "o[0].n", "m[1][0]", "f[9]"]);
    let event = json!({
        "f": [1.5, {"any": [1]}, "3.5", 4],
        "o": [{"n": 8, "data": [9], "name": "q"}, {"name": "p", "data": [0.1, 0.9]}, {"name": "p", "data": [5, 5]}],
        "m": [[], [7, 8]],
    });
    let found = [Some(1.5), Some(3.5), Some(0.9), Some(9.0), Some(8.0), Some(7.0), None];
    assert_eq!(numbers(&plan, &event).unwrap(), found);
    let none = vec![None; 7];
    assert_eq!(numbers(&plan, &json!({})).unwrap(), none);
    assert_eq!(numbers(&plan, &json!({ "f": [], "o": null, "m": [null, null] })).unwrap(), none);
    assert_eq!(
        numbers(&plan, &json!({ "o": [null, 1, "p", ["name", "p"], {"name": null}, {"name": ["p"]}] })).unwrap(),
        none
    );
}

#[test]
fn a_list_and_its_elements_may_both_be_read() {
    let mut plan = Plan::clone(&plan_of(&["p[1]"]));
    plan.sources[0].mapping.class_scores = Some(ClassScores::Whole(path("p")));
    let row = decode(&Arc::new(plan), event(&json!({ "p": [0.25, 0.75] })).to_string().as_bytes()).unwrap();
    assert_eq!((row.numeric[0], row.numeric[9], row.predicted.as_deref()), (Some(0.75), Some(0.75), Some("1")));
}

#[test]
fn what_is_no_list_is_refused_and_says_where() {
    let plan = plan_of(&["f[0]", "o.x[1]"]);
    let refused = |event: Value| numbers(&plan, &event).unwrap_err();
    let (reason, detail) = refused(json!({ "f": 3 }));
    assert!(reason == Poison::WrongType && detail.starts_with("expected a list (byte "), "{detail}");
    assert_eq!(refused(json!({ "f": { "0": 3 } })).0, Poison::WrongType);
    assert_eq!(refused(json!({ "o": [1] })).0, Poison::WrongType);
    let (reason, detail) = refused(json!({ "f": ["x"] }));
    assert!(reason == Poison::WrongType && detail.starts_with("f[0]: expected a number"), "{detail}");
    for bad in [r#"{"f":[1,]}"#, r#"{"f":[1 2]}"#, r#"{"f":[1"#, r#"{"f":[,1]}"#] {
        assert_eq!(decode(&plan, bad.as_bytes()).unwrap_err().0, Poison::Malformed, "{bad}");
    }
    let deep = format!(r#"{{"f":[1,{}{}]}}"#, "[".repeat(80), "]".repeat(80));
    assert_eq!(decode(&plan, deep.as_bytes()).unwrap_err().0, Poison::Malformed);
}

/// What `serde_json` finds at a path: a number, nothing, or what is none.
fn found(value: &Value, steps: &[PathStep]) -> Result<Option<f64>, ()> {
    let Some((step, rest)) = steps.split_first() else {
        return match value {
            Value::Null => Ok(None),
            Value::Bool(value) => Ok(Some(f64::from(u8::from(*value)))),
            Value::Number(number) => Ok(number.as_f64()),
            Value::String(_) | Value::Array(_) | Value::Object(_) => Err(()),
        };
    };
    let inner = match (step, value) {
        (_, Value::Null) => return Ok(None),
        (PathStep::Key(key), Value::Object(fields)) => fields.get(key),
        (PathStep::Index(at), Value::Array(elements)) => elements.get(*at as usize),
        (PathStep::Named(key, text), Value::Array(elements)) => elements.iter().find(|element| {
            let found = element.as_object().and_then(|fields| fields.get(key));
            found.is_some_and(|found| found.as_str().map_or_else(|| found.to_string(), str::to_owned) == *text)
        }),
        _ => return Err(()),
    };
    inner.map_or(Ok(None), |inner| found(inner, rest))
}

const PLACES: [&str; 8] = ["a[0]", "a[3]", "a[k=x].b", "a[k=1].b", "a[k=x].c[1]", "b.a[1]", "b.a[1].c", "c[0][0]"];

fn document() -> impl Strategy<Value = Value> {
    let key = || proptest::sample::select(&["a", "b", "c", "k", "other"][..]).prop_map(str::to_owned);
    let leaf = prop_oneof![
        3 => (-99..99_i32).prop_map(|n| json!(n)),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
        2 => Just(json!("x")),
    ];
    let value = leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            proptest::collection::hash_map(key(), inner, 0..4).prop_map(|fields| json!(fields)),
        ]
    });
    proptest::collection::hash_map(key(), value, 0..4).prop_map(|fields| json!(fields))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_place_is_read_as_serde_json_finds_it(documents in proptest::collection::vec(document(), 1..6)) {
        for places in PLACES.iter().map(std::slice::from_ref).chain([&PLACES[..3], &PLACES[4..6]]) {
            let plan = plan_of(places);
            for document in &documents {
                let expected: Result<Vec<_>, ()> =
                    places.iter().map(|place| found(document, path(place).steps())).collect();
                let read = numbers(&plan, document);
                prop_assert_eq!(read.as_ref().ok(), expected.as_ref().ok(), "{} {:?} {:?}", document, places, read);
            }
        }
    }

    #[test]
    fn bad_neighbours_do_no_harm(documents in proptest::collection::vec((document(), any::<bool>()), 1..20)) {
        let plan = plan_of(&PLACES[..1]);
        let mut decoder = decoder(&plan, PREDICTIONS, 0);
        for (offset, (document, is_cut)) in (0..).zip(&documents) {
            let text = event(document).to_string();
            let payload = if *is_cut { &text[..text.len() - 1] } else { &text };
            let payload = Some(payload.as_bytes());
            decoder.push(&Record { offset, broker_time: BROKER_TIME, key: None, payload, headers: &[], topic: "t" });
        }
        let decoded = decoder.finish();
        prop_assert_eq!(decoded.batch.len() + decoded.rejects.len(), documents.len());
        let read = rows(&decoded.batch);
        for (row, offset) in decoded.batch.offset.values().iter().enumerate() {
            let (document, _) = &documents[usize::try_from(*offset).unwrap()];
            prop_assert_eq!(Ok(vec![read[row].numeric[0]]), numbers(&plan, document));
        }
    }
}

#[test]
fn lists_of_arrow_are_read_as_those_of_json() {
    let plan = plan_of(&["f[1]", "o[k=b].v[0]"]);
    let text = |text: &str| Arc::new(StringArray::from(vec![text; 2])) as ArrayRef;
    let f = ListArray::from_iter_primitive::<Float64Type, _, _>([Some(vec![Some(1.0), Some(2.0)]), None]);
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "b"]));
    let values = ListArray::from_iter_primitive::<Float64Type, _, _>((0..3).map(|n| Some(vec![Some(f64::from(n))])));
    let objects = StructArray::try_from(vec![("k", keys), ("v", Arc::new(values) as ArrayRef)]).unwrap();
    let field = Arc::new(arrow::datatypes::Field::new("item", objects.data_type().clone(), true));
    let offsets = arrow::buffer::OffsetBuffer::new(vec![0, 2, 3].into());
    let o = ListArray::new(field, offsets, Arc::new(objects), None);
    let table = RecordBatch::try_from_iter([
        ("event_time_us", Arc::new(Int64Array::from(vec![1_300_000_000_000_000; 2])) as ArrayRef),
        ("prediction_id", text("p")),
        ("model", text("m")),
        ("version", text("v")),
        ("f", Arc::new(f)),
        ("o", Arc::new(o)),
    ])
    .unwrap();
    let times = Int64Array::from(vec![BROKER_TIME; 2]);
    let decoded = from_record_batch(&plan, PREDICTIONS, 0, &table, vec![0, 1].into(), times.clone()).unwrap();
    let read: Vec<_> = rows(&decoded.batch).into_iter().map(|row| row.numeric[..2].to_vec()).collect();
    assert_eq!(read, [[Some(2.0), Some(1.0)], [None, Some(2.0)]]);
    let wrong = plan_of(&["version[1].x", "prediction_id[k=b]"]);
    let decoded = from_record_batch(&wrong, PREDICTIONS, 0, &table, vec![0, 1].into(), times).unwrap();
    let why: Vec<_> = decoded.rejects.iter().map(|reject| (reject.reason, reject.detail.as_str())).collect();
    assert_eq!(why, [(Poison::WrongType, "version[1].x: expected a list"); 2]);
}

const PIPELINE: &str = "
sources:
  predictions:
    topic: predictions
    id: id
    version: version
    event_time: { path: at, unit: s }
    class_scores: { path: p, classes: [no, yes, maybe] }
    features:
      vector: { path: f, names: [amount, ~, kind], categorical: [kind], ranges: { amount: [0, 10] } }
task: multiclass
";

/// The same events as JSON lines, as CSV whose lists are texts, and as Parquet.
fn files(folder: &FilePath) -> Vec<std::path::PathBuf> {
    let kind = |row: usize| ["food", "fuel"][row % 2];
    let (mut lines, mut csv) = (String::new(), "id,version,at,p,f\n".to_owned());
    for row in 0..40 {
        let (p, f) = (json!([0.2, 0.5, 0.3]), json!([row, "skipped", kind(row)]));
        let line = json!({ "id": row, "version": "v1", "at": 1_700_000_000 + row, "p": p, "f": f });
        writeln!(lines, "{line}").unwrap();
        let quoted = f.to_string().replace('"', "\"\"");
        writeln!(csv, "{row},v1,{},\"{p}\",\"{quoted}\"", 1_700_000_000 + row).unwrap();
    }
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    vec![write("a.jsonl", &lines), write("a.csv", &csv)]
}

#[test]
fn vectors_and_listed_classes_are_short_for_places_in_lists() {
    let plan = config::parse(PIPELINE, "p.yaml", FilePath::new("")).unwrap().plan;
    let long = PIPELINE
        .replace("{ path: p, classes: [no, yes, maybe] }", "{ no: 'p[0]', yes: 'p[1]', maybe: 'p[2]' }")
        .replace(
            "vector: { path: f, names: [amount, ~, kind], categorical: [kind], ranges: { amount: [0, 10] } }",
            "{ numeric: { amount: { path: 'f[0]', range: [0, 10] } }, categorical: { kind: 'f[2]' } }",
        )
        .replace("features:\n      {", "features: {");
    let same = config::parse(&long, "p.yaml", FilePath::new("")).unwrap().plan;
    assert_eq!(plan.sources, same.sources);
    assert_eq!(plan.digest, same.digest);
    let error = |from: &str, to: &str| {
        let text = PIPELINE.replace(from, to);
        config::parse(&text, "p.yaml", FilePath::new("")).map(|_| ()).unwrap_err().to_string()
    };
    for (from, to, why) in [
        ("categorical: [kind]", "categorical: [sort]", "`sort` is not among `names`"),
        ("[amount, ~, kind]", "[amount, amount, kind]", "feature `amount` is there twice"),
        ("ranges: { amount", "ranges: { total", "`ranges` has `total`, which is not among `names`"),
        ("path: f,", "path: 'f[',", "`f[` is not a path; write places in lists as in features[0]"),
        ("[no, yes, maybe]", "[no, no]", "class `no` is there twice"),
        ("classes: [no, yes, maybe]", "classes: [no, yes, maybe], other: x", "`classes` stands beside `path`"),
    ] {
        let error = error(from, to);
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn files_are_read_through_lists_in_replays_and_reports() {
    let folder = tempfile::tempdir().unwrap();
    let plan = config::parse(PIPELINE, "p.yaml", FilePath::new("")).unwrap().plan;
    let files = files(folder.path());
    for file in &files {
        let replay = replay::open(&plan, std::slice::from_ref(file), &ReplayOptions::default()).unwrap();
        let mut read = Vec::new();
        for step in replay {
            match step.unwrap() {
                ReplayStep::Batch(batch) => read.extend(rows(&batch)),
                ReplayStep::Refused(refused) => panic!("{refused:?}"),
                ReplayStep::End { .. } => {}
            }
        }
        let told: Vec<_> = read.iter().map(|row| (row.numeric[0], row.categorical[0].as_deref())).collect();
        let expected: Vec<_> =
            (0..40_u8).map(|row| (Some(f64::from(row)), Some(["food", "fuel"][usize::from(row) % 2]))).collect();
        assert_eq!(told, expected, "{}", file.display());
        assert!(read.iter().all(|row| row.predicted.as_deref() == Some("yes") && row.numeric[1] == Some(0.5)));
    }
    for file in &files {
        let request =
            report::CompareRequest { reference: files.clone(), current: vec![file.clone()], ..Default::default() };
        let comparison = report::compare(&request, Some(&plan)).unwrap();
        let columns: Vec<&str> = comparison.columns.iter().map(|column| column.column.as_str()).collect();
        assert!(columns.contains(&"amount") && columns.contains(&"kind"), "{columns:?}");
    }
}
