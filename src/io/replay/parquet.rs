//! Parquet files: only the mapped columns are read, and texts stay dictionaries.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Fields, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use crate::error::{Error, Result};

use super::columnar::{Chunk, Found};
use super::file::opened;

/// What a file's footer tells: its columns and its rows.
pub(crate) fn header(path: &Path) -> Result<(SchemaRef, u64)> {
    let metadata = footer(path, &opened(path)?)?;
    let rows = metadata.metadata().file_metadata().num_rows();
    Ok((Arc::clone(metadata.schema()), u64::try_from(rows).unwrap_or(0)))
}

/// Rows of a file, some at a time.
pub(crate) struct Rows {
    path: Arc<Path>,
    reader: ParquetRecordBatchReader,
    next_row: i64,
}

impl Rows {
    pub(crate) fn open(path: &Arc<Path>, found: &Found, batch_rows: usize) -> Result<Self> {
        let file = opened(path)?;
        let stored = footer(path, &file)?;
        let options = ArrowReaderOptions::new().with_schema(Arc::new(with_dictionaries(&stored, found)));
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(stored.metadata()), options)
            .map_err(|error| unreadable(path, error))?;
        let mask = ProjectionMask::leaves(metadata.parquet_schema(), leaves(&metadata, found));
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
            .with_projection(mask)
            .with_batch_size(batch_rows)
            .build()
            .map_err(|error| unreadable(path, error))?;
        Ok(Self { path: Arc::clone(path), reader, next_row: 0 })
    }

    fn chunk(&mut self, batch: RecordBatch) -> Chunk {
        let rows = i64::try_from(batch.num_rows()).expect("a batch has few rows");
        let first = self.next_row;
        self.next_row += rows;
        Chunk { batch, row: (first..self.next_row).collect(), rejects: Vec::new(), next_row: self.next_row }
    }
}

impl Iterator for Rows {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        let row = self.next_row;
        Some(batch.map(|batch| self.chunk(batch)).map_err(|error| {
            Error::user(format!("{} is damaged after row {row}", self.path.display()))
                .because(error)
                .hint("write or copy the file again")
        }))
    }
}

fn footer(path: &Path, file: &File) -> Result<ArrowReaderMetadata> {
    ArrowReaderMetadata::load(file, ArrowReaderOptions::new()).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: ParquetError) -> Error {
    Error::user(format!("{} is not a whole Parquet file", path.display()))
        .because(error)
        .hint("it may have been cut off while it was written or copied; write or copy it again")
}

/// The leaf columns under the places found.
fn leaves(metadata: &ArrowReaderMetadata, found: &Found) -> Vec<usize> {
    let wanted: Vec<Vec<&str>> =
        found.places.iter().map(|(indexes, _)| names(metadata.schema().fields(), indexes)).collect();
    let leaves = metadata.parquet_schema().columns().iter().enumerate();
    let is_wanted =
        |parts: &[String]| wanted.iter().any(|names| parts.iter().zip(names).all(|(part, name)| part == name));
    leaves.filter(|(_, leaf)| is_wanted(leaf.path().parts())).map(|(at, _)| at).collect()
}

/// The names along a path of indexes.
fn names<'a>(fields: &'a Fields, indexes: &[usize]) -> Vec<&'a str> {
    let Some((&first, rest)) = indexes.split_first() else { return Vec::new() };
    let mut all = vec![fields[first].name().as_str()];
    if let DataType::Struct(inner) = fields[first].data_type() {
        all.extend(names(inner, rest));
    }
    all
}

/// The file's schema, with the text columns that are read as dictionaries: repeated texts are then decoded once.
fn with_dictionaries(stored: &ArrowReaderMetadata, found: &Found) -> Schema {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields = stored.schema().fields().iter().enumerate().map(|(at, field)| match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if found.places.contains(&(vec![at], true)) => {
            Arc::new(field.as_ref().clone().with_data_type(dictionary.clone()))
        }
        _ => Arc::clone(field),
    });
    Schema::new_with_metadata(fields.collect::<Vec<_>>(), stored.schema().metadata().clone())
}
