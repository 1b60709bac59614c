//! Sections of `sources` to source plans: where each column of the plan is found in each stream.

use crate::config::class::ClassFields;
use crate::config::document::Document;
use crate::config::kafka::check_topic;
use crate::config::problem::Problems;
use crate::config::source::{
    Constant, EventTime, Exposures, FeatureEvents, Features, Latency, Outcomes, Predictions, TimeUnit,
};
use crate::config::value::{At, Dotted, Entries, PathOr};
use crate::event::EventKind;
use crate::plan::{ClassScores, Columns, Field, Mapping, NumericField, Path, Role, SourcePlan, TimeFormat};

/// What every mapping needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout<'a> {
    pub(crate) pipeline: &'a str,
    pub(crate) columns: &'a Columns,
    pub(crate) segments: &'a [&'a str],
}

/// The source plans, in the order predictions, features, outcomes, exposures.
pub(crate) fn sources(document: &Document, layout: Layout<'_>, problems: &mut Problems) -> Vec<SourcePlan> {
    let sources = &document.sources;
    if sources.predictions.is_none() && sources.features.is_none() {
        problems
            .add(sources.spot, "nothing to watch: neither `predictions` nor `features` is a source")
            .help("add `predictions: { topic, id, version, … }`");
    }
    let predictions = sources.predictions.as_ref().map(|source| predictions(source, layout));
    let features = sources.features.as_ref().map(|source| feature_events(source, layout));
    let outcomes = sources.outcomes.as_ref().map(|source| outcomes(source));
    let exposures = sources.exposures.as_ref().map(|source| exposures(source, layout));
    check_topics(document, problems);
    [predictions, features, outcomes, exposures].into_iter().flatten().collect()
}

fn check_topics(document: &Document, problems: &mut Problems) {
    let sources = &document.sources;
    let topics = [
        sources.predictions.as_ref().map(|source| &source.topic),
        sources.features.as_ref().map(|source| &source.topic),
        sources.outcomes.as_ref().map(|source| &source.topic),
        sources.exposures.as_ref().map(|source| &source.topic),
    ];
    let mut seen: Vec<&str> = Vec::new();
    for topic in topics.into_iter().flatten() {
        check_topic(topic, problems);
        if seen.contains(&topic.as_str()) {
            problems
                .add(topic.spot, format!("topic `{}` is the topic of two sources", topic.value))
                .help("a topic carries one kind of event");
        }
        seen.push(topic.as_str());
    }
}

fn predictions(source: &Predictions, layout: Layout<'_>) -> SourcePlan {
    let numeric = layout.columns.numeric.iter().map(|column| match column.role {
        Role::Feature => feature(&source.features, &column.name),
        Role::Score => source.score.as_ref().map(|score| plain(numeric_path(score))),
        Role::Latency => source.latency.as_ref().map(|latency| latency_field(latency)),
    });
    let mapping = Mapping {
        id: Some(source.id.0.clone()),
        entity: path(source.entity.as_ref()),
        producer: path(source.producer.as_ref()),
        event_time: event_time(source.event_time.as_ref()),
        model: model(source.model.as_ref(), layout),
        version: text_field(&source.version),
        segments: segments(&source.segments, layout),
        numeric: numeric.collect(),
        categorical: categorical(&source.features, layout),
        truths: truths(&source.features, layout),
        predicted: path(source.predicted_label.as_ref()),
        class_scores: source.class_scores.as_ref().map(|scores| class_scores(&scores.value)),
        status: path(source.status.as_ref()),
        failed: path(source.error.as_ref()),
        label: source.label.as_ref().map(|label| label.path().0.clone()),
        positive: source.label.as_ref().map(|label| label.positive()).unwrap_or_default(),
        exposure: None,
    };
    plan(EventKind::Prediction, &source.topic, source.format, mapping)
}

fn class_scores(scores: &PathOr<ClassFields>) -> ClassScores {
    match scores {
        PathOr::Path(path) => ClassScores::Whole(path.0.clone()),
        PathOr::Long(fields) => {
            ClassScores::Each(fields.0.iter().map(|(class, path)| (class.clone(), path.0.clone())).collect())
        }
    }
}

fn feature_events(source: &FeatureEvents, layout: Layout<'_>) -> SourcePlan {
    let mapping = Mapping {
        id: path(source.id.as_ref()),
        producer: path(source.producer.as_ref()),
        event_time: event_time(source.event_time.as_ref()),
        model: model(source.model.as_ref(), layout),
        version: text_field(&source.version),
        segments: segments(&source.segments, layout),
        numeric: layout.columns.numeric.iter().map(|column| feature(&source.features, &column.name)).collect(),
        categorical: categorical(&source.features, layout),
        truths: truths(&source.features, layout),
        ..Mapping::default()
    };
    plan(EventKind::Feature, &source.topic, source.format, mapping)
}

fn outcomes(source: &Outcomes) -> SourcePlan {
    let mapping = Mapping {
        id: Some(source.id.0.clone()),
        event_time: event_time(source.event_time.as_ref()),
        model: source.model.as_ref().map_or(Field::Absent, text_field),
        label: Some(source.label.path().0.clone()),
        positive: source.label.positive(),
        ..Mapping::default()
    };
    plan(EventKind::Outcome, &source.topic, source.format, mapping)
}

fn exposures(source: &Exposures, layout: Layout<'_>) -> SourcePlan {
    let mapping = Mapping {
        event_time: event_time(source.event_time.as_ref()),
        model: model(source.model.as_ref(), layout),
        version: text_field(&source.version),
        exposure: Some(source.exposure.0.clone()),
        ..Mapping::default()
    };
    plan(EventKind::Exposure, &source.topic, source.format, mapping)
}

fn plan(kind: EventKind, topic: &At<String>, format: crate::plan::Format, mapping: Mapping) -> SourcePlan {
    SourcePlan { kind, topic: topic.value.clone(), format, mapping }
}

fn path(dotted: Option<&Dotted>) -> Option<Path> {
    dotted.map(|dotted| dotted.0.clone())
}

fn event_time(time: Option<&PathOr<EventTime>>) -> Option<(Path, TimeFormat)> {
    time.map(|time| match time {
        PathOr::Path(path) => (path.0.clone(), TimeUnit::default().into()),
        PathOr::Long(long) => (long.path.0.clone(), long.unit.into()),
    })
}

fn text_field(field: &PathOr<Constant>) -> Field {
    match field {
        PathOr::Path(path) => Field::Path(path.0.clone()),
        PathOr::Long(long) => Field::Constant(long.constant.clone()),
    }
}

fn model(field: Option<&PathOr<Constant>>, layout: Layout<'_>) -> Field {
    field.map_or_else(|| Field::Constant(layout.pipeline.to_owned()), text_field)
}

fn segments(entries: &Entries<Dotted>, layout: Layout<'_>) -> Vec<Path> {
    layout.segments.iter().filter_map(|name| find(entries, name)).map(|path| path.0.clone()).collect()
}

fn categorical(features: &Features, layout: Layout<'_>) -> Vec<Option<Path>> {
    let place = |name: &str| find(&features.categorical, name).or_else(|| find(&features.boolean, name));
    layout.columns.categorical.iter().map(|column| place(&column.name).map(|path| path.0.clone())).collect()
}

/// The categorical columns that are declared as booleans.
fn truths(features: &Features, layout: Layout<'_>) -> Vec<usize> {
    let is_truth = |name: &str| find(&features.categorical, name).is_none() && find(&features.boolean, name).is_some();
    let columns = layout.columns.categorical.iter().enumerate();
    columns.filter(|(_, column)| is_truth(&column.name)).map(|(at, _)| at).collect()
}

fn feature(features: &Features, name: &str) -> Option<NumericField> {
    find(&features.numeric, name).map(|place| plain(numeric_path(place)))
}

fn numeric_path(place: &PathOr<crate::config::source::Numeric>) -> Path {
    match place {
        PathOr::Path(path) => path.0.clone(),
        PathOr::Long(long) => long.path.0.clone(),
    }
}

fn plain(path: Path) -> NumericField {
    NumericField { path, factor: 1.0 }
}

fn latency_field(latency: &PathOr<Latency>) -> NumericField {
    match latency {
        PathOr::Path(path) => plain(path.0.clone()),
        PathOr::Long(long) => NumericField { path: long.path.0.clone(), factor: long.unit.factor() },
    }
}

fn find<'a, T>(entries: &'a Entries<T>, name: &str) -> Option<&'a T> {
    entries.0.iter().find(|(other, _)| other == name).map(|(_, place)| &place.value)
}
