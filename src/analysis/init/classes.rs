//! Columns that hold the scores of several classes, as models log them: one for each class, fields of a struct, or a
//! list.

use std::fmt::Write as _;

use super::facts::{FactKind, Facts};
use super::guess::{Guess, Guesses};
use super::pipeline::{entry, path};
use super::scalar::{one_line, scalar};
use crate::decode::cell::category;
use crate::plan::Path;

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

/// Which columns they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClassColumns {
    /// One for each class.
    Each(Vec<(String, usize)>),
    /// A list in the order of the classes 0, 1, ….
    List(usize),
}

impl ClassColumns {
    /// Found by names and values: columns that begin alike and add up to one, or a list with such a name.
    pub(crate) fn guessed(columns: &[Guess]) -> Option<Self> {
        let each = STEMS.iter().find_map(|stem| {
            let fits = |(at, guess): (usize, &Guess)| {
                let label = guess.facts.label();
                let class = class_of(stem, &label).filter(|_| guess.facts.is_within(0.0, 1.0))?;
                Some((category(class).to_owned(), at))
            };
            let classes: Vec<(String, usize)> = columns.iter().enumerate().filter_map(fits).collect();
            let sum: f64 = classes.iter().filter_map(|(_, at)| columns[*at].facts.mean()).sum();
            (classes.len() > 1 && (sum - 1.0).abs() <= SUM_SLACK).then_some(Self::Each(classes))
        });
        let is_list = |facts: &Facts| facts.kind() == FactKind::Nested && is_stem(&facts.label());
        each.or_else(|| columns.iter().position(|guess| is_list(&guess.facts)).map(Self::List))
    }

    /// Whether a column is one of them.
    pub(super) fn holds(&self, column: usize) -> bool {
        match self {
            Self::Each(classes) => classes.iter().any(|(_, at)| *at == column),
            Self::List(at) => *at == column,
        }
    }

    /// What was found, in words.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Each(_) => "they are named alike and add up to one",
            Self::List(_) => "a list whose name is like that of scores",
        }
    }

    /// The lines of a pipeline.
    pub(super) fn write(&self, guesses: &Guesses, text: &mut String) {
        let columns = &guesses.columns;
        let reason = one_line(self.reason());
        match self {
            Self::List(at) => {
                let _ = writeln!(text, "    class_scores: {} # {reason}", path(&columns[*at]));
            }
            Self::Each(classes) => {
                if let Some(object) = object(classes.iter().map(|(_, at)| &columns[*at].facts)) {
                    let _ = writeln!(text, "    class_scores: {} # {reason}", scalar(&object));
                    return;
                }
                let _ = writeln!(text, "    class_scores: # {reason}");
                classes.iter().for_each(|(class, at)| entry(text, class, &columns[*at], &path(&columns[*at])));
            }
        }
    }
}

/// Whether a list of such a name holds the scores of several classes.
pub(super) fn is_stem(name: &str) -> bool {
    STEMS.contains(&name.to_lowercase().as_str())
}

/// The class in the name of a column.
fn class_of<'a>(stem: &str, name: &'a str) -> Option<&'a str> {
    let (start, rest) = name.split_at_checked(stem.len())?;
    let class = rest.strip_prefix(['_', '.', '-', ' '])?;
    (start.eq_ignore_ascii_case(stem) && !class.is_empty()).then_some(class)
}

/// The path of the object that all of them are fields of.
fn object<'a>(fields: impl Iterator<Item = &'a Facts>) -> Option<String> {
    let mut parents =
        fields.map(|facts| facts.path.split_last().map(|(_, parent)| parent).filter(|_| facts.place.is_none()));
    let first = parents.next()??;
    let is_shared = !first.is_empty() && parents.all(|parent| parent == Some(first));
    is_shared.then(|| first.iter().cloned().collect::<Path>().escaped())
}
