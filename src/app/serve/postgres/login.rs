//! Who is let in: whoever reaches the port, or, where the pipeline names people, they alone.

use std::fmt::Debug;

use async_trait::async_trait;
use futures_util::{Sink, SinkExt as _};
use pgwire::api::auth::{
    DefaultServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation,
    save_startup_parameters_to_metadata,
};
use pgwire::api::{ClientInfo, METADATA_USER, PgWireConnectionState, PidSecretKeyGenerator as _};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::startup::Authentication;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use super::client::Client;
use crate::query::SERVER_VERSION;
use crate::serve::Access;

#[async_trait]
impl StartupHandler for Client {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let access = self.0.house.shared.access.get().filter(|access| !access.is_empty());
        match (message, access) {
            (PgWireFrontendMessage::Startup(startup), access) => {
                protocol_negotiation(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                if access.is_none() {
                    return self.welcome(client).await;
                }
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                client.send(PgWireBackendMessage::Authentication(Authentication::CleartextPassword)).await?;
                Ok(())
            }
            (PgWireFrontendMessage::PasswordMessageFamily(message), Some(access)) => {
                let password = message.into_password()?.password;
                let user = client.metadata().get(METADATA_USER).cloned().unwrap_or_default();
                if is_known(access, &user, &password) {
                    return self.welcome(client).await;
                }
                tracing::warn!(user, from = %client.socket_addr(), "a postgresql login failed");
                Err(PgWireError::InvalidPassword(user))
            }
            _ => Ok(()),
        }
    }
}

fn is_known(access: &Access, user: &str, password: &str) -> bool {
    access.by_token(password).is_some_and(|person| person.name == user)
}

impl Client {
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
