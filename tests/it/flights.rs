//! The flight-delay pipeline as a plan made by hand, and the rows of a batch in a form that can be compared.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use arrow::array::{Array as _, StringArray};
use haldane::batch::{EventBatch, TextArray};
use haldane::event::{EventKind, SECOND};
use haldane::plan::*;

use crate::world;

pub(crate) const NUMERIC: [&str; 9] =
    ["dep_hour", "lead_min", "distance", "orig_delay_avg", "temp", "wind_speed", "precip", "pressure", "visib"];
pub(crate) const CATEGORICAL: [&str; 3] = ["carrier", "origin", "dest"];
/// Index of the source of predictions.
pub(crate) const PREDICTIONS: u16 = 0;
/// Index of the source of outcomes.
pub(crate) const OUTCOMES: u16 = 1;

pub(crate) fn path(dotted: &str) -> Path {
    dotted.parse().expect("a path")
}

fn field(dotted: &str) -> NumericField {
    NumericField { path: path(dotted), factor: 1.0 }
}

pub(crate) fn predictions() -> Mapping {
    let features = NUMERIC.iter().map(|name| field(&format!("features_num.{name}")));
    Mapping {
        id: Some(path("prediction_id")),
        event_time: Some((path("event_time_us"), TimeFormat::Micros)),
        model: FieldSource::Path(path("model")),
        version: FieldSource::Path(path("version")),
        segments: vec![path("cohort")],
        numeric: features.chain([field("score"), field("latency_ms")]).map(Some).collect(),
        categorical: CATEGORICAL.iter().map(|name| Some(path(&format!("features_cat.{name}")))).collect(),
        predicted: Some(path("predicted_label")),
        status: Some(path("status")),
        ..Mapping::default()
    }
}

pub(crate) fn outcomes() -> Mapping {
    Mapping {
        id: Some(path("prediction_id")),
        event_time: Some((path("event_time_us"), TimeFormat::Micros)),
        model: FieldSource::Path(path("model")),
        label: Some(path("label")),
        ..Mapping::default()
    }
}

/// Predictions and outcomes of flights.
pub(crate) fn plan() -> Plan {
    let world = world::plan(WindowKind::Sliding { size: 60 * SECOND, slide: 60 * SECOND });
    let numeric = |name: &str, role| NumericColumn { name: name.into(), role, cut: world::cut(0.0, 1.0) };
    let features = NUMERIC.iter().map(|name| numeric(name, ColumnRole::Feature));
    let answers = [numeric("score", ColumnRole::Score), numeric("latency", ColumnRole::Latency)];
    let source = |kind, topic: &str, mapping| SourcePlan { kind, topic: topic.into(), format: Format::Json, mapping };
    Plan {
        sources: vec![
            source(EventKind::Prediction, "predictions", predictions()),
            source(EventKind::Outcome, "outcomes", outcomes()),
        ],
        segments: vec!["cohort".into()],
        columns: Columns {
            numeric: features.chain(answers).collect(),
            categorical: CATEGORICAL.iter().map(|&name| CategoricalColumn::new(name)).collect(),
        },
        ..world
    }
}

/// The plan with another format or mapping of one source.
pub(crate) fn plan_with(source: u16, change: impl FnOnce(&mut SourcePlan)) -> Arc<Plan> {
    let mut plan = plan();
    change(&mut plan.sources[usize::from(source)]);
    Arc::new(plan)
}

/// One row, without its offset.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Row {
    pub(crate) event_time: i64,
    pub(crate) id: Option<u64>,
    pub(crate) model: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) segments: Vec<Option<String>>,
    pub(crate) numeric: Vec<Option<f64>>,
    pub(crate) categorical: Vec<Option<String>>,
    pub(crate) predicted: Option<String>,
    pub(crate) status: Option<i16>,
    pub(crate) failed: Option<bool>,
    pub(crate) label: Option<f64>,
    pub(crate) label_class: Option<String>,
    pub(crate) exposure: Option<f64>,
}

fn text(column: &TextArray, row: usize) -> Option<String> {
    let texts = column.downcast_dict::<StringArray>().unwrap();
    texts.into_iter().nth(row).unwrap().map(str::to_owned)
}

/// The rows of a batch.
pub(crate) fn rows(batch: &EventBatch) -> Vec<Row> {
    let texts = |columns: &[TextArray], row| columns.iter().map(|column| text(column, row)).collect();
    let row = |row: usize| Row {
        event_time: batch.event_time.value(row),
        id: batch.id.is_valid(row).then(|| batch.id.value(row)),
        model: text(&batch.model, row),
        version: text(&batch.version, row),
        segments: texts(&batch.segments, row),
        numeric: batch.numeric.iter().map(|column| column.is_valid(row).then(|| column.value(row))).collect(),
        categorical: texts(&batch.categorical, row),
        predicted: text(&batch.predicted, row),
        status: batch.status.is_valid(row).then(|| batch.status.value(row)),
        failed: batch.failed.is_valid(row).then(|| batch.failed.value(row)),
        label: batch.label.is_valid(row).then(|| batch.label.value(row)),
        label_class: text(&batch.label_class, row),
        exposure: batch.exposure.is_valid(row).then(|| batch.exposure.value(row)),
    };
    assert_eq!(batch.event_time.null_count() + batch.broker_time.null_count() + batch.offset.null_count(), 0);
    (0..batch.len()).map(row).collect()
}
