//! Spans and log records of OpenTelemetry in the JSON of OTLP, as its SDK fills them, and the examples that read them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use haldane::config;
use haldane::decode::{Decoded, Record, decoder};
use haldane::engine::{Effects, Engine};
use haldane::event::stable_hash;
use haldane::plan::Plan;

use crate::flights::rows;

/// When the first of them was made, microseconds.
const START: i64 = 1_785_585_600_000_000;

pub(crate) fn example(name: &str) -> Arc<Plan> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name);
    config::load(&path).unwrap_or_else(|error| panic!("{error}")).plan
}

fn decode(plan: &Arc<Plan>, source: u16, file: &str) -> Decoded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/otlp").join(file);
    let payload = fs::read(path).unwrap();
    let mut decoder = decoder(plan, source, 0);
    let payload = Some(payload.as_slice());
    decoder.push(&Record { offset: 7, broker_time: START, key: None, payload, headers: &[], topic: "p" });
    decoder.finish()
}

#[test]
fn calls_of_a_model_are_predictions() {
    let decoded = decode(&example("otel-genai.yaml"), 0, "spans.json");
    // Six spans of another kind are passed over.
    assert_eq!((decoded.rejects.len(), decoded.passed_over), (0, 6), "{:?}", decoded.rejects);
    let read = rows(&decoded.batch);
    let seen: Vec<_> = read
        .iter()
        .map(|row| (row.segments[0].as_deref().unwrap(), row.version.as_deref().unwrap(), row.event_time - START))
        .collect();
    let of = |service| [(service, "gpt-1", 1_000), (service, "gpt-2", 1_002_000), (service, "gpt-1", 2_003_000)];
    assert_eq!(seen, [of("support"), of("search")].concat());
    let numbers: Vec<_> = read[..3].iter().map(|row| row.numeric.clone()).collect();
    assert_eq!(numbers, [[100, 20], [101, 21], [102, 22]].map(|pair| pair.map(|n| Some(f64::from(n)))));
    assert!(read.iter().all(|row| row.predicted.as_deref() == Some("1")), "they came to their end: {read:?}");
    let failed: Vec<_> = read.iter().map(|row| row.failed == Some(true)).collect();
    assert_eq!(failed, [false, false, true, false, false, true]);
    assert_eq!(read[4].id, Some(stable_hash(b"chatcmpl-search-1")));
    assert!(decoded.batch.further.is_none(), "each span is a request");
}

#[test]
fn evaluations_of_answers_are_outcomes() {
    let decoded = decode(&example("otel-genai.yaml"), 1, "logs.json");
    assert_eq!((decoded.rejects.len(), decoded.passed_over), (0, 6), "{:?}", decoded.rejects);
    let read = rows(&decoded.batch);
    let seen: Vec<_> = read.iter().map(|row| (row.id.unwrap(), row.label.unwrap())).collect();
    let id = |service: &str, n: usize| stable_hash(format!("chatcmpl-{service}-{n}").as_bytes());
    let of = |service| [0, 1, 2].map(|n| (id(service, n), if n == 2 { 1.0 } else { 0.0 }));
    assert_eq!(seen, [of("support"), of("search")].concat());
}

#[test]
fn evaluations_of_a_flag_say_which_variant_who_got() {
    let decoded = decode(&example("feature-flag.yaml"), 0, "logs.json");
    assert_eq!((decoded.rejects.len(), decoded.passed_over), (0, 6), "{:?}", decoded.rejects);
    let read = rows(&decoded.batch);
    let seen: Vec<_> =
        read.iter().map(|row| (row.version.as_deref().unwrap(), row.segments[0].as_deref().unwrap())).collect();
    let of = |service| [("stable", service), ("candidate", service), ("stable", service)];
    assert_eq!(seen, [of("support"), of("search")].concat());
    assert!(read.iter().all(|row| row.categorical[0].as_deref() == Some("split")));
}

/// An example in which the requests of both sources are protobuf.
pub(crate) fn in_protobuf(name: &str) -> Arc<Plan> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name);
    let text = fs::read_to_string(path).unwrap();
    let text = text.replace("    rows: resource", "    format: otlp\n    rows: resource");
    config::parse(&text, name, Path::new("")).unwrap_or_else(|error| panic!("{error}")).plan
}

/// All that an engine says of the requests of both sources.
fn judged(plan: &Arc<Plan>, files: &[(u16, &str)]) -> String {
    let mut engine = Engine::new(Arc::clone(plan), 1);
    let mut effects = Effects::default();
    for &(source, file) in files {
        let decoded = decode(plan, source, file);
        effects.extend(engine.step(&decoded.batch));
        effects.extend(engine.progress(0, source, 8, true, true));
    }
    assert!(!effects.windows.is_empty());
    format!("{:?}\n{:?}", effects.windows, effects.decisions)
}

#[test]
fn protobuf_says_what_json_says_on_the_same_paths() {
    for (name, source, file) in
        [("otel-genai.yaml", 0, "spans"), ("otel-genai.yaml", 1, "logs"), ("feature-flag.yaml", 0, "logs")]
    {
        let (json, proto) = (example(name), in_protobuf(name));
        let (json, proto) =
            (decode(&json, source, &format!("{file}.json")), decode(&proto, source, &format!("{file}.pb")));
        assert_eq!(json.rejects, proto.rejects, "{name}");
        assert_eq!(json.passed_over, proto.passed_over, "{name}");
        assert_eq!(rows(&json.batch), rows(&proto.batch), "{name}");
        assert_eq!(json.batch.len(), 6);
    }
    let said =
        |plan: &Arc<Plan>, kind: &str| judged(plan, &[(0, &format!("spans.{kind}")), (1, &format!("logs.{kind}"))]);
    assert_eq!(said(&example("otel-genai.yaml"), "json"), said(&in_protobuf("otel-genai.yaml"), "pb"));
}

#[test]
fn ids_of_traces_are_hexadecimal_in_protobuf_too() {
    let text = |format: &str| {
        format!(
            "pipeline: p\nsources:\n  features:\n    topic: t\n    format: {format}\n    rows: \
             resourceSpans[*].scopeSpans[*].spans[*]\n    event_time: {{ path: $row.endTimeUnixNano, unit: ns }}\n    \
             id: $row.traceId\n    version: $row.name\n    segments: {{ span: $row.spanId }}\n    features:\n      \
             numeric: {{ code: {{ path: $row.status.code, range: [0, 3] }} }}\nrollout: {{ baseline: a }}\n\
             windows: {{ size: 1m }}\n"
        )
    };
    let plan =
        |format| config::parse(&text(format), "p.yaml", Path::new("")).unwrap_or_else(|error| panic!("{error}")).plan;
    let (json, proto) = (decode(&plan("json"), 0, "spans.json"), decode(&plan("otlp"), 0, "spans.pb"));
    assert_eq!(rows(&json.batch), rows(&proto.batch));
    assert_eq!(proto.batch.len(), 12);
    let error = config::parse(&text("otlp").replace("resourceSpans", "spans"), "p.yaml", Path::new("")).unwrap_err();
    assert!(error.to_string().contains("traces or logs"), "{error}");
}

#[test]
fn a_damaged_request_is_one_reject_and_its_neighbours_stay() {
    let plan = in_protobuf("otel-genai.yaml");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/otlp/spans.pb");
    let whole = fs::read(path).unwrap();
    for length in [1, 17, whole.len() / 2, whole.len() - 1] {
        let mut requests = decoder(&plan, 0, 0);
        for (offset, payload) in (0..).zip([&whole[..], &whole[..length], &whole]) {
            let payload = Some(payload);
            requests.push(&Record { offset, broker_time: START, key: None, payload, headers: &[], topic: "p" });
        }
        let decoded = requests.finish();
        let refused: Vec<_> = decoded.rejects.iter().map(|reject| reject.offset).collect();
        assert_eq!((decoded.batch.len(), refused), (12, vec![1]), "cut at {length}");
    }
}
