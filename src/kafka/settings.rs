//! How to reach Kafka and which topics are haldane's own: plain data, made from the `kafka:` block of a pipeline file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// How to reach Kafka, and as whom.
#[derive(Clone, Default)]
pub struct Settings {
    /// `host:port` of some brokers, separated by commas.
    pub brokers: String,
    /// Consumer group under which progress is committed.
    pub group: String,
    /// Encryption and login.
    pub security: Security,
    /// Topics that haldane writes.
    pub topics: Topics,
    /// Settings handed to librdkafka as they are; they win over haldane's own.
    pub librdkafka: BTreeMap<String, String>,
}

/// Shows the names but not the values of raw settings: some of them are secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("brokers", &self.brokers)
            .field("group", &self.group)
            .field("security", &self.security)
            .field("topics", &self.topics)
            .field("librdkafka", &self.librdkafka.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Encryption and login.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Whether the connection is encrypted, and whether there is a login.
    pub protocol: Protocol,
    /// How to log in.
    pub mechanism: Option<Mechanism>,
    /// Login name.
    pub username: Option<String>,
    /// Where the password is found.
    pub password: Option<Secret>,
    /// Certificate authority of the brokers (PEM); the system's when absent.
    pub ca: Option<PathBuf>,
    /// Own certificate (PEM).
    pub certificate: Option<PathBuf>,
    /// Key of the own certificate (PEM).
    pub key: Option<PathBuf>,
}

/// Whether the connection is encrypted, and whether there is a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// Neither.
    #[default]
    Plaintext,
    /// Encrypted.
    Ssl,
    /// Login without encryption.
    SaslPlaintext,
    /// Both.
    SaslSsl,
}

impl Protocol {
    /// The name that librdkafka knows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }
}

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// User name and password as they are.
    Plain,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// SCRAM with SHA-512.
    ScramSha512,
}

impl Mechanism {
    /// The name that librdkafka knows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// Where a secret is found. It is read when a connection is made and never kept here, so that no dump can show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// A file; trailing line ends do not count.
    File(PathBuf),
}

impl Secret {
    /// Reads the secret.
    pub fn read(&self) -> Result<String> {
        match self {
            Self::Env(name) => std::env::var(name).map_err(|_| {
                Error::user(format!("environment variable {name} is not set"))
                    .hint("set it to the Kafka password, or name another one in `kafka.security.password_env`")
            }),
            Self::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => Err(Error::user(format!("cannot read the Kafka password from {}", path.display()))
                    .because(error)
                    .hint("correct `kafka.security.password_file`")),
            },
        }
    }
}

/// Topics that haldane writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Decisions, append-only.
    pub control: String,
    /// Last state per rollout, compacted.
    pub state: String,
    /// What scans tell the judge, when they run apart.
    pub partials: String,
    /// Refused records.
    pub dead_letter: String,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            control: "haldane.control.v1".to_owned(),
            state: "haldane.state.v1".to_owned(),
            partials: "haldane.partials.v1".to_owned(),
            dead_letter: "haldane.deadletter.v1".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_loses_its_line_end_and_a_missing_one_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "geheim\r\n").unwrap();
        assert_eq!(Secret::File(file.path().into()).read().unwrap(), "geheim");
        let error = Secret::Env("HALDANE_NO_SUCH_SECRET".into()).read().unwrap_err();
        assert_eq!(error.to_string(), "environment variable HALDANE_NO_SUCH_SECRET is not set");
    }

    #[test]
    fn raw_settings_show_no_values() {
        let librdkafka = BTreeMap::from([("sasl.password".to_owned(), "geheim".to_owned())]);
        let shown = format!("{:?}", Settings { librdkafka, ..Settings::default() });
        assert!(shown.contains("sasl.password") && !shown.contains("geheim"), "{shown}");
    }
}
