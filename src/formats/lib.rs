//! Records to columns, in every format: those of [`haldane_core::decode`], which also holds what all formats share, and
//! those that need a library of their own. As pure as the engine.

use std::sync::Arc;

pub use haldane_core::decode::*;
use haldane_core::plan::{Format, Plan};

/// A decoder for one partition of one source of the plan, by the source's format.
#[must_use]
pub fn decoder(plan: &Arc<Plan>, source: u16, lane: u32) -> Box<dyn Decoder> {
    match plan.sources[usize::from(source)].format {
        Format::Json => Box::new(json::JsonDecoder::new(plan, source, lane)),
        Format::ArrowIpc => Box::new(arrow_ipc::ArrowIpcDecoder::new(plan, source, lane)),
        Format::OpenInference => Box::new(open_inference::OpenInferenceDecoder::new(plan, source, lane)),
    }
}
