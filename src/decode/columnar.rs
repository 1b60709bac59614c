//! Stand-in.
#![expect(missing_docs)]
use crate::decode::Decoded;
use crate::error::Result;
use crate::plan::Plan;
use arrow::array::*;
pub fn from_record_batch(
    _plan: &std::sync::Arc<Plan>,
    _source: u16,
    _lane: u32,
    _batch: &RecordBatch,
    _offsets: Int64Array,
    _arrival: Int64Array,
) -> Result<Decoded> {
    todo!()
}
