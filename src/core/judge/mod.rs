//! Stage 2: one pure state machine from partials to judged windows and decisions.

mod early;
mod effects;
mod history;
#[expect(clippy::module_inception, reason = "the state machine itself, beside its parts")]
mod judge;
mod late;
mod measure;
mod progress;
mod run;
mod schedule;
mod sealed;
mod store;
mod thirds;
mod trust;

pub use crate::metric::row::{ALL_VERSIONS, RowStatus, WindowRow};
pub use early::{LookStep, OpenWindow};
pub use effects::Effects;
pub use judge::Judge;
pub use late::Missed;
pub use sealed::SealedPartial;
