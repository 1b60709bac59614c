//! Records to columns: one decoder per format, one row or one reject per event, bad neighbours do no harm.

pub mod arrow_ipc;
pub mod arrow_message;
mod binding;
mod cast;
pub mod cell;
pub mod cloudevents;
mod column;
pub mod columnar;
mod concat;
mod cursor;
mod dictionary;
pub mod element;
mod explode;
mod flaw;
pub mod json;
mod number;
pub mod object;
pub mod open_inference;
pub mod origin;
pub mod pattern;
mod places;
mod plain;
mod rows;
mod scanner;
pub mod schema;
mod slots;
pub mod tables;
mod text;
pub mod time;
mod trie;
mod validate;

pub use cast::lists;

use arrow_array::BooleanArray;

use self::binding::SourceLayout;
use self::rows::RowBuilder;
use self::schema::{SchemaId, SchemaTexts};
use crate::batch::EventBatch;
use crate::event::{Micros, Poison, Reject};
use crate::plan::{Plan, Selection};

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
    /// The topic it is on.
    pub topic: &'a str,
}

impl<'a> Record<'a> {
    /// What it says; nothing where a source passes it over.
    ///
    /// # Errors
    /// When a record that is taken says nothing.
    fn said(&self, selection: &Selection) -> Result<Option<&'a [u8]>, (Poison, &'static str)> {
        match self.payload {
            None if selection.without_tombstones => Ok(None),
            None | Some([]) => Err((Poison::Empty, "no payload")),
            payload => Ok(payload),
        }
    }
}

/// What came out of a run of records.
#[derive(Debug)]
pub struct Decoded {
    /// The good rows.
    pub batch: EventBatch,
    /// The refused ones.
    pub rejects: Vec<Reject>,
    /// Records and rows that the source does not take.
    pub passed_over: u64,
}

impl Decoded {
    /// Good rows, and refused ones among them.
    fn new(layout: &SourceLayout, batch: EventBatch, rejects: Vec<Reject>, passed_over: u64) -> Self {
        let refused = rejects.iter().map(|reject| reject.offset).collect();
        let further = layout.is_one_request.then(|| further(batch.offset.values()));
        Self { batch: EventBatch { further, refused, ..batch }, rejects, passed_over }
    }

    /// The rows that were put one by one, and the records and rows that were refused meanwhile.
    fn of_rows(
        plan: &Plan,
        layout: &SourceLayout,
        rows: &mut RowBuilder,
        mut rejects: Vec<Reject>,
        passed_over: u64,
    ) -> Self {
        let columns = rows.finish();
        let row_of = columns.row.clone();
        let batch = columns.into_batch(layout);
        let offsets = batch.offset.clone();
        let (batch, findings) = validate::sift(plan, layout, batch, validate::Findings::new());
        let found = findings
            .into_iter()
            .map(|(row, finding)| finding.into_reject(offsets.value(row), row_of.get(row).copied().unwrap_or(0)));
        rejects.extend(found);
        rejects.sort_by_key(|reject| (reject.offset, reject.row));
        Self::new(layout, batch, rejects, passed_over)
    }
}

/// Which rows are of the same record as the one before.
fn further(offsets: &[i64]) -> BooleanArray {
    let pairs = offsets.windows(2).map(|pair| pair[0] == pair[1]);
    std::iter::once(false).chain(pairs).take(offsets.len()).map(Some).collect()
}

/// Turns records of one input partition into columns. Buffers are reused from run to run.
pub trait Decoder: Send {
    /// The schema that is to be learned before this record is pushed, if any.
    fn needs(&self, _record: &Record<'_>) -> Option<SchemaId> {
        None
    }

    /// Learns a schema, or that there is none of this id: its records are refused.
    fn learn(&mut self, _id: SchemaId, _schema: Option<&SchemaTexts>) {}

    /// Takes one record: adds its rows, or a reject.
    fn push(&mut self, record: &Record<'_>);

    /// Rows, rejects and what was passed over since the last [`Decoder::finish`].
    fn n_pending(&self) -> usize;

    /// Hands over what was taken.
    fn finish(&mut self) -> Decoded;
}
