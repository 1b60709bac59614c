//! What people and machines meet: the command line, the service, HTTP, the dashboard.

pub mod cli;
pub mod demo;
pub mod serve;
pub mod telemetry;

#[cfg(feature = "query")]
use haldane_analysis::query;
use haldane_analysis::{audit, detect, init, markup, preview, report};
use haldane_core::{
    act, baseline, batch, engine, error, event, infer, judge, metric, name, plan, scan, sim, summary, trust, verdict,
};
use haldane_formats as decode;
use haldane_io::{config, disk, files, kafka, output, registry, replay, store, targets};
