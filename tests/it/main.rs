//! Everything that is tested from outside, in one binary.

mod sample;
mod schema;
mod serve;
mod telemetry;
