//! The server's thread: binds at once, so that a bad address is the caller's error, and ends when told to.

use std::fmt;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::connections::Connections;
use super::{Shared, http};
use crate::error::{Error, Result};
use crate::telemetry::Refusal;

/// How long open requests may take after the order to stop.
const GRACE: Duration = Duration::from_secs(3);

/// How often it is looked whether certificates and tokens have changed.
const RENEWAL: Duration = Duration::from_secs(1);

/// How long it is paused when a connection cannot be taken, as where no more files may be opened.
const BREATH: Duration = Duration::from_millis(100);

/// A running HTTP server. Dropping it shuts it down.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds `listen` (`host:port`; port 0 takes a free one) and answers on a thread of its own.
    pub fn start(listen: impl ToSocketAddrs + fmt::Display, shared: Arc<Shared>) -> Result<Self> {
        let pages = http::router(Arc::clone(&shared));
        Self::serve(listen, shared, pages)
    }

    /// The same, with probes and metrics alone: for a process that judges nothing.
    pub fn start_probes(listen: impl ToSocketAddrs + fmt::Display, shared: Arc<Shared>) -> Result<Self> {
        let pages = http::probes(Arc::clone(&shared));
        Self::serve(listen, shared, pages)
    }

    fn serve(listen: impl ToSocketAddrs + fmt::Display, shared: Arc<Shared>, pages: Router) -> Result<Self> {
        let listener = bind(&listen)?;
        let internal = |error| Error::internal("cannot start the HTTP server").because(error);
        let address = listener.local_addr().map_err(internal)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("haldane-http")
            .enable_all()
            .build()
            .map_err(internal)?;
        let (stop, stopped) = oneshot::channel();
        let service = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("haldane-http".to_owned())
            .spawn(move || run(&runtime, listener, (service, pages), stopped))
            .map_err(internal)?;
        tracing::info!(%address, "http server listens");
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// The address it answers on, with the port that was really taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says so on `/readyz`, lets open requests finish for a few seconds, and ends.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.stop();
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself; then there is nobody left to tell.
            let _ = stop.send(());
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the http server's thread panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

pub(super) fn bind(listen: &(impl ToSocketAddrs + fmt::Display)) -> Result<TcpListener> {
    let addresses: Vec<SocketAddr> = listen
        .to_socket_addrs()
        .map_err(|error| {
            Error::user(format!("cannot understand the address `{listen}`"))
                .because(error)
                .hint("write host:port, such as 127.0.0.1:9464; port 0 takes a free one")
        })?
        .collect();
    let refused = |error| {
        Error::external(format!("cannot listen on {listen}"))
            .because(error)
            .hint("another process may hold the port; choose another one, or port 0 for a free one")
    };
    let listener = TcpListener::bind(addresses.as_slice()).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(listener)
}

type Routing = (Arc<Shared>, Router);

fn run(runtime: &Runtime, listener: TcpListener, answers: Routing, stopped: oneshot::Receiver<()>) {
    if let Err(error) = runtime.block_on(serve(listener, answers, stopped)) {
        tracing::error!(%error, "http server failed");
    }
}

async fn serve(listener: TcpListener, answers: Routing, stopped: oneshot::Receiver<()>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let connections = Arc::new(Connections::new(*answers.0.limits()));
    let (stop, stopping) = watch::channel(false);
    let mut answering = JoinSet::new();
    tokio::select! {
        () = receive(&listener, &connections, &mut answering, (&answers, &stopping)) => {}
        () = renew(&answers.0) => {}
        // A dropped sender means the same as an order.
        _ = stopped => {}
    }
    drop(listener);
    stop.send_replace(true);
    // Whoever is not done after that is cut off.
    let all = async { while answering.join_next().await.is_some() {} };
    drop(tokio::time::timeout(GRACE, all).await);
    Ok(())
}

/// Looks for new certificates and tokens for ever.
async fn renew(shared: &Shared) {
    let mut ticks = tokio::time::interval(RENEWAL);
    loop {
        ticks.tick().await;
        shared.renew();
    }
}

/// Takes connections for ever.
async fn receive(
    listener: &tokio::net::TcpListener,
    connections: &Arc<Connections>,
    answering: &mut JoinSet<()>,
    (answers, stopping): (&Routing, &watch::Receiver<bool>),
) {
    loop {
        while answering.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, from)) => (stream, from.ip()),
            Err(error) => {
                tracing::warn!(%error, "cannot take an http connection");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let is_proxy = answers.0.access_now().is_proxy_address(stream.1);
        let Some(place) = connections.place(stream.1, is_proxy).await else {
            tracing::warn!(from = %stream.1, "too many http connections: one is turned away");
            answers.0.telemetry().refused(Refusal::Connection);
            continue;
        };
        answering.spawn(place.serve(stream, answers.clone(), stopping.clone()));
    }
}
