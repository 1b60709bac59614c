//! Tokens of OAUTHBEARER: had where the pipeline file says, kept for most of their life, given to every client.
//!
//! librdkafka asks for a new token when four fifths of the life of the last one are over. Whichever client asks first
//! has it fetched; the others are given the same.

mod aws;
mod rest;

use std::ffi::CString;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openssl::base64::decode_block;
use rdkafka::bindings::rd_kafka_oauthbearer_set_token;
use rdkafka::client::{Client, ClientContext, OAuthToken};
use rdkafka::error::RDKafkaErrorCode;
use serde::Deserialize;
use serde_json::Value;

use super::clock::wall_clock;
use crate::config::Tokens;
use crate::error::{Error, Result};
use crate::event::{Micros, SECOND};
use crate::targets::exec;

/// How long a token may take to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// The life of a token that does not say how long it lives.
const LIFE: Micros = 300 * SECOND;

/// Gives tokens to the clients of one connection.
#[derive(Debug)]
pub(super) struct Login {
    tokens: Tokens,
    kept: Mutex<Option<Token>>,
}

/// A token, and what is known of it.
#[derive(Clone, PartialEq, Eq)]
struct Token {
    text: String,
    /// Whom it is for, as far as it says so. Brokers find that out for themselves.
    principal: String,
    had_at: Micros,
    expires_at: Micros,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("principal", &self.principal)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// A token that lives for `life`, unless it says itself for how long.
    fn new(text: &str, life: Option<Micros>, now: Micros) -> Self {
        let text = text.trim();
        let claims = claims(text);
        let said = claims.get("exp").and_then(Value::as_f64);
        #[expect(clippy::cast_possible_truncation, reason = "a time in this millennium")]
        let said = said.map(|seconds| (seconds * 1e6) as Micros);
        let principal = claims.get("sub").and_then(Value::as_str).unwrap_or("haldane").replace('\0', "");
        let expires_at = said.unwrap_or_else(|| now.saturating_add(life.unwrap_or(LIFE)));
        Self { text: text.to_owned(), principal, had_at: now, expires_at }
    }

    /// Whether three quarters of its life are to come, or have not passed: a client that asks for another one gets one.
    fn is_fresh(&self, now: Micros) -> bool {
        now < self.had_at + (self.expires_at - self.had_at) / 4 * 3
    }
}

/// What a token of JSON says of itself (RFC 7519): nothing of one that is none. Nobody here trusts it.
fn claims(text: &str) -> Value {
    let claims = text.split('.').nth(1).and_then(|part| {
        let padding = "=".repeat((4 - part.len() % 4) % 4);
        let bytes = decode_block(&(part.replace('-', "+").replace('_', "/") + &padding)).ok()?;
        serde_json::from_slice(&bytes).ok()
    });
    claims.unwrap_or_default()
}

/// What authorization servers answer, and programs may print.
#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    expires_in: Option<f64>,
}

/// A token, or why there is none, as the client's crate asks for it.
pub(super) type Tokened = std::result::Result<OAuthToken, Box<dyn std::error::Error>>;

impl Login {
    /// A client that can be polled asks for its next token.
    pub(super) fn refresh(login: Option<&Self>) -> Tokened {
        let login = login.ok_or("`kafka.security.oauth` says nothing of tokens")?;
        login.token().map_err(|error| {
            tracing::warn!(%error, "no new token for Kafka");
            error.to_string().replace('\0', "").into()
        })
    }

    /// Gives tokens from there.
    pub(super) fn new(tokens: Tokens) -> Self {
        Self { tokens, kept: Mutex::default() }
    }

    /// A token that is good for a while.
    ///
    /// # Errors
    /// When none can be had.
    fn token(&self) -> Result<OAuthToken> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = wall_clock();
        let token = match kept.as_ref().filter(|token| token.is_fresh(now)) {
            Some(token) => token.clone(),
            None => self.fetch(now)?,
        };
        *kept = Some(token.clone());
        let lifetime_ms = token.expires_at / 1_000;
        Ok(OAuthToken { token: token.text, principal_name: token.principal, lifetime_ms })
    }

    fn fetch(&self, now: Micros) -> Result<Token> {
        match &self.tokens {
            Tokens::Server(server) => rest::ask(server).and_then(|answer| given(&answer, now)),
            Tokens::File(path) => of_file(path, now),
            Tokens::Command(command) => printed(command, now),
            Tokens::Aws(region) => {
                let text = aws::token(&aws::Credentials::found()?, region, now)?;
                Ok(Token::new(&text, Some(aws::LIFE), now))
            }
        }
    }

    /// Gives a client its first token: one that is never polled asks for none.
    ///
    /// # Errors
    /// When there is no token, or the client does not take it.
    pub(super) fn introduce<C: ClientContext>(&self, client: &Client<C>) -> Result<()> {
        let token = self.token()?;
        let unfit = |_| Error::external("the token for Kafka holds a zero byte");
        let text = CString::new(token.token).map_err(unfit)?;
        let principal = CString::new(token.principal_name).map_err(unfit)?;
        let mut complaint = [0_u8; 512];
        #[expect(unsafe_code, reason = "the client's crate has this call, and no safe way to it")]
        // SAFETY: both texts end with a zero byte and outlive the call, which copies them; there are no extensions; the
        // complaint is written within its length; the client lives.
        let code = unsafe {
            rd_kafka_oauthbearer_set_token(
                client.native_ptr(),
                text.as_ptr(),
                token.lifetime_ms,
                principal.as_ptr(),
                std::ptr::null_mut(),
                0,
                complaint.as_mut_ptr().cast(),
                complaint.len(),
            )
        };
        let code = RDKafkaErrorCode::from(code);
        if code == RDKafkaErrorCode::NoError {
            return Ok(());
        }
        let said = complaint.split(|byte| *byte == 0).next().unwrap_or_default();
        Err(Error::external("the Kafka client does not take the token")
            .because(String::from_utf8_lossy(said))
            .hint("check `kafka.security.oauth`"))
    }
}

/// The token in an answer of JSON.
fn given(answer: &str, now: Micros) -> Result<Token> {
    let TokenResponse { access_token, expires_in } = serde_json::from_str(answer).map_err(|error| {
        Error::external("the answer with the token for Kafka cannot be read")
            .because(error)
            .hint("check `kafka.security.oauth`: JSON with `access_token` is expected")
    })?;
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a token's life")]
    let life = expires_in.map(|seconds| (seconds * 1e6) as Micros);
    Ok(Token::new(&access_token, life, now))
}

fn of_file(path: &Path, now: Micros) -> Result<Token> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::external(format!("cannot read the token for Kafka from {}", path.display()))
            .because(error)
            .hint("check `kafka.security.oauth.file`, and whoever keeps it fresh")
    })?;
    Ok(Token::new(&text, None, now))
}

fn printed(command: &[String], now: Micros) -> Result<Token> {
    let (name, arguments) = command.split_first().expect("pipelines without a program are refused");
    let mut program = Command::new(name);
    program.args(arguments);
    let printed = exec::run(program, PATIENCE).map_err(|trouble| {
        Error::external("no token for Kafka")
            .because(trouble.why())
            .hint("check `kafka.security.oauth.command`: it prints a token, or JSON with `access_token`")
    })?;
    if printed.trim_start().starts_with('{') { given(&printed, now) } else { Ok(Token::new(&printed, None, now)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(script: &str) -> Login {
        Login::new(Tokens::Command(["sh", "-c", script].map(str::to_owned).to_vec()))
    }

    #[test]
    fn a_token_says_whose_it_is_and_how_long_it_lives() {
        // {"alg":"none"} . {"sub":"ana","exp":1700000600}
        let text = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbmEiLCJleHAiOjE3MDAwMDA2MDB9.";
        let now = 1_700_000_000 * SECOND;
        let token = Token::new(&format!("{text}\n"), Some(60 * SECOND), now);
        assert_eq!((token.text.as_str(), token.principal.as_str()), (text, "ana"));
        assert_eq!(token.expires_at, now + 600 * SECOND);
        assert!(token.is_fresh(now + 449 * SECOND) && !token.is_fresh(now + 450 * SECOND));
        assert!(!format!("{token:?}").contains("eyJ"));
        let opaque = Token::new("opaque", None, now);
        assert_eq!((opaque.principal.as_str(), opaque.expires_at), ("haldane", now + LIFE));
        assert_eq!(given(r#"{"access_token":"t","expires_in":3600}"#, now).unwrap().expires_at, now + 3_600 * SECOND);
    }

    #[test]
    fn a_program_is_asked_once_for_all_clients() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("asked");
        let login = login(&format!("echo x >> {}; echo token", file.display()));
        let both = [login.token().unwrap().token, login.token().unwrap().token];
        assert_eq!(
            (both, std::fs::read_to_string(&file).unwrap().as_str()),
            (["token", "token"].map(str::to_owned), "x\n")
        );
    }

    #[test]
    fn what_a_program_says_when_it_has_none_is_the_reason() {
        let error = login("echo log in first >&2; exit 1").token().err().expect("no token");
        assert_eq!(error.to_string(), "no token for Kafka: sh ended with 1: log in first");
        let error = login("echo '{}'").token().err().expect("no token").to_string();
        assert!(error.contains("missing field `access_token`"), "{error}");
        let file = Login::new(Tokens::File("/no/such/token".into()));
        assert!(
            file.token().err().expect("no token").to_string().starts_with("cannot read the token for Kafka from /no")
        );
    }
}
