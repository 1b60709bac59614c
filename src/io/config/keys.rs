//! What a pipeline file says, key by key, so that two can be compared.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{read, secret, text_of};
use crate::error::Result;

/// Each value of a file as JSON, by its path: keys joined by dots, elements of lists by their `name`, else by their
/// place. What may be a secret is blotted out.
///
/// # Errors
/// When the file cannot be read, or is no YAML.
pub fn keys(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = text_of(path)?;
    let mut keys = BTreeMap::new();
    gather(&read::document(&text, &path.display().to_string())?, "", &mut keys);
    Ok(keys)
}

fn gather(value: &Value, path: &str, keys: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                let under = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                gather(value, &under, keys);
            }
        }
        Value::Array(elements) if elements.iter().any(Value::is_object) => {
            for (place, element) in elements.iter().enumerate() {
                let name = element["name"].as_str().map_or_else(|| place.to_string(), ToOwned::to_owned);
                gather(element, &format!("{path}[{name}]"), keys);
            }
        }
        value => {
            let key = path.rsplit('.').next().unwrap_or(path);
            let line = secret::blotted(&format!("{key}: {value}"));
            keys.insert(path.to_owned(), line[key.len() + 2..].to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_paths_and_secrets_are_blotted_out() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let text = "a: { b: [1, 2], password: geheim }\npolicy:\n  - { name: errors, above: 0.1 }\n  - { above: 2 }\n";
        std::fs::write(file.path(), text).expect("a file");
        let keys = keys(file.path()).expect("keys");
        let said: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            said,
            [
                ("a.b", "[1,2]"),
                ("a.password", "••••••••"),
                ("policy[1].above", "2"),
                ("policy[errors].above", "0.1"),
                ("policy[errors].name", "\"errors\"")
            ]
        );
    }
}
