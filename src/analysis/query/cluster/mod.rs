//! Queries on many machines: haldane's functions and the tables of a store on a Ballista cluster.
//!
//! A scheduler and its executors must know the functions by name and what a table of a store is; [`state`] is a session
//! that does, and [`schedule`] and [`execute`] are a scheduler and an executor made with it. The results are those of
//! one machine to the last bit, for what the functions keep between rows is integers, which add up in any order.
//!
//! A scheduler of your own, or a client:
//!
//! ```
//! use ballista::prelude::SessionContextExt as _;
//! use datafusion::prelude::{SessionConfig, SessionContext};
//! use haldane_analysis::query::cluster;
//!
//! # async fn client() -> datafusion::error::Result<()> {
//! let state = cluster::state(SessionConfig::new());
//! let context = SessionContext::remote_with_state("df://localhost:50050", state).await?;
//! cluster::register(&context); // Ballista's client forgets functions
//! context.sql("SELECT drift_psi(amount, version = 'v2') FROM events").await?;
//! # Ok(())
//! # }
//! ```

mod codec;
mod engine;
mod job;
mod node;
mod objects;

pub(super) use job::ClusterJob;
pub use node::{execute, schedule};

use std::sync::Arc;

use ballista_core::config::BALLISTA_CLIENT_PULL;
use ballista_core::extension::{SessionConfigExt as _, SessionStateExt as _};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::function;
use codec::StoreCodec;

/// A session that knows haldane's functions and tables, for whoever runs a scheduler, an executor or a client.
#[must_use]
pub fn state(config: SessionConfig) -> SessionState {
    let context = SessionContext::new_with_config(knowing(config));
    register(&context);
    context.state()
}

/// Adds haldane's functions to a session.
pub fn register(context: &SessionContext) {
    function::register(&mut context.clone());
}

/// Lets a session write tables of a store into the plans that it sends, and read them out of those that it gets.
fn knowing(config: SessionConfig) -> SessionConfig {
    config.upgrade_for_ballista().with_ballista_logical_extension_codec(Arc::new(StoreCodec::default()))
}

/// A session whose queries are carried out by the scheduler at `host:port`.
pub(super) fn client(
    scheduler: &str,
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
) -> datafusion::error::Result<SessionContext> {
    let state = SessionStateBuilder::new()
        .with_default_features()
        // A client that asks how far its job is knows its number from the start, and can call it off.
        .with_config(knowing(config).set_bool(BALLISTA_CLIENT_PULL, true))
        .with_runtime_env(runtime)
        .build()
        .upgrade_for_ballista(format!("http://{scheduler}"))?;
    let context = SessionContext::new_with_state(state);
    register(&context);
    Ok(context)
}
