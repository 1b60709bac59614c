//! Records to columns, in every format: those of [`haldane_core::decode`], which also holds what all formats share, and
//! those that need a library of their own. As pure as the engine.

mod arrays;
pub mod avro;
mod budget;
pub mod frame;
mod known;
pub mod protobuf;
mod waiting;
pub mod whole;

use std::sync::Arc;

pub use haldane_core::decode::*;
use haldane_core::plan::{Format, Plan};

/// A decoder for one partition of one source of the plan, by the source's format.
#[must_use]
pub fn decoder(plan: &Arc<Plan>, source: u16, lane: u32) -> Box<dyn Decoder> {
    let from = &plan.sources[usize::from(source)];
    match from.format {
        Format::Json => {
            let inner = json::JsonDecoder::new(plan, source, lane);
            match from.mapping.frame {
                Some(frame) => Box::new(frame::InFrames { frame, inner }),
                None => Box::new(inner),
            }
        }
        Format::ArrowIpc => Box::new(arrow_ipc::ArrowIpcDecoder::new(plan, source, lane)),
        Format::Avro => Box::new(avro::AvroDecoder::new(plan, source, lane)),
        Format::Protobuf | Format::Otlp => Box::new(protobuf::ProtobufDecoder::new(plan, source, lane)),
        Format::OpenInference => Box::new(open_inference::OpenInferenceDecoder::new(plan, source, lane)),
    }
}
