//! Judged windows as a table: Parquet or JSON lines. Equal rows give equal bytes.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::{FileFormat, opened, recognise};
use crate::format::Version;
use crate::judge::{RowStatus, WindowRow};
use crate::trust::Trust;

use super::{CellReader, broken, create};

/// Rows that are turned into columns at once.
const CHUNK_ROWS: usize = 8192;

/// The format of files of windows that this release writes.
const FORMAT: u32 = 1;
/// Where a Parquet file names it, in the metadata of its footer.
const FORMAT_KEY: &str = "haldane.windows.format";

/// A line of a file of windows.
#[derive(Serialize, Deserialize)]
struct RowLine<Row> {
    #[serde(default)]
    format: Version<FORMAT>,
    #[serde(flatten)]
    row: Row,
}

/// Writes window rows in their order.
pub struct WindowWriter {
    path: PathBuf,
    sink: WindowFile,
}

enum WindowFile {
    Parquet { writer: Box<ArrowWriter<BufWriter<File>>>, pending: Vec<WindowRow> },
    Lines(BufWriter<File>),
}

impl WindowWriter {
    /// Opens the file; its extension says which format: `.parquet`, or `.jsonl`, `.ndjson`, `.json`.
    pub fn create(path: &Path) -> Result<Self> {
        let sink = match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => WindowFile::Parquet { writer: Box::new(parquet_writer(path)?), pending: Vec::new() },
            Some("jsonl" | "ndjson" | "json") => WindowFile::Lines(create(path)?),
            _ => {
                return Err(Error::user(format!("cannot tell the format of {}", path.display()))
                    .hint("end the name in .parquet or .jsonl"));
            }
        };
        Ok(Self { path: path.to_owned(), sink })
    }

    /// Adds rows.
    pub fn write(&mut self, rows: &[WindowRow]) -> Result<()> {
        match &mut self.sink {
            WindowFile::Parquet { writer, pending } => {
                pending.extend_from_slice(rows);
                write_chunks(writer, pending, CHUNK_ROWS).map_err(|error| broken(&self.path, error))
            }
            WindowFile::Lines(out) => write_window_lines(out, rows).map_err(|error| broken(&self.path, error)),
        }
    }

    /// Writes what is still in memory, and the footer. Without it a Parquet file cannot be read.
    pub fn finish(self) -> Result<()> {
        let path = self.path;
        match self.sink {
            WindowFile::Parquet { mut writer, mut pending } => {
                write_chunks(&mut writer, &mut pending, 1).map_err(|error| broken(&path, error))?;
                writer.close().map(|_| ()).map_err(|error| broken(&path, error))
            }
            WindowFile::Lines(mut out) => out.flush().map_err(|error| broken(&path, error)),
        }
    }
}

impl std::fmt::Debug for WindowWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

fn parquet_writer(path: &Path) -> Result<ArrowWriter<BufWriter<File>>> {
    let format = KeyValue::new(FORMAT_KEY.to_owned(), FORMAT.to_string());
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(vec![format]))
        .build();
    ArrowWriter::try_new(create(path)?, window_schema(), Some(properties)).map_err(|error| broken(path, error))
}

/// Takes whole chunks of at most [`CHUNK_ROWS`] off `pending` while it holds at least `at_least`.
fn write_chunks(
    writer: &mut ArrowWriter<BufWriter<File>>,
    pending: &mut Vec<WindowRow>,
    at_least: usize,
) -> parquet::errors::Result<()> {
    while pending.len() >= at_least {
        let chunk: Vec<WindowRow> = pending.drain(..pending.len().min(CHUNK_ROWS)).collect();
        writer.write(&window_batch(&chunk))?;
    }
    Ok(())
}

/// Writes rows as lines of a file of windows.
pub fn write_window_lines(out: &mut BufWriter<File>, rows: &[WindowRow]) -> std::io::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut *out, &RowLine { format: Version, row })?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Reads a file that a [`WindowWriter`] wrote, row by row.
///
/// # Errors
/// When the file is none, or names a format that this release does not know.
pub fn read_windows(path: &Path, mut each: impl FnMut(WindowRow)) -> Result<()> {
    let none = |error: &dyn std::fmt::Display| {
        Error::user(format!("{} is not a file of windows", path.display()))
            .because(error.to_string())
            .hint("give the file that `haldane replay --windows` wrote")
    };
    // What is left by a replay that judged nothing.
    if std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0) {
        return Ok(());
    }
    if recognise(path)? != FileFormat::Parquet {
        for line in BufReader::new(opened(path)?).lines() {
            let line = line.map_err(|error| Error::user(format!("cannot read {}", path.display())).because(error))?;
            if !line.trim().is_empty() {
                each(serde_json::from_str::<RowLine<WindowRow>>(&line).map_err(|error| none(&error))?.row);
            }
        }
        return Ok(());
    }
    let file = ParquetRecordBatchReaderBuilder::try_new(opened(path)?).map_err(|error| none(&error))?;
    let named = file.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    if let Some(format) = named.filter(|pair| pair.key == FORMAT_KEY).find_map(|pair| pair.value.as_ref()) {
        serde_json::from_str::<Version<FORMAT>>(format).map_err(|error| none(&error))?;
    }
    for batch in file.build().map_err(|error| none(&error))? {
        let rows = window_rows(&batch.map_err(|error| none(&error))?).map_err(|error| none(&error))?;
        rows.into_iter().for_each(&mut each);
    }
    Ok(())
}

/// The columns of the windows table, named as the fields of [`WindowRow`].
#[must_use]
pub fn window_schema() -> SchemaRef {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let required = |name: &str, data_type: DataType| Field::new(name, data_type, false);
    let optional = |name: &str| Field::new(name, DataType::Float64, true);
    Arc::new(Schema::new(vec![
        required("window_start", time()),
        required("window_end", time()),
        required("model", DataType::Utf8),
        required("version", DataType::Utf8),
        required("segment", DataType::Utf8),
        required("baseline", DataType::Utf8),
        required("reference", DataType::Utf8),
        required("column", DataType::Utf8),
        required("metric", DataType::Utf8),
        required("convention", DataType::Utf8),
        required("revision", DataType::UInt32),
        required("status", DataType::Utf8),
        optional("value"),
        optional("low"),
        optional("high"),
        optional("p_value"),
        required("n", DataType::UInt64),
        required("n_baseline", DataType::UInt64),
        required("bins", DataType::UInt32),
        optional("coverage"),
        required("trust", DataType::Utf8),
        required("doubts", DataType::Utf8),
    ]))
}

/// Rows as columns, in the order of [`window_schema`].
#[must_use]
pub fn window_batch(rows: &[WindowRow]) -> RecordBatch {
    let time = |field: fn(&WindowRow) -> i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(field)).with_timezone("UTC"))
    };
    let text =
        |field: fn(&WindowRow) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(field))) };
    let number = |field: fn(&WindowRow) -> Option<f64>| -> ArrayRef {
        Arc::new(rows.iter().map(field).collect::<Float64Array>())
    };
    let count =
        |field: fn(&WindowRow) -> u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(rows.iter().map(field))) };
    let small =
        |field: fn(&WindowRow) -> u32| -> ArrayRef { Arc::new(UInt32Array::from_iter_values(rows.iter().map(field))) };
    let columns = vec![
        time(|row| row.window_start),
        time(|row| row.window_end),
        text(|row| &row.model),
        text(|row| &row.version),
        text(|row| &row.segment),
        text(|row| &row.baseline),
        text(|row| &row.reference),
        text(|row| &row.column),
        text(|row| &row.metric),
        text(|row| &row.convention),
        small(|row| row.revision),
        text(|row| status_name(row.status)),
        number(|row| row.value),
        number(|row| row.low),
        number(|row| row.high),
        number(|row| row.p_value),
        count(|row| row.n),
        count(|row| row.n_baseline),
        small(|row| row.bins),
        number(|row| row.coverage),
        text(|row| row.trust.name()),
        text(|row| &row.doubts),
    ];
    RecordBatch::try_new(window_schema(), columns).expect("the columns are those of the schema")
}

/// Rows of a windows table, read back.
///
/// # Errors
/// When a column is not of the type it has in [`window_schema`].
pub fn window_rows(batch: &RecordBatch) -> Result<Vec<WindowRow>> {
    let cells = CellReader::of(batch);
    let (start, end) = (cells.time("window_start")?, cells.time("window_end")?);
    let (model, version, segment) = (cells.text("model")?, cells.text("version")?, cells.text("segment")?);
    let (baseline, reference, column) = (cells.text("baseline")?, cells.text("reference")?, cells.text("column")?);
    let (metric, convention, status) = (cells.text("metric")?, cells.text("convention")?, cells.text("status")?);
    let (value, low, high) = (cells.number("value")?, cells.number("low")?, cells.number("high")?);
    let (p_value, coverage) = (cells.number("p_value")?, cells.number("coverage")?);
    let (trust, doubts) = (cells.text("trust")?, cells.text("doubts")?);
    let (n, n_baseline) = (cells.count("n")?, cells.count("n_baseline")?);
    let (revision, bins) = (cells.small("revision")?, cells.small("bins")?);
    let row = |at| WindowRow {
        window_start: start(at),
        window_end: end(at),
        model: model(at),
        version: version(at),
        segment: segment(at),
        baseline: baseline(at),
        reference: reference(at),
        column: column(at),
        metric: metric(at),
        convention: convention(at),
        revision: revision(at),
        status: status_of(&status(at)),
        value: value(at),
        low: low(at),
        high: high(at),
        p_value: p_value(at),
        n: n(at),
        n_baseline: n_baseline(at),
        bins: bins(at),
        coverage: coverage(at),
        trust: trust_of(&trust(at)),
        doubts: doubts(at),
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

/// The status of a name; one of a later release says that there is no number.
fn status_of(name: &str) -> RowStatus {
    match name {
        "ok" => RowStatus::Ok,
        "insufficient" => RowStatus::Insufficient,
        _ => RowStatus::Undefined,
    }
}

/// The trust of a name; of files that came before it was looked at there is none.
fn trust_of(name: &str) -> Trust {
    Trust::ALL.into_iter().find(|trust| trust.name() == name).unwrap_or_default()
}

fn status_name(status: RowStatus) -> &'static str {
    match status {
        RowStatus::Ok => "ok",
        RowStatus::Insufficient => "insufficient",
        RowStatus::Undefined => "undefined",
    }
}

#[cfg(test)]
mod tests;
