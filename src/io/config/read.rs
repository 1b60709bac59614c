//! YAML text to a [`Document`], with the parser's complaints in haldane's words.

use serde::de::DeserializeOwned;
use serde_saphyr::Error as YamlError;

use super::problem::{Problems, Spot, nearest, suggestion};
use crate::error::Result;

/// Reads the text of a pipeline file, or as much of it as `T` has. `origin` is what errors call it.
pub(crate) fn document<T: DeserializeOwned>(text: &str, origin: &str) -> Result<T> {
    // `y` and `no` are names of columns and classes: only `true` and `false` are truth values, as in YAML 1.2.
    let options = serde_saphyr::options! { strict_booleans: true };
    let error = match serde_saphyr::from_str_with_options(text, options) {
        Ok(document) => return Ok(document),
        Err(error) => error,
    };
    let mut problems = Problems::default();
    let spot = error.location().map(Spot::from).unwrap_or_default();
    let (message, help) = explain(error.without_snippet());
    let problem = problems.add(spot, message);
    if let Some(help) = help {
        problem.help(help);
    }
    Err(problems.into_result(origin, text).expect_err("a problem was just added"))
}

/// What is wrong, and what to do about it.
fn explain(error: &YamlError) -> (String, Option<String>) {
    match error {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown key `{field}`"), Some(suggestion(field, expected)))
        }
        YamlError::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown value `{variant}`"), Some(variants(variant, expected)))
        }
        YamlError::SerdeMissingField { field, .. } => {
            (format!("the key `{field}` is missing in this section"), Some(format!("add `{field}: …`")))
        }
        YamlError::DuplicateMappingKey { key: Some(key), .. } => (format!("the key `{key}` stands here twice"), None),
        YamlError::SerdeInvalidType { unexpected, expected, .. } => {
            (format!("expected {expected}, found {unexpected}"), None)
        }
        YamlError::InvalidScalar { ty, .. } => (format!("expected {}", kind(ty)), None),
        YamlError::Unexpected { expected, .. } => (format!("expected {}", kind(expected)), None),
        YamlError::NullIntoString { .. } => {
            ("a value is missing here".to_owned(), Some("write one, or delete the key".to_owned()))
        }
        YamlError::Eof { .. } => ("the file is empty".to_owned(), Some("see pipelines/ for examples".to_owned())),
        YamlError::MultipleDocuments { .. } => ("a second YAML document starts here".to_owned(), None),
        YamlError::Message { msg, .. } | YamlError::ExternalMessage { msg, .. } => (msg.clone(), None),
        other => (without_place(&other.to_string()), None),
    }
}

fn variants(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("write one of {}", known.join(", ")),
    }
}

/// What a Rust type or a parser's event is called in a sentence.
fn kind(name: &str) -> &str {
    match name {
        "mapping start" => "a mapping, `key: value`",
        "sequence start" => "a list",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative",
        "i64" | "i32" => "a whole number",
        "floating point" | "f64" => "a number",
        "boolean" | "bool" => "true or false",
        other => other,
    }
}

/// The parser's message less the place, which is shown anyway.
fn without_place(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}
