//! One reading of a cell: whatever format it comes in, and spelled in whatever way, a value means the same to its slot.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use arrow::array::*;
use arrow::ipc::writer::FileWriter;
use haldane::decode::columnar::from_record_batch;
use haldane::decode::object::object;
use haldane::decode::{Decoded, Record, decoder, json};
use haldane::event::{EventKind, Poison, stable_hash};
use haldane::plan::*;
use haldane::replay::{self, ReplayOptions, ReplayStep};
use parquet::arrow::ArrowWriter;
use serde_json::Value;

use crate::decode_columnar::ipc;
use crate::flights::{Row, path, plan_with, rows};

const BROKER_TIME: i64 = 2_000_000_000_000_000;

/// What a cell was read as, in words; what is refused names its reason.
fn shown(decoded: &Decoded, show: fn(&Row) -> String) -> String {
    match decoded.rejects.first() {
        Some(reject) => format!("refused: {}", reject.reason),
        None => show(&rows(&decoded.batch)[0]),
    }
}

/// A plan that reads `cell` into one slot of predictions, and into the label.
fn reading(slot: &str, task: Task, positive: &[&str]) -> Arc<Plan> {
    let mut plan = (*plan_with(0, |source| {
        let mapping = &mut source.mapping;
        mapping.id = Some(path("id"));
        mapping.event_time = None;
        (mapping.model, mapping.version) = (FieldSource::Constant("m".into()), FieldSource::Constant("v".into()));
        mapping.positive = positive.iter().map(|&class| class.to_owned()).collect();
        let cell = Some(path("cell"));
        let none = Mapping { numeric: vec![None; 11], categorical: vec![None; 3], ..Mapping::default() };
        (mapping.numeric, mapping.categorical) = (none.numeric, none.categorical);
        (mapping.predicted, mapping.status, mapping.segments) = (None, None, vec![path("s")]);
        match slot {
            "number" => mapping.numeric[4] = Some(NumericField { path: path("cell"), factor: 1.0 }),
            "category" => mapping.categorical[0] = cell,
            "class" => mapping.predicted = cell,
            "label" => mapping.label = cell,
            "status" => mapping.status = cell,
            "error" => mapping.failed = cell,
            "id" => mapping.id = cell,
            "version" => mapping.version = FieldSource::Path(path("cell")),
            "time" => mapping.event_time = Some((path("cell"), TimeFormat::Seconds)),
            _ => unreachable!("a slot of this test"),
        }
    }))
    .clone();
    plan.quality = plan.quality.map(|quality| QualityPlan { task, ..quality });
    assert_eq!(plan.sources[0].kind, EventKind::Prediction);
    Arc::new(plan)
}

/// The JSON of a cell as Arrow columns of every type that can hold it.
fn columns(cell: &str) -> Vec<ArrayRef> {
    let text = |text: &str| {
        let plain: ArrayRef = Arc::new(StringArray::from(vec![text]));
        let coded: DictionaryArray<arrow::datatypes::Int32Type> = [text].into_iter().collect();
        let large: ArrayRef = Arc::new(LargeStringArray::from(vec![text]));
        vec![plain, Arc::new(coded), large]
    };
    match serde_json::from_str(cell) {
        Ok(Value::String(cell)) => text(&cell),
        Ok(Value::Bool(truth)) => vec![Arc::new(BooleanArray::from(vec![truth]))],
        Ok(Value::Number(number)) => {
            let whole = number.as_i64().filter(|_| !cell.contains('.'));
            let float: ArrayRef = Arc::new(Float64Array::from(vec![number.as_f64()]));
            whole.map_or_else(
                || vec![float.clone()],
                |whole| vec![Arc::new(Int64Array::from(vec![whole])), float.clone()],
            )
        }
        _ => vec![Arc::new(Float64Array::from(vec![cell.parse::<f64>().unwrap()]))],
    }
}

fn record(payload: &[u8]) -> Record<'_> {
    Record { offset: 0, broker_time: BROKER_TIME, key: None, payload: Some(payload), headers: &[], topic: "t" }
}

/// What a replay makes of the row in a file.
fn replayed(plan: &Arc<Plan>, path: &Path, show: fn(&Row) -> String) -> String {
    let options = ReplayOptions { predictions: vec![path.to_owned()], ..ReplayOptions::default() };
    let mut read = "nothing".to_owned();
    for step in replay::open(plan, &[], &options).unwrap() {
        match step.unwrap() {
            ReplayStep::Batch(batch) => rows(&batch).first().into_iter().for_each(|row| read = show(row)),
            ReplayStep::Refused(refused) => read = format!("refused: {}", refused[0].reject.reason),
            ReplayStep::End { .. } => {}
        }
    }
    read
}

/// What replays make of a cell in files of lines and of separated values; an empty cell of these is missing.
fn in_files(plan: &Arc<Plan>, cell: &str, line: &str, show: fn(&Row) -> String) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let line = line.replacen('{', &format!("{{\"broker_time\": {BROKER_TIME}, "), 1);
    std::fs::write(at("a.jsonl"), line + "\n").unwrap();
    let text = serde_json::from_str::<String>(cell).unwrap_or_else(|_| cell.to_owned());
    let (names, ids) = if line_has_id(plan) { ("id,", "a,") } else { ("", "") };
    let table = format!("{names}s,broker_time,cell\n{ids}x,{BROKER_TIME},\"{text}\"\n");
    std::fs::write(at("a.csv"), table).unwrap();
    // Any text may be an id; only a number cannot be a fraction.
    let is_id = !line_has_id(plan) && text.contains('.') && !text.ends_with(".0");
    let files = ["a.jsonl", "a.csv"].into_iter().filter(|name| *name != "a.csv" || !text.is_empty() && !is_id);
    files.map(|name| (name.to_owned(), replayed(plan, &at(name), show))).collect()
}

/// Whether the id is another field than the cell.
fn line_has_id(plan: &Plan) -> bool {
    plan.sources[0].mapping.id != Some(path("cell"))
}

/// What replays make of the row in a Parquet file and in an Arrow file.
fn in_typed_files(plan: &Arc<Plan>, table: &RecordBatch, show: fn(&Row) -> String) -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    let arrived: ArrayRef = Arc::new(Int64Array::from(vec![BROKER_TIME]));
    let schema = table.schema();
    let names = schema.fields().iter().map(|field| field.name().clone()).chain(["broker_time".to_owned()]);
    let columns = table.columns().iter().cloned().chain([arrived]);
    let table = RecordBatch::try_from_iter(names.zip(columns)).unwrap();
    let (parquet, arrow) = (folder.path().join("a.parquet"), folder.path().join("a.arrow"));
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&parquet).unwrap(), table.schema(), None).unwrap();
    writer.write(&table).unwrap();
    writer.close().unwrap();
    let mut writer = FileWriter::try_new(std::fs::File::create(&arrow).unwrap(), &table.schema()).unwrap();
    writer.write(&table).unwrap();
    writer.finish().unwrap();
    [parquet, arrow].map(|path| replayed(plan, &path, show))
}

/// What every format makes of a cell.
fn readings(plan: &Arc<Plan>, cell: &str, show: fn(&Row) -> String) -> Vec<(String, String)> {
    let id = if line_has_id(plan) { r#""id": "a", "# } else { "" };
    let line = format!(r#"{{{id}"s": "x", "cell": {cell}}}"#);
    let mut lines = decoder(plan, 0, 0);
    lines.push(&record(line.as_bytes()));
    let mut all = vec![("JSON on a topic".to_owned(), shown(&lines.finish(), show))];
    all.extend(in_files(plan, cell, &line, show));
    for array in columns(cell) {
        let kind = array.data_type().to_string();
        let names: [(&str, ArrayRef); 3] = [
            ("id", Arc::new(StringArray::from(vec!["a"]))),
            ("s", Arc::new(StringArray::from(vec!["x"]))),
            ("cell", array),
        ];
        let table = RecordBatch::try_from_iter(names).unwrap();
        let one = |value: i64| Int64Array::from(vec![value]);
        let read = from_record_batch(plan, 0, 0, &table, one(0), one(BROKER_TIME)).unwrap();
        all.push((kind.clone(), shown(&read, show)));
        let read = in_typed_files(plan, &table, show);
        all.extend(["Parquet", "an Arrow file"].map(|format| format!("{kind} in {format}")).into_iter().zip(read));
        let mut plan = (**plan).clone();
        plan.sources[0].format = Format::ArrowIpc;
        let mut tables = decoder(&Arc::new(plan), 0, 0);
        let stream = ipc(&[table]);
        tables.push(&record(&stream));
        all.push((format!("{kind} on a topic"), shown(&tables.finish(), show)));
    }
    all
}

/// Cells, each list of which means the same.
fn check(slot: &str, task: Task, positive: &[&str], show: fn(&Row) -> String, table: &[(&[&str], &str)]) {
    let plan = reading(slot, task, positive);
    for (cells, expected) in table {
        for cell in *cells {
            for (format, read) in readings(&plan, cell, show) {
                assert_eq!(read, *expected, "{slot}: {cell} as {format}");
            }
        }
    }
}

fn words<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "missing".to_owned(), ToString::to_string)
}

#[test]
fn numbers_are_numbers_in_texts_too() {
    let table: [(&[&str], &str); 7] = [
        (&["1.5", r#""1.5""#, r#"" 1.5 ""#, "1.50"], "1.5"),
        (&["1", r#""1""#, "true", r#""True""#, "1.0", r#""1e0""#], "1"),
        (&["0", "false", r#""FALSE""#], "0"),
        (&["NaN", r#""NaN""#, r#""nan""#], "NaN"),
        (&["Infinity", r#""inf""#, r#""Infinity""#, r#""1e999""#], "inf"),
        (&["-Infinity", r#""-inf""#], "-inf"),
        (&[r#""hot""#, r#""1,5""#, r#""yes""#], "refused: wrong_type"),
    ];
    check("number", Task::Binary, &[], |row| words(row.numeric[4].as_ref()), &table);
    let missing: [(&[&str], &str); 1] = [(&[r#""""#, r#""NA""#, r#""None""#, r#""null""#, r#""-""#], "missing")];
    check("number", Task::Binary, &[], |row| words(row.numeric[4].as_ref()), &missing);
}

#[test]
fn labels_of_two_classes_are_words_or_numbers() {
    let yes: &[&str] =
        &["1", "1.0", "true", r#""1""#, r#""1.0""#, r#""True""#, r#""yes""#, r#""Y""#, r#""t""#, r#""on""#];
    let no: &[&str] = &["0", "0.0", "false", r#""0""#, r#""FALSE""#, r#""No""#, r#""n""#, r#""off""#];
    let table: [(&[&str], &str); 4] = [
        (yes, "1"),
        (no, "0"),
        (&["2", "-1", r#""2""#, "0.5"], "refused: out_of_range"),
        (&[r#""good""#, r#""cat3""#], "refused: wrong_type"),
    ];
    check("label", Task::Binary, &[], |row| words(row.label.as_ref()), &table);
}

#[test]
fn positive_classes_can_be_named() {
    let table: [(&[&str], &str); 2] =
        [(&[r#""bad""#, "2", "2.0", r#""2.0""#, r#""2""#], "1"), (&[r#""good""#, "1", "true", r#""1""#], "0")];
    check("label", Task::Binary, &["bad", "2"], |row| words(row.label.as_ref()), &table);
    check("class", Task::Binary, &["bad", "2"], |row| words(row.predicted.as_ref()), &table);
}

#[test]
fn classes_are_compared_by_value() {
    let show: fn(&Row) -> String = |row| words(row.predicted.as_ref());
    let two: [(&[&str], &str); 2] = [
        (&["1", "1.0", "true", r#""1""#, r#""1.0""#, r#""True""#, r#""yes""#], "1"),
        (&["0", "0.0", "false", r#""0.0""#, r#""no""#], "0"),
    ];
    check("class", Task::Binary, &[], show, &two);
    let several: [(&[&str], &str); 4] = [
        (&["3", "3.0", r#""3""#, r#""3.0""#], "3"),
        (&["true", r#""True""#], "true"),
        (&[r#""Cat""#], "Cat"),
        (&[r#""""#], "missing"),
    ];
    check("class", Task::Multiclass, &[], show, &several);
}

#[test]
fn categories_are_compared_by_value_and_versions_as_written() {
    let table: [(&[&str], &str); 5] = [
        (&["17", "17.0", r#""17""#, r#""17.0""#], "17"),
        (&["2.5", r#""2.5""#], "2.5"),
        (&["true", r#""True""#, r#""TRUE""#], "true"),
        (&[r#""007""#], "007"),
        (&[r#""1.10""#], "1.10"),
    ];
    check("category", Task::Binary, &[], |row| words(row.categorical[0].as_ref()), &table);
    let versions: [(&[&str], &str); 2] = [(&[r#""1.0""#], "1.0"), (&["3", r#""3""#], "3")];
    check("version", Task::Binary, &[], |row| words(row.version.as_ref()), &versions);
}

#[test]
fn errors_statuses_and_ids_are_read_alike() {
    let failed: [(&[&str], &str); 2] = [
        (&["true", "1", r#""True""#, r#""yes""#, r#""timeout""#, "500", r#""1""#], "true"),
        (&["false", "0", "0.0", r#""False""#, r#""no""#, r#""0""#, r#""""#, r#""None""#], "false"),
    ];
    check("error", Task::Binary, &[], |row| words(row.failed.as_ref()), &failed);
    let status: [(&[&str], &str); 3] = [
        (&["503", "503.0", r#""503""#], "503"),
        (&["0.5"], "refused: wrong_type"),
        (&["99999"], "refused: out_of_range"),
    ];
    check("status", Task::Binary, &[], |row| words(row.status.as_ref()), &status);
    let one = stable_hash(b"12").to_string();
    let ids: [(&[&str], &str); 2] =
        [(&["12", "12.0", r#""12""#, r#""12.0""#], one.as_str()), (&["12.5"], "refused: wrong_type")];
    check("id", Task::Binary, &[], |row| words(row.id.as_ref()), &ids);
}

#[test]
fn times_are_read_with_and_without_zones() {
    let table: [(&[&str], &str); 4] = [
        (&["86400", "86400.0", r#""86400""#], "86400000000"),
        (
            &[r#""1970-01-02""#, r#""1970-01-02 00:00:00""#, r#""1970-01-02T00:00""#, r#""1970-01-02 00:00:00+00""#],
            "86400000000",
        ),
        (&[r#""1970-01-02 02:00:00+02""#, r#""1970-01-02T02:00:00+0200""#], "86400000000"),
        (&[r#""yesterday""#, r#""02/01/1970""#], "refused: wrong_type"),
    ];
    check("time", Task::Binary, &[], |row| row.event_time.to_string(), &table);
}

#[test]
fn objects_with_numbers_that_json_does_not_know_are_read() {
    let read = object(br#"{"x": NaN, "y": [-Infinity, 1e999], "say \"NaN": "NaN, -Infinity", "z": 5}"#).unwrap();
    assert_eq!(read["x"], "NaN");
    assert_eq!(read["y"], serde_json::json!(["-Infinity", "1e999"]));
    assert_eq!(read["say \"NaN"], "NaN, -Infinity");
    assert_eq!(object(b"{\"x\": NoN}"), None);
    let line = br#"{"topic": "t", "value": {"x": NaN, "y": -Infinity}}"#;
    let finite = json::finite(line).unwrap();
    assert_eq!(finite.len(), line.len());
    assert!(serde_json::from_slice::<Value>(&finite).is_ok());
    assert_eq!(json::finite(b"{}"), None);
    assert_eq!(Poison::WrongType.to_string(), "wrong_type");
}
