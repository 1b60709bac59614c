//! haldane watches model versions in production.
#![warn(missing_docs)]

pub mod batch;
pub mod decode;
pub mod engine;
pub mod error;
pub mod event;
pub mod infer;
pub mod judge;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod kernel;
pub mod metric;
pub mod plan;
pub mod scan;
pub mod summary;
pub mod time;
pub mod verdict;
