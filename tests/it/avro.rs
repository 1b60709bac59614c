//! Records of Avro: golden bytes, every kind of value, schemas that change, and bytes that are damaged or lie.
#![expect(clippy::similar_names, reason = "a decoder and what it decoded")]

use std::path::Path;
use std::sync::Arc;

use haldane::config;
use haldane::decode::avro::fingerprint;
use haldane::decode::schema::{SchemaId, SchemaTexts};
use haldane::decode::{Decoded, Decoder, Record, decoder};
use haldane::event::{Poison, stable_hash};
use haldane::plan::Plan;
use serde_json::{Value, json};

use crate::flights::{Row, rows};
use crate::fuzz::{below, each_seed, one};

pub(crate) const BROKER_TIME: i64 = 1_800_000_000_000_000;

/// The schema of the golden bytes.
pub(crate) const SCORED: &str = r#"{"type": "record", "name": "Scored", "fields": [
    {"name": "id", "type": "string"}, {"name": "version", "type": "string"},
    {"name": "score", "type": "double"}, {"name": "label", "type": ["null", "int"]}]}"#;

/// `t-1, v2, 0.25, 1` in that schema.
pub(crate) const BODY: [u8; 17] = [6, b't', b'-', b'1', 4, b'v', b'2', 0, 0, 0, 0, 0, 0, 0xd0, 0x3f, 2, 2];

pub(crate) const UUID: [u8; 16] =
    [0x7b, 0x5f, 0x0c, 0x1e, 0x2a, 0x34, 0x4d, 0x8a, 0x9f, 0x10, 1, 0x23, 0x45, 0x67, 0x89, 0xab];

/// A value in the binary encoding of a schema; of a union it is the first branch that it fits.
pub(crate) fn encode(schema: &Value, value: &Value, out: &mut Vec<u8>) {
    let kind = schema.as_str().or_else(|| schema["type"].as_str());
    match (kind, schema, value) {
        (None, Value::Array(branches), value) => {
            let is_null = |branch: &Value| branch == "null";
            let at = branches.iter().position(|branch| is_null(branch) == value.is_null()).expect("a branch");
            long(at as i64, out);
            encode(&branches[at], value, out);
        }
        (Some("null"), ..) => {}
        (Some("boolean"), _, value) => out.push(value.as_bool().expect("a truth value").into()),
        (Some("int" | "long"), _, value) => long(value.as_i64().expect("a whole number"), out),
        (Some("float"), _, value) => out.extend((value.as_f64().expect("a number") as f32).to_le_bytes()),
        (Some("double"), _, value) => out.extend(value.as_f64().expect("a number").to_le_bytes()),
        (Some("string"), _, value) => bytes(value.as_str().expect("a text").as_bytes(), out),
        (Some("array"), schema, Value::Array(items)) => {
            if !items.is_empty() {
                long(items.len() as i64, out);
                items.iter().for_each(|item| encode(&schema["items"], item, out));
            }
            long(0, out);
        }
        (Some("map"), schema, Value::Object(entries)) => {
            for (key, value) in entries {
                long(1, out);
                bytes(key.as_bytes(), out);
                encode(&schema["values"], value, out);
            }
            long(0, out);
        }
        (Some("record"), schema, value) => {
            for field in schema["fields"].as_array().expect("fields") {
                encode(&field["type"], &value[field["name"].as_str().expect("a name")], out);
            }
        }
        _ => panic!("{value} is none of {schema}"),
    }
}

fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend(value);
}

/// A record in Confluent's frame.
pub(crate) fn framed(id: u32, schema: &Value, value: &Value) -> Vec<u8> {
    let mut out = [&[0][..], &id.to_be_bytes()].concat();
    encode(schema, value, &mut out);
    out
}

/// The schema of an object as one of the flights log, with its features as records in it.
pub(crate) fn schema_of(name: &str, value: &Value) -> Value {
    let field = |(key, value): (&String, &Value)| {
        let kind = match (key.as_str(), value) {
            (_, Value::Object(_)) => schema_of(key, value),
            ("event_time_us", _) => json!("long"),
            ("prediction_id" | "model" | "version", _) => json!("string"),
            ("cohort" | "carrier" | "origin" | "dest", _) => json!(["null", "string"]),
            ("predicted_label" | "status" | "label", _) => json!(["null", "int"]),
            _ => json!(["null", "double"]),
        };
        json!({ "name": key, "type": kind })
    };
    let fields: Vec<Value> = value.as_object().expect("an object").iter().map(field).collect();
    json!({ "type": "record", "name": name, "fields": fields })
}

pub(crate) fn plan(frame: &str, source: &str) -> Arc<Plan> {
    let text = format!(
        "sources:\n  predictions:\n    topic: p\n    format: avro\n{source}registry: {{ url: 'http://host', frame: {frame} }}\n"
    );
    config::parse(&text, "p.yaml", Path::new("")).unwrap_or_else(|error| panic!("{error}")).plan
}

pub(crate) const SIMPLE: &str = "    id: id\n    version: version\n    score: score\n    label: label\n";

pub(crate) fn texts(schemas: &[&str]) -> SchemaTexts {
    schemas.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>().into()
}

pub(crate) fn push(decoder: &mut dyn Decoder, offset: i64, headers: &[(&str, &[u8])], payload: &[u8]) {
    let payload = Some(payload);
    decoder.push(&Record { offset, broker_time: BROKER_TIME, key: None, payload, headers, topic: "p" });
}

/// Decodes payloads, by schemas with the numbers 1, 2, ….
pub(crate) fn decode(plan: &Arc<Plan>, schemas: &[&str], payloads: &[Vec<u8>]) -> Decoded {
    let mut decoder = decoder(plan, 0, 0);
    for (id, schema) in (1..).zip(schemas) {
        decoder.learn(SchemaId::Number(id), Some(&texts(&[schema])));
    }
    (0..).zip(payloads).for_each(|(offset, payload)| push(decoder.as_mut(), offset, &[], payload));
    assert_eq!(decoder.n_pending(), payloads.len());
    let decoded = decoder.finish();
    assert_eq!(decoder.n_pending(), 0);
    decoded
}

pub(crate) fn refused(decoded: &Decoded) -> Vec<(i64, Poison, &str)> {
    decoded.rejects.iter().map(|reject| (reject.offset, reject.reason, reject.detail.as_str())).collect()
}

fn scored(row: &Row) -> (Option<u64>, Option<&str>, Option<f64>, Option<f64>) {
    (row.id, row.version.as_deref(), row.numeric[0], row.label)
}

/// A frame, headers, a payload and the schema that it names.
type Case<'a> = (&'a str, &'a [(&'a str, &'a [u8])], &'a [u8], SchemaId);

#[test]
fn golden_bytes_are_read_in_every_frame_once_the_schema_is_known() {
    let number = [&[0, 0, 0, 0, 42][..], &BODY].concat();
    let long = [&[0, 0, 0, 0, 0, 0, 0, 0, 42][..], &BODY].concat();
    let glue = [&[3, 0][..], &UUID, &BODY].concat();
    let own = fingerprint(SCORED).expect("a schema");
    let single = [&[0xc3, 1][..], &own.to_le_bytes(), &BODY].concat();
    let (in_header, guid) = ([0, 0, 0, 0, 42], [&[1][..], &UUID].concat());
    let global = 42_i64.to_be_bytes();
    let uuid = SchemaId::Uuid(u128::from_be_bytes(UUID));
    let cases: [Case<'_>; 9] = [
        ("auto", &[], &number, SchemaId::Number(42)),
        ("confluent", &[], &number, SchemaId::Number(42)),
        ("apicurio8", &[], &long, SchemaId::Global(42)),
        ("glue", &[], &glue, uuid),
        ("auto", &[], &glue, uuid),
        ("auto", &[], &single, SchemaId::Fingerprint(own)),
        ("header", &[("__value_schema_id", &in_header)], &BODY, SchemaId::Number(42)),
        ("auto", &[("__value_schema_id", &guid)], &BODY, uuid),
        ("header", &[("apicurio.value.contentId", &global)], &BODY, SchemaId::Content(42)),
    ];
    for (frame, headers, payload, id) in cases {
        let plan = plan(frame, SIMPLE);
        let mut decoder = decoder(&plan, 0, 0);
        let record =
            Record { offset: 7, broker_time: BROKER_TIME, key: None, payload: Some(payload), headers, topic: "p" };
        assert_eq!(decoder.needs(&record), Some(id), "{frame}");
        decoder.learn(id, Some(&texts(&[SCORED])));
        assert_eq!(decoder.needs(&record), None);
        decoder.push(&record);
        let decoded = decoder.finish();
        assert_eq!(refused(&decoded), [], "{frame}");
        let rows = rows(&decoded.batch);
        let wanted = (Some(stable_hash(b"t-1")), Some("v2"), Some(0.25), Some(1.0));
        assert_eq!((scored(&rows[0]), decoded.batch.offset.value(0)), (wanted, 7), "{frame}");
    }
}

#[test]
fn json_in_a_frame_is_read_without_any_schema() {
    let text = format!("sources:\n  predictions:\n    topic: p\n{SIMPLE}registry: {{ url: 'http://host' }}\n");
    let plan = config::parse(&text, "p.yaml", Path::new("")).expect("a pipeline").plan;
    let plain = br#"{"id":"t-1","version":"v2","score":0.25,"label":1}"#;
    let mut decoder = decoder(&plan, 0, 0);
    let framed = [&[0, 0, 0, 0, 7][..], plain].concat();
    for (offset, payload) in [&framed[..], plain, &framed[..4]].into_iter().enumerate() {
        let offset = offset as i64;
        let record =
            Record { offset, broker_time: BROKER_TIME, key: None, payload: Some(payload), headers: &[], topic: "p" };
        assert_eq!(decoder.needs(&record), None);
        decoder.push(&record);
    }
    let decoded = decoder.finish();
    assert_eq!(rows(&decoded.batch).iter().map(|row| row.numeric[0]).collect::<Vec<_>>(), [Some(0.25); 2]);
    assert_eq!(refused(&decoded).iter().map(|reject| reject.0).collect::<Vec<_>>(), [2]);
}

/// A schema with every kind of value.
pub(crate) const EVERY: &str = r#"{"type": "record", "name": "R", "namespace": "shop", "fields": [
        {"name": "id", "type": {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "version", "type": {"type": "enum", "name": "V", "symbols": ["v1", "v2"]}},
        {"name": "inner", "type": ["null", {"type": "record", "name": "I", "fields": [
            {"name": "score", "type": "float"}, {"name": "again", "type": ["null", "R"]}]}]},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "small", "type": {"type": "fixed", "name": "D", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 1}},
        {"name": "list", "type": {"type": "array", "items": "double"}},
        {"name": "pairs", "type": {"type": "map", "values": ["null", "long"]}},
        {"name": "mixed", "type": ["null", "long", "string", "double"]},
        {"name": "ok", "type": ["boolean", "null"]},
        {"name": "kind", "type": ["null", "string", {"type": "record", "name": "K", "fields": [{"name": "x", "type": "int"}]}]},
        {"name": "unread", "type": {"type": "array", "items": "V"}}]}"#;

/// A pipeline over it.
pub(crate) fn every() -> Arc<Plan> {
    plan(
        "auto",
        "    id: id\n    event_time: at\n    version: version\n    score: inner.score\n    features:\n      numeric:\n        amount: { path: amount, range: [0, 10] }\n        small: { path: small, range: [0, 10] }\n        second: { path: 'list[1]', range: [0, 10] }\n        pair: { path: 'pairs[key=b].value', range: [0, 10] }\n        mixed: { path: mixed, range: [0, 10] }\n        x: { path: kind.K.x, range: [0, 10] }\n      categorical: [ok]\n",
    )
}

/// A record of it: which version, one value of several kinds, and one more.
pub(crate) fn of_every(version: i64, mixed: &[u8], kind: &[u8]) -> Vec<u8> {
    let mut out = [&[0, 0, 0, 0, 1][..], &UUID].concat();
    long(1_700_000_000_123, &mut out);
    long(version, &mut out);
    long(1, &mut out);
    out.extend(0.5_f32.to_le_bytes());
    long(0, &mut out);
    bytes(&[0xff, 0x38], &mut out); // -200
    out.extend([0, 15]);
    out.extend([3, 32]); // two numbers in sixteen bytes
    [1.5_f64, 2.5].iter().for_each(|number| out.extend(number.to_le_bytes()));
    out.extend([0, 4, 2, b'a', 0, 2, b'b', 2, 14, 0]);
    out.extend(mixed);
    out.extend([0, 1]);
    out.extend(kind);
    out.extend([4, 0, 2, 0]);
    out
}

#[test]
fn every_kind_of_value_is_read_as_what_it_means() {
    let plan = every();
    let texts = [&[4, 6][..], b"0.5"].concat();
    let decoded = decode(
        &plan,
        &[EVERY],
        &[
            of_every(0, &texts, &[4, 6]),
            of_every(1, &[2, 6], &[2, 2, b'y']),
            of_every(1, &[0], &[0]),
            of_every(2, &[0], &[0]),
        ],
    );
    assert_eq!(
        refused(&decoded),
        [(3, Poison::Malformed, "no record of schema 1: a choice that there is not (byte 23)")]
    );
    let rows = rows(&decoded.batch);
    let uuid = stable_hash(b"7b5f0c1e-2a34-4d8a-9f10-0123456789ab");
    assert!(rows.iter().all(|row| row.id == Some(uuid) && row.event_time == 1_700_000_000_123_000), "{rows:?}");
    assert_eq!(rows.iter().map(|row| row.version.as_deref()).collect::<Vec<_>>(), [Some("v1"), Some("v2"), Some("v2")]);
    let names: Vec<&str> = plan.columns.numeric.iter().map(|column| column.name.as_str()).collect();
    let number = |row: &Row, name: &str| row.numeric[names.iter().position(|other| *other == name).expect("a column")];
    for (name, wanted) in [
        ("amount", [Some(-2.0); 3]),
        ("small", [Some(1.5); 3]),
        ("second", [Some(2.5); 3]),
        ("pair", [Some(7.0); 3]),
        ("mixed", [Some(0.5), Some(3.0), None]),
        ("x", [Some(3.0), None, None]),
        ("score", [Some(0.5); 3]),
    ] {
        assert_eq!(rows.iter().map(|row| number(row, name)).collect::<Vec<_>>(), wanted, "{name}");
    }
    assert!(rows.iter().all(|row| row.categorical == [Some("true".to_owned())]), "{rows:?}");
}

#[test]
fn records_of_older_and_newer_schemas_mix_in_the_order_of_the_log() {
    let old: Value = serde_json::from_str(SCORED).expect("JSON");
    let new = json!({"type": "record", "name": "Scored", "fields": [
        {"name": "label", "type": "int"}, {"name": "more", "type": {"type": "array", "items": "string"}},
        {"name": "version", "type": "string"}, {"name": "id", "type": ["string", "null"]},
        {"name": "place", "type": "string", "default": "?"}, {"name": "score", "type": "float"}]});
    let bare = json!({"type": "record", "name": "Scored", "fields": [{"name": "id", "type": "string"}]});
    let plan = plan("auto", &format!("{SIMPLE}    segments: {{ place: place }}\n"));
    let payload = |n: usize| {
        let (id, score) = (format!("t-{n}"), n as f64 / 8.0);
        match n % 3 {
            0 => framed(1, &old, &json!({ "id": id, "version": "v1", "score": score, "label": null })),
            1 => {
                let value =
                    json!({ "label": 1, "more": ["x"], "version": "v2", "id": id, "place": "DE", "score": score });
                framed(2, &new, &value)
            }
            _ => framed(3, &bare, &json!({ "id": id })),
        }
    };
    let payloads: Vec<Vec<u8>> = (0..9).map(payload).collect();
    let decoded = decode(&plan, &[SCORED, &new.to_string(), &bare.to_string()], &payloads);
    assert_eq!(decoded.batch.offset.values(), &[0, 1, 3, 4, 6, 7][..]);
    for row in rows(&decoded.batch) {
        let n = (0..9).find(|n| row.id == Some(stable_hash(format!("t-{n}").as_bytes()))).expect("an id");
        let is_new = n % 3 == 1;
        assert_eq!(row.numeric[0], Some(f64::from(n) / 8.0));
        assert_eq!(
            (row.label, row.segments),
            if is_new { (Some(1.0), vec![Some("DE".into())]) } else { (None, vec![None]) }
        );
    }
    let missing: Vec<_> = refused(&decoded).iter().map(|reject| (reject.0, reject.1)).collect();
    assert_eq!(missing, [2, 5, 8].map(|offset| (offset, Poison::MissingField)));
}

#[test]
fn conditions_rows_and_values_beside_the_payload_work_as_in_other_formats() {
    let schema = json!({"type": "record", "name": "Envelope", "fields": [
        {"name": "op", "type": "string"},
        {"name": "after", "type": ["null", {"type": "record", "name": "Row", "fields": [
            {"name": "items", "type": {"type": "array", "items": {"type": "record", "name": "Item", "fields": [
                {"name": "score", "type": "double"}]}}}]}]}]});
    let plan = plan(
        "auto",
        "    where: { op: [c, u], $topic: p }\n    rows: after.items[*]\n    id: $header.request\n    version: { path: $header.model, match: '-(v[0-9])$' }\n    score: $row.score\n    latency: $row.score\n",
    );
    let text = schema.to_string();
    let mut decoder = decoder(&plan, 0, 0);
    decoder.learn(SchemaId::Number(1), Some(&texts(&[&text])));
    let items =
        |scores: &[f64]| json!({ "items": scores.iter().map(|score| json!({ "score": score })).collect::<Vec<_>>() });
    let cases = [
        ("c", items(&[0.1, 0.2]), "fraud-v1"),
        ("d", Value::Null, "fraud-v1"),
        ("u", items(&[0.3, -7.0]), "fraud-v2"),
        ("c", items(&[]), "fraud-v2"),
        ("c", Value::Null, "fraud-v2"),
    ];
    for (offset, (op, after, model)) in (0..).zip(&cases) {
        let payload = framed(1, &schema, &json!({ "op": op, "after": after }));
        let request = format!("r-{offset}");
        push(decoder.as_mut(), offset, &[("request", request.as_bytes()), ("model", model.as_bytes())], &payload);
    }
    decoder.push(&Record { offset: 5, broker_time: 0, key: None, payload: None, headers: &[], topic: "p" });
    let decoded = decoder.finish();
    let rows = rows(&decoded.batch);
    let said: Vec<_> = rows.iter().map(|row| (row.version.as_deref().unwrap_or(""), row.numeric[0])).collect();
    assert_eq!(said, [("v1", Some(0.1)), ("v1", Some(0.2)), ("v2", Some(0.3))]);
    assert_eq!(decoded.batch.offset.values(), &[0, 0, 2][..]);
    let refused: Vec<_> = decoded.rejects.iter().map(|reject| (reject.offset, reject.row, reject.reason)).collect();
    assert_eq!(refused, [(2, 1, Poison::OutOfRange), (4, 0, Poison::MissingField)]);
    assert_eq!(decoded.passed_over, 3, "another operation, no rows, no payload");
}

#[test]
fn lengths_that_lie_cost_their_record_alone() {
    let list = json!({"type": "record", "name": "R", "fields": [
        {"name": "nulls", "type": {"type": "array", "items": "null"}},
        {"name": "wide", "type": {"type": "array", "items": ["null", {"type": "record", "name": "W", "fields":
            (0..64).map(|n| json!({ "name": format!("f{n}"), "type": "double" })).collect::<Vec<_>>()}]}},
        {"name": "id", "type": "string"}, {"name": "version", "type": "string"}, {"name": "score", "type": "double"}]});
    let plan = plan(
        "auto",
        "    id: id\n    version: version\n    score: score\n    features: { numeric: { a: { path: 'nulls[0]', range: [0, 1] }, b: { path: 'wide[0].f0', range: [0, 1] } } }\n",
    );
    let good = framed(1, &list, &json!({ "nulls": [null], "wide": [null], "id": "a", "version": "v", "score": 0.5 }));
    let lie = |parts: &[i64]| {
        let mut out = vec![0, 0, 0, 0, 1];
        parts.iter().for_each(|part| long(*part, &mut out));
        out
    };
    let mut wide = lie(&[0, 1 << 20]);
    wide.extend(vec![0; 1 << 20]);
    let payloads = [
        good.clone(),
        lie(&[i64::MAX]),
        lie(&[i64::MIN, 1]),
        lie(&[1 << 30, 0]),
        lie(&[0, 1 << 40]),
        wide,
        lie(&[0, 0, i64::MAX]),
        lie(&[0, 0, -1]),
        lie(&[-1, 7, 0]),
        good.clone(),
        [&good[..], &[0]].concat(),
        good[..good.len() - 1].to_vec(),
        good,
    ];
    let decoded = decode(&plan, &[&list.to_string()], &payloads);
    assert_eq!(decoded.batch.offset.values(), &[0, 9, 12][..]);
    let why: Vec<&str> = refused(&decoded).iter().map(|reject| reject.2).collect();
    let more = "more values than its length allows";
    for (at, part) in [(0, more), (2, more), (4, more), (5, "ends too early"), (6, "negative length")] {
        assert!(why[at].contains(part), "{at}: {}", why[at]);
    }
    assert!(why[7].contains("not as long as it says") && why[8].contains("bytes are left behind it"), "{why:?}");
}

#[test]
fn schemas_that_are_not_there_or_make_no_sense_are_told_by_their_id() {
    let plan = plan("auto", SIMPLE);
    let mut decoder = decoder(&plan, 0, 0);
    decoder.learn(SchemaId::Number(1), None);
    decoder.learn(SchemaId::Number(2), Some(&texts(&["syntax = \"proto3\";"])));
    decoder.learn(SchemaId::Number(3), Some(&texts(&["\"string\""])));
    let payload = |id: u8| [&[0, 0, 0, 0, id][..], &BODY].concat();
    (0..5).for_each(|id| push(decoder.as_mut(), id.into(), &[], &payload(id)));
    push(decoder.as_mut(), 5, &[], b"{}");
    let decoded = decoder.finish();
    let refused = refused(&decoded);
    assert!(refused.iter().all(|reject| reject.1 == Poison::Malformed) && refused.len() == 6, "{refused:?}");
    for (reject, part) in refused.iter().zip([
        "schema 0 is not known here",
        "there is no schema 1",
        "schema 2 cannot be used: not JSON",
        "schema 3 cannot be used: it is no record",
        "schema 4 is not known here",
        "nothing names its schema: it begins with 7b 7d",
    ]) {
        assert!(reject.2.starts_with(part), "{reject:?}");
    }
    // As many ids as damaged records may name are not remembered for ever, and those that are known stay known.
    (10..5_000).for_each(|id| decoder.learn(SchemaId::Number(id), None));
    let known = payload(2);
    let record = Record { offset: 0, broker_time: 0, key: None, payload: Some(&known), headers: &[], topic: "p" };
    assert_eq!(decoder.needs(&record), None);
}

#[test]
fn types_of_other_schemas_are_read_by_reference() {
    let amount =
        r#"{"type": "record", "name": "Amount", "namespace": "shop", "fields": [{"name": "value", "type": "double"}]}"#;
    let order = r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"},
        {"name": "version", "type": "string"}, {"name": "score", "type": "shop.Amount"}]}"#;
    let plan = plan("auto", "    id: id\n    version: version\n    score: score.value\n");
    let mut decoder = decoder(&plan, 0, 0);
    decoder.learn(SchemaId::Number(42), Some(&texts(&[amount, order])));
    push(decoder.as_mut(), 0, &[], &[&[0, 0, 0, 0, 42][..], &BODY[..15]].concat());
    assert_eq!(rows(&decoder.finish().batch)[0].numeric[0], Some(0.25));
}

#[test]
fn damaged_records_leave_their_neighbours_alone() {
    let schema = json!({"type": "record", "name": "R", "fields": [
        {"name": "id", "type": "string"}, {"name": "version", "type": "string"}, {"name": "score", "type": "double"},
        {"name": "list", "type": {"type": "array", "items": ["null", "double"]}},
        {"name": "map", "type": {"type": "map", "values": {"type": "array", "items": "string"}}},
        {"name": "inner", "type": ["null", {"type": "record", "name": "I", "fields": [{"name": "x", "type": "long"}]}]},
        {"name": "skipped", "type": {"type": "map", "values": "boolean"}}]});
    let plan = plan(
        "auto",
        "    id: id\n    version: version\n    score: score\n    features: { numeric: { a: { path: 'list[0]', range: [0, 1] }, x: { path: inner.x, range: [0, 1] } }, categorical: { m: 'map[key=k].value[0]' } }\n",
    );
    let text = schema.to_string();
    each_seed("Avro", |rng| {
        let value = |rng: &mut haldane::sim::Rng| {
            let numbers: Vec<Value> =
                (0..below(rng, 4)).map(|n| if n == 1 { Value::Null } else { json!(n as f64) }).collect();
            json!({ "id": format!("r-{}", below(rng, 1_000)), "version": "v1", "score": 0.5, "list": numbers,
                "map": { "k": ["a", "b"] }, "inner": if rng.chance(0.5) { Value::Null } else { json!({ "x": 1 }) },
                "skipped": { "s": true } })
        };
        let payloads: Vec<Vec<u8>> = (0..8).map(|_| framed(1, &schema, &value(rng))).collect();
        let mut damaged = payloads.clone();
        let at = below(rng, damaged.len());
        for _ in 0..=below(rng, 3) {
            let bytes = &mut damaged[at];
            match below(rng, 3) {
                0 if bytes.len() > 1 => bytes.truncate(1 + below(rng, bytes.len() - 1)),
                1 => {
                    let place = below(rng, bytes.len());
                    bytes[place] = one(rng, &[&[0_u8][..], &[0xff], &[0x7f], &[1]])[0];
                }
                _ => bytes.insert(below(rng, bytes.len()), 0xfe),
            }
        }
        let (whole, read) = (decode(&plan, &[&text], &payloads), decode(&plan, &[&text], &damaged));
        let of = |decoded: &Decoded| -> Vec<(i64, Row)> {
            let all = decoded.batch.offset.values().iter().copied().zip(rows(&decoded.batch));
            all.filter(|(offset, _)| *offset != at as i64).collect()
        };
        assert_eq!(of(&whole), of(&read), "neighbours do not notice");
        let n = read.batch.offset.values().iter().filter(|offset| **offset == at as i64).count();
        assert_eq!(n + read.rejects.len(), 1, "one row or one reject: {:?}", read.rejects);
    });
}

#[test]
fn changes_of_a_table_are_labels_as_the_example_reads_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/fraud-registry.yaml");
    let plan = config::load(&path).unwrap_or_else(|error| panic!("{error}")).plan;
    let row = json!({"type": "record", "name": "Value", "fields": [
        {"name": "transaction_id", "type": "string"}, {"name": "status", "type": ["null", "string"]}]});
    let schema = json!({"type": "record", "name": "Envelope", "namespace": "db.public.chargebacks", "fields": [
        {"name": "before", "type": ["null", row]}, {"name": "after", "type": ["null", "Value"]},
        {"name": "op", "type": "string"}, {"name": "ts_ms", "type": ["null", "long"]}]});
    let written = json!({"type": "record", "fields": [
        {"name": "before", "type": ["null", row]}, {"name": "after", "type": ["null", row]},
        {"name": "op", "type": "string"}, {"name": "ts_ms", "type": ["null", "long"]}]});
    let mut decoder = decoder(&plan, 1, 0);
    decoder.learn(SchemaId::Number(5), Some(&texts(&[&schema.to_string()])));
    let of = |status: &str| json!({ "transaction_id": "t-1", "status": status });
    let changes = [("c", Value::Null, of("open")), ("u", of("open"), of("chargeback")), ("d", of("open"), Value::Null)];
    for (offset, (op, before, after)) in (0..).zip(&changes) {
        let value = json!({ "before": before, "after": after, "op": op, "ts_ms": 1_700_000_000_000_i64 });
        push(decoder.as_mut(), offset, &[], &framed(5, &written, &value));
    }
    decoder.push(&Record { offset: 3, broker_time: 0, key: None, payload: None, headers: &[], topic: "p" });
    let decoded = decoder.finish();
    assert_eq!((refused(&decoded), decoded.passed_over), (vec![], 2));
    let rows = rows(&decoded.batch);
    assert_eq!(rows.iter().map(|row| row.label).collect::<Vec<_>>(), [Some(0.0), Some(1.0)]);
    assert!(rows.iter().all(|row| row.id == Some(stable_hash(b"t-1")) && row.event_time == 1_700_000_000_000_000));
}
