//! Columns that stand inside of others: elements of lists, as a pipeline names them.

use std::sync::Arc;

use arrow::array::ArrayRef;

use super::{Chunk, Table, TableColumn};
use crate::decode::element::{leads, pick};
use crate::plan::{Path, PathStep};

/// The column that another stands in, and the way to it from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// Name of the outer column.
    pub(super) column: String,
    /// The way on.
    pub(super) steps: Vec<PathStep>,
}

impl Table {
    /// The table with a column for each of these paths that leads into a list, and is no column already.
    #[must_use]
    pub fn looking_into<'p>(mut self, paths: impl IntoIterator<Item = &'p Path>) -> Self {
        for path in paths {
            let name = path.to_string();
            let outer = path.outside_of_lists();
            let steps = &path.steps()[outer.steps().len()..];
            let found = self.find(&outer.to_string()).filter(|_| !steps.is_empty() && self.find(&name).is_none());
            let Some(outer) = found.map(|at| &self.columns[at]) else { continue };
            if leads(&outer.data_type, steps) {
                let inside = Inside { column: outer.name.clone(), steps: steps.to_vec() };
                let column = TableColumn { name, inside: Some(inside), ..outer.clone() };
                self.columns.push(column);
            }
        }
        self
    }
}

/// The columns asked for, out of those that they stand in: for each which of these, and the way on.
#[derive(Debug)]
pub(super) struct Insides(Vec<(usize, Vec<PathStep>)>);

impl Insides {
    /// The columns to read for these, each once, and how these are found in them.
    pub(super) fn of(columns: &[&TableColumn]) -> (Vec<String>, Self) {
        let mut outer: Vec<String> = Vec::new();
        let place = |column: &&TableColumn| {
            let name = column.outer();
            let steps = column.inside.as_ref().map_or_else(Vec::new, |inside| inside.steps.clone());
            let at = outer.iter().position(|known| known == name).unwrap_or_else(|| {
                outer.push(name.to_owned());
                outer.len() - 1
            });
            (at, steps)
        };
        let places = columns.iter().map(place).collect();
        (outer, Self(places))
    }

    /// The columns asked for. A text that is no list has no elements.
    pub(super) fn within(&self, chunk: Chunk) -> Chunk {
        let array = |(at, steps): &(usize, Vec<PathStep>)| -> ArrayRef {
            let outer = &chunk.arrays[*at];
            if steps.is_empty() || !leads(outer.data_type(), steps) {
                return Arc::clone(outer);
            }
            pick(outer, steps, &mut |_| {})
        };
        Chunk { arrays: self.0.iter().map(array).collect(), ..chunk }
    }
}
