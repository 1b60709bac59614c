//! In and out: pipeline files, event files, Kafka and the store. What may fail because the world does.

pub mod config;
pub mod disk;
pub mod files;
pub mod kafka;
pub mod output;
pub mod registry;
pub mod replay;
pub mod store;
pub mod table;
pub mod targets;

#[cfg(test)]
use haldane_core::name;
use haldane_core::{
    act, baseline, batch, engine, error, event, format, judge, kernel, metric, plan, reason, scan, summary, time,
    trust, verdict,
};
use haldane_formats as decode;
