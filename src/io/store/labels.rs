//! Labelled predictions of a pane as a value that stands in a table: bins of scores, with what they promised and what
//! came true. They add up over panes, versions and segments, and calibration is read off the sums.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Builder, ListBuilder, StructArray};
use arrow::datatypes::{DataType, Field, Fields};

use super::histogram::lists;
use crate::summary::Quality;
use crate::summary::quality::ReliabilityBin;

/// Bins of equal width as a column: per bin the labelled predictions, the positive ones, and the sum of scores.
pub(super) fn reliability<'a>(rows: impl Iterator<Item = Option<&'a Quality>>) -> ArrayRef {
    let rows: Vec<Option<&[ReliabilityBin]>> =
        rows.map(|row| row.and_then(|quality| quality.width.first()).map(Vec::as_slice)).collect();
    let bins = || rows.iter().map(|row| row.unwrap_or_default());
    let mut scores = ListBuilder::new(Float64Builder::new());
    bins().for_each(|bins| scores.append_value(bins.iter().map(|bin| Some(bin.score.value()))));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(lists(bins().map(|bins| bins.iter().map(|bin| bin.n).collect()))),
        Arc::new(lists(bins().map(|bins| bins.iter().map(|bin| bin.positive).collect()))),
        Arc::new(scores.finish()),
    ];
    let list = |name: &str, kind: DataType| Field::new_list(name, Field::new("item", kind, true), true);
    let fields = Fields::from(vec![
        list("n", DataType::UInt64),
        list("positive", DataType::UInt64),
        list("score", DataType::Float64),
    ]);
    let valid = rows.iter().map(Option::is_some).collect::<Vec<bool>>();
    Arc::new(StructArray::new(fields, columns, Some(valid.into())))
}
