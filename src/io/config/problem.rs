//! What is wrong with a pipeline file, shown where it is wrong.
//!
//! Several problems are gathered and told together, each with its line of the file, so that one run of `haldane check`
//! finds them all.

use std::fmt::Write as _;

use super::secret::blotted;
use crate::error::Error;

/// A place in the file. Lines and columns count from 1; line 0 is nowhere in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// Line.
    pub(crate) line: usize,
    /// Column in characters.
    pub(crate) column: usize,
    /// How many characters are meant.
    pub(crate) len: usize,
}

impl From<serde_saphyr::Location> for Spot {
    fn from(location: serde_saphyr::Location) -> Self {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Self { line: number(location.line()), column: number(location.column()), len: number(location.span().len()) }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    spot: Spot,
    message: String,
    help: Option<String>,
}

impl Diagnostic {
    /// Adds what to do about it.
    pub(crate) fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }

    fn render(&self, origin: &str, text: &str) -> String {
        let Spot { line, column, len } = self.spot;
        let Some(shown) = line.checked_sub(1).and_then(|index| text.lines().nth(index)) else {
            return format!("{origin}: {}{}", self.message, self.footer(1));
        };
        let width = line.to_string().len();
        let blank = " ".repeat(width);
        let before = " ".repeat(column.saturating_sub(1));
        let rest = shown.trim_end().chars().count().saturating_sub(column.saturating_sub(1));
        let marks = "^".repeat(len.clamp(1, rest.max(1)));
        let head = format!("{origin}:{line}:{column}: {}", self.message);
        let shown = blotted(shown.trim_end());
        format!("{head}\n{blank} |\n{line} | {shown}\n{blank} | {before}{marks}{}", self.footer(width))
    }

    fn footer(&self, width: usize) -> String {
        self.help.as_ref().map_or_else(String::new, |help| format!("\n{} = {help}", " ".repeat(width)))
    }
}

/// Everything found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Diagnostic>,
}

impl Problems {
    /// Notes a problem at a place.
    pub(crate) fn add(&mut self, spot: Spot, message: impl Into<String>) -> &mut Diagnostic {
        self.found.push(Diagnostic { spot, message: message.into(), help: None });
        self.found.last_mut().expect("a problem was just added")
    }

    /// All problems as one error in the order of the file, or `Ok` when there is none.
    pub(crate) fn into_result(mut self, origin: &str, text: &str) -> Result<(), Error> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|problem| problem.spot);
        let mut message = String::new();
        for (index, problem) in self.found.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(message, "{gap}{}", problem.render(origin, text)).expect("writing to a String cannot fail");
        }
        Err(Error::user(message))
    }
}

/// The candidate that `word` is most likely a misspelling of, if any is close.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = (word.chars().count() / 3).max(1) + 1;
    let scored = candidates.into_iter().map(|candidate| (strsim::levenshtein(word, candidate), candidate));
    scored.min().filter(|(distance, _)| *distance <= far).map(|(_, candidate)| candidate)
}

/// "did you mean …?", or the whole list when nothing is close.
pub(crate) fn suggestion(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if candidates.is_empty() => "nothing is allowed here".to_owned(),
        None => format!("known here: {}", candidates.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_are_recognised_and_strangers_are_not() {
        assert_eq!(nearest("lateness_", ["size", "lateness"]), Some("lateness"));
        assert_eq!(nearest("colour", ["size", "lateness"]), None);
        assert_eq!(suggestion("colour", &["size", "slide"]), "known here: size, slide");
    }

    #[test]
    fn problems_are_told_in_file_order_with_their_lines() {
        let mut problems = Problems::default();
        problems.add(Spot { line: 2, column: 3, len: 4 }, "second");
        problems.add(Spot { line: 1, column: 1, len: 99 }, "first").help("mend it");
        problems.add(Spot::default(), "nowhere");
        let error = problems.into_result("p.yaml", "a: b\n  wxyz: 1\n").unwrap_err();
        let expected = "\
p.yaml: nowhere

p.yaml:1:1: first
  |
1 | a: b
  | ^^^^
  = mend it

p.yaml:2:3: second
  |
2 |   wxyz: 1
  |   ^^^^";
        assert_eq!(error.to_string(), expected);
    }
}
