//! What one cell means. Every format and every command asks here, so that a value is read alike wherever it stands: as
//! a text, a number or a boolean, in CSV, JSON, Parquet or Arrow, in a file or on a topic.
//!
//! | slot | reads |
//! |---|---|
//! | number | numbers, also in texts; `true` is 1 and `false` 0; words for nothing are missing; NaN stays NaN |
//! | truth value | 1 and 0, and words for yes and no in any case; other numbers keep their value |
//! | truth value of a feature | as above, and is `true` or `false`; any other text is a category |
//! | class, category | its value: 1 = 1.0 = "1", True = true; a class of a binary task is "1" or "0" |
//! | error | truth values; any other text is an error; words for nothing are none |
//! | id | 1 = 1.0 = "1"; no fractions |
//! | model, version | texts as they are written |
//! | time | see [`time`] |

use crate::event::{Micros, Poison};
use crate::plan::{TimeFormat, WallClock};

use super::flaw::Flaw;
use super::time;

/// Words that stand for no value, in lower case.
const MISSING: [&str; 9] = ["", "na", "n/a", "<na>", "null", "none", "nil", "-", "?"];
/// Words that stand for yes, in lower case.
const YES: [&str; 5] = ["true", "t", "yes", "y", "on"];
/// Words that stand for no, in lower case.
const NO: [&str; 5] = ["false", "f", "no", "n", "off"];
/// What a label should have been.
const NO_LABEL: &str =
    "expected a number or a word for yes or no; for other classes, name the positive ones with `positive`";
/// The longest of these words.
const WORD_BYTES_MAX: usize = 5;
/// Every whole number up to this one is a float of its own.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

fn is_one_of(text: &str, words: &[&str]) -> bool {
    text.len() <= WORD_BYTES_MAX && words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether a text stands for no value.
#[must_use]
pub fn is_missing(text: &str) -> bool {
    is_one_of(text.trim(), &MISSING)
}

/// What a word for yes or no stands for.
#[must_use]
pub fn word(text: &str) -> Option<bool> {
    let text = text.trim();
    if is_one_of(text, &YES) { Some(true) } else { is_one_of(text, &NO).then_some(false) }
}

/// The number in a text: `true` and `false` are numbers, too.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let truth = || match text {
        _ if text.eq_ignore_ascii_case("true") => Some(1.0),
        _ if text.eq_ignore_ascii_case("false") => Some(0.0),
        _ => None,
    };
    text.parse().ok().or_else(truth)
}

/// A status by name: 200 where it is one of those that mean success, as they are compared; else a code of HTTP as it
/// is, and 500 for any other. None where it is missing.
#[must_use]
pub fn named_status(text: &str, ok: &[String]) -> Option<i16> {
    let text = category(text.trim());
    if ok.iter().any(|one| one == text) {
        return Some(200);
    }
    let code = text.parse().ok().filter(|code| (100..600).contains(code));
    (!is_missing(text)).then(|| code.unwrap_or(500))
}

/// The number of a cell; none where it is missing.
pub(super) fn numeric(text: &str) -> Result<Option<f64>, Flaw> {
    match number(text) {
        Some(number) => Ok(Some(number)),
        None if is_missing(text) => Ok(None),
        None => Err(Flaw::wrong_type("expected a number")),
    }
}

/// What a text says of yes and no: a word for it, or 1 or 0.
#[must_use]
pub fn truth(text: &str) -> Option<bool> {
    word(text).or_else(|| truth_of(text.trim().parse().ok()?))
}

/// What a number says of yes and no.
#[must_use]
#[expect(clippy::float_cmp, reason = "exactly these two numbers are truth values")]
pub fn truth_of(number: f64) -> Option<bool> {
    if number == 1.0 { Some(true) } else { (number == 0.0).then_some(false) }
}

/// Whether a text tells of an error.
#[must_use]
pub fn is_failure(text: &str) -> bool {
    match word(text).or_else(|| text.trim().parse().ok().map(is_failure_code)) {
        Some(failed) => failed,
        None => !is_missing(text),
    }
}

/// Whether a number tells of an error; NaN is how some writers spell nothing.
#[must_use]
pub fn is_failure_code(code: f64) -> bool {
    code != 0.0 && !code.is_nan()
}

/// A category as it is compared: whole numbers without their `.0`, true and false in lower case.
#[must_use]
pub fn category(text: &str) -> &str {
    match text {
        _ if text.len() == 4 && text.eq_ignore_ascii_case("true") => "true",
        _ if text.len() == 5 && text.eq_ignore_ascii_case("false") => "false",
        _ => whole(text).unwrap_or(text),
    }
}

/// A truth value as it is compared, `true` or `false`; what is none is a category.
#[must_use]
pub fn truth_name(text: &str) -> &str {
    match truth(text) {
        Some(true) => "true",
        Some(false) => "false",
        None => category(text),
    }
}

/// How classes and labels are read.
#[derive(Debug, Clone, Copy)]
pub struct Classes<'a> {
    /// Whether there are two of them.
    pub binary: bool,
    /// The classes that are positive, as they are compared; where there are none, those that say yes.
    pub positive: &'a [String],
}

impl Classes<'_> {
    /// A class as it is compared; those of a binary task are "1" and "0" where it is known which they are.
    #[must_use]
    pub fn class<'t>(&self, text: &'t str) -> Option<&'t str> {
        let text = category(text.trim());
        if !self.binary {
            return Some(text).filter(|text| !text.is_empty());
        }
        let side = |positive: bool| if positive { "1" } else { "0" };
        match self.positive {
            _ if is_missing(text) => None,
            [] => Some(truth(text).map_or(text, side)),
            positive => Some(side(is_among(positive, text))),
        }
    }

    /// A true class or quantity as a number; none where it is missing.
    ///
    /// # Errors
    /// What was expected.
    pub fn label(&self, text: &str) -> Result<Option<f64>, &'static str> {
        let text = category(text.trim());
        if is_missing(text) {
            return Ok(None);
        }
        let truth = if self.positive.is_empty() { word(text) } else { Some(is_among(self.positive, text)) };
        let label = truth.map(|truth| f64::from(u8::from(truth))).or_else(|| text.parse().ok());
        label.map(Some).ok_or(NO_LABEL)
    }
}

/// Whether a class is one of the positive ones, as they are compared.
fn is_among(positive: &[String], text: &str) -> bool {
    positive.iter().any(|class| category(class) == text || word(class).is_some() && word(class) == word(text))
}

/// The first of the largest scores, with its class; none where one is NaN.
#[must_use]
pub fn top<C>(scores: impl IntoIterator<Item = (C, f64)>) -> Option<(C, f64)> {
    let larger = |best: Option<(C, f64)>, next: (C, f64)| match best {
        _ if next.1.is_nan() => None,
        Some(best) if next.1 <= best.1 => Some(Some(best)),
        _ => Some(Some(next)),
    };
    scores.into_iter().try_fold(None, larger).flatten()
}

/// The numbers of a list that is written as a text, as JSON and numpy do; none where one of them is missing.
#[must_use]
pub fn list(text: &str) -> Option<Vec<f64>> {
    let inside = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let parts = inside.split(|letter: char| letter == ',' || letter.is_ascii_whitespace());
    parts.filter(|part| !part.is_empty()).map(number).collect()
}

/// The name of a number that is a category or a class; none for NaN, which is how some writers spell nothing.
#[must_use]
pub fn named(number: f64) -> Option<String> {
    (!number.is_nan()).then(|| (number + 0.0).to_string())
}

/// An id as it is compared.
#[must_use]
pub fn id(text: &str) -> &str {
    whole(text).unwrap_or(text)
}

/// The id that a number stands for; none for NaN.
pub(super) fn id_of(number: f64) -> Result<Option<String>, Flaw> {
    if number.is_nan() {
        Ok(None)
    } else if number.fract() != 0.0 {
        Err(Flaw::wrong_type("expected a text or a whole number, found a fraction"))
    } else if number.abs() > WHOLE_MAX {
        Err(Flaw::new(Poison::OutOfRange, "an id beyond 2^53 in a float, which cannot tell it from its neighbours"))
    } else {
        Ok(Some((number + 0.0).to_string()))
    }
}

/// The digits of a whole number that is written with a point and zeros; nothing for other texts.
fn whole(text: &str) -> Option<&str> {
    let without = text.strip_suffix('0')?.trim_end_matches('0').strip_suffix('.')?;
    let digits = without.strip_prefix('-').unwrap_or(without);
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain && (digits == "0" || !digits.starts_with('0'))).then_some(if digits == "0" { "0" } else { without })
}

/// The time in a text: written out, or an epoch number where the format is one.
#[must_use]
pub fn instant(text: &str, format: TimeFormat) -> Option<Micros> {
    local(text, format, None)
}

/// The same where a time without a zone is what a clock on a wall shows.
fn local(text: &str, format: TimeFormat, clock: Option<&WallClock>) -> Option<Micros> {
    let text = text.trim();
    time::from_local(text.as_bytes(), clock).or_else(|| {
        let is_epoch = format != TimeFormat::Rfc3339;
        is_epoch.then(|| epoch(text, format)).flatten()
    })
}

fn epoch(text: &str, format: TimeFormat) -> Option<Micros> {
    match text.parse::<i64>() {
        Ok(value) => time::from_integer(value, format),
        Err(_) => time::from_float(text.parse().ok()?, format),
    }
}

/// The time of a cell; none where it is missing.
pub(super) fn dated(text: &str, format: TimeFormat, clock: Option<&WallClock>) -> Result<Option<Micros>, Flaw> {
    match local(text, format, clock) {
        Some(time) => Ok(Some(time)),
        None if is_missing(text) => Ok(None),
        None if format == TimeFormat::Rfc3339 => Err(Flaw::wrong_type("expected a time such as 2024-05-01T12:00:00Z")),
        None => Err(Flaw::wrong_type("expected a time such as 2024-05-01T12:00:00Z, or an epoch number")),
    }
}
