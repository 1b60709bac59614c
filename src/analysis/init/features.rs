//! The features of a pipeline that is made of somebody's data.

use std::fmt::Write as _;

use super::facts::FactKind;
use super::guess::{Guess, Guesses, Use};
use super::pipeline::{entry, last, path};

/// Share of the values of a numeric feature that may be no numbers; their rows are refused.
const MISTYPED_MAX: f64 = 0.005;

/// Why a feature is left out, if it is: rows with a text among numbers would be refused.
pub(super) fn unusable(guess: &Guess) -> Option<String> {
    let is_feature = guess.usage == Use::Feature;
    let share = guess.facts.mistyped();
    if is_feature && guess.facts.path.iter().any(String::is_empty) {
        return Some(format!("it has no name; {}", guess.reason));
    }
    if is_feature && guess.facts.label() != guess.facts.path.join(".") {
        return Some("a column before it has the same name, and pipelines read that one".to_owned());
    }
    (is_feature && guess.kind == FactKind::Numeric && share > MISTYPED_MAX)
        .then(|| format!("{:.1} % of its values are no numbers; {}", share * 100.0, guess.reason))
}

/// Whether a column becomes a feature; scores and latencies do where rows are no predictions.
pub(super) fn is_one(guess: &Guess, with_score: bool) -> bool {
    let is_answer = matches!(guess.usage, Use::Score | Use::Latency(_)) && guess.kind == FactKind::Numeric;
    let is_known = matches!(guess.kind, FactKind::Numeric | FactKind::Categorical | FactKind::Boolean);
    is_known && (guess.usage == Use::Feature || with_score && is_answer) && unusable(guess).is_none()
}

/// Features by kind, each with what was seen of it.
pub(super) fn features(guesses: &Guesses, with_score: bool, text: &mut String) {
    let scores = guesses.class_scores.as_ref().filter(|_| !with_score);
    let is_free = |column: usize| scores.is_none_or(|scores| !scores.holds(column));
    let of = |kind: FactKind| -> Vec<&Guess> {
        let free = guesses.columns.iter().enumerate().filter(|(column, _)| is_free(*column)).map(|(_, guess)| guess);
        free.filter(|guess| guess.kind == kind && is_one(guess, with_score)).collect()
    };
    let (numeric, categorical, boolean) = (of(FactKind::Numeric), of(FactKind::Categorical), of(FactKind::Boolean));
    if numeric.len() + categorical.len() + boolean.len() == 0 {
        return;
    }
    let all: Vec<&Guess> = numeric.iter().chain(&categorical).chain(&boolean).copied().collect();
    *text += "    features:\n";
    for (name, columns, is_numeric) in
        [("numeric", numeric, true), ("categorical", categorical, false), ("boolean", boolean, false)]
    {
        if !columns.is_empty() {
            let _ = writeln!(text, "      {name}:");
            for guess in columns {
                *text += "  ";
                entry(text, &feature_name(guess, &all), guess, &if is_numeric { ranged(guess) } else { path(guess) });
            }
        }
    }
}

/// A name that no other feature has, and that is free: the last part of the path where it will do, else the path.
fn feature_name(guess: &Guess, all: &[&Guess]) -> String {
    let is_free = |name: &str| !["score", "latency", "latency_ms"].contains(&name);
    let short = last(guess);
    if is_free(&short) && all.iter().filter(|other| last(other) == short).count() == 1 {
        return short;
    }
    let long = guess.facts.label();
    if is_free(&long) { long } else { format!("{long}_value") }
}

/// A numeric column with the range that was seen.
pub(super) fn ranged(guess: &Guess) -> String {
    let (low, high) = guess.facts.range().unwrap_or((0.0, 1.0));
    let (low, high) = if low < high { (low, high) } else { (low - 0.5, high + 0.5) };
    format!("{{ path: {}, range: [{low:?}, {high:?}] }}", path(guess))
}
