//! Asks an authorization server for a token, as a client that names itself (RFC 6749, section 4.4).

use openssl::base64::encode_block;

use super::PATIENCE;
use crate::config::TokenServer;
use crate::error::{Error, Result};
use crate::targets::client::{Client, HttpRequest};
use crate::targets::escaped;

/// What the server answers.
///
/// # Errors
/// When the secret cannot be read, or the server does not answer or says no.
pub(super) fn ask(server: &TokenServer) -> Result<String> {
    let TokenServer { url, client_id, client_secret, scope, ca } = server;
    let secret = client_secret.read("the client secret for Kafka", "kafka.security.oauth.client_secret")?;
    let login = encode_block(format!("{}:{}", escaped(client_id), escaped(secret.expose())).as_bytes());
    let scope = scope.as_ref().map(|scope| format!("&scope={}", escaped(scope))).unwrap_or_default();
    let question = HttpRequest {
        method: "POST".to_owned(),
        url: url.clone(),
        headers: vec![
            ("authorization".to_owned(), format!("Basic {login}")),
            ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
            ("accept".to_owned(), "application/json".to_owned()),
        ],
        body: format!("grant_type=client_credentials{scope}").into_bytes(),
    };
    let failed = |why: String| {
        Error::external("no token for Kafka")
            .because(why)
            .hint("check `kafka.security.oauth`, and the server that it names")
    };
    let answer = Client::open(ca.as_deref(), PATIENCE)?.ask(&question).map_err(failed)?;
    if answer.status == 200 {
        return Ok(answer.body);
    }
    let said: String = answer.body.chars().take(200).collect();
    Err(failed(format!("{url} answers {}: {}", answer.status, said.trim())))
}
