//! Archives as tables: a column of bytes, and others for what stands beside them.

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int64Array, LargeBinaryArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, Schema};

use super::{ArchivedRecord, ArchivedRecords};
use crate::error::Result;
use crate::event::Micros;
use crate::files::columns::{ColumnFile, RawChunk, WantedFields};
use crate::plan::TimeFormat;
use crate::replay::ARRIVAL_NAMES;
use crate::table::cells;

/// Columns that hold the bytes of records, best first.
const PAYLOADS: [&str; 2] = ["value", "payload"];
/// Columns of which tables of events have none beside a column of bytes.
const PLACES: [&str; 3] = ["topic", "partition", "offset"];
/// When a record was written; whole numbers are milliseconds, as Kafka's are.
const TIMES: [&str; 2] = ["timestamp", "ts"];

/// Whether a table holds records.
pub(super) fn are_archived(schema: &Schema) -> bool {
    payload(schema).is_some() && PLACES.iter().any(|name| schema.index_of(name).is_ok())
}

fn payload(schema: &Schema) -> Option<usize> {
    let is_bytes = |kind: &DataType| matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    let places = PAYLOADS.iter().filter_map(|name| schema.index_of(name).ok());
    places.into_iter().find(|at| is_bytes(schema.field(*at).data_type()))
}

/// The records of a table.
pub(super) fn records(file: &dyn ColumnFile, with_bytes: bool) -> Result<ArchivedRecords> {
    let schema = file.schema();
    let named = |names: &[&str]| names.iter().filter_map(|name| schema.index_of(name).ok()).collect::<Vec<_>>();
    let mut places = named(&[&["topic", "partition"], &TIMES[..], &ARRIVAL_NAMES[..]].concat());
    if with_bytes {
        places.extend(named(&["key", "headers"]).into_iter().chain(payload(schema)));
    }
    if places.is_empty() {
        places.extend(payload(schema));
    }
    let wanted = WantedFields { places: places.into_iter().map(|at| (vec![at], false)).collect() };
    let chunks = file.read(&wanted, crate::replay::BATCH_ROWS)?;
    Ok(Box::new(chunks.flat_map(|chunk| match chunk {
        Ok(chunk) => of_chunk(&chunk).into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    })))
}

/// Columns of some records.
struct ArchiveColumns {
    topic: Option<StringArray>,
    lane: Option<Int64Array>,
    arrival: Option<Int64Array>,
    key: Option<LargeBinaryArray>,
    payload: Option<LargeBinaryArray>,
    headers: Option<ArrayRef>,
}

fn of_chunk(chunk: &RawChunk) -> Vec<ArchivedRecord> {
    let columns = ArchiveColumns::of(&chunk.batch);
    (0..chunk.batch.num_rows()).zip(&chunk.row).map(|(row, at)| columns.record(row, chunk.place(*at))).collect()
}

fn bytes(column: &ArrayRef) -> Option<LargeBinaryArray> {
    cast(column, &DataType::LargeBinary).ok().map(|column| column.as_binary::<i64>().clone())
}

fn bytes_at(column: Option<&LargeBinaryArray>, row: usize) -> Option<Vec<u8>> {
    column.filter(|column| column.is_valid(row)).map(|column| column.value(row).to_vec())
}

impl ArchiveColumns {
    fn of(batch: &RecordBatch) -> Self {
        let named = |name: &str| batch.column_by_name(name);
        let lane = named("partition").and_then(|column| cast(column, &DataType::Int64).ok());
        let millis = TIMES.iter().find_map(|name| named(name)).map(|column| cells::times(column, TimeFormat::Millis));
        let micros = || ARRIVAL_NAMES.iter().find_map(|name| named(name));
        let payload = PAYLOADS.iter().filter_map(|name| named(name)).find(|column| !column.data_type().is_nested());
        Self {
            topic: named("topic").map(cells::texts),
            lane: lane.map(|lane| lane.as_primitive::<Int64Type>().clone()),
            arrival: millis.or_else(|| micros().map(|column| cells::times(column, TimeFormat::Micros))),
            key: named("key").and_then(bytes),
            payload: payload.and_then(bytes),
            headers: named("headers").cloned(),
        }
    }

    fn record(&self, row: usize, place: crate::files::RowPosition) -> ArchivedRecord {
        let whole = |column: &Option<Int64Array>| -> Option<Micros> {
            column.as_ref().filter(|column| column.is_valid(row)).map(|column| column.value(row))
        };
        let topic = self.topic.as_ref().filter(|topic| topic.is_valid(row));
        ArchivedRecord {
            topic: topic.map(|topic| topic.value(row).to_owned()),
            lane: whole(&self.lane).map_or(0, |lane| u32::try_from(lane).unwrap_or(u32::MAX)),
            arrival: whole(&self.arrival),
            key: bytes_at(self.key.as_ref(), row),
            payload: bytes_at(self.payload.as_ref(), row),
            headers: self.headers.as_ref().map(|headers| headers_at(headers, row)).unwrap_or_default(),
            place,
        }
    }
}

/// Headers: a list of names and values, or a map.
fn headers_at(column: &ArrayRef, row: usize) -> Vec<(String, Vec<u8>)> {
    let entries = match column.data_type() {
        _ if column.is_null(row) => return Vec::new(),
        DataType::List(_) => column.as_list::<i32>().value(row),
        DataType::LargeList(_) => column.as_list::<i64>().value(row),
        DataType::Map(..) => std::sync::Arc::new(column.as_map().value(row)),
        _ => return Vec::new(),
    };
    let Some(entries) = entries.as_struct_opt().filter(|entries| entries.num_columns() == 2) else {
        return Vec::new();
    };
    let (names, values) = (cells::texts(entries.column(0)), bytes(entries.column(1)));
    let header = |at: usize| {
        let value = bytes_at(values.as_ref(), at).unwrap_or_default();
        names.is_valid(at).then(|| (names.value(at).to_owned(), value))
    };
    (0..entries.len()).filter_map(header).collect()
}
