//! Tables to events: what Parquet and CSV files have in common.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};

use crate::batch::EventBatch;
use crate::decode::columnar::from_record_batch;
use crate::error::{Error, Result};
use crate::event::Reject;
use crate::plan::Plan;

use super::{ARRIVAL_NAMES, ARRIVAL_UNKNOWN, Block, Blocks, Offsets, Refused};

/// Some rows of a table.
pub(super) struct Chunk {
    /// The rows that could be read.
    pub(super) batch: RecordBatch,
    /// Which row of the file each one is.
    pub(super) row: Vec<i64>,
    /// The rows that could not; their offset is their row.
    pub(super) rejects: Vec<Reject>,
    /// The first row after these.
    pub(super) next_row: i64,
}

/// A table being read as the one partition of a source.
pub(super) struct Columnar<R> {
    plan: Arc<Plan>,
    path: Arc<Path>,
    source: u16,
    rows: R,
    /// Offset of the file's first row, once known.
    first_offset: Option<i64>,
}

/// Partition of rows that do not name theirs.
const LANE: u32 = 0;

impl<R: Iterator<Item = Result<Chunk>>> Columnar<R> {
    pub(super) fn new(plan: &Arc<Plan>, path: Arc<Path>, source: u16, rows: R) -> Self {
        Self { plan: Arc::clone(plan), path, source, rows, first_offset: None }
    }

    fn block(&self, chunk: Chunk, first_offset: i64) -> Result<Block> {
        let offsets: Int64Array = chunk.row.iter().map(|row| first_offset + row).collect();
        let arrival = arrival_of(&chunk.batch).map_err(|error| self.named(error))?;
        let decoded = from_record_batch(&self.plan, self.source, LANE, &chunk.batch, offsets, arrival)
            .map_err(|error| self.named(error))?;
        let early = chunk.rejects.into_iter().map(|reject| Reject { offset: first_offset + reject.offset, ..reject });
        let mut rejects: Vec<Reject> = early.chain(decoded.rejects).collect();
        rejects.sort_by_key(|reject| reject.offset);
        let refused = rejects.into_iter().map(|reject| self.refused(reject)).collect();
        Ok(Block { batches: vec![with_arrival(decoded.batch)], refused })
    }

    fn refused(&self, reject: Reject) -> Refused {
        Refused { file: Arc::clone(&self.path), source: self.source, lane: LANE, reject, payload: None }
    }

    fn named(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::user(format!("{} has a column of a type that cannot be read", self.path.display()))
            .because(error)
            .hint("numbers, texts, booleans and timestamps can be read; convert the column")
    }
}

impl<R: Iterator<Item = Result<Chunk>>> Blocks for Columnar<R> {
    fn next_block(&mut self, offsets: &mut Offsets) -> Result<Option<Block>> {
        let Some(chunk) = self.rows.next().transpose()? else { return Ok(None) };
        let next = offsets.entry((self.source, LANE)).or_default();
        let first_offset = *self.first_offset.get_or_insert(*next);
        *next = first_offset + chunk.next_row;
        self.block(chunk, first_offset).map(Some)
    }
}

/// When each row arrived, as far as the table tells.
fn arrival_of(batch: &RecordBatch) -> arrow::error::Result<Int64Array> {
    let column = ARRIVAL_NAMES.iter().find_map(|name| batch.column_by_name(name));
    let Some(column) = column else { return Ok(Int64Array::from(vec![ARRIVAL_UNKNOWN; batch.num_rows()])) };
    let micros = micros_of(column)?;
    let micros = micros.as_primitive::<Int64Type>();
    if micros.null_count() == 0 {
        return Ok(micros.clone());
    }
    Ok(micros.iter().map(|time| Some(time.unwrap_or(ARRIVAL_UNKNOWN))).collect())
}

fn micros_of(column: &ArrayRef) -> arrow::error::Result<ArrayRef> {
    let instant = match column.data_type() {
        DataType::Int64 => return Ok(Arc::clone(column)),
        DataType::Timestamp(_, zone) => cast(column, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?,
        _ => cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None))?,
    };
    cast(&instant, &DataType::Int64)
}

/// Rows of which nobody knows when they arrived count as having arrived when they happened.
pub(super) fn with_arrival(mut batch: EventBatch) -> EventBatch {
    let known = batch.broker_time.values();
    if known.iter().all(|&time| time != ARRIVAL_UNKNOWN) {
        return batch;
    }
    let pairs = known.iter().zip(batch.event_time.values());
    batch.broker_time =
        pairs.map(|(&known, &happened)| if known == ARRIVAL_UNKNOWN { happened } else { known }).collect();
    batch
}
