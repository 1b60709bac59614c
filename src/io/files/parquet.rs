//! Parquet files: only the columns asked for are read, and texts stay dictionaries. A footer is read once, however many
//! columns are asked for one after another.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use super::columns::{ColumnFile, RawChunk, RawChunks, WantedFields, damaged, guarded};
use super::stream::opened;
use crate::error::Error;

/// A file and what its footer tells.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    path: Arc<Path>,
    footer: ArrowReaderMetadata,
}

impl ColumnFile for ParquetFile {
    fn schema(&self) -> &SchemaRef {
        self.footer.schema()
    }

    fn rows(&self) -> u64 {
        u64::try_from(self.footer.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    fn is_columnar(&self) -> bool {
        true
    }

    fn read(&self, wanted: &WantedFields, batch_rows: usize) -> crate::error::Result<RawChunks> {
        let file = opened(&self.path)?;
        let build = || {
            let options = ArrowReaderOptions::new().with_schema(Arc::new(self.with_dictionaries(wanted)));
            let metadata = ArrowReaderMetadata::try_new(Arc::clone(self.footer.metadata()), options)?;
            let mask = ProjectionMask::leaves(metadata.parquet_schema(), self.leaves(wanted));
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
            builder.with_projection(mask).with_batch_size(batch_rows).build()
        };
        let reader = guarded(build, unread()).map_err(|error| broken(&self.path, error))?;
        Ok(Box::new(ParquetRows { path: Arc::clone(&self.path), reader, next_row: 0 }))
    }
}

impl ParquetFile {
    pub(crate) fn open(path: &Path) -> crate::error::Result<Self> {
        let file = opened(path)?;
        let load = || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
        let footer = guarded(load, unread()).map_err(|error| broken(path, error))?;
        Ok(Self { path: path.into(), footer })
    }

    /// The file's schema, with the text columns that are read as dictionaries: repeated texts are then decoded once.
    fn with_dictionaries(&self, wanted: &WantedFields) -> Schema {
        let repeats = wanted.places.iter().filter(|(place, repeats)| *repeats && place.len() == 1);
        let repeats: BTreeSet<usize> = repeats.map(|(place, _)| place[0]).collect();
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let fields = self.schema().fields().iter().enumerate().map(|(at, field)| match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if repeats.contains(&at) => {
                Arc::new(field.as_ref().clone().with_data_type(dictionary.clone()))
            }
            _ => Arc::clone(field),
        });
        Schema::new_with_metadata(fields.collect::<Vec<_>>(), self.schema().metadata().clone())
    }

    /// The leaf columns under the places wanted, by their index.
    fn leaves(&self, wanted: &WantedFields) -> Vec<usize> {
        let starts = starts(self.schema().fields().iter().map(|field| field.data_type()), 0);
        let leaves = |(place, _): &(Vec<usize>, bool)| {
            let Some((&first, rest)) = place.split_first() else { return 0..0 };
            let (mut kind, mut start) = (self.schema().field(first).data_type(), starts[first]);
            for &at in rest {
                let DataType::Struct(fields) = kind else { break };
                let inner = self::starts(fields.iter().map(|field| field.data_type()), start);
                (kind, start) = (fields[at].data_type(), inner[at]);
            }
            start..start + n_leaves(kind)
        };
        wanted.places.iter().flat_map(leaves).collect()
    }
}

/// At which leaf column each of some columns begins, when the first begins at `from`.
fn starts<'a>(kinds: impl Iterator<Item = &'a DataType>, from: usize) -> Vec<usize> {
    let next = |from: &mut usize, kind: &DataType| {
        let start = *from;
        *from += n_leaves(kind);
        Some(start)
    };
    kinds.scan(from, next).collect()
}

/// How many leaf columns a column has.
fn n_leaves(kind: &DataType) -> usize {
    match kind {
        DataType::Struct(fields) => fields.iter().map(|field| n_leaves(field.data_type())).sum(),
        DataType::List(inner)
        | DataType::LargeList(inner)
        | DataType::ListView(inner)
        | DataType::LargeListView(inner)
        | DataType::FixedSizeList(inner, _)
        | DataType::Map(inner, _) => n_leaves(inner.data_type()),
        _ => 1,
    }
}

/// Rows of a file, some at a time.
struct ParquetRows {
    path: Arc<Path>,
    reader: ParquetRecordBatchReader,
    next_row: i64,
}

impl Iterator for ParquetRows {
    type Item = crate::error::Result<RawChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.next_row;
        let batch = guarded(|| Ok(self.reader.next().transpose()?), unread()).transpose()?;
        let chunk = batch.map(|batch| RawChunk::of_table(batch, row)).map_err(|error| damaged(&self.path, row, error));
        self.next_row = chunk.as_ref().map_or(row, |chunk| chunk.next_row);
        Some(chunk)
    }
}

fn unread() -> ParquetError {
    ParquetError::General("lengths or types make no sense".to_owned())
}

fn broken(path: &Path, error: ParquetError) -> Error {
    Error::user(format!("{} is not a whole Parquet file", path.display()))
        .because(error)
        .hint("it may have been cut off while it was written or copied; write or copy it again")
}
