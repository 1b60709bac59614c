//! Readers of files, records and pipelines on input that was damaged at random: nothing panics, nothing is called an
//! internal error, and every row is either counted or refused.
//!
//! CI tries so many seeds. `HALDANE_FUZZ_SECONDS=600 cargo test --test it fuzz` goes on for that long, and with
//! `HALDANE_FUZZ_COUNT` for so many seeds: other ones each time it is given another `HALDANE_FUZZ_SEED`. A failure
//! names the seed that repeats it.
#![expect(clippy::format_collect, reason = "a few lines of text")]

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use arrow::array::*;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, TimeUnit};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use haldane::config;
use haldane::decode::{Record, decoder};
use haldane::engine::Engine;
use haldane::error::{Error, Fault};
use haldane::event::SECOND;
use haldane::plan::{Format, Plan};
use haldane::replay::{self, ReplayOptions, ReplayStep};
use haldane::report::{self, CompareRequest};
use haldane::sim::rng::Rng;
use parquet::arrow::ArrowWriter;

use crate::decode_columnar::ipc;

/// Seeds of each reader that CI tries.
const SEEDS: u64 = 150;
/// After so long a case is taken to be one that never ends.
const ENDLESS: Duration = Duration::from_mins(5);
/// When the first row happened.
const START: i64 = 1_700_000_000_000_000;

const PIPELINE: &str = "
pipeline: fuzz
task: binary
sources:
  predictions:
    topic: p
    event_time: { path: at, unit: us }
    id: id
    model: { constant: m }
    version: v
    segments: { k: k }
    score: s
    label: y
    predicted_label: c
    status: status
    error: e
    latency: { path: ms, unit: ms }
    features: { numeric: { x: { path: x, range: [0, 10] } }, categorical: { k: k } }
windows: { size: 1h }
labels: {}
rollout: { baseline: a }
";

fn plan() -> Arc<Plan> {
    config::parse(PIPELINE, "fuzz", Path::new("")).expect("a pipeline").plan
}

/// Runs a case for one seed after another, for as many as CI has or as long as was asked for.
pub(crate) fn each_seed(what: &str, case: impl Fn(&mut Rng)) {
    each_seed_of(what, SEEDS, case);
}

/// Likewise, where CI tries so many.
pub(crate) fn each_seed_of(what: &str, seeds: u64, case: impl Fn(&mut Rng)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, seconds) = (number("HALDANE_FUZZ_SEED").unwrap_or(0), number("HALDANE_FUZZ_SECONDS"));
    let count = number("HALDANE_FUZZ_COUNT");
    #[expect(clippy::disallowed_methods, reason = "how long to go on is asked of the clock, what comes out is not")]
    let begun = Instant::now();
    let goes_on = |tried: u64| match seconds {
        None => tried < count.unwrap_or(seeds),
        Some(seconds) => begun.elapsed() < Duration::from_secs(seconds),
    };
    let watch = Watch::new(what);
    let mut tried = 0;
    for seed in (first..).take_while(|seed| goes_on(seed - first)) {
        watch.begin(seed);
        let run = AssertUnwindSafe(|| case(&mut Rng::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))));
        if let Err(panic) = catch_unwind(run) {
            eprintln!("{what}: HALDANE_FUZZ_SEED={seed} repeats this");
            resume_unwind(panic);
        }
        tried += 1;
    }
    eprintln!("{what}: {tried} seeds from {first} on, {} s", begun.elapsed().as_secs());
}

/// Tells which seed never ends.
struct Watch(mpsc::Sender<u64>);

impl Watch {
    fn new(what: &str) -> Self {
        let (begin, seeds) = mpsc::channel::<u64>();
        let what = what.to_owned();
        std::thread::spawn(move || {
            let mut last = 0;
            loop {
                match seeds.recv_timeout(ENDLESS) {
                    Ok(seed) => last = seed,
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        eprintln!("{what}: HALDANE_FUZZ_SEED={last} does not end");
                        std::process::abort();
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Self(begin)
    }

    fn begin(&self, seed: u64) {
        self.0.send(seed).expect("a watch that goes on");
    }
}

pub(crate) fn below(rng: &mut Rng, n: usize) -> usize {
    (rng.bits() % n.max(1) as u64) as usize
}

pub(crate) fn one<'a, T: ?Sized>(rng: &mut Rng, all: &[&'a T]) -> &'a T {
    all[below(rng, all.len())]
}

/// Cells that people have, and some that they have by mistake.
pub(crate) const ODD: [&str; 24] = [
    "",
    "NA",
    "NaN",
    "inf",
    "-Infinity",
    "1e400",
    "True",
    "no",
    "1.0",
    "-0",
    "007",
    "1,5",
    "2024-05-01",
    "2024-05-01T12:00:00+00",
    "9999999999999999999",
    "18446744073709551616",
    "[1,2]",
    "{\"a\":1}",
    "a\"b",
    "x\ny",
    "\u{feff}",
    "🦀",
    "a;b|c\td",
    "null",
];
const COLUMNS: [&str; 11] = ["at", "id", "v", "k", "s", "y", "c", "status", "e", "ms", "x"];

/// Rows of texts that make good predictions, but for an odd cell now and then.
fn rows(rng: &mut Rng) -> Vec<Vec<String>> {
    let n = below(rng, 60);
    let odd = if rng.chance(0.5) { 0.05 } else { 0.0 };
    let row = |at: usize, rng: &mut Rng| {
        let good = [
            (START + at as i64 * 60 * SECOND).to_string(),
            format!("r{at}"),
            one(rng, &["a", "b"]).to_owned(),
            one(rng, &["u", "w"]).to_owned(),
            format!("{:.3}", rng.unit()),
            one(rng, &["0", "1"]).to_owned(),
            one(rng, &["0", "1", "true"]).to_owned(),
            one(rng, &["200", "500"]).to_owned(),
            one(rng, &["false", "0", "yes"]).to_owned(),
            format!("{:.1}", rng.exponential() * 50.0),
            format!("{:.2}", rng.unit() * 10.0),
        ];
        good.map(|cell| if rng.chance(odd) { one(rng, &ODD).to_owned() } else { cell }).to_vec()
    };
    (0..n).map(|at| row(at, rng)).collect()
}

/// Changes some bytes, or cuts the end off.
pub(crate) fn damage(rng: &mut Rng, bytes: &mut Vec<u8>) {
    const BYTES: &[u8] = b"\"\",;|\t\n\r{}[]:\\-+.eE0 \0\xff\xc3";
    if rng.chance(0.3) {
        return;
    }
    for _ in 0..=below(rng, 4) {
        let at = below(rng, bytes.len());
        match below(rng, 4) {
            _ if bytes.is_empty() => {}
            0 => bytes[at] = BYTES[below(rng, BYTES.len())],
            1 => bytes.insert(at, BYTES[below(rng, BYTES.len())]),
            2 => drop(bytes.remove(at)),
            _ if rng.chance(0.2) => bytes.truncate(at),
            _ => bytes[at] ^= 1 << below(rng, 8),
        }
    }
}

fn csv(rows: &[Vec<String>], delimiter: &str) -> String {
    let quoted = |cell: &String| {
        let is_plain = !cell.contains([',', ';', '|', '\t', '"', '\n']);
        if is_plain { cell.clone() } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
    };
    let line = |cells: &Vec<String>| cells.iter().map(quoted).collect::<Vec<_>>().join(delimiter) + "\n";
    COLUMNS.join(delimiter) + "\n" + &rows.iter().map(line).collect::<String>()
}

/// A cell as a value of JSON.
fn value(rng: &mut Rng, cell: &str) -> serde_json::Value {
    let parsed = serde_json::from_str(cell).ok().filter(|_| rng.chance(0.8));
    parsed.unwrap_or_else(|| cell.into())
}

fn objects(rng: &mut Rng, rows: &[Vec<String>]) -> Vec<serde_json::Value> {
    let object = |cells: &Vec<String>| {
        let members = COLUMNS.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), value(rng, cell)));
        serde_json::Value::Object(members.collect())
    };
    rows.iter().map(object).collect()
}

/// Writes a file, packed now and then.
fn written(rng: &mut Rng, folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    if rng.chance(0.7) {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a file");
        return path;
    }
    let path = folder.join(format!("{name}.gz"));
    let file = std::fs::File::create(&path).expect("a file");
    let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packer.write_all(bytes).expect("a packed file");
    packer.finish().expect("a packed file");
    path
}

fn is_of_the_user(error: &Error) {
    assert!(matches!(error.fault(), Fault::User | Fault::Candidate), "{error}: exit code {}", error.exit_code());
}

/// Rows that a replay hands on, and those that it refuses; an error of the user's ends it.
fn replayed(path: &Path) -> Option<(u64, u64)> {
    let plan = plan();
    let options = ReplayOptions { predictions: vec![path.to_owned()], ..ReplayOptions::default() };
    let files = replay::open(&plan, &[], &options).inspect_err(is_of_the_user).ok()?;
    let mut engine = Engine::new(Arc::clone(&plan), files.lanes());
    let (mut counted, mut refused, mut next) = (0, 0, 0);
    for step in files {
        match step.inspect_err(is_of_the_user).ok()? {
            ReplayStep::Batch(batch) => {
                counted += batch.len() as u64;
                drop(engine.step(&batch));
            }
            ReplayStep::Refused(rows) => refused += rows.len() as u64,
            ReplayStep::End { source, lane, next_offset } => {
                next += next_offset as u64;
                drop(engine.progress(lane, source, next_offset, true, true));
            }
        }
    }
    assert_eq!(counted + refused, next, "every row has an offset");
    Some((counted, refused))
}

/// Compares a good file with a damaged one; tells rows of the latter that were read and refused.
fn compared(good: &Path, damaged: &Path) -> Option<(u64, u64)> {
    let request = CompareRequest {
        reference: vec![good.to_owned()],
        current: vec![damaged.to_owned()],
        ..CompareRequest::default()
    };
    let comparison = report::compare(&request, None).inspect_err(is_of_the_user).ok()?;
    let read = (comparison.current.rows, comparison.current.refused);
    let report = report::report(Some(comparison), None);
    let lost = report.comparison.as_ref().is_some_and(|comparison| !comparison.problems.is_empty());
    assert!(read.1 == 0 || lost, "rows are lost, and no problem says so");
    assert!(!report::page(&report).is_empty() && !report::junit(&report).is_empty());
    Some(read)
}

fn sum(read: (u64, u64)) -> u64 {
    read.0 + read.1
}

/// A good file that others are held against.
fn good(folder: &Path) -> PathBuf {
    let mut rng = Rng::new(1);
    let path = folder.join("good.csv");
    let rows: Vec<Vec<String>> = std::iter::repeat_with(|| rows(&mut rng)).find(|rows| rows.len() > 40).expect("rows");
    std::fs::write(&path, csv(&rows, ",")).expect("a file");
    path
}

#[test]
fn damaged_csv_is_counted_or_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = good(folder.path());
    each_seed("CSV", |rng| {
        let (rows, delimiter) = (rows(rng), one(rng, &[",", ";", "\t", "|"]));
        let text = csv(&rows, delimiter);
        let mut bytes = text.clone().into_bytes();
        damage(rng, &mut bytes);
        let path = written(rng, folder.path(), "a.csv", &bytes);
        let (replayed, compared) = (replayed(&path), compared(&good, &path));
        for read in [replayed, compared].into_iter().flatten() {
            if bytes == text.as_bytes() {
                assert_eq!(sum(read), rows.len() as u64);
            }
        }
        if let (Some(replayed), Some(compared)) = (replayed, compared) {
            assert_eq!(sum(replayed), sum(compared), "both see the same rows");
        }
    });
}

#[test]
fn damaged_json_is_counted_or_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = good(folder.path());
    each_seed("JSON lines", |rng| {
        let rows = rows(rng);
        let objects = objects(rng, &rows);
        let lines = objects.iter().map(|object| format!("{object}\n")).collect::<String>();
        let mut bytes = lines.into_bytes();
        damage(rng, &mut bytes);
        let path = written(rng, folder.path(), "a.jsonl", &bytes);
        let lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        let (n, is_of_lines) = (lines.clone().count(), lines.take(2).all(|line| line.starts_with(b"{")));
        for read in [replayed(&path), compared(&good, &path)].into_iter().flatten().filter(|_| is_of_lines) {
            assert_eq!(sum(read), n as u64, "every line");
        }
    });
    each_seed("JSON values", |rng| {
        let rows = rows(rng);
        let list = serde_json::Value::Array(objects(rng, &rows));
        let text = if rng.chance(0.5) { list.to_string() } else { format!("{list:#}") };
        let mut bytes = text.clone().into_bytes();
        damage(rng, &mut bytes);
        let path = written(rng, folder.path(), "a.json", &bytes);
        let (replayed, compared) = (replayed(&path), compared(&good, &path));
        for read in [replayed, compared].into_iter().flatten().filter(|_| bytes == text.as_bytes()) {
            assert_eq!(sum(read), rows.len() as u64, "every object of a list");
        }
    });
}

/// A column of texts as one of another type, where all of them can be.
fn typed(rng: &mut Rng, name: &str, cells: &[&str]) -> ArrayRef {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(cells));
    let kinds = [
        DataType::LargeUtf8,
        DataType::Int64,
        DataType::Int32,
        DataType::Float32,
        DataType::Float64,
        DataType::Boolean,
        DataType::Decimal128(20, 3),
        DataType::Binary,
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    ];
    if name == "at" && rng.chance(0.5) {
        let whole = cast(&texts, &DataType::Int64).expect("texts are cast to numbers");
        let unit = [TimeUnit::Microsecond, TimeUnit::Nanosecond, TimeUnit::Millisecond][below(rng, 3)];
        let micros = cast(&whole, &DataType::Timestamp(TimeUnit::Microsecond, None)).expect("times");
        return cast(&micros, &DataType::Timestamp(unit, None)).expect("times");
    }
    if rng.chance(0.1) {
        let lists = cells.iter().map(|_| Some(vec![Some(1), None]));
        return Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
    }
    let kind = &kinds[below(rng, kinds.len())];
    let other = cast(&texts, kind).ok().filter(|other| other.null_count() == 0 && rng.chance(0.5));
    other.unwrap_or(texts)
}

fn table(rng: &mut Rng, rows: &[Vec<String>]) -> RecordBatch {
    let columns = COLUMNS.iter().enumerate().map(|(at, name)| {
        let cells: Vec<&str> = rows.iter().map(|row| row[at].as_str()).collect();
        (*name, typed(rng, name, &cells), true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

fn parquet(_: &mut Rng, table: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), table.schema(), None).expect("a writer");
    writer.write(table).expect("a table");
    writer.into_inner().expect("a file")
}

fn arrow(rng: &mut Rng, table: &RecordBatch) -> Vec<u8> {
    let packed = [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)][below(rng, 3)];
    let options = IpcWriteOptions::default().try_with_compression(packed).expect("a way to pack");
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &table.schema(), options).expect("a writer");
    let cut = below(rng, table.num_rows() + 1);
    for part in [table.slice(0, cut), table.slice(cut, table.num_rows() - cut)] {
        writer.write(&part).expect("a table");
    }
    writer.into_inner().expect("a file")
}

#[test]
fn parquet_of_any_types_is_counted_or_refused() {
    damaged_columns_are_counted_or_refused("a.parquet", parquet);
}

#[test]
fn arrow_files_of_any_types_are_counted_or_refused() {
    damaged_columns_are_counted_or_refused("a.arrow", arrow);
}

fn damaged_columns_are_counted_or_refused(name: &str, write: fn(&mut Rng, &RecordBatch) -> Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let good = good(folder.path());
    each_seed(name, |rng| {
        let rows = rows(rng);
        let table = table(rng, &rows);
        let whole = write(rng, &table);
        let mut bytes = whole.clone();
        match below(rng, 3) {
            0 => bytes.truncate(below(rng, bytes.len())),
            1 => (0..=below(rng, 4)).for_each(|_| {
                let at = below(rng, bytes.len());
                bytes[at] ^= 1 << below(rng, 8);
            }),
            _ => {}
        }
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).expect("a file");
        for read in [replayed(&path), compared(&good, &path)].into_iter().flatten() {
            assert!(
                bytes.len() == whole.len() && bytes != whole || sum(read) == rows.len() as u64,
                "every row, unless a count of rows was damaged; a file that lacks some is an error"
            );
        }
    });
}

#[test]
fn damaged_arrow_streams_are_counted_or_refused() {
    let mut plan = (*plan()).clone();
    plan.sources[0].format = Format::ArrowIpc;
    let plan = Arc::new(plan);
    each_seed("Arrow IPC", |rng| {
        let rows = rows(rng);
        let whole = ipc(&[table(rng, &rows)]);
        let mut bytes = whole.clone();
        if rng.chance(0.3) {
            bytes.truncate(below(rng, bytes.len()));
        }
        let mut decoder = decoder(&plan, 0, 0);
        for (offset, payload) in [&whole, &bytes, &whole].into_iter().enumerate() {
            let (offset, broker_time) = (offset as i64, START + 7200 * SECOND);
            decoder.push(&Record { offset, broker_time, key: None, payload: Some(payload), headers: &[], topic: "t" });
        }
        let read = decoder.finish();
        let of = |offset: i64| {
            let rows = read.batch.offset.values().iter().filter(|&&at| at == offset).count();
            rows + read.rejects.iter().filter(|reject| reject.offset == offset).count()
        };
        assert_eq!(of(0), of(2), "neighbours do not notice");
        assert!(of(0) == rows.len() || of(0) == 1, "each row, or the record as a whole");
        assert!(of(1) >= 1 || rows.is_empty(), "a stream that is cut off is refused");
    });
}

#[test]
fn damaged_pipeline_files_are_errors_of_the_user() {
    let examples = ["flights.yaml", "fraud.yaml"].map(|name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name);
        std::fs::read_to_string(path).expect("an example")
    });
    let texts: Vec<&str> = [PIPELINE].into_iter().chain(examples.iter().map(String::as_str)).collect();
    each_seed("pipeline files", |rng| {
        let text = one(rng, &texts);
        let mut lines: Vec<&str> = text.lines().collect();
        for _ in 0..below(rng, 3) {
            let at = below(rng, lines.len());
            match below(rng, 3) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[below(rng, lines.len())]),
                _ => {
                    lines[at] =
                        one(rng, &["x: [", "- - -", "  : :", "&a *a", "score: !!binary 1", "windows: { size: 1e99h }"]);
                }
            }
        }
        let mut bytes = lines.join("\n").into_bytes();
        damage(rng, &mut bytes);
        let Ok(text) = String::from_utf8(bytes) else { return };
        for parsed in [config::parse(&text, "fuzz", Path::new("")), config::parse_reading(&text, "fuzz", Path::new(""))]
        {
            parsed.inspect_err(is_of_the_user).ok();
        }
    });
}
