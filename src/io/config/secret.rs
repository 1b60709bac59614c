//! Where secrets are kept, and what they are once read: never in a pipeline file, and never shown.

use std::fmt;
use std::path::{Path, PathBuf};

use super::problem::{Problems, Spot};
use crate::error::{Error, Result};

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In this environment variable.
    Env(String),
    /// In this file; a line end after it is dropped.
    File(PathBuf),
}

/// A secret that was read. It shows itself to nobody by accident: what it says is had by [`SecretText::expose`] alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// What it says.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl Secret {
    /// Reads the secret. `what` is what errors call it, `key` the key of the pipeline file without `_env` or `_file`.
    ///
    /// # Errors
    /// When the variable is not set or the file cannot be read.
    pub fn read(&self, what: &str, key: &str) -> Result<SecretText> {
        match self {
            // Of a variable that is not Unicode the error would show the content.
            Self::Env(name) => match std::env::var_os(name).map(std::ffi::OsString::into_string) {
                Some(Ok(text)) => Ok(SecretText(text)),
                found => {
                    let why = if found.is_some() { "it is not valid Unicode" } else { "it is not set" };
                    Err(Error::user(format!("cannot read {what} from ${name}"))
                        .because(why)
                        .hint(format!("set the variable that {key}_env names")))
                }
            },
            Self::File(path) => std::fs::read_to_string(path)
                .map(|text| SecretText(text.trim_end_matches(['\r', '\n']).to_owned()))
                .map_err(|error| {
                    Error::user(format!("cannot read {what} from {}", path.display()))
                        .because(error)
                        .hint(format!("check {key}_file"))
                }),
        }
    }

    /// Its file, where it is in one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Env(_) => None,
        }
    }
}

/// Where a section says that a secret is: in a variable or in a file.
pub(super) struct SecretSource<'a> {
    /// What it is called in errors, and its keys without `_env` and `_file`.
    pub(super) key: &'a str,
    pub(super) env: Option<&'a String>,
    pub(super) file: Option<&'a String>,
}

impl SecretSource<'_> {
    /// The secret, which must be somewhere.
    pub(super) fn needed(&self, spot: Spot, base: &Path, problems: &mut Problems) -> Option<Secret> {
        if self.env.is_none() && self.file.is_none() {
            let key = self.key;
            problems
                .add(spot, format!("the {} has no place", words(key)))
                .help(format!("write `{key}_env` or `{key}_file`"));
        }
        self.secret(spot, base, problems)
    }

    /// The secret, where a place is named for it.
    pub(super) fn secret(&self, spot: Spot, base: &Path, problems: &mut Problems) -> Option<Secret> {
        match (self.env, self.file) {
            (Some(name), None) => Some(Secret::Env(name.clone())),
            (None, Some(file)) => Some(Secret::File(base.join(file))),
            (None, None) => None,
            (Some(_), Some(_)) => {
                let key = self.key;
                problems
                    .add(spot, format!("the {} has two places", words(key)))
                    .help(format!("write either `{key}_env` or `{key}_file`"));
                None
            }
        }
    }
}

/// A key as words.
fn words(key: &str) -> String {
    key.replace('_', " ")
}

/// Parts of the names of keys whose value is a secret.
const SECRET_NAMES: [&str; 5] = ["passw", "passphrase", "token", "secret", "key.pem"];

/// A line of a pipeline file with what may be a secret blotted out, as long as it was: mistakes are shown with their
/// line, also in the logs of a build.
pub(super) fn blotted(line: &str) -> String {
    let mut colons = line.match_indices(':').map(|(at, _)| at);
    let Some(at) = colons.find(|at| names_a_secret(&line[..*at])) else { return line.to_owned() };
    // To the end: a secret may hold any sign.
    let (before, after) = line.split_at(at + 1);
    let blot = |c: char| if c.is_whitespace() { c } else { '•' };
    before.chars().chain(after.chars().map(blot)).collect()
}

/// Whether the text before a colon ends in the name of a key that holds a secret itself, not where it is kept.
fn names_a_secret(before: &str) -> bool {
    let name = before.rsplit(['{', ',', ' ', '[']).find(|part| !part.is_empty()).unwrap_or_default();
    let name = name.trim_matches(['"', '\'']).to_lowercase();
    let says_where = ["_env", "_file", "_header"].iter().any(|end| name.ends_with(end));
    !says_where && SECRET_NAMES.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, "geheim\r\n").expect("a file");
        let secret = Secret::File(path).read("the token", "token").expect("a secret");
        assert_eq!((secret.expose(), format!("{secret:?}")), ("geheim", "SecretText(…)".to_owned()));
        let missing = Secret::Env("HALDANE_NOT_SET".to_owned()).read("the token", "token").expect_err("not set");
        assert_eq!(missing.to_string(), "cannot read the token from $HALDANE_NOT_SET: it is not set");
    }

    #[test]
    fn lines_are_shown_without_what_they_should_not_hold() {
        for (line, shown) in [
            ("  sasl.password: geheim", "  sasl.password: ••••••"),
            ("  - { name: ana, token: 'a,b', roles: [x] }", "  - { name: ana, token: •••••• •••••• ••• •"),
            ("password_env: KAFKA_PASSWORD", "password_env: KAFKA_PASSWORD"),
            ("  \"ssl.key.pem\": x", "  \"ssl.key.pem\": •"),
            ("brokers: host:9092, group: g", "brokers: host:9092, group: g"),
            ("no key here", "no key here"),
        ] {
            assert_eq!(blotted(line), shown);
        }
    }
}
