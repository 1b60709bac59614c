//! Where secrets are kept: never in a pipeline file, and never in memory before they are used.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// In this environment variable.
    Env(String),
    /// In this file; a line end after it is dropped.
    File(PathBuf),
}

impl Secret {
    /// Reads the secret. `what` is what errors call it, `key` the key of the pipeline file without `_env` or `_file`.
    ///
    /// # Errors
    /// When the variable is not set or the file cannot be read.
    pub fn read(&self, what: &str, key: &str) -> Result<String> {
        match self {
            Self::Env(name) => std::env::var(name).map_err(|error| {
                Error::user(format!("cannot read {what} from ${name}"))
                    .because(error)
                    .hint(format!("set the variable that {key}_env names"))
            }),
            Self::File(path) => std::fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|error| {
                    Error::user(format!("cannot read {what} from {}", path.display()))
                        .because(error)
                        .hint(format!("check {key}_file"))
                }),
        }
    }
}
