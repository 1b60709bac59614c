//! Records to columns: one decoder per format, one row or one reject per event, bad neighbours do no harm.

pub mod arrow_ipc;
pub mod arrow_message;
pub mod binding;
mod cast;
pub mod cell;
pub mod cloudevents;
mod column;
pub mod columnar;
mod concat;
mod cursor;
mod dictionary;
mod flaw;
pub mod json;
mod number;
pub mod object;
mod plain;
mod rows;
mod scanner;
mod text;
pub mod time;
mod trie;
mod validate;

pub use cast::lists;

use std::sync::Arc;

use crate::batch::EventBatch;
use crate::event::{Micros, Reject};
use crate::plan::{Format, Plan};

/// One record of an input topic, borrowed from the client.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Offset in its partition.
    pub offset: i64,
    /// Broker (or producer) time of the record in microseconds.
    pub broker_time: Micros,
    /// Key, if any.
    pub key: Option<&'a [u8]>,
    /// Payload; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// What came out of a run of records.
#[derive(Debug)]
pub struct Decoded {
    /// The good rows.
    pub batch: EventBatch,
    /// The refused ones.
    pub rejects: Vec<Reject>,
}

impl Decoded {
    /// Good rows, and refused ones among them.
    fn new(batch: EventBatch, rejects: Vec<Reject>) -> Self {
        let refused = rejects.iter().map(|reject| reject.offset).collect();
        Self { batch: EventBatch { refused, ..batch }, rejects }
    }
}

/// Turns records of one input partition into columns. Buffers are reused from run to run.
pub trait Decoder: Send {
    /// Takes one record: adds its rows, or a reject.
    fn push(&mut self, record: &Record<'_>);

    /// Rows and rejects taken since the last [`Decoder::finish`].
    fn n_pending(&self) -> usize;

    /// Hands over what was taken.
    fn finish(&mut self) -> Decoded;
}

/// A decoder for one partition of one source of the plan, by the source's format.
#[must_use]
pub fn decoder(plan: &Arc<Plan>, source: u16, lane: u32) -> Box<dyn Decoder> {
    match plan.sources[usize::from(source)].format {
        Format::Json => Box::new(json::JsonDecoder::new(plan, source, lane)),
        Format::ArrowIpc => Box::new(arrow_ipc::ArrowIpcDecoder::new(plan, source, lane)),
    }
}
