//! Who is asking, and what they may do.
//!
//! A program sends its token with each request (`Authorization: Bearer`). A browser sends it once, by the login form,
//! and gets a cookie that says who it is and until when, sealed with a key made from the token: nothing is kept on this
//! side, and a token that is changed ends its sessions. A browser sends cookies by itself, so what a cookie allows must
//! also come from a page of ours: the `Origin` of the request must be the host that it was sent to.

use axum::http::{HeaderMap, header};

use crate::config::{Approver, Power};
use crate::error::{Error, Result};
use crate::verdict::CommandName;

/// A shorter token could be guessed.
const TOKEN_CHARS_MIN: usize = 16;

/// How long a login lasts.
const SESSION_S: u64 = 12 * 3_600;

/// The cookie's name.
const COOKIE: &str = "haldane_session";

/// Separates this use of a token from any other (`blake3::derive_key`).
const PURPOSE: &str = "haldane 2026-11 http session";

/// Somebody who may act.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) name: String,
    powers: Vec<Power>,
    token: blake3::Hash,
    /// Seals the sessions.
    key: [u8; 32],
}

impl Person {
    /// Whether a command is theirs to give.
    pub(super) fn may(&self, command: CommandName) -> bool {
        self.powers.iter().any(|power| match power {
            Power::Viewer => false,
            Power::Approver => command.answers() || command == CommandName::Hold,
            Power::Operator => !command.answers(),
        })
    }

    /// Whether any command is theirs to give.
    pub(super) fn may_act(&self) -> bool {
        self.powers.iter().any(|power| *power != Power::Viewer)
    }

    /// The names of what they may do.
    pub(super) fn powers(&self) -> String {
        self.powers.iter().map(|power| power.name()).collect::<Vec<_>>().join(", ")
    }

    fn seal(&self, claim: &str) -> blake3::Hash {
        blake3::keyed_hash(&self.key, claim.as_bytes())
    }
}

/// Who may act over HTTP; by default nobody.
#[derive(Debug, Default)]
pub struct Access {
    people: Vec<Person>,
}

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProofOfIdentity {
    /// The token itself, which nobody sends unawares.
    Token,
    /// A cookie, which a browser sends by itself.
    Cookie,
}

impl Access {
    /// Reads the tokens of these people.
    ///
    /// # Errors
    /// When one cannot be read, could be guessed, or is somebody else's too.
    pub fn open(approvers: &[Approver]) -> Result<Self> {
        approvers.iter().try_fold(Self::default(), |access, Approver { name, token, roles }| {
            let token = token.read(&format!("the token of {name}"), "serve.approvers.token")?;
            access.with(name, roles, &token)
        })
    }

    /// And somebody with this token.
    ///
    /// # Errors
    /// When the token could be guessed, or is somebody else's too.
    pub fn with(mut self, name: &str, powers: &[Power], token: &str) -> Result<Self> {
        if token.chars().count() < TOKEN_CHARS_MIN {
            return Err(Error::user(format!("the token of {name} is shorter than {TOKEN_CHARS_MIN} characters"))
                .hint("make one with `openssl rand -hex 32`"));
        }
        if let Some(other) = self.by_token(token) {
            return Err(Error::user(format!("{name} and {} have the same token", other.name))
                .hint("a token says who acts: give everybody one of their own"));
        }
        let (hash, key) = (blake3::hash(token.as_bytes()), blake3::derive_key(PURPOSE, token.as_bytes()));
        self.people.push(Person { name: name.to_owned(), powers: powers.to_vec(), token: hash, key });
        Ok(self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Whose token it is. Digests are compared, in constant time.
    pub(super) fn by_token(&self, token: &str) -> Option<&Person> {
        let hash = blake3::hash(token.as_bytes());
        self.people.iter().find(|person| person.token == hash)
    }

    /// Who sent a request, and how they proved it.
    pub(super) fn who(&self, headers: &HeaderMap) -> Option<(&Person, ProofOfIdentity)> {
        self.who_at(headers, now_s())
    }

    fn who_at(&self, headers: &HeaderMap, now_s: u64) -> Option<(&Person, ProofOfIdentity)> {
        let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
        if let Some(bearer) = text(header::AUTHORIZATION) {
            let token = bearer.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))?.1;
            return self.by_token(token.trim()).map(|person| (person, ProofOfIdentity::Token));
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut sessions = cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
        sessions.find_map(|session| self.by_session(session, now_s)).map(|person| (person, ProofOfIdentity::Cookie))
    }

    fn by_session(&self, session: &str, now_s: u64) -> Option<&Person> {
        let (claim, seal) = session.rsplit_once('.')?;
        let (index, until_s) = claim.split_once('.')?;
        let person = self.people.get(index.parse::<usize>().ok()?)?;
        let valid = blake3::Hash::from_hex(seal).is_ok_and(|seal| seal == person.seal(claim));
        (valid && until_s.parse::<u64>().ok()? > now_s).then_some(person)
    }

    /// The cookie of a login that begins now.
    pub(super) fn cookie(&self, person: &Person, secure: bool) -> String {
        set_cookie(&self.session(person, now_s() + SESSION_S), SESSION_S, secure)
    }

    fn session(&self, person: &Person, until_s: u64) -> String {
        let index = self.people.iter().position(|other| other.token == person.token).unwrap_or_default();
        let claim = format!("{index}.{until_s}");
        let seal = person.seal(&claim).to_hex();
        format!("{claim}.{seal}")
    }
}

/// The cookie that ends a login.
pub(super) fn no_cookie(secure: bool) -> String {
    set_cookie("", 0, secure)
}

fn set_cookie(value: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// Whether a proxy in front of us speaks TLS with the browser: then the cookie must not leave it either.
pub(super) fn is_secure(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|value| value.as_bytes() == b"https")
}

/// Whether a request comes from a page of the host that it was sent to.
pub(super) fn is_of_our_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == text(header::HOST)
}

#[expect(clippy::disallowed_methods, reason = "logins end by the wall clock; no decision depends on it")]
fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn access() -> Access {
        let people = [("ana", Power::Approver), ("oli", Power::Operator), ("vic", Power::Viewer)];
        let with = |access: Access, (name, power)| access.with(name, &[power], &format!("token-of-{name}-token"));
        people.into_iter().try_fold(Access::default(), with).expect("tokens")
    }

    fn headers(pairs: &[(header::HeaderName, String)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    fn with_cookie(session: &str) -> HeaderMap {
        headers(&[(header::COOKIE, format!("other=1; {COOKIE}={session}"))])
    }

    #[test]
    fn a_token_says_who_it_is() {
        let access = access();
        for scheme in ["Bearer", "bearer"] {
            let headers = headers(&[(header::AUTHORIZATION, format!("{scheme} token-of-oli-token"))]);
            let (person, proof) = access.who(&headers).expect("known");
            assert_eq!((person.name.as_str(), proof), ("oli", ProofOfIdentity::Token));
        }
        for wrong in ["Bearer token-of-eve-token", "Basic token-of-oli-token", "token-of-oli-token", "Bearer "] {
            assert!(access.who(&headers(&[(header::AUTHORIZATION, wrong.to_owned())])).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_session_ends_and_cannot_be_forged() {
        let access = access();
        let ana = access.by_token("token-of-ana-token").expect("known");
        let session = access.session(ana, 1_000);
        let who =
            |session: &str, now_s| access.who_at(&with_cookie(session), now_s).map(|(person, _)| person.name.clone());
        assert_eq!(who(&session, 999), Some("ana".to_owned()));
        assert_eq!(who(&session, 1_000), None);
        let seal = session.rsplit('.').next().expect("a seal");
        for forged in [format!("1.1000.{seal}"), format!("0.9999.{seal}"), "0.9999.".to_owned(), "x".to_owned()] {
            assert_eq!(who(&forged, 0), None, "{forged}");
        }
    }

    #[test]
    fn everybody_may_do_what_their_roles_say() {
        let access = access();
        let may = |name: &str, command| access.by_token(&format!("token-of-{name}-token")).expect("known").may(command);
        let allowed = |command| ["ana", "oli", "vic"].map(|name| may(name, command));
        assert_eq!(allowed(CommandName::Approve), [true, false, false]);
        assert_eq!(allowed(CommandName::Hold), [true, true, false]);
        assert_eq!(allowed(CommandName::ForceRollback), [false, true, false]);
    }

    #[test]
    fn a_cookie_counts_only_from_our_own_pages() {
        let from =
            |origin: &str| headers(&[(header::HOST, "haldane:8088".to_owned()), (header::ORIGIN, origin.to_owned())]);
        assert!(is_of_our_page(&from("http://haldane:8088")));
        for other in ["http://haldane:8089", "https://evil.example", "null", ""] {
            assert!(!is_of_our_page(&from(other)), "{other}");
        }
        assert!(!is_of_our_page(&headers(&[(header::HOST, "haldane:8088".to_owned())])));
    }

    #[test]
    fn a_token_that_says_nothing_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let approver =
            |name: &str| Approver { name: name.to_owned(), token: Secret::File(path.clone()), roles: vec![] };
        std::fs::write(&path, "short").expect("a file");
        assert!(Access::open(&[approver("ana")]).unwrap_err().to_string().contains("shorter than 16"));
        std::fs::write(&path, "long enough for anybody").expect("a file");
        let error = Access::open(&[approver("ana"), approver("oli")]).unwrap_err();
        assert_eq!(error.to_string(), "oli and ana have the same token");
    }
}
