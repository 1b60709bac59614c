//! Rows that stand in lists of lists.

use std::path::Path as FilePath;
use std::sync::Arc;

use haldane::config;
use haldane::decode::schema::SchemaId;
use haldane::decode::{Decoded, Record, decoder};
use haldane::event::{Poison, row_id, stable_hash};
use haldane::plan::Plan;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::avro::framed;
use crate::flights::{Row, rows};

const PIPELINE: &str = "
sources:
  predictions:
    topic: p
    format: json
    rows: body.sites[*].calls[*]
    where: { op: c, 'body.sites[*].open': true, $row.kind: chat }
    event_time: { path: at, unit: us }
    id: id
    version: 'body.sites[*].version'
    status: status
    score: $row.score
    segments: { site: 'body.sites[*].site.name' }
  outcomes: { topic: o, id: id, label: y }
registry: { url: 'http://host' }
";

fn load(text: &str) -> Result<Arc<Plan>, String> {
    config::parse(text, "p.yaml", FilePath::new("")).map(|pipeline| pipeline.plan).map_err(|error| error.to_string())
}

pub(crate) fn plan(format: &str) -> Arc<Plan> {
    load(&PIPELINE.replace("format: json", &format!("format: {format}"))).unwrap()
}

fn decode(plan: &Arc<Plan>, payloads: &[Vec<u8>]) -> Decoded {
    let mut decoder = decoder(plan, 0, 0);
    decoder.learn(SchemaId::Number(1), Some(&[schema().to_string()].into()));
    for (offset, payload) in (0..).zip(payloads) {
        let payload = Some(payload.as_slice());
        decoder.push(&Record { offset, broker_time: 1, key: None, payload, headers: &[], topic: "p" });
    }
    decoder.finish()
}

fn decode_json(records: &[Value]) -> Decoded {
    let payloads: Vec<Vec<u8>> = records.iter().map(|record| record.to_string().into_bytes()).collect();
    decode(&plan("json"), &payloads)
}

/// The type of a record.
pub(crate) fn schema() -> Value {
    let fields = |name: &str, fields: &[(&str, Value)]| {
        let fields: Vec<_> = fields.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
        json!({ "type": "record", "name": name, "fields": fields })
    };
    let maybe = |kind: Value| json!(["null", kind]);
    let list = |items: Value| json!(["null", { "type": "array", "items": items }]);
    let call = fields("Call", &[("kind", maybe(json!("string"))), ("score", maybe(json!("double")))]);
    let name = fields("Name", &[("name", json!("string"))]);
    let parts =
        [("open", json!("boolean")), ("version", json!("string")), ("site", maybe(name)), ("calls", list(call))];
    let site = fields("Site", &parts);
    let body = fields("Body", &[("sites", list(site))]);
    let parts = [("id", "string"), ("at", "long"), ("op", "string"), ("status", "int")];
    let parts: Vec<_> = parts.iter().map(|(name, kind)| (*name, json!(kind))).chain([("body", body)]).collect();
    fields("Record", &parts)
}

pub(crate) fn record(sites: &Value) -> Value {
    json!({ "id": "r", "at": 5, "op": "c", "status": 200, "body": { "sites": sites } })
}

pub(crate) fn site(name: &str, calls: &Value) -> Value {
    json!({ "open": true, "version": "v1", "site": { "name": name }, "calls": calls })
}

pub(crate) fn call(score: f64) -> Value {
    json!({ "kind": "chat", "score": score })
}

fn refused(decoded: &Decoded) -> Vec<(i64, u32, Poison)> {
    decoded.rejects.iter().map(|reject| (reject.offset, reject.row, reject.reason)).collect()
}

#[test]
fn each_innermost_element_is_a_row_with_what_is_around_it() {
    let calls = json!([call(0.5), { "kind": "embed", "score": 7 }, call(0.25)]);
    let shut = json!({ "open": false, "calls": 7 });
    let sites = [site("a", &calls), shut, site("b", &json!([])), site("c", &json!([call(0.125)]))];
    let decoded = decode_json(&[record(&json!(sites))]);
    assert_eq!((refused(&decoded), decoded.passed_over), (vec![], 3), "one row, one site, one list without elements");
    let read = rows(&decoded.batch);
    let seen: Vec<_> = read.iter().map(|row| (row.segments[0].as_deref().unwrap(), row.numeric[0].unwrap())).collect();
    assert_eq!(seen, [("a", 0.5), ("a", 0.25), ("c", 0.125)]);
    let ids: Vec<_> = read.iter().map(|row| row.id.unwrap()).collect();
    assert_eq!(ids, [0, 2, 3].map(|row| row_id(stable_hash(b"r"), row)), "places among the rows of the record");
    assert!(read.iter().all(|row| (row.event_time, row.status, row.version.as_deref()) == (5, Some(200), Some("v1"))));
    assert!(decoded.batch.further.is_some(), "a record is one request");
    let own = load(&PIPELINE.replace("status: status", "status: 'body.sites[*].status'")).unwrap();
    assert!(decode(&own, &[]).batch.further.is_none(), "where a site says how it ended, a record is many");
}

#[test]
fn a_bad_element_is_one_reject_whatever_is_in_it() {
    let bad = json!({ "open": true, "version": "v1", "site": 7, "calls": [call(0.5), call(0.5)] });
    let nameless = json!({ "open": true, "site": { "name": "n" }, "calls": [call(0.5), call(0.75)] });
    let sites = json!([site("a", &json!([call(0.5), call(7.0)])), bad, nameless, site("b", &json!([call(0.25)])), 3]);
    let decoded = decode_json(&[record(&sites), record(&json!(null)), record(&json!([]))]);
    assert_eq!(decoded.batch.numeric[0].values(), &[0.5, 0.25]);
    let expected = vec![
        (0, 1, Poison::OutOfRange),
        (0, 2, Poison::WrongType),
        (0, 3, Poison::MissingField),
        (0, 4, Poison::MissingField),
        (0, 6, Poison::WrongType),
        (1, 0, Poison::MissingField),
    ];
    assert_eq!((refused(&decoded), decoded.passed_over), (expected, 1));
    let details: Vec<_> = decoded.rejects.iter().map(|reject| reject.detail.as_str()).collect();
    assert!(details[0].starts_with("$row.score"), "{details:?}");
    assert!(details[1].contains("expected an object"), "{details:?}");
    assert!(details[2].starts_with("body.sites[*].version"), "{details:?}");
    assert!(details[5].starts_with("body.sites: missing"), "{details:?}");
}

#[test]
fn what_cannot_be_meant_is_told() {
    for (from, to, why) in [
        ("$row.score", "'body.sites[*].calls[*].score'", "let it begin with body.sites[*] or $row"),
        ("'body.sites[*].version'", "'body.other[*].version'", "`body.other[*].version` is neither in a row of"),
        ("'body.sites[*].open'", "'sites[*].open'", "`sites[*].open` is neither in a row of"),
        ("    rows: body.sites[*].calls[*]\n", "", "is in a row, but a record is one row here"),
        ("body.sites[*].calls[*]", "$key[*].calls[*]", "is no list in the record"),
        ("body.sites[*].calls[*]", "body.sites[*]calls[*]", "is not a path"),
    ] {
        let error = load(&PIPELINE.replace(from, to)).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

fn calls() -> impl Strategy<Value = Value> {
    let call = (0..5_u8).prop_map(|what| match what {
        0 => json!({ "kind": "embed", "score": 7.0 }),
        1 => json!({ "kind": null, "score": 0.5 }),
        2 => json!({ "kind": "chat", "score": 7.0 }),
        3 => json!({ "kind": "chat", "score": null }),
        _ => json!({ "kind": "chat", "score": 0.25 }),
    });
    prop_oneof![1 => Just(Value::Null), 5 => proptest::collection::vec(call, 0..5).prop_map(Value::from)]
}

fn sites() -> impl Strategy<Value = Value> {
    let site =
        (any::<bool>(), any::<bool>(), any::<bool>(), calls()).prop_map(|(open, has_name, has_version, calls)| {
            let name = if has_name { json!({ "name": "a" }) } else { Value::Null };
            let version = if has_version { "v1" } else { "" };
            json!({ "open": open, "version": version, "site": name, "calls": calls })
        });
    prop_oneof![1 => Just(Value::Null), 9 => proptest::collection::vec(site, 0..5).prop_map(Value::from)]
}

/// The offset of a row, its score, and whether its site has a name.
type Good = (i64, Option<f64>, bool);

/// The rows that the specification of this module's pipeline gives, and how many are refused and passed over.
fn expected(records: &[Value]) -> (Vec<Good>, usize, u64) {
    let (mut good, mut refused, mut passed_over) = (Vec::new(), 0, 0);
    for (offset, record) in (0..).zip(records) {
        let Some(sites) = record["body"]["sites"].as_array() else {
            refused += 1;
            continue;
        };
        passed_over += u64::from(sites.is_empty());
        for site in sites {
            let calls = site["calls"].as_array().filter(|calls| !calls.is_empty() && site["open"] == true);
            passed_over += u64::from(calls.is_none());
            for call in calls.into_iter().flatten() {
                match (call["kind"] == "chat", site["version"] == "v1" && call["score"] != 7.0) {
                    (false, _) => passed_over += 1,
                    (true, true) => good.push((offset, call["score"].as_f64(), site["site"].is_object())),
                    (true, false) => refused += 1,
                }
            }
        }
    }
    (good, refused, passed_over)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// JSON and Avro give the same rows, and those that there are.
    #[test]
    fn every_format_gives_the_same_rows(lists in proptest::collection::vec(sites(), 1..6)) {
        let records: Vec<Value> = lists.iter().map(record).collect();
        let json = decode_json(&records);
        let (good, n_refused, passed_over) = expected(&records);
        let seen: Vec<_> = json.batch.offset.values().iter().zip(rows(&json.batch))
            .map(|(offset, row)| (*offset, row.numeric[0], row.segments[0].is_some())).collect();
        prop_assert_eq!((seen, json.rejects.len(), json.passed_over), (good, n_refused, passed_over));
        let payloads: Vec<Vec<u8>> = records.iter().map(|record| framed(1, &schema(), record)).collect();
        let avro = decode(&plan("avro"), &payloads);
        let all = |decoded: &Decoded| -> (Vec<Row>, _, u64) {
            (rows(&decoded.batch), refused(decoded), decoded.passed_over)
        };
        prop_assert_eq!(all(&avro), all(&json));
    }
}
