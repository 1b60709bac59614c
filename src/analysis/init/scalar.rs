//! Texts as they stand in a YAML file.

/// A text without line ends, for a comment.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(160).collect()
}

/// A name with nothing that topics and pipelines do not allow.
pub(super) fn plain(name: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let plain: String = name.chars().map(|letter| if fits(letter) { letter } else { '-' }).collect();
    scalar(&plain)
}

/// A YAML scalar that is read back as this text.
pub(super) fn scalar(text: &str) -> String {
    let starts = text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    let fits = text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-'));
    let is_word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "null" | "on" | "off" | "y" | "n"
    );
    if starts && fits && !is_word { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config;

    /// What a pipeline file with this scalar as the name of a version says it is.
    fn read_back(written: &str) -> String {
        let text = format!(
            "sources: {{ predictions: {{ topic: p, id: id, version: v, event_time: t, score: s }} }}\n\
             rollout: {{ baseline: {written} }} # a comment\n"
        );
        let pipeline =
            config::parse(&text, "p.yaml", Path::new("")).unwrap_or_else(|error| panic!("{written}: {error}"));
        pipeline.plan.policy.baseline_version.clone()
    }

    #[test]
    fn words_that_mean_something_else_are_quoted() {
        for text in [
            "true", "No", "NULL", "y", "off", "1", "1.5", "1e3", "-", "~", "a: b", "a #b", "", " a", "é", "'", "\"",
            "{", "a,b",
        ] {
            assert!(scalar(text).starts_with('"'), "{text}: {}", scalar(text));
        }
        for text in ["v2", "_a", "a.b-c_d", "nope", "trueish"] {
            assert_eq!(scalar(text), text);
        }
        assert_eq!(
            (plain("a b/c"), plain("é"), plain("2024.1")),
            ("a-b-c".into(), "\"-\"".into(), "\"2024.1\"".into())
        );
        assert_eq!(one_line("a\nb\tc\u{7f}"), "a b c ");
        assert_eq!(one_line(&"é".repeat(500)).chars().count(), 160);
    }

    proptest! {
        #[test]
        fn a_scalar_is_read_back_as_its_text(text in "[ -~\u{a1}-\u{2fff}\u{1f300}-\u{1f5ff}\n\t]{1,12}") {
            prop_assert_eq!(read_back(&scalar(&text)), text);
        }
    }
}
