//! Who is let in: whoever reaches the port, or, where the pipeline names people, they alone, with a token as password
//! that is never sent.

use std::fmt::Debug;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{Sink, SinkExt as _};
use pgwire::api::auth::{
    DefaultServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation,
    save_startup_parameters_to_metadata,
};
use pgwire::api::{ClientInfo, METADATA_USER, PgWireConnectionState, PidSecretKeyGenerator as _};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::startup::{Authentication, PasswordMessageFamily};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use super::client::PgClient;
use super::connection::fatal;
use super::frames::MessageBody;
use super::scram::{BOUND, Exchange, PLAIN, ScramError};
use crate::query::SERVER_VERSION;
use crate::serve::throttle::client_of;
use crate::telemetry::Refusal;

#[async_trait]
impl StartupHandler for PgClient {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match message {
            PgWireFrontendMessage::Startup(startup) => {
                protocol_negotiation(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                self.check_encryption(client.is_secure())?;
                if self.0.house.shared.access().is_none() {
                    return self.welcome(client).await;
                }
                self.check_mistakes(client)?;
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                let mechanisms = self.0.certificate.iter().map(|_| BOUND).chain([PLAIN]).map(str::to_owned).collect();
                client.send(PgWireBackendMessage::Authentication(Authentication::SASL(mechanisms))).await?;
                Ok(())
            }
            PgWireFrontendMessage::PasswordMessageFamily(message) => self.go_on(client, message).await,
            _ => Err(fatal("08P01", "this is not how a login goes on")),
        }
    }
}

impl PgClient {
    /// Where there is a certificate, nothing is said in the clear.
    fn check_encryption(&self, is_encrypted: bool) -> PgWireResult<()> {
        if is_encrypted || self.0.house.shared.tls().is_none() {
            return Ok(());
        }
        Err(fatal("28000", "this server speaks over TLS only: connect with sslmode=verify-full, or require at least"))
    }

    fn check_mistakes<C: ClientInfo>(&self, client: &C) -> PgWireResult<()> {
        let may = self.0.house.shared.throttle().may_log_in(client_of(client.socket_addr().ip()));
        let seconds = |wait: Duration| wait.as_secs() + 1;
        may.map_err(|wait| fatal("28000", &format!("too many logins failed: try again in {} s", seconds(wait))))
    }

    /// Takes the next message of a login.
    async fn go_on<C>(&self, client: &mut C, message: PasswordMessageFamily) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let user = client.metadata().get(METADATA_USER).cloned().unwrap_or_default();
        let begun = self.0.exchange.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(exchange) = begun else {
            let first = self.begin(&user, message)?;
            client.send(PgWireBackendMessage::Authentication(Authentication::SASLContinue(first.into()))).await?;
            return Ok(());
        };
        let last = message.into_sasl_response()?;
        if let Some(signature) = exchange.end(&last.data).map_err(told)? {
            client.send(PgWireBackendMessage::Authentication(Authentication::SASLFinal(signature.into()))).await?;
            return self.welcome(client).await;
        }
        let (shared, from) = (&self.0.house.shared, client.socket_addr());
        tracing::warn!(user, %from, "a postgresql login failed");
        shared.throttle().mistaken(client_of(from.ip()));
        shared.telemetry().refused(Refusal::Login);
        Err(PgWireError::InvalidPassword(user))
    }

    /// Begins a login: what the server answers to its first message.
    fn begin(&self, user: &str, message: PasswordMessageFamily) -> PgWireResult<String> {
        // pgwire would panic where the length in it is wrong.
        let PasswordMessageFamily::Raw(body) = message else { return Err(told(ScramError::Message)) };
        let (mechanism, data) = first_response(&body).ok_or_else(|| told(ScramError::Message))?;
        let (salt, verifiers) = self.0.house.shared.access_now().verifiers(user);
        let certificate = self.0.certificate.as_deref();
        let begun = Exchange::begin(mechanism, data, certificate, &salt, verifiers);
        let (exchange, answer) = begun.map_err(told)?;
        *self.0.exchange.lock().unwrap_or_else(PoisonError::into_inner) = Some(exchange);
        Ok(answer)
    }
}

/// The mechanism that a client has chosen, and its first message.
fn first_response(body: &[u8]) -> Option<(&str, &[u8])> {
    let mut body = MessageBody(body);
    let mechanism = std::str::from_utf8(body.text()?).ok()?;
    let length = body.length()?;
    let data = body.bytes(length)?;
    body.end().map(|()| (mechanism, data))
}

#[expect(clippy::needless_pass_by_value, reason = "faults are mapped as they come")]
fn told(fault: ScramError) -> PgWireError {
    match fault {
        ScramError::Message => fatal("08P01", "this is not how SCRAM-SHA-256 goes"),
        ScramError::Binding => {
            fatal("28000", "the login was made for another certificate: somebody may be reading along")
        }
    }
}

impl PgClient {
    async fn welcome<C>(&self, client: &mut C) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let (number, secret) = self.0.house.numbers.generate(client);
        client.set_pid_and_secret_key(number, secret.clone());
        let (stoppable, listed) = self.0.house.connections.register(number, secret);
        client.session_extensions().insert(stoppable);
        client.session_extensions().insert(listed);
        let mut parameters = DefaultServerParameterProvider::default();
        SERVER_VERSION.clone_into(&mut parameters.server_version);
        parameters.is_superuser = false;
        parameters.default_transaction_read_only = true;
        finish_authentication(client, &parameters).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A first message: mechanism, length and data.
    fn message(mechanism: &[u8], length: i32, data: &[u8]) -> Vec<u8> {
        [mechanism, &[0], &length.to_be_bytes(), data].concat()
    }

    #[test]
    fn the_first_message_of_a_login_is_whole_or_none() {
        assert_eq!(first_response(&message(b"SCRAM-SHA-256", 3, b"n,,")), Some(("SCRAM-SHA-256", &b"n,,"[..])));
        assert_eq!(first_response(&message(b"", 0, b"")), Some(("", &b""[..])));
        assert_eq!(first_response(&message(b"PLAIN", -1, b"")), Some(("PLAIN", &b""[..])), "no data at all");
        let broken = [
            message(b"SCRAM-SHA-256", 4, b"n,,"),
            message(b"SCRAM-SHA-256", 2, b"n,,"),
            message(b"SCRAM-SHA-256", -1, b"n,,"),
            message(b"SCRAM-SHA-256", i32::MAX, b"n,,"),
            message(b"\xff", 0, b""),
            b"SCRAM-SHA-256".to_vec(),
            b"SCRAM-SHA-256\0\0\0".to_vec(),
            Vec::new(),
        ];
        for body in broken {
            assert_eq!(first_response(&body), None, "{body:?}");
        }
    }

    #[test]
    fn faults_of_a_login_have_codes_that_clients_know() {
        let code = |fault| match told(fault) {
            PgWireError::UserError(info) => (info.severity, info.code),
            other => panic!("{other}"),
        };
        assert_eq!(code(ScramError::Message), ("FATAL".to_owned(), "08P01".to_owned()));
        assert_eq!(code(ScramError::Binding), ("FATAL".to_owned(), "28000".to_owned()));
    }
}
