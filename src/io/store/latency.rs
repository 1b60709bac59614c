//! Latencies of a pane as a value that stands in a table: how many there were of each number of microseconds.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, StructArray};
use arrow::datatypes::{DataType, Field, Fields};

use super::histogram::{counts_in, lists};

/// Counts by microseconds.
pub type Latencies = BTreeMap<u64, u64>;

/// The type of a column of latencies.
#[must_use]
pub fn latency_type() -> DataType {
    DataType::Struct(fields())
}

fn fields() -> Fields {
    let list = |name: &str| Field::new_list(name, Field::new("item", DataType::UInt64, true), true);
    Fields::from(vec![list("micros"), list("counts")])
}

/// Latencies as a column.
#[must_use]
pub fn latencies(rows: &[Option<Latencies>]) -> ArrayRef {
    let empty = Latencies::new();
    let all = || rows.iter().map(|row| row.as_ref().unwrap_or(&empty));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(lists(all().map(|row| row.keys().copied().collect()))),
        Arc::new(lists(all().map(|row| row.values().copied().collect()))),
    ];
    let valid = rows.iter().map(Option::is_some).collect::<Vec<bool>>();
    Arc::new(StructArray::new(fields(), columns, Some(valid.into())))
}

/// The latencies in one row of a column.
#[must_use]
pub fn latency_in(column: &dyn Array, row: usize) -> Option<Latencies> {
    let records = column.as_struct_opt().filter(|records| records.is_valid(row))?;
    let list = |name: &str| counts_in(records.column_by_name(name)?, row);
    Some(list("micros")?.into_iter().zip(list("counts")?).collect())
}
