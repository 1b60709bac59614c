//! Integration tests, in one binary.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod replay_laws;
mod sample;
mod schema;
mod serve;
mod telemetry;
mod world;
