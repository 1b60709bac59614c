//! A drift report from two Parquet files to the page: wall and CPU seconds, peak memory, size of the page. The files
//! are the flights log's two frames, and 1,000,000 rows of 50 numeric columns in each of two more.
//!
//! `cargo bench --bench report` measures it; with `-- --evidently PYTHON`, a Python that has evidently 0.7.23, its
//! drift preset over the same columns of the same files right after, and the ratios. Both leave their pages in the
//! target directory. `cargo test --benches` does it once, over a few rows. The made columns are normal, lognormal,
//! heavy-tailed, whole numbers and zero-inflated in turn; every third of them drifts.

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use common::{Seeded, is_measuring, median, wall_s};
use haldane::report::{self, CompareRequest};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

const COLUMNS: u32 = 50;
const ROUNDS: usize = 5;
/// Most that a page may take, bytes.
const PAGE_BYTES_GOAL: f64 = 1e6;

/// Two files to compare.
struct Case {
    name: &'static str,
    reference: PathBuf,
    current: PathBuf,
}

/// What one report took, and how large it is.
#[derive(serde::Deserialize)]
struct Cost {
    wall_s: f64,
    cpu_s: f64,
    peak_mb: f64,
    page_bytes: f64,
}

fn main() {
    let (rows, rounds) = if is_measuring() { (1_000_000, ROUNDS) } else { (2_000, 1) };
    let data = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/data").join(name);
    let flights = Case {
        name: "flights",
        reference: data("flights.reference.parquet"),
        current: data("flights.predictions.parquet"),
    };
    let made = Case { name: "made", reference: file("reference", rows), current: file("current", rows) };
    let evidently = std::env::args_os().skip_while(|argument| argument != "--evidently").nth(1).map(PathBuf::from);
    println!("made: 2 x {rows} rows, {COLUMNS} numeric columns; {rounds} rounds; page below {PAGE_BYTES_GOAL} bytes");
    println!("files    program       wall s    CPU s  peak MB  page kB");
    for case in [&flights, &made] {
        let (ours, columns) = ours(case, rounds);
        row(case.name, "haldane", &ours);
        assert!(ours.page_bytes < PAGE_BYTES_GOAL, "the page is {} bytes long", ours.page_bytes);
        if let Some(python) = &evidently {
            let theirs = theirs(case, python, &columns);
            row(case.name, "evidently", &theirs);
            let ratio = |of: fn(&Cost) -> f64| of(&theirs) / of(&ours);
            let (wall, cpu) = (ratio(|cost| cost.wall_s), ratio(|cost| cost.cpu_s));
            println!(
                "{:<8} ratio        {wall:>7.0} x{cpu:>7.0} x{:>7.0} x{:>7.1} x",
                case.name,
                ratio(|cost| cost.peak_mb),
                ratio(|cost| cost.page_bytes)
            );
        }
    }
}

fn row(case: &str, program: &str, cost: &Cost) {
    let Cost { wall_s, cpu_s, peak_mb, page_bytes } = cost;
    println!("{case:<8} {program:<12} {wall_s:>8.2} {cpu_s:>8.2} {peak_mb:>8.0} {:>8.0}", page_bytes / 1e3);
}

fn page_of(case: &Case) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{}.html", case.name))
}

/// Medians of a few rounds, and the columns that were tested, as JSON.
#[expect(clippy::cast_precision_loss, reason = "a few rounds, and sizes of pages")]
fn ours(case: &Case, rounds: usize) -> (Cost, String) {
    let request = CompareRequest {
        reference: vec![case.reference.clone()],
        current: vec![case.current.clone()],
        ..CompareRequest::default()
    };
    let (mut page, mut columns) = (String::new(), String::new());
    let mut once = || {
        let comparison = report::compare(&request, None).expect("two files of one layout");
        let of = |kind: &str| -> Vec<String> {
            let all = comparison.columns.iter().filter(|column| column.kind == kind);
            all.map(|column| column.column.clone()).collect()
        };
        columns = serde_json::json!({ "numeric": of("numeric"), "categorical": of("categorical") }).to_string();
        page = report::page(&report::report(Some(comparison), None));
    };
    forget_peak_memory();
    let before = cpu_s();
    let wall_s = median((0..rounds).map(|_| wall_s(&mut once)).collect());
    let cpu_s = (cpu_s() - before) / rounds as f64;
    std::fs::write(page_of(case), &page).expect("a writable directory");
    (Cost { wall_s, cpu_s, peak_mb: peak_memory_mb(), page_bytes: page.len() as f64 }, columns)
}

fn theirs(case: &Case, python: &Path, columns: &str) -> Cost {
    let page = page_of(case).with_extension("evidently.html");
    let mut script = Command::new(python);
    script.args(["-W", "ignore", "-c", include_str!("report/evidently.py")]);
    let done = script.args([&case.reference, &case.current, &page]).arg(columns).output();
    let done = done.unwrap_or_else(|error| panic!("{} does not start: {error}", python.display()));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said = String::from_utf8_lossy(&done.stdout);
    serde_json::from_str(said.lines().last().unwrap_or_default()).expect("one JSON object")
}

/// A file: written once per size and kept in the target directory.
fn file(side: &str, rows: usize) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{side}-{rows}.parquet"));
    if !path.exists() {
        let partial = path.with_extension("partial");
        write(&partial, rows, side == "current");
        std::fs::rename(&partial, &path).expect("the target directory is writable");
    }
    path
}

fn write(path: &Path, rows: usize, is_current: bool) {
    let columns =
        (0..COLUMNS).map(|column| (format!("x{column}"), Arc::new(column_of(column, rows, is_current)) as ArrayRef));
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let properties =
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_dictionary_enabled(false).build();
    let file = File::create(path).expect("a writable directory");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a schema of floats");
    writer.write(&batch).expect("room on the disk");
    writer.close().expect("room on the disk");
}

fn column_of(column: u32, rows: usize, is_current: bool) -> Float64Array {
    let mut random = Seeded(u64::from(column) * 2 + u64::from(is_current));
    let shift = if is_current && column.is_multiple_of(3) { 0.4 } else { 0.0 };
    let mut draw = || {
        let z = random.normal() + shift;
        match column % 5 {
            0 => z,
            1 => (1.5 * z).exp(),
            2 => z / random.unit().sqrt(),
            3 => (20.0 * z).round(),
            _ => z.max(0.0),
        }
    };
    (0..rows).map(|_| Some(draw())).collect()
}

/// CPU seconds of all threads so far; Linux's clock ticks a hundred times a second.
fn cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux tells a process's times");
    let fields: Vec<&str> = text.rsplit_once(')').expect("a name in brackets").1.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("ticks");
    (ticks(11) + ticks(12)) / 100.0
}

fn forget_peak_memory() {
    if let Err(error) = std::fs::write("/proc/self/clear_refs", "5") {
        println!("peak memory includes writing the files: {error}");
    }
}

fn peak_memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process's memory");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.expect("VmHWM in kB") * 1024.0 / 1e6
}
