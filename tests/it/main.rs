//! Integration tests, in one binary.

#[cfg(feature = "kafka")]
mod broker;
#[cfg(feature = "kafka")]
mod kafka;
mod replay_laws;
mod world;
