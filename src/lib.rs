//! haldane watches model versions in production.
#![warn(missing_docs)]

pub mod baseline;
pub mod batch;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod config;
pub mod decode;
#[cfg(all(feature = "kafka", feature = "serve"))]
pub mod demo;
pub mod engine;
pub mod error;
pub mod event;
pub mod infer;
pub mod judge;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod kernel;
pub mod metric;
#[cfg(feature = "cli")]
pub mod output;
pub mod plan;
#[cfg(feature = "cli")]
pub mod replay;
pub mod scan;
#[cfg(feature = "serve")]
pub mod serve;
pub mod summary;
#[cfg(feature = "serve")]
pub mod telemetry;
pub mod time;
pub mod verdict;
