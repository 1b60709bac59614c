//! Spans and log records of OpenTelemetry in the JSON of OTLP, as its SDK fills them, and the examples that read them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use haldane::config;
use haldane::decode::{Decoded, Record, decoder};
use haldane::event::stable_hash;
use haldane::plan::Plan;

use crate::flights::rows;

/// When the first of them was made, microseconds.
const START: i64 = 1_785_585_600_000_000;

fn example(name: &str) -> Arc<Plan> {
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
