//! CSV and TSV files with a header line. What a cell must be is known from the field that reads its column; a row with a
//! cell that is something else is refused.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use csv::{ByteRecord, ReaderBuilder};

use crate::error::{Error, Result};
use crate::event::{Poison, Reject};
use crate::plan::TimeFormat;

use super::columnar::Chunk;
use super::columns::{Content, Found};
use super::file::{opened, unreadable};

/// The header's names, and the number of rows (line breaks inside quotes count as rows).
pub(super) fn header(path: &Path, delimiter: u8) -> Result<(Vec<String>, u64)> {
    let names = names(path, &mut reader(path, delimiter)?)?;
    let mut lines = 0_u64;
    let mut file = BufReader::with_capacity(1 << 18, opened(path)?);
    let mut ends_in_line = false;
    loop {
        let bytes = file.fill_buf().map_err(|error| unreadable(path, error))?;
        let Some(last) = bytes.last() else { break };
        ends_in_line = *last != b'\n';
        lines += bytes.iter().map(|&byte| u64::from(byte == b'\n')).sum::<u64>();
        let taken = bytes.len();
        file.consume(taken);
    }
    Ok((names, (lines + u64::from(ends_in_line)).saturating_sub(1)))
}

fn names(path: &Path, reader: &mut csv::Reader<File>) -> Result<Vec<String>> {
    let header = reader.headers().map_err(|error| damaged(path, error))?;
    Ok(header.iter().map(|name| name.trim().to_owned()).collect())
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

/// Rows of a file, some at a time.
pub(super) struct Rows {
    path: Arc<Path>,
    reader: csv::Reader<File>,
    width: usize,
    columns: Vec<(usize, String, Cells)>,
    next_row: i64,
    chunk_max: usize,
}

/// The cells of one column.
enum Cells {
    Whole(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
    Flag(Vec<Option<bool>>),
    Text(Vec<Option<String>>),
}

/// One cell.
enum Cell<'a> {
    Whole(Option<i64>),
    Number(Option<f64>),
    Flag(Option<bool>),
    Text(Option<&'a str>),
}

impl Rows {
    pub(super) fn open(path: &Arc<Path>, found: &Found, delimiter: u8, batch_rows: usize) -> Result<Self> {
        let mut reader = reader(path, delimiter)?;
        let names = names(path, &mut reader)?;
        let column = |&(at, content): &(usize, Content)| (at, names[at].clone(), Cells::new(content));
        let columns = found.leaves.iter().map(column).collect();
        Ok(Self { path: Arc::clone(path), reader, width: names.len(), columns, next_row: 0, chunk_max: batch_rows })
    }

    fn chunk(&mut self) -> Result<Option<Chunk>> {
        let mut record = ByteRecord::new();
        let (mut row, mut rejects) = (Vec::new(), Vec::new());
        let first = self.next_row;
        while row.len() + rejects.len() < self.chunk_max && self.read(&mut record)? {
            match self.take(&record) {
                Ok(()) => row.push(self.next_row),
                Err((reason, detail)) => rejects.push(Reject { offset: self.next_row, row: 0, reason, detail }),
            }
            self.next_row += 1;
        }
        if self.next_row == first {
            return Ok(None);
        }
        let columns = self.columns.iter_mut().map(|(_, name, cells)| (name.clone(), cells.finish(), true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns)
            .map_err(|error| Error::internal("columns of unequal length").because(error))?;
        Ok(Some(Chunk { batch, row, rejects, next_row: self.next_row }))
    }

    fn read(&mut self, record: &mut ByteRecord) -> Result<bool> {
        self.reader.read_byte_record(record).map_err(|error| damaged(&self.path, error))
    }

    /// Adds a row to all columns, or to none.
    fn take(&mut self, record: &ByteRecord) -> std::result::Result<(), (Poison, String)> {
        if record.len() != self.width {
            return Err((Poison::Malformed, format!("{} cells where the header names {}", record.len(), self.width)));
        }
        let parsed = self.columns.iter().map(|(at, name, cells)| cells.parse(&record[*at], name));
        let parsed = parsed.collect::<std::result::Result<Vec<Cell<'_>>, _>>()?;
        for ((_, _, cells), cell) in self.columns.iter_mut().zip(parsed) {
            cells.push(cell);
        }
        Ok(())
    }
}

impl Iterator for Rows {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.chunk().transpose()
    }
}

impl Cells {
    fn new(content: Content) -> Self {
        match content {
            Content::Time(TimeFormat::Seconds) | Content::Number => Self::Number(Vec::new()),
            Content::Time(TimeFormat::Millis | TimeFormat::Micros | TimeFormat::Nanos) => Self::Whole(Vec::new()),
            Content::Flag => Self::Flag(Vec::new()),
            Content::Time(TimeFormat::Rfc3339) | Content::Id | Content::Text | Content::Scores => {
                Self::Text(Vec::new())
            }
        }
    }

    fn parse<'a>(&self, cell: &'a [u8], name: &str) -> std::result::Result<Cell<'a>, (Poison, String)> {
        let text =
            std::str::from_utf8(cell).map_err(|_| (Poison::InvalidUtf8, format!("`{name}` is not UTF-8")))?.trim();
        let given = (!text.is_empty()).then_some(text);
        Ok(match self {
            Self::Whole(_) => Cell::Whole(typed(given, name, "a whole number")?),
            Self::Number(_) => Cell::Number(typed(given, name, "a number")?),
            Self::Flag(_) => Cell::Flag(given.map(|text| !matches!(text, "false" | "False" | "FALSE" | "0"))),
            Self::Text(_) => Cell::Text(given),
        })
    }

    fn push(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Whole(cells), Cell::Whole(value)) => cells.push(value),
            (Self::Number(cells), Cell::Number(value)) => cells.push(value),
            (Self::Flag(cells), Cell::Flag(value)) => cells.push(value),
            (Self::Text(cells), Cell::Text(value)) => cells.push(value.map(str::to_owned)),
            _ => unreachable!("a column parses cells of its own type"),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Whole(cells) => Arc::new(Int64Array::from(std::mem::take(cells))),
            Self::Number(cells) => Arc::new(Float64Array::from(std::mem::take(cells))),
            Self::Flag(cells) => Arc::new(BooleanArray::from(std::mem::take(cells))),
            Self::Text(cells) => Arc::new(StringArray::from(std::mem::take(cells))),
        }
    }
}

fn typed<T: FromStr>(text: Option<&str>, name: &str, what: &str) -> std::result::Result<Option<T>, (Poison, String)> {
    let Some(text) = text else { return Ok(None) };
    text.parse().map(Some).map_err(|_| (Poison::WrongType, format!("`{name}` is {text:?}, not {what}")))
}
