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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray as _, StringArray};

    use super::*;

    fn each(classes: &[&str]) -> ClassScoreColumns {
        let place = |name: &&str| {
            (category(name).to_owned(), ColumnPosition { name: format!("p_{name}"), at: [Some(0), None] })
        };
        ClassScoreColumns::Each(classes.iter().map(place).collect())
    }

    fn list() -> ClassScoreColumns {
        ClassScoreColumns::List(ColumnPosition { name: "scores".to_owned(), at: [Some(4), Some(2)] })
    }

    fn column(cells: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(cells.to_vec()))
    }

    fn tops(found: &Probabilities) -> Vec<Option<(String, f64)>> {
        let (classes, shares) = found.tops();
        let names = classes.values().as_string::<i32>().clone();
        (0..shares.len()).map(|row| Some((names.value(classes.key(row)?).to_owned(), shares.value(row)))).collect()
    }

    #[test]
    fn the_answer_is_the_first_of_the_most_probable_classes() {
        let arrays = [
            column(&["0.2", "0.4", "", "NaN"]),
            column(&["0.8", "0.4", "0.5", "0.5"]),
            column(&["0", "0.2", "1", "1"]),
        ];
        let found = Probabilities::of(&each(&["a", "b", "c"]), &arrays);
        let expected = [Some(("b".to_owned(), 0.8)), Some(("a".to_owned(), 0.4)), None, None];
        assert_eq!(tops(&found), expected, "a row that lacks one, or has NaN, has no answer");
        assert_eq!(found.of_class(2, "a"), None);
    }

    #[test]
    fn classes_are_found_as_they_are_compared_and_an_unknown_one_had_no_chance() {
        let found = Probabilities::of(&each(&["1.0", "2"]), &[column(&["0.25"]), column(&["0.75"])]);
        assert_eq!(
            [found.of_class(0, "1"), found.of_class(0, "2"), found.of_class(0, "3")],
            [Some(0.25), Some(0.75), Some(0.0)]
        );
        assert_eq!(found.of_class(1, "1"), None, "a row that is not there");
    }

    #[test]
    fn a_list_is_of_the_classes_from_zero_on_and_may_be_shorter_than_others() {
        let found = Probabilities::of(&list(), &[column(&["[0.1, 0.9]", "[0.2 0.3 0.5]", "none", "[]"])]);
        assert_eq!(tops(&found), [Some(("1".to_owned(), 0.9)), Some(("2".to_owned(), 0.5)), None, None]);
        assert_eq!(
            (found.of_class(0, "2"), found.of_class(1, "2"), found.of_class(2, "0")),
            (Some(0.0), Some(0.5), None)
        );
        assert!(tops(&Probabilities::of(&each(&[]), &[])).is_empty());
    }

    #[test]
    fn columns_are_those_of_a_side_or_none_where_one_is_not_there() {
        assert_eq!((each(&["a", "b"]).columns(0), each(&["a", "b"]).columns(1)), (Some(vec![0, 0]), None));
        assert_eq!((list().columns(0), list().columns(1)), (Some(vec![4]), Some(vec![2])));
        assert_eq!((each(&["a", "b"]).names(), list().names()), ("p_a, p_b".to_owned(), "scores".to_owned()));
    }
}
