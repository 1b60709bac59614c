//! The `sources` section: topics, formats, and where each field is found in a record.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::class::{Class, ClassFields};
use super::message::SchemaSection;
use super::path::{Dotted, Parse, PathOr, PatternText, RowsPath, TextField, TextPath};
use super::problem::Problems;
use super::selection::{Conditions, Tombstones};
use super::topic::TopicNames;
use super::value::{At, Entries};
use super::wall::Zone;
use crate::decode::cell::category;
use crate::plan::{Format, INDEX_MAX, Path, Side, TimeFormat};

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

impl Sources {
    /// The topics of each section that is there, in the order predictions, features, outcomes, exposures.
    pub(crate) fn topic_names(&self) -> [Option<TopicNames<'_>>; 4] {
        let named = |one, several, conditions: &Conditions, spot| TopicNames {
            one,
            several,
            spot,
            is_selective: !conditions.is_empty(),
        };
        let predictions = self.predictions.as_ref();
        let features = self.features.as_ref();
        [
            predictions.map(|of| named(of.topic.as_ref(), of.topics.as_ref(), &of.conditions, of.spot)),
            features.map(|of| named(of.topic.as_ref(), of.topics.as_ref(), &of.conditions, of.spot)),
            self.outcomes.as_ref().map(|of| named(Some(&of.topic), None, &of.conditions, of.spot)),
            self.exposures.as_ref().map(|of| named(Some(&of.topic), None, &of.conditions, of.spot)),
        ]
    }

    /// What records are, of each section in the same order.
    pub(crate) fn schemas(&self) -> [Option<&At<SchemaSection>>; 4] {
        [
            self.predictions.as_ref().and_then(|of| of.schema.as_ref()),
            self.features.as_ref().and_then(|of| of.schema.as_ref()),
            self.outcomes.as_ref().and_then(|of| of.schema.as_ref()),
            self.exposures.as_ref().and_then(|of| of.schema.as_ref()),
        ]
    }

    /// Makes the elements of lists of features entries of their own.
    pub(crate) fn spread(&mut self, problems: &mut Problems) {
        let of_predictions = self.predictions.as_mut().map(|source| &mut source.value.features);
        let of_features = self.features.as_mut().map(|source| &mut source.value.features);
        of_predictions.into_iter().chain(of_features).for_each(|features| features.spread(problems));
    }
}

/// Answers that model versions gave.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Predictions {
    /// Kafka topic.
    pub(crate) topic: Option<At<String>>,
    /// Several Kafka topics in its place, which are read as one source.
    pub(crate) topics: Option<At<Vec<At<String>>>>,
    /// Which records of the topic are taken: a mapping of path to the value, or list of values, that it must have. All
    /// must hold; what does not match is passed over and counted. Of the rows of a record (`rows`) those are taken for
    /// which it holds: `$row.kind: chat`.
    #[serde(default, rename = "where")]
    pub(crate) conditions: Conditions,
    /// What becomes of records without a payload, as compacted topics have them: `pass` over or `refuse`. Default:
    /// `pass` for a source with `where`, else `refuse`.
    pub(crate) tombstones: Option<Tombstones>,
    /// How records are encoded.
    #[serde(default = "json")]
    pub(crate) format: Format,
    /// With `format: protobuf`: what records are, where they do not say it.
    pub(crate) schema: Option<At<SchemaSection>>,
    /// With `format: open_inference`: whether records are what was asked (`request`, tensors in `inputs`) or what was
    /// answered (`response`, tensors in `outputs`). Each row of the batch is a row: `outputs[name=score]` is its value
    /// in a tensor, `outputs[name=scores][1]` its second one; `id`, `model_name`, `model_version` and `parameters.x`
    /// are those of the record. Default: what the types say that `where` allows.
    pub(crate) side: Option<At<Side>>,
    /// A list in each record of which every element is a row, as in `instances[*]`. Paths that begin with `$row` lead
    /// into the element (`$row[0]`, `$row.amount`); all others lead into the record, and every row has their values.
    /// The list may stand in the elements of another, as in `a[*].b[*]`: `a[*].x` is `x` of the element around a row.
    pub(crate) rows: Option<At<RowsPath>>,
    /// When the prediction was made. Default: the record's broker time.
    pub(crate) event_time: Option<PathOr<EventTime>>,
    /// Id of the prediction: finds re-deliveries and joins outcomes.
    pub(crate) id: TextPath,
    /// Whoever asked: a user, a card, a device. Requests of one entity are alike; with this field haldane measures by
    /// how much, and neither overstates nor understates its evidence.
    pub(crate) entity: Option<TextPath>,
    /// Whoever makes the record and its time: a host, a pod, a gateway. With this field producers whose own clocks are
    /// fast close no windows for the others, however much they send, unless they are the more.
    pub(crate) producer: Option<TextPath>,
    /// Model name. Default: the pipeline's name.
    pub(crate) model: Option<At<PathOr<TextField>>>,
    /// Version name.
    pub(crate) version: At<PathOr<TextField>>,
    /// Fields by which traffic is split: name and path.
    #[serde(default)]
    pub(crate) segments: Entries<TextPath>,
    /// Probability of the positive class, confidence in the predicted one, or the predicted quantity.
    pub(crate) score: Option<At<PathOr<Numeric>>>,
    /// Multiclass: the scores of all classes, of which the largest is the score and its class the predicted one. The
    /// path of an object of class name to score, or of a list in the order of the classes 0, 1, …; `path` of a list and
    /// its `classes` in their order; or, where there is a field for each class, a mapping of class to path.
    pub(crate) class_scores: Option<At<PathOr<ClassFields>>>,
    /// The class that was answered.
    pub(crate) predicted_label: Option<TextPath>,
    /// Time to answer. The short form is in milliseconds.
    pub(crate) latency: Option<At<PathOr<Latency>>>,
    /// Status code of the answer; 200 is success. The long form names the statuses that mean success.
    pub(crate) status: Option<PathOr<Status>>,
    /// Error marker: `true` or any non-empty text means that the answer failed.
    pub(crate) error: Option<TextPath>,
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
    pub(crate) topic: Option<At<String>>,
    /// Several Kafka topics in its place, which are read as one source.
    pub(crate) topics: Option<At<Vec<At<String>>>>,
    /// Which records of the topic are taken: a mapping of path to the value, or list of values, that it must have. All
    /// must hold; what does not match is passed over and counted. Of the rows of a record (`rows`) those are taken for
    /// which it holds: `$row.kind: chat`.
    #[serde(default, rename = "where")]
    pub(crate) conditions: Conditions,
    /// What becomes of records without a payload, as compacted topics have them: `pass` over or `refuse`. Default:
    /// `pass` for a source with `where`, else `refuse`.
    pub(crate) tombstones: Option<Tombstones>,
    /// How records are encoded.
    #[serde(default = "json")]
    pub(crate) format: Format,
    /// With `format: protobuf`: what records are, where they do not say it.
    pub(crate) schema: Option<At<SchemaSection>>,
    /// With `format: open_inference`: whether records are what was asked (`request`, tensors in `inputs`) or what was
    /// answered (`response`, tensors in `outputs`). Each row of the batch is a row: `outputs[name=score]` is its value
    /// in a tensor, `outputs[name=scores][1]` its second one; `id`, `model_name`, `model_version` and `parameters.x`
    /// are those of the record. Default: what the types say that `where` allows.
    pub(crate) side: Option<At<Side>>,
    /// A list in each record of which every element is a row, as in `instances[*]`. Paths that begin with `$row` lead
    /// into the element (`$row[0]`, `$row.amount`); all others lead into the record, and every row has their values.
    /// The list may stand in the elements of another, as in `a[*].b[*]`: `a[*].x` is `x` of the element around a row.
    pub(crate) rows: Option<At<RowsPath>>,
    /// When the features were computed. Default: the record's broker time.
    pub(crate) event_time: Option<PathOr<EventTime>>,
    /// Id of the event: finds re-deliveries.
    pub(crate) id: Option<TextPath>,
    /// Whoever makes the record and its time, as of predictions.
    pub(crate) producer: Option<TextPath>,
    /// Model name. Default: the pipeline's name.
    pub(crate) model: Option<At<PathOr<TextField>>>,
    /// Version name of the model or of the feature pipeline.
    pub(crate) version: At<PathOr<TextField>>,
    /// Fields by which traffic is split: name and path.
    #[serde(default)]
    pub(crate) segments: Entries<TextPath>,
    /// Model inputs.
    pub(crate) features: Features,
}

/// Truths about earlier predictions.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outcomes {
    /// Kafka topic, partitioned like that of the predictions.
    pub(crate) topic: At<String>,
    /// Which records of the topic are taken: a mapping of path to the value, or list of values, that it must have. All
    /// must hold; what does not match is passed over and counted. Of the rows of a record (`rows`) those are taken for
    /// which it holds: `$row.kind: chat`.
    #[serde(default, rename = "where")]
    pub(crate) conditions: Conditions,
    /// What becomes of records without a payload, as compacted topics have them: `pass` over or `refuse`. Default:
    /// `pass` for a source with `where`, else `refuse`.
    pub(crate) tombstones: Option<Tombstones>,
    /// How records are encoded.
    #[serde(default = "json")]
    pub(crate) format: Format,
    /// With `format: protobuf`: what records are, where they do not say it.
    pub(crate) schema: Option<At<SchemaSection>>,
    /// A list in each record of which every element is a row, as in `instances[*]`. Paths that begin with `$row` lead
    /// into the element (`$row[0]`, `$row.amount`); all others lead into the record, and every row has their values.
    /// The list may stand in the elements of another, as in `a[*].b[*]`: `a[*].x` is `x` of the element around a row.
    pub(crate) rows: Option<At<RowsPath>>,
    /// When the truth became known. Default: the record's broker time.
    pub(crate) event_time: Option<PathOr<EventTime>>,
    /// Id of the prediction.
    pub(crate) id: TextPath,
    /// Which row of the record with this id it is about, from 0, where predictions are rows of records that share an
    /// id. Default: the first.
    pub(crate) row: Option<TextPath>,
    /// Model name. Default: that of the prediction.
    pub(crate) model: Option<At<PathOr<TextField>>>,
    /// The truth: 0 or 1, a class name, or a quantity.
    pub(crate) label: PathOr<Truth>,
}

/// Changes of the share of traffic that a version is meant to get.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exposures {
    /// Kafka topic.
    pub(crate) topic: At<String>,
    /// Which records of the topic are taken: a mapping of path to the value, or list of values, that it must have. All
    /// must hold; what does not match is passed over and counted.
    #[serde(default, rename = "where")]
    pub(crate) conditions: Conditions,
    /// What becomes of records without a payload, as compacted topics have them: `pass` over or `refuse`. Default:
    /// `pass` for a source with `where`, else `refuse`.
    pub(crate) tombstones: Option<Tombstones>,
    /// How records are encoded.
    #[serde(default = "json")]
    pub(crate) format: Format,
    /// With `format: protobuf`: what records are, where they do not say it.
    pub(crate) schema: Option<At<SchemaSection>>,
    /// When the change took effect. Default: the record's broker time.
    pub(crate) event_time: Option<PathOr<EventTime>>,
    /// Model name. Default: the pipeline's name.
    pub(crate) model: Option<At<PathOr<TextField>>>,
    /// Version name.
    pub(crate) version: At<PathOr<TextField>>,
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
    pub(crate) categorical: Entries<TextPath>,
    /// True or false, watched like categories.
    #[serde(default)]
    pub(crate) boolean: Entries<TextPath>,
    /// Inputs that stand in one list, in a fixed order.
    pub(crate) vector: Option<At<Vector>>,
}

/// Model inputs that stand in one list: short for an entry each, such as `amount: features[0]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    /// Where the list is found.
    pub(crate) path: Dotted,
    /// What its elements are called, in their order; `null` for one that is not watched.
    pub(crate) names: Vec<Option<At<String>>>,
    /// Which of them are texts out of a limited set; the others are numbers.
    #[serde(default)]
    pub(crate) categorical: Vec<At<String>>,
    /// Smallest and largest usual value by name, between which equal bins are laid, for pipelines without a reference.
    #[serde(default)]
    pub(crate) ranges: BTreeMap<String, [f64; 2]>,
}

impl Features {
    /// Makes the elements of a list entries of their own.
    pub(crate) fn spread(&mut self, problems: &mut Problems) {
        let Some(At { value: vector, spot }) = self.vector.take() else { return };
        let Vector { path, names, categorical, mut ranges } = vector;
        let known = |name: &str| names.iter().flatten().any(|known| known.as_str() == name);
        for stray in categorical.iter().filter(|name| !known(name)) {
            problems.add(stray.spot, format!("`{}` is not among `names`", stray.value)).help("correct the name");
        }
        if names.len() > INDEX_MAX as usize + 1 {
            problems.add(spot, format!("a list of {} elements", names.len())).help("name 65536 at most");
            return;
        }
        for (at, name) in (0..).zip(names) {
            let Some(At { value: name, spot }) = name else { continue };
            let (path, range) = (Dotted(path.0.element(at)), ranges.remove(&name));
            if self.has(&name) {
                problems.add(spot, format!("feature `{name}` is there twice")).help("give each a name of its own");
            } else if categorical.iter().any(|known| known.value == name) {
                self.categorical.0.push((name, At { value: path.into(), spot }));
            } else {
                let value = match range {
                    Some(_) => PathOr::Long(Numeric { path, pattern: None, parse: None, range, edges: None }),
                    None => PathOr::Path(path),
                };
                self.numeric.0.push((name, At { value, spot }));
            }
        }
        if let Some(stray) = ranges.keys().next() {
            problems.add(spot, format!("`ranges` has `{stray}`, which is not among `names`")).help("correct the name");
        }
    }

    fn has(&self, name: &str) -> bool {
        let texts = self.categorical.0.iter().chain(&self.boolean.0);
        self.numeric.0.iter().any(|(known, _)| known == name) || texts.into_iter().any(|(known, _)| known == name)
    }
}

/// Where the truth is found and, for a binary task, which classes are positive.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Truth {
    /// Where it is found.
    pub(crate) path: Dotted,
    /// The part of a text that is the value.
    #[serde(rename = "match")]
    pub(crate) pattern: Option<PatternText>,
    /// Texts on the way that are looked into.
    pub(crate) parse: Option<Parse>,
    /// The classes that are positive; all others are negative, also among predicted classes. Default: those that say
    /// yes, such as 1, true and yes.
    #[serde(default)]
    pub(crate) positive: Vec<Class>,
}

impl PathOr<Truth> {
    /// Where it is found.
    pub(crate) fn path(&self) -> Path {
        match self {
            Self::Path(Dotted(path)) => path.clone(),
            Self::Long(long) => long.path.taken(long.pattern.as_ref(), long.parse),
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
    /// The part of a text that is the value.
    #[serde(rename = "match")]
    pub(crate) pattern: Option<PatternText>,
    /// Texts on the way that are looked into.
    pub(crate) parse: Option<Parse>,
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
    /// The part of a text that is the value.
    #[serde(rename = "match")]
    pub(crate) pattern: Option<PatternText>,
    /// Texts on the way that are looked into.
    pub(crate) parse: Option<Parse>,
    /// Seconds, milliseconds, microseconds or nanoseconds since 1970, or RFC 3339 text.
    #[serde(default)]
    pub(crate) unit: TimeUnit,
    /// The time zone of written times that name none. Default: UTC. What clocks there show twice is the first time.
    pub(crate) zone: Option<Zone>,
}

/// Where a status is found, and what means success.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Status {
    /// Where it is found.
    pub(crate) path: Dotted,
    /// The part of a text that is the value.
    #[serde(rename = "match")]
    pub(crate) pattern: Option<PatternText>,
    /// Texts on the way that are looked into.
    pub(crate) parse: Option<Parse>,
    /// The statuses that mean success, such as `[0, OK]`. Of others, codes of HTTP (100 to 599) keep their meaning, and
    /// any other means that the answer failed. Default: all are codes of HTTP.
    #[serde(default)]
    pub(crate) ok: Vec<Class>,
}

impl PathOr<Status> {
    /// Where it is found.
    pub(crate) fn path(&self) -> Path {
        match self {
            Self::Path(Dotted(path)) => path.clone(),
            Self::Long(long) => long.path.taken(long.pattern.as_ref(), long.parse),
        }
    }

    /// The statuses that mean success, as they are compared.
    pub(crate) fn ok(&self) -> Vec<String> {
        match self {
            Self::Path(_) => Vec::new(),
            Self::Long(long) => long.ok.iter().map(|status| category(&status.0).to_owned()).collect(),
        }
    }
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
    /// The part of a text that is the value.
    #[serde(rename = "match")]
    pub(crate) pattern: Option<PatternText>,
    /// Texts on the way that are looked into.
    pub(crate) parse: Option<Parse>,
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
