//! Arrow IPC records: one record is one Arrow stream, so many events share its offset.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::ArrowError;

use crate::batch::EventBatch;
use crate::event::{Poison, Reject};
use crate::plan::Plan;

use super::arrow_message::split;
use super::columnar::Columnar;
use super::rows::ColumnBuilders;
use super::{Decoded, Decoder, Record, concat};

/// The most rows of one record: columns of nulls take no bytes in it, but would here.
const ROWS_MAX: usize = 1 << 20;
/// The most bytes that the packed columns of one record may hold.
const UNPACKED_MAX: u64 = 1 << 28;

/// Decodes the Arrow IPC records of one partition.
#[derive(Debug)]
pub struct ArrowIpcDecoder {
    columnar: Columnar,
    batches: Vec<EventBatch>,
    rejects: Vec<Reject>,
    passed_over: u64,
    n_pending: usize,
}

impl ArrowIpcDecoder {
    /// A decoder for one partition of one source of the plan.
    #[must_use]
    pub fn new(plan: &Arc<Plan>, source: u16, lane: u32) -> Self {
        let columnar = Columnar::live(plan, source, lane);
        Self { columnar, batches: Vec::new(), rejects: Vec::new(), passed_over: 0, n_pending: 0 }
    }

    /// Takes one table of a record, whose first row is `first` in it.
    fn take(&mut self, record: &Record<'_>, table: &RecordBatch, first: usize) -> Result<(), (Poison, String)> {
        let each = |value| Int64Array::from(vec![value; table.num_rows()]);
        let sifted = self
            .columnar
            .sift(table, each(record.offset), each(record.broker_time), Some(record))
            .map_err(|misfit| (misfit.reason, misfit.message))?;
        self.passed_over += sifted.passed_over;
        self.rejects.extend(sifted.rejects(|row| u32::try_from(first + row).expect("a record has few rows")));
        self.batches.push(sifted.batch);
        self.n_pending += table.num_rows();
        Ok(())
    }

    fn read(&mut self, record: &Record<'_>) -> Result<(), (Poison, String)> {
        if record.payload.is_none() && self.columnar.layout.selection.without_tombstones {
            self.passed_over += 1;
            self.n_pending += 1;
            return Ok(());
        }
        let payload = record.payload.filter(|payload| !payload.is_empty());
        let payload = payload.ok_or_else(|| (Poison::Empty, "no payload".to_owned()))?;
        let tables = tables(payload).map_err(|detail| (Poison::Malformed, detail))?;
        let mut first = 0;
        for table in &tables {
            self.take(record, table, first)?;
            first += table.num_rows();
        }
        Ok(())
    }
}

impl Decoder for ArrowIpcDecoder {
    fn push(&mut self, record: &Record<'_>) {
        if let Err((reason, detail)) = self.read(record) {
            self.rejects.push(Reject { offset: record.offset, row: 0, reason, detail });
            self.n_pending += 1;
        }
    }

    fn n_pending(&self) -> usize {
        self.n_pending
    }

    fn finish(&mut self) -> Decoded {
        self.n_pending = 0;
        let layout = &self.columnar.layout;
        let none = || {
            ColumnBuilders::nulls(layout, Int64Array::from(vec![0; 0]), Int64Array::from(vec![0; 0])).into_batch(layout)
        };
        let batch = concat::all(std::mem::take(&mut self.batches)).unwrap_or_else(none);
        let rejects = std::mem::take(&mut self.rejects);
        Decoded::new(layout, batch, rejects, std::mem::take(&mut self.passed_over))
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
