//! CSV and TSV files with a header line. Every cell is a text here; what it must be, the field that reads its column
//! says.

use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use csv::{ByteRecord, ReaderBuilder};

use super::columns::{ColumnFile, RawChunk, RawChunks, RowPosition, WantedFields};
use super::stream::{unpacked, unreadable};
use crate::error::{Error, Result};
use crate::event::{Poison, Reject};

/// A file and what its header names.
#[derive(Debug)]
pub(crate) struct CsvFile {
    path: Arc<Path>,
    delimiter: u8,
    schema: SchemaRef,
    rows: u64,
}

impl ColumnFile for CsvFile {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn is_typed(&self) -> bool {
        false
    }

    fn read(&self, wanted: &WantedFields, chunk_max: usize) -> Result<RawChunks> {
        let mut reader = reader(&self.path, self.delimiter)?;
        let names = names(&self.path, &mut reader)?;
        let columns = wanted.columns();
        let read: Vec<String> = columns.iter().map(|&at| names[at].clone()).collect();
        let (path, schema) = (Arc::clone(&self.path), schema(&read));
        Ok(Box::new(CsvRows { path, reader, width: names.len(), columns, schema, next_row: 0, chunk_max }))
    }
}

impl CsvFile {
    pub(crate) fn open(path: &Path, delimiter: u8) -> Result<Self> {
        let names = names(path, &mut reader(path, delimiter)?)?;
        Ok(Self { path: path.into(), delimiter, schema: schema(&names), rows: rows(path)? })
    }
}

/// Lines after the first one; line breaks inside quotes count, too.
fn rows(path: &Path) -> Result<u64> {
    let mut file = BufReader::with_capacity(1 << 18, unpacked(path)?);
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
    Ok(lines.saturating_sub(1))
}

fn names(path: &Path, reader: &mut csv::Reader<ByteStream>) -> Result<Vec<String>> {
    let header = reader.headers().map_err(|error| damaged(path, error))?;
    Ok(header.iter().map(|name| name.trim().to_owned()).collect())
}

fn schema(names: &[String]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>()))
}

fn reader(path: &Path, delimiter: u8) -> Result<csv::Reader<ByteStream>> {
    let stream = ByteStream { bytes: unpacked(path)?, has_ended: false, last: 0 };
    Ok(ReaderBuilder::new().delimiter(delimiter).flexible(true).buffer_capacity(1 << 18).from_reader(stream))
}

fn damaged(path: &Path, error: csv::Error) -> Error {
    if error.is_io_error() {
        return unreadable(path, error.into());
    }
    Error::user(format!("{} is not a CSV file", path.display()))
        .because(error)
        .hint("the first line must name the columns, in UTF-8")
}

/// Bytes being read, which know whether they have ended and with what.
struct ByteStream {
    bytes: Box<dyn Read + Send>,
    has_ended: bool,
    /// The last byte that is not blank.
    last: u8,
}

impl Read for ByteStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.read(into)?;
        self.has_ended |= n == 0 && !into.is_empty();
        if let Some(&last) = into[..n].trim_ascii_end().last() {
            self.last = last;
        }
        Ok(n)
    }
}

/// Rows of a file, some at a time.
struct CsvRows {
    path: Arc<Path>,
    reader: csv::Reader<ByteStream>,
    /// Cells that every row must have.
    width: usize,
    /// The columns that are read.
    columns: Vec<usize>,
    schema: SchemaRef,
    next_row: i64,
    chunk_max: usize,
}

impl CsvRows {
    fn chunk(&mut self) -> Result<Option<RawChunk>> {
        let mut cells: Vec<StringBuilder> = self.columns.iter().map(|_| StringBuilder::new()).collect();
        let (mut record, mut row, mut line, mut rejects) = (ByteRecord::new(), Vec::new(), Vec::new(), Vec::new());
        while row.len() + rejects.len() < self.chunk_max && self.read(&mut record)? {
            let begins = record.position().map_or(0, csv::Position::line);
            match self.texts(&record) {
                Ok(texts) => {
                    cells.iter_mut().zip(texts).for_each(|(cells, text)| cells.append_option(text));
                    row.push(self.next_row);
                    line.push(begins);
                    self.next_row += 1;
                }
                Err((reason, detail)) => {
                    // A quote that is not closed swallows the lines after it: each of them is a row that is lost.
                    let lines = record.as_slice().split(|&byte| byte == b'\n').count();
                    for line in (begins..).take(lines) {
                        let reject = Reject { offset: self.next_row, row: 0, reason, detail: detail.clone() };
                        rejects.push((RowPosition::Line(line), reject));
                        self.next_row += 1;
                    }
                }
            }
        }
        if row.is_empty() && rejects.is_empty() {
            return Ok(None);
        }
        let columns = cells.iter_mut().map(|cells| Arc::new(cells.finish()) as _).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(row.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| Error::internal("columns of a CSV file disagree").because(error))?;
        Ok(Some(RawChunk { batch, row, line, rejects, next_row: self.next_row }))
    }

    /// Whether a record ends with the file inside of quotes: its last cell has line breaks, and no quote closes it.
    fn is_unclosed(&self, record: &ByteRecord) -> bool {
        let (stream, last) = (self.reader.get_ref(), record.iter().next_back().unwrap_or_default());
        stream.has_ended && stream.last != b'"' && last.contains(&b'\n')
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

impl Iterator for CsvRows {
    type Item = Result<RawChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.chunk().transpose()
    }
}
