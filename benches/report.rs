//! A drift report over two Parquet files of 500,000 rows and 50 numeric columns each, from the files to the page: wall and CPU
//! seconds, peak memory, size of the page.
//!
//! `cargo bench --bench report --no-default-features --features cli` measures it, and leaves the files and the page in the
//! target directory, so that other tools can be timed on the same files. `cargo test --benches` does it once, over a few rows.
//! Columns are normal, lognormal, heavy-tailed, whole numbers and zero-inflated in turn, and every third of them drifts.

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use common::{Seeded, is_measuring, median, wall_s};
use haldane::report::{self, Request};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

const COLUMNS: u32 = 50;
const ROUNDS: usize = 5;
/// Most that a page may take, bytes.
const PAGE_BYTES_GOAL: usize = 1_000_000;

fn main() {
    let (rows, rounds) = if is_measuring() { (500_000, ROUNDS) } else { (2_000, 1) };
    let files = ["reference", "current"].map(|side| file(side, rows));
    let request = Request { reference: files[0].clone(), current: files[1].clone(), ..Request::default() };
    forget_peak_memory();
    let mut page = String::new();
    let before = cpu_s();
    let wall: Vec<f64> = (0..rounds).map(|_| wall_s(&mut || page = page_of(&request))).collect();
    let cpu = cpu_s().zip(before).map(|(after, before)| after - before);
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("report.html"), &page).expect("a writable directory");
    println!("files        {} and {}", files[0].display(), files[1].display());
    println!("rows         2 x {rows}, {COLUMNS} numeric columns, {rounds} rounds");
    println!(
        "wall         {:.2} s median, {:.2} s best",
        median(wall.clone()),
        wall.iter().copied().fold(f64::MAX, f64::min)
    );
    if let Some(cpu) = cpu {
        #[expect(clippy::cast_precision_loss, reason = "a few rounds")]
        let each = cpu / rounds as f64;
        println!("CPU          {each:.2} s a report");
    }
    println!("peak memory  {:.0} MB", peak_memory_mb());
    println!("page         {} bytes (goal < {PAGE_BYTES_GOAL})", page.len());
    assert!(page.len() < PAGE_BYTES_GOAL, "the page is {} bytes long", page.len());
}

fn page_of(request: &Request) -> String {
    let comparison = report::compare(request, None).expect("two files of one layout");
    assert_eq!(comparison.columns.len(), COLUMNS as usize, "every column is tested");
    report::page(&report::report(Some(comparison), None))
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

/// CPU seconds of all threads so far, where the system tells (Linux, whose clock ticks a hundred times a second).
fn cpu_s() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
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
