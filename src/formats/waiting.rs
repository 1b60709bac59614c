//! Records of one schema that were read field by field, and are no events yet.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};

use crate::Record;
use crate::tables::{OriginColumns, Tables};
use haldane_core::event::Micros;

/// Rows become events once they hold so many bytes, or so many values in lists, so that what waits is bounded.
const BYTES_MAX: usize = 16 << 20;
const VALUES_MAX: usize = 1 << 19;

/// What is known of these records beside their own columns.
#[derive(Debug)]
pub(crate) struct Waiting {
    offsets: Vec<i64>,
    broker_times: Vec<Micros>,
    beside: OriginColumns,
    /// Bytes of the records, and values in their lists.
    bytes: usize,
    values: usize,
}

impl Waiting {
    pub(crate) fn new(tables: &Tables) -> Self {
        let (offsets, broker_times) = (Vec::new(), Vec::new());
        Self { offsets, broker_times, beside: tables.beside(), bytes: 0, values: 0 }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Takes a record that was read: of so many bytes, with so many values in its lists.
    pub(crate) fn push(&mut self, record: &Record<'_>, bytes: usize, values: usize) {
        self.offsets.push(record.offset);
        self.broker_times.push(record.broker_time);
        self.beside.push(record);
        self.bytes += bytes;
        self.values += values;
    }

    /// Whether they must become events now.
    pub(crate) fn are_many(&self) -> bool {
        self.bytes > BYTES_MAX || self.values > VALUES_MAX
    }

    /// Makes events of the records, whose columns these are, and says of how many.
    pub(crate) fn move_to(&mut self, tables: &mut Tables, columns: Vec<(String, ArrayRef)>) -> usize {
        (self.bytes, self.values) = (0, 0);
        let n = self.offsets.len();
        let own =
            columns.into_iter().map(|(name, column)| (Field::new(name, column.data_type().clone(), true), column));
        let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = own.chain(self.beside.finish()).unzip();
        let options = RecordBatchOptions::new().with_row_count(Some(n));
        let table = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options);
        let offset = Int64Array::from(std::mem::take(&mut self.offsets));
        let broker_time = Int64Array::from(std::mem::take(&mut self.broker_times));
        tables.take(&table.expect("columns of so many rows"), &offset, broker_time);
        n
    }
}
