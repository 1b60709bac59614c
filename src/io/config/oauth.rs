//! `kafka.security.oauth`: where the tokens of OAUTHBEARER come from.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::address;
use super::problem::Problems;
use super::secret::{Secret, SecretSource};
use super::value::At;

/// Where tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tokens {
    /// An authorization server gives them to a client that names itself (RFC 6749, section 4.4).
    Server(TokenServer),
    /// A file that others keep fresh.
    File(PathBuf),
    /// A program prints one.
    Command(Vec<String>),
    /// Signed with a login of AWS, for Amazon MSK in this region.
    Aws(String),
}

/// An authorization server, and a client that it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenServer {
    /// Its token endpoint.
    pub url: String,
    /// Name of the client.
    pub client_id: String,
    /// What proves it.
    pub client_secret: Secret,
    /// What the token is to be good for.
    pub scope: Option<String>,
    /// File with further authorities to trust (PEM).
    pub ca: Option<PathBuf>,
}

/// Where the tokens of OAUTHBEARER come from: `url`, `file`, `command` or `aws_region`. File paths are relative to this
/// file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OAuthSection {
    /// Token endpoint of an authorization server, which gives tokens for `client_id` and its secret.
    url: Option<At<String>>,
    /// Name of the client, with `url`.
    client_id: Option<At<String>>,
    /// Environment variable with the client's secret, with `url`.
    client_secret_env: Option<At<String>>,
    /// File with the client's secret. Instead of `client_secret_env`.
    client_secret_file: Option<At<String>>,
    /// What the token is to be good for, with `url`.
    scope: Option<At<String>>,
    /// File with the certificates of authorities to trust beside the system's (PEM), with `url`.
    ca: Option<At<String>>,
    /// File with a token that others keep fresh, such as a projected service account token of Kubernetes. It is read
    /// anew before a token has expired.
    file: Option<At<String>>,
    /// Program and its arguments that print a token: as it is, or as JSON with `access_token` and `expires_in`.
    command: Option<At<Vec<String>>>,
    /// Region of an Amazon MSK cluster with IAM: tokens are signed with the login of AWS that the environment gives.
    aws_region: Option<At<String>>,
}

impl OAuthSection {
    /// What the section means for a file in `base`; nothing, with a problem, where it cannot be told.
    pub(super) fn resolve(section: &At<Self>, base: &Path, problems: &mut Problems) -> Option<Tokens> {
        let this = &section.value;
        let places = [
            ("url", this.url.as_ref().map(|one| one.spot)),
            ("file", this.file.as_ref().map(|one| one.spot)),
            ("command", this.command.as_ref().map(|one| one.spot)),
            ("aws_region", this.aws_region.as_ref().map(|one| one.spot)),
        ];
        let given: Vec<_> = places.into_iter().filter_map(|(name, spot)| Some((name, spot?))).collect();
        match given.as_slice() {
            [(name, _)] => this.refuse_unused(name, problems),
            [] => {
                problems
                    .add(section.spot, "nothing says where tokens come from")
                    .help("add `url` with `client_id`, or `file`, `command` or `aws_region`");
            }
            [.., (name, spot)] => {
                let what = format!("tokens come from `{}` and from `{name}`", given[0].0);
                problems.add(*spot, what).help("keep one of them");
            }
        }
        match given.first()?.0 {
            "url" => this.server(section, base, problems),
            "file" => this.file.as_ref().map(|file| Tokens::File(base.join(&file.value))),
            "command" => this.program(problems),
            _ => this.aws_region.as_ref().map(|region| Tokens::Aws(region.value.clone())),
        }
    }

    fn program(&self, problems: &mut Problems) -> Option<Tokens> {
        let command = self.command.as_ref()?;
        if command.is_empty() {
            problems.add(command.spot, "`command` is empty").help("name a program, and its arguments after it");
        }
        Some(Tokens::Command(command.value.clone()))
    }

    fn server(&self, section: &At<Self>, base: &Path, problems: &mut Problems) -> Option<Tokens> {
        let url = self.url.as_ref()?;
        address::check(url, Some("the client's secret"), problems);
        let (env, file) = (self.client_secret_env.as_ref(), self.client_secret_file.as_ref());
        let places =
            SecretSource { key: "client_secret", env: env.map(|at| &at.value), file: file.map(|at| &at.value) };
        let (spot, is_given) = (section.spot, env.is_some() || file.is_some());
        let secret = places.secret(spot, base, problems);
        if self.client_id.is_none() || !is_given {
            problems
                .add(spot, "an authorization server gives tokens to a client that it knows")
                .help("add `client_id`, and `client_secret_env` or `client_secret_file`");
        }
        let (client_id, client_secret) = self.client_id.as_ref().zip(secret)?;
        Some(Tokens::Server(TokenServer {
            url: url.value.clone(),
            client_id: client_id.value.clone(),
            client_secret,
            scope: self.scope.as_ref().map(|scope| scope.value.clone()),
            ca: self.ca.as_ref().map(|ca| base.join(&ca.value)),
        }))
    }

    /// What belongs to `url` has no effect without it.
    fn refuse_unused(&self, place: &str, problems: &mut Problems) {
        let of_url = [
            ("client_id", &self.client_id),
            ("client_secret_env", &self.client_secret_env),
            ("client_secret_file", &self.client_secret_file),
            ("scope", &self.scope),
            ("ca", &self.ca),
        ];
        for (name, value) in of_url.into_iter().filter(|_| place != "url") {
            let Some(value) = value else { continue };
            problems.add(value.spot, format!("`{name}` has no effect with `{place}`")).help("remove it, or use `url`");
        }
    }
}
