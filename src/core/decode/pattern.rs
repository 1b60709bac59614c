//! A part of a text, taken by a regular expression. What was found in a text is kept, as texts repeat.

use std::collections::BTreeMap;

use regex::Regex;

/// Texts whose part is remembered; beyond, all are forgotten at once.
const KEPT_MAX: usize = 4_096;
/// The longest text that is remembered, in bytes.
const KEPT_BYTES_MAX: usize = 512;

/// A regular expression with one group, and what it found lately.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    kept: BTreeMap<String, Option<String>>,
}

impl Pattern {
    /// The pattern that is written like this.
    ///
    /// # Errors
    /// When it is no regular expression, or has not one group exactly.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let regex = Regex::new(pattern).map_err(|error| {
            let reason = error.to_string();
            let last = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("`{pattern}` is not a regular expression: {last}")
        })?;
        match regex.captures_len() - 1 {
            1 => Ok(Self { regex, kept: BTreeMap::new() }),
            n => Err(format!("`{pattern}` has {n} groups; put the part that is the value into one pair of brackets")),
        }
    }

    /// The part of a text that the group matches; none where it does not match.
    pub fn part(&mut self, text: &str) -> Option<String> {
        if let Some(known) = self.kept.get(text) {
            return known.clone();
        }
        let part = self.regex.captures(text).and_then(|found| Some(found.get(1)?.as_str().to_owned()));
        if text.len() <= KEPT_BYTES_MAX {
            if self.kept.len() >= KEPT_MAX {
                self.kept.clear();
            }
            self.kept.insert(text.to_owned(), part.clone());
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_of_the_group_is_found_again_and_again() {
        let mut pattern = Pattern::new(r"-predictor-(\d{5})-").expect("a pattern");
        for _ in 0..2 {
            assert_eq!(pattern.part("fraud-predictor-00002-deployment-7d9").as_deref(), Some("00002"));
            assert_eq!(pattern.part("fraud"), None);
        }
        for n in 0..2 * KEPT_MAX {
            assert_eq!(pattern.part(&format!("-predictor-{n:05}-")), Some(format!("{n:05}")));
        }
        assert!(pattern.kept.len() <= KEPT_MAX);
    }

    #[test]
    fn what_is_no_pattern_with_one_group_is_refused() {
        assert!(Pattern::new("(a").is_err_and(|why| why.contains("is not a regular expression: unclosed group")));
        assert!(Pattern::new("a").is_err_and(|why| why.starts_with("`a` has 0 groups")));
        assert!(Pattern::new("(a)(b)").is_err_and(|why| why.contains("2 groups")));
        assert!(Pattern::new("(?:a)(b)").is_ok());
    }
}
