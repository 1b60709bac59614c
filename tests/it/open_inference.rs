//! Requests and answers of model servers: the Open Inference Protocol in JSON, with binary tensors, and as protobuf.

use std::fs;
use std::path::Path as FilePath;
use std::sync::Arc;

use haldane::config;
use haldane::decode::{Decoded, Record, decoder};
use haldane::event::{Poison, row_id, stable_hash};
use haldane::plan::*;
use haldane::replay::{self, ReplayOptions};
use haldane::sim::rng::Rng;
use serde_json::{Value, json};

use crate::flights::{Row, rows};
use crate::fuzz::{below, each_seed};
use crate::selected::rows_taken;

const BROKER_TIME: i64 = 1_800_000_000_000_000;

/// Requests as features, and answers as predictions.
pub(crate) const PIPELINE: &str = r"
pipeline: fraud
sources:
  predictions:
    topic: out
    format: open_inference
    side: response
    id: id
    version: model_version
    score: outputs[name=probability]
    predicted_label: outputs[name=label]
    error: error
  features:
    topic: in
    format: open_inference
    side: request
    id: id
    version: { constant: v1 }
    features:
      numeric: { amount: { path: 'inputs[name=amount]', range: [0, 100] } }
      categorical: { category: 'inputs[name=category]' }
";
pub(crate) const PREDICTIONS: u16 = 0;
pub(crate) const FEATURES: u16 = 1;

pub(crate) fn load(text: &str) -> Result<Arc<Plan>, String> {
    config::parse(text, "p.yaml", FilePath::new("")).map(|pipeline| pipeline.plan).map_err(|error| error.to_string())
}

pub(crate) fn plan() -> Arc<Plan> {
    load(PIPELINE).unwrap()
}

pub(crate) type Headers<'a> = &'a [(&'a str, &'a str)];

pub(crate) fn decode_with(plan: &Arc<Plan>, source: u16, sent: &[(Headers<'_>, &[u8])]) -> Decoded {
    let mut decoder = decoder(plan, source, 0);
    for (offset, (headers, payload)) in (0..).zip(sent) {
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let (key, topic) = (Some(b"k-1".as_slice()), "seldon.ml.model.fraud-v2.outputs");
        let payload = Some(*payload);
        decoder.push(&Record { offset, broker_time: BROKER_TIME, key, payload, headers: &headers, topic });
    }
    decoder.finish()
}

fn decode(plan: &Arc<Plan>, source: u16, payloads: &[&[u8]]) -> Decoded {
    decode_with(plan, source, &payloads.iter().map(|payload| (&[][..], *payload)).collect::<Vec<_>>())
}

/// The rows of one record.
pub(crate) fn read(plan: &Arc<Plan>, source: u16, payload: &[u8]) -> Vec<Row> {
    let decoded = decode(plan, source, &[payload]);
    assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
    rows(&decoded.batch)
}

/// Why one record is refused as a whole, between two good ones.
fn refused(plan: &Arc<Plan>, source: u16, good: &[u8], bad: &[u8]) -> (Poison, String) {
    let decoded = decode(plan, source, &[good, bad, good]);
    let offsets = decoded.batch.offset.values();
    assert!(offsets.contains(&0) && !offsets.contains(&1) && offsets.contains(&2), "neighbours stay: {offsets:?}");
    let [reject] = &decoded.rejects[..] else { panic!("{:?}", decoded.rejects) };
    assert_eq!((reject.offset, reject.row), (1, 0));
    (reject.reason, reject.detail.clone())
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// A field of a protobuf message that has a length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    [field, bytes.to_vec()].concat()
}

fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A tensor of protobuf without contents.
fn tensor(name: &str, datatype: &str, shape: &[u8]) -> Vec<u8> {
    [field(1, name.as_bytes()), field(2, datatype.as_bytes()), field(3, shape)].concat()
}

/// An answer in protobuf with one raw tensor of probabilities.
pub(crate) fn answer(id: &str, values: &[f64]) -> Vec<u8> {
    let tensor = tensor("probability", "FP64", &[values.len() as u8, 1]);
    let head = [field(1, b"fraud"), field(2, b"v2"), field(3, id.as_bytes())].concat();
    [head, field(5, &tensor), field(6, &doubles(values))].concat()
}

const JSON_REQUEST: &str = r#"{"id":"r-1","inputs":[{"name":"amount","shape":[2,1],"datatype":"FP32","data":[12.5,99.0]},
                      {"name":"category","shape":[2,1],"datatype":"BYTES","data":["food","fuel"]}]}"#;
const BINARY_REQUEST: &str = concat!(
    r#"{"id":"r-1","inputs":[{"name":"amount","shape":[2,1],"datatype":"FP32","#,
    r#""parameters":{"binary_data_size":8}}]}"#
);
pub(crate) const RAW_CONTENTS: &str = "0a 05 66 72 61 75 64 12 01 31 1a 03 72 2d 31 2a 12 0a 06 61 6d 6f 75 6e 74 12 04 46 50 33 \
                            32 1a 02 02 01 3a 08 00 00 48 41 00 00 c6 42";
const TYPED_CONTENTS: &str = "0a 05 66 72 61 75 64 1a 03 72 2d 31 2a 26 0a 06 61 6d 6f 75 6e 74 12 04 46 50 36 34 1a 02 \
                              02 01 2a 12 3a 10 00 00 00 00 00 00 29 40 00 00 00 00 00 c0 58 40";

#[test]
fn the_same_request_is_the_same_rows_in_every_encoding() {
    let plan = plan();
    let binary = [BINARY_REQUEST.as_bytes(), &hex("00 00 48 41 00 00 c6 42")].concat();
    assert_eq!(binary.len(), 117);
    let framed = [&[0, 0, 0, 0, 7, 0], hex(RAW_CONTENTS).as_slice()].concat();
    let nested = JSON_REQUEST.replace("[12.5,99.0]", "[[12.5],[99.0]]");
    let flat = JSON_REQUEST.replace("[2,1]", "[2]");
    let payloads: [(&[u8], bool); 7] = [
        (JSON_REQUEST.as_bytes(), true),
        (nested.as_bytes(), true),
        (flat.as_bytes(), true),
        (&binary, false),
        (&hex(RAW_CONTENTS), false),
        (&hex(TYPED_CONTENTS), false),
        (&framed, false),
    ];
    for (payload, has_category) in payloads {
        let read = read(&plan, FEATURES, payload);
        let amounts: Vec<_> = read.iter().map(|row| row.numeric[0]).collect();
        assert_eq!(amounts, [Some(12.5), Some(99.0)], "{}", String::from_utf8_lossy(payload));
        let ids: Vec<_> = read.iter().map(|row| row.id.unwrap()).collect();
        assert_eq!(ids, [0, 1].map(|row| row_id(stable_hash(b"r-1"), row)));
        let categories: Vec<_> = read.iter().map(|row| row.categorical[0].as_deref()).collect();
        assert_eq!(categories, if has_category { [Some("food"), Some("fuel")] } else { [None, None] });
    }
    let decoded = decode(&plan, FEATURES, &[JSON_REQUEST.as_bytes()]);
    assert_eq!(decoded.batch.further, Some(vec![false, true].into()), "one request");
}

#[test]
fn answers_are_rows_of_their_model_and_version() {
    let text = r#"{"model_name":"fraud","model_version":"v2","id":"r-1","parameters":{"x":{"y":"DE"}},"outputs":[
        {"name":"probability","shape":[2],"datatype":"FP64","data":[0.25,0.75]},
        {"name":"unread","shape":[9,9],"datatype":"NONE","data":[1]},
        {"name":"label","shape":[2,1],"datatype":"INT64","data":[0,1]}]}"#;
    let plan = load(
        &PIPELINE
            .replace("    error: error", "    segments: { at: parameters.x.y }\n    model: model_name")
            .replace("    features:\n      numeric", "    segments: { at: id }\n    features:\n      numeric"),
    )
    .unwrap();
    let read = read(&plan, PREDICTIONS, text.as_bytes());
    let seen: Vec<_> =
        read.iter().map(|row| (row.numeric[1], row.predicted.as_deref(), row.segments[0].as_deref())).collect();
    assert_eq!(seen, [(Some(0.25), Some("0"), Some("DE")), (Some(0.75), Some("1"), Some("DE"))]);
    assert!(read.iter().all(|row| row.version.as_deref() == Some("v2") && row.model.as_deref() == Some("fraud")));
}

#[test]
fn parameters_of_protobuf_are_values_of_the_record() {
    let plan = load(
        &PIPELINE
            .replace("version: model_version", "version: parameters.release")
            .replace("    error: error", "    segments: { n: parameters.n, yes: parameters.yes, d: parameters.d }")
            .replace(
                "    features:\n      numeric",
                "    segments: { n: id, yes: id, d: id }\n    features:\n      numeric",
            ),
    )
    .unwrap();
    let entry = |name: &str, value: &[u8]| field(4, &[field(1, name.as_bytes()), field(2, value)].concat());
    let message = [
        answer("r", &[0.5]),
        entry("release", &field(3, b"v7")),
        entry("n", &[2 << 3, 42]),
        entry("yes", &[1 << 3, 1]),
        entry("d", &[&[4 << 3 | 1][..], &0.5_f64.to_le_bytes()].concat()),
    ];
    let row = &read(&plan, PREDICTIONS, &message.concat())[0];
    assert_eq!(row.version.as_deref(), Some("v7"));
    assert_eq!(row.segments, ["42", "true", "0.5"].map(|text| Some(text.to_owned())));
}

#[test]
fn values_of_every_datatype_are_read() {
    let text = PIPELINE.replace(
        "numeric: { amount: { path: 'inputs[name=amount]', range: [0, 100] } }",
        "numeric: { amount: { path: 'inputs[1][2]', range: [0, 100] } }",
    );
    let plan = load(&text).unwrap();
    let raw: [(&str, Vec<u8>, f64); 12] = [
        ("BOOL", vec![0, 0, 1], 1.0),
        ("UINT8", vec![0, 0, 200], 200.0),
        ("INT8", vec![0, 0, 200], -56.0),
        ("UINT16", hex("00 00 00 00 ff ff"), 65_535.0),
        ("INT16", hex("00 00 00 00 ff ff"), -1.0),
        ("UINT32", hex("00 00 00 00 00 00 00 00 ff ff ff ff"), 4_294_967_295.0),
        ("INT32", hex("00 00 00 00 00 00 00 00 fe ff ff ff"), -2.0),
        ("UINT64", [vec![0; 16], 7_u64.to_le_bytes().to_vec()].concat(), 7.0),
        ("INT64", [vec![0; 16], (-7_i64).to_le_bytes().to_vec()].concat(), -7.0),
        ("FP16", hex("00 00 00 00 00 3e"), 1.5),
        ("FP32", floats(&[0.0, 0.0, 2.5]), 2.5),
        ("FP64", doubles(&[0.0, 0.0, 3.25]), 3.25),
    ];
    for (datatype, bytes, value) in raw {
        let message = [
            field(3, b"r"),
            field(5, &[]),
            field(5, &tensor("x", datatype, &[1, 3])),
            field(7, b"?"),
            field(7, &bytes),
        ];
        assert_eq!(read(&plan, FEATURES, &message.concat())[0].numeric[0], Some(value), "{datatype}");
        let json = json!({ "id": "r", "inputs": [
            { "name": "other" },
            { "shape": [1, 3], "name": "x", "parameters": { "binary_data_size": bytes.len() }, "datatype": datatype },
        ] });
        let message = [json.to_string().into_bytes(), bytes].concat();
        assert_eq!(read(&plan, FEATURES, &message)[0].numeric[0], Some(value), "{datatype}");
        if datatype != "FP16" {
            let data: Value = if datatype == "BOOL" { json!([false, false, true]) } else { json!([0, 0, value]) };
            let json = json!({ "inputs": [{}, { "data": data, "datatype": datatype, "shape": [1, 3] }], "id": "r" });
            assert_eq!(read(&plan, FEATURES, json.to_string().as_bytes())[0].numeric[0], Some(value), "{datatype}");
        }
    }
    let typed: [(&str, Vec<u8>, f64); 8] = [
        ("BOOL", field(1, &[0, 0, 1]), 1.0),
        ("INT8", field(2, &hex("00 00 fe ff ff ff ff ff ff ff ff 01")), -2.0),
        ("INT64", [[3 << 3, 0], [3 << 3, 0], [3 << 3, 9]].concat(), 9.0),
        ("UINT16", field(4, &[0, 0, 0xAC, 2]), 300.0),
        ("UINT64", field(5, &[0, 0, 5]), 5.0),
        ("FP32", field(6, &floats(&[0.0, 0.0, 2.5])), 2.5),
        ("FP64", field(7, &doubles(&[0.0, 0.0, 3.25])), 3.25),
        ("BYTES", [field(8, b"a"), field(8, b"b"), field(8, b"12.5")].concat(), 12.5),
    ];
    for (datatype, contents, value) in typed {
        let tensor = [tensor("x", datatype, &[1, 3]), field(5, &contents)].concat();
        let message = [field(3, b"r"), field(5, &[]), field(5, &tensor)].concat();
        assert_eq!(read(&plan, FEATURES, &message)[0].numeric[0], Some(value), "{datatype}");
    }
}

#[test]
fn texts_in_bytes_have_their_length_before_them() {
    let plan = plan();
    let bytes = [&4_u32.to_le_bytes()[..], b"food", &0_u32.to_le_bytes(), &[2, 0, 0, 0], "é".as_bytes()].concat();
    let message = [field(3, b"r"), field(5, &tensor("category", "BYTES", &[3])), field(7, &bytes)].concat();
    let categories: Vec<_> =
        read(&plan, FEATURES, &message).into_iter().map(|row| row.categorical[0].clone().unwrap_or_default()).collect();
    assert_eq!(categories, ["food", "", "é"]);
    let good = hex(RAW_CONTENTS);
    let cut = [field(3, b"r"), field(5, &tensor("category", "BYTES", &[3])), field(7, &bytes[..14])].concat();
    let (reason, detail) = refused(&plan, FEATURES, &good, &cut);
    assert_eq!(
        (reason, detail.as_str()),
        (Poison::Malformed, "inputs[name=category]: a text is longer than its tensor")
    );
}

#[test]
fn vectors_and_scores_of_classes_are_rows_of_a_tensor() {
    let plan = load(
        "
task: multiclass
sources:
  predictions:
    topic: out
    format: open_inference
    side: response
    id: id
    version: model_version
    class_scores: outputs[name=scores]
    features: { vector: { path: 'outputs[0]', names: [a, null, c], ranges: { a: [0, 9], c: [0, 9] } } }
",
    )
    .unwrap();
    let nested = json!([[0.25, 0.5, 0.25], [0.75, 0.125, 0.125]]);
    let scores = json!({ "name": "scores", "shape": [2, 3], "datatype": "FP32", "data": nested });
    let text = json!({ "id": "r", "model_version": 2, "outputs": [scores] });
    let tensor = tensor("scores", "FP32", &[2, 3]);
    let raw = floats(&[0.25, 0.5, 0.25, 0.75, 0.125, 0.125]);
    let message = [field(2, b"2"), field(3, b"r"), field(5, &tensor), field(6, &raw)].concat();
    for payload in [text.to_string().into_bytes(), message] {
        let read = read(&plan, PREDICTIONS, &payload);
        let seen: Vec<_> = read.iter().map(|row| (row.numeric.clone(), row.predicted.clone().unwrap())).collect();
        let some = |values: [f64; 3]| values.map(Some).to_vec();
        assert_eq!(seen, [(some([0.25, 0.25, 0.5]), "1".to_owned()), (some([0.75, 0.125, 0.75]), "0".to_owned())]);
    }
}

#[test]
fn headers_say_how_a_record_is_written_and_of_which_side_it_is() {
    let plan = plan();
    let (json, protobuf) = (br#" {"id":"r","model_version":"v2"}"#.as_slice(), answer("r", &[0.5]));
    let fates = |sent: &[(Headers<'_>, &[u8])]| {
        let decoded = decode_with(&plan, PREDICTIONS, sent);
        (decoded.batch.offset.values().to_vec(), decoded.rejects.iter().map(|reject| reject.reason).collect::<Vec<_>>())
    };
    let seldon = |kind| [("seldon-infer-type", kind)];
    let media = |kind| [("Content-Type", kind)];
    assert_eq!(fates(&[(&[], json), (&[], &protobuf), (&[("x", "y")], json), (&[("x", "y")], &protobuf)]).0.len(), 4);
    assert_eq!(
        fates(&[(&seldon("json/inferModelResponse"), json), (&seldon("proto/InferModelResponse"), &protobuf)]).0.len(),
        2
    );
    assert_eq!(fates(&[(&media("application/json"), json), (&media("application/x-protobuf"), &protobuf)]).0.len(), 2);
    assert_eq!(fates(&[(&media("application/octet-stream"), json)]).0.len(), 1);
    assert_eq!(fates(&[(&seldon("proto/InferModelResponse"), json)]).1, [Poison::Malformed]);
    assert_eq!(fates(&[(&seldon("proto/InferModelRequest"), &protobuf)]).1, [Poison::WrongType]);
}

#[test]
fn values_beside_the_payload_are_those_of_every_row() {
    let plan = load(&PIPELINE.replace(
        "id: id\n    version: model_version",
        "id: $header.x-request-id\n    version: { path: $topic, match: '\\.model\\.([^.]+)\\.' }",
    ))
    .unwrap();
    let headers = [("x-request-id", "r-9")];
    let decoded = decode_with(&plan, PREDICTIONS, &[(&headers, &answer("other", &[0.25, 0.5]))]);
    let read = rows(&decoded.batch);
    assert!(read.iter().all(|row| row.version.as_deref() == Some("fraud-v2")));
    let ids: Vec<_> = read.iter().map(|row| row.id.unwrap()).collect();
    assert_eq!(ids, [0, 1].map(|row| row_id(stable_hash(b"r-9"), row)));
}

#[test]
fn conditions_are_looked_at_before_tensors() {
    let plan = load(&PIPELINE.replace(
        "    id: id\n    version: model_version",
        "    where: { model_name: fraud }\n    id: id\n    version: model_version",
    ))
    .unwrap();
    let other = [field(1, b"other"), field(5, &tensor("probability", "FP64", &[9]))].concat();
    let json = br#"{"model_name":"other","outputs":7}"#;
    let decoded = decode(&plan, PREDICTIONS, &[&answer("r", &[0.5]), &other, json]);
    assert_eq!((decoded.batch.len(), decoded.rejects.len(), decoded.passed_over), (1, 0, 2));
}

#[test]
fn envelopes_of_cloud_events_hold_messages_too() {
    let of_answers = "    where: { $ce.type: org.kubeflow.serving.inference.response }\n    id: $ce.id\n";
    let text = PIPELINE.replacen("    side: response\n    id: id\n", of_answers, 1);
    let plan = load(&text).unwrap();
    let event = |kind: &str| {
        json!({ "specversion": "1.0", "id": "e-1", "type": format!("org.kubeflow.serving.inference.{kind}"),
                "data": { "model_version": "v2", "id": "x", "outputs": [
                    { "name": "probability", "shape": [1], "datatype": "FP64", "data": [0.5] }] } })
        .to_string()
    };
    let headers = [("content-type", "application/cloudevents+json")];
    let no_data = event("response").replace("\"data\":{", "\"other\":{");
    let (mine, other) = (event("response"), event("request"));
    let decoded = decode_with(
        &plan,
        PREDICTIONS,
        &[(&headers, mine.as_bytes()), (&headers, other.as_bytes()), (&headers, no_data.as_bytes())],
    );
    let read = rows(&decoded.batch);
    assert_eq!((read.len(), decoded.passed_over, decoded.rejects.len()), (1, 1, 1));
    assert_eq!((read[0].id, read[0].numeric[1]), (Some(stable_hash(b"e-1")), Some(0.5)));
}

#[test]
fn an_answer_that_is_an_error_is_a_row_that_failed() {
    let text = PIPELINE.replace("version: model_version", "version: { constant: v1 }");
    let read = read(&load(&text).unwrap(), PREDICTIONS, br#"{"id":"r","error":"no such model"}"#);
    assert_eq!((read.len(), read[0].failed, read[0].numeric[1]), (1, Some(true), None));
}

#[test]
fn a_record_that_claims_what_is_not_there_is_one_reject() {
    let plan = plan();
    let good = answer("r", &[0.5]);
    let message =
        |tensor: &[u8], raw: &[u8]| [field(2, b"v"), field(3, b"r"), field(5, tensor), field(6, raw)].concat();
    let huge = hex("ff ff ff ff ff ff ff ff 7f 03");
    let one = |datatype, shape: &[u8], raw: &[u8]| message(&tensor("probability", datatype, shape), raw);
    for (bad, what) in [
        (one("FP64", &[2, 1], &doubles(&[0.5])), "shape [2, 1] is of 2 values, there are 1"),
        (one("FP64", &[1], &[0; 7]), "7 bytes are no whole number of values of 8 bytes"),
        (one("FP63", &[1], &[0; 8]), "unknown datatype `FP63`"),
        (
            one("FP64", &[hex("ff ff ff ff ff ff ff ff ff 01"), vec![1]].concat(), &[0; 8]),
            "no tensor has the shape [-1, 1]",
        ),
        (one("FP64", &huge, &[0; 8]), "no tensor has the shape [9223372036854775807, 3]"),
        (one("FP64", &[0xFF, 0xFF, 0x7F, 0], &[]), "shape [2097151, 0] has rows without values"),
    ] {
        let (reason, detail) = refused(&plan, PREDICTIONS, &good, &bad);
        assert_eq!((reason, detail), (Poison::Malformed, format!("outputs[name=probability]: {what}")));
    }
    let many = one("BOOL", &[0x81, 0x80, 4], &vec![0; 65_537]);
    let detail = refused(&plan, PREDICTIONS, &good, &many);
    assert_eq!(detail, (Poison::TooLong, "outputs[name=probability]: more than 65536 rows".to_owned()));
    let width = refused(&plan, PREDICTIONS, &good, &one("FP64", &[1, 2], &doubles(&[0.5, 0.5])));
    assert_eq!(
        width,
        (Poison::WrongType, "outputs[name=probability]: 2 values in each row, where one is read".to_owned())
    );
    let two = [
        message(&tensor("probability", "FP64", &[1]), &doubles(&[0.5])),
        field(5, &tensor("label", "INT8", &[2])),
        field(6, &[0, 1]),
    ];
    let (_, detail) = refused(&plan, PREDICTIONS, &good, &two.concat());
    assert_eq!(detail, "outputs[name=label]: a batch of 2, where `probability` has 1");
}

#[test]
fn what_is_no_message_is_malformed() {
    let plan = plan();
    let good = answer("r", &[0.5]);
    let typed = [tensor("probability", "FP64", &[1]), field(5, &field(7, &doubles(&[0.5])))].concat();
    let mixed = [answer("r", &[0.5]), field(5, &typed)].concat();
    let other_kind = [tensor("probability", "FP64", &[1]), field(5, &field(2, &[1]))].concat();
    for (bad, what) in [
        (mixed, "both contents of tensors and raw contents"),
        ([answer("r", &[0.5]), field(6, &[1])].concat(), "1 tensors with 2 raw contents"),
        (
            [field(3, b"r"), field(5, &other_kind)].concat(),
            "tensor `probability`: not protobuf: contents of a tensor are not",
        ),
        (answer("r", &[0.5])[..20].to_vec(), "a field is longer than its message"),
        (hex("0a ff ff ff ff ff ff ff ff ff 01"), "a field is longer than its message"),
        (hex("0b"), "an unknown kind of field"),
        (hex("02 00"), "a field without a number"),
        (br#"{"id": "r", "outputs": [}"#.to_vec(), "expected a tensor"),
        (br#"{"id": "r"} x"#.to_vec(), "more after the JSON object"),
        (br#"{"id": "r", "id": "s"}"#.to_vec(), "the same key twice"),
        (br#"{"id": "r", "outputs": [], "outputs": []}"#.to_vec(), "the same key twice"),
        (b"{\"id\": \"\xff\"}".to_vec(), ""),
    ] {
        let (reason, detail) = refused(&plan, PREDICTIONS, &good, &bad);
        assert!(matches!(reason, Poison::Malformed | Poison::DuplicateKey), "{reason:?}");
        assert!(detail.contains(what), "{detail}");
    }
    let good = [BINARY_REQUEST.as_bytes(), &[0; 8]].concat();
    for (bad, what) in [
        ([BINARY_REQUEST.as_bytes(), &[0; 7]].concat(), "binary tensors claim 8 bytes, and 7 follow the JSON object"),
        (
            [BINARY_REQUEST.replace('8', "18446744073709551615").as_bytes(), &[0; 7]].concat(),
            "expected a number of bytes",
        ),
        (
            JSON_REQUEST.replace("\"data\":[12", "\"parameters\":{\"binary_data_size\":8},\"data\":[12").into_bytes(),
            "a tensor has both data and binary_data_size",
        ),
        (
            JSON_REQUEST.replace("[12.5,99.0]", "[12.5]").into_bytes(),
            "inputs[name=amount]: shape [2, 1] is of 2 values, there are 1",
        ),
        (JSON_REQUEST.replace("FP32", "FP16").into_bytes(), "inputs[name=amount]: FP16 is for binary data only"),
        (JSON_REQUEST.replace("[2,1]", "[2.5]").into_bytes(), "expected a shape"),
    ] {
        let (reason, detail) = refused(&plan, FEATURES, &good, &bad);
        assert!(
            matches!(reason, Poison::Malformed | Poison::WrongType) && detail.contains(what),
            "{reason:?} {detail}"
        );
    }
}

#[test]
fn a_value_that_does_not_fit_refuses_its_row_alone() {
    let plan = plan();
    let text = JSON_REQUEST
        .replace("[2,1]", "[3,1]")
        .replace("[12.5,99.0]", r#"[1,"x",[3]]"#)
        .replace(r#"["food","fuel"]"#, r#"["a","b",{"c": 1}]"#);
    let decoded = decode(&plan, FEATURES, &[text.as_bytes()]);
    let refused: Vec<_> =
        decoded.rejects.iter().map(|reject| (reject.row, reject.reason, reject.detail.as_str())).collect();
    let number = "inputs[name=amount]: expected a number";
    let word = "inputs[name=category]: expected a text, a number or a boolean";
    assert_eq!(refused, [(1, Poison::WrongType, number), (2, Poison::WrongType, word)]);
    assert_eq!(rows(&decoded.batch)[0].numeric[0], Some(1.0));
    let high = decode(&plan, PREDICTIONS, &[&answer("r", &[0.5, f64::INFINITY, 0.25])]);
    let refused: Vec<_> = high.rejects.iter().map(|reject| (reject.row, reject.reason)).collect();
    assert_eq!(refused, [(1, Poison::OutOfRange)]);
    let bytes = [&[1, 0, 0, 0, 0xFF][..], &[1, 0, 0, 0, b'a']].concat();
    let latin = [field(3, b"r"), field(5, &tensor("category", "BYTES", &[2])), field(7, &bytes)].concat();
    let decoded = decode(&plan, FEATURES, &[&latin]);
    assert_eq!((decoded.batch.len(), decoded.rejects[0].reason), (1, Poison::InvalidUtf8));
}

#[test]
fn an_empty_batch_is_passed_over() {
    let decoded = decode(&plan(), PREDICTIONS, &[&answer("r", &[])]);
    assert_eq!((decoded.batch.len(), decoded.rejects.len(), decoded.passed_over), (0, 0, 1));
}

#[test]
fn what_cannot_be_meant_is_told() {
    for (from, to, why) in [
        ("    side: response\n", "", "this section does not say which"),
        (
            "    side: response\n",
            "    side: response\n    where: { $ce.type: a.request }\n",
            "but `where` takes requests",
        ),
        ("    side: response\n", "    side: response\n    rows: outputs[*]\n", "in records of `open_inference`"),
        (
            "outputs[name=probability]",
            "inputs[name=probability]",
            "`inputs[name=probability]` leads nowhere in a response",
        ),
        ("outputs[name=probability]", "probability", "`probability` leads nowhere in a response"),
        ("outputs[name=probability]", "outputs", "`outputs` leads nowhere in a response"),
        ("outputs[name=probability]", "outputs[kind=a]", "leads nowhere"),
        ("outputs[name=probability]", "outputs[name=a].data[0]", "leads nowhere"),
        ("    side: response\n", "    side: response\n    where: { 'outputs[0]': 1 }\n", "which is in a row"),
        ("    side: response\n", "    side: response\n    where: { op: 1 }\n", "`op` leads nowhere in a response"),
        (
            "    format: open_inference\n    side: response\n",
            "    side: response\n",
            "`side` is about records of the Open",
        ),
    ] {
        let error = load(&PIPELINE.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(why) && error.contains("p.yaml:"), "{error}");
    }
    let outcomes = format!("{PIPELINE}  outcomes: {{ topic: o, format: open_inference, id: id, label: y }}\n");
    assert!(load(&outcomes).unwrap_err().contains("outcomes of format `open_inference`"));
}

#[test]
fn files_of_lines_hold_messages_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("a.jsonl");
    let line = |n: usize| {
        let scores: Vec<f64> = vec![0.5; n % 3];
        json!({ "topic": "out", "partition": 0, "timestamp_us": BROKER_TIME + n as i64, "value": {
            "id": n.to_string(), "model_version": "v2",
            "outputs": [{ "name": "probability", "shape": [scores.len()], "datatype": "FP64", "data": scores }] } })
        .to_string()
    };
    fs::write(&lines, (0..30).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let mut replay = replay::open(&plan(), &[lines], &ReplayOptions::default()).unwrap();
    let n = rows_taken(&mut replay);
    assert_eq!((n, replay.passed_over()), (30, 10));
}

/// A message of each encoding, for features.
pub(crate) fn messages() -> Vec<Vec<u8>> {
    let texts = [&4_u32.to_le_bytes()[..], b"food", &4_u32.to_le_bytes(), b"fuel"].concat();
    let tensors = [field(5, &tensor("amount", "FP64", &[2])), field(5, &tensor("category", "BYTES", &[2, 1]))].concat();
    let raw = [field(3, b"r"), tensors, field(7, &doubles(&[1.0, 2.0])), field(7, &texts)].concat();
    vec![
        JSON_REQUEST.as_bytes().to_vec(),
        [BINARY_REQUEST.as_bytes(), &hex("00 00 48 41 00 00 c6 42")].concat(),
        hex(RAW_CONTENTS),
        hex(TYPED_CONTENTS),
        raw,
    ]
}

#[test]
fn damaged_messages_are_counted_or_refused() {
    let (plan, messages) = (plan(), messages());
    each_seed("Open Inference", |rng: &mut Rng| {
        for whole in &messages {
            let mut bytes = whole.clone();
            if rng.chance(0.3) {
                bytes.truncate(below(rng, bytes.len()));
            }
            for _ in 0..below(rng, 4) {
                let at = below(rng, bytes.len());
                match below(rng, 4) {
                    _ if bytes.is_empty() => {}
                    0 => bytes[at] ^= 1 << below(rng, 8),
                    1 => bytes[at] = 0xFF,
                    2 => bytes.insert(at, bytes[below(rng, bytes.len())]),
                    _ => drop(bytes.remove(at)),
                }
            }
            let decoded = decode(&plan, FEATURES, &[whole, &bytes, whole]);
            let of = |offset: i64| {
                let rows = decoded.batch.offset.values().iter().filter(|&&at| at == offset).count();
                rows + decoded.rejects.iter().filter(|reject| reject.offset == offset).count()
            };
            assert_eq!((of(0), of(2)), (2, 2), "neighbours do not notice");
            assert!(of(1) + decoded.passed_over as usize >= 1, "refused, read or passed over");
            assert!(of(1) <= whole.len() + 4, "no more rows than bytes");
        }
    });
}
