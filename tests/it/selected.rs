//! Which records a source takes, and values of the record beside its payload.
#![expect(clippy::similar_names, reason = "a decoder and what it decoded")]

use std::fs;
use std::path::Path as FilePath;
use std::sync::Arc;

use arrow::array::*;
use haldane::config;
use haldane::decode::{Decoded, Record, decoder};
use haldane::event::{Poison, stable_hash};
use haldane::plan::*;
use haldane::replay::{self, ReplayOptions};
use proptest::prelude::*;
use serde_json::json;

use crate::decode_columnar::ipc;
use crate::flights::{Row, rows};

const BROKER_TIME: i64 = 1_800_000_000_000_000;

fn load(text: &str) -> Result<Arc<Plan>, String> {
    config::parse(text, "p.yaml", FilePath::new("")).map(|pipeline| pipeline.plan).map_err(|error| error.to_string())
}

/// A pipeline whose predictions have these lines, too.
fn pipeline(more: &str) -> String {
    format!("sources:\n  predictions:\n    topic: p\n    score: score\n{more}")
}

fn plan(more: &str) -> Arc<Plan> {
    load(&pipeline(more)).unwrap()
}

/// One record: key, headers and payload.
type Sent<'a> = (Option<&'a str>, &'a [(&'a str, &'a str)], Option<&'a str>);

fn decode(plan: &Arc<Plan>, sent: &[Sent<'_>]) -> Decoded {
    let mut decoder = decoder(plan, 0, 3);
    for (offset, (key, headers, payload)) in (0..).zip(sent) {
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        decoder.push(&Record {
            offset,
            broker_time: BROKER_TIME,
            key: key.map(str::as_bytes),
            payload: payload.map(str::as_bytes),
            headers: &headers,
            topic: "seldon.ml.model.fraud-v2.outputs",
        });
    }
    assert_eq!(decoder.n_pending(), sent.len());
    decoder.finish()
}

/// What became of records: offsets of rows, offsets of refused ones, and how many were passed over.
fn fates(plan: &Arc<Plan>, sent: &[Sent<'_>]) -> (Vec<i64>, Vec<(i64, Poison)>, u64) {
    let decoded = decode(plan, sent);
    let refused = decoded.rejects.iter().map(|reject| (reject.offset, reject.reason)).collect();
    (decoded.batch.offset.values().to_vec(), refused, decoded.passed_over)
}

fn only(plan: &Arc<Plan>, sent: Sent<'_>) -> Row {
    let decoded = decode(plan, &[sent]);
    assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
    rows(&decoded.batch).pop().unwrap()
}

#[test]
fn what_meets_no_condition_is_passed_over_whatever_else_is_in_it() {
    let plan = plan("    id: id\n    version: v\n    where: { op: [c, 1], $ce.type: a.b }\n");
    let (mine, other) =
        ([("ce_type", "a.b"), ("ce_specversion", "1.0")], [("ce_type", "x"), ("ce_specversion", "1.0")]);
    let good = r#"{"id": 1, "v": "v", "op": "c", "score": 0.5}"#;
    let sent: Vec<Sent<'_>> = vec![
        (None, &mine, Some(good)),
        (None, &other, Some(good)),
        (None, &[], Some(good)),
        (None, &mine, Some(r#"{"id": 1, "v": "v", "op": 1.0, "score": 0.5}"#)),
        (None, &mine, Some(r#"{"id": 1, "v": "v", "op": "d", "score": 0.5}"#)),
        (None, &mine, Some(r#"{"id": [], "score": "wrong", "op": "d"}"#)),
        (None, &mine, Some(r#"{"id": 1, "op": {"c": 1}}"#)),
        (None, &mine, Some(r#"{"id": 1, "v": "v"}"#)),
        (None, &mine, None),
        (None, &mine, Some("")),
        (None, &mine, Some(r#"{"op": "d""#)),
        (None, &mine, Some(r#"{"id": [], "op": "c"}"#)),
    ];
    let refused = vec![(9, Poison::Empty), (10, Poison::Malformed), (11, Poison::WrongType)];
    assert_eq!(fates(&plan, &sent), (vec![0, 3], refused, 7));
}

#[test]
fn tombstones_are_passed_over_where_that_is_said() {
    let sent: [Sent<'_>; 1] = [(Some("k"), &[], None)];
    let fate = |more: &str| fates(&plan(&format!("    id: id\n    version: v\n{more}")), &sent);
    assert_eq!(fate(""), (vec![], vec![(0, Poison::Empty)], 0));
    assert_eq!(fate("    tombstones: pass\n"), (vec![], vec![], 1));
    assert_eq!(fate("    where: { op: c }\n"), (vec![], vec![], 1));
    assert_eq!(fate("    where: { op: c }\n    tombstones: refuse\n"), (vec![], vec![(0, Poison::Empty)], 0));
}

#[test]
fn conditions_hold_for_rows_of_arrow_tables() {
    let text = |texts: [&str; 4]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let table = RecordBatch::try_from_iter([
        ("id", text(["a", "b", "c", ""])),
        ("v", text(["v1"; 4])),
        ("op", text(["c", "d", "u", "c"])),
        ("score", Arc::new(Float64Array::from(vec![0.5, 7.0, 0.25, 0.5])) as ArrayRef),
    ])
    .unwrap();
    let plan = plan("    format: arrow_ipc\n    id: id\n    version: v\n    where: { op: [c, u], $topic: t }\n");
    let decode = |topic: &str| {
        let mut decoder = decoder(&plan, 0, 0);
        let payload = ipc(std::slice::from_ref(&table));
        let payload = Some(payload.as_slice());
        decoder.push(&Record { offset: 5, broker_time: BROKER_TIME, key: None, payload, headers: &[], topic });
        decoder.finish()
    };
    let decoded = decode("t");
    assert_eq!(decoded.batch.numeric[0].values(), &[0.5, 0.25]);
    let refused: Vec<_> = decoded.rejects.iter().map(|reject| (reject.row, reject.reason)).collect();
    assert_eq!((refused, decoded.passed_over), (vec![(3, Poison::MissingField)], 1));
    let decoded = decode("other");
    assert_eq!((decoded.batch.len(), decoded.rejects.len(), decoded.passed_over), (0, 0, 4));
}

#[test]
fn values_beside_the_payload_are_read() {
    let plan = plan(
        r"    id: $header.x-request-id
    version: { path: $topic, match: '\.model\.([^.]+)\.' }
    entity: $key
    segments:
      partition: $partition
      at: $time
      dotted: $header.'a.b'
      revision: { path: $ce.source, match: '-predictor-(\d{5})-' }
"
        .replace("'a.b'", r#""a.b""#)
        .as_str(),
    );
    let headers = [
        ("x-request-id", "old"),
        ("x-request-id", "r-1"),
        ("a.b", "dot"),
        ("ce_source", "fraud-predictor-00002-deployment-7d9"),
        ("ce_specversion", "1.0"),
    ];
    let row = only(&plan, (Some("u-17"), &headers, Some(r#"{"score": 0.5, "$key": "not this"}"#)));
    assert_eq!((row.id, row.version.as_deref()), (Some(stable_hash(b"r-1")), Some("fraud-v2")));
    let segments: Vec<_> = row.segments.iter().map(Option::as_deref).collect();
    assert_eq!(segments, [Some("3"), Some("1800000000000"), Some("dot"), Some("00002")]);
    let decoded = decode(&plan, &[(Some("u-17"), &headers, Some("{}"))]);
    assert_eq!(decoded.batch.entity.value(0), stable_hash(b"u-17"));
    assert_eq!(fates(&plan, &[(None, &[], Some(r#"{"score": 0.5}"#))]).1, [(0, Poison::MissingField)]);
    let headers = [("x-request-id", "r"), ("a.b", "x"), ("ce_source", "else"), ("ce_specversion", "1.0")];
    assert_eq!(only(&plan, (None, &headers, Some("{}"))).segments[3], None, "a text without the part");
}

#[test]
fn values_beside_a_table_are_those_of_all_its_rows() {
    let text = |texts: [&str; 2]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let table = RecordBatch::try_from_iter([("id", text(["a", "b"])), ("score", text(["0.5", "0.25"]))]).unwrap();
    let plan =
        plan("    format: arrow_ipc\n    id: id\n    version: { path: $topic, match: '-(.*)$' }\n    entity: $key\n");
    let mut decoder = decoder(&plan, 0, 0);
    let payload = ipc(&[table]);
    let payload = Some(payload.as_slice());
    decoder.push(&Record {
        offset: 0,
        broker_time: BROKER_TIME,
        key: Some(b"k"),
        payload,
        headers: &[],
        topic: "m-v3",
    });
    let decoded = decoder.finish();
    let versions: Vec<_> = rows(&decoded.batch).into_iter().map(|row| row.version).collect();
    assert_eq!(versions, [Some("v3".to_owned()), Some("v3".to_owned())]);
    assert_eq!(decoded.batch.entity.values(), &[stable_hash(b"k"); 2]);
}

#[test]
fn json_in_texts_is_looked_into_where_that_is_said() {
    let plan = plan(
        "    id: id
    version: { path: 'meta.model[0].v', parse: json }
    entity: { path: '$ce.metadata.x-user[0]', parse: json, match: '^u-(.*)$' }
    segments: { plain: { path: body.kind, parse: json } }
",
    );
    let headers = [("ce_metadata", r#"{"x-user": ["u-17"]}"#), ("ce_specversion", "1.0")];
    let body = |meta: &str, kind: &str| json!({ "id": 1, "score": 0.5, "meta": meta, "body": kind }).to_string();
    let good = body(r#" {"model": [{"v": "v7"}]} "#, r#"{"kind": "a"}"#);
    let decoded = decode(&plan, &[(None, &headers, Some(&good))]);
    let row = rows(&decoded.batch).pop().unwrap();
    assert_eq!((row.version.as_deref(), row.segments[0].as_deref()), (Some("v7"), Some("a")));
    assert_eq!(decoded.batch.entity.value(0), stable_hash(b"17"));
    let nested = json!({ "id": 1, "score": 0.5, "meta": { "model": r#"[{"v": "v8"}]"# }, "body": "" }).to_string();
    assert_eq!(only(&plan, (None, &[], Some(&nested))).version.as_deref(), Some("v8"), "at any depth");
    for (bad, reason) in [
        (body("{", "{}"), Poison::WrongType),
        (body("{} {}", "{}"), Poison::WrongType),
        (body("7", "{}"), Poison::WrongType),
        (body(r#"{"model": [{"v": 1, "v": 2}]}"#, "{}"), Poison::DuplicateKey),
        (body("", "{}"), Poison::MissingField),
    ] {
        assert_eq!(fates(&plan, &[(None, &[], Some(&bad))]).1, [(0, reason)], "{bad}");
    }
    let deep =
        (0..80).fold("1".to_owned(), |inner, _| serde_json::to_string(&inner).unwrap().chars().take(60).collect());
    assert_eq!(fates(&plan, &[(None, &[], Some(&body(&deep, "{}")))]).0, [0_i64; 0]);
}

#[test]
fn what_cannot_be_meant_is_told_with_its_place() {
    for (more, why) in [
        ("    id: id\n    version: v\n    where: { op: [] }\n", "`op` may have no value at all"),
        ("    id: id\n    version: v\n    where: { $row.x: 1 }\n", "is in a row, but a record is one row here"),
        ("    id: id\n    version: { path: v, match: '(a)(b)' }\n", "has 2 groups"),
        ("    id: id\n    version: { path: v, match: '(' }\n", "is not a regular expression: unclosed group"),
        ("    id: id\n    version: { path: v, constant: v }\n", "`version` is neither one constant nor one path"),
        ("    id: id\n    version: {}\n", "`version` is neither one constant nor one path"),
        ("    id: id\n    version: v\n    tombstones: keep\n", "unknown value `keep`"),
    ] {
        let error = load(&pipeline(more)).unwrap_err();
        assert!(error.contains(why) && error.contains("p.yaml:"), "{error}");
    }
}

#[test]
fn what_decides_which_records_are_taken_is_in_the_digest() {
    let digest = |more: &str| plan(&format!("    id: id\n    version: v\n{more}")).digest.clone();
    let all = digest("");
    assert_eq!(digest("    where: {}\n"), all);
    assert_eq!(digest("    tombstones: refuse\n"), all);
    assert_ne!(digest("    tombstones: pass\n"), all);
    assert_ne!(digest("    where: { op: c }\n"), digest("    where: { op: d }\n"));
    assert_eq!(digest("    where: { op: c }\n"), digest("    where: { op: [c] }\n    tombstones: pass\n"));
}

#[test]
fn files_say_what_they_do_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, csv) = (folder.path().join("a.jsonl"), folder.path().join("a.csv"));
    fs::write(&lines, "{\"id\": 1, \"v\": \"v\", \"at\": 1, \"op\": \"c\", \"score\": 0.5}\n").unwrap();
    fs::write(&csv, "id,v,at,op,score\n1,v,1,c,0.5\n").unwrap();
    let error = |more: &str, file: &FilePath| {
        let plan = plan(&format!("    event_time: {{ path: at, unit: s }}\n{more}"));
        replay::open(&plan, &[file.to_owned()], &ReplayOptions::default()).map(|_| ()).unwrap_err().to_string()
    };
    for file in [&lines, &csv] {
        let why = "is a value of records on Kafka, which files do not have";
        let key = error("    id: $key\n    version: v\n", file);
        assert!(key.contains(&format!("`$key` {why}")) && key.contains(&*file.to_string_lossy()), "{key}");
        let topic = error("    id: id\n    version: v\n    where: { $topic: t }\n", file);
        assert!(topic.contains(&format!("`$topic` {why}")), "{topic}");
    }
    let missing = error("    id: id\n    version: v\n    where: { kind: t }\n", &csv);
    assert!(missing.contains("no column `kind`"), "{missing}");
}

/// The rows that a replay of a file of 30 records takes; it refuses none.
pub(crate) fn rows_taken(replay: &mut replay::Replay) -> usize {
    let mut n = 0;
    for step in replay {
        match step.unwrap() {
            replay::ReplayStep::Batch(batch) => n += batch.len(),
            replay::ReplayStep::Refused(refused) => panic!("{refused:?}"),
            replay::ReplayStep::End { next_offset, .. } => assert!([0, 30].contains(&next_offset)),
        }
    }
    n
}

#[test]
fn files_count_what_they_pass_over() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, csv) = (folder.path().join("a.jsonl"), folder.path().join("a.csv"));
    let op = |row: usize| ["c", "d", "c"][row % 3];
    let json = (0..30).map(|row| json!({ "id": row, "v": "v", "at": row, "op": op(row), "score": 0.5 }).to_string());
    fs::write(&lines, json.collect::<Vec<_>>().join("\n")).unwrap();
    let cells = (0..30).map(|row| format!("{row},v,{row},{},0.5\n", op(row)));
    fs::write(&csv, format!("id,v,at,op,score\n{}", cells.collect::<String>())).unwrap();
    let plan = plan("    event_time: { path: at, unit: s }\n    id: id\n    version: v\n    where: { op: c }\n");
    for file in [lines, csv] {
        let mut replay = replay::open(&plan, &[file], &ReplayOptions::default()).unwrap();
        let n = rows_taken(&mut replay);
        assert_eq!((n, replay.passed_over()), (20, 10));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Every record is a row, refused, or passed over; and the rows are those of a source that gets no others.
    #[test]
    fn a_source_that_takes_some_reads_them_as_if_there_were_no_others(
        records in proptest::collection::vec((any::<bool>(), 0..6_u8), 1..30)
    ) {
        let payloads: Vec<(bool, String)> = records.iter().map(|(is_mine, what)| {
            let id = if *what == 0 { json!([]) } else { json!(what) };
            let event = json!({ "id": id, "v": "v", "score": 0.1, "kind": if *is_mine { "mine" } else { "other" } });
            (*is_mine, event.to_string())
        }).collect();
        let sent = |all: bool| -> Vec<Sent<'_>> {
            let some = payloads.iter().filter(|(is_mine, _)| all || *is_mine);
            some.map(|(_, payload)| (None, &[][..], Some(payload.as_str()))).collect()
        };
        let (all, mine) = (sent(true), sent(false));
        let with = decode(&plan("    id: id\n    version: v\n    where: { kind: mine }\n"), &all);
        let without = decode(&plan("    id: id\n    version: v\n"), &mine);
        prop_assert_eq!(with.batch.len() + with.rejects.len() + with.passed_over as usize, all.len());
        prop_assert_eq!(rows(&with.batch), rows(&without.batch));
        prop_assert_eq!(with.rejects.len(), without.rejects.len());
        prop_assert_eq!(with.passed_over as usize, all.len() - mine.len());
    }
}
