//! A reference profile: how every column of a data set is distributed, and the edges all later data is cut with.
//!
//! A profile is a file of its own, named by the BLAKE3 digest of its content, so that a number that rests on it can be
//! checked years later.

use serde::{Deserialize, Serialize};

use crate::kernel::moment::Grid;
use crate::summary::histogram::Recuts;
use crate::summary::{Amounts, Rare, Traffic};

/// The distribution of every column of a reference data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Version of this file format.
    pub format: u32,
    /// Where the data came from, for people.
    pub origin: String,
    /// Rows that were read.
    pub rows: u64,
    /// How each numeric column is cut.
    pub numeric: Vec<NumericProfile>,
    /// The categories of each categorical column.
    pub categorical: Vec<CategoricalProfile>,
    /// The data itself, counted with those cuts: all rows together.
    pub all: Traffic,
    /// The same per segment (one value per segment field of the pipeline).
    pub segments: Vec<(Vec<String>, Traffic)>,
    /// Values of each measure, of all rows together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<(String, Amounts)>,
}

/// How one numeric column is cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumericProfile {
    /// The column's name in the pipeline.
    pub name: String,
    /// Fine edges, strictly increasing.
    pub edges: Vec<f64>,
    /// Coarser cuts of them.
    pub recuts: Recuts,
    /// Grid of the moments.
    pub grid: Grid,
}

/// The categories of one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoricalProfile {
    /// The column's name in the pipeline.
    pub name: String,
    /// Its most frequent categories, sorted.
    pub known: Vec<String>,
    /// All others; their count comes after those of the known ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rare: Option<Rare>,
}
