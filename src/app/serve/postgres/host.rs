//! The listener: binds at once, so that a bad address is the caller's error, and lets in as many clients as there are
//! seats.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pgwire::api::{ConnectionManager, RandomPidSecretKeyGenerator};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use super::connection;
use crate::error::{Error, Result};
use crate::serve::Shared;
use crate::serve::server::bind;
use crate::serve::throttle::client_of;
use crate::telemetry::Refusal;

/// The most clients at a time.
const CLIENTS_MAX: usize = 64;

/// The most of them from one address.
const CLIENTS_MAX_OF_ONE: usize = 32;

/// How long to wait when the system gives no more connections: it does not tell when it would again.
const BREATH: Duration = Duration::from_secs(1);

/// What clients have in common.
pub(super) struct House {
    pub(super) shared: Arc<Shared>,
    /// Who can be told to stop a query.
    pub(super) connections: Arc<ConnectionManager>,
    /// Gives each connection its number and the secret with which its queries are stopped.
    pub(super) numbers: RandomPidSecretKeyGenerator,
    /// Connections by client.
    of: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One of the places that a client may have; free when dropped.
struct Chair {
    house: Arc<House>,
    client: IpAddr,
}

impl House {
    /// A place for one more connection of a client.
    fn chair(self: &Arc<Self>, address: IpAddr) -> Option<Chair> {
        let client = client_of(address);
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let its_own = of.entry(client).or_default();
        (*its_own < CLIENTS_MAX_OF_ONE).then(|| {
            *its_own += 1;
            Chair { house: Arc::clone(self), client }
        })
    }
}

impl Drop for Chair {
    fn drop(&mut self) {
        let mut of = self.house.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(its_own) = of.get_mut(&self.client) {
            *its_own -= 1;
            if *its_own == 0 {
                of.remove(&self.client);
            }
        }
    }
}

/// A running server. Dropping it ends every connection.
#[derive(Debug)]
pub struct Host {
    address: SocketAddr,
    /// `None` only while it ends.
    runtime: Option<Runtime>,
}

impl Host {
    /// Binds `listen` (`host:port`; port 0 takes a free one) and answers on a thread of its own what is asked of the
    /// store that `shared` has.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn start(listen: impl ToSocketAddrs + fmt::Display, shared: Arc<Shared>) -> Result<Self> {
        let listener = bind(&listen)?;
        let internal = |error| Error::internal("cannot start the PostgreSQL server").because(error);
        let address = listener.local_addr().map_err(internal)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("haldane-postgres")
            .enable_all()
            .build()
            .map_err(internal)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener).map_err(internal)?
        };
        let (connections, numbers) = (Arc::new(ConnectionManager::new()), RandomPidSecretKeyGenerator::default());
        runtime.spawn(receive(listener, Arc::new(House { shared, connections, numbers, of: Mutex::default() })));
        tracing::info!(%address, "postgresql server listens");
        Ok(Self { address, runtime: Some(runtime) })
    }

    /// The address it answers on, with the port that was really taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn receive(listener: TcpListener, house: Arc<House>) {
    let seats = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        let (socket, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot take a postgresql connection");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
            tracing::warn!(%from, most = CLIENTS_MAX, "too many postgresql clients: one is turned away");
            house.shared.telemetry().refused(Refusal::Connection);
            continue;
        };
        let Some(chair) = house.chair(from.ip()) else {
            tracing::warn!(%from, most = CLIENTS_MAX_OF_ONE, "too many connections of one postgresql client");
            house.shared.telemetry().refused(Refusal::Connection);
            continue;
        };
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            let (_seat, _chair) = (seat, chair);
            if let Err(error) = connection::serve(socket, from, house).await {
                tracing::debug!(%from, %error, "a postgresql connection broke");
            }
        });
    }
}
