//! One candidate's way from its first request to all of the traffic, or back.
//!
//! Three things are kept apart: the verdict (`State`), whether the data can be trusted (`Validity`), and who may act
//! (`plan::Authority`). Restricting is immediate. Lifting is slow: clear evidence, a waiting time, a budget, and
//! sometimes a person. A window without data never makes a verdict worse; after a while exposure is held as it is.
//!
//! `step` takes one judged window in; `people` carries out commands. Both turn a state into a later state and drafts of
//! decisions; `publish` gives drafts their place in the sequence and their identity.

mod advance;
mod draft;
mod effect;
mod ended;
mod episodes;
mod people;
mod publish;
mod record;
mod relax;
mod restrict;
mod state;
mod step;
pub(crate) mod succession;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use draft::Draft;
pub use ended::with_ended;
pub(crate) use people::obey;
pub(crate) use publish::Occasion;
pub use record::{Counts, Effect, Ended, Episode, Mute, Pending, People, RolloutState, RuleHistory, Standing};
pub use state::State;
pub(crate) use step::{Window, step};
