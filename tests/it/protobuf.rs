//! Records of Protobuf: golden bytes, records of Google's own writer, what the wire allows, and bytes that are damaged
//! or lie.
#![expect(clippy::similar_names, reason = "a decoder and what it decoded")]

use std::path::Path;
use std::sync::Arc;

use haldane::config;
use haldane::decode::schema::SchemaId;
use haldane::decode::{Decoded, Record, decoder};
use haldane::event::{Poison, stable_hash};
use haldane::kafka::ports::{SchemaLookup, Schemas as _};
use haldane::plan::Plan;
use haldane::registry::Registry;
use serde_json::Value;

use crate::avro::{BROKER_TIME, decode, push, refused, texts};
use crate::flights::{Row, rows};
use crate::fuzz::{below, damage, each_seed};

pub(crate) const SCORED: &str =
    "syntax = \"proto3\"; message Scored { string id = 1; string version = 2; double score = 3; }";
pub(crate) const NESTED: &str = "syntax = \"proto3\"; message First {} message Outer { message Scored { string id = 1; string version = 2; double score = 3; } }";

/// `t-1, v2, 0.25` in both.
pub(crate) const BODY: [u8; 18] = [10, 3, b't', b'-', b'1', 18, 2, b'v', b'2', 25, 0, 0, 0, 0, 0, 0, 0xd0, 0x3f];
const UUID: [u8; 16] = [0x7b, 0x5f, 0x0c, 0x1e, 0x2a, 0x34, 0x4d, 0x8a, 0x9f, 0x10, 1, 0x23, 0x45, 0x67, 0x89, 0xab];
pub(crate) const SIMPLE: &str = "    id: id\n    version: version\n    score: score\n";

pub(crate) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field with a whole number.
pub(crate) fn whole(number: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(number << 3, &mut out);
    varint(value, &mut out);
    out
}

/// A field with a text, a message, or packed numbers.
pub(crate) fn bytes(number: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(number << 3 | 2, &mut out);
    varint(value.len() as u64, &mut out);
    out.extend(value);
    out
}

/// A field with a double.
pub(crate) fn double(number: u64, value: f64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(number << 3 | 1, &mut out);
    out.extend(value.to_le_bytes());
    out
}

/// The first message of schema `id`, in Confluent's frame.
pub(crate) fn framed(id: u32, fields: &[Vec<u8>]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), &[0], &fields.concat()].concat()
}

fn load(text: &str) -> Result<Arc<Plan>, String> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/protobuf");
    config::parse(text, "p.yaml", &base).map(|pipeline| pipeline.plan).map_err(|error| error.to_string())
}

pub(crate) fn plan(frame: &str, source: &str) -> Arc<Plan> {
    let head = "sources:\n  predictions:\n    topic: p\n    format: protobuf\n";
    load(&format!("{head}{source}registry: {{ url: 'http://host', frame: {frame} }}\n"))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn scored(row: &Row) -> (Option<u64>, Option<&str>, Option<f64>) {
    (row.id, row.version.as_deref(), row.numeric[0])
}

fn number(plan: &Plan, row: &Row, name: &str) -> Option<f64> {
    row.numeric[plan.columns.numeric.iter().position(|column| column.name == name).expect("a column")]
}

/// A frame, headers, what stands before the body, the schema that is named, and its text.
type Case<'a> = (&'a str, &'a [(&'a str, &'a [u8])], &'a [u8], SchemaId, &'a str);

#[test]
fn golden_bytes_are_read_in_every_frame_and_whatever_message_they_are() {
    let nine = SchemaId::Number(9);
    let uuid = SchemaId::Uuid(u128::from_be_bytes(UUID));
    let in_header = [&[0, 0, 0, 0, 9][..], &[4, 2, 0]].concat();
    let guid = [&[1][..], &UUID, &[0]].concat();
    let global = 9_i64.to_be_bytes();
    let cases: [Case<'_>; 12] = [
        ("auto", &[], &[0, 0, 0, 0, 9, 0], nine, SCORED),
        ("confluent", &[], &[0, 0, 0, 0, 9, 2, 0], nine, SCORED),
        ("confluent", &[], &[0, 0, 0, 0, 9, 4, 2, 0], nine, NESTED),
        // Without the sign, as clients of old wrote indexes.
        ("auto", &[], &[0, 0, 0, 0, 9, 1, 0], nine, SCORED),
        ("auto", &[], &[0, 0, 0, 0, 9, 2, 1, 0], nine, NESTED),
        ("auto", &[("__value_schema_id", &in_header)], &[], nine, NESTED),
        ("header", &[("__value_schema_id", &guid)], &[], uuid, SCORED),
        ("header", &[("__value_schema_id", &guid[..17])], &[], uuid, SCORED),
        ("header", &[("apicurio.value.globalId", &global)], &[], SchemaId::Global(9), SCORED),
        (
            "apicurio8",
            &[],
            &[0, 0, 0, 0, 0, 0, 0, 0, 9, 8, 10, 6, b'S', b'c', b'o', b'r', b'e', b'd'],
            SchemaId::Global(9),
            SCORED,
        ),
        ("auto", &[], &[0, 0, 0, 0, 9, 8, 10, 6, b'S', b'c', b'o', b'r', b'e', b'd'], nine, SCORED),
        ("apicurio8", &[], &[0, 0, 0, 0, 0, 0, 0, 0, 9, 0], SchemaId::Global(9), SCORED),
    ];
    for (frame, headers, head, id, schema) in cases {
        let plan = plan(frame, SIMPLE);
        let mut decoder = decoder(&plan, 0, 0);
        let payload = [head, &BODY].concat();
        let record =
            Record { offset: 7, broker_time: BROKER_TIME, key: None, payload: Some(&payload), headers, topic: "p" };
        assert_eq!(decoder.needs(&record), Some(id), "{frame} {head:?}");
        decoder.learn(id, Some(&texts(&[schema])));
        assert_eq!(decoder.needs(&record), None);
        decoder.push(&record);
        let decoded = decoder.finish();
        assert_eq!(refused(&decoded), [], "{frame} {head:?}");
        let rows = rows(&decoded.batch);
        let wanted = (Some(stable_hash(b"t-1")), Some("v2"), Some(0.25));
        assert_eq!((scored(&rows[0]), decoded.batch.offset.value(0)), (wanted, 7), "{frame} {head:?}");
    }
}

/// A pipeline over `every.proto`.
pub(crate) fn every(schema: &str) -> Arc<Plan> {
    let numeric = "amount: inner.score, second: 'list[1]', loose: 'loose[1]', pair: 'pairs[key=b].value', \
                   numbered: 'numbered[key=-3].value.score', may: may, wrapped: wrapped, signed: signed, four: four, \
                   eight: eight, minus_four: minus_four, minus_eight: minus_eight, large: large, negative: negative, \
                   third: 'inners[2].score'";
    let numeric: Vec<String> = numeric
        .split(", ")
        .map(|pair| {
            let (name, path) = pair.split_once(": ").expect("a pair");
            format!("{name}: {{ path: {path}, range: [0, 1] }}")
        })
        .collect();
    load(&format!(
        "sources:\n  predictions:\n    topic: p\n    format: protobuf\n    schema: {schema}\n    id: id\n    event_time: at\n    version: version\n    score: probability\n    latency: {{ path: took, unit: s }}\n    error: refusal\n    features:\n      numeric:\n        {}\n        deep: {{ path: 'extra.depth.x[1]', parse: json, range: [0, 1] }}\n      categorical: {{ ok: ok, name: 'names[0]', none: 'names[1]' }}\n",
        numeric.join("\n        ")
    ))
    .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn records_of_googles_writer_are_read_as_what_they_mean() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/protobuf");
    let payloads =
        ["whole", "least"].map(|name| std::fs::read(folder.join(name).with_extension("pb")).expect("a file"));
    for schema in ["{ file: every.desc, message: haldane.test.Every }", "{ file: every.proto }"] {
        let plan = every(schema);
        let decoded = decode(&plan, &[], &payloads);
        assert_eq!(refused(&decoded), [], "{schema}");
        let rows = rows(&decoded.batch);
        assert!(rows.iter().all(|row| row.event_time == 1_700_000_000_123_000), "{rows:?}");
        let versions: Vec<_> = rows.iter().map(|row| row.version.as_deref()).collect();
        assert_eq!(versions, [Some("V2"), Some("V1")]);
        for (name, wanted) in [
            ("score", [Some(0.75), None]),
            ("latency", [Some(1_500.0), None]),
            ("amount", [Some(0.5), None]),
            ("second", [Some(2.5), None]),
            ("loose", [Some(300.0), None]),
            ("pair", [Some(7.0), None]),
            ("numbered", [Some(0.25), None]),
            // A zero that was written, and one that was not.
            ("may", [Some(0.0), None]),
            ("signed", [Some(-1_099_511_627_776.0), Some(0.0)]),
            ("wrapped", [Some(6.5), Some(0.0)]),
            ("four", [Some(4_294_967_295.0), Some(0.0)]),
            ("eight", [Some(1_099_511_627_776.0), Some(0.0)]),
            ("minus_four", [Some(-4.0), Some(0.0)]),
            ("minus_eight", [Some(-8.0), Some(0.0)]),
            ("large", [Some(18_446_744_073_709_551_615.0), Some(0.0)]),
            ("negative", [Some(-5.0), Some(0.0)]),
            ("third", [Some(3.0), None]),
            ("deep", [Some(3.0), None]),
        ] {
            let seen: Vec<_> = rows.iter().map(|row| number(&plan, row, name)).collect();
            assert_eq!(seen, wanted, "{name}");
        }
        let texts = |row: &Row| row.categorical.iter().map(|text| text.clone().unwrap_or_default()).collect::<Vec<_>>();
        assert_eq!(texts(&rows[0]), ["true", "first", ""]);
        assert_eq!(texts(&rows[1]), ["false", "", ""]);
        assert_eq!(rows.iter().map(|row| row.failed).collect::<Vec<_>>(), [None, Some(true)], "{rows:?}");
    }
}

#[test]
fn fields_may_come_in_any_order_again_in_parts_and_unknown() {
    let schema = "syntax = \"proto2\"; enum Kind { A = 1; B = 2; }
        message R { required string id = 1; optional string version = 2 [default = \"v0\"]; optional double score = 3;
            message In { optional double x = 1 [default = 7]; optional sint32 y = 2; repeated float list = 3; }
            optional In inner = 4; oneof one { double a = 5; In b = 6; double c = 9; } optional Kind kind = 7 [default = B];
            repeated int32 packed = 8 [packed = true]; optional group Old = 10 { optional int32 n = 1; } }";
    let numeric = ["x", "y", "last"].map(|name| {
        let path = if name == "last" { "inner.list[2]".to_owned() } else { format!("inner.{name}") };
        format!("{name}: {{ path: '{path}', range: [0, 1] }}")
    });
    let plan = plan(
        "auto",
        &format!(
            "{SIMPLE}    features:\n      numeric: {{ {}, a: {{ path: a, range: [0, 1] }}, b: {{ path: b.y, range: [0, 1] }}, p: {{ path: 'packed[2]', range: [0, 1] }} }}\n      categorical: [kind]\n",
            numeric.join(", ")
        ),
    );
    let id = || bytes(1, b"t-1");
    let float = |value: f32| [&[29][..], &value.to_le_bytes()].concat();
    let read = |fields: &[Vec<u8>]| {
        let decoded = decode(&plan, &[schema], &[framed(1, fields)]);
        assert_eq!(refused(&decoded), []);
        rows(&decoded.batch).remove(0)
    };
    let of = |row: &Row, names: &[&str]| names.iter().map(|name| number(&plan, row, name)).collect::<Vec<_>>();
    // Only what must be there.
    let least = read(&[id(), double(3, 0.5)]);
    assert_eq!((least.version.as_deref(), least.categorical[0].as_deref()), (Some("v0"), Some("B")));
    assert_eq!(of(&least, &["x", "y", "last", "a", "b", "p"]), [None; 6]);
    // Backwards, with fields and a group that nobody knows or reads.
    let unknown =
        [whole(99, 1), bytes(98, b"abc"), vec![83, 8, 1, 84], [&[0xeb, 6][..], &whole(1, 2), &[0xec, 6]].concat()];
    let back = [&unknown[..], &[double(3, 0.5), bytes(2, b"v1"), bytes(2, b"v2"), bytes(1, b"no"), id()]].concat();
    let back = read(&back);
    assert_eq!((back.id, back.version.as_deref()), (Some(stable_hash(b"t-1")), Some("v2")));
    assert_eq!(of(&back, &["score", "x", "a", "p"]), [Some(0.5), None, None, None]);
    // A message in parts: its scalars are replaced, its lists go on.
    let parts = [
        bytes(4, &[double(1, 1.0), float(1.0)].concat()),
        bytes(4, &whole(2, 5)),
        bytes(4, &[double(1, 2.0), float(2.0), float(3.0)].concat()),
    ];
    let parts = read(&[&[id(), double(3, 0.5)], &parts[..]].concat());
    assert_eq!(of(&parts, &["x", "y", "last"]), [Some(2.0), Some(-3.0), Some(3.0)]);
    assert_eq!(of(&read(&[id(), bytes(4, &[])]), &["x", "y"]), [Some(7.0), None]);
    // Of a oneof the last one counts, also one that nobody reads.
    let one = |fields: &[Vec<u8>]| of(&read(&[&[id(), double(3, 0.5)], fields].concat()), &["a", "b"]);
    assert_eq!(one(&[double(5, 1.0), bytes(6, &whole(2, 2))]), [None, Some(1.0)]);
    assert_eq!(one(&[bytes(6, &whole(2, 2)), double(5, 1.0)]), [Some(1.0), None]);
    assert_eq!(one(&[double(5, 1.0), double(9, 1.0)]), [None, None]);
    // Packed, in two pieces and alone.
    let packed = read(&[id(), double(3, 0.5), bytes(8, &[1]), whole(8, 2), bytes(8, &[3, 4])]);
    assert_eq!(of(&packed, &["p"]), [Some(3.0)]);
    assert_eq!(
        read(&[id(), double(3, 0.5), whole(7, 9)]).categorical[0].as_deref(),
        Some("9"),
        "a symbol of the future"
    );
    let decoded = decode(&plan, &[schema], &[framed(1, &[double(3, 0.5)])]);
    assert_eq!(refused(&decoded)[0].2, "schema 1: no R: a required field is not there (byte 9)");
}

#[test]
fn conditions_rows_and_values_beside_the_payload_work_as_in_other_formats() {
    let schema = "syntax = \"proto3\"; message Envelope { string op = 1; message Row { repeated Item items = 1; }
        message Item { optional double score = 1; } Row after = 2; }";
    let plan = plan(
        "auto",
        "    where: { op: [c, u], $topic: p }\n    rows: after.items[*]\n    id: $header.request\n    version: { path: $header.model, match: '-(v[0-9])$' }\n    score: $row.score\n    latency: $row.score\n",
    );
    let mut decoder = decoder(&plan, 0, 0);
    decoder.learn(SchemaId::Number(1), Some(&texts(&[schema])));
    let items =
        |scores: &[f64]| Some(scores.iter().flat_map(|score| bytes(1, &double(1, *score))).collect::<Vec<u8>>());
    let cases = [
        ("c", items(&[0.1, 0.2]), "fraud-v1"),
        ("d", None, "fraud-v1"),
        ("u", items(&[0.3, -7.0]), "fraud-v2"),
        ("c", items(&[]), "fraud-v2"),
        ("c", None, "fraud-v2"),
    ];
    for (offset, (op, after, model)) in (0..).zip(&cases) {
        let mut fields = vec![bytes(1, op.as_bytes())];
        fields.extend(after.iter().map(|after| bytes(2, after)));
        let request = format!("r-{offset}");
        let headers: [(&str, &[u8]); 2] = [("request", request.as_bytes()), ("model", model.as_bytes())];
        push(decoder.as_mut(), offset, &headers, &framed(1, &fields));
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
    let fields: Vec<String> = (1..=64).map(|n| format!("double f{n} = {n};")).collect();
    let schema = format!(
        "syntax = \"proto3\"; message R {{ string id = 1; string version = 2; double score = 3; repeated W wide = 4;
         repeated bool bits = 5; message W {{ {} }} R again = 6; google.protobuf.ListValue json = 7; int32 n = 8; }}",
        fields.concat()
    );
    let plan = plan(
        "auto",
        &format!(
            "{SIMPLE}    features: {{ numeric: {{ a: {{ path: 'wide[0].f1', range: [0, 1] }}, b: {{ path: 'bits[0]', range: [0, 1] }}, n: {{ path: n, range: [0, 1] }} }}, categorical: {{ again: again.id, json: json }} }}\n"
        ),
    );
    let good = framed(1, &[bytes(1, b"a"), bytes(2, b"v"), double(3, 0.5)]);
    let with = |bad: &[u8]| [&good[..], bad].concat();
    let mut deep = Vec::new();
    for _ in 0..500 {
        // A list in a value in a list.
        deep = bytes(1, &bytes(6, &deep));
    }
    let payloads = [
        good.clone(),
        with(&[10, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        with(&[10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        with(&[34, 0xff, 0xff, 0x7f]),
        with(&[34, 0].repeat(1 << 20)),
        with(&[25, 0, 0]),
        with(&[24, 1]),
        with(&[0x2a, 2, 0xff, 0xff]),
        with(&[0xa3, 0x06]),
        with(&[0x0c]),
        with(&bytes(1, &[0xff])),
        with(&bytes(7, &deep)),
        with(&[64, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        good.clone(),
        good[..good.len() - 1].to_vec(),
        good,
    ];
    let decoded = decode(&plan, &[&schema], &payloads);
    assert_eq!(decoded.batch.offset.values(), &[0, 13, 15][..]);
    let why: Vec<&str> = refused(&decoded).iter().map(|reject| reject.2).collect();
    for (why, part) in why.iter().zip([
        "it ends too early",
        "it ends too early",
        "it ends too early",
        "more values than its length allows",
        "it ends too early",
        "a field is of another type than its schema says",
        "it ends too early",
        "it ends too early",
        "the end of a group that did not begin",
        "a text that is not UTF-8",
        "values too deep in each other",
        "a number of more than 64 bits",
        "it ends too early",
    ]) {
        assert!(why.starts_with(&format!("schema 1: no R: {part} (byte ")), "{why}: {part}");
    }
    assert_eq!(why.len(), 13);
}

#[test]
fn schemas_that_are_not_there_or_make_no_sense_are_told_by_their_id() {
    let plan = plan("auto", SIMPLE);
    let mut decoder = decoder(&plan, 0, 0);
    let two = "message A {} message B {}";
    for (id, schema) in [(1, None), (2, Some("{\"type\": \"int\"}")), (3, Some(two)), (4, Some("enum E { A = 0; }"))] {
        decoder.learn(SchemaId::Number(id), schema.map(|text| texts(&[text])).as_ref());
    }
    let payload = |id: u8, index: u8| [&[0, 0, 0, 0, id, index][..], &BODY].concat();
    (0..5).for_each(|id| push(decoder.as_mut(), id.into(), &[], &payload(id, 0)));
    push(decoder.as_mut(), 5, &[], &payload(3, 1));
    push(decoder.as_mut(), 6, &[("__value_schema_id", &[0, 0, 0, 0, 3])], &BODY);
    push(decoder.as_mut(), 7, &[], b"{}");
    let decoded = decoder.finish();
    let refused = refused(&decoded);
    assert_eq!(refused.len(), 8, "{refused:?}");
    for (reject, part) in refused.iter().zip([
        "schema 0 is not known here",
        "there is no schema 1",
        "schema 2 cannot be used: no .proto: ",
        "no column `id`",
        "schema 4: no message has the indexes",
        "schema 3: no message has the indexes",
        "schema 3: nothing says which of several messages a record is",
        "nothing names its schema: it begins with 7b 7d",
    ]) {
        assert!(reject.2.starts_with(part), "{reject:?}: {part}");
    }
}

#[test]
fn types_of_other_schemas_are_read_by_reference() {
    let amount = "syntax = \"proto3\"; package shop; message Amount { double value = 1; }";
    let order = "syntax = \"proto3\"; package shop; import \"any/name.proto\";
        message Order { string id = 1; string version = 2; Amount score = 3; elsewhere.Unknown unread = 4; }";
    let plan = plan("auto", "    id: id\n    version: version\n    score: score.value\n");
    let mut decoder = decoder(&plan, 0, 0);
    decoder.learn(SchemaId::Number(42), Some(&texts(&[amount, order])));
    let fields = [bytes(1, b"t-1"), bytes(2, b"v2"), bytes(3, &double(1, 0.25)), bytes(4, b"any")];
    push(decoder.as_mut(), 0, &[], &framed(42, &fields));
    assert_eq!(rows(&decoder.finish().batch)[0].numeric[0], Some(0.25));
}

#[test]
fn records_of_several_schemas_and_messages_stand_in_the_order_of_the_log() {
    let newer = "syntax = \"proto3\"; message Other { string id = 1; } message Scored { string place = 9; float score = 5; string version = 2; string id = 1; }";
    let plan = plan("auto", &format!("{SIMPLE}    segments: {{ place: place }}\n"));
    let payload = |n: usize| {
        let id = bytes(1, format!("t-{n}").as_bytes());
        match n % 3 {
            0 => framed(1, &[id, bytes(2, b"v1"), double(3, n as f64 / 8.0)]),
            1 => {
                let score = [&[0x2d][..], &(n as f32 / 8.0).to_le_bytes()].concat();
                let fields = [id, bytes(2, b"v2"), score, bytes(9, b"DE")].concat();
                [&[0, 0, 0, 0, 2, 2, 2][..], &fields].concat()
            }
            _ => framed(2, &[id]),
        }
    };
    let payloads: Vec<Vec<u8>> = (0..9).map(payload).collect();
    let decoded = decode(&plan, &[SCORED, newer], &payloads);
    assert_eq!(decoded.batch.offset.values(), &[0, 1, 3, 4, 6, 7][..]);
    for row in rows(&decoded.batch) {
        let n = (0..9).find(|n| row.id == Some(stable_hash(format!("t-{n}").as_bytes()))).expect("an id");
        assert_eq!(row.numeric[0], Some(f64::from(n) / 8.0));
        assert_eq!(row.segments, vec![(n % 3 == 1).then(|| "DE".to_owned())]);
    }
    let missing: Vec<_> = refused(&decoded).iter().map(|reject| (reject.0, reject.1)).collect();
    assert_eq!(missing, [2, 5, 8].map(|offset| (offset, Poison::MissingField)));
}

#[test]
fn damaged_records_leave_their_neighbours_alone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/protobuf");
    let whole = std::fs::read(folder.join("whole.pb")).expect("a file");
    let plan = every("{ file: every.desc, message: Every }");
    each_seed("Protobuf", |rng| {
        let payloads: Vec<Vec<u8>> =
            (0..6).map(|n| [&whole[..], &bytes(1, format!("r-{n}").as_bytes())].concat()).collect();
        let mut damaged = payloads.clone();
        let at = below(rng, damaged.len());
        for _ in 0..=below(rng, 3) {
            damage(rng, &mut damaged[at]);
        }
        let (whole, read) = (decode(&plan, &[], &payloads), decode(&plan, &[], &damaged));
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
fn damaged_schemas_are_refused_or_read_and_nothing_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/protobuf");
    let text = std::fs::read(folder.join("every.proto")).expect("a file");
    let (plan, payload) = (plan("auto", SIMPLE), framed(1, &[bytes(1, b"t"), bytes(2, b"v"), double(9, 0.5)]));
    each_seed("schemas of Protobuf", |rng| {
        let mut text = text.clone();
        for _ in 0..=below(rng, 4) {
            damage(rng, &mut text);
        }
        let decoded = decode(&plan, &[&String::from_utf8_lossy(&text)], std::slice::from_ref(&payload));
        assert_eq!(decoded.batch.len() + decoded.rejects.len(), 1, "{:?}", decoded.rejects);
    });
}

#[test]
fn what_a_pipeline_says_of_schemas_is_looked_at() {
    let said = |keys: &str, rest: &str| {
        let text = format!("sources:\n  predictions:\n    topic: p\n    {keys}\n{SIMPLE}{rest}");
        load(&text).err().unwrap_or_default()
    };
    for (keys, rest, part) in [
        ("format: protobuf", "", "records of Protobuf, and nothing that knows their schemas"),
        ("format: protobuf\n    schema: { message: Every }", "", "records of Protobuf, and nothing that knows"),
        ("format: avro\n    schema: { file: every.proto }", "", "`schema` is about records of Protobuf"),
        ("format: protobuf\n    schema: { file: none.proto }", "", "`none.proto` does not say what records are: "),
        ("format: protobuf\n    schema: { file: make.py }", "", "`make.py` does not say what records are: "),
        ("format: protobuf\n    schema: { file: every.desc, message: Evry }", "", "there is no message `Evry`"),
        (
            "format: protobuf",
            "registry: { url: 'http://host', frame: glue }\n",
            "records of Protobuf in frames of AWS Glue, which are not read",
        ),
        ("format: protobuf\n    schema: { file: every.desc, message: haldane.test.Every }", "", ""),
        ("format: protobuf\n    schema: { file: every.proto }", "registry: { url: 'http://host', frame: glue }\n", ""),
        ("format: protobuf\n    schema: { message: Every }", "registry: { url: 'http://host' }\n", ""),
    ] {
        let error = said(keys, rest);
        assert!(error.contains(part) && error.is_empty() == part.is_empty(), "{keys}: {error}");
    }
}

#[test]
fn a_set_of_descriptors_in_a_file_is_a_schema_of_the_registry() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/protobuf");
    let text = "sources: { predictions: { topic: p, format: protobuf, id: id, version: version, score: probability } }\n\
                registry: { schemas: { '9': every.desc } }\n";
    let pipeline = config::parse(text, "p.yaml", &folder).unwrap_or_else(|error| panic!("{error}"));
    let registry = Registry::open(&pipeline.registry.expect("a registry")).expect("files");
    let SchemaLookup::Here(schema) = registry.find(SchemaId::Number(9)) else { panic!("it is there") };
    let mut decoder = decoder(&pipeline.plan, 0, 0);
    decoder.learn(SchemaId::Number(9), Some(&schema));
    let whole = std::fs::read(folder.join("whole.pb")).expect("a file");
    push(decoder.as_mut(), 0, &[], &[&[0, 0, 0, 0, 9, 0][..], &whole].concat());
    assert_eq!(scored(&rows(&decoder.finish().batch)[0]), (Some(stable_hash(b"t-1")), Some("V2"), Some(0.75)));
}

#[test]
fn imports_are_found_beside_a_file_and_above_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write(
        "shop/money.proto",
        "syntax = \"proto3\"; package shop; import \"shop/unit.proto\"; message Money { double value = 1; Unit unit = 2; }",
    );
    write("shop/unit.proto", "syntax = \"proto3\"; package shop; enum Unit { CENT = 0; }");
    write(
        "shop/order.proto",
        "syntax = \"proto3\"; package shop; import \"shop/money.proto\"; import \"unit.proto\"; message Order { string id = 1; string version = 2; Money score = 3; }",
    );
    let text = "sources:\n  predictions: { topic: p, format: protobuf, schema: { file: shop/order.proto }, id: id, version: version, score: score.value }\n";
    let read = || config::parse(text, "p.yaml", folder.path()).map(|pipeline| pipeline.plan);
    let plan = read().unwrap_or_else(|error| panic!("{error}"));
    let payload = [bytes(1, b"t-1"), bytes(2, b"v1"), bytes(3, &double(1, 0.25))].concat();
    assert_eq!(rows(&decode(&plan, &[], &[payload]).batch)[0].numeric[0], Some(0.25));
    std::fs::remove_file(folder.path().join("shop/unit.proto")).expect("a file");
    assert!(read().unwrap_err().to_string().contains("it imports shop/unit.proto, which is not there"));
}

#[test]
fn predictions_of_a_registry_and_truths_of_a_file_are_read_by_the_example() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/fraud-protobuf.yaml");
    let plan = config::load(&path).unwrap_or_else(|error| panic!("{error}")).plan;
    let schema = "syntax = \"proto3\"; package payments; import \"google/protobuf/timestamp.proto\";
        import \"google/protobuf/duration.proto\"; enum Version { none = 0; v1 = 1; v2 = 2; }
        message Scored { string transaction_id = 1; google.protobuf.Timestamp scored_at = 2; Version model_version = 3;
            oneof answer { double probability = 4; string refusal = 5; } google.protobuf.Duration took = 6;
            double amount = 7; repeated double recent = 8; map<string, double> counts = 9;
            optional string merchant_category = 10; }";
    let at = |number| bytes(number, &whole(1, 1_700_000_000));
    let entry = [bytes(1, b"cards_24h"), double(2, 3.0)].concat();
    let good = [
        bytes(1, b"t-1"),
        at(2),
        whole(3, 2),
        double(4, 0.25),
        bytes(6, &whole(2, 12_000_000)),
        bytes(8, &7.5_f64.to_le_bytes()),
    ];
    let refusal = [bytes(1, b"t-2"), at(2), whole(3, 1), bytes(5, b"too large"), bytes(9, &entry), bytes(10, b"food")];
    let decoded = decode(&plan, &[schema], &[framed(1, &good), framed(1, &refusal)]);
    assert_eq!(refused(&decoded), []);
    let said = |name: &str| rows(&decoded.batch).iter().map(|row| number(&plan, row, name)).collect::<Vec<_>>();
    assert_eq!((said("score"), said("latency")), (vec![Some(0.25), None], vec![Some(12.0), None]));
    assert_eq!((said("amount"), said("last_amount")), (vec![Some(0.0), Some(0.0)], vec![Some(7.5), None]));
    assert_eq!(said("cards_24h"), [None, Some(3.0)]);
    let of_file = |id: &[u8], reason: u64| bytes(1, &[bytes(1, id), whole(2, reason), at(3)].concat());
    let mut truths = decoder(&plan, 1, 0);
    push(truths.as_mut(), 0, &[], &[of_file(b"t-1", 2), of_file(b"t-2", 3), of_file(b"t-3", 0)].concat());
    let decoded = truths.finish();
    assert_eq!(refused(&decoded), []);
    let truths = rows(&decoded.batch);
    assert_eq!(truths.iter().map(|row| row.label).collect::<Vec<_>>(), [Some(1.0), Some(0.0), Some(0.0)]);
    assert!(truths.iter().all(|row| row.event_time == 1_700_000_000_000_000), "{truths:?}");
}

/// What a field of the flights log is.
fn kind_of(key: &str, value: &Value) -> &'static str {
    match (key, value) {
        (_, Value::Object(_)) => "message",
        ("event_time_us", _) => "int64",
        ("prediction_id" | "model" | "version", _) => "string",
        ("cohort" | "carrier" | "origin" | "dest", _) => "optional string",
        ("predicted_label" | "status" | "label", _) => "optional int32",
        _ => "optional double",
    }
}

/// The schema of an object as one of the flights log, whose fields are numbered as they stand.
pub(crate) fn schema_of(name: &str, value: &Value) -> String {
    let field = |(number, (key, value)): (u64, (&String, &Value))| match kind_of(key, value) {
        "message" => format!("{} {key}Of {key} = {number};", schema_of(&format!("{key}Of"), value)),
        kind => format!("{kind} {key} = {number};"),
    };
    let fields: String = (1..).zip(value.as_object().expect("an object")).map(field).collect();
    format!("message {name} {{ {fields} }}")
}

/// The fields of such an object; what proto3 does not write is left out.
pub(crate) fn fields_of(value: &Value) -> Vec<Vec<u8>> {
    let field = |(number, (key, value)): (u64, (&String, &Value))| match (kind_of(key, value), value) {
        (_, Value::Null) => Vec::new(),
        ("message", value) => bytes(number, &fields_of(value).concat()),
        ("string" | "optional string", value) => bytes(number, value.as_str().expect("a text").as_bytes()),
        ("optional double", value) => double(number, value.as_f64().expect("a number")),
        (_, value) => whole(number, value.as_i64().expect("a whole number") as u64),
    };
    (1..).zip(value.as_object().expect("an object")).map(field).collect()
}
