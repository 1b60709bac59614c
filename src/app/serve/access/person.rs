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

#[cfg(test)]
mod tests {
    use super::*;

    fn with(powers: &[Power]) -> Identity {
        Identity { name: "ada".to_owned(), powers: powers.to_vec(), proof: Proof::Token }
    }

    /// Whether somebody may answer, hold, and give a command that does neither.
    fn may(powers: &[Power]) -> [bool; 3] {
        let who = with(powers);
        let commands = [CommandName::Approve, CommandName::Hold, CommandName::Freeze];
        assert_eq!(commands.map(CommandName::answers), [true, false, false]);
        commands.map(|command| who.may(command))
    }

    #[test]
    fn who_asks_for_something_does_not_answer_and_the_other_way_round() {
        assert_eq!(may(&[]), [false, false, false]);
        assert_eq!(may(&[Power::Viewer]), [false, false, false]);
        assert_eq!(may(&[Power::Approver]), [true, true, false]);
        assert_eq!(may(&[Power::Operator]), [false, true, true]);
        assert_eq!(may(&[Power::Approver, Power::Operator]), [true, true, true]);
        assert_eq!(may(&[Power::Viewer, Power::Approver]), [true, true, false]);
        assert_eq!(may(&[Power::Admin]), [true, true, true]);
    }

    #[test]
    fn a_role_is_one_even_if_nothing_may_be_done_with_it() {
        for (powers, has_a_role, may_act, is_admin, named) in [
            (&[][..], false, false, false, "no role"),
            (&[Power::Viewer], true, false, false, "viewer"),
            (&[Power::Viewer, Power::Operator], true, true, false, "viewer, operator"),
            (&[Power::Admin], true, true, true, "admin"),
        ] {
            let who = with(powers);
            assert_eq!((who.has_a_role(), who.may_act(), who.is_admin()), (has_a_role, may_act, is_admin), "{named}");
            assert_eq!(who.powers(), named);
        }
    }

    #[test]
    fn a_token_is_long_enough_and_can_stand_in_a_header() {
        assert!(check_token("ada", "0123456789abcdef").is_ok());
        let short = "the token of ada is shorter than 16 characters";
        let odd = "the token of ada holds a space or a character beyond ASCII";
        for (token, said) in [
            ("0123456789abcde", short),
            ("éééééééé", short),
            ("", short),
            ("0123456789 abcdef", odd),
            ("0123456789abcdefé", odd),
            ("0123456789abcdef\n", odd),
            ("0123456789abcdef\x7f", odd),
        ] {
            let error = check_token("ada", token).expect_err(token);
            assert_eq!(error.to_string(), said, "{token:?}");
            assert_eq!(error.advice(), Some("make one with `openssl rand -hex 32`"));
        }
    }
}
