//! Tables to events: what files of columns have in common.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array as _, Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;

use crate::batch::EventBatch;
use crate::decode::columnar::Columnar;
use crate::error::{Error, Result};
use crate::event::Reject;
use crate::files::columns::{RawChunk, RawChunks, RowPosition, WantedFields};
use crate::plan::{Plan, TimeFormat};
use crate::table::cells;

use super::{ARRIVAL_NAMES, ARRIVAL_UNKNOWN, Blocks, Offsets, ReadBlock, Refused};

/// Finds the columns that a source of the plan reads, and the fields that have none.
pub(super) fn find(plan: &Arc<Plan>, source: u16, schema: &SchemaRef) -> Result<(WantedFields, Vec<String>)> {
    let mut columnar = Columnar::new(plan, source, LANE);
    columnar.bind(schema)?;
    let mut places: Vec<(Vec<usize>, bool)> =
        columnar.places().map(|(indexes, is_text)| (indexes.to_vec(), is_text)).collect();
    let arrival = ARRIVAL_NAMES.iter().find_map(|name| schema.index_of(name).ok());
    if arrival.is_none() && plan.sources[usize::from(source)].mapping.event_time.is_none() {
        return Err(Error::user("no column tells when an event happened or arrived")
            .hint(format!("map `event_time` in the pipeline, or name a column {}", ARRIVAL_NAMES.join(" or "))));
    }
    places.extend(arrival.map(|at| (vec![at], false)));
    Ok((WantedFields { places }, columnar.absent().to_vec()))
}

/// A table being read as the one partition of a source.
pub(super) struct OneLaneTable {
    path: Arc<Path>,
    source: u16,
    rows: RawChunks,
    columnar: Columnar,
    /// Offset of the file's first row, once known.
    first_offset: Option<i64>,
}

/// Partition of rows that do not name theirs.
const LANE: u32 = 0;

impl OneLaneTable {
    pub(super) fn new(plan: &Arc<Plan>, path: Arc<Path>, source: u16, rows: RawChunks) -> Self {
        Self { path, source, rows, columnar: Columnar::new(plan, source, LANE), first_offset: None }
    }

    fn block(&mut self, chunk: &RawChunk, first_offset: i64) -> Result<ReadBlock> {
        let offsets: Int64Array = chunk.row.iter().map(|row| first_offset + row).collect();
        let arrival = arrival_of(&chunk.batch);
        let decoded = self.columnar.decode(&chunk.batch, offsets, arrival).map_err(|error| self.named(&error))?;
        let unread = chunk.rejects.iter().map(|(place, reject)| {
            self.refused(*place, Reject { offset: first_offset + reject.offset, ..reject.clone() })
        });
        let unfit = decoded.rejects.into_iter();
        let unfit = unfit.map(|reject| self.refused(chunk.place(reject.offset - first_offset), reject));
        let mut refused: Vec<Refused> = unread.chain(unfit).collect();
        refused.sort_by_key(|refused| refused.reject.offset);
        let places = refused.iter().map(|one| one.reject.offset).collect();
        let batch = EventBatch { refused: places, ..with_arrival(decoded.batch) };
        Ok(ReadBlock { batches: vec![batch], refused, passed_over: decoded.passed_over })
    }

    fn refused(&self, place: RowPosition, reject: Reject) -> Refused {
        Refused { file: Arc::clone(&self.path), source: self.source, lane: LANE, place, reject, payload: None }
    }

    fn named(&self, error: &Error) -> Error {
        let hint = error.advice().unwrap_or("convert the column");
        Error::user(format!("{}: {error}", self.path.display())).hint(hint)
    }
}

impl Blocks for OneLaneTable {
    fn next_block(&mut self, offsets: &mut Offsets) -> Result<Option<ReadBlock>> {
        let Some(chunk) = self.rows.next().transpose()? else { return Ok(None) };
        let next = offsets.entry((self.source, LANE)).or_default();
        let first_offset = *self.first_offset.get_or_insert(*next);
        *next = first_offset + chunk.next_row;
        self.block(&chunk, first_offset).map(Some)
    }
}

/// When each row arrived, as far as the table tells: times in any spelling; bare numbers are microseconds.
fn arrival_of(batch: &RecordBatch) -> Int64Array {
    let column = ARRIVAL_NAMES.iter().find_map(|name| batch.column_by_name(name));
    let Some(column) = column else { return vec![ARRIVAL_UNKNOWN; batch.num_rows()].into() };
    let micros = cells::times(column, TimeFormat::Micros);
    if micros.null_count() == 0 {
        return micros;
    }
    micros.iter().map(|time| Some(time.unwrap_or(ARRIVAL_UNKNOWN))).collect()
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
