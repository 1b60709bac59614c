//! The `kafka` section: how to reach the cluster and which topics haldane writes. Plain data; the client is built
//! elsewhere.
//!
//! A password is never in the file and never in memory before it is used: the configuration says which variable or file
//! holds it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::oauth::{OAuthSection, Tokens};
use super::problem::{Problems, suggestion};
use super::registry::RegistryConfig;
use super::secret::Secret;
use super::value::{At, by_default};

/// How to reach the cluster, and which topics haldane writes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct KafkaConfig {
    /// `host:port` of one or more brokers, joined by commas.
    pub brokers: String,
    /// Consumer group.
    pub group: String,
    /// Which part of the work this process does.
    pub role: Role,
    /// Encryption and authentication.
    pub security: Security,
    /// Topics haldane writes.
    pub topics: Topics,
    /// What to do where records that are needed are gone.
    pub on_gap: OnGap,
    /// Where schemas of records are known.
    pub registry: Option<RegistryConfig>,
    /// Raw librdkafka settings, laid over everything else.
    pub librdkafka: BTreeMap<String, String>,
}

impl KafkaConfig {
    /// A cluster without encryption or login, and everything else as it is by default.
    #[must_use]
    pub fn plain(brokers: impl Into<String>, group: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            group: group.into(),
            role: Role::default(),
            security: Security::default(),
            topics: Topics::default(),
            on_gap: OnGap::default(),
            registry: None,
            librdkafka: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("group", &self.group)
            .field("role", &self.role)
            .field("security", &self.security)
            .field("topics", &self.topics)
            .field("on_gap", &self.on_gap)
            .field("registry", &self.registry)
            .field("librdkafka", &self.librdkafka.keys())
            .finish()
    }
}

/// What to do where records that are needed are gone: deleted by the topic's retention, or with the topic, which was
/// made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnGap {
    /// Go on with what is there, and say so.
    #[default]
    Resume,
    /// End with an error, until somebody has decided.
    Halt,
}

/// Which part of the work a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Scan and judge in one process, joined in memory. Nothing is carried out.
    #[default]
    All,
    /// Stage 1: events to partial counts, on the partials topic. Scale it by partitions.
    Scan,
    /// Stage 2: partial counts to windows and decisions. One at a time is active.
    Judge,
    /// Carries decisions out where the section `act` says, as `haldane act` does, and judges nothing.
    Act,
}

impl Role {
    /// Its name, as pipeline files have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Scan => "scan",
            Self::Judge => "judge",
            Self::Act => "act",
        }
    }
}

/// haldane's own topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Decisions, and what became of commands.
    pub control: String,
    /// What people and actuators ask for.
    pub commands: String,
    /// State of every rollout; compacted.
    pub state: String,
    /// Counts on their way from scan to judge.
    pub partials: String,
    /// Events that were refused.
    pub dead_letter: String,
    /// Shares of traffic that adapters see at their targets, look by look.
    pub exposures: String,
    /// Judged windows, when they are wanted on a topic.
    pub windows: Option<String>,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            control: "haldane.control.v1".to_owned(),
            commands: "haldane.commands.v1".to_owned(),
            state: "haldane.state.v1".to_owned(),
            partials: "haldane.partials.v1".to_owned(),
            dead_letter: "haldane.deadletter.v1".to_owned(),
            exposures: "haldane.exposures.v1".to_owned(),
            windows: None,
        }
    }
}

/// Encryption and authentication. Paths are absolute or relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Security {
    /// Protocol.
    pub protocol: Protocol,
    /// SASL mechanism, with a SASL protocol.
    pub mechanism: Option<Mechanism>,
    /// SASL user name.
    pub username: Option<String>,
    /// Where the SASL password is.
    pub password: Option<Secret>,
    /// Where tokens come from, with [`Mechanism::OAuthBearer`].
    pub tokens: Option<Tokens>,
    /// File with the certificates of authorities to trust (PEM). Default: those of the system.
    pub ca: Option<PathBuf>,
    /// File with the client's certificate (PEM).
    pub certificate: Option<PathBuf>,
    /// File with the client's private key (PEM).
    pub key: Option<PathBuf>,
}

/// How to talk to brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither encrypted nor authenticated.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// Authenticated, not encrypted.
    SaslPlaintext,
    /// Authenticated, over TLS.
    SaslSsl,
}

impl Protocol {
    /// The name librdkafka knows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// User name and password as they are.
    #[serde(rename = "PLAIN")]
    Plain,
    /// SCRAM with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// SCRAM with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// Tokens of OAuth 2, as `oauth` says.
    #[serde(rename = "OAUTHBEARER")]
    OAuthBearer,
}

impl Mechanism {
    /// The name librdkafka knows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }
}

/// A file as far as it says how a cluster is reached.
#[derive(Debug, Deserialize)]
pub(super) struct KafkaAccess {
    pub(super) kafka: KafkaSection,
}

/// The Kafka cluster and the topics haldane writes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaSection {
    /// `host:port` of one or more brokers, joined by commas.
    brokers: At<String>,
    /// Consumer group. Default: `haldane.` and the pipeline's name.
    group: Option<String>,
    /// Which part of the work a process does, unless `--role` says otherwise.
    #[serde(default)]
    role: Role,
    /// Encryption and authentication.
    #[serde(default = "by_default::<SecuritySection>")]
    security: SecuritySection,
    /// Topic for decisions, and for what became of commands.
    #[serde(default = "control")]
    control_topic: At<String>,
    /// Topic with what people ask for and what actuators acknowledge.
    #[serde(default = "commands")]
    commands_topic: At<String>,
    /// Topic for the state of every rollout; compacted.
    #[serde(default = "state")]
    state_topic: At<String>,
    /// Topic for counts on their way from scan to judge.
    #[serde(default = "partials")]
    partials_topic: At<String>,
    /// Topic for events that were refused.
    #[serde(default = "dead_letter")]
    dead_letter_topic: At<String>,
    /// Topic with the shares of traffic that a target with `exposure: true` shows, look by look.
    #[serde(default = "exposures")]
    exposures_topic: At<String>,
    /// Topic for judged windows. Default: none.
    windows_topic: Option<At<String>>,
    /// What to do where records that are needed are gone, deleted by retention or with their topic.
    #[serde(default)]
    on_gap: OnGap,
    /// Raw librdkafka settings, laid over everything else. Passwords and keys are refused here.
    #[serde(default)]
    librdkafka: BTreeMap<String, At<String>>,
}

fn control() -> At<String> {
    Topics::default().control.into()
}

fn commands() -> At<String> {
    Topics::default().commands.into()
}

fn state() -> At<String> {
    Topics::default().state.into()
}

fn partials() -> At<String> {
    Topics::default().partials.into()
}

fn dead_letter() -> At<String> {
    Topics::default().dead_letter.into()
}

fn exposures() -> At<String> {
    Topics::default().exposures.into()
}

/// Encryption and authentication. File paths are relative to this file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SecuritySection {
    /// How to talk to brokers.
    #[serde(default)]
    protocol: At<Protocol>,
    /// How to authenticate, with a SASL protocol.
    mechanism: Option<At<Mechanism>>,
    /// SASL user name.
    username: Option<String>,
    /// Environment variable with the SASL password.
    password_env: Option<At<String>>,
    /// File with the SASL password. Instead of `password_env`.
    password_file: Option<At<String>>,
    /// Where tokens come from, with mechanism OAUTHBEARER.
    oauth: Option<At<OAuthSection>>,
    /// File with the certificates of authorities to trust (PEM). Default: those of the system.
    ca: Option<String>,
    /// File with the client's certificate (PEM).
    certificate: Option<String>,
    /// File with the client's private key (PEM).
    key: Option<String>,
}

impl KafkaSection {
    /// What the section means for a pipeline of this name whose file lies in `base`.
    pub(crate) fn resolve(&self, pipeline: &str, base: &Path, problems: &mut Problems) -> KafkaConfig {
        self.check(problems);
        KafkaConfig {
            brokers: self.brokers.value.clone(),
            group: self.group.clone().unwrap_or_else(|| format!("haldane.{pipeline}")),
            role: self.role,
            security: self.security.resolve(base, problems),
            topics: Topics {
                control: self.control_topic.value.clone(),
                commands: self.commands_topic.value.clone(),
                state: self.state_topic.value.clone(),
                partials: self.partials_topic.value.clone(),
                dead_letter: self.dead_letter_topic.value.clone(),
                exposures: self.exposures_topic.value.clone(),
                windows: self.windows_topic.as_ref().map(|topic| topic.value.clone()),
            },
            on_gap: self.on_gap,
            registry: None,
            librdkafka: self.librdkafka.iter().map(|(key, value)| (key.clone(), value.value.clone())).collect(),
        }
    }

    /// The topic with the shares that adapters see.
    pub(crate) fn exposures_topic(&self) -> String {
        self.exposures_topic.value.clone()
    }

    fn check(&self, problems: &mut Problems) {
        if self.brokers.trim().is_empty() {
            problems.add(self.brokers.spot, "`brokers` is empty").help("write host:port, such as localhost:9092");
        }
        let (control, commands, state) = (&self.control_topic, &self.commands_topic, &self.state_topic);
        let topics = [control, commands, state, &self.partials_topic, &self.dead_letter_topic, &self.exposures_topic];
        let mut seen: Vec<&str> = Vec::new();
        for topic in topics.into_iter().chain(&self.windows_topic) {
            check_topic(topic, problems);
            if seen.contains(&topic.as_str()) {
                problems
                    .add(topic.spot, format!("topic `{}` has two purposes", topic.value))
                    .help("haldane's own topics must differ from each other");
            }
            seen.push(topic.as_str());
        }
        for (key, value) in &self.librdkafka {
            if ["password", "passphrase", "key.pem", "client.secret"].iter().any(|secret| key.contains(secret)) {
                problems
                    .add(value.spot, format!("`{key}` would put a secret into this file"))
                    .help("use security.password_env or security.password_file");
            }
        }
    }
}

/// Tells when a text cannot be the name of a Kafka topic.
pub(crate) fn check_topic(topic: &At<String>, problems: &mut Problems) {
    let legal = |char: char| char.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&char);
    if topic.is_empty() || topic.len() > 249 || !topic.chars().all(legal) || [".", ".."].contains(&topic.as_str()) {
        problems
            .add(topic.spot, format!("`{}` cannot be a Kafka topic", topic.value))
            .help("use up to 249 letters, digits, dots, underscores and hyphens");
    }
}

impl SecuritySection {
    fn resolve(&self, base: &Path, problems: &mut Problems) -> Security {
        self.check(problems);
        let file = |name: &Option<String>| name.as_ref().map(|name| base.join(name));
        let from_file = self.password_file.as_ref().map(|name| Secret::File(base.join(&name.value)));
        let from_env = self.password_env.as_ref().map(|name| Secret::Env(name.value.clone()));
        Security {
            protocol: self.protocol.value,
            mechanism: self.mechanism.as_ref().map(|mechanism| mechanism.value),
            username: self.username.clone(),
            password: from_env.or(from_file),
            tokens: self.oauth.as_ref().and_then(|oauth| OAuthSection::resolve(oauth, base, problems)),
            ca: file(&self.ca),
            certificate: file(&self.certificate),
            key: file(&self.key),
        }
    }

    fn check(&self, problems: &mut Problems) {
        let by_token = self.mechanism.as_ref().is_some_and(|one| one.value == Mechanism::OAuthBearer);
        if let (Some(oauth), false) = (&self.oauth, by_token) {
            problems.add(oauth.spot, "`oauth` has no effect").help("add `mechanism: OAUTHBEARER`, or remove it");
        }
        if let (Some(_), Some(file)) = (&self.password_env, &self.password_file) {
            problems.add(file.spot, "the password has two places").help("keep `password_env` or `password_file`");
        }
        let has_password = self.password_env.is_some() || self.password_file.is_some();
        let complete = self.mechanism.is_some() && self.username.is_some() && has_password;
        match (self.protocol.is_sasl(), &self.mechanism) {
            (true, Some(mechanism)) if by_token && self.oauth.is_none() => {
                problems.add(mechanism.spot, "mechanism OAUTHBEARER needs tokens").help("add `oauth`");
            }
            (true, _) if !complete && !by_token => {
                problems
                    .add(self.protocol.spot, format!("protocol {} needs credentials", self.protocol.name()))
                    .help("add `mechanism`, `username`, and `password_env` or `password_file`");
            }
            (false, Some(mechanism)) => {
                let known = ["sasl_ssl", "sasl_plaintext"];
                problems
                    .add(mechanism.spot, format!("`mechanism` has no effect with protocol {}", self.protocol.name()))
                    .help(suggestion(&format!("sasl_{}", self.protocol.name()), &known));
            }
            _ => {}
        }
    }
}
