//! The tables and functions of `POST /v1/sql` for clients of `PostgreSQL`: psql, Grafana, whatever speaks its wire
//! protocol.
//!
//! Queries go to the same threads, within the same bounds ([`crate::query`]); this side only speaks. Where the pipeline
//! names people, a client logs in as one of them, with the token as its password. Where it names a certificate, nothing
//! is said before the connection is encrypted.

mod client;
mod connection;
mod frames;
mod host;
mod login;
mod scram;

pub use host::Host;
pub(super) use scram::{Salt, Salts, Verifier};
