//! The `serve` section: where the HTTP server listens, and who may act over it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::Problems;
use super::secret::Secret;
use super::value::At;

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Who may act over HTTP; nobody: it can only be read.
    pub approvers: Vec<Approver>,
    /// Address and port where clients of PostgreSQL are answered.
    pub postgres: Option<SocketAddr>,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8088)), approvers: Vec::new(), postgres: None }
    }
}

/// Somebody who may act over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    /// Name, as it stands in commands and decisions.
    pub name: String,
    /// Where the token is that proves who it is.
    pub token: Secret,
    /// What they may do.
    pub roles: Vec<Power>,
}

/// What somebody may do over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// Look, and no more.
    Viewer,
    /// Approve and reject what waits for approval, and hold.
    Approver,
    /// Everything but approve and reject: hold, resume, force, freeze, mute, acknowledge.
    Operator,
}

impl Power {
    /// Its name, as it stands in pipeline files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Operator => "operator",
        }
    }
}

/// The HTTP server: health, Prometheus metrics, current windows and rollouts, a dashboard.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServeSection {
    /// Address and port to listen on.
    #[serde(default = "localhost")]
    listen: At<String>,
    /// Who may act over HTTP, from the dashboard or with `POST /v1/commands`. Default: nobody; everything can be read.
    #[serde(default)]
    approvers: Vec<At<ApproverSection>>,
    /// Address and port where clients of PostgreSQL (psql, Grafana) may query the store, such as 127.0.0.1:5432. With
    /// `approvers`, they log in with a name and its token; without, only from this machine. Needs a `store` section,
    /// and a build with the feature `pg`. Default: nowhere.
    pub(crate) postgres: Option<At<String>>,
}

fn localhost() -> At<String> {
    "127.0.0.1:8088".to_owned().into()
}

/// Somebody who may act over HTTP. File paths are relative to this file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ApproverSection {
    /// Name, as it stands in commands and decisions. Unique.
    name: At<String>,
    /// Environment variable with the token that proves who it is: 16 characters or more.
    token_env: Option<String>,
    /// File with the token. Instead of `token_env`.
    token_file: Option<String>,
    /// What they may do: `viewer` looks only, `approver` approves, rejects and holds, `operator` does everything else.
    roles: Vec<Power>,
}

impl ServeSection {
    /// What the section means for a pipeline whose file lies in `base`.
    pub(crate) fn resolve(&self, base: &Path, problems: &mut Problems) -> ServeConfig {
        let listen = address(&self.listen, problems).unwrap_or(ServeConfig::default().listen);
        let mut approvers: Vec<Approver> = Vec::new();
        for section in &self.approvers {
            let approver = approver(section, base, problems);
            if approvers.iter().any(|other| other.name == approver.name) {
                problems.add(section.name.spot, format!("the name `{}` stands here twice", approver.name));
            }
            approvers.push(approver);
        }
        let postgres = self.postgres.as_ref().and_then(|listen| {
            let address = address(listen, problems)?;
            if approvers.is_empty() && !address.ip().is_loopback() {
                problems
                    .add(listen.spot, "anybody could query the store from elsewhere")
                    .help("name `approvers`, who log in with their tokens, or listen on 127.0.0.1");
            }
            Some(address)
        });
        ServeConfig { listen, approvers, postgres }
    }
}

fn address(listen: &At<String>, problems: &mut Problems) -> Option<SocketAddr> {
    let address = listen.parse().ok();
    if address.is_none() {
        problems
            .add(listen.spot, format!("`{}` is not an address to listen on", listen.value))
            .help("write an IP address and a port, such as 127.0.0.1:8088 or 0.0.0.0:8088");
    }
    address
}

fn approver(section: &At<ApproverSection>, base: &Path, problems: &mut Problems) -> Approver {
    if section.name.trim().is_empty() {
        problems.add(section.name.spot, "an approver's name is empty").help("it stands in every command and decision");
    }
    if section.roles.is_empty() {
        problems.add(section.spot, "an approver without roles").help("write roles: [viewer], [approver] or [operator]");
    }
    let token = match (&section.token_env, &section.token_file) {
        (Some(name), None) => Secret::Env(name.clone()),
        (None, Some(file)) => Secret::File(base.join(file)),
        (found, _) => {
            let what = if found.is_some() { "the token has two places" } else { "the token has no place" };
            problems.add(section.spot, what).help("write either `token_env` or `token_file`");
            Secret::Env(String::new())
        }
    };
    Approver { name: section.name.value.clone(), token, roles: section.roles.clone() }
}
