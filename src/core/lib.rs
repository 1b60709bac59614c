//! The engine: from event columns to decisions. Pure and deterministic: no clock, no file, no network, no thread.

pub mod act;
pub mod baseline;
pub mod batch;
pub mod decode;
pub mod engine;
pub mod error;
pub mod event;
pub mod format;
pub mod judge;
pub mod kernel;
pub mod metric;
pub mod name;
pub mod plan;
pub mod reason;
pub mod scan;
pub mod sim;
pub mod summary;
pub mod time;
pub mod trust;
pub mod verdict;

pub use haldane_infer as infer;
