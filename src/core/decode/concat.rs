//! Several batches of one partition into one; texts get one dictionary without repetitions.

use arrow_array::cast::AsArray as _;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, UInt64Array};
use arrow_select::concat::concat;
use arrow_select::take::take;

use crate::batch::{EventBatch, TextArray};

use super::rows::TextColumn;

/// One batch of all rows, in this order; `None` without batches. One batch is not copied.
pub(super) fn all(mut batches: Vec<EventBatch>) -> Option<EventBatch> {
    if batches.len() < 2 {
        return batches.pop();
    }
    let pieces = Pieces(&batches);
    let first = batches.first()?;
    Some(EventBatch {
        kind: first.kind,
        source: first.source,
        lane: first.lane,
        offset: pieces.primitive(|batch| &batch.offset),
        broker_time: pieces.primitive(|batch| &batch.broker_time),
        event_time: pieces.primitive(|batch| &batch.event_time),
        id: pieces.primitive(|batch| &batch.id),
        entity: pieces.primitive(|batch| &batch.entity),
        producer: pieces.primitive(|batch| &batch.producer),
        model: pieces.text(|batch| &batch.model),
        version: pieces.text(|batch| &batch.version),
        segments: (0..first.segments.len()).map(|i| pieces.text(|batch| &batch.segments[i])).collect(),
        numeric: (0..first.numeric.len()).map(|i| pieces.primitive(|batch| &batch.numeric[i])).collect(),
        categorical: (0..first.categorical.len()).map(|i| pieces.text(|batch| &batch.categorical[i])).collect(),
        predicted: pieces.text(|batch| &batch.predicted),
        status: pieces.primitive(|batch| &batch.status),
        failed: pieces.any(|batch| &batch.failed).as_boolean().clone(),
        label: pieces.primitive(|batch| &batch.label),
        label_class: pieces.text(|batch| &batch.label_class),
        exposure: pieces.primitive(|batch| &batch.exposure),
        // Said once all rows are together.
        further: None,
        refused: Vec::new(),
    })
}

/// The same rows in the order of their offsets; those of one record stay as they are.
pub(super) fn in_order(batch: EventBatch) -> EventBatch {
    let offsets = batch.offset.values();
    if offsets.is_sorted() {
        return batch;
    }
    let mut rows: Vec<u64> = (0..batch.len() as u64).collect();
    rows.sort_by_key(|&row| batch.offset.value(usize::try_from(row).expect("a row of the batch")));
    let order = RowOrder(rows.into());
    EventBatch {
        kind: batch.kind,
        source: batch.source,
        lane: batch.lane,
        offset: order.primitive(&batch.offset),
        broker_time: order.primitive(&batch.broker_time),
        event_time: order.primitive(&batch.event_time),
        id: order.primitive(&batch.id),
        entity: order.primitive(&batch.entity),
        producer: order.primitive(&batch.producer),
        model: order.text(&batch.model),
        version: order.text(&batch.version),
        segments: batch.segments.iter().map(|segment| order.text(segment)).collect(),
        numeric: batch.numeric.iter().map(|column| order.primitive(column)).collect(),
        categorical: batch.categorical.iter().map(|column| order.text(column)).collect(),
        predicted: order.text(&batch.predicted),
        status: order.primitive(&batch.status),
        failed: order.any(&batch.failed).as_boolean().clone(),
        label: order.primitive(&batch.label),
        label_class: order.text(&batch.label_class),
        exposure: order.primitive(&batch.exposure),
        further: None,
        refused: Vec::new(),
    }
}

/// Where each row was before.
struct RowOrder(UInt64Array);

impl RowOrder {
    fn any(&self, column: &dyn Array) -> ArrayRef {
        take(column, &self.0, None).expect("rows of the column")
    }

    fn primitive<T: ArrowPrimitiveType>(&self, column: &PrimitiveArray<T>) -> PrimitiveArray<T> {
        self.any(column).as_primitive().clone()
    }

    fn text(&self, column: &TextArray) -> TextArray {
        self.any(column).as_dictionary().clone()
    }
}

struct Pieces<'a>(&'a [EventBatch]);

impl Pieces<'_> {
    fn any(&self, column: impl Fn(&EventBatch) -> &dyn Array) -> ArrayRef {
        let arrays: Vec<&dyn Array> = self.0.iter().map(column).collect();
        concat(&arrays).expect("columns of one place have one type")
    }

    fn primitive<T: ArrowPrimitiveType>(
        &self,
        column: impl Fn(&EventBatch) -> &PrimitiveArray<T>,
    ) -> PrimitiveArray<T> {
        self.any(|batch| column(batch)).as_primitive().clone()
    }

    /// Every text of a piece is looked up once; its rows have codes.
    fn text(&self, column: impl Fn(&EventBatch) -> &TextArray) -> TextArray {
        let mut joined = TextColumn::default();
        let mut n = 0;
        for piece in self.0.iter().map(column) {
            let names = piece.values().as_string::<i32>();
            let mut codes = vec![None; names.len()];
            for row in 0..piece.len() {
                let Some(name) = piece.key(row).filter(|&name| names.is_valid(name)) else { continue };
                let code = *codes[name].get_or_insert_with(|| joined.code(names.value(name).as_bytes()));
                joined.put_code(n + row, code);
            }
            n += piece.len();
        }
        joined.finish(n)
    }
}
