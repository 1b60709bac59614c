//! SCRAM-SHA-256 (RFC 5802, RFC 7677): a login in which the password is never sent, and of which nobody on the way can
//! make another one. With a certificate it is bound to it (`-PLUS`, RFC 5929), so that a man in the middle with a
//! certificate of his own is noticed.
//!
//! pgwire has one too; it keeps what a password can be replaced by. Here a verifier is kept, from which no client can
//! log in.

use openssl::base64::{decode_block, encode_block};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkcs5::pbkdf2_hmac;
use openssl::pkey::PKey;
use openssl::rand::rand_bytes;
use openssl::sha::sha256;
use openssl::sign::Signer;

/// PostgreSQL's own; tokens are long, so more would protect nothing.
const ITERATIONS: usize = 4_096;

/// What a login is mixed with.
pub(in crate::serve) type Salt = [u8; 16];

/// Names of the mechanism, without and with a binding to the certificate.
pub(super) const PLAIN: &str = "SCRAM-SHA-256";
pub(super) const BOUND: &str = "SCRAM-SHA-256-PLUS";

/// The salts of this process: each name has one, whether anybody has the name or not.
#[derive(Clone)]
pub(in crate::serve) struct Salts([u8; 32]);

impl Default for Salts {
    fn default() -> Self {
        Self(random())
    }
}

impl std::fmt::Debug for Salts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salts(…)")
    }
}

impl Salts {
    pub(in crate::serve) fn of(&self, name: &str) -> Salt {
        let digest = blake3::keyed_hash(&self.0, name.as_bytes());
        std::array::from_fn(|place| digest.as_bytes()[place])
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand_bytes(&mut bytes).expect("the system has random numbers");
    bytes
}

/// What a password is held against.
#[derive(Clone)]
pub(in crate::serve) struct Verifier {
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

impl Verifier {
    pub(in crate::serve) fn of(password: &str, salt: &Salt) -> Self {
        let mut salted = [0; 32];
        pbkdf2_hmac(password.as_bytes(), salt, ITERATIONS, MessageDigest::sha256(), &mut salted)
            .expect("OpenSSL has SHA-256");
        let stored_key = sha256(&hmac(&salted, b"Client Key").expect("OpenSSL has SHA-256"));
        Self { stored_key, server_key: hmac(&salted, b"Server Key").expect("OpenSSL has SHA-256") }
    }

    /// What the server proves itself with, where the client's proof is right.
    fn signature(&self, message: &[u8], proof: &[u8; 32]) -> Result<Option<[u8; 32]>, ErrorStack> {
        let expected = hmac(&self.stored_key, message)?;
        let client_key: [u8; 32] = std::array::from_fn(|place| expected[place] ^ proof[place]);
        if memcmp::eq(&sha256(&client_key), &self.stored_key) {
            return hmac(&self.server_key, message).map(Some);
        }
        Ok(None)
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Result<[u8; 32], ErrorStack> {
    let key = PKey::hmac(key)?;
    let mut code = [0; 32];
    Signer::new(MessageDigest::sha256(), &key)?.sign_oneshot(&mut code, message)?;
    Ok(code)
}

/// A login that has begun: what was said so far, and what the rest must fit.
pub(super) struct Exchange {
    /// What the client's last message must begin with.
    binding: String,
    nonce: String,
    /// Both first messages.
    said: String,
    verifiers: Vec<Verifier>,
}

/// Why a login ends: the message is none, or the binding to the certificate is not the same on both sides.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScramError {
    Message,
    Binding,
}

impl Exchange {
    /// Takes the client's first message. `mechanism` is the one that it has chosen, `certificate` the digest of ours.
    pub(super) fn begin(
        mechanism: &str,
        message: &[u8],
        certificate: Option<&[u8]>,
        salt: &Salt,
        verifiers: Vec<Verifier>,
    ) -> Result<(Self, String), ScramError> {
        Self::begin_with(mechanism, message, certificate, (salt, verifiers), &encode_block(&random::<18>()))
    }

    fn begin_with(
        mechanism: &str,
        message: &[u8],
        certificate: Option<&[u8]>,
        (salt, verifiers): (&Salt, Vec<Verifier>),
        nonce: &str,
    ) -> Result<(Self, String), ScramError> {
        let text = std::str::from_utf8(message).map_err(|_| ScramError::Message)?;
        let mut parts = text.splitn(3, ',');
        let (Some(flag), Some(identity), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ScramError::Message);
        };
        let bound = certificate.filter(|_| mechanism == BOUND);
        let fits = match (flag, bound) {
            ("p=tls-server-end-point", Some(_)) | ("n", None) => true,
            // It could bind, and thinks that we cannot: where we can, somebody on the way has told it so.
            ("y", None) => certificate.is_none(),
            _ => false,
        };
        if !fits {
            return Err(ScramError::Binding);
        }
        // The name is that of the first message of the connection.
        let theirs = bare.split(',').nth(1).and_then(|part| part.strip_prefix("r=")).filter(|nonce| !nonce.is_empty());
        let (Some(theirs), true) = (theirs, bare.starts_with("n=")) else { return Err(ScramError::Message) };
        let head = format!("{flag},{identity},");
        let binding = encode_block(&[head.as_bytes(), bound.unwrap_or_default()].concat());
        let nonce = format!("{theirs}{nonce}");
        let first = format!("r={nonce},s={},i={ITERATIONS}", encode_block(salt));
        Ok((Self { binding, nonce, said: format!("{bare},{first}"), verifiers }, first))
    }

    /// Takes the client's last message: what the server answers, or `None` where the password is wrong.
    pub(super) fn end(&self, message: &[u8]) -> Result<Option<String>, ScramError> {
        let text = std::str::from_utf8(message).map_err(|_| ScramError::Message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Message)?;
        let mut parts = without_proof.split(',');
        let binding = parts.next().and_then(|part| part.strip_prefix("c=")).ok_or(ScramError::Message)?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or(ScramError::Message)?;
        if !memcmp_eq(binding, &self.binding) {
            return Err(ScramError::Binding);
        }
        let proof: Option<[u8; 32]> = decode_block(proof).ok().and_then(|proof| proof.try_into().ok());
        let proof = proof.filter(|_| nonce == self.nonce).ok_or(ScramError::Message)?;
        let message = format!("{},{without_proof}", self.said);
        for verifier in &self.verifiers {
            let signature = verifier.signature(message.as_bytes(), &proof).map_err(|_| ScramError::Message)?;
            if let Some(signature) = signature {
                return Ok(Some(format!("v={}", encode_block(&signature))));
            }
        }
        Ok(None)
    }
}

fn memcmp_eq(one: &str, other: &str) -> bool {
    one.len() == other.len() && memcmp::eq(one.as_bytes(), other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3.
    #[test]
    fn the_example_of_the_standard_is_understood() {
        let salt: Salt = decode_block("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base 64").try_into().expect("16 bytes");
        let verifiers = vec![Verifier::of("another", &salt), Verifier::of("pencil", &salt)];
        let (exchange, first) = Exchange::begin_with(
            PLAIN,
            b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            None,
            (&salt, verifiers),
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        )
        .expect("a first message");
        assert_eq!(first, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let answer = exchange.end(last.as_bytes()).expect("a last message");
        assert_eq!(answer.as_deref(), Some("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));

        let wrong = last.replace("dHzb", "dHzc");
        assert_eq!(exchange.end(wrong.as_bytes()), Ok(None));
        let another = last.replace("$k0", "$k1");
        assert_eq!(exchange.end(another.as_bytes()), Err(ScramError::Message), "another nonce");
        assert_eq!(exchange.end(last.replace("biws", "eSws").as_bytes()), Err(ScramError::Binding));
    }

    #[test]
    fn a_login_is_bound_to_the_certificate_where_there_is_one() {
        let begin = |mechanism: &str, flag: &str, certificate: Option<&[u8]>| {
            let message = format!("{flag},,n=,r=abc");
            Exchange::begin(mechanism, message.as_bytes(), certificate, &[0; 16], Vec::new()).map(|_| ()).err()
        };
        let digest = Some(&[7_u8; 32][..]);
        assert_eq!(begin(BOUND, "p=tls-server-end-point", digest), None);
        assert_eq!(begin(PLAIN, "n", digest), None);
        assert_eq!(begin(PLAIN, "y", None), None);
        assert_eq!(begin(PLAIN, "y", digest), Some(ScramError::Binding), "somebody took the offer away");
        for (mechanism, flag, certificate) in [
            (BOUND, "n", digest),
            (PLAIN, "p=tls-server-end-point", digest),
            (BOUND, "p=tls-unique", digest),
            (BOUND, "n", None),
        ] {
            let fault = begin(mechanism, flag, certificate);
            assert!(fault.is_some() || (mechanism, certificate) == (BOUND, None), "{mechanism} {flag}");
        }
        for nonsense in ["", "n", "n,,", "n,,n=", "n,,n=,r=", "n,,r=abc,n=", "n,,m=x,n=,r=abc"] {
            let exchange = Exchange::begin(PLAIN, nonsense.as_bytes(), None, &[0; 16], Vec::new());
            assert!(exchange.is_err(), "{nonsense}");
        }
    }
}
