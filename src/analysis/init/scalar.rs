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
