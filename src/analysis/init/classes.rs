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

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(path: &[&str], place: Option<&str>) -> Facts {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        let mut facts = Facts::default();
        (facts.name, facts.path, facts.place) = (path.join("."), path, place.map(str::to_owned));
        facts
    }

    #[test]
    fn a_class_stands_behind_the_stem_and_a_sign() {
        for (stem, name, class) in [
            ("prob", "prob_cat", Some("cat")),
            ("prob", "Prob.cat", Some("cat")),
            ("prob", "PROB-1", Some("1")),
            ("prob", "prob a b", Some("a b")),
            ("p", "p_é", Some("é")),
            ("prob", "prob", None),
            ("prob", "prob_", None),
            ("prob", "probcat", None),
            ("prob", "my_prob_cat", None),
            ("proba", "é", None),
            ("p", "éa", None),
        ] {
            assert_eq!(class_of(stem, name), class, "{name}");
        }
        assert!(is_stem("Probabilities") && is_stem("p") && !is_stem("probs"));
    }

    #[test]
    fn fields_of_one_object_are_named_by_it() {
        let of = |all: &[Facts]| object(all.iter());
        let [a, b] = ["a", "b"].map(|class| facts(&["out", "scores", class], None));
        assert_eq!(of(&[a.clone(), b]).as_deref(), Some("out.scores"));
        assert_eq!(of(&[a.clone(), facts(&["out", "other", "b"], None)]), None, "of two objects");
        assert_eq!(of(&[a.clone(), facts(&["b"], None)]), None);
        assert_eq!(of(&[facts(&["p_a"], None), facts(&["p_b"], None)]), None, "of none");
        assert_eq!(of(&[a, facts(&["out", "scores", "b"], Some("x[0]"))]), None, "of records that are no flat rows");
        assert_eq!(of(&[facts(&["a.b", "x"], None)]).as_deref(), Some("a\\.b"), "a dot in a name");
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn the_columns_of_classes_are_known_by_their_place() {
        let each = ClassColumns::Each(vec![("a".to_owned(), 3), ("b".to_owned(), 5)]);
        assert_eq!([2, 3, 4, 5].map(|at| each.holds(at)), [false, true, false, true]);
        assert_eq!([0, 1].map(|at| ClassColumns::List(1).holds(at)), [false, true]);
        assert_ne!(each.reason(), ClassColumns::List(1).reason());
    }
}
