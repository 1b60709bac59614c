//! A pipeline from a sample of somebody's data, files or the first records of topics ([`sample`], [`topic`]): what
//! every column is (`facts`), what it is for (`guess`), and the file that says so, each guess with its reason
//! ([`pipeline`]).
//!
//! Reports on two files guess the same way.

pub mod archive;
pub(crate) mod classes;
mod clues;
pub(crate) mod documents;
pub(crate) mod facts;
mod family;
mod features;
pub(crate) mod guess;
pub mod pipeline;
mod reach;
mod rows;
pub mod sample;
mod scalar;
mod shape;
mod source;
mod tensors;
pub mod topic;
mod walk;

pub use pipeline::{PipelineDraft, draft, draft_topics};
pub use sample::TopicSample;
