//! A program of somebody's own: told every decision, in order, with a proof of who says so.
//!
//! The body is the decision as it stands on the control topic, as a `CloudEvent` in structured mode. The header
//! `Haldane-Signature` holds a time and the HMAC-SHA256 of that time, a dot and the body.

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use serde_json::Value;

use super::super::hex;
use super::post;
use crate::config::Secret;
use crate::event::{Micros, SECOND};
use crate::targets::client::Client;

/// A webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookConfig {
    /// Where it is.
    pub url: String,
    /// Headers beside the signature.
    pub headers: Vec<(String, String)>,
    /// What proves who says so.
    pub secret: Secret,
}

/// Tells a decision.
///
/// # Errors
/// In words, when it was not taken.
pub(super) fn tell(
    config: &WebhookConfig,
    client: &Client,
    id: &str,
    event: &Value,
    now: Micros,
) -> Result<(), String> {
    let secret = config.secret.read("the secret", "secret").map_err(|error| error.to_string())?;
    let body = event.to_string();
    let signature = signature(secret.expose(), now / SECOND, body.as_bytes()).map_err(|error| error.to_string())?;
    let own =
        [("Content-Type", "application/cloudevents+json"), ("Haldane-Decision", id), ("Haldane-Signature", &signature)];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    post(client, &config.url, own.into_iter().chain(config.headers.iter().cloned()).collect(), body).map(drop)
}

/// `t=SECONDS,v1=HEX`.
fn signature(secret: &str, at: i64, body: &[u8]) -> Result<String, openssl::error::ErrorStack> {
    let key = PKey::hmac(secret.as_bytes())?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
    signer.update(format!("{at}.").as_bytes())?;
    signer.update(body)?;
    let digest = signer.sign_to_vec()?;
    Ok(format!("t={at},v1={}", hex(&digest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_time_and_body() {
        // Computed with Python's hmac and hashlib.
        let signed = signature("geheim", 1_700_000_000, b"{}").expect("a signature");
        assert_eq!(signed, "t=1700000000,v1=75e8aa01e776401a6bfda6664664c1271ca25506052e3b8c43308bdf92f3c8d5");
    }
}
