//! What files of columns have in common.

use std::fmt;

use arrow::array::RecordBatch;

use crate::event::Reject;

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
pub enum Place {
    /// A line of text.
    Line(u64),
    /// A row of a table.
    Row(u64),
}

impl fmt::Display for Place {
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
    pub(crate) rejects: Vec<(Place, Reject)>,
    /// The first row after these.
    pub(crate) next_row: i64,
}

impl RawChunk {
    /// Where a row that could be read stands.
    pub(crate) fn place(&self, row: i64) -> Place {
        let line = self.row.binary_search(&row).ok().and_then(|at| self.line.get(at));
        line.map_or_else(|| Place::Row(u64::try_from(row + 1).unwrap_or(0)), |&line| Place::Line(line))
    }
}
