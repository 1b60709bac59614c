//! Probabilities of several classes, as models log them: a column for each class, a struct, or a list. The largest is
//! the score, its class the answer, and that of the true class is what the log loss is of.

use arrow::array::{Array as _, ArrayRef, Float64Array};

use super::layout::ColumnPosition;
use crate::batch::TextArray;
use crate::decode::cell::{self, category};
use crate::decode::lists;
use crate::event::class_hash;
use crate::plan::Path;
use crate::table::{Table, cells};

/// Where the probabilities are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ClassScoreColumns {
    /// A column for each class.
    Each(Vec<(String, ColumnPosition)>),
    /// A list in the order of the classes 0, 1, ….
    List(ColumnPosition),
}

impl ClassScoreColumns {
    /// As a pipeline says: below this path, or in a list at it.
    pub(crate) fn of_path(path: &Path, tables: [&Table; 2]) -> Option<Self> {
        let name = path.to_string();
        let prefix = format!("{name}.");
        let columns = tables[0].columns.iter().filter_map(|column| Some((column.name.strip_prefix(&prefix)?, column)));
        let place = |name: &str| ColumnPosition { name: name.to_owned(), at: tables.map(|table| table.find(name)) };
        let each: Vec<_> = columns.map(|(class, column)| (category(class).to_owned(), place(&column.name))).collect();
        let list = || tables[0].find(&name).map(|_| Self::List(place(&name)));
        if each.is_empty() { list() } else { Some(Self::Each(each)) }
    }

    /// The columns of one file.
    pub(crate) fn columns(&self, side: usize) -> Option<Vec<usize>> {
        match self {
            Self::Each(classes) => classes.iter().map(|(_, place)| place.at[side]).collect(),
            Self::List(place) => place.at[side].map(|at| vec![at]),
        }
    }

    /// Its columns, in words.
    pub(crate) fn names(&self) -> String {
        match self {
            Self::Each(classes) => classes.iter().map(|(_, place)| place.name.as_str()).collect::<Vec<_>>().join(", "),
            Self::List(place) => place.name.clone(),
        }
    }
}

/// Probabilities of some rows.
pub(crate) struct Probabilities {
    classes: Vec<String>,
    /// By row, in the order of the classes; none where one is missing.
    rows: Vec<Option<Vec<f64>>>,
}

impl Probabilities {
    /// Reads the columns of [`ClassScoreColumns::columns`].
    pub(crate) fn of(scores: &ClassScoreColumns, arrays: &[ArrayRef]) -> Self {
        match scores {
            ClassScoreColumns::Each(classes) => {
                let numbers: Vec<Float64Array> = arrays.iter().map(|array| cells::numbers(array).0).collect();
                let row = |row: usize| numbers.iter().map(|side| side.is_valid(row).then(|| side.value(row))).collect();
                let n = numbers.first().map_or(0, Float64Array::len);
                let classes = classes.iter().map(|(class, _)| class.clone()).collect();
                Self { classes, rows: (0..n).map(row).collect() }
            }
            ClassScoreColumns::List(_) => {
                let rows: Vec<Option<Vec<f64>>> = arrays.first().and_then(lists).unwrap_or_default();
                let most = rows.iter().flatten().map(Vec::len).max().unwrap_or_default();
                Self { classes: (0..most).map(|class| class.to_string()).collect(), rows }
            }
        }
    }

    /// The most probable class of each row (the first of equals), and its probability.
    pub(crate) fn tops(&self) -> (TextArray, Float64Array) {
        let top = |row: &Option<Vec<f64>>| cell::top(row.as_ref()?.iter().copied().enumerate());
        let tops: Vec<Option<(usize, f64)>> = self.rows.iter().map(top).collect();
        let classes = tops.iter().map(|top| top.map(|(class, _)| self.classes[class].as_str())).collect();
        (classes, tops.iter().map(|top| top.map(|(_, share)| share)).collect())
    }

    /// The probability that a row gave to a class; zero for one that it does not know.
    pub(crate) fn of_class(&self, row: usize, class: &str) -> Option<f64> {
        let shares = self.rows.get(row)?.as_ref()?;
        let wanted = class_hash(class);
        let at = self.classes.iter().position(|known| class_hash(known) == wanted);
        Some(at.and_then(|at| shares.get(at)).copied().unwrap_or(0.0))
    }
}
