//! Stage 1: one pure state machine per source partition, from event batches to partials.

pub(crate) mod answer;
mod assign;
mod classes;
mod complete;
pub mod dedup;
mod fates;
mod fold;
pub mod frame;
pub(crate) mod groups;
pub mod intake;
mod join;
mod labelled;
mod labels;
mod newest;
pub mod open;
mod pairing;
mod pairs_labelled;
mod portions;
#[expect(clippy::module_inception, reason = "the state machine itself, beside its parts")]
mod scan;
mod stubs;
pub mod traffic;

pub use complete::Complete;
pub use fates::{LabelCounts, LaneCounts};
pub use frame::{
    Body, Checkpoint, CheckpointMeta, GroupKey, Inputs, Lost, Partial, StreamCheckpoint, StreamCounts, StreamState,
    Tick,
};
pub use intake::{Intake, Pace};
pub use portions::portions;
pub use scan::{Open, Scan};
