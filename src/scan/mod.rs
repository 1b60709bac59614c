//! Stage 1: one pure state machine per source partition, from event batches to partials.

pub mod frame;

pub use frame::{Body, Checkpoint, GroupKey, Inputs, Partial, StreamState, Tick};
