//! Sections of `sources` to source plans: where each column of the plan is found in each stream.

use super::{measures, schemas, tensors};
use crate::config::act;
use crate::config::class::ClassFields;
use crate::config::document::Document;
use crate::config::kafka::{KafkaSection, Topics, check_topic};
use crate::config::path::{Dotted, PathOr, TextField, TextPath};
use crate::config::problem::{Problems, Spot};
use crate::config::source::{
    EventTime, Exposures, FeatureEvents, Features, Latency, Numeric, Outcomes, Predictions, Status, TimeUnit,
};
use crate::config::topic::TopicNames;
use crate::config::value::{At, Entries};
use crate::decode::cell::category;
use crate::decode::origin::Origin;
use crate::event::EventKind;
use crate::plan::{
    ClassScores, ColumnRole, Columns, Condition, FieldSource, Format, Mapping, NumericField, Path, ROW, Selection,
    SourcePlan, TimeFormat, WallClock,
};

/// What every mapping needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MappingContext<'a> {
    pub(crate) pipeline: &'a str,
    /// The folder that relative paths start from.
    pub(crate) base: &'a std::path::Path,
    pub(crate) columns: &'a Columns,
    pub(crate) segments: &'a [&'a str],
}

/// The source plans, in the order predictions, features, outcomes, exposures.
pub(crate) fn sources(document: &Document, layout: MappingContext<'_>, problems: &mut Problems) -> Vec<SourcePlan> {
    let sources = &document.sources;
    if sources.predictions.is_none() && sources.features.is_none() {
        problems
            .add(sources.spot, "nothing to watch: neither `predictions` nor `features` is a source")
            .help("add `predictions: { topic, id, version, … }`");
    }
    let predictions = sources.predictions.as_ref().map(|source| predictions(document, source, layout, problems));
    let features = sources.features.as_ref().map(|source| feature_events(source, layout, problems));
    let outcomes = sources.outcomes.as_ref().map(|source| outcomes(source, problems));
    let exposures = sources.exposures.as_ref().map(|source| exposures(source, layout, problems));
    let names = sources.topic_names();
    let topics = topics(names, problems);
    let mut all = Vec::new();
    let said = sources.schemas();
    for (((source, topics), names), said) in
        [predictions, features, outcomes, exposures].into_iter().zip(topics).zip(names).zip(said)
    {
        let Some((source, names)) = source.zip(names) else { continue };
        let source = schemas::known(source, said, (document, layout.base), names.spot, problems);
        check_rows(&source.mapping, names.spot, problems);
        tensors::check(&source, names.spot, problems);
        if topics.len() > 1 && source.mapping.label.is_some() {
            problems
                .add(names.spot, "predictions of several topics with their truth in them")
                .help("give the truth a source `outcomes`, or name one topic");
        }
        // Each topic is a source of its own: their partitions have clocks and offsets of their own.
        all.extend(topics.into_iter().map(|topic| SourcePlan { topic, ..source.clone() }));
    }
    all.extend(looked(document, layout.pipeline, problems));
    all
}

/// The records that the adapter of a target writes whose share counts as declared.
fn looked(document: &Document, pipeline: &str, problems: &mut Problems) -> Option<SourcePlan> {
    let (spot, every) = act::exposure(&document.act, problems)?;
    if document.sources.exposures.is_some() {
        problems
            .add(spot, "two say which share of traffic is declared: this target, and the source `exposures`")
            .help("leave out one of them");
    }
    let path = |key: &str| Path::from_iter([key.to_owned()]);
    let ours = Condition { path: path("pipeline"), allowed: vec![category(pipeline).to_owned()] };
    let mapping = Mapping {
        selection: Selection { conditions: vec![ours], without_tombstones: true },
        event_time: Some((path("time"), TimeUnit::default().into())),
        model: FieldSource::Path(path("model")),
        version: FieldSource::Path(path("version")),
        exposure: Some(path("exposure")),
        looked_every: Some(every),
        ..Mapping::default()
    };
    let topic = document.kafka.as_ref().map_or_else(|| Topics::default().exposures, KafkaSection::exposures_topic);
    Some(SourcePlan { topic, ..plan(EventKind::Exposure, Format::Json, mapping) })
}

/// Whether paths into rows lead somewhere.
fn check_rows(mapping: &Mapping, spot: Spot, problems: &mut Problems) {
    let lists = mapping.lists();
    let is_beside = |path: &&Path| path.first() == Some(ROW) || Origin::of(path).is_some();
    if let Some(rows) = mapping.rows.as_ref().filter(|_| lists.first().is_some_and(|list| is_beside(&list))) {
        problems.add(spot, format!("`rows: {rows}[*]` is no list in the record")).help("name a list in its payload");
    }
    let (rows, around) = lists.split_last().map_or((None, &[][..]), |(rows, around)| (Some(rows), around));
    let mut elements: Vec<String> = around.iter().map(Path::each).collect();
    elements.extend(rows.map(|_| ROW.to_owned()));
    let is_stray = |path: &&Path| path.is_in_row() && !elements.iter().any(|element| path.first() == Some(element));
    let conditions = mapping.selection.conditions.iter().map(|condition| &condition.path);
    let Some(stray) = mapping.paths().into_iter().chain(conditions).find(is_stray) else { return };
    match rows {
        None => problems
            .add(spot, format!("`{stray}` is in a row, but a record is one row here"))
            .help("say which list holds the rows, as in `rows: instances[*]`"),
        Some(rows) => problems
            .add(spot, format!("`{stray}` is neither in a row of `{}` nor around it", rows.each()))
            .help(format!("let it begin with {}", elements.join(" or "))),
    }
}

/// The topics of each section.
fn topics(names: [Option<TopicNames<'_>>; 4], problems: &mut Problems) -> [Vec<String>; 4] {
    let mut seen: Vec<(&str, bool)> = Vec::new();
    names.map(|names| {
        let is_selective = names.is_some_and(|names| names.is_selective);
        let topics = names.map(|names| names.resolve(problems)).unwrap_or_default();
        let mut own: Vec<(&str, bool)> = Vec::new();
        for topic in &topics {
            check_topic(topic, problems);
            let is_here = |known: &(&str, bool)| known.0 == topic.as_str();
            let is_alone = |known: &(&str, bool)| is_here(known) && !(is_selective && known.1);
            if own.iter().any(is_here) || seen.iter().any(is_alone) {
                problems
                    .add(topic.spot, format!("topic `{}` is the topic of two sources", topic.value))
                    .help("give each of them a `where` that says which records are its own, or a topic of its own");
            }
            own.push((topic.as_str(), is_selective));
        }
        seen.extend(own);
        topics.into_iter().map(|topic| topic.value.clone()).collect()
    })
}

fn predictions(
    document: &Document,
    source: &At<Predictions>,
    layout: MappingContext<'_>,
    problems: &mut Problems,
) -> SourcePlan {
    let selection = source.conditions.resolve(source.tombstones, problems);
    let numeric = layout.columns.numeric.iter().map(|column| match column.role {
        ColumnRole::Feature => feature(&source.features, &column.name),
        ColumnRole::Score => source.score.as_ref().map(|score| plain(numeric_path(score))),
        ColumnRole::Latency => source.latency.as_ref().map(|latency| latency_field(latency)),
        ColumnRole::Measure => measures::field(document, &column.name),
    });
    let mapping = Mapping {
        rows: source.rows.as_ref().map(|rows| rows.0.clone()),
        side: tensors::side(source.format, source.side.as_ref(), &selection, source.spot, problems),
        selection,
        id: Some(source.id.0.clone()),
        entity: path(source.entity.as_ref()),
        producer: path(source.producer.as_ref()),
        event_time: event_time(source.event_time.as_ref()),
        clock: clock(source.event_time.as_ref()),
        model: model(source.model.as_ref(), layout, problems),
        version: text_field("version", &source.version, problems),
        segments: segments(&source.segments, layout),
        numeric: numeric.collect(),
        categorical: categorical(&source.features, layout),
        truths: truths(&source.features, layout),
        predicted: path(source.predicted_label.as_ref()),
        class_scores: source.class_scores.as_ref().map(|scores| class_scores(&scores.value)),
        status: source.status.as_ref().map(PathOr::<Status>::path),
        ok: source.status.as_ref().map(PathOr::<Status>::ok).unwrap_or_default(),
        failed: path(source.error.as_ref()),
        label: source.label.as_ref().map(|label| label.path()),
        positive: source.label.as_ref().map(|label| label.positive()).unwrap_or_default(),
        ..Mapping::default()
    };
    plan(EventKind::Prediction, source.format, mapping)
}

fn class_scores(scores: &PathOr<ClassFields>) -> ClassScores {
    match scores {
        PathOr::Path(path) => ClassScores::Whole(path.0.clone()),
        PathOr::Long(fields) => {
            ClassScores::Each(fields.0.iter().map(|(class, path)| (class.clone(), path.0.clone())).collect())
        }
    }
}

fn feature_events(source: &At<FeatureEvents>, layout: MappingContext<'_>, problems: &mut Problems) -> SourcePlan {
    let selection = source.conditions.resolve(source.tombstones, problems);
    let mapping = Mapping {
        rows: source.rows.as_ref().map(|rows| rows.0.clone()),
        side: tensors::side(source.format, source.side.as_ref(), &selection, source.spot, problems),
        selection,
        id: path(source.id.as_ref()),
        producer: path(source.producer.as_ref()),
        event_time: event_time(source.event_time.as_ref()),
        clock: clock(source.event_time.as_ref()),
        model: model(source.model.as_ref(), layout, problems),
        version: text_field("version", &source.version, problems),
        segments: segments(&source.segments, layout),
        numeric: layout.columns.numeric.iter().map(|column| feature(&source.features, &column.name)).collect(),
        categorical: categorical(&source.features, layout),
        truths: truths(&source.features, layout),
        ..Mapping::default()
    };
    plan(EventKind::Feature, source.format, mapping)
}

fn outcomes(source: &Outcomes, problems: &mut Problems) -> SourcePlan {
    let mapping = Mapping {
        rows: source.rows.as_ref().map(|rows| rows.0.clone()),
        row: path(source.row.as_ref()),
        selection: source.conditions.resolve(source.tombstones, problems),
        id: Some(source.id.0.clone()),
        event_time: event_time(source.event_time.as_ref()),
        clock: clock(source.event_time.as_ref()),
        model: source.model.as_ref().map_or(FieldSource::Absent, |model| text_field("model", model, problems)),
        label: Some(source.label.path()),
        positive: source.label.positive(),
        ..Mapping::default()
    };
    plan(EventKind::Outcome, source.format, mapping)
}

fn exposures(source: &Exposures, layout: MappingContext<'_>, problems: &mut Problems) -> SourcePlan {
    let mapping = Mapping {
        selection: source.conditions.resolve(source.tombstones, problems),
        event_time: event_time(source.event_time.as_ref()),
        clock: clock(source.event_time.as_ref()),
        model: model(source.model.as_ref(), layout, problems),
        version: text_field("version", &source.version, problems),
        exposure: Some(source.exposure.0.clone()),
        ..Mapping::default()
    };
    plan(EventKind::Exposure, source.format, mapping)
}

/// A source without its topic.
fn plan(kind: EventKind, format: crate::plan::Format, mapping: Mapping) -> SourcePlan {
    SourcePlan { kind, topic: String::new(), format, mapping }
}

fn path(text: Option<&TextPath>) -> Option<Path> {
    text.map(|text| text.0.clone())
}

/// Where the event time is; none for the time of the record, which counts where nothing else is named.
fn event_time(time: Option<&PathOr<EventTime>>) -> Option<(Path, TimeFormat)> {
    let (path, format) = match time? {
        PathOr::Path(Dotted(path)) => (path.clone(), TimeUnit::default().into()),
        PathOr::Long(long) => (long.path.taken(long.pattern.as_ref(), long.parse), long.unit.into()),
    };
    (path.to_string() != RECORD_TIME).then_some((path, format))
}

/// The clock that event times without a zone are from.
fn clock(time: Option<&PathOr<EventTime>>) -> Option<WallClock> {
    match time? {
        PathOr::Path(_) => None,
        PathOr::Long(long) => long.zone.map(|zone| zone.clock(0)),
    }
}

/// The path of the time of the record.
const RECORD_TIME: &str = "$time";

/// A field that is a constant or a path; `name` is its key.
fn text_field(name: &str, field: &At<PathOr<TextField>>, problems: &mut Problems) -> FieldSource {
    match &field.value {
        PathOr::Path(Dotted(path)) => FieldSource::Path(path.clone()),
        PathOr::Long(TextField { constant: Some(constant), path: None, pattern: None, parse: None }) => {
            FieldSource::Constant(constant.clone())
        }
        PathOr::Long(TextField { constant: None, path: Some(path), pattern, parse }) => {
            FieldSource::Path(path.taken(pattern.as_ref(), *parse))
        }
        PathOr::Long(_) => {
            problems
                .add(field.spot, format!("`{name}` is neither one constant nor one path"))
                .help("write `{ constant: … }`, or `{ path: …, match: … }`");
            FieldSource::Absent
        }
    }
}

fn model(field: Option<&At<PathOr<TextField>>>, layout: MappingContext<'_>, problems: &mut Problems) -> FieldSource {
    let constant = || FieldSource::Constant(layout.pipeline.to_owned());
    field.map_or_else(constant, |field| text_field("model", field, problems))
}

fn segments(entries: &Entries<TextPath>, layout: MappingContext<'_>) -> Vec<Path> {
    layout.segments.iter().filter_map(|name| find(entries, name)).map(|path| path.0.clone()).collect()
}

fn categorical(features: &Features, layout: MappingContext<'_>) -> Vec<Option<Path>> {
    let place = |name: &str| find(&features.categorical, name).or_else(|| find(&features.boolean, name));
    layout.columns.categorical.iter().map(|column| place(&column.name).map(|path| path.0.clone())).collect()
}

/// The categorical columns that are declared as booleans.
fn truths(features: &Features, layout: MappingContext<'_>) -> Vec<usize> {
    let is_truth = |name: &str| find(&features.categorical, name).is_none() && find(&features.boolean, name).is_some();
    let columns = layout.columns.categorical.iter().enumerate();
    columns.filter(|(_, column)| is_truth(&column.name)).map(|(at, _)| at).collect()
}

fn feature(features: &Features, name: &str) -> Option<NumericField> {
    find(&features.numeric, name).map(|place| plain(numeric_path(place)))
}

fn numeric_path(place: &PathOr<Numeric>) -> Path {
    match place {
        PathOr::Path(path) => path.0.clone(),
        PathOr::Long(long) => long.path.taken(long.pattern.as_ref(), long.parse),
    }
}

fn plain(path: Path) -> NumericField {
    NumericField { path, factor: 1.0 }
}

fn latency_field(latency: &PathOr<Latency>) -> NumericField {
    match latency {
        PathOr::Path(path) => plain(path.0.clone()),
        PathOr::Long(long) => {
            let path = long.path.taken(long.pattern.as_ref(), long.parse);
            NumericField { path, factor: long.unit.factor() }
        }
    }
}

fn find<'a, T>(entries: &'a Entries<T>, name: &str) -> Option<&'a T> {
    entries.0.iter().find(|(other, _)| other == name).map(|(_, place)| &place.value)
}
