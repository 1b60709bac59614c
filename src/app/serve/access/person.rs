//! Somebody who may act: how they prove who they are, and what their roles let them do.

use crate::config::Power;
use crate::error::{Error, Result};
use crate::verdict::CommandName;

/// A shorter token could be guessed.
const TOKEN_CHARS_MIN: usize = 16;

/// Separates this use of a token from any other (`blake3::derive_key`).
const PURPOSE: &str = "haldane 2026-11 http session";

/// Somebody whom the pipeline names.
#[derive(Debug)]
pub(in crate::serve) struct Person {
    pub(in crate::serve) name: String,
    pub(in crate::serve) powers: Vec<Power>,
    /// A name in their certificate.
    pub(in crate::serve) certificate: Option<String>,
    pub(in crate::serve) tokens: Vec<TokenDigest>,
}

/// What is kept of a token; from none of it the token can be had.
pub(in crate::serve) struct TokenDigest {
    pub(super) hash: blake3::Hash,
    /// Seals the sessions.
    pub(super) key: [u8; 32],
    /// What logins of PostgreSQL are held against.
    #[cfg(feature = "pg")]
    pub(super) verifier: crate::serve::postgres::Verifier,
}

/// Somebody who has proved who they are.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Identity {
    pub(in crate::serve) name: String,
    pub(super) powers: Vec<Power>,
    pub(in crate::serve) proof: Proof,
}

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) enum Proof {
    /// The token itself, which nobody sends unawares.
    Token,
    /// A cookie, which a browser sends by itself.
    Cookie,
    /// A certificate, which a browser shows by itself, too.
    Certificate,
    /// The proxy says so, for whatever a browser sends it.
    Proxy,
}

impl std::fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl TokenDigest {
    /// What is kept of a token; the verifier is not known here.
    #[cfg(not(feature = "pg"))]
    pub(super) fn of(token: &str) -> Self {
        Self { hash: blake3::hash(token.as_bytes()), key: blake3::derive_key(PURPOSE, token.as_bytes()) }
    }

    /// What is kept of a token.
    #[cfg(feature = "pg")]
    pub(super) fn of(token: &str, salt: &crate::serve::postgres::Salt) -> Self {
        let verifier = crate::serve::postgres::Verifier::of(token, salt);
        Self { hash: blake3::hash(token.as_bytes()), key: blake3::derive_key(PURPOSE, token.as_bytes()), verifier }
    }
}

impl Person {
    /// The one of their tokens that has this digest.
    pub(super) fn token(&self, hash: &blake3::Hash) -> Option<&TokenDigest> {
        self.tokens.iter().find(|token| token.hash == *hash)
    }

    pub(super) fn known(&self, proof: Proof) -> Identity {
        Identity { name: self.name.clone(), powers: self.powers.clone(), proof }
    }
}

impl Identity {
    /// Whether a command is theirs to give.
    pub(in crate::serve) fn may(&self, command: CommandName) -> bool {
        self.powers.iter().any(|power| match power {
            Power::Viewer => false,
            Power::Approver => command.answers() || command == CommandName::Hold,
            Power::Operator => !command.answers(),
            Power::Admin => true,
        })
    }

    /// Whether any command is theirs to give.
    pub(in crate::serve) fn may_act(&self) -> bool {
        self.powers.iter().any(|power| *power != Power::Viewer)
    }

    /// Whether the pipeline gives them a role; the proxy may name others, too.
    pub(in crate::serve) fn has_a_role(&self) -> bool {
        !self.powers.is_empty()
    }

    pub(in crate::serve) fn is_admin(&self) -> bool {
        self.powers.contains(&Power::Admin)
    }

    /// The names of what they may do.
    pub(in crate::serve) fn powers(&self) -> String {
        if self.powers.is_empty() {
            return "no role".to_owned();
        }
        self.powers.iter().map(|power| power.name()).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a token can be somebody's.
pub(super) fn check_token(name: &str, token: &str) -> Result<()> {
    let advice = "make one with `openssl rand -hex 32`";
    if token.chars().count() < TOKEN_CHARS_MIN {
        return Err(
            Error::user(format!("the token of {name} is shorter than {TOKEN_CHARS_MIN} characters")).hint(advice)
        );
    }
    // What a header can carry, and what all clients of PostgreSQL write alike.
    if !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Error::user(format!("the token of {name} holds a space or a character beyond ASCII")).hint(advice));
    }
    Ok(())
}
