//! Several batches of one partition into one; texts get one dictionary without repetitions.

use arrow_array::cast::AsArray as _;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_select::concat::concat;

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

    fn text(&self, column: impl Fn(&EventBatch) -> &TextArray) -> TextArray {
        let mut joined = TextColumn::default();
        let mut n = 0;
        for piece in self.0.iter().map(column) {
            let texts = piece.downcast_dict::<arrow_array::StringArray>().expect("texts are UTF-8");
            for (row, text) in (n..).zip(texts) {
                if let Some(text) = text {
                    joined.put(row, text.as_bytes());
                }
            }
            n += piece.len();
        }
        joined.finish(n)
    }
}
