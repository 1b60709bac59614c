//! Decisions after the fact: where they are kept, why each was made, and whether the log gives them again.

pub mod log;
pub mod recompute;
mod story;
pub mod topics;

pub use story::{StoryContext, tell};
