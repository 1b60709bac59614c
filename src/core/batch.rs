//! Events as columns: what decoders produce and what the scan reads.
//!
//! An [`EventBatch`] holds rows of one kind from one input partition, in log order, and where refused events stood.
//! Only the columns that some monitor of the plan reads are there. Texts are dictionaries private to the batch, so that
//! nothing is hashed per row after decoding.

use arrow_array::types::Int32Type;
use arrow_array::{BooleanArray, DictionaryArray, Float64Array, Int16Array, Int64Array, UInt64Array};

use crate::event::{EventKind, Micros};

/// A column of short texts: codes into a dictionary of this batch; null = missing.
pub type TextArray = DictionaryArray<Int32Type>;

/// Rows of one kind from one input partition, in log order. Every array has the same length, but for `refused`.
#[derive(Debug, Clone)]
pub struct EventBatch {
    /// What the rows tell.
    pub kind: EventKind,
    /// Index of the source in the plan (`Plan::sources`).
    pub source: u16,
    /// The source partition.
    pub lane: u32,
    /// Record offset of each row; rows of one record share it. Never decreasing, never null.
    pub offset: Int64Array,
    /// Broker (arrival) time of each row in microseconds; never null.
    pub broker_time: Int64Array,
    /// Event time of each row in microseconds; never null.
    pub event_time: Int64Array,
    /// Stable hash of the prediction id; null only for feature and exposure events without one.
    pub id: UInt64Array,
    /// Hash of whoever asked (a user, a card, a device), by [`stable_hash`](crate::event::stable_hash); null where
    /// unknown. Events of one entity are not independent, and counts of them are worth less.
    pub entity: UInt64Array,
    /// Hash of whoever made the record, likewise; null where unknown.
    pub producer: UInt64Array,
    /// Model name; never null except in outcomes.
    pub model: TextArray,
    /// Version name; never null except in outcomes.
    pub version: TextArray,
    /// One column per segment field of the plan, in its order; empty for outcomes and exposures.
    pub segments: Vec<TextArray>,
    /// One column per numeric column of the plan (features, score, latency), in its order; empty for outcomes and
    /// exposures. NaN never occurs in JSON; from Arrow or Parquet it is kept and counted apart from missing.
    pub numeric: Vec<Float64Array>,
    /// One column per categorical column of the plan, in its order; empty for outcomes and exposures.
    pub categorical: Vec<TextArray>,
    /// The class the model predicted; null where unknown. For a binary task "1" and "0".
    pub predicted: TextArray,
    /// Status code of the answer (200 is success); null = success unless `failed` says otherwise.
    pub status: Int16Array,
    /// Whether the answer was an error, for sources that tell it apart from a status code.
    pub failed: BooleanArray,
    /// The truth, for outcomes and self-labelled predictions: 0 or 1 for a binary task, a quantity for regression, null
    /// where it is not known. For a multiclass task see `label_class`.
    pub label: Float64Array,
    /// The true class of a multiclass task.
    pub label_class: TextArray,
    /// Declared share of traffic (0 to 1), for exposure events.
    pub exposure: Float64Array,
    /// Whether a row is a further one of the request that the rows before it are of, where several rows of a record are
    /// one request; `None` where every row is a request of its own.
    pub further: Option<BooleanArray>,
    /// Offset of each event that was refused among the rows, never decreasing: one that has no row has a place.
    pub refused: Vec<i64>,
}

impl EventBatch {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offset.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `rows` rows from `from` on, without copying them, and what was refused among them. What was refused after the
    /// last row goes with it.
    #[must_use]
    pub fn slice(&self, from: usize, rows: usize) -> Self {
        let to = from + rows;
        let before = |offset: i64| self.offset.values().partition_point(|&row| row < offset);
        let is_among = |at: usize| from <= at && (at < to || to == self.len());
        let refused = self.refused.iter().copied().filter(|&offset| is_among(before(offset))).collect();
        Self { refused, ..self.rows(from, rows) }
    }

    /// Rows alone.
    fn rows(&self, from: usize, rows: usize) -> Self {
        let texts = |columns: &[TextArray]| columns.iter().map(|column| column.slice(from, rows)).collect();
        Self {
            kind: self.kind,
            source: self.source,
            lane: self.lane,
            offset: self.offset.slice(from, rows),
            broker_time: self.broker_time.slice(from, rows),
            event_time: self.event_time.slice(from, rows),
            id: self.id.slice(from, rows),
            entity: self.entity.slice(from, rows),
            producer: self.producer.slice(from, rows),
            model: self.model.slice(from, rows),
            version: self.version.slice(from, rows),
            segments: texts(&self.segments),
            numeric: self.numeric.iter().map(|column| column.slice(from, rows)).collect(),
            categorical: texts(&self.categorical),
            predicted: self.predicted.slice(from, rows),
            status: self.status.slice(from, rows),
            failed: self.failed.slice(from, rows),
            label: self.label.slice(from, rows),
            label_class: self.label_class.slice(from, rows),
            exposure: self.exposure.slice(from, rows),
            further: self.further.as_ref().map(|further| further.slice(from, rows)),
            refused: Vec::new(),
        }
    }

    /// What records before an offset gave, and what the others did.
    #[must_use]
    pub fn split_at_offset(&self, offset: i64) -> (Self, Self) {
        let at = self.offset.values().partition_point(|&row| row < offset);
        let (before, after) = self.refused.split_at(self.refused.partition_point(|&refused| refused < offset));
        let (before, after) = (before.to_vec(), after.to_vec());
        (Self { refused: before, ..self.rows(0, at) }, Self { refused: after, ..self.rows(at, self.len() - at) })
    }

    /// Whether a row stands for a request: it is the first of those that are of one.
    #[must_use]
    pub fn is_request(&self, row: usize) -> bool {
        self.further.as_ref().is_none_or(|further| !further.value(row))
    }

    /// Whether a row is the first of its record.
    #[must_use]
    pub fn is_first_of_record(&self, row: usize) -> bool {
        let offsets = self.offset.values();
        row.checked_sub(1).is_none_or(|before| offsets[before] != offsets[row])
    }

    /// The first and last offset of its rows, or `None` without any.
    #[must_use]
    pub fn offsets(&self) -> Option<(i64, i64)> {
        let values = self.offset.values();
        Some((*values.first()?, *values.last()?))
    }

    /// The latest event time, or `None` for an empty batch.
    #[must_use]
    pub fn event_time_max(&self) -> Option<Micros> {
        self.event_time.values().iter().copied().max()
    }
}
