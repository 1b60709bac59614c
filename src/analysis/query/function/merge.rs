//! `hist_merge(histogram)`: histograms of panes, or lists of counts, added up.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

use super::{Aggregate, unfit, wrong};
use crate::store::{StoredHistogram, counted, histogram_type, histograms, latencies, latency_in, latency_type, lists};

/// The function.
pub(super) fn function() -> Aggregate {
    Aggregate::from(Merge { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Merge {
    signature: Signature,
}

impl AggregateUDFImpl for Merge {
    fn name(&self) -> &'static str {
        "hist_merge"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        SummaryKind::of(&arguments[0]).map(SummaryKind::data_type)
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let kind = SummaryKind::of(arguments.return_field.data_type())?;
        Ok(Box::new(Merging { kind, sum: None, latency: BTreeMap::new() }))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new("merged", arguments.return_field.data_type().clone(), true))])
    }
}

/// What is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SummaryKind {
    Counts,
    Histogram,
    Latency,
}

impl SummaryKind {
    fn of(data_type: &DataType) -> Result<Self> {
        match data_type {
            DataType::List(_) => Ok(Self::Counts),
            _ if *data_type == histogram_type() => Ok(Self::Histogram),
            _ if *data_type == latency_type() => Ok(Self::Latency),
            other => Err(wrong(format!(
                "hist_merge adds histograms (the columns `histogram` and `latency` of panes) and lists of counts, not {other}"
            ))),
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Counts => DataType::new_list(DataType::UInt64, true),
            Self::Histogram => histogram_type(),
            Self::Latency => latency_type(),
        }
    }
}

/// What has been added up.
#[derive(Debug)]
struct Merging {
    kind: SummaryKind,
    sum: Option<StoredHistogram>,
    latency: BTreeMap<u64, u64>,
}

impl Accumulator for Merging {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        (0..values[0].len()).try_for_each(|row| self.add(&values[0], row))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let merged: ArrayRef = match (self.kind, self.sum.take()) {
            (SummaryKind::Latency, _) => {
                latencies(&[Some(std::mem::take(&mut self.latency)).filter(|sum| !sum.is_empty())])
            }
            (SummaryKind::Counts, Some(sum)) => Arc::new(lists(std::iter::once(sum.counts))),
            (SummaryKind::Histogram, sum) => histograms(&[sum]),
            (SummaryKind::Counts, None) => return ScalarValue::try_from(&self.kind.data_type()),
        };
        ScalarValue::try_from_array(&merged, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn size(&self) -> usize {
        let lists = self.sum.as_ref().map_or(0, |sum| sum.counts.len() + sum.cells.len() + 8 * sum.names.len());
        size_of_val(self) + 8 * lists + 32 * self.latency.len()
    }
}

impl Merging {
    fn add(&mut self, column: &dyn Array, row: usize) -> Result<()> {
        if self.kind == SummaryKind::Latency {
            let more = latency_in(column, row).unwrap_or_default();
            more.into_iter().for_each(|(micros, count)| *self.latency.entry(micros).or_default() += count);
            return Ok(());
        }
        let Some(more) = counted(column, row) else { return Ok(()) };
        let Some(sum) = &mut self.sum else {
            self.sum = Some(more);
            return Ok(());
        };
        if sum.merge(&more) {
            return Ok(());
        }
        let (bins, others) = (sum.counts.len(), more.counts.len());
        Err(unfit(format!("histograms of {bins} and of {others} bins cannot be added: name one column")))
    }
}
