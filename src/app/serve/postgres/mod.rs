//! The tables and functions of `POST /v1/sql` for clients of `PostgreSQL`: psql, Grafana, whatever speaks its wire
//! protocol.
//!
//! Queries go to the same threads, within the same bounds ([`crate::query`]); this side only speaks. Where the pipeline
//! names people, a client logs in as one of them, with the token as its password.

mod client;
mod host;
mod login;

pub use host::Host;
