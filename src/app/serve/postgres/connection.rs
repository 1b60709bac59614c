//! One connection from its first byte to its last: how it is encrypted, the login within a bounded time, messages of
//! bounded length, and an end for those that fall silent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use pgwire::api::{ClientInfo as _, DefaultClient, PgWireConnectionState, PgWireServerHandlers as _};
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use pgwire::tokio::server::{PgWireMessageServerCodec, process_error, process_message};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::codec::Framed;

use super::client::PgClient;
use super::frames::Frames;
use super::host::House;
use crate::query::Prepared;
use crate::serve::patient::Patient;

/// How long a client that is logged in may be silent.
const SILENCE: Duration = Duration::from_mins(30);

/// Codes of first messages that ask how to encrypt: with TLS, and with GSSAPI, which is not spoken here.
const ASKS_FOR_TLS: u32 = 80_877_103;
const ASKS_FOR_GSSAPI: u32 = 80_877_104;

/// How often a client may ask.
const QUESTIONS_MAX: usize = 3;

/// Answers one client until it leaves, or is too slow.
pub(super) async fn serve(mut stream: TcpStream, from: SocketAddr, house: Arc<House>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let patience = house.shared.limits().patience;
    let slow = || io::Error::new(io::ErrorKind::TimedOut, "the client takes too long to begin");
    for _ in 0..QUESTIONS_MAX {
        // No byte more than that is read in the clear: what follows may be meant to be encrypted.
        let mut head = [0; 8];
        timeout(patience, stream.read_exact(&mut head)).await.map_err(|_| slow())??;
        let code = head[4..].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        match (code, house.shared.tls()) {
            (ASKS_FOR_TLS, Some(tls)) => {
                stream.write_all(b"S").await?;
                let digest = tls.certificate_digest();
                let agreed = timeout(patience, tls.accept(stream)).await.map_err(|_| slow())?;
                let stream = agreed.map_err(io::Error::other)?;
                return converse(stream, &[], DefaultClient::new(from, true), PgClient::new(house, digest)).await;
            }
            (ASKS_FOR_TLS | ASKS_FOR_GSSAPI, _) => stream.write_all(b"N").await?,
            _ => return converse(stream, &head, DefaultClient::new(from, false), PgClient::new(house, None)).await,
        }
    }
    Ok(())
}

/// Speaks with a client; `head` was read already.
async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static>(
    stream: S,
    head: &[u8],
    info: DefaultClient<Prepared>,
    client: PgClient,
) -> io::Result<()> {
    let client = Arc::new(client);
    let patience = client.0.house.shared.limits().patience;
    let frames = Frames::new(Patient::new(stream, patience), head);
    let mut socket = Framed::new(frames, PgWireMessageServerCodec::new(info));
    socket.set_state(PgWireConnectionState::AwaitingStartup);
    let mut begins_within = std::pin::pin!(tokio::time::sleep(patience));
    let mut renewed = std::pin::pin!(client.0.house.shared.news.until_renewed());
    loop {
        let begins = is_beginning(socket.state());
        let message = if begins {
            tokio::select! {
                message = socket.next() => message,
                () = begins_within.as_mut() => return Ok(()),
            }
        } else {
            let over = tokio::select! {
                biased;
                () = renewed.as_mut() => Err(fatal("57P01", "tokens were read again: log in anew")),
                message = timeout(SILENCE, socket.next()) => {
                    message.map_err(|_| fatal("57P05", "the connection was silent for half an hour"))
                }
            };
            match over {
                Ok(message) => message,
                Err(error) => return end(&mut socket, error).await,
            }
        };
        let Some(Ok(message)) = message else { return Ok(()) };
        if matches!(message, PgWireFrontendMessage::Terminate(_)) {
            return Ok(());
        }
        let waits = message.is_extended_query();
        let done = process_message(
            message,
            &mut socket,
            Arc::clone(&client),
            Arc::clone(&client),
            Arc::clone(&client),
            client.copy_handler(),
            client.cancel_handler(),
        );
        match done.await {
            // pgwire would go on after some errors as if the client were logged in.
            Err(error) if begins => return end(&mut socket, error).await,
            Err(error) => process_error(&mut socket, error, waits).await?,
            Ok(()) => {}
        }
    }
}

fn is_beginning(state: PgWireConnectionState) -> bool {
    matches!(state, PgWireConnectionState::AwaitingStartup | PgWireConnectionState::AuthenticationInProgress)
}

/// An error after which the connection ends.
pub(super) fn fatal(code: &str, message: &str) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("FATAL".to_owned(), code.to_owned(), message.to_owned())))
}

/// Says why, and ends the connection.
async fn end<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut Framed<S, PgWireMessageServerCodec<Prepared>>,
    error: PgWireError,
) -> io::Result<()> {
    let mut info = ErrorInfo::from(error);
    "FATAL".clone_into(&mut info.severity);
    socket.send(PgWireBackendMessage::ErrorResponse(info.into())).await?;
    socket.close().await
}
