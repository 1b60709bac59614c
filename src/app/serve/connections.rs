//! Open connections: so many at most, so that clients that hang cannot take what the rest of the process needs.
//!
//! A client may take so long for each step, and no longer. Where every place is taken, the connection that has been
//! waiting longest for a request makes room; so a client that asks at once is answered, however many others do not.
//! Whoever is being answered keeps its place. One client has a part of the places only.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

use super::Shared;
use super::entrance::Peer;
use super::patient::Patient;
use super::throttle::client_of;
use super::tls::{HANDSHAKE, Tls, names_of_client};
use crate::config::ClientLimits;

/// What is said to a client that does not begin with TLS where nothing else is spoken.
const WANTS_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 80\r\n\
    Connection: close\r\n\r\n{\"error\":\"this port speaks TLS\",\"hint\":\"write https:// in front of the address\"}";

/// The connections of one server.
#[derive(Debug)]
pub(super) struct Connections {
    limits: ClientLimits,
    state: Mutex<ConnectionState>,
    left: Notify,
}

#[derive(Debug, Default)]
struct ConnectionState {
    n_open: usize,
    /// Open ones by client.
    of: BTreeMap<IpAddr, usize>,
    /// Those that wait for a request, the longest first.
    waiting: BTreeMap<u64, (IpAddr, Arc<Notify>)>,
    turns: u64,
}

/// A place among the connections; freed when dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    connections: Arc<Connections>,
    client: IpAddr,
    /// Told when another client needs the place.
    leave: Arc<Notify>,
    turn: Mutex<Option<u64>>,
}

impl ConnectionState {
    /// Asks one that waits to leave: the longest of all, or of one client. `None` when all are being answered.
    fn make_room(&mut self, client: Option<IpAddr>) -> Option<()> {
        let is_meant = |of: &IpAddr| client.is_none_or(|client| client == *of);
        let turn = self.waiting.iter().find(|(_, (of, _))| is_meant(of)).map(|(turn, _)| *turn)?;
        let (_, leave) = self.waiting.remove(&turn)?;
        leave.notify_one();
        Some(())
    }
}

impl Connections {
    pub(super) fn new(limits: ClientLimits) -> Self {
        Self { limits, state: Mutex::default(), left: Notify::new() }
    }

    /// Finds a place for a client; `None` when all who have one are being answered. A proxy asks for many clients, and
    /// may have every place.
    pub(super) async fn place(self: &Arc<Self>, address: IpAddr, is_proxy: bool) -> Option<Arc<ConnectionPermit>> {
        let client = client_of(address);
        loop {
            let left = self.left.notified();
            {
                let mut state = self.lock();
                let its_own = state.of.get(&client).copied().unwrap_or_default();
                if !is_proxy && its_own >= self.limits.connections_per_client {
                    state.make_room(Some(client))?;
                } else if state.n_open >= self.limits.connections {
                    state.make_room(None)?;
                } else {
                    state.n_open += 1;
                    *state.of.entry(client).or_default() += 1;
                    break;
                }
            }
            left.await;
        }
        let (connections, leave) = (Arc::clone(self), Arc::new(Notify::new()));
        let place = Arc::new(ConnectionPermit { connections, client, leave, turn: Mutex::default() });
        place.wait();
        Some(place)
    }

    /// A panic elsewhere leaves the table whole: it is changed by single calls only.
    fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionPermit {
    /// Answers a client until it leaves, is asked to, or `stop` is set and its request is answered.
    pub(super) async fn serve(
        self: Arc<Self>,
        (stream, address): (TcpStream, IpAddr),
        (shared, router): (Arc<Shared>, Router),
        stop: watch::Receiver<bool>,
    ) {
        let patience = self.connections.limits.patience;
        let Some(tls) = shared.tls() else {
            let peer = Peer { address, is_encrypted: false, certificate: Arc::default() };
            return self.answer_all(Patient::new(stream, patience), peer, router, stop).await;
        };
        let agreed = tokio::select! {
            agreed = tokio::time::timeout(patience, handshake(tls, stream)) => agreed.ok().flatten(),
            () = self.leave.notified() => None,
        };
        if let Some(stream) = agreed {
            let certificate = names_of_client(stream.ssl()).into();
            let peer = Peer { address, is_encrypted: true, certificate };
            self.answer_all(Patient::new(stream, patience), peer, router, stop).await;
        }
    }

    async fn answer_all<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self: Arc<Self>,
        stream: S,
        peer: Peer,
        router: Router,
        mut stop: watch::Receiver<bool>,
    ) {
        let (answering, inner) = (Arc::clone(&self), TowerToHyperService::new(router));
        let service = service_fn(move |mut request: Request<Incoming>| {
            let place = Arc::clone(&answering);
            place.answer();
            request.extensions_mut().insert(peer.clone());
            let answer = hyper::service::Service::call(&inner, request);
            answer.map(move |answer: Result<Response<Body>, Infallible>| {
                place.wait();
                answer
            })
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.connections.limits.patience);
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = self.leave.notified() => return,
            _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
        }
        // How it ended is the client's matter.
        let _ = connection.await;
    }

    fn turn(&self) -> MutexGuard<'_, Option<u64>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last to wait for a request.
    fn wait(&self) {
        let mut state = self.connections.lock();
        state.turns += 1;
        let turn = state.turns;
        state.waiting.insert(turn, (self.client, Arc::clone(&self.leave)));
        *self.turn() = Some(turn);
    }

    /// A request is here.
    fn answer(&self) {
        let turn = self.turn().take();
        turn.and_then(|turn| self.connections.lock().waiting.remove(&turn));
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.answer();
        let mut state = self.connections.lock();
        state.n_open -= 1;
        if let Some(its_own) = state.of.get_mut(&self.client) {
            *its_own -= 1;
            if *its_own == 0 {
                state.of.remove(&self.client);
            }
        }
        drop(state);
        self.connections.left.notify_one();
    }
}

/// Agrees on TLS with a client; tells one that does not begin with it.
async fn handshake(tls: &Tls, mut stream: TcpStream) -> Option<tokio_openssl::SslStream<TcpStream>> {
    let mut first = [0];
    stream.peek(&mut first).await.ok().filter(|n| *n > 0)?;
    if first[0] != HANDSHAKE {
        // Whether it hears that is its matter.
        let _ = stream.write_all(WANTS_TLS).await;
        let _ = stream.shutdown().await;
        return None;
    }
    let agreed = tls.accept(stream).await;
    agreed.inspect_err(|error| tracing::debug!(%error, "no TLS connection with a client")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server with so many places, and so many of them for one client.
    fn server(connections: usize, connections_per_client: usize) -> Arc<Connections> {
        Arc::new(Connections::new(ClientLimits { connections, connections_per_client, ..ClientLimits::default() }))
    }

    fn client(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    /// A place that is there at once.
    fn at_once(server: &Arc<Connections>, address: IpAddr) -> Arc<ConnectionPermit> {
        server.place(address, false).now_or_never().expect("no waiting").expect("a place")
    }

    /// Whether a connection was asked to leave since this was looked at last.
    fn is_asked(place: &ConnectionPermit) -> bool {
        place.leave.notified().now_or_never().is_some()
    }

    #[test]
    fn where_every_place_is_taken_the_one_that_waits_longest_makes_room() {
        let server = server(2, 2);
        let (first, second) = (at_once(&server, client(1)), at_once(&server, client(2)));
        let mut third = Box::pin(server.place(client(3), false));
        assert!(third.as_mut().now_or_never().is_none(), "it is full");
        assert_eq!((is_asked(&first), is_asked(&second)), (true, false));
        drop(first);
        assert!(third.now_or_never().flatten().is_some());
        assert_eq!(server.lock().n_open, 1, "a place is freed when it is dropped");
        assert!(!is_asked(&second));
    }

    #[test]
    fn whoever_is_answered_keeps_its_place() {
        let server = server(2, 2);
        let (first, second) = (at_once(&server, client(1)), at_once(&server, client(2)));
        first.answer();
        let mut third = Box::pin(server.place(client(3), false));
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!((is_asked(&first), is_asked(&second)), (false, true));
        drop(third);
        second.answer();
        assert!(server.place(client(3), false).now_or_never().expect("an answer").is_none(), "nobody can leave");
        first.wait();
        second.wait();
        let mut fourth = Box::pin(server.place(client(4), false));
        assert!(fourth.as_mut().now_or_never().is_none());
        assert_eq!((is_asked(&first), is_asked(&second)), (true, false), "the first has waited longer since");
    }

    #[test]
    fn one_client_has_a_part_of_the_places_and_makes_room_for_itself() {
        let server = server(8, 2);
        let (other, first, second) =
            (at_once(&server, client(9)), at_once(&server, client(1)), at_once(&server, client(1)));
        let mut third = Box::pin(server.place(client(1), false));
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!([&other, &first, &second].map(|place| is_asked(place)), [false, true, false]);
        first.answer();
        second.answer();
        drop(third);
        assert!(server.place(client(1), false).now_or_never().expect("an answer").is_none());
        let proxy = server.place(client(1), true).now_or_never().expect("no waiting");
        assert!(proxy.is_some(), "a proxy asks for many");
        drop(proxy);
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().expect("an address");
        assert!(server.place(mapped, false).now_or_never().expect("an answer").is_none(), "the same client");
    }

    #[test]
    fn nothing_is_kept_of_clients_that_have_left() {
        let server = server(4, 4);
        let places = [1, 1, 2].map(|last| at_once(&server, client(last)));
        assert_eq!(server.lock().of.get(&client(1)), Some(&2));
        drop(places);
        let state = server.lock();
        assert_eq!((state.n_open, state.of.len(), state.waiting.len()), (0, 0, 0));
    }

    #[test]
    fn what_is_said_without_tls_is_a_whole_answer() {
        let text = std::str::from_utf8(WANTS_TLS).expect("a text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        assert_eq!(length.parse(), Ok(body.len()));
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok_and(|body| body["hint"].is_string()));
    }
}
