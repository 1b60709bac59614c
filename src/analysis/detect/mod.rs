//! Detection over many streams at once: each model of a folder is judged on its own, and what was found is held against
//! what is known to have changed.
//!
//! A stream is the predictions and outcomes of one model. It is replayed through an engine of its own, so streams may
//! cover the same hours, and any number of them may share a folder.

mod alarm;
mod label;
mod recipe;
mod score;
mod stream;

pub use alarm::{Alarm, WORLD};
pub use label::{Label, Scope};
pub use recipe::{Recipe, StreamColumns};
pub use score::{DetectionScore, DetectionScores};
pub use stream::{LabelledStream, Parts};
