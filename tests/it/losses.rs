//! What does not count is told: rows, labels, topics and columns, in every format and by every command that reads
//! files.
#![expect(clippy::format_collect, reason = "a few lines of text")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use crate::store::haldane;

/// When the first prediction was made.
const START: i64 = 1_700_000_000_000_000;
const MINUTE: i64 = 60_000_000;

const PIPELINE: &str = "
pipeline: losses
task: binary
sources:
  predictions:
    topic: p
    event_time: { path: at, unit: us }
    id: id
    model: { constant: m }
    version: v
    score: s
    features: { numeric: { x: { path: x, range: [0, 10] } } }
  outcomes:
    topic: o
    event_time: { path: at, unit: us }
    id: id
    label: y
windows: { size: 1h, lateness: 5m, skew_max: 1h }
labels: { wait: 1h, horizon: 2h }
rollout: { baseline: a }
";

/// A folder with a pipeline, and where its files are.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write("p.yaml", PIPELINE.as_bytes());
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).expect("a file");
        self.path(name).display().to_string()
    }

    /// Writes a table of texts as what the ending of its name says.
    fn table(&self, name: &str, names: &[&str], rows: &[Vec<String>]) -> String {
        let path = self.path(name);
        match path.extension().and_then(|ending| ending.to_str()).expect("an ending") {
            "csv" => {
                let lines = rows.iter().map(|row| row.join(",") + "\n").collect::<String>();
                self.write(name, format!("{}\n{lines}", names.join(",")).as_bytes())
            }
            "jsonl" => {
                let object = |row: &Vec<String>| {
                    let members = names.iter().zip(row).map(|(name, cell)| ((*name).to_owned(), cell.as_str().into()));
                    serde_json::Value::Object(members.collect()).to_string() + "\n"
                };
                self.write(name, rows.iter().map(object).collect::<String>().as_bytes())
            }
            _ => {
                write_parquet(&path, names, rows);
                path.display().to_string()
            }
        }
    }
}

fn write_parquet(path: &Path, names: &[&str], rows: &[Vec<String>]) {
    let column = |at: usize| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row[at]))) };
    let columns = names.iter().enumerate().map(|(at, name)| (*name, column(at)));
    let table = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, table.schema(), None).expect("a writer");
    writer.write(&table).expect("a table");
    writer.close().expect("a file");
}

const PREDICTION: [&str; 5] = ["at", "id", "v", "s", "x"];

/// A prediction a minute.
fn predictions(n: usize) -> Vec<Vec<String>> {
    let row = |at: usize| {
        let time = START + at as i64 * MINUTE;
        vec![time.to_string(), format!("r{at}"), "a".to_owned(), "0.5".to_owned(), (at % 10).to_string()]
    };
    (0..n).map(row).collect()
}

fn program(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_haldane")).args(words).output().expect("the program runs")
}

#[test]
fn rows_that_are_read_and_refused_are_all_rows_in_every_format() {
    let folder = Folder::new();
    let mut rows = predictions(100);
    rows[7][4] = "far".to_owned();
    rows[8][4] = "far".to_owned();
    rows[40][3] = "2".to_owned();
    for (name, place) in [("a.csv", "line 9"), ("a.jsonl", "line 8"), ("a.parquet", "row 8")] {
        let file = folder.table(name, &PREDICTION, &rows);
        let said = haldane(&["replay", "-c", folder.path("p.yaml").to_str().unwrap(), &file]).expect("a replay");
        assert!(said.starts_with("97 rows read, 0 late"), "{said}");
        let lost = format!(
            "lost: 3.0 % of the rows (3 of 100) are refused: 2 wrong_type, as {file}, {place}: x: expected a number"
        );
        assert!(said.contains(&lost) && said.contains("; 1 out_of_range, as "), "{name}: {said}");
        let config = folder.path("p.yaml").display().to_string();
        let profile = folder.path("profile.json").display().to_string();
        let said = haldane(&["baseline", "build", "-c", &config, "-o", &profile, &file]).expect("a profile");
        assert!(said.contains(&lost), "{name}: {said}");
    }
}

#[test]
fn labels_are_told_by_what_became_of_them() {
    let folder = Folder::new();
    let rows = predictions(100);
    let label = |id: &str, minute: i64| vec![(START + minute * MINUTE).to_string(), id.to_owned(), "1".to_owned()];
    let mut labels: Vec<Vec<String>> = (0..80).map(|at| label(&format!("r{at}"), at + 100)).collect();
    labels.push(label("r90", 60)); // before its prediction, within what clocks may differ
    labels.push(label("r91", -30)); // long before its prediction
    labels.extend([label("r1", 120), label("r2", 120)]); // second ones
    labels.extend([label("x", 120), label("y", 120), label("z", 120)]); // of no prediction
    labels.push(label("r92", 600)); // after the horizon
    labels.sort();
    for ending in ["csv", "jsonl", "parquet"] {
        let predictions = folder.table(&format!("p.{ending}"), &PREDICTION, &rows);
        let outcomes = folder.table(&format!("o.{ending}"), &["at", "id", "y"], &labels);
        let config = folder.path("p.yaml").display().to_string();
        let said = haldane(&["replay", "-c", &config, &predictions, &outcomes]).expect("a replay");
        let line = said.lines().nth(1).unwrap_or_default();
        assert_eq!(line, "labels: 81 joined, 3 orphaned, 1 after the horizon, 1 early, 2 further ones", "{said}");
        assert!(said.contains("lost: 1.1 % of the labels (1 of 88) are older than their prediction"), "{said}");
    }
}

#[test]
fn quiet_replays_still_tell_and_the_exit_code_can_fail() {
    let folder = Folder::new();
    let mut rows = predictions(100);
    let config = folder.path("p.yaml").display().to_string();
    let good = folder.table("good.csv", &PREDICTION, &rows);
    let strict = ["replay", "-c", &config, "-q", "--fail-on", "quality"];
    let output = program(&[&strict[..], &[&good]].concat());
    assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(0), 0, 0));
    rows[3][4] = "far".to_owned();
    let bad = folder.table("bad.csv", &PREDICTION, &rows);
    let output = program(&[&strict[..], &[&bad]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.contains("warning: 1.0 % of the rows (1 of 100) are refused: 1 wrong_type, as "), "{said}");
    let output = program(&["replay", "-c", &config, "-q", &bad]);
    assert_eq!(output.status.code(), Some(0), "losses fail nothing unless asked to");
    let profile = folder.path("profile.json").display().to_string();
    let output = program(&["baseline", "build", "-c", &config, "-o", &profile, "--fail-on", "quality", &bad]);
    assert_eq!((output.status.code(), folder.path("profile.json").exists()), (Some(1), true));
}

#[test]
fn what_is_left_out_of_a_file_as_a_whole_is_lost() {
    let folder = Folder::new();
    let config = folder.path("p.yaml").display().to_string();
    let event = |row: &Vec<String>| format!(r#"{{"at":{},"id":"{}","v":"a","s":0.5,"x":1}}"#, row[0], row[1]);
    let line = |row: &Vec<String>| format!(r#"{{"topic":"p","value":{}}}"#, event(row)) + "\n";
    let other = r#"{"topic":"other","value":{"a":1}}"#;
    let lines = predictions(50).iter().map(|row| format!("{}{other}\n", line(row))).collect::<String>();
    let said = haldane(&["replay", "-c", &config, &folder.write("two.jsonl", lines.as_bytes())]).expect("a replay");
    assert!(said.contains("50 lines of topic `other` feed no source"), "{said}");
    let twice = folder.table("twice.csv", &["at", "id", "v", "s", "x", "x"], &[vec!["1".to_owned(); 6]]);
    let said = haldane(&["replay", "-c", &config, &twice]).expect("a replay");
    assert!(said.contains("lost: ") && said.contains("has two columns `x`; the first is read"), "{said}");
}

#[test]
fn a_host_whose_clock_is_fast_makes_no_row_of_the_others_late() {
    let folder = Folder::new();
    let mut rows = predictions(600);
    for (minute, row) in (0..).zip(&mut rows) {
        let is_fast = minute % 3 > 0;
        row[0] = (START + (minute + if is_fast { 30 } else { 0 }) * MINUTE).to_string();
        row.push(if is_fast { "fast".to_owned() } else { format!("h{}", minute % 2) });
    }
    let names = [&PREDICTION[..], &["host"]].concat();
    let by_host = PIPELINE.replace("    id: id\n    model", "    id: id\n    producer: host\n    model");
    let config = folder.write("named.yaml", by_host.as_bytes());
    for ending in ["csv", "jsonl", "parquet"] {
        let file = folder.table(&format!("hosts.{ending}"), &names, &rows);
        let late = |config: &str| {
            let said = haldane(&["replay", "-c", config, &file]).expect("a replay");
            let late = said.strip_prefix("600 rows read, ").and_then(|rest| rest.split(' ').next()).map(str::to_owned);
            late.and_then(|late| late.parse::<u32>().ok()).unwrap_or_else(|| panic!("{said}"))
        };
        assert!(late(&folder.path("p.yaml").display().to_string()) > 50, "{ending}: it makes two rows of three");
        assert_eq!(late(&config), 0, "{ending}");
    }
}
