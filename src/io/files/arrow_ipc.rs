//! Files of Arrow IPC, Feather version 2 among them, and streams that were written to files. A file holds a stream,
//! with an index behind it that is of no use where all rows are read.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;

use super::columns::{ColumnFile, RawChunk, RawChunks, WantedFields, damaged, guarded};
use super::stream::{unpacked, unreadable};
use crate::decode::arrow_message::{ArrowMessage, CONTINUATION};
use crate::error::{Error, Result};

/// How a file begins, before the stream in it; a stream by itself begins with a message.
pub(super) const FILE_MAGIC: &[u8; 6] = b"ARROW1";
/// The magic number is filled up to so many bytes, by some writers with more zeros for a better alignment.
const FILE_HEAD_BYTES: u64 = 8;
/// Words of four bytes before 64, which is the largest alignment that is written.
const PADDING_WORDS_MAX: usize = 16;
/// The most bytes that the packed columns of one table may hold: more than anybody writes, less than a machine has.
const UNPACKED_MAX: u64 = 1 << 32;
/// The most rows of one table: columns of nulls take no bytes in a file, but would here.
const ROWS_MAX: u64 = 1 << 31;

/// A file and what it begins with.
#[derive(Debug)]
pub(crate) struct ArrowFile {
    path: Arc<Path>,
    schema: SchemaRef,
    rows: u64,
}

impl ColumnFile for ArrowFile {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn read(&self, wanted: &WantedFields, batch_rows: usize) -> Result<RawChunks> {
        let (messages, decoder) = (IpcMessages::open(&self.path)?, StreamDecoder::new());
        let (path, columns) = (Arc::clone(&self.path), wanted.columns());
        Ok(Box::new(ArrowRows { path, messages, decoder, columns, table: None, next_row: 0, batch_rows }))
    }
}

impl ArrowFile {
    /// Reads what messages say of themselves.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let none = |error| {
            Error::user(format!("{} is not a whole Arrow file", path.display()))
                .because(error)
                .hint("it may have been cut off while it was written or copied; write or copy it again")
        };
        let (mut messages, mut schema, mut rows) = (IpcMessages::open(path)?, None, 0_u64);
        let mut look = || {
            while let Some(message) = messages.next()? {
                let head = head(&message)?;
                rows = rows.saturating_add(head.rows());
                schema = schema.take().or_else(|| head.schema());
                messages.skip(head.body_length())?;
            }
            schema.take().ok_or_else(|| malformed("it names no columns"))
        };
        let schema = guarded(&mut look, malformed("types make no sense")).map_err(none)?;
        Ok(Self { path: path.into(), schema: Arc::new(schema), rows })
    }
}

fn malformed(what: impl Into<String>) -> ArrowError {
    ArrowError::IpcError(what.into())
}

/// Messages of a stream, one after the other.
struct IpcMessages {
    bytes: Box<dyn Read + Send>,
    /// Whether the stream must tell where it ends.
    must_end: bool,
    /// How many words of zeros may come before the first message.
    padding: usize,
}

/// Bytes before the metadata: the mark, and the length.
const PREFIX_BYTES: usize = 8;

impl IpcMessages {
    fn open(path: &Path) -> Result<Self> {
        let mut magic = Vec::new();
        let read = |from: &mut dyn Read, into: &mut Vec<u8>| from.take(FILE_HEAD_BYTES).read_to_end(into);
        let mut bytes = unpacked(path)?;
        read(&mut bytes, &mut magic).map_err(|error| unreadable(path, error))?;
        let is_file = magic.starts_with(FILE_MAGIC);
        let bytes = if is_file { bytes } else { unpacked(path)? };
        Ok(Self { bytes, must_end: is_file, padding: if is_file { PADDING_WORDS_MAX } else { 0 } })
    }

    /// The next message up to its body, which must be read or skipped then. Nothing is allocated on the word of a
    /// length: what is announced is read as far as it comes.
    fn next(&mut self) -> std::result::Result<Option<Vec<u8>>, ArrowError> {
        let mut word = self.word()?;
        while word == [0; 4] && self.padding > 0 {
            self.padding -= 1;
            word = self.word()?;
        }
        self.padding = 0;
        if word == CONTINUATION {
            word = self.word()?;
        }
        let length = match word.first_chunk::<4>() {
            Some(length) => u32::from_le_bytes(*length),
            None if word.is_empty() && !self.must_end => 0,
            None => return Err(cut_off()),
        };
        if length == 0 {
            return Ok(None);
        }
        let mut message = [CONTINUATION, length.to_le_bytes()].concat();
        self.read(&mut message, u64::from(length))?;
        Ok(Some(message))
    }

    fn word(&mut self) -> std::result::Result<Vec<u8>, ArrowError> {
        let mut word = Vec::new();
        self.bytes.by_ref().take(4).read_to_end(&mut word)?;
        Ok(word)
    }

    /// Reads so many bytes behind those that are there.
    fn read(&mut self, into: &mut Vec<u8>, length: u64) -> std::result::Result<(), ArrowError> {
        let read = self.bytes.by_ref().take(length).read_to_end(into)?;
        if read as u64 == length { Ok(()) } else { Err(cut_off()) }
    }

    /// Passes over a body.
    fn skip(&mut self, length: u64) -> std::result::Result<(), ArrowError> {
        let skipped = io::copy(&mut self.bytes.by_ref().take(length), &mut io::sink())?;
        if skipped == length { Ok(()) } else { Err(cut_off()) }
    }
}

fn cut_off() -> ArrowError {
    malformed("it is cut off")
}

/// What a message says of itself.
fn head(message: &[u8]) -> std::result::Result<ArrowMessage<'_>, ArrowError> {
    ArrowMessage::read(&message[PREFIX_BYTES..]).map_err(malformed)
}

/// Rows of a file, some at a time.
struct ArrowRows {
    path: Arc<Path>,
    messages: IpcMessages,
    decoder: StreamDecoder,
    /// The columns that are read.
    columns: Vec<usize>,
    /// What is left of the table that was read last.
    table: Option<RecordBatch>,
    next_row: i64,
    batch_rows: usize,
}

impl ArrowRows {
    /// The next table that has rows, of the columns that are read.
    fn table(&mut self) -> std::result::Result<Option<RecordBatch>, ArrowError> {
        while let Some(mut message) = self.messages.next()? {
            let (begins, length) = (message.len(), head(&message)?.body_length());
            self.messages.read(&mut message, length)?;
            let head = head(&message[..begins])?;
            if head.rows() > ROWS_MAX || head.unpacked_bytes(&message[begins..]) > UNPACKED_MAX {
                return Err(malformed("a table claims to be larger than any machine holds"));
            }
            let table = self.decoder.decode(&mut Buffer::from_vec(message))?;
            if let Some(table) = table.filter(|table| table.num_rows() > 0) {
                return table.project(&self.columns).map(Some);
            }
        }
        Ok(None)
    }
}

impl Iterator for ArrowRows {
    type Item = Result<RawChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.table.is_none() {
            let unread = malformed("lengths or types make no sense");
            match guarded(|| self.table(), unread) {
                Ok(table) => self.table = table,
                Err(error) => return Some(Err(damaged(&self.path, self.next_row, error))),
            }
        }
        let table = self.table.take()?;
        let n = table.num_rows().min(self.batch_rows);
        self.table = (n < table.num_rows()).then(|| table.slice(n, table.num_rows() - n));
        let chunk = RawChunk::of_table(table.slice(0, n), self.next_row);
        self.next_row = chunk.next_row;
        Some(Ok(chunk))
    }
}
