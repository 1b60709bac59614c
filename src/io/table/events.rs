//! Files as tables of the events that a pipeline reads from them: of records with many rows, of those that a source
//! takes, and of those that need its decoder.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

use super::{Chunk, Chunks, Table, TableColumn, TableContents, example};
use crate::batch::EventBatch;
use crate::error::{Error, Result};
use crate::kafka::ports::Schemas;
use crate::plan::{ColumnRole, Plan, SourcePlan};
use crate::replay::events::EventFile;

/// What a column of such a table holds of each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventField {
    /// When it happened, in microseconds since 1970.
    Time,
    /// The hash of its id.
    Id,
    /// The version that answered.
    Version,
    /// A segment field of the plan, by its index.
    Segment(usize),
    /// A numeric column of the plan, by its index; latency in milliseconds.
    Numeric(usize),
    /// A categorical column of the plan, by its index.
    Categorical(usize),
    /// The predicted class: of a binary task 1 or 0.
    Predicted,
    /// The status, in numbers of HTTP.
    Status,
    /// Whether it failed.
    Failed,
    /// The truth: of a binary task 1 or 0.
    Label,
}

impl fmt::Display for EventField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${self:?}")
    }
}

impl EventField {
    /// What events of the source have.
    fn all(plan: &Plan, source: &SourcePlan) -> Vec<Self> {
        let mapping = &source.mapping;
        let is_scored =
            |at: usize| mapping.class_scores.is_some() && plan.columns.numeric[at].role == ColumnRole::Score;
        let numeric = mapping.numeric.iter().enumerate().filter(|(at, field)| field.is_some() || is_scored(*at));
        let categorical = mapping.categorical.iter().enumerate().filter(|(_, path)| path.is_some());
        let one = [
            (Self::Id, mapping.id.is_some()),
            (Self::Version, mapping.version.path().is_some()),
            (Self::Predicted, mapping.predicted.is_some() || mapping.class_scores.is_some()),
            (Self::Status, mapping.status.is_some()),
            (Self::Failed, mapping.failed.is_some()),
            (Self::Label, mapping.label.is_some()),
        ];
        let one = one.into_iter().filter(|(_, is_there)| *is_there).map(|(field, _)| field);
        let segments = (0..mapping.segments.len()).map(Self::Segment);
        let columns = numeric.map(|(at, _)| Self::Numeric(at)).chain(categorical.map(|(at, _)| Self::Categorical(at)));
        [Self::Time].into_iter().chain(one).chain(segments).chain(columns).collect()
    }

    fn of(self, batch: &EventBatch) -> ArrayRef {
        let array: &dyn Array = match self {
            Self::Time => &batch.event_time,
            Self::Id => &batch.id,
            Self::Version => &batch.version,
            Self::Segment(at) => &batch.segments[at],
            Self::Numeric(at) => &batch.numeric[at],
            Self::Categorical(at) => &batch.categorical[at],
            Self::Predicted => &batch.predicted,
            Self::Status => &batch.status,
            Self::Failed => &batch.failed,
            Self::Label if batch.label.null_count() == batch.len() => &batch.label_class,
            Self::Label => &batch.label,
        };
        array.slice(0, array.len())
    }
}

/// A file, and what its events have.
#[derive(Debug, Clone)]
pub(super) struct EventTable {
    file: EventFile,
    fields: Vec<EventField>,
}

impl EventTable {
    /// The fields with these indexes, some events at a time.
    pub(super) fn chunks(&self, wanted: &[usize]) -> Result<Chunks> {
        let fields: Vec<EventField> = wanted.iter().map(|at| self.fields[*at]).collect();
        let chunks = self.file.blocks()?.flat_map(move |block| {
            let block = match block {
                Ok(block) => block,
                Err(error) => return vec![Err(error)],
            };
            let refused = block.refused.first();
            let mut lost = Some((
                block.refused.len() as u64,
                block.passed_over,
                refused.map(|one| example(&one.file, one.place, &one.reject.detail)),
            ));
            let chunk = |batch: &EventBatch| {
                let (refused, passed_over, example) = lost.take().unwrap_or_default();
                let arrays = fields.iter().map(|field| field.of(batch)).collect();
                Ok(Chunk { arrays, rows: batch.len(), refused, passed_over, example })
            };
            block.batches.iter().map(chunk).collect()
        });
        Ok(Box::new(chunks))
    }
}

impl Table {
    /// The events that files give the only source of a plan: a column for each [`EventField`] that they have.
    ///
    /// # Errors
    /// As for a replay of these files.
    pub fn of_events(plan: &Arc<Plan>, paths: &[PathBuf], schemas: &Arc<dyn Schemas>) -> Result<Self> {
        let tables = paths.iter().map(|path| Self::of_event_file(plan, path, schemas));
        let mut tables = tables.collect::<Result<Vec<_>>>()?.into_iter();
        let mut first = tables.next().ok_or_else(|| Error::user("no file is named").hint("name at least one"))?;
        tables.for_each(|table| first.append(table));
        Ok(first)
    }

    fn of_event_file(plan: &Arc<Plan>, path: &Path, schemas: &Arc<dyn Schemas>) -> Result<Self> {
        let file = EventFile::open(plan, path, schemas)?;
        let fields = EventField::all(plan, &plan.sources[0]);
        let column = |(at, field): (usize, &EventField)| {
            let name = field.to_string();
            (TableColumn { path: vec![name.clone()], name, data_type: DataType::Null, inside: None }, vec![at])
        };
        let columns = fields.iter().enumerate().map(column).collect();
        let contents = TableContents::Events(EventTable { file, fields });
        Ok(Self::of_part(path, None, contents, columns))
    }

    /// What is odd about files of events.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        let files = self.parts.iter().filter_map(|part| match &part.contents {
            TableContents::Events(events) => Some(&events.file),
            _ => None,
        });
        files.flat_map(EventFile::warnings).map(String::as_str)
    }

    /// Where a field of events is.
    #[must_use]
    pub fn field(&self, field: EventField) -> Option<usize> {
        self.find(&field.to_string())
    }
}
