//! Open connections: so many at most, so that clients that hang cannot take what the rest of the process needs.
//!
//! A request must be there within [`HEADER_TIME`]. Where every place is taken, the connection that has been waiting
//! longest for a request makes room; so a client that asks at once is answered, however many others do not. Whoever is
//! being answered keeps its place.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

/// The most connections: far fewer than the 1,024 files that a process may open where nobody has raised that.
pub(super) const CONNECTIONS_MAX: usize = 256;

/// How long a client may take to send the head of a request, idle time between two requests included.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// The connections of one server.
#[derive(Debug, Default)]
pub(super) struct Connections {
    state: Mutex<ConnectionState>,
    left: Notify,
}

#[derive(Debug, Default)]
struct ConnectionState {
    n_open: usize,
    /// Those that wait for a request, the longest first.
    waiting: BTreeMap<u64, Arc<Notify>>,
    turns: u64,
}

/// A place among the connections; freed when dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    /// Told when another client needs the place.
    leave: Arc<Notify>,
    turn: Mutex<Option<u64>>,
}

impl Connections {
    /// Finds a place for a client; `None` when all who have one are being answered.
    pub(super) async fn place(self: &Arc<Self>) -> Option<Arc<Place>> {
        loop {
            let left = self.left.notified();
            {
                let mut state = self.lock();
                if state.n_open < CONNECTIONS_MAX {
                    state.n_open += 1;
                    break;
                }
                let (_, longest) = state.waiting.pop_first()?;
                longest.notify_one();
            }
            left.await;
        }
        let (connections, leave) = (Arc::clone(self), Arc::new(Notify::new()));
        let place = Arc::new(Place { connections, leave, turn: Mutex::default() });
        place.wait();
        Some(place)
    }

    /// A panic elsewhere leaves the table whole: it is changed by single calls only.
    fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Answers a client until it leaves, is asked to, or `stop` is set and its request is answered.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, router: Router, mut stop: watch::Receiver<bool>) {
        let (answering, inner) = (Arc::clone(&self), TowerToHyperService::new(router));
        let service = service_fn(move |request: Request<Incoming>| {
            let place = Arc::clone(&answering);
            place.answer();
            let answer = hyper::service::Service::call(&inner, request);
            answer.map(move |answer: Result<Response<Body>, Infallible>| {
                place.wait();
                answer
            })
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
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
        state.waiting.insert(turn, Arc::clone(&self.leave));
        *self.turn() = Some(turn);
    }

    /// A request is here.
    fn answer(&self) {
        let turn = self.turn().take();
        turn.and_then(|turn| self.connections.lock().waiting.remove(&turn));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.answer();
        self.connections.lock().n_open -= 1;
        self.connections.left.notify_one();
    }
}
