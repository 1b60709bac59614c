//! What KServe, MLServer and Seldon write, made by them, and the examples that read it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path as FilePath;
use std::sync::Arc;

use haldane::event::{Poison, row_id, stable_hash};
use haldane::plan::Plan;
use serde_json::json;

use crate::flights::rows;
use crate::open_inference::{FEATURES, PIPELINE, PREDICTIONS, RAW_CONTENTS, decode_with, hex, load, read};

#[test]
fn what_kserve_and_mlserver_write_is_read() {
    let text = PIPELINE.replace("outputs[name=probability]", "outputs[name=probability][1]");
    let plan = load(&text).unwrap();
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/open_inference");
    let read_file = |source, name: &str| read(&plan, source, &fs::read(folder.join(name)).unwrap());
    for name in [
        "kserve-request.json",
        "kserve-request-binary.bin",
        "kserve-request.pb",
        "kserve-request-raw.pb",
        "mlserver-request.json",
        "mlserver-request.pb",
        "mlserver-request-raw.pb",
    ] {
        let read = read_file(FEATURES, name);
        let seen: Vec<_> =
            read.iter().map(|row| (row.numeric[0].unwrap(), row.categorical[0].as_deref().unwrap())).collect();
        assert_eq!(seen, [(12.5, "food"), (99.0, "fuel"), (7.25, "café")], "{name}");
    }
    for name in [
        "kserve-response.json",
        "kserve-response-binary.bin",
        "kserve-response-fp16.bin",
        "kserve-response.pb",
        "mlserver-response.json",
        "mlserver-response.pb",
        "mlserver-response-raw.pb",
    ] {
        let read = read_file(PREDICTIONS, name);
        let scores: Vec<_> = read.iter().map(|row| row.numeric[1].unwrap()).collect();
        let exact = if name.contains("fp16") {
            // The nearest of binary16.
            [0.029_998_779_296_875, 0.810_058_593_75, 0.5]
        } else {
            [0.03, 0.81, 0.5]
        };
        assert_eq!(scores, exact, "{name}");
        assert!(read.iter().all(|row| row.version.as_deref() == Some("v2")), "{name}");
        let ids: Vec<_> = read.iter().map(|row| row.id.unwrap()).collect();
        assert_eq!(ids, [0, 1, 2].map(|row| row_id(stable_hash(b"r-1"), row)), "{name}");
    }
}

/// An example pipeline, checked in.
fn example(name: &str) -> Arc<Plan> {
    let path = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name);
    load(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_example_of_seldon_reads_what_seldon_writes() {
    let plan = example("seldon.yaml");
    let headers = [("pipeline", "fraud"), ("x-request-id", "r-1")];
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/open_inference");
    let answer = fs::read(folder.join("mlserver-response-raw.pb")).unwrap();
    let framed = [&[0, 0, 0, 0, 9, 0], answer.as_slice()].concat();
    for payload in [answer, framed] {
        let decoded = decode_with(&plan, 1, &[(&headers, &payload)]);
        let read = rows(&decoded.batch);
        let seen: Vec<_> = read.iter().map(|row| (row.version.as_deref().unwrap(), row.numeric[1].unwrap())).collect();
        assert_eq!(seen, [("fraud-v2", 0.03), ("fraud-v2", 0.81), ("fraud-v2", 0.5)]);
    }
    // The golden request of one tensor; its topic ends in another word here, so its version is not known.
    let decoded = decode_with(&plan, 3, &[(&headers, &hex(RAW_CONTENTS))]);
    assert_eq!(decoded.rejects[0].reason, Poison::MissingField);
}

#[test]
fn the_example_of_mlserver_reads_what_mlserver_writes() {
    let plan = example("mlserver.yaml");
    let headers = [("mlserver-model", "digits"), ("mlserver-version", "v2")];
    let mut scores = vec![0.0625; 10];
    scores[7] = 0.4375;
    let output = json!({ "name": "probabilities", "shape": [1, 10], "datatype": "FP64", "data": scores });
    let answer = json!({ "model_name": "digits", "id": "k-1", "outputs": [output] }).to_string();
    let error = json!({ "error": "out of memory" }).to_string();
    let decoded = decode_with(&plan, PREDICTIONS, &[(&headers, answer.as_bytes()), (&headers, error.as_bytes())]);
    let read = rows(&decoded.batch);
    let seen: Vec<_> = read.iter().map(|row| (row.predicted.as_deref(), row.failed, row.version.as_deref())).collect();
    assert_eq!(seen, [(Some("7"), None, Some("v2")), (None, Some(true), Some("v2"))]);
    assert_eq!(read[0].id, Some(stable_hash(b"k-1")));
    let input = json!({ "name": "x", "shape": [2, 3], "datatype": "FP32", "data": [0.5, 10, 20, 0.25, 11, 21] });
    let request = json!({ "id": "k-1", "inputs": [input] }).to_string();
    let decoded = decode_with(&plan, FEATURES, &[(&headers, request.as_bytes())]);
    let inks: Vec<_> = rows(&decoded.batch).iter().map(|row| row.numeric[..3].to_vec()).collect();
    assert_eq!(inks, [[Some(0.5), Some(10.0), Some(20.0)], [Some(0.25), Some(11.0), Some(21.0)]]);
}
