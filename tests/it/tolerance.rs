//! What a pipeline file may say of values that are written in other ways, and of topics that are read as one source.
#![expect(clippy::similar_names, reason = "a decoder and what it decoded")]

use std::path::Path as FilePath;
use std::sync::Arc;

use arrow::array::*;
use haldane::config;
use haldane::decode::columnar::from_record_batch;
use haldane::decode::{Record, decoder};
use haldane::event::{EventKind, Poison};
use haldane::plan::*;
use serde_json::{Value, json};

use crate::flights::{Row, rows};

const BROKER_TIME: i64 = 1_800_000_000_000_000;

fn load(text: &str) -> Result<Arc<Plan>, String> {
    config::parse(text, "p.yaml", FilePath::new("")).map(|pipeline| pipeline.plan).map_err(|error| error.to_string())
}

fn plan(more: &str) -> Arc<Plan> {
    load(&format!("sources:\n  predictions:\n    topic: p\n    id: id\n    version: v\n    score: score\n{more}"))
        .unwrap()
}

fn read(plan: &Arc<Plan>, more: &Value) -> Result<Row, Poison> {
    let mut event = json!({ "id": 1, "v": "v" });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let payload = event.to_string();
    let mut decoder = decoder(plan, 0, 0);
    let payload = Some(payload.as_bytes());
    decoder.push(&Record { offset: 0, broker_time: BROKER_TIME, key: None, payload, headers: &[], topic: "p" });
    let mut decoded = decoder.finish();
    decoded.rejects.pop().map_or_else(|| Ok(rows(&decoded.batch).pop().unwrap()), |reject| Err(reject.reason))
}

#[test]
fn times_without_a_zone_are_those_of_the_zone_that_is_named() {
    let utc = plan("    event_time: at\n");
    let berlin = plan("    event_time: { path: at, zone: Europe/Berlin }\n");
    let hours = |text: &str| {
        let time = |plan| read(plan, &json!({ "at": text })).unwrap().event_time;
        (time(&utc) - time(&berlin)) / 3_600_000_000
    };
    assert_eq!(hours("2026-08-01T12:00:00.103"), 2);
    assert_eq!(hours("2026-01-15 12:00"), 1);
    assert_eq!(hours("2026-01-15"), 1);
    assert_eq!((hours("2026-08-01T12:00:00Z"), hours("2026-08-01T12:00:00+05:00")), (0, 0));
    assert_eq!(hours("2026-10-25T02:30:00"), 2, "what a clock shows twice is the first time");
    let epoch = plan("    event_time: { path: at, unit: s, zone: Europe/Berlin }\n");
    assert_eq!(read(&epoch, &json!({ "at": 1_700_000_000 })).unwrap().event_time, 1_700_000_000_000_000);
    assert_ne!(utc.digest, berlin.digest);
    let error =
        load("sources: { predictions: { topic: p, id: i, version: v, event_time: { path: t, zone: Berlin } } }");
    assert!(error.unwrap_err().contains("`Berlin` is not a time zone"));
}

#[test]
fn columns_of_times_without_a_zone_are_those_of_the_zone_too() {
    let plan = plan("    event_time: { path: at, zone: America/New_York }\n");
    let shown = 1_785_585_600_000_000_i64;
    let time = |at: ArrayRef| {
        let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let table = RecordBatch::try_from_iter([("id", text("i")), ("v", text("v")), ("at", at)]).unwrap();
        let decoded = from_record_batch(&plan, 0, 0, &table, vec![0].into(), vec![BROKER_TIME].into()).unwrap();
        (decoded.batch.event_time.value(0) - shown) / 3_600_000_000
    };
    let micros = || TimestampMicrosecondArray::from(vec![shown]);
    assert_eq!(time(Arc::new(micros())), 4);
    assert_eq!(time(Arc::new(micros().with_timezone("UTC"))), 0);
    assert_eq!(time(Arc::new(TimestampSecondArray::from(vec![shown / 1_000_000]))), 4);
    assert_eq!(time(Arc::new(StringArray::from(vec!["2026-08-01 12:00:00"]))), 4);
}

#[test]
fn statuses_that_mean_success_may_be_named() {
    let plan = plan("    status: { path: status, ok: [0, OK] }\n");
    let status = |value: Value| read(&plan, &json!({ "status": value })).unwrap().status;
    assert_eq!([json!(0), json!("0"), json!("OK"), json!(0.0)].map(status), [Some(200); 4]);
    assert_eq!([json!(404), json!("503")].map(status), [Some(404), Some(503)]);
    assert_eq!([json!(14), json!("UNAVAILABLE"), json!("ok")].map(status), [Some(500); 3]);
    assert_eq!([json!(null), json!(""), json!("n/a")].map(status), [None; 3]);
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    for (value, status) in [(text("OK"), 200), (Arc::new(Int32Array::from(vec![14])) as ArrayRef, 500)] {
        let table = RecordBatch::try_from_iter([("id", text("i")), ("v", text("v")), ("status", value)]).unwrap();
        let decoded = from_record_batch(&plan, 0, 0, &table, vec![0].into(), vec![BROKER_TIME].into()).unwrap();
        assert_eq!(decoded.batch.status.value(0), status);
    }
}

#[test]
fn several_topics_are_read_as_one_source() {
    let text = "sources:\n  predictions: { topics: [a.v1, a.v2], id: i, version: v, score: s }\n";
    let plan = load(&format!("{text}  outcomes: {{ topic: o, id: i, label: y }}\n")).unwrap();
    let topics: Vec<(EventKind, &str)> = plan.sources.iter().map(|of| (of.kind, of.topic.as_str())).collect();
    let prediction = EventKind::Prediction;
    assert_eq!(topics, [(prediction, "a.v1"), (prediction, "a.v2"), (EventKind::Outcome, "o")]);
    assert_eq!(plan.sources[0].mapping, plan.sources[1].mapping);
    let wrong = |from: &str, to: &str| load(&text.replace(from, to)).unwrap_err();
    assert!(wrong("[a.v1, a.v2]", "[]").contains("`topics` is empty"));
    assert!(wrong("a.v2]", "a.v1]").contains("topic `a.v1` is the topic of two sources"));
    assert!(wrong("topics:", "topic: x, topics:").contains("both `topic` and `topics`"));
    assert!(wrong("topics: [a.v1, a.v2], ", "").contains("the key `topic` is missing in this section"));
    assert!(wrong("score: s", "score: s, label: y").contains("predictions of several topics with their truth in them"));
}
