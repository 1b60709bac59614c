//! SQL over the tables of a store, and over files that the user names.
//!
//! Queries only read, and each is held within bounds of time, memory and rows ([`QueryLimits`]). They run on threads of
//! their own ([`Desk`]), so that none of them holds up the engine. The numbers come from the engine's own metrics
//! ([`function`]).

mod answer;
#[cfg(feature = "ballista")]
pub mod cluster;
mod desk;
mod file;
pub mod function;
mod guard;
mod kind;
#[cfg(feature = "pg")]
mod postgres;
mod session;
mod stop;
mod stored;

pub use answer::{OutputFormat, ResultSet};
pub use desk::Desk;
#[cfg(feature = "pg")]
pub use postgres::{Prepared, SERVER_VERSION, Statement, Visit};
pub use session::{QueryLimits, Session};
