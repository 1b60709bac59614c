//! A pipeline from a sample of somebody's data: what every column is (`facts`), what it is for (`guess`), and the file
//! that says so, each guess with its reason ([`pipeline`]).
//!
//! Reports on two files guess the same way.

pub(crate) mod facts;
pub(crate) mod guess;
pub mod pipeline;

pub use pipeline::{Draft, draft};
