//! CSV and TSV files with a header line. Every cell is a text here; what it must be, the field that reads its column
//! says.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use csv::{ByteRecord, ReaderBuilder};

use crate::error::{Error, Result};
use crate::event::{Poison, Reject};

use super::columnar::{Chunk, Found};
use super::file::{opened, unreadable};

/// The header's names, and the number of rows (line breaks inside quotes count as rows).
pub(crate) fn header(path: &Path, delimiter: u8) -> Result<(SchemaRef, u64)> {
    let names = names(path, &mut reader(path, delimiter)?)?;
    let mut file = BufReader::with_capacity(1 << 18, opened(path)?);
    let (mut breaks, mut last) = (0_u64, b'\n');
    loop {
        let bytes = file.fill_buf().map_err(|error| unreadable(path, error))?;
        let Some(&end) = bytes.last() else { break };
        last = end;
        breaks += bytes.iter().map(|&byte| u64::from(byte == b'\n')).sum::<u64>();
        let taken = bytes.len();
        file.consume(taken);
    }
    let lines = breaks + u64::from(last != b'\n');
    Ok((schema(&names), lines.saturating_sub(1)))
}

fn names(path: &Path, reader: &mut csv::Reader<File>) -> Result<Vec<String>> {
    let header = reader.headers().map_err(|error| damaged(path, error))?;
    Ok(header.iter().map(|name| name.trim().to_owned()).collect())
}

fn schema(names: &[String]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>()))
}

fn reader(path: &Path, delimiter: u8) -> Result<csv::Reader<File>> {
    let file = opened(path)?;
    Ok(ReaderBuilder::new().delimiter(delimiter).flexible(true).buffer_capacity(1 << 18).from_reader(file))
}

fn damaged(path: &Path, error: csv::Error) -> Error {
    Error::user(format!("{} is not a CSV file", path.display()))
        .because(error)
        .hint("the first line must name the columns, in UTF-8")
}

/// Whether the last thing in a file is a quote, and where the file ends.
fn ends_with_quote(path: &Path) -> Result<(bool, u64)> {
    let mut file = opened(path)?;
    let length = file.metadata().map_err(|error| unreadable(path, error))?.len();
    let mut tail = Vec::new();
    let end = file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).and_then(|_| file.read_to_end(&mut tail));
    end.map_err(|error| unreadable(path, error))?;
    Ok((tail.trim_ascii_end().ends_with(b"\""), length))
}

/// So much of the end of a file is looked at.
const TAIL_BYTES: u64 = 1024;

/// Rows of a file, some at a time.
pub(crate) struct Rows {
    path: Arc<Path>,
    reader: csv::Reader<File>,
    /// Cells that every row must have.
    width: usize,
    /// The columns that are read.
    columns: Vec<usize>,
    schema: SchemaRef,
    next_row: i64,
    chunk_max: usize,
    /// Whether the last thing in the file is a quote, and where the file ends.
    ends_with_quote: bool,
    end: u64,
}

impl Rows {
    pub(crate) fn open(path: &Arc<Path>, found: &Found, delimiter: u8, chunk_max: usize) -> Result<Self> {
        let mut reader = reader(path, delimiter)?;
        let names = names(path, &mut reader)?;
        let mut columns: Vec<usize> = found.places.iter().filter_map(|(indexes, _)| indexes.first().copied()).collect();
        columns.sort_unstable();
        columns.dedup();
        let read: Vec<String> = columns.iter().map(|&at| names[at].clone()).collect();
        let (ends_with_quote, end) = ends_with_quote(path)?;
        let (path, schema) = (Arc::clone(path), schema(&read));
        Ok(Self { path, reader, width: names.len(), columns, schema, next_row: 0, chunk_max, ends_with_quote, end })
    }

    /// Where the columns asked for are in the batches.
    pub(crate) fn places(&self, found: &Found) -> Vec<usize> {
        let first = found.places.iter().filter_map(|(indexes, _)| indexes.first());
        first.map(|at| self.columns.partition_point(|column| column < at)).collect()
    }

    fn chunk(&mut self) -> Result<Option<Chunk>> {
        let mut cells: Vec<StringBuilder> = self.columns.iter().map(|_| StringBuilder::new()).collect();
        let (mut record, mut row, mut rejects) = (ByteRecord::new(), Vec::new(), Vec::new());
        while row.len() + rejects.len() < self.chunk_max && self.read(&mut record)? {
            match self.texts(&record) {
                Ok(texts) => {
                    cells.iter_mut().zip(texts).for_each(|(cells, text)| cells.append_option(text));
                    row.push(self.next_row);
                }
                Err((reason, detail)) => {
                    // A quote that is not closed swallows the lines after it: each of them is a row that is lost.
                    let swallowed = record.as_slice().split(|&byte| byte == b'\n').count() - 1;
                    for _ in 0..swallowed {
                        rejects.push(Reject { offset: self.next_row, row: 0, reason, detail: detail.clone() });
                        self.next_row += 1;
                    }
                    rejects.push(Reject { offset: self.next_row, row: 0, reason, detail });
                }
            }
            self.next_row += 1;
        }
        if row.is_empty() && rejects.is_empty() {
            return Ok(None);
        }
        let columns = cells.iter_mut().map(|cells| Arc::new(cells.finish()) as _).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| Error::internal("columns of a CSV file disagree").because(error))?;
        Ok(Some(Chunk { batch, row, rejects, next_row: self.next_row }))
    }

    /// Whether a record ends with the file inside of quotes: its last cell has line breaks, and no quote closes it.
    fn is_unclosed(&self, record: &ByteRecord) -> bool {
        let last = record.iter().next_back().unwrap_or_default();
        self.reader.position().byte() >= self.end && last.contains(&b'\n') && !self.ends_with_quote
    }

    fn read(&mut self, record: &mut ByteRecord) -> Result<bool> {
        self.reader.read_byte_record(record).map_err(|error| damaged(&self.path, error))
    }

    /// The cells of one row that are read; an empty one is missing.
    fn texts<'a>(&self, record: &'a ByteRecord) -> std::result::Result<Vec<Option<&'a str>>, (Poison, String)> {
        if self.is_unclosed(record) {
            return Err((Poison::Malformed, "a quote that is not closed swallows all that follows".to_owned()));
        }
        if record.len() != self.width {
            return Err((Poison::Malformed, format!("{} cells where the header names {}", record.len(), self.width)));
        }
        let text = |&at: &usize| {
            let text = std::str::from_utf8(&record[at]);
            let text = text.map_err(|_| (Poison::InvalidUtf8, format!("cell {} is not UTF-8", at + 1)))?.trim();
            Ok((!text.is_empty()).then_some(text))
        };
        self.columns.iter().map(text).collect()
    }
}

impl Iterator for Rows {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.chunk().transpose()
    }
}
