//! Whatever `init` writes is a pipeline that passes `check` and replays the very files it was made of: over tables that
//! are made up, with names and values as people have them. The seed of a table that fails is printed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use haldane::config;
use haldane::init;
use haldane::replay::{self, ReplayOptions, ReplayStep};
use haldane::sim::Rng;
use parquet::arrow::ArrowWriter;
use serde_json::{Map, Value, json};

/// Tables of a run of the tests.
const TABLES: u64 = 150;
/// Names that columns have, of roles, of YAML, of nobody in particular.
const NAMES: [&str; 58] = [
    "score",
    "Score",
    "SCORE",
    "prediction",
    "pred",
    "y_pred",
    "y",
    "label",
    "target",
    "truth",
    "id",
    "ID",
    "index",
    "prediction_id",
    "user_id",
    "order_id",
    "uuid",
    "version",
    "model",
    "model_version",
    "status",
    "code",
    "error",
    "failed",
    "latency",
    "latency_ms",
    "duration",
    "duration_s",
    "country",
    "segment",
    "region",
    "platform",
    "amount",
    "psi",
    "mean",
    "yes",
    "null",
    "true",
    "1",
    "1st",
    "-",
    "a b",
    "a.b",
    "a-b",
    "a:b",
    "a#b",
    "#",
    "é",
    "名前",
    "x'y",
    "x\"y",
    "{x}",
    "[x]",
    "&x",
    "*x",
    "!x",
    "%x",
    "unnamed: 0",
];
/// Names and forms of the event time.
const TIMES: [&str; 6] = ["event_time", "ts", "timestamp", "time", "created_at", "when was it"];

/// What is said of tables that nothing can be made of.
const NOTHING: [&str; 2] = ["has no column that can be watched", "holds no predictions"];

/// What a column holds.
#[derive(Debug, Clone, Copy)]
enum Values {
    Share,
    Normal,
    Tiny,
    Huge,
    Whole(u32),
    LongId,
    Rows,
    Letters(u32),
    Unique,
    Uuid,
    Truth,
    YesNo,
    Class,
    NumberText,
    Percent,
    Date,
    TimeOfDay,
    Lasted,
    Status,
    Constant,
    Nothing,
    Sparse,
    NotANumber,
    OneOdd,
    Padded,
    Long,
}

const VALUES: [Values; 31] = [
    Values::Share,
    Values::Share,
    Values::Normal,
    Values::Tiny,
    Values::Huge,
    Values::Whole(2),
    Values::Whole(3),
    Values::Whole(7),
    Values::Whole(5000),
    Values::LongId,
    Values::Rows,
    Values::Letters(2),
    Values::Letters(9),
    Values::Letters(400),
    Values::Unique,
    Values::Uuid,
    Values::Truth,
    Values::YesNo,
    Values::Class,
    Values::NumberText,
    Values::Percent,
    Values::Date,
    Values::TimeOfDay,
    Values::Lasted,
    Values::Status,
    Values::Constant,
    Values::Nothing,
    Values::Sparse,
    Values::NotANumber,
    Values::OneOdd,
    Values::Padded,
];

fn below(rng: &mut Rng, n: u64) -> u64 {
    rng.bits() % n
}

fn one_of<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    all[usize::try_from(below(rng, all.len() as u64)).unwrap()]
}

/// The value of a row.
fn value(values: Values, row: u64, rng: &mut Rng) -> Value {
    let lasted = |seconds: u64| format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match values {
        Values::Share => json!(rng.unit()),
        Values::Normal => json!(rng.normal() * 3.0 + 1.0),
        Values::Tiny => json!(rng.normal() * 1e-12),
        Values::Huge => json!(rng.normal() * 1e200),
        Values::Whole(n) => json!(below(rng, n.into())),
        Values::LongId => json!(1_152_921_504_606_846_976_u64 + row),
        Values::Rows => json!(row),
        Values::Letters(n) => json!(format!("c{}", below(rng, n.into()))),
        Values::Unique => json!(format!("free text {row}")),
        Values::Uuid => json!(format!("{:08x}-{:04x}-4{:03x}", rng.bits() as u32, row & 0xFFFF, row & 0xFFF)),
        Values::Truth => json!(rng.chance(0.3)),
        Values::YesNo => json!(if rng.chance(0.4) { "Yes" } else { "No" }),
        Values::Class => json!(one_of(rng, &["good", "bad"])),
        Values::NumberText => json!(format!("{:.2}", rng.normal())),
        Values::Percent => json!(format!("{} %", below(rng, 100))),
        Values::Date => json!(format!("2024-05-{:02}", 1 + row % 28)),
        Values::TimeOfDay => json!(lasted(below(rng, 86_400))),
        Values::Lasted => json!(format!("0 days {}", lasted(below(rng, 900)))),
        Values::Status => json!(one_of(rng, &[200, 200, 200, 404, 503])),
        Values::Constant => json!(7),
        Values::Nothing => Value::Null,
        Values::Sparse => {
            if rng.chance(0.02) {
                json!(rng.unit())
            } else {
                Value::Null
            }
        }
        Values::NotANumber => json!(one_of(rng, &["NaN", "1.5", "2.5", "inf"])),
        Values::OneOdd => {
            if row == 700 {
                json!("n/a?")
            } else {
                json!(rng.unit())
            }
        }
        Values::Padded => json!(format!(" {} ", below(rng, 5))),
        Values::Long => json!("x".repeat(300)),
    }
}

/// A made-up table.
struct Table {
    seed: u64,
    columns: Vec<(String, Values)>,
    time: (String, u64),
    rows: Vec<Map<String, Value>>,
}

impl Table {
    fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed.wrapping_mul(7919));
        let mut columns: Vec<(String, Values)> = Vec::new();
        for _ in 0..=below(&mut rng, 9) {
            let (name, values) = (one_of(&mut rng, &NAMES), one_of(&mut rng, &VALUES));
            if columns.iter().all(|(known, _)| known != name) {
                columns.push((name.to_owned(), values));
            }
        }
        if below(&mut rng, 40) == 0 {
            columns.push(("wide".repeat(60), Values::Long));
        }
        let time = (one_of(&mut rng, &TIMES).to_owned(), below(&mut rng, 7));
        let n = 800 + below(&mut rng, 700);
        let row = |row: u64| {
            let at = 1_714_521_600 + row * 45;
            let mut cells = Map::new();
            cells.insert(time.0.clone(), instant(time.1, at));
            columns.iter().for_each(|(name, values)| _ = cells.insert(name.clone(), value(*values, row, &mut rng)));
            cells
        };
        let rows = (0..n).map(row).collect();
        Self { seed, columns, time, rows }
    }

    /// Writes the table in a format.
    fn write(&self, folder: &Path, format: &str) -> PathBuf {
        let path = folder.join(format!("made {}.{format}", self.seed));
        match format {
            "jsonl" => {
                let lines = self.rows.iter().map(|row| Value::Object(row.clone()).to_string() + "\n");
                std::fs::write(&path, lines.collect::<String>()).unwrap();
            }
            "csv" => std::fs::write(&path, self.csv()).unwrap(),
            _ => {
                let table = RecordBatch::try_from_iter(self.names().map(|name| (name, self.array(name)))).unwrap();
                let mut writer =
                    ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), table.schema(), None).unwrap();
                writer.write(&table).unwrap();
                writer.close().unwrap();
            }
        }
        path
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.time.0.as_str()).chain(self.columns.iter().map(|(name, _)| name.as_str()))
    }

    fn csv(&self) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let cell = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => quoted(text),
            other => other.to_string(),
        };
        let mut text = self.names().map(quoted).collect::<Vec<_>>().join(",") + "\n";
        for row in &self.rows {
            text += &(self.names().map(|name| cell(&row[name])).collect::<Vec<_>>().join(",") + "\n");
        }
        text
    }

    /// A column with the type that all its values have.
    fn array(&self, name: &str) -> ArrayRef {
        let values = || self.rows.iter().map(|row| &row[name]);
        let present = || values().filter(|value| !value.is_null());
        if present().next().is_some() && present().all(Value::is_boolean) {
            Arc::new(values().map(Value::as_bool).collect::<BooleanArray>())
        } else if present().next().is_some() && present().all(|value| value.as_i64().is_some()) {
            Arc::new(values().map(Value::as_i64).collect::<Int64Array>())
        } else if present().all(Value::is_number) {
            Arc::new(values().map(Value::as_f64).collect::<Float64Array>())
        } else {
            let text = |value: &Value| match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            Arc::new(values().map(text).collect::<StringArray>())
        }
    }
}

/// An event time in one of the forms that people write.
fn instant(form: u64, seconds: u64) -> Value {
    let (day, time) = (seconds / 86_400 - 19_844, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", time / 3_600, time / 60 % 60, time % 60);
    let date = format!("2024-05-{:02}", day + 1);
    match form {
        0 => json!(format!("{date}T{clock}Z")),
        1 => json!(format!("{date} {clock}")),
        2 => json!(format!("{date} {clock}.250+00")),
        3 => json!(seconds),
        4 => json!(seconds * 1_000),
        5 => json!(seconds * 1_000_000),
        _ => json!(format!("{date}T{clock}+02:00")),
    }
}

/// What is wrong with the pipeline of a file.
fn wrong(path: &Path, rows: usize) -> Option<String> {
    let files = [path.to_owned()];
    let draft = match init::draft(&files) {
        Ok(draft) => draft,
        // Of tables that hold nothing but times, labels and the like.
        Err(error) if NOTHING.iter().any(|nothing| error.to_string().ends_with(nothing)) => return None,
        Err(error) => return Some(format!("no pipeline: {error}")),
    };
    let pipeline = match config::parse(&draft.text, "made.yaml", Path::new("")) {
        Ok(pipeline) => pipeline,
        Err(error) => return Some(format!("is no pipeline: {error}\n{}", draft.text)),
    };
    let log = match replay::open(&pipeline.plan, &files, &ReplayOptions::default()) {
        Ok(log) => log,
        Err(error) => return Some(format!("cannot be replayed: {error}\n{}", draft.text)),
    };
    let (mut counted, mut refused, mut example) = (0, 0, String::new());
    for step in log {
        match step {
            Ok(ReplayStep::Batch(batch)) => counted += batch.len(),
            Ok(ReplayStep::Refused(some)) => {
                refused += some.len();
                example = format!("{:?}", some.first());
            }
            Ok(ReplayStep::End { .. }) => {}
            Err(error) => return Some(format!("is not read to its end: {error}\n{}", draft.text)),
        }
    }
    // Of thousands of rows one may be odd.
    (counted + refused != rows || refused > 1)
        .then(|| format!("{counted} rows counted and {refused} refused of {rows}: {example}\n{}", draft.text))
}

#[test]
fn whatever_is_written_replays_its_own_sample() {
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for seed in 1..=TABLES {
        let table = Table::of(seed);
        for format in ["csv", "jsonl", "parquet"] {
            let path = table.write(folder.path(), format);
            if let Some(wrong) = wrong(&path, table.rows.len()) {
                failures.push(format!("seed {seed} as {format}, {:?}: {wrong}", table.columns));
            }
            std::fs::remove_file(&path).unwrap();
        }
    }
    let shown = failures.iter().take(20).map(|failure| failure.chars().take(1_500).collect::<String>());
    let shown = shown.collect::<Vec<_>>().join("\n----\n");
    assert!(failures.is_empty(), "{} of {} files:\n{shown}", failures.len(), 3 * TABLES);
}
