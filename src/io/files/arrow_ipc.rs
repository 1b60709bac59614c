//! Files of Arrow IPC, Feather version 2 among them, and streams that were written to files. A file holds a stream,
//! with an index behind it that is of no use where all rows are read.

use std::io::Read;
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
        let (messages, decoder) = (Messages::open(&self.path)?, StreamDecoder::new());
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
        let (mut messages, mut schema, mut rows) = (Messages::open(path)?, None, 0_u64);
        let mut look = || {
            while let Some(message) = messages.next()? {
                let head = message.head()?;
                rows = rows.saturating_add(head.rows());
                schema = schema.take().or_else(|| head.schema());
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
struct Messages {
    bytes: Box<dyn Read + Send>,
    /// Whether the stream must tell where it ends.
    must_end: bool,
    /// How many words of zeros may come before the first message.
    padding: usize,
}

/// One message as it stands in the stream.
struct MessageBytes {
    bytes: Vec<u8>,
    /// Where the body begins.
    body: usize,
}

/// Bytes before the metadata: the mark, and the length.
const PREFIX_BYTES: usize = 8;

impl Messages {
    fn open(path: &Path) -> Result<Self> {
        let mut magic = Vec::new();
        let read = |from: &mut dyn Read, into: &mut Vec<u8>| from.take(FILE_HEAD_BYTES).read_to_end(into);
        let mut bytes = unpacked(path)?;
        read(&mut bytes, &mut magic).map_err(|error| unreadable(path, error))?;
        let is_file = magic.starts_with(FILE_MAGIC);
        let bytes = if is_file { bytes } else { unpacked(path)? };
        Ok(Self { bytes, must_end: is_file, padding: if is_file { PADDING_WORDS_MAX } else { 0 } })
    }

    /// Nothing is allocated on the word of a length: what is announced is read as far as it comes.
    fn next(&mut self) -> std::result::Result<Option<MessageBytes>, ArrowError> {
        let mut bytes = self.up_to(4)?;
        while bytes == [0; 4] && self.padding > 0 {
            self.padding -= 1;
            bytes = self.up_to(4)?;
        }
        self.padding = 0;
        if bytes == CONTINUATION {
            bytes = self.up_to(4)?;
        }
        let length = match bytes.first_chunk::<4>() {
            Some(length) => u32::from_le_bytes(*length),
            None if bytes.is_empty() && !self.must_end => 0,
            None => return Err(malformed("it is cut off")),
        };
        if length == 0 {
            return Ok(None);
        }
        let metadata = self.up_to(u64::from(length))?;
        let body_length = ArrowMessage::read(&metadata).map_err(malformed)?.body_length();
        let body = self.up_to(body_length)?;
        if metadata.len() as u64 != u64::from(length) || body.len() as u64 != body_length {
            return Err(malformed("it is cut off"));
        }
        let begins = PREFIX_BYTES + metadata.len();
        let bytes = [&CONTINUATION, length.to_le_bytes().as_slice(), &metadata, &body].concat();
        Ok(Some(MessageBytes { bytes, body: begins }))
    }

    fn up_to(&mut self, length: u64) -> std::result::Result<Vec<u8>, ArrowError> {
        let mut bytes = Vec::new();
        self.bytes.by_ref().take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl MessageBytes {
    fn head(&self) -> std::result::Result<ArrowMessage<'_>, ArrowError> {
        ArrowMessage::read(&self.bytes[PREFIX_BYTES..self.body]).map_err(malformed)
    }
}

/// Rows of a file, some at a time.
struct ArrowRows {
    path: Arc<Path>,
    messages: Messages,
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
        while let Some(message) = self.messages.next()? {
            let head = message.head()?;
            if head.rows() > ROWS_MAX || head.unpacked_bytes(&message.bytes[message.body..]) > UNPACKED_MAX {
                return Err(malformed("a table claims to be larger than any machine holds"));
            }
            let table = self.decoder.decode(&mut Buffer::from_vec(message.bytes))?;
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
