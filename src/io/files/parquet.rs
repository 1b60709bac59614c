//! Parquet files: only the columns asked for are read, and texts stay dictionaries. A footer is read once, however many
//! columns are asked for one after another.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;

use super::columns::{RawChunk, WantedFields};
use super::stream::opened;
use crate::error::Error;

/// What a file's footer tells.
#[derive(Debug, Clone)]
pub(crate) struct Footer(ArrowReaderMetadata);

impl Footer {
    pub(crate) fn read(path: &Path) -> crate::error::Result<Self> {
        let file = opened(path)?;
        let load = || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
        guarded(load).map(Self).map_err(|error| broken(path, error))
    }

    /// The columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.0.schema()
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.0.metadata().file_metadata().num_rows()).unwrap_or(0)
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
pub(crate) struct Rows {
    path: Arc<Path>,
    reader: ParquetRecordBatchReader,
    next_row: i64,
}

impl Rows {
    pub(crate) fn open(
        path: &Arc<Path>,
        footer: &Footer,
        wanted: &WantedFields,
        batch_rows: usize,
    ) -> crate::error::Result<Self> {
        let file = opened(path)?;
        let build = || {
            let options = ArrowReaderOptions::new().with_schema(Arc::new(footer.with_dictionaries(wanted)));
            let metadata = ArrowReaderMetadata::try_new(Arc::clone(footer.0.metadata()), options)?;
            let mask = ProjectionMask::leaves(metadata.parquet_schema(), footer.leaves(wanted));
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
            builder.with_projection(mask).with_batch_size(batch_rows).build()
        };
        let reader = guarded(build).map_err(|error| broken(path, error))?;
        Ok(Self { path: Arc::clone(path), reader, next_row: 0 })
    }

    fn chunk(&mut self, batch: RecordBatch) -> RawChunk {
        let rows = i64::try_from(batch.num_rows()).expect("a batch has few rows");
        let first = self.next_row;
        self.next_row += rows;
        let row = (first..self.next_row).collect();
        RawChunk { batch, row, line: Vec::new(), rejects: Vec::new(), next_row: self.next_row }
    }
}

impl Iterator for Rows {
    type Item = crate::error::Result<RawChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.next_row;
        let batch = guarded(|| Ok(self.reader.next().transpose()?)).transpose()?;
        Some(batch.map(|batch| self.chunk(batch)).map_err(|error| {
            Error::user(format!("{} is damaged after row {row}", self.path.display()))
                .because(error)
                .hint("write or copy the file again")
        }))
    }
}

/// What the library makes of a file. It checks much, but panics on some lengths and types that make no sense; a damaged
/// file must not end the process, so that is caught. Nothing of it is read after a panic.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    let unread = |_| Err(ParquetError::General("lengths or types make no sense".to_owned()));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(unread)
}

fn broken(path: &Path, error: ParquetError) -> Error {
    Error::user(format!("{} is not a whole Parquet file", path.display()))
        .because(error)
        .hint("it may have been cut off while it was written or copied; write or copy it again")
}
