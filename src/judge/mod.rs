//! Stage 2: one pure state machine from partials to judged windows and decisions.

pub mod row;

pub use row::{Status, WindowRow};
