//! Logins of browsers: a cookie that says who it is and until when, sealed with a key made from the token. Nothing is
//! kept on this side, and a token that is changed ends its sessions.

use axum::http::{HeaderMap, header};

use super::person::{Person, TokenDigest};
use super::{Access, Identity, Proof};

/// How long a login lasts.
const SESSION_S: u64 = 12 * 3_600;

/// The cookie's name.
const COOKIE: &str = "haldane_session";

impl Access {
    pub(super) fn by_cookie(&self, headers: &HeaderMap) -> Option<Identity> {
        self.by_cookie_at(headers, now_s())
    }

    pub(super) fn by_cookie_at(&self, headers: &HeaderMap, now_s: u64) -> Option<Identity> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut sessions = cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
        sessions.find_map(|session| self.by_session(session, now_s)).map(|person| person.known(Proof::Cookie))
    }

    fn by_session(&self, session: &str, now_s: u64) -> Option<&Person> {
        let (claim, seal) = session.rsplit_once('.')?;
        let (index, until_s) = claim.split_once('.')?;
        let person = self.people.get(index.parse::<usize>().ok()?)?;
        let seal = blake3::Hash::from_hex(seal).ok()?;
        let valid = person.tokens.iter().any(|token| sealed(token, claim) == seal);
        (valid && until_s.parse::<u64>().ok()? > now_s).then_some(person)
    }

    /// The cookie of a login with a token that begins now.
    pub(in crate::serve) fn cookie(&self, token: &str, secure: bool) -> Option<String> {
        Some(set_cookie(&self.session(token, now_s() + SESSION_S)?, SESSION_S, secure))
    }

    pub(super) fn session(&self, token: &str, until_s: u64) -> Option<String> {
        let hash = blake3::hash(token.as_bytes());
        let mut people = self.people.iter().enumerate();
        let (index, token) = people.find_map(|(index, person)| Some((index, person.token(&hash)?)))?;
        let claim = format!("{index}.{until_s}");
        let seal = sealed(token, &claim).to_hex();
        Some(format!("{claim}.{seal}"))
    }
}

fn sealed(token: &TokenDigest, claim: &str) -> blake3::Hash {
    blake3::keyed_hash(&token.key, claim.as_bytes())
}

/// The cookie that ends a login.
pub(in crate::serve) fn no_cookie(secure: bool) -> String {
    set_cookie("", 0, secure)
}

fn set_cookie(value: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

#[expect(clippy::disallowed_methods, reason = "logins end by the wall clock; no decision depends on it")]
fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
