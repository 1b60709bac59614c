//! Integration tests, in one binary.

#[cfg(feature = "kafka")]
mod broker;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod live;
mod replay_laws;
mod tidy;
mod world;
