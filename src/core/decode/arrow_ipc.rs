//! Arrow IPC records: one record is one Arrow stream, so many events share its offset.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::ArrowError;

use crate::event::Poison;
use crate::plan::Plan;

use super::arrow_message::split;
use super::tables::Tables;
use super::{Decoded, Decoder, Record};

/// The most rows of one record: columns of nulls take no bytes in it, but would here.
const ROWS_MAX: usize = 1 << 20;
/// The most bytes that the packed columns of one record may hold.
const UNPACKED_MAX: u64 = 1 << 28;

/// Decodes the Arrow IPC records of one partition.
#[derive(Debug)]
pub struct ArrowIpcDecoder {
    tables: Tables,
}

impl ArrowIpcDecoder {
    /// A decoder for one partition of one source of the plan.
    #[must_use]
    pub fn new(plan: &Arc<Plan>, source: u16, lane: u32) -> Self {
        Self { tables: Tables::new(plan, source, lane) }
    }

    fn read(&mut self, record: &Record<'_>, payload: &[u8]) -> Result<(), (Poison, String)> {
        let tables = tables(payload).map_err(|detail| (Poison::Malformed, detail))?;
        let mut first = 0;
        for table in &tables {
            self.tables.take_part(record, table, first)?;
            first += table.num_rows();
        }
        if first == 0 {
            self.tables.pass_over();
        }
        Ok(())
    }
}

impl Decoder for ArrowIpcDecoder {
    fn push(&mut self, record: &Record<'_>) {
        let Some(payload) = self.tables.payload(record) else { return };
        if let Err((reason, detail)) = self.read(record, payload) {
            self.tables.refuse(record.offset, reason, detail);
        }
    }

    fn n_pending(&self) -> usize {
        self.tables.n_pending()
    }

    fn finish(&mut self) -> Decoded {
        self.tables.finish()
    }
}

/// The tables of an Arrow stream, or what is wrong with it.
///
/// The reader checks lengths and texts, but panics on some damaged offsets and unknown types; one bad record must not
/// end the process, so that is caught. Nothing of the reader outlives the panic.
pub fn tables(payload: &[u8]) -> Result<Vec<RecordBatch>, String> {
    match catch_unwind(AssertUnwindSafe(|| stream(payload))) {
        Ok(tables) => tables.map_err(|error| format!("not a valid Arrow IPC stream: {error}")),
        Err(_) => Err("not a valid Arrow IPC stream: offsets or types make no sense".to_owned()),
    }
}

/// Nothing is allocated on the word of a length in the payload: the decoder waits for bytes that never come, and what
/// packed columns claim to hold is looked at before they are unpacked.
fn stream(payload: &[u8]) -> Result<Vec<RecordBatch>, ArrowError> {
    if claimed(payload).map_err(ArrowError::IpcError)? > UNPACKED_MAX {
        return Err(ArrowError::IpcError(format!("more than {UNPACKED_MAX} bytes when unpacked")));
    }
    let mut decoder = StreamDecoder::new();
    let mut rest = Buffer::from(payload);
    let mut tables = Vec::new();
    while let Some(table) = decoder.decode(&mut rest)? {
        tables.push(table);
    }
    decoder.finish()?;
    let n_rows = tables.iter().fold(0_usize, |n, table| n.saturating_add(table.num_rows()));
    match decoder.schema() {
        Some(_) if n_rows <= ROWS_MAX => Ok(tables),
        Some(_) => Err(ArrowError::IpcError(format!("more than {ROWS_MAX} rows"))),
        None => Err(ArrowError::IpcError("no schema".to_owned())),
    }
}

/// What the packed columns of a stream claim to hold, in bytes.
fn claimed(mut payload: &[u8]) -> Result<u64, String> {
    let mut bytes = 0_u64;
    while let Some((message, body)) = split(&mut payload)? {
        bytes = bytes.saturating_add(message.unpacked_bytes(body));
    }
    Ok(bytes)
}
