//! Rows as Parquet: sorted, compressed, and equal rows as equal bytes.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StructArray, new_null_array};
use arrow::compute::{SortColumn, cast, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, FieldRef, Fields};
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::table::StoreTable;
use crate::error::{Error, Result};

/// Rows of a row group: small enough that a query for one column of one model reads little, and large enough to
/// compress.
const GROUP_ROWS: usize = 65_536;

/// The rows in the order of their table.
pub(super) fn sorted(table: StoreTable, rows: &RecordBatch) -> Result<RecordBatch> {
    let column = |name: &&str| rows.column_by_name(name).cloned();
    let order = table.order().iter().filter_map(column);
    let order: Vec<SortColumn> = order.map(|values| SortColumn { values, options: None }).collect();
    let failed = |error| Error::internal("rows that cannot be sorted").because(error);
    let order = lexsort_to_indices(&order, None).map_err(failed)?;
    take_record_batch(rows, &order).map_err(failed)
}

/// The rows with all columns of their table: those that an older release did not write are null.
pub(super) fn conform(table: StoreTable, rows: &RecordBatch) -> Result<RecordBatch> {
    let conformed = fitted(&StructArray::from(rows.clone()), table.schema().fields());
    conformed
        .map(RecordBatch::from)
        .map_err(|error| Error::user(format!("a file of {} has columns of other types", table.name())).because(error))
}

/// Records with these fields, and so the records among them.
fn fitted(records: &StructArray, fields: &Fields) -> std::result::Result<StructArray, ArrowError> {
    let fit = |field: &FieldRef| {
        let Some(column) = records.column_by_name(field.name()) else {
            return Ok(new_null_array(field.data_type(), records.len()));
        };
        match (field.data_type(), column.as_struct_opt()) {
            (DataType::Struct(parts), Some(inner)) => fitted(inner, parts).map(|inner| Arc::new(inner) as ArrayRef),
            (kind, _) => cast(column, kind),
        }
    };
    let columns = fields.iter().map(fit).collect::<std::result::Result<_, _>>()?;
    StructArray::try_new(fields.clone(), columns, records.nulls().cloned())
}

/// A Parquet file of the rows, as they stand.
pub(super) fn encode(rows: &RecordBatch) -> Result<Vec<u8>> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build();
    let written = || -> parquet::errors::Result<Vec<u8>> {
        let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties))?;
        writer.write(rows)?;
        writer.into_inner()
    };
    written().map_err(|error| Error::internal("rows that cannot be written as Parquet").because(error))
}

/// All rows of a Parquet file.
pub(super) fn decode(path: &str, bytes: Bytes) -> Result<RecordBatch> {
    let read = || -> parquet::errors::Result<RecordBatch> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
        let schema = builder.schema().clone();
        let batches = builder.build()?.collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(concat_batches(&schema, &batches)?)
    };
    read().map_err(|error| {
        Error::user(format!("{path} of the store is damaged"))
            .because(error)
            .hint("restore the file from a backup, or replay the log into a new store")
    })
}
