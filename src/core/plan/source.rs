//! Input streams: which records of a topic are taken, and where their values are.

use serde::{Deserialize, Serialize};

use super::{Path, WallClock};
use crate::event::{EventKind, Micros};

/// One input stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourcePlan {
    /// What its records tell.
    pub kind: EventKind,
    /// Kafka topic; for files the canonical name of the stream. It decides no result, so it is not in the plan's
    /// digest.
    #[serde(skip)]
    pub topic: String,
    /// How records are encoded.
    pub format: Format,
    /// Where each field is found.
    pub mapping: Mapping,
}

/// How records are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON object per record; a `CloudEvents` envelope (binary or structured mode) is recognised and taken off.
    Json,
    /// One Arrow IPC stream per record, many events in it.
    ArrowIpc,
    /// One Avro value per record, whose schema is named in its first bytes or a header, and known by `registry`.
    /// Symbols are texts, maps are lists of `key` and `value`. What may be of several kinds is a text where all are
    /// scalars, else a record with a field for each.
    Avro,
    /// One Protobuf message per record, whose schema is named in its first bytes or a header, and known by `registry`;
    /// or is told by `schema`. Values of enums are texts, maps are lists of `key` and `value`, a Timestamp is a time,
    /// a Duration is a number of seconds, a Struct a text of JSON. What proto3 does not write is zero, empty or false;
    /// fields with `optional`, of a oneof, of proto2 and messages may be missing.
    Protobuf,
    /// One request of OpenTelemetry's protocol (OTLP) per record, in protobuf, as collectors write it with
    /// `encoding: otlp_proto`: traces where `rows` begin in `resourceSpans`, logs where they begin in `resourceLogs`.
    /// Paths are those of OTLP in JSON, whose records (`otlp_json`) have `format: json`.
    Otlp,
    /// One request or answer of the Open Inference Protocol (V2) per record, in JSON, in JSON with binary tensors
    /// behind it, or as protobuf: each row of its batch is an event. `side` says which of the two.
    OpenInference,
}

/// What records of Protobuf are, where they do not say it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MessageSchema {
    /// The schemas that theirs refers to, and then theirs; none where records name it themselves.
    pub texts: Vec<String>,
    /// The name of the message; none where it is the only one, or records say it.
    pub message: Option<String>,
}

/// What names the schema of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// A header where there is one, else the first bytes: Confluent's, AWS Glue's, or those of Avro's single objects.
    #[default]
    Auto,
    /// The first five bytes, as the clients of Confluent's registry write them, and Karapace, Redpanda and Apicurio.
    Confluent,
    /// A header: `__value_schema_id`, `apicurio.value.globalId` or `apicurio.value.contentId`.
    Header,
    /// The first nine bytes, as Apicurio's clients of old write them.
    Apicurio8,
    /// The first eighteen bytes, as AWS Glue's clients write them.
    Glue,
}

/// The two halves of a call of a model server. They share most field numbers and keys, so which it is must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What was asked: tensors are `inputs`.
    Request,
    /// What was answered: tensors are `outputs`.
    Response,
}

impl Side {
    /// The key of its tensors.
    #[must_use]
    pub fn tensors(self) -> &'static str {
        match self {
            Self::Request => "inputs",
            Self::Response => "outputs",
        }
    }

    /// The name used in pipelines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

/// Unit of a numeric event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFormat {
    /// Epoch seconds, with or without a fraction.
    Seconds,
    /// Epoch milliseconds.
    Millis,
    /// Epoch microseconds.
    Micros,
    /// Epoch nanoseconds.
    Nanos,
    /// Written out, as in RFC 3339.
    Rfc3339,
}

/// First key of the paths that lead into a row of a record that has several.
pub const ROW: &str = "$row";

/// The most rows of one record.
pub const ROWS_MAX: u32 = 65_536;

/// The most conditions of one source.
pub const CONDITIONS_MAX: usize = 64;

/// Which records of its topic a source takes; what it does not take is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Selection {
    /// All of these must hold; [`CONDITIONS_MAX`] at most.
    pub conditions: Vec<Condition>,
    /// Whether records without a payload are passed over; otherwise they are refused.
    pub without_tombstones: bool,
}

impl Selection {
    /// Whether every record is taken.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// A value that must be one of some; a record without it does not meet the condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Where the value is.
    pub path: Path,
    /// What it may be, as categories are compared.
    pub allowed: Vec<String>,
}

/// Where the fields of one source are found. A field that is `None` is not read.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Mapping {
    /// What names the schema of a record, where records have schemas; it is taken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<Frame>,
    /// What records of Protobuf are, where they do not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<MessageSchema>,
    /// Which records are taken.
    #[serde(skip_serializing_if = "Selection::is_all")]
    pub selection: Selection,
    /// A list in the record of which each element is a row: paths that begin with [`ROW`] lead into the element, all
    /// others into the record, whose values every row has. It may stand in the elements of another list, as in
    /// `a[*].b`: then paths that begin with `a[*]` lead into the element that is around the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Path>,
    /// Records are requests or answers of model servers, of which each row of the batch is a row: paths that begin with
    /// the key of the [tensors](Side::tensors) lead to the row's values in them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// Which row of the record with its id an outcome belongs to, from 0; the first one where this is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<Path>,
    /// Id of the prediction (or of the one an outcome belongs to).
    pub id: Option<Path>,
    /// Event time; `None` = the record's broker time.
    pub event_time: Option<(Path, TimeFormat)>,
    /// The clock on a wall that event times without a zone are from; `None` = UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<WallClock>,
    /// Whoever asked: a user, a card, a device.
    pub entity: Option<Path>,
    /// Whoever made the record: a host, a pod, a gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer: Option<Path>,
    /// Model name.
    pub model: FieldSource,
    /// Version name.
    pub version: FieldSource,
    /// One per segment field of the plan.
    pub segments: Vec<Path>,
    /// One per numeric column of the plan; `None` when this source does not carry it.
    pub numeric: Vec<Option<NumericField>>,
    /// One per categorical column of the plan.
    pub categorical: Vec<Option<Path>>,
    /// Categorical columns that hold truth values, however they are spelled. Where they are spelled true and false it
    /// decides nothing, so it is not in the plan's digest.
    #[serde(skip)]
    pub truths: Vec<usize>,
    /// Predicted class.
    pub predicted: Option<Path>,
    /// Scores of all classes, for multiclass tasks: the largest is the score, its class the predicted one.
    pub class_scores: Option<ClassScores>,
    /// Status code.
    pub status: Option<Path>,
    /// Statuses that mean success, as they are compared; where none is named, codes of HTTP are meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ok: Vec<String>,
    /// Error marker: `true`, or a text that does not say no.
    pub failed: Option<Path>,
    /// The truth.
    pub label: Option<Path>,
    /// The classes that are positive, of a binary task; where none is named, those that say yes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub positive: Vec<String>,
    /// Declared share of traffic, 0 to 1.
    pub exposure: Option<Path>,
    /// How often whoever writes shares looks and says what stands: then a share counts for a few looks only. `None`:
    /// each is said once, and stands until the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looked_every: Option<Micros>,
}

impl Mapping {
    /// Whether a record may have several rows.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        self.rows.is_some() || self.side.is_some()
    }

    /// Whether a path leads to the values of a row in the tensors of a record.
    #[must_use]
    pub fn is_tensor(&self, path: &Path) -> bool {
        self.side.is_some_and(|side| path.first() == Some(side.tensors()))
    }

    /// Whether the rows of a record share the value of a numeric column: its path leads into none of them.
    #[must_use]
    pub fn is_shared(&self, column: usize) -> bool {
        let field = self.numeric.get(column).and_then(Option::as_ref);
        self.has_rows() && field.is_some_and(|field| !(field.path.is_in_row() || self.is_tensor(&field.path)))
    }

    /// The lists that lead to the rows, each in the elements of the one before it; the elements of the last are rows.
    #[must_use]
    pub fn lists(&self) -> Vec<Path> {
        let mut lists: Vec<Path> = std::iter::successors(self.rows.clone(), Path::around).collect();
        lists.reverse();
        lists
    }

    /// Every path in it.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        let fields = [&self.model, &self.version].into_iter().filter_map(FieldSource::path);
        let plain = [
            &self.row,
            &self.id,
            &self.entity,
            &self.producer,
            &self.predicted,
            &self.status,
            &self.failed,
            &self.label,
            &self.exposure,
        ];
        let classes = self.class_scores.iter().flat_map(|scores| match scores {
            ClassScores::Whole(path) => vec![path],
            ClassScores::Each(classes) => classes.iter().map(|(_, path)| path).collect(),
        });
        let numeric = self.numeric.iter().flatten().map(|field| &field.path);
        let time = self.event_time.iter().map(|(path, _)| path);
        let features = self.segments.iter().chain(numeric).chain(self.categorical.iter().flatten());
        plain.into_iter().flatten().chain(time).chain(fields).chain(features).chain(classes).collect()
    }
}

/// Where the scores of several classes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ClassScores {
    /// In an object of class name to score, or in a list in the order of the classes 0, 1, ….
    Whole(Path),
    /// In a field for each class.
    Each(Vec<(String, Path)>),
}

/// A numeric field and the factor that brings it to the plan's unit (latency: milliseconds).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NumericField {
    /// Where it is.
    pub path: Path,
    /// What it is multiplied by; 1 leaves the value untouched.
    pub factor: f64,
}

/// A text field that is read from the record or the same for all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub enum FieldSource {
    /// Not carried by this source.
    #[default]
    Absent,
    /// Found in each record.
    Path(Path),
    /// The same for all.
    Constant(String),
}

impl FieldSource {
    /// Where it is found, if it is read from the record.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Absent | Self::Constant(_) => None,
        }
    }
}
