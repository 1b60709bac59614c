//! Messages of Arrow IPC, looked at before anything in them is unpacked.
//!
//! Source of the layout: Apache Arrow, columnar format 1.5, "Serialization and Interprocess Communication".

use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::{Message, MessageHeader, RecordBatch, root_as_message};
use arrow_schema::Schema;

/// What stands before the length of the metadata since Arrow 0.15.
pub const CONTINUATION: [u8; 4] = [0xFF; 4];
/// What stands before each packed buffer: its length when unpacked, or -1 if it is not packed.
const LENGTH_BYTES: usize = 8;

/// The metadata of a message.
#[derive(Debug)]
pub struct ArrowMessage<'a>(Message<'a>);

impl<'a> ArrowMessage<'a> {
    /// Reads metadata.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(metadata: &'a [u8]) -> Result<Self, String> {
        root_as_message(metadata).map(Self).map_err(|error| error.to_string())
    }

    /// Bytes of the body that follows.
    #[must_use]
    pub fn body_length(&self) -> u64 {
        u64::try_from(self.0.bodyLength()).unwrap_or(u64::MAX)
    }

    /// The columns, if this message tells them.
    #[must_use]
    pub fn schema(&self) -> Option<Schema> {
        self.0.header_as_schema().map(fb_to_schema)
    }

    /// Rows of a table; other messages have none.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.0.header_as_record_batch().map_or(0, |table| u64::try_from(table.length()).unwrap_or(0))
    }

    /// What the packed buffers in the body claim to hold, in bytes.
    #[must_use]
    pub fn unpacked_bytes(&self, body: &[u8]) -> u64 {
        let Some(table) = self.table().filter(|table| table.compression().is_some()) else { return 0 };
        let claimed = |offset: i64| {
            let bytes = body.get(usize::try_from(offset).ok()?..)?.first_chunk::<LENGTH_BYTES>()?;
            u64::try_from(i64::from_le_bytes(*bytes)).ok()
        };
        let buffers = table.buffers().into_iter().flatten().filter(|buffer| buffer.length() > 0);
        buffers.filter_map(|buffer| claimed(buffer.offset())).fold(0, u64::saturating_add)
    }

    fn table(&self) -> Option<RecordBatch<'a>> {
        match self.0.header_type() {
            MessageHeader::DictionaryBatch => self.0.header_as_dictionary_batch()?.data(),
            _ => self.0.header_as_record_batch(),
        }
    }
}

/// Splits the next message off a stream: its metadata and its body. None at the end.
///
/// # Errors
/// What is wrong with it.
pub fn split<'a>(stream: &mut &'a [u8]) -> Result<Option<(ArrowMessage<'a>, &'a [u8])>, String> {
    let cut = || "a message is cut off".to_owned();
    let rest = stream.strip_prefix(&CONTINUATION).unwrap_or(stream);
    if rest.is_empty() {
        return Ok(None);
    }
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
    let length = u32::from_le_bytes(*length);
    if length == 0 {
        return Ok(None);
    }
    let (metadata, rest) = rest.split_at_checked(length as usize).ok_or_else(cut)?;
    let message = ArrowMessage::read(metadata)?;
    let body_length = usize::try_from(message.body_length()).unwrap_or(usize::MAX);
    let (body, rest) = rest.split_at_checked(body_length).ok_or_else(cut)?;
    *stream = rest;
    Ok(Some((message, body)))
}
