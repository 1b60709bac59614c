//! Who is asking, and what they may do.
//!
//! A program sends its token with each request (`Authorization: Bearer`), or shows a certificate. A browser sends the
//! token once, by the login form, and gets a cookie ([`session`]). A proxy says who asks by headers, which are believed
//! from the proxy alone. Of tokens only digests are kept, and files of tokens that change are read again.

mod person;
mod proxy;
mod session;

use axum::http::{HeaderMap, header};

pub(super) use person::{Identity, Person, Proof};
use person::{TokenDigest, check_token};
pub(super) use session::no_cookie;

use super::entrance::Peer;
use super::files::FileStamp;
use crate::config::{Approver, MetricsReading, Power, Reading, ServeConfig};
use crate::error::{Error, Result};

/// Who may read and act over HTTP; by default everybody may read, and nobody act.
#[derive(Debug, Default)]
pub struct Access {
    people: Vec<Person>,
    config: ServeConfig,
    /// The files of tokens as they were read.
    stamps: Vec<FileStamp>,
    #[cfg(feature = "pg")]
    salts: super::postgres::Salts,
}

/// What a request says of who sent it.
#[derive(Debug)]
pub(super) enum Claim {
    Nothing,
    /// A token that nobody has.
    Wrong,
    Known(Identity),
}

impl Access {
    /// Reads the tokens of the people that a pipeline names.
    ///
    /// # Errors
    /// When one cannot be read, could be guessed, or is somebody else's too.
    pub fn open(config: &ServeConfig) -> Result<Self> {
        let mut access = Self { stamps: stamps(config), config: config.clone(), ..Self::default() };
        for approver in &config.approvers {
            let tokens = tokens(approver)?;
            access = access.add(approver, &tokens)?;
        }
        Ok(access)
    }

    /// With the tokens that the files hold now, where one of them has changed. Somebody whose token cannot be read any
    /// more has none.
    pub(super) fn renewed(&self) -> Option<Self> {
        let stamps = stamps(&self.config);
        if stamps == self.stamps {
            return None;
        }
        let mut access = Self { stamps, config: self.config.clone(), ..Self::default() };
        #[cfg(feature = "pg")]
        access.salts.clone_from(&self.salts);
        for approver in &self.config.approvers {
            let read = tokens(approver).and_then(|tokens| access.check(&approver.name, &tokens).map(|()| tokens));
            let tokens = read.unwrap_or_else(|error| {
                tracing::warn!(%error, "{} has no token until this is mended", approver.name);
                Vec::new()
            });
            access.people.push(access.person(approver, &tokens));
        }
        tracing::info!("tokens read again");
        Some(access)
    }

    /// And somebody with this token.
    ///
    /// # Errors
    /// When the token could be guessed, or is somebody else's too.
    pub fn with(self, name: &str, powers: &[Power], token: &str) -> Result<Self> {
        let approver = Approver { name: name.to_owned(), token: None, certificate: None, roles: powers.to_vec() };
        self.add(&approver, &[token.to_owned()])
    }

    /// Only those may read whom this lets in.
    #[must_use]
    pub fn reading(mut self, read: Reading, metrics: MetricsReading) -> Self {
        (self.config.read, self.config.metrics) = (read, metrics);
        self
    }

    fn add(mut self, approver: &Approver, tokens: &[String]) -> Result<Self> {
        self.check(&approver.name, tokens)?;
        self.people.push(self.person(approver, tokens));
        Ok(self)
    }

    fn person(&self, approver: &Approver, tokens: &[String]) -> Person {
        #[cfg(feature = "pg")]
        let kept = |token: &String| TokenDigest::of(token, &self.salts.of(&approver.name));
        #[cfg(not(feature = "pg"))]
        let kept = |token: &String| TokenDigest::of(token);
        Person {
            name: approver.name.clone(),
            powers: approver.roles.clone(),
            certificate: approver.certificate.clone(),
            tokens: tokens.iter().map(kept).collect(),
        }
    }

    /// Whether tokens can be somebody's.
    fn check(&self, name: &str, tokens: &[String]) -> Result<()> {
        for token in tokens {
            check_token(name, token)?;
            if let Some(other) = self.owner(token).filter(|other| other.name != name) {
                return Err(Error::user(format!("{name} and {} have the same token", other.name))
                    .hint("a token says who acts: give everybody one of their own"));
            }
        }
        Ok(())
    }

    /// Whether anybody may act.
    pub(super) fn is_empty(&self) -> bool {
        self.people.is_empty() && self.config.proxy.is_none()
    }

    /// Whether anybody can log in with a token.
    pub(super) fn has_tokens(&self) -> bool {
        self.people.iter().any(|person| !person.tokens.is_empty())
    }

    pub(super) fn config(&self) -> &ServeConfig {
        &self.config
    }

    pub(super) fn people(&self) -> &[Person] {
        &self.people
    }

    /// Whether somebody may read what is not open to all.
    pub(super) fn may_read(&self, known: Option<&Identity>) -> bool {
        match self.config.read {
            Reading::Open => true,
            Reading::Token => known.is_some_and(Identity::has_a_role),
            Reading::Proxy => known.is_some(),
        }
    }

    /// Whether the metrics page is open to all.
    pub(super) fn shows_metrics(&self) -> bool {
        self.config.metrics == MetricsReading::Open
    }

    fn owner(&self, token: &str) -> Option<&Person> {
        let hash = blake3::hash(token.as_bytes());
        self.people.iter().find(|person| person.token(&hash).is_some())
    }

    /// Whose token it is. Digests are compared, in constant time.
    pub(super) fn by_token(&self, token: &str) -> Option<Identity> {
        self.owner(token).map(|person| person.known(Proof::Token))
    }

    /// Who sent a request, and how they proved it. The proxy speaks for its users, and not for itself.
    pub(super) fn who(&self, peer: &Peer, headers: &HeaderMap, may_log_in: bool) -> Claim {
        if let Some(known) = self.named_by_proxy(peer, headers) {
            return Claim::Known(known);
        }
        if let Some(token) = bearer(headers).filter(|_| may_log_in) {
            return self.by_token(token).map_or(Claim::Wrong, Claim::Known);
        }
        let known = self.by_cookie(headers).or_else(|| self.by_certificate(peer));
        known.map_or(Claim::Nothing, Claim::Known)
    }

    fn by_certificate(&self, peer: &Peer) -> Option<Identity> {
        let shown = |person: &&Person| person.certificate.as_ref().is_some_and(|name| peer.certificate.contains(name));
        self.people.iter().find(shown).map(|person| person.known(Proof::Certificate))
    }

    /// What a name's tokens are verified against, and with which salt; a name that nobody has is told apart by nothing.
    #[cfg(feature = "pg")]
    pub(super) fn verifiers(&self, name: &str) -> (super::postgres::Salt, Vec<super::postgres::Verifier>) {
        let person = self.people.iter().find(|person| person.name == name);
        let tokens = person.map(|person| person.tokens.iter().map(|token| token.verifier.clone()).collect());
        (self.salts.of(name), tokens.unwrap_or_default())
    }
}

fn stamps(config: &ServeConfig) -> Vec<FileStamp> {
    config.approvers.iter().filter_map(|approver| approver.token.as_ref()?.file().map(FileStamp::of)).collect()
}

/// The tokens of somebody: one a line.
fn tokens(Approver { name, token, .. }: &Approver) -> Result<Vec<String>> {
    let Some(token) = token else { return Ok(Vec::new()) };
    let text = token.read(&format!("the token of {name}"), "serve.approvers.token")?;
    let lines: Vec<String> = text.expose().lines().map(str::to_owned).collect();
    Ok(if lines.is_empty() { vec![String::new()] } else { lines })
}

/// The token that a request carries.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, token) = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))?;
    Some(token.trim())
}

/// Whether a request comes from a page of the host that it was sent to.
pub(super) fn is_of_our_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == text(header::HOST)
}

#[cfg(test)]
mod tests;
