//! Files of which a pipeline does not read rows as they stand: records with many rows, those that a source takes, and
//! messages of model servers. Their rows are the events that a replay reads.

use std::path::PathBuf;
use std::sync::Arc;

use super::compare::CompareRequest;
use super::layout::{ColumnPosition, ComparedColumn, Layout};
use crate::error::Result;
use crate::kafka::ports::Unknown;
use crate::plan::{Columns, Mapping, Plan, SourcePlan, Task, TimeFormat};
use crate::table::{EventField, Table};

/// Whether rows of a source's files are made by its decoder.
pub(crate) fn are_decoded(source: &SourcePlan) -> bool {
    let Mapping { selection, row, .. } = &source.mapping;
    source.mapping.has_rows() || !selection.conditions.is_empty() || row.is_some()
}

/// The events that files give a source, or the topic that is asked for in the place of its own.
pub(crate) fn table(plan: &Plan, source: &SourcePlan, paths: &[PathBuf], request: &CompareRequest) -> Result<Table> {
    let mut source = source.clone();
    if let Some(topic) = &request.topic {
        topic.clone_into(&mut source.topic);
    }
    // Labels and answers name the same classes, whichever source says which are positive.
    let own = [request.positive.as_slice(), source.mapping.positive.as_slice()].into_iter();
    let others = plan.sources.iter().map(|other| other.mapping.positive.as_slice());
    let named = own.chain(others).find(|named| !named.is_empty()).map(<[String]>::to_vec);
    source.mapping.positive = named.unwrap_or_default();
    let schemas = request.schemas.clone().unwrap_or_else(|| Arc::new(Unknown));
    Table::of_events(&Arc::new(Plan { sources: vec![source], ..plan.clone() }), paths, &schemas)
}

/// What their columns are for.
pub(crate) fn layout(plan: &Plan, source: &SourcePlan, tables: [&Table; 2]) -> Layout {
    let place =
        |name: &str, field| ColumnPosition { name: name.to_owned(), at: tables.map(|table| table.field(field)) };
    let optional = |name: &str, field| Some(place(name, field)).filter(|place| place.at[0].is_some());
    let Columns { numeric, categorical } = &plan.columns;
    let numeric = numeric
        .iter()
        .enumerate()
        .filter_map(|(at, column)| Some((optional(&column.name, EventField::Numeric(at))?, Some(column.role), false)));
    let categorical = categorical.iter().enumerate().filter_map(|(at, column)| {
        Some((optional(&column.name, EventField::Categorical(at))?, None, source.mapping.truths.contains(&at)))
    });
    let watched = |(place, numeric, is_truth)| {
        let reason = "as the pipeline says".to_owned();
        ComparedColumn { place, numeric, is_truth, factor: 1.0, reason }
    };
    let segments = plan.segments.iter().enumerate();
    Layout {
        columns: numeric.chain(categorical).map(watched).collect(),
        time: Some((place("event_time", EventField::Time), [TimeFormat::Micros; 2])),
        id: optional("prediction_id", EventField::Id),
        version: optional("version", EventField::Version),
        predicted: optional("predicted_label", EventField::Predicted),
        class_scores: None,
        label: optional("label", EventField::Label),
        status: optional("status", EventField::Status),
        ok: Vec::new(),
        failed: optional("error", EventField::Failed),
        segments: segments.map(|(at, name)| place(name, EventField::Segment(at))).collect(),
        task: plan.quality.as_ref().map_or(Task::Binary, |quality| quality.task),
        // Classes are named 1 and 0 already.
        positive: Vec::new(),
        threshold: plan.quality.as_ref().map_or(0.5, |quality| quality.threshold),
        roles: Vec::new(),
        untested: Vec::new(),
    }
}
