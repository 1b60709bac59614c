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
        let counts_ends =
            reader.position().line() > 1 + breaks(reader.byte_headers().map_err(|error| damaged(&path, error))?);
        let (width, next_row) = (names.len(), 0);
        Ok(Box::new(CsvRows { path, reader, width, columns, schema, next_row, chunk_max, counts_ends }))
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

/// Line breaks inside the cells of a record.
fn breaks(record: &ByteRecord) -> u64 {
    record.as_slice().iter().map(|&byte| u64::from(byte == b'\n')).sum()
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
    /// Whether the end of a line is counted with it: of two signs, as on Windows, the second one is passed over with
    /// the next line only.
    counts_ends: bool,
}

impl CsvRows {
    fn chunk(&mut self) -> Result<Option<RawChunk>> {
        let mut cells: Vec<StringBuilder> = self.columns.iter().map(|_| StringBuilder::new()).collect();
        let (mut record, mut row, mut line, mut rejects) = (ByteRecord::new(), Vec::new(), Vec::new(), Vec::new());
        while row.len() + rejects.len() < self.chunk_max && self.read(&mut record)? {
            let begins = self.line(&record);
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

    /// The line at which the record that was read last begins; empty lines before it are none of its own.
    fn line(&self, record: &ByteRecord) -> u64 {
        let end = u64::from(self.counts_ends && !self.reader.get_ref().has_ended);
        self.reader.position().line().saturating_sub(breaks(record) + end)
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

#[cfg(test)]
mod tests {
    use arrow::array::{Array as _, AsArray as _};

    use super::*;

    /// The cells of the columns asked for, and what is refused, with the lines on which both begin.
    type Read = (Vec<(u64, Vec<Option<String>>)>, Vec<(String, Poison, i64)>);

    fn read(text: &[u8], columns: &[usize], chunk_max: usize) -> Read {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).expect("a file");
        let file = CsvFile::open(&path, b',').expect("a CSV file");
        let wanted = WantedFields { places: columns.iter().map(|&at| (vec![at], false)).collect() };
        let (mut rows, mut rejects) = (Vec::new(), Vec::new());
        let mut offsets = Vec::new();
        for chunk in file.read(&wanted, chunk_max).expect("chunks") {
            let chunk = chunk.expect("a chunk");
            assert!(chunk.row.len() + chunk.rejects.len() > 0, "no chunk is empty");
            for (at, &line) in chunk.line.iter().enumerate() {
                let cell = |column: &arrow::array::ArrayRef| {
                    let texts = column.as_string::<i32>();
                    texts.is_valid(at).then(|| texts.value(at).to_owned())
                };
                rows.push((line, chunk.batch.columns().iter().map(cell).collect()));
            }
            offsets.extend(&chunk.row);
            offsets.extend(chunk.rejects.iter().map(|(_, reject)| reject.offset));
            rejects.extend(chunk.rejects.into_iter().map(|(place, one)| (place.to_string(), one.reason, one.offset)));
        }
        offsets.sort_unstable();
        assert!(offsets.iter().copied().eq(0..i64::try_from(offsets.len()).expect("few")), "{offsets:?}");
        (rows, rejects)
    }

    fn row(line: u64, cells: &[Option<&str>]) -> (u64, Vec<Option<String>>) {
        (line, cells.iter().map(|cell| cell.map(str::to_owned)).collect())
    }

    #[test]
    fn cells_are_trimmed_and_empty_ones_are_missing() {
        let text = b"a , b,c\n 1 ,, x \n\"2,5\",\"\",\"q \"\"u\"\" \"\n\n\t,3,4";
        let (rows, rejects) = read(text, &[0, 1, 2], 100);
        assert_eq!(rejects, []);
        let expected = [
            row(2, &[Some("1"), None, Some("x")]),
            row(3, &[Some("2,5"), None, Some("q \"u\"")]),
            row(5, &[None, Some("3"), Some("4")]),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_row_is_where_it_stands_however_lines_end() {
        for end in ["\n", "\r\n"] {
            let text = ["a,b", "1,2", "", "3", "\"4\n4\",5", "", "", "6,7"].join(end);
            for (text, last) in [(text.clone(), "without an end"), (text + end, "with an end")] {
                let (rows, rejects) = read(text.as_bytes(), &[1], 100);
                let lines: Vec<u64> = rows.iter().map(|(line, _)| *line).collect();
                assert_eq!(lines, [2, 5, 9], "{end:?} {last}");
                assert_eq!(rejects[0].0, "line 4", "{end:?} {last}");
            }
        }
    }

    #[test]
    fn columns_are_read_in_the_order_of_the_file_and_others_may_be_damaged() {
        let text = b"a,b,c\n1,\xff,3\n4,5,6\n";
        let (rows, rejects) = read(text, &[2, 0], 100);
        assert_eq!(rows, [row(2, &[Some("1"), Some("3")]), row(3, &[Some("4"), Some("6")])]);
        assert_eq!(rejects, []);
        let (rows, rejects) = read(text, &[1], 100);
        assert_eq!(rows, [row(3, &[Some("5")])]);
        assert_eq!(rejects, [("line 2".to_owned(), Poison::InvalidUtf8, 0)]);
    }

    #[test]
    fn a_row_of_another_width_is_refused_where_it_stands_in_chunks_of_any_size() {
        let text = b"a,b\n1,2\n3\n4,5,6\n7,8\n9,";
        for chunk_max in [1, 2, 3, 100] {
            let (rows, rejects) = read(text, &[0, 1], chunk_max);
            let expected =
                [row(2, &[Some("1"), Some("2")]), row(5, &[Some("7"), Some("8")]), row(6, &[Some("9"), None])];
            assert_eq!(rows, expected, "{chunk_max}");
            let refused = [("line 3".to_owned(), Poison::Malformed, 1), ("line 4".to_owned(), Poison::Malformed, 2)];
            assert_eq!(rejects, refused, "{chunk_max}");
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_loses_each_line_that_it_swallows() {
        let (rows, rejects) = read(b"a,b\n1,2\n3,\"4\n5,6\n7,8", &[0, 1], 100);
        assert_eq!(rows, [row(2, &[Some("1"), Some("2")])]);
        let places: Vec<&str> = rejects.iter().map(|(place, ..)| place.as_str()).collect();
        assert_eq!(places, ["line 3", "line 4", "line 5"]);
        let (rows, rejects) = read(b"a,b\n1,\"two\nlines\"\n", &[1], 100);
        assert_eq!((rows, rejects), (vec![row(2, &[Some("two\nlines")])], vec![]), "a quote that is closed");
        let (rows, rejects) = read(b"a,b\n1,\"two\nlines\"\n3,4\n", &[1], 100);
        assert_eq!((rows.len(), rejects), (2, vec![]), "and what follows it");
    }

    #[test]
    fn a_header_alone_has_no_row_and_lines_are_counted_as_they_stand() {
        assert_eq!(read(b"a,b", &[0], 10), (vec![], vec![]));
        assert_eq!(read(b"\xef\xbb\xbfa,b\n1,2", &[0], 10).0, [row(2, &[Some("1")])], "a mark before the header");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.csv");
        for (text, n) in [("a\n", 0), ("a", 0), ("a\n1", 1), ("a\n1\n2\n", 2), ("", 0)] {
            std::fs::write(&path, text).expect("a file");
            assert_eq!(rows(&path).expect("rows"), n, "{text:?}");
        }
        std::fs::write(&path, "\u{feff} a , b\n").expect("a file");
        let file = CsvFile::open(&path, b',').expect("a file");
        let names: Vec<&str> = file.schema().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn a_header_that_is_no_text_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.csv");
        std::fs::write(&path, b"a\xff,b\n1,2\n").expect("a file");
        let error = CsvFile::open(&path, b',').expect_err("no text");
        assert!(error.to_string().contains("is not a CSV file"), "{error}");
        assert!(error.advice().is_some_and(|advice| advice.contains("in UTF-8")));
    }
}
