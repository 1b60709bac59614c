//! The pipeline that streams are judged with: one that was written, or one made of nothing but the names of columns.
//!
//! A made pipeline chooses no statistics and no thresholds. Its reference is the stream's own past: the rows of the
//! baseline version before another version is seen.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};

use super::alarm::Alarm;
use super::stream::LabelledStream;
use crate::baseline::ProfileBuilder;
use crate::config::{self, Pipeline, reference};
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::init::facts::{FactKind, Facts};
use crate::plan::{Plan, WindowKind};
use crate::scan::LaneCounts;
use crate::table::{Table, TableColumn};

/// What errors call a made pipeline.
const ORIGIN: &str = "pipeline made from the columns";
/// Columns that say what an event is rather than what the model saw.
const NO_FEATURES: [&str; 17] = [
    "event_time",
    "event_time_us",
    "ingest_time",
    "broker_time",
    "arrival_time",
    "timestamp_us",
    "prediction_id",
    "entity_id",
    "model",
    "version",
    "cohort",
    "shadow",
    "score",
    "predicted_label",
    "latency_ms",
    "status",
    "label",
];

/// Which columns a folder of streams has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamColumns {
    /// Names of the columns that are there and mean something.
    known: Vec<String>,
    numeric: Vec<String>,
    categorical: Vec<String>,
    boolean: Vec<String>,
    /// Whether outcomes say which model they are about; `None` when there are none.
    outcomes_name_model: Option<bool>,
}

impl StreamColumns {
    /// The columns of a table of predictions and, when there is one, of outcomes.
    ///
    /// # Errors
    /// When a table lacks what every stream needs.
    pub fn of(predictions: &Schema, outcomes: Option<&Schema>) -> Result<Self> {
        require(predictions, "predictions", &["event_time", "prediction_id", "version"])?;
        outcomes.map_or(Ok(()), |schema| require(schema, "outcomes", &["prediction_id", "label"]))?;
        let (known, features): (Vec<_>, Vec<_>) =
            predictions.fields().iter().partition(|field| NO_FEATURES.contains(&field.name().as_str()));
        let named = |fits: fn(&DataType) -> bool| {
            let fitting = features.iter().filter(|field| fits(value_type(field)));
            fitting.map(|field| field.name().clone()).collect::<Vec<_>>()
        };
        Ok(Self {
            known: known.iter().map(|field| field.name().clone()).collect(),
            numeric: named(DataType::is_numeric),
            categorical: named(|kind| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)),
            boolean: named(|kind| matches!(kind, DataType::Boolean)),
            outcomes_name_model: outcomes.map(|schema| schema.column_with_name("model").is_some()),
        })
    }

    /// The columns of files of predictions and, when there are any, of outcomes.
    ///
    /// # Errors
    /// When a file cannot be read, or lacks what every stream needs.
    pub fn of_files(predictions: &[PathBuf], outcomes: &[PathBuf]) -> Result<Self> {
        let outcomes = if outcomes.is_empty() { None } else { Some(schema(outcomes)?) };
        Self::of(&schema(predictions)?, outcomes.as_ref())
    }

    /// The pipeline file that these columns make; `window` is a duration such as `1h`.
    #[must_use]
    pub fn pipeline(&self, baseline: &str, window: &str) -> String {
        let quoted = |name: &str| serde_json::Value::from(name).to_string();
        let list = |names: &[String]| names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        let field = |key: &str, column: &str| {
            let there = self.known.iter().any(|known| known == column);
            if there { format!("    {key}: {column}\n") } else { String::new() }
        };
        let mut text = "pipeline: detect\ntask: binary\nsources:\n  predictions:\n    topic: predictions\n".to_owned();
        let fields = [
            ("event_time", "event_time"),
            ("id", "prediction_id"),
            ("entity", "entity_id"),
            ("model", "model"),
            ("version", "version"),
            ("score", "score"),
            ("latency", "latency_ms"),
            ("status", "status"),
        ];
        text.extend(fields.map(|(key, column)| field(key, column)));
        text.extend([
            format!("    features: {{ numeric: [{}], ", list(&self.numeric)),
            format!("categorical: [{}], ", list(&self.categorical)),
            format!("boolean: [{}] }}\n", list(&self.boolean)),
        ]);
        if let Some(names_model) = self.outcomes_name_model {
            text += "  outcomes:\n    topic: outcomes\n    id: prediction_id\n    label: label\n";
            text += if names_model { "    model: model\n" } else { "" };
            text += "labels: {}\n";
        }
        text.extend([
            format!("reference: learned\nrollout: {{ baseline: {} }}\n", quoted(baseline)),
            format!("windows: {{ size: {window} }}\n"),
        ]);
        text
    }
}

/// The columns of files; what columns of texts hold, their first rows show.
fn schema(paths: &[PathBuf]) -> Result<Schema> {
    let table = Table::open_together(paths)?.swap_remove(0);
    let facts = Facts::of(&table)?;
    let field = |(column, facts): (&TableColumn, &Facts)| {
        let data_type = match facts.kind() {
            _ if column.data_type != DataType::Utf8 || table.is_typed() => column.data_type.clone(),
            FactKind::Numeric => DataType::Float64,
            FactKind::Boolean => DataType::Boolean,
            FactKind::Categorical => DataType::Utf8,
            FactKind::Time(_) | FactKind::Span | FactKind::Nested | FactKind::Empty => DataType::Null,
        };
        Field::new(&column.name, data_type, true)
    };
    Ok(Schema::new(table.columns.iter().zip(&facts).map(field).collect::<Vec<_>>()))
}

fn require(schema: &Schema, what: &str, names: &[&str]) -> Result<()> {
    let absent: Vec<&str> = names.iter().copied().filter(|name| schema.column_with_name(name).is_none()).collect();
    if absent.is_empty() {
        return Ok(());
    }
    let there: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    Err(Error::user(format!("the {what} have no column {}", absent.join(", "))).hint(format!(
        "they have {}; rename columns, or write a pipeline file and name it with --config",
        there.join(", ")
    )))
}

/// The type of a column's values, whether or not it is a dictionary.
fn value_type(field: &Field) -> &DataType {
    match field.data_type() {
        DataType::Dictionary(_, values) => values,
        kind => kind,
    }
}

/// How streams are judged.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What rows are decoded with.
    reading: Pipeline,
    /// `None` for a pipeline that was written.
    made: Option<Made>,
}

/// A pipeline whose reference is yet to be learned.
#[derive(Debug, Clone)]
struct Made {
    text: String,
    baseline: String,
}

impl Recipe {
    /// A pipeline file.
    ///
    /// # Errors
    /// As [`config::load`].
    pub fn written(path: &Path) -> Result<Self> {
        Ok(Self { reading: config::load(path)?, made: None })
    }

    /// The text of a pipeline such as [`StreamColumns::pipeline`] makes, whose `reference` is to be learned from what
    /// each stream's baseline version did before.
    ///
    /// # Errors
    /// As [`config::parse`].
    pub fn made(text: String, baseline: &str) -> Result<Self> {
        let reading = config::parse_reading(&text, ORIGIN, Path::new(""))?;
        Ok(Self { reading, made: Some(Made { text, baseline: baseline.to_owned() }) })
    }

    /// The plan that rows are decoded with.
    #[must_use]
    pub fn reading(&self) -> &Arc<Plan> {
        &self.reading.plan
    }

    /// From one window to the next.
    #[must_use]
    pub fn window(&self) -> Micros {
        match self.reading.plan.time.window {
            WindowKind::Sliding { slide, .. } => slide,
            WindowKind::AtLeast { size_max, .. } => size_max,
        }
    }

    /// The plan that a stream is judged with.
    ///
    /// # Errors
    /// When the stream has no row to learn from, or the made pipeline is not one.
    pub fn plan(&self, stream: &LabelledStream) -> Result<Arc<Plan>> {
        let Some(Made { text, baseline }) = &self.made else { return Ok(Arc::clone(&self.reading.plan)) };
        let past = stream.past(baseline);
        let mut builder = ProfileBuilder::new(Arc::clone(&self.reading.plan), self.reading.fine_bins);
        past.iter().for_each(|batch| builder.learn(batch));
        let mut counter = builder.cut();
        past.iter().for_each(|batch| counter.count(batch));
        let profile = counter.finish(&stream.name);
        if profile.rows == 0 {
            return Err(Error::user(format!("stream {} has no prediction of version {baseline}", stream.name))
                .hint("name the baseline version with --baseline"));
        }
        Ok(config::parse_with(text, ORIGIN, Path::new(""), &reference::named(profile))?.plan)
    }

    /// Replays a stream and tells every decision that restricts or warns.
    ///
    /// # Errors
    /// As [`Recipe::plan`].
    pub fn judge(&self, stream: &LabelledStream) -> Result<Vec<Alarm>> {
        self.judge_and_count(stream).map(|(alarms, _)| alarms)
    }

    /// As [`Recipe::judge`]; also tells what was counted.
    ///
    /// # Errors
    /// As [`Recipe::plan`].
    pub fn judge_and_count(&self, stream: &LabelledStream) -> Result<(Vec<Alarm>, LaneCounts)> {
        let (decisions, counts) = stream.replay(&self.plan(stream)?);
        let adverse = decisions.iter().filter(|decision| decision.action.is_adverse());
        Ok((adverse.map(Alarm::of).collect(), counts))
    }
}
