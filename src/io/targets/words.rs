//! Words that templates of targets may use: `{candidate}` and the like.

use serde_json::Value;

/// What stands for each word. Braces around anything else are left as they are.
#[derive(Debug, Clone, Default)]
pub struct Placeholders(Vec<(String, String)>);

impl Placeholders {
    /// Adds a word.
    #[must_use]
    pub fn with(mut self, name: &str, text: impl Into<String>) -> Self {
        self.0.push((name.to_owned(), text.into()));
        self
    }

    /// A text with all words in their places. What stands for a word is not looked through again.
    #[must_use]
    pub fn fill(&self, template: &str) -> String {
        self.fill_with(template, ToOwned::to_owned)
    }

    /// A URL: what stands for words is escaped, so that a name can be no other path.
    #[must_use]
    pub fn fill_url(&self, template: &str) -> String {
        self.fill_with(template, escaped)
    }

    /// A JSON value: its texts, and the names of its fields. A text that is a number word and nothing else becomes a
    /// number.
    #[must_use]
    pub fn fill_json(&self, template: &Value) -> Value {
        match template {
            Value::String(text) => {
                let filled = self.fill(text);
                let number = NUMBERS.contains(&text.as_str()).then(|| filled.parse::<u64>().ok()).flatten();
                number.map_or(Value::String(filled), Value::from)
            }
            Value::Array(items) => items.iter().map(|item| self.fill_json(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (self.fill(name), self.fill_json(value))).collect()
            }
            other => other.clone(),
        }
    }

    fn fill_with(&self, template: &str, put: impl Fn(&str) -> String) -> String {
        let (mut filled, mut rest) = (String::new(), template);
        while let Some(open) = rest.find('{') {
            let (before, from) = rest.split_at(open);
            filled.push_str(before);
            let word = from[1..].split_once('}').and_then(|(name, after)| Some((self.of(name)?, after)));
            if let Some((text, after)) = word {
                filled.push_str(&put(text));
                rest = after;
            } else {
                filled.push('{');
                rest = &from[1..];
            }
        }
        filled + rest
    }

    fn of(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }
}

/// Words whose meaning is a number.
const NUMBERS: [&str; 2] = ["{weight}", "{rest}"];

/// As it stands in one part of a URL (RFC 3986, section 2.3).
#[must_use]
pub fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let sign = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(sign).collect()
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words() -> Placeholders {
        Placeholders::default().with("candidate", "v{weight}/\"2\"").with("weight", "5")
    }

    #[test]
    fn words_are_filled_once_and_other_braces_stay() {
        assert_eq!(words().fill("{candidate} {weight}% { x } {nobody} {"), "v{weight}/\"2\" 5% { x } {nobody} {");
        assert_eq!(words().fill_url("https://h/{candidate}"), "https://h/v%7Bweight%7D%2F%222%22");
    }

    #[test]
    fn json_stays_json_whatever_a_word_is() {
        let filled = words().fill_json(&json!({ "a": ["{weight}", "{weight}%"], "{candidate}": true }));
        assert_eq!(filled, json!({ "a": [5, "5%"], "v{weight}/\"2\"": true }));
    }
}
