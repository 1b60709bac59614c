//! Stage 2: one pure state machine from partials to judged windows and decisions.

#[expect(clippy::module_inception, reason = "the state machine itself, beside its parts")]
mod judge;
mod measure;
mod progress;
pub mod row;
mod store;
mod view;

pub use judge::Judge;
pub use row::{Status, WindowRow};
pub use view::ALL_VERSIONS;
