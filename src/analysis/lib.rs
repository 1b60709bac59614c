//! What is asked of files and of the past: reports, drafts of pipelines, audits, SQL.

pub mod audit;
pub mod detect;
pub mod init;
pub mod markup;
pub mod preview;
#[cfg(feature = "query")]
pub mod query;
pub mod report;

use haldane_core::{
    baseline, batch, engine, error, event, infer, judge, kernel, metric, name, plan, reason, scan, sim, summary, trust,
    verdict,
};
use haldane_formats as decode;
use haldane_io::{config, files, kafka, output, replay, store, table};
