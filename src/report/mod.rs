//! Reports: two files compared, or judged windows and decisions told, as HTML, Markdown, JSON or JUnit XML.
//!
//! [`compare`] reads, counts and tests with the same summaries, metrics and tests as live traffic; [`model`] is what a report
//! says; the rest draws it.

mod answers;
mod column;
mod compare;
mod count;
mod distribution;
mod layout;
pub mod model;
mod problems;
mod rows;
mod segments;

pub use compare::{Request, compare};
pub use rows::Filter;
