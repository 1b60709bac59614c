//! Probabilities of several classes, as models log them: a column for each class, a struct, or a list. The largest is
//! the score, its class the answer, and that of the true class is what the log loss is of.

use arrow::array::{Array as _, ArrayRef, AsArray as _, Float64Array};

use super::layout::Place;
use crate::batch::TextArray;
use crate::decode::cell::category;
use crate::event::class_hash;
use crate::init::facts::{Facts, Kind};
use crate::table::{Table, cells};

/// What names of such columns begin with, before the class.
const STEMS: [&str; 14] = [
    "class_probabilities",
    "class_scores",
    "probabilities",
    "predict_proba",
    "pred_proba",
    "probability",
    "y_proba",
    "y_score",
    "y_prob",
    "proba",
    "scores",
    "score",
    "prob",
    "p",
];
/// How far the means of all classes may add up to something else than one.
const SUM_SLACK: f64 = 0.01;

/// Where the probabilities are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ClassScores {
    /// A column for each class.
    Each(Vec<(String, Place)>),
    /// A list in the order of the classes 0, 1, ….
    List(Place),
}

impl ClassScores {
    /// Found by names and values: columns that begin alike and add up to one, or a list with such a name.
    pub(crate) fn guessed(sample: &[Facts], place: impl Fn(&Facts) -> Place) -> Option<Self> {
        let list = |facts: &&Facts| facts.kind() == Kind::Nested && STEMS.contains(&&*facts.name.to_lowercase());
        let each = STEMS.iter().find_map(|stem| {
            let classes = sample.iter().filter_map(|facts| Some((class_of(stem, &facts.name)?, facts)));
            let classes: Vec<(&str, &Facts)> = classes.filter(|(_, facts)| facts.is_within(0.0, 1.0)).collect();
            let sum: f64 = classes.iter().filter_map(|(_, facts)| facts.mean()).sum();
            (classes.len() > 1 && (sum - 1.0).abs() <= SUM_SLACK).then_some(classes)
        });
        match each {
            Some(classes) => {
                let place = |(class, facts): (&str, &Facts)| (category(class).to_owned(), place(facts));
                Some(Self::Each(classes.into_iter().map(place).collect()))
            }
            None => sample.iter().find(list).map(|facts| Self::List(place(facts))),
        }
    }

    /// As a pipeline says: below this path, or in a list at it.
    pub(crate) fn of_path(path: &[String], tables: [&Table; 2]) -> Option<Self> {
        let prefix = path.join(".") + ".";
        let columns = tables[0].columns.iter().filter_map(|column| Some((column.name.strip_prefix(&prefix)?, column)));
        let place = |name: &str| Place { name: name.to_owned(), at: tables.map(|table| table.find(name)) };
        let each: Vec<_> = columns.map(|(class, column)| (category(class).to_owned(), place(&column.name))).collect();
        let list = || tables[0].find(&path.join(".")).map(|_| Self::List(place(&path.join("."))));
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

/// The class in the name of a column.
fn class_of<'a>(stem: &str, name: &'a str) -> Option<&'a str> {
    let (start, rest) = name.split_at_checked(stem.len())?;
    let class = rest.strip_prefix(['_', '.', '-', ' '])?;
    (start.eq_ignore_ascii_case(stem) && !class.is_empty()).then_some(class)
}

/// Probabilities of some rows.
pub(crate) struct Probabilities {
    classes: Vec<String>,
    /// By row, in the order of the classes; none where one is missing.
    rows: Vec<Option<Vec<f64>>>,
}

impl Probabilities {
    /// Reads the columns of [`ClassScores::columns`].
    pub(crate) fn of(scores: &ClassScores, arrays: &[ArrayRef]) -> Self {
        match scores {
            ClassScores::Each(classes) => {
                let numbers: Vec<Float64Array> = arrays.iter().map(|array| cells::numbers(array).0).collect();
                let row = |row: usize| numbers.iter().map(|side| side.is_valid(row).then(|| side.value(row))).collect();
                let n = numbers.first().map_or(0, Float64Array::len);
                let classes = classes.iter().map(|(class, _)| class.clone()).collect();
                Self { classes, rows: (0..n).map(row).collect() }
            }
            ClassScores::List(_) => {
                let rows: Vec<Option<Vec<f64>>> = arrays.first().map_or_else(Vec::new, lists);
                let most = rows.iter().flatten().map(Vec::len).max().unwrap_or_default();
                Self { classes: (0..most).map(|class| class.to_string()).collect(), rows }
            }
        }
    }

    /// The most probable class of each row (the first of equals), and its probability.
    pub(crate) fn tops(&self) -> (TextArray, Float64Array) {
        let top = |row: &Option<Vec<f64>>| {
            let shares = row.as_ref().filter(|row| row.iter().all(|share| !share.is_nan()))?;
            let all = shares.iter().copied().enumerate();
            all.reduce(|best, next| if next.1 > best.1 { next } else { best })
        };
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

fn lists(array: &ArrayRef) -> Vec<Option<Vec<f64>>> {
    let values = |list: Option<ArrayRef>| cells::numbers(&list?).0.iter().collect::<Option<Vec<f64>>>();
    if let Some(lists) = array.as_list_opt::<i32>() {
        lists.iter().map(values).collect()
    } else if let Some(lists) = array.as_list_opt::<i64>() {
        lists.iter().map(values).collect()
    } else if let Some(lists) = array.as_fixed_size_list_opt() {
        lists.iter().map(values).collect()
    } else {
        vec![None; array.len()]
    }
}
