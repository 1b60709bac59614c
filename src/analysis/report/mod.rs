//! Reports: two files compared, or judged windows and decisions told, as HTML, Markdown, JSON or `JUnit` XML.
//!
//! [`compare`] reads, counts and tests with the same summaries, metrics and tests as live traffic; [`model`] is what a
//! report says; the rest draws it.

mod answers;
mod apart;
mod class_scores;
mod classes;
mod column;
mod compare;
mod count;
mod distribution;
mod events;
mod figures;
mod history;
mod html;
mod junit;
mod known;
mod layout;
mod markdown;
pub mod model;
pub mod moved;
mod note;
mod problems;
mod rows;
mod segments;
#[cfg(test)]
mod tests;
mod verdict;

pub use compare::{CompareRequest, compare};
pub use history::{Log, history};
pub use html::page;
pub use junit::junit;
pub use markdown::markdown;
pub use note::note;
pub use rows::Filter;
pub use verdict::report;

/// A report as JSON.
#[must_use]
pub fn json(report: &model::Report) -> String {
    serde_json::to_string_pretty(report).expect("a report is made of texts, numbers and lists") + "\n"
}

/// The JSON Schema of a report.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(model::Report).to_value()
}
