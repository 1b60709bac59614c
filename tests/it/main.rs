//! Integration tests, in one binary.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

#[cfg(feature = "kafka")]
mod broker;
#[cfg(all(feature = "kafka", feature = "serve"))]
mod demo;
#[cfg(feature = "kafka")]
mod kafka;
mod replay_laws;
mod sample;
mod schema;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "serve")]
mod telemetry;
mod world;
