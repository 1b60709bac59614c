//! The `sources` section: topics, formats, and where each field is found in a record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::class::{Class, ClassFields};
use super::value::{At, Dotted, Entries, PathOr};
use crate::decode::cell::category;
use crate::plan::{Format, TimeFormat};

/// The input streams. At least `predictions` or `features` is needed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sources {
    /// Answers that model versions gave.
    pub(crate) predictions: Option<At<Predictions>>,
    /// Features without an answer, such as those a feature pipeline writes.
    pub(crate) features: Option<At<FeatureEvents>>,
    /// Truths about earlier predictions.
    pub(crate) outcomes: Option<At<Outcomes>>,
    /// Changes of the share of traffic that a version is meant to get.
    pub(crate) exposures: Option<At<Exposures>>,
}

/// Answers that model versions gave.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Predictions {
    /// Kafka topic.
    pub(crate) topic: At<String>,
    /// How records are encoded.
    #[serde(default = "json")]
    pub(crate) format: Format,
    /// When the prediction was made. Default: the record's broker time.
    pub(crate) event_time: Option<PathOr<EventTime>>,
    /// Id of the prediction: finds re-deliveries and joins outcomes.
    pub(crate) id: Dotted,
    /// Whoever asked: a user, a card, a device. Requests of one entity are alike; with this field haldane measures by
    /// how much, and neither overstates nor understates its evidence.
    pub(crate) entity: Option<Dotted>,
    /// Whoever makes the record and its time: a host, a pod, a gateway. With this field producers whose own clocks are
    /// fast close no windows for the others, however much they send, unless they are the more.
    pub(crate) producer: Option<Dotted>,
    /// Model name. Default: the pipeline's name.
    pub(crate) model: Option<PathOr<Constant>>,
    /// Version name.
    pub(crate) version: PathOr<Constant>,
    /// Fields by which traffic is split: name and path.
    #[serde(default)]
    pub(crate) segments: Entries<Dotted>,
    /// Probability of the positive class, confidence in the predicted one, or the predicted quantity.
    pub(crate) score: Option<At<PathOr<Numeric>>>,
    /// Multiclass: the scores of all classes, of which the largest is the score and its class the predicted one. The
    /// path of an object of class name to score, or of a list in the order of the classes 0, 1, …; or, where there is a
    /// field for each class, a mapping of class to path.
    pub(crate) class_scores: Option<At<PathOr<ClassFields>>>,
    /// The class that was answered.
    pub(crate) predicted_label: Option<Dotted>,
    /// Time to answer. The short form is in milliseconds.
    pub(crate) latency: Option<At<PathOr<Latency>>>,
    /// Status code of the answer; 200 is success.
    pub(crate) status: Option<Dotted>,
    /// Error marker: `true` or any non-empty text means that the answer failed.
    pub(crate) error: Option<Dotted>,
    /// The truth, for predictions that carry it themselves.
    pub(crate) label: Option<At<PathOr<Truth>>>,
    /// Model inputs.
    #[serde(default)]
    pub(crate) features: Features,
}

/// Features without an answer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeatureEvents {
    /// Kafka topic.
    pub(crate) topic: At<String>,
    /// How records are encoded.
    #[serde(default = "json")]
    pub(crate) format: Format,
    /// When the features were computed. Default: the record's broker time.
    pub(crate) event_time: Option<PathOr<EventTime>>,
    /// Id of the event: finds re-deliveries.
    pub(crate) id: Option<Dotted>,
    /// Whoever makes the record and its time, as of predictions.
    pub(crate) producer: Option<Dotted>,
    /// Model name. Default: the pipeline's name.
    pub(crate) model: Option<PathOr<Constant>>,
    /// Version name of the model or of the feature pipeline.
    pub(crate) version: PathOr<Constant>,
    /// Fields by which traffic is split: name and path.
    #[serde(default)]
    pub(crate) segments: Entries<Dotted>,
    /// Model inputs.
    pub(crate) features: Features,
}

/// Truths about earlier predictions.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outcomes {
    /// Kafka topic, partitioned like that of the predictions.
    pub(crate) topic: At<String>,
    /// How records are encoded.
    #[serde(default = "json")]
    pub(crate) format: Format,
    /// When the truth became known. Default: the record's broker time.
    pub(crate) event_time: Option<PathOr<EventTime>>,
    /// Id of the prediction.
    pub(crate) id: Dotted,
    /// Model name. Default: that of the prediction.
    pub(crate) model: Option<PathOr<Constant>>,
    /// The truth: 0 or 1, a class name, or a quantity.
    pub(crate) label: PathOr<Truth>,
}

/// Changes of the share of traffic that a version is meant to get.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exposures {
    /// Kafka topic.
    pub(crate) topic: At<String>,
    /// How records are encoded.
    #[serde(default = "json")]
    pub(crate) format: Format,
    /// When the change took effect. Default: the record's broker time.
    pub(crate) event_time: Option<PathOr<EventTime>>,
    /// Model name. Default: the pipeline's name.
    pub(crate) model: Option<PathOr<Constant>>,
    /// Version name.
    pub(crate) version: PathOr<Constant>,
    /// Share of traffic, 0 to 1.
    pub(crate) exposure: Dotted,
}

fn json() -> Format {
    Format::Json
}

/// Model inputs by kind: each a mapping of name to path, or a list of names that are their own paths.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Features {
    /// Numbers.
    #[serde(default)]
    pub(crate) numeric: Entries<PathOr<Numeric>>,
    /// Texts out of a limited set.
    #[serde(default)]
    pub(crate) categorical: Entries<Dotted>,
    /// True or false, watched like categories.
    #[serde(default)]
    pub(crate) boolean: Entries<Dotted>,
}

/// Where the truth is found and, for a binary task, which classes are positive.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Truth {
    /// Where it is found.
    pub(crate) path: Dotted,
    /// The classes that are positive; all others are negative, also among predicted classes. Default: those that say
    /// yes, such as 1, true and yes.
    #[serde(default)]
    pub(crate) positive: Vec<Class>,
}

impl PathOr<Truth> {
    /// Where it is found.
    pub(crate) fn path(&self) -> &Dotted {
        match self {
            Self::Path(path) => path,
            Self::Long(long) => &long.path,
        }
    }

    /// The classes that are positive, as they are compared.
    pub(crate) fn positive(&self) -> Vec<String> {
        match self {
            Self::Path(_) => Vec::new(),
            Self::Long(long) => long.positive.iter().map(|class| category(&class.0).to_owned()).collect(),
        }
    }
}

/// Where a number is found and, for pipelines without a reference, how it is cut into bins.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Numeric {
    /// Where it is found.
    pub(crate) path: Dotted,
    /// Smallest and largest usual value, between which equal bins are laid.
    pub(crate) range: Option<[f64; 2]>,
    /// Bin edges, rising. Instead of `range`.
    pub(crate) edges: Option<Vec<f64>>,
}

/// Where an event time is found and in which unit.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventTime {
    /// Where it is found.
    pub(crate) path: Dotted,
    /// Seconds, milliseconds, microseconds or nanoseconds since 1970, or RFC 3339 text.
    #[serde(default)]
    pub(crate) unit: TimeUnit,
}

/// Unit of an event time.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TimeUnit {
    /// Seconds since 1970, with or without a fraction.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
    /// Text such as `2013-04-01T12:00:00Z`.
    #[default]
    Rfc3339,
}

impl From<TimeUnit> for TimeFormat {
    fn from(unit: TimeUnit) -> Self {
        match unit {
            TimeUnit::S => Self::Seconds,
            TimeUnit::Ms => Self::Millis,
            TimeUnit::Us => Self::Micros,
            TimeUnit::Ns => Self::Nanos,
            TimeUnit::Rfc3339 => Self::Rfc3339,
        }
    }
}

/// Where a latency is found and in which unit.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Latency {
    /// Where it is found.
    pub(crate) path: Dotted,
    /// Its unit.
    #[serde(default)]
    pub(crate) unit: LatencyUnit,
}

/// Unit of a latency.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LatencyUnit {
    /// Seconds.
    S,
    /// Milliseconds.
    #[default]
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

impl LatencyUnit {
    /// What a latency is multiplied by to be in milliseconds.
    pub(crate) fn factor(self) -> f64 {
        match self {
            Self::S => 1e3,
            Self::Ms => 1.0,
            Self::Us => 1e-3,
            Self::Ns => 1e-6,
        }
    }
}

/// A field that is the same in every record.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Constant {
    /// Its value.
    pub(crate) constant: String,
}
