//! Integration tests, in one binary.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

#[cfg(feature = "kafka")]
mod broker;
#[cfg(feature = "kafka")]
mod kafka;
mod replay_laws;
mod sample;
mod schema;
mod serve;
mod telemetry;
mod world;
