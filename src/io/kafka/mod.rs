//! Apache Kafka: the log that is read, the topics that are written, and the offsets that remember how far.
//!
//! A thin shell. Every shard owns a consumer on a thread of its own ([`reader`]); what it decodes goes to the engine
//! ([`standalone`]) or to a scan and, through the partials topic, to the judge ([`scanning`], [`judging`]); decisions,
//! states and dead letters leave through one idempotent [`producer`]; progress is an offset commit ([`checkpoint`]).
//! What people and actuators ask for comes over a topic of its own ([`commands`]; [`ask`] is its other end).

pub mod ask;
pub mod checkpoint;
pub mod clock;
pub mod cloud_event;
pub mod commands;
pub mod connection;
pub mod consumer;
pub mod dead_letter;
pub mod intent;
pub mod judging;
pub mod keeping;
pub mod leadership;
pub mod liveness;
mod login;
mod looks;
pub mod machine;
pub mod partials;
mod patience;
pub mod ports;
pub mod producer;
pub mod publish;
pub mod reader;
pub mod scanning;
mod silence;
pub mod standalone;
pub mod states;
pub mod summary;
pub mod topics;
pub mod versions;
pub mod watch;
pub mod whole_topic;

pub use connection::Connection;

pub use watch::RunObserver;

#[cfg(test)]
mod tests;
