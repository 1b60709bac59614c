//! Files that hold records of topics as they were: tables of their bytes, as Spark and Kafka Connect write them, and
//! lines of `kcat -J`. They are read as their topics would be.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BinaryBuilder, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    StructBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use haldane::config;
use haldane::replay::{self, ReplayOptions, ReplayStep};
use haldane::report::{self, CompareRequest};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::avro::{framed, schema_of};
use crate::flights::{Row, rows};
use crate::one_log;

/// A record as a consumer sees it.
#[derive(Clone, Default)]
struct Archived {
    topic: &'static str,
    partition: i32,
    at_ms: i64,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    headers: Vec<(&'static str, &'static str)>,
}

/// Records as a table, as Spark has them.
fn table(records: &[Archived]) -> RecordBatch {
    let fields =
        Fields::from(vec![Field::new("key", DataType::Utf8, true), Field::new("value", DataType::Binary, true)]);
    let mut headers = ListBuilder::new(StructBuilder::from_fields(fields, 0));
    for record in records {
        for (name, value) in &record.headers {
            let entry = headers.values();
            entry.field_builder::<StringBuilder>(0).expect("names").append_value(name);
            entry.field_builder::<BinaryBuilder>(1).expect("values").append_value(value.as_bytes());
            entry.append(true);
        }
        headers.append(true);
    }
    let each = |of: &dyn Fn(&Archived) -> i64| records.iter().map(of).collect::<Vec<_>>();
    let columns: [(&str, ArrayRef); 7] = [
        ("key", Arc::new(records.iter().map(|record| Some(record.key.as_slice())).collect::<BinaryArray>())),
        ("value", Arc::new(records.iter().map(|record| record.value.as_deref()).collect::<BinaryArray>())),
        ("topic", Arc::new(records.iter().map(|record| Some(record.topic)).collect::<StringArray>())),
        ("partition", Arc::new(records.iter().map(|record| Some(record.partition)).collect::<Int32Array>())),
        ("offset", Arc::new(Int64Array::from_iter_values(0..records.len() as i64))),
        ("timestamp", Arc::new(TimestampMicrosecondArray::from(each(&|record| record.at_ms * 1_000)))),
        ("headers", Arc::new(headers.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .expect("columns of one length")
}

fn parquet(folder: &Path, name: &str, records: &[Archived]) -> PathBuf {
    let (path, table) = (folder.join(name), table(records));
    let mut writer =
        ArrowWriter::try_new(File::create(&path).expect("a file"), table.schema(), None).expect("a writer");
    writer.write(&table).expect("rows");
    writer.close().expect("a footer");
    path
}

/// Bytes as kcat writes them into a text: what is no sign of JSON's stands as it is.
fn quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            0..0x20 => out.extend(format!("\\u{byte:04x}").bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn kcat(folder: &Path, name: &str, records: &[Archived]) -> PathBuf {
    let mut out = Vec::new();
    for (offset, record) in records.iter().enumerate() {
        let headers: Vec<&str> = record.headers.iter().flat_map(|(name, value)| [*name, *value]).collect();
        let Archived { topic, partition, at_ms, .. } = record;
        let head = format!(
            r#"{{"topic":"{topic}","partition":{partition},"offset":{offset},"tstype":"create","ts":{at_ms},"broker":1,"headers":{},"key":"#,
            json!(headers)
        );
        out.extend(head.bytes());
        quoted(&record.key, &mut out);
        out.extend(b",\"payload\":");
        match &record.value {
            Some(value) => quoted(value, &mut out),
            None => out.extend(b"null"),
        }
        out.extend(b"}\n");
    }
    let path = folder.join(name);
    File::create(&path).and_then(|mut file| file.write_all(&out)).expect("a file");
    path
}

/// Writes archives, and says where they are.
type Write = fn(&Path, &str, &[Archived]) -> PathBuf;

#[test]
fn the_flights_log_in_archives_of_avro_gives_the_windows_and_decisions_of_its_files() {
    let scratch = tempfile::tempdir().expect("a folder");
    let schemas = scratch.path().join("schemas");
    std::fs::create_dir_all(&schemas).expect("a folder");
    let registry = format!("registry: {{ schemas: '{}' }}\n", schemas.display());
    let change = |text: String| {
        let text = text.replace("    format: json\n", "    format: avro\n");
        text.replace("topic: flights.outcomes\n", "topic: flights.outcomes\n    format: avro\n") + &registry
    };
    let archived = |file: &str, topic: &'static str, id: u32| {
        let (mut records, mut schema) = (Vec::new(), Value::Null);
        one_log::each_record(file, |key, at_ms, value| {
            if schema.is_null() {
                schema = schema_of("Record", value);
            }
            let value = Some(framed(id, &schema, value));
            records.push(Archived { topic, at_ms, key: key.into(), value, ..Archived::default() });
        });
        std::fs::write(schemas.join(format!("{id}.avsc")), schema.to_string()).expect("a schema");
        records
    };
    let predictions = archived("predictions", "flights.predictions", 1);
    let outcomes = archived("outcomes", "flights.outcomes", 2);
    let flat = one_log::replay_by(scratch.path(), &change);
    assert!(flat.0.len() > 10_000 && flat.1.len() >= 3);
    let ways: [(&str, Write); 2] = [("parquet", parquet), ("jsonl", kcat)];
    for (ending, write) in ways {
        let files = [
            write(scratch.path(), &format!("predictions.{ending}"), &predictions),
            write(scratch.path(), &format!("outcomes.{ending}"), &outcomes),
        ];
        let read = one_log::replay_files(scratch.path(), &change, &files);
        assert_eq!(read.1, flat.1, "decisions of {ending}");
        assert_eq!(flat.0.iter().zip(&read.0).find(|(left, right)| left != right), None, "{ending}");
        assert_eq!(flat.0.len(), read.0.len(), "{ending}");
    }
}

/// What stands beside payloads is said in every way.
const BESIDE: &str = r"
sources:
  predictions:
    topics: [calls.v1, calls.v2]
    where: { $header.kind: scored }
    rows: calls[*]
    id: $key
    version: { path: $topic, match: '^calls\.(.+)$' }
    segments: { partition: $partition }
    score: $row
    features: { numeric: { at: { path: $time, range: [0, 10000] } } }
";

fn beside() -> Vec<Archived> {
    let record = |topic, partition, at_ms, key: &str, value: &str, kind| Archived {
        topic,
        partition,
        at_ms,
        key: key.into(),
        value: Some(value.into()),
        headers: vec![("trace", "1"), ("kind", kind)],
    };
    let tombstone = Archived { value: None, ..record("calls.v1", 0, 4_000, "d", "", "scored") };
    vec![
        record("calls.v1", 0, 1_000, "a", r#"{"calls":[0.5,0.25]}"#, "scored"),
        record("calls.v2", 1, 2_000, "b", r#"{"calls":[0.75]}"#, "scored"),
        record("calls.v1", 0, 3_000, "c", r#"{"calls":[0.5]}"#, "other"),
        tombstone,
        record("calls.v2", 1, 5_000, "e", "no JSON", "scored"),
        record("elsewhere", 0, 6_000, "f", "{}", "scored"),
    ]
}

#[test]
fn what_stands_beside_payloads_is_said_by_archives() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = config::parse(BESIDE, "p.yaml", Path::new("")).expect("a pipeline").plan;
    let ways: [(&str, Write); 2] = [("a.parquet", parquet), ("a.jsonl", kcat)];
    for (name, write) in ways {
        let file = write(folder.path(), name, &beside());
        let mut files = replay::open(&plan, &[file], &ReplayOptions::default()).expect("an archive");
        assert_eq!(files.lanes(), 2, "{name}");
        assert!(files.warnings().iter().any(|warning| warning.contains("topic `elsewhere`")), "{:?}", files.warnings());
        let (mut read, mut refused): (Vec<Row>, Vec<_>) = (Vec::new(), Vec::new());
        for step in &mut files {
            match step.expect("a step") {
                ReplayStep::Batch(batch) => read.extend(rows(&batch)),
                ReplayStep::Refused(more) => refused.extend(more),
                ReplayStep::End { .. } => {}
            }
        }
        let seen: Vec<_> = read
            .iter()
            .map(|row| {
                let score = row.numeric.iter().flatten().copied().fold(f64::MAX, f64::min);
                (row.version.clone().unwrap(), row.segments[0].clone().unwrap(), row.event_time, score)
            })
            .collect();
        let row = |version: &str, partition: &str, at, score| (version.to_owned(), partition.to_owned(), at, score);
        let wanted = [row("v1", "0", 1_000_000, 0.5), row("v1", "0", 1_000_000, 0.25), row("v2", "1", 2_000_000, 0.75)];
        assert_eq!(seen, wanted, "{name}");
        let why: Vec<_> = refused.iter().map(|one| (one.reject.reason.code(), one.payload.as_deref())).collect();
        assert_eq!((why, files.passed_over()), (vec![("malformed", Some("no JSON"))], 2), "{name}");
    }
}

#[test]
fn reports_and_drafts_read_archives() {
    let folder = tempfile::tempdir().expect("a folder");
    let schema = json!({ "type": "record", "name": "Scored", "fields": [
        { "name": "id", "type": "string" }, { "name": "version", "type": "string" }, { "name": "score", "type": "double" },
        { "name": "amount", "type": "double" }] });
    let schemas = folder.path().join("schemas");
    std::fs::create_dir_all(&schemas).expect("a folder");
    std::fs::write(schemas.join("7.avsc"), schema.to_string()).expect("a schema");
    let records = |shift: f64| -> Vec<Archived> {
        let value = |n: u32| {
            let value = json!({ "id": format!("r-{n}"), "version": "v1", "score": f64::from(n % 90) / 100.0,
                "amount": f64::from(n % 50) + shift });
            Some(framed(7, &schema, &value))
        };
        let at_ms = |n: u32| 1_700_000_000_000 + i64::from(n) * 1_000;
        (0..2_000)
            .map(|n| Archived { topic: "scored", at_ms: at_ms(n), value: value(n), ..Archived::default() })
            .collect()
    };
    let reference = parquet(folder.path(), "before.parquet", &records(0.0));
    let current = kcat(folder.path(), "after.jsonl", &records(20.0));
    let draft = folder.path().join("p.yaml");
    let made = Command::new(env!("CARGO_BIN_EXE_haldane"))
        .args(["init", "--registry"])
        .args([&schemas, &reference])
        .arg("--output")
        .arg(&draft)
        .output()
        .expect("a run");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let pipeline = config::reading_plan(&draft).expect("a draft that can be used");
    let text = std::fs::read_to_string(&draft).expect("a draft");
    assert!(text.contains("format: avro") && text.contains("topic: scored"), "{text}");
    let request = CompareRequest {
        reference: vec![reference],
        current: vec![current],
        schemas: Some(haldane::registry::lazily(pipeline.registry.as_ref())),
        ..CompareRequest::default()
    };
    let comparison = report::compare(&request, Some(&pipeline.plan)).expect("two archives");
    assert_eq!((comparison.reference.rows, comparison.current.rows), (2_000, 2_000));
    let drifted: Vec<_> =
        comparison.columns.iter().filter(|column| column.drifted).map(|column| column.column.as_str()).collect();
    assert_eq!(drifted, ["amount"]);
}
