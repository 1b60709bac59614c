//! haldane decides, version against version, whether a model canary in production is worse.
//!
//! Events come in as columns ([`batch`]), are counted per version, segment and pane by a scan of each source partition
//! ([`scan`]), merged into windows and compared by a judge ([`judge`], [`metric`]), and turned into decisions ([`verdict`]).
//! All of that is pure: it knows no clock, no file and no network, and [`engine::Engine`] runs it in one process. The shells
//! (`kafka`, `replay`, `serve`, `cli`, …) stand behind features. ARCHITECTURE.md tells the life of one event.
#![warn(missing_docs)]

#[cfg(feature = "cli")]
pub mod audit;
pub mod baseline;
pub mod batch;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod config;
pub mod decode;
#[cfg(all(feature = "kafka", feature = "serve"))]
pub mod demo;
#[cfg(feature = "cli")]
pub mod detect;
pub mod engine;
pub mod error;
pub mod event;
pub mod infer;
#[cfg(feature = "cli")]
pub mod init;
pub mod judge;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod kernel;
pub mod metric;
#[cfg(feature = "cli")]
pub mod output;
pub mod plan;
#[cfg(feature = "query")]
pub mod query;
#[cfg(feature = "cli")]
pub mod replay;
#[cfg(feature = "cli")]
pub mod report;
pub mod scan;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "cli")]
pub mod sim;
#[cfg(feature = "query")]
pub mod store;
pub mod summary;
#[cfg(feature = "cli")]
mod table;
#[cfg(feature = "serve")]
pub mod telemetry;
pub mod time;
pub mod verdict;
