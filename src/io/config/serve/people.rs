//! `serve.approvers`: who may act, how they prove who they are, and what they may do.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::problem::Problems;
use super::super::secret::Secret;
use super::super::value::At;

/// Somebody who may act over HTTP: by a token, by a certificate, or as the proxy names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approver {
    /// Name, as it stands in commands and decisions.
    pub name: String,
    /// Where the token is that proves who it is.
    pub token: Option<Secret>,
    /// A name in the client certificate that proves who it is.
    pub certificate: Option<String>,
    /// What they may do.
    pub roles: Vec<Power>,
}

/// What somebody may do over HTTP. Every role may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// Look, and no more.
    #[serde(alias = "read")]
    Viewer,
    /// Approve and reject what waits for approval, and hold.
    Approver,
    /// Everything but approve and reject: hold, resume, force, freeze, mute, acknowledge.
    #[serde(alias = "operate")]
    Operator,
    /// All of it, and see who may do what (`/v1/access`).
    Admin,
}

impl Power {
    /// Its name, as it stands in pipeline files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Somebody who may act over HTTP. File paths are relative to this file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproverSection {
    /// Name, as it stands in commands and decisions. Unique.
    name: At<String>,
    /// Environment variable with the token that proves who it is: 16 characters or more.
    token_env: Option<String>,
    /// File with the token. Instead of `token_env`. Several lines are several tokens; a file that changes is read
    /// again.
    token_file: Option<String>,
    /// A name in the client certificate that proves who it is (common name, DNS, e-mail or URI). Instead of a token.
    certificate: Option<String>,
    /// What they may do: `viewer` looks only, `approver` approves, rejects and holds, `operator` does everything else,
    /// `admin` all of it.
    roles: Vec<Power>,
}

pub(super) fn resolve(
    sections: &[At<ApproverSection>],
    behind_proxy: bool,
    base: &Path,
    problems: &mut Problems,
) -> Vec<Approver> {
    let mut approvers: Vec<Approver> = Vec::new();
    for section in sections {
        let approver = approver(section, behind_proxy, base, problems);
        if approvers.iter().any(|other| other.name == approver.name) {
            problems.add(section.name.spot, format!("the name `{}` stands here twice", approver.name));
        }
        let same = |other: &Approver| other.certificate.is_some() && other.certificate == approver.certificate;
        if let Some(other) = approvers.iter().find(|other| same(other)) {
            problems.add(section.spot, format!("{} has the same certificate", other.name));
        }
        approvers.push(approver);
    }
    approvers
}

fn approver(section: &At<ApproverSection>, behind_proxy: bool, base: &Path, problems: &mut Problems) -> Approver {
    if section.name.trim().is_empty() {
        problems.add(section.name.spot, "an approver's name is empty").help("it stands in every command and decision");
    }
    if section.roles.is_empty() {
        problems
            .add(section.spot, "an approver without roles")
            .help("write roles: [viewer], [approver], [operator] or [admin]");
    }
    let token = match (&section.token_env, &section.token_file) {
        (Some(name), None) => Some(Secret::Env(name.clone())),
        (None, Some(file)) => Some(Secret::File(base.join(file))),
        (None, None) => None,
        (Some(_), Some(_)) => {
            problems.add(section.spot, "the token has two places").help("write either `token_env` or `token_file`");
            None
        }
    };
    let proven = section.token_env.is_some() || section.token_file.is_some() || section.certificate.is_some();
    if !proven && !behind_proxy {
        problems
            .add(section.spot, "the token has no place")
            .help("write `token_env`, `token_file` or `certificate`; only a `proxy` lets people in without");
    }
    let certificate = section.certificate.clone();
    Approver { name: section.name.value.clone(), token, certificate, roles: section.roles.clone() }
}
