//! Any file people have: packed, in folders, as patterns and pipes, as lists; every command reads it alike.
#![expect(clippy::format_collect, reason = "a few lines of text")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};

use haldane::report::model::Comparison;
use haldane::report::{self, CompareRequest};

use crate::decode_columnar::ipc;
use crate::store::haldane;

/// Rows of a number, a word and an id, in three formats.
fn rows(from: u32, to: u32) -> Vec<[String; 3]> {
    (from..to)
        .map(|at| [format!("r{at}"), (at * 37 % 101).to_string(), ["a", "b", "c"][at as usize % 3].into()])
        .collect()
}

fn csv(rows: &[[String; 3]], delimiter: &str) -> String {
    let line = |row: &[String; 3]| row.join(delimiter) + "\n";
    ["id", "x", "k"].join(delimiter) + "\n" + &rows.iter().map(line).collect::<String>()
}

fn json(rows: &[[String; 3]]) -> Vec<serde_json::Value> {
    rows.iter().map(|[id, x, k]| serde_json::json!({ "id": id, "x": x.parse::<u32>().unwrap(), "k": k })).collect()
}

fn lines(rows: &[[String; 3]]) -> String {
    json(rows).iter().map(|row| format!("{row}\n")).collect()
}

fn table(rows: &[[String; 3]]) -> RecordBatch {
    let column = |at: usize| rows.iter().map(|row| Some(row[at].as_str())).collect::<StringArray>();
    let numbers: Int64Array = rows.iter().map(|[_, x, _]| x.parse::<i64>().unwrap()).collect();
    let columns: [(&str, ArrayRef); 3] =
        [("id", Arc::new(column(0))), ("x", Arc::new(numbers)), ("k", Arc::new(column(2)))];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// A file as Feather is by default: its columns packed, its rows in parts.
fn feather(rows: &[[String; 3]]) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).unwrap();
    let table = table(rows);
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &table.schema(), options).unwrap();
    for from in (0..rows.len()).step_by(70) {
        writer.write(&table.slice(from, 70.min(rows.len() - from))).unwrap();
    }
    writer.into_inner().unwrap()
}

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes.as_ref()).unwrap();
    packer.finish().unwrap()
}

fn zstandard(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 1).unwrap()
}

/// A report whose two sides hold the same rows.
fn compared(reference: &[PathBuf], current: &[PathBuf]) -> Comparison {
    let request =
        CompareRequest { reference: reference.to_vec(), current: current.to_vec(), ..CompareRequest::default() };
    report::compare(&request, None).unwrap_or_else(|error| panic!("{current:?}: {error}"))
}

/// Every way to write the same 300 rows.
fn spellings() -> Vec<(&'static str, Vec<u8>)> {
    let rows = rows(0, 300);
    let (csv, lines) = (csv(&rows, ","), lines(&rows));
    let list = serde_json::Value::Array(json(&rows));
    let objects = json(&rows).iter().map(|row| format!("{row:#}\n")).collect::<String>();
    vec![
        ("a.feather", feather(&rows)),
        ("a.arrows", ipc(&[table(&rows)])),
        ("a.arrows.gz", gzip(ipc(&[table(&rows[..100]), table(&rows[100..])]))),
        ("arrow-no-ending", feather(&rows)),
        ("a.csv.gz", gzip(&csv)),
        ("b.csv.zst", zstandard(&csv)),
        ("c.jsonl.gz", gzip(&lines)),
        ("d.ndjson.zst", zstandard(&lines)),
        ("e.csv", format!("\u{feff}{csv}").into_bytes()),
        ("f.jsonl", format!("\u{feff}{lines}").into_bytes()),
        ("g.json", list.to_string().into_bytes()),
        ("h.json", format!("{list:#}").into_bytes()),
        ("i.json", objects.into_bytes()),
        ("no-ending", csv.clone().into_bytes()),
        ("packed-no-ending", gzip(&csv)),
        ("lines-no-ending", lines.clone().into_bytes()),
        ("j.CSV", csv.replace('\n', "\r\n").into_bytes()),
        ("k.tsv", csv.replace(',', "\t").into_bytes()),
        ("l.txt", csv.replace(',', "|").into_bytes()),
        ("m.jsonl", format!("\n{}\n\n", lines.replace('\n', "\n\n")).into_bytes()),
    ]
}

#[test]
fn one_table_is_the_same_however_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.csv");
    std::fs::write(&plain, csv(&rows(0, 300), ",")).unwrap();
    for (name, bytes) in spellings() {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let comparison = compared(std::slice::from_ref(&plain), &[path]);
        let (current, problems) = (&comparison.current, &comparison.problems);
        assert_eq!((current.rows, current.refused, problems.len()), (300, 0, 0), "{name}: {problems:?}");
        assert!(comparison.columns.iter().all(|column| column.psi.debiased == 0.0), "{name}");
        assert_eq!(comparison.columns.len(), 2, "{name}");
    }
}

#[test]
fn files_that_belong_together_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let whole = write("whole.csv", &csv(&rows(0, 300), ","));
    let parts = [write("1.csv", &csv(&rows(0, 100), ";")), write("2.jsonl", &lines(&rows(100, 300)))];
    let comparison = compared(std::slice::from_ref(&whole), &parts);
    assert_eq!((comparison.current.rows, comparison.current.name.as_str()), (300, "1.csv and 1 more"));
    assert!(comparison.problems.is_empty() && comparison.columns.iter().all(|column| column.psi.debiased == 0.0));
    // A column that only some files have is missing in the others.
    let less = write("3.csv", "id,x\nq1,5\nq2,6\n");
    let comparison = compared(std::slice::from_ref(&whole), &[whole.clone(), less]);
    let k = comparison.columns.iter().find(|column| column.column == "k").unwrap();
    assert_eq!((comparison.current.rows, k.n), (302, 300));
}

const PIPELINE: &str = "
pipeline: files
sources:
  features:
    topic: f
    event_time: { path: at, unit: us }
    model: { constant: m }
    version: { constant: v1 }
    features: { numeric: { x: { path: x, range: [0, 10] } } }
windows: { size: 1h }
rollout: { baseline: v1 }
";

#[test]
fn folders_patterns_and_standard_input_are_read_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::create_dir(at("days")).unwrap();
    std::fs::write(at("p.yaml"), PIPELINE).unwrap();
    let day = |from: i64| {
        let row = |at: i64| format!("{},{}\n", 1_700_000_000_000_000 + at * 60_000_000, at % 10);
        "at,x\n".to_owned() + &(from..from + 200).map(row).collect::<String>()
    };
    std::fs::write(at("days/2.csv.gz"), gzip(day(200))).unwrap();
    std::fs::write(at("days/1.csv"), day(0)).unwrap();
    let (config, profile) = (at("p.yaml"), at("profile.json"));
    for files in [at("days"), at("days/*"), at("days/?.csv*")] {
        let said = haldane(&["replay", "-c", &config, &files]).unwrap();
        assert!(said.starts_with("400 rows read, 0 late"), "{said}");
        let said = haldane(&["baseline", "build", "-c", &config, "-o", &profile, &files]).unwrap();
        assert!(said.contains("400 rows"), "{said}");
        let said = haldane(&["report", "--reference", &files, "--current", &files]).unwrap();
        assert!(said.contains("400"), "{said}");
        let said = haldane(&["init", &files]).unwrap();
        assert!(said.contains("features:"), "{said}");
    }
    let piped = |words: &[&str], text: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_haldane"));
        let mut child = program.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    for named in ["-", "/dev/stdin"] {
        let said = piped(&["replay", "-c", &config, named], &day(0));
        assert!(said.starts_with("200 rows read, 0 late"), "{said}");
        let said = piped(&["report", "--reference", &at("days/1.csv"), "--current", named], &day(0));
        assert!(said.contains("None of"), "{said}");
    }
}

#[test]
fn what_cannot_be_read_is_said_and_never_an_internal_error() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.csv");
    std::fs::write(&good, csv(&rows(0, 300), ",")).unwrap();
    let whole = gzip(csv(&rows(0, 300), ","));
    let arrow = feather(&rows(0, 300));
    let cases: [(&str, &[u8], &str); 9] = [
        ("cut.arrow", &arrow[..arrow.len() / 2], "it may have been cut off"),
        ("text.feather", b"id,x\n1,2\n", "the extension of its real format"),
        ("old.feather", b"FEA1\0\0\0\0rest", "version 2"),
        ("cut.csv.gz", &whole[..whole.len() / 2], "it may have been cut off"),
        ("a.csv.bz2", b"BZh91AY&SY", "bunzip2"),
        ("a.zip", b"PK\x03\x04rest", "unzip"),
        ("a.parquet.gz", &gzip("PAR1 and more"), "Parquet packs its columns itself"),
        ("prose", b"Dear reader,\nthis is no table\n", "let its name end in"),
        ("a.csv", b"\xff\xfea\x00", "iconv"),
    ];
    for (name, bytes, hint) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let request =
            CompareRequest { reference: vec![good.clone()], current: vec![path], ..CompareRequest::default() };
        let error = report::compare(&request, None).unwrap_err();
        assert!(error.exit_code() == 2 && error.advice().unwrap().contains(hint), "{name}: {error}");
    }
}

#[test]
fn an_arrow_file_cannot_claim_more_memory_than_a_machine_has() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good.arrow"), folder.path().join("bad.arrow"));
    let bytes = feather(&rows(0, 7_000));
    let length = (70_u64 * 8).to_le_bytes();
    let at = bytes.windows(8).position(|window| window == length).expect("a packed column of 70 numbers");
    std::fs::write(&good, &bytes).unwrap();
    for claimed in [1_u64 << 40, i64::MAX as u64] {
        let mut changed = bytes.clone();
        changed[at..at + 8].copy_from_slice(&claimed.to_le_bytes());
        std::fs::write(&bad, changed).unwrap();
        let request =
            CompareRequest { reference: vec![good.clone()], current: vec![bad.clone()], ..CompareRequest::default() };
        let error = report::compare(&request, None).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("is damaged after row 0"), "{error}");
    }
}

#[test]
fn lists_and_fields_that_come_late_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, late: &str| {
        let line =
            |at: u32| format!("{{\"x\":{},\"tags\":[1,2]{}}}\n", at * 37 % 101, if at > 10_500 { late } else { "" });
        let path = folder.path().join(name);
        std::fs::write(&path, (0..11_000).map(line).collect::<String>()).unwrap();
        path
    };
    let comparison = compared(&[write("a.jsonl", "")], &[write("b.jsonl", ",\"late\":1")]);
    let untested: Vec<&str> = comparison.untested.iter().map(|column| column.column.as_str()).collect();
    assert!(untested.contains(&"tags") && untested.contains(&"late"), "{untested:?}");
}
