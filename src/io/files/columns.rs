//! What files of columns have in common.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::error::{Error, Result};
use crate::event::Reject;

/// A file of columns that was looked into and can be read as often as one likes.
pub(crate) trait ColumnFile: fmt::Debug + Send + Sync {
    /// Its columns.
    fn schema(&self) -> &SchemaRef;

    /// How many rows there are; about so many in files of lines.
    fn rows(&self) -> u64;

    /// Whether columns can be read one by one without reading the others; then all rows were counted.
    fn is_columnar(&self) -> bool {
        false
    }

    /// Whether the file says of which type its values are; texts that others give may stand for anything.
    fn is_typed(&self) -> bool {
        true
    }

    /// Its rows, so many at a time.
    fn read(&self, wanted: &WantedFields, batch_rows: usize) -> Result<RawChunks>;
}

/// Rows of a file, some at a time.
pub(crate) type RawChunks = Box<dyn Iterator<Item = Result<RawChunk>> + Send>;

/// What a library makes of a file. It checks much, but panics on some lengths and types that make no sense; a damaged
/// file must not end the process, so that is caught. Nothing of it is read after a panic.
pub(super) fn guarded<T, E>(read: impl FnOnce() -> std::result::Result<T, E>, unread: E) -> std::result::Result<T, E> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(unread))
}

/// The error of a file whose rows cannot be read to the end.
pub(super) fn damaged(path: &Path, row: i64, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::user(format!("{} is damaged after row {row}", path.display()))
        .because(error)
        .hint("write or copy the file again")
}

/// The columns of a file that are read.
#[derive(Debug, Clone, Default)]
pub(crate) struct WantedFields {
    /// Index of a column, then of fields of structs inside it; and whether it holds texts of few distinct values.
    pub(crate) places: Vec<(Vec<usize>, bool)>,
}

impl WantedFields {
    /// The columns of the file that these are in, in its order.
    pub(crate) fn columns(&self) -> Vec<usize> {
        let mut columns: Vec<usize> = self.places.iter().filter_map(|(place, _)| place.first().copied()).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }
}

/// Where a row stands in its file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowPosition {
    /// A line of text.
    Line(u64),
    /// A row of a table.
    Row(u64),
}

impl fmt::Display for RowPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// Some rows of a file.
pub(crate) struct RawChunk {
    /// The rows that could be read: the columns asked for, in the order of the file.
    pub(crate) batch: RecordBatch,
    /// Which row of the file each one is.
    pub(crate) row: Vec<i64>,
    /// The line at which each begins, in files of lines.
    pub(crate) line: Vec<u64>,
    /// The rows that could not; their offset is their row.
    pub(crate) rejects: Vec<(RowPosition, Reject)>,
    /// The first row after these.
    pub(crate) next_row: i64,
}

impl RawChunk {
    /// Rows that could all be read, the first of which is row `first` of the file.
    pub(super) fn of_table(batch: RecordBatch, first: i64) -> Self {
        let next_row = first + i64::try_from(batch.num_rows()).expect("a batch has few rows");
        Self { batch, row: (first..next_row).collect(), line: Vec::new(), rejects: Vec::new(), next_row }
    }

    /// Where a row that could be read stands.
    pub(crate) fn place(&self, row: i64) -> RowPosition {
        let line = self.row.binary_search(&row).ok().and_then(|at| self.line.get(at));
        line.map_or_else(|| RowPosition::Row(u64::try_from(row + 1).unwrap_or(0)), |&line| RowPosition::Line(line))
    }
}
