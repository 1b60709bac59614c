//! Integration tests, in one binary.

mod replay_laws;
mod sample;
mod schema;
mod serve;
mod telemetry;
mod world;
