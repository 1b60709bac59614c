//! Which source of the plan a file, a topic or a JSON object feeds.

use arrow::datatypes::{DataType, Fields, Schema};

use crate::decode::origin::Origin;
use crate::error::{Error, Result};
use crate::event::EventKind;
use crate::plan::{ColumnRole, Mapping, Path, Plan, SourcePlan};

/// The plan's first source of a kind.
pub(super) fn source_of(plan: &Plan, kind: EventKind) -> Option<u16> {
    position(plan, |source| source.kind == kind)
}

/// The sources with this topic; else the one whose topic has the same last part (`flights.outcomes` for `outcomes`),
/// and those that share it.
pub(super) fn by_topic<'p>(plan: &'p Plan, topic: &str) -> impl Iterator<Item = u16> + use<'p> {
    let named = position(plan, |source| source.topic == topic);
    let named = named.or_else(|| position(plan, |source| last_part(&source.topic) == last_part(topic)));
    let topic = named.map(|source| plan.sources[usize::from(source)].topic.as_str());
    (0..).zip(&plan.sources).filter(move |(_, source)| Some(source.topic.as_str()) == topic).map(|(at, _)| at)
}

fn last_part(topic: &str) -> &str {
    topic.rsplit('.').next().unwrap_or(topic)
}

fn position(plan: &Plan, fits: impl Fn(&SourcePlan) -> bool) -> Option<u16> {
    plan.sources.iter().position(fits).and_then(|at| u16::try_from(at).ok())
}

/// The source that events with these fields feed. `has` tells whether a field is there, by its mapped path (when there
/// is one) or its canonical name.
///
/// A label without version and score is an outcome; a declared share of traffic without a score an exposure. Everything
/// else is a prediction, or a feature event when there is no score and the plan knows feature events.
pub(super) fn by_fields(plan: &Plan, has: impl Fn(Option<&Path>, &str) -> bool) -> Option<u16> {
    let has = |kind: EventKind, path_of: fn(&Mapping, Option<usize>) -> Option<&Path>, name: &str| {
        let score = plan.columns.index_of(ColumnRole::Score);
        let mapping = source_of(plan, kind).map(|at| &plan.sources[usize::from(at)].mapping);
        // What is in a row is where the rows are.
        let lists = mapping.map(Mapping::lists).unwrap_or_default();
        let outer = |path: &Path| lists.first().filter(|_| path.is_in_row());
        let path = mapping.and_then(|mapping| path_of(mapping, score));
        has(path.map(|path| outer(path).unwrap_or(path)), name)
    };
    let version = has(EventKind::Prediction, |mapping, _| mapping.version.path(), "version");
    let score = has(EventKind::Prediction, |mapping, at| Some(&mapping.numeric.get(at?)?.as_ref()?.path), "score");
    let label = has(EventKind::Outcome, |mapping, _| mapping.label.as_ref(), "label");
    let share = has(EventKind::Exposure, |mapping, _| mapping.exposure.as_ref(), "exposure");

    let outcome = (label && !version && !score).then(|| source_of(plan, EventKind::Outcome)).flatten();
    let exposure = || (share && !score).then(|| source_of(plan, EventKind::Exposure)).flatten();
    let feature = || source_of(plan, EventKind::Feature);
    let scoreless = || if score { None } else { feature() };
    outcome.or_else(exposure).or_else(scoreless).or_else(|| source_of(plan, EventKind::Prediction)).or_else(feature)
}

/// The names of a table's columns, those inside structs with dots.
pub(super) fn names(schema: &Schema) -> Vec<String> {
    fn add(names: &mut Vec<String>, prefix: &str, fields: &Fields) {
        for field in fields {
            let name = format!("{prefix}{}", field.name());
            if let DataType::Struct(inner) = field.data_type() {
                add(names, &format!("{name}."), inner);
            }
            names.push(name);
        }
    }
    let mut all = Vec::new();
    add(&mut all, "", schema.fields());
    all
}

/// Whether a field is among the columns: under its mapped path, as a list that it leads into, under the path's last
/// part, or its canonical name.
pub(super) fn is_among(names: &[String], path: Option<&Path>, canonical: &str) -> bool {
    let mapped = path.map(ToString::to_string);
    let outer = path.map(|path| path.outside_of_lists().to_string());
    let last = path.and_then(Path::last);
    [mapped.as_deref(), outer.as_deref(), last, Some(canonical)]
        .into_iter()
        .flatten()
        .any(|wanted| names.iter().any(|name| name == wanted))
}

/// Whether events in lines have all that decides about them: values of records on Kafka are not among it.
///
/// # Errors
/// When a field that every event needs, or a condition, is such a value.
pub(super) fn check_origins(plan: &Plan, source: u16, file: &std::path::Path) -> Result<()> {
    let SourcePlan { kind, mapping, .. } = &plan.sources[usize::from(source)];
    let names = [mapping.version.path(), mapping.model.path()].into_iter().filter(|_| *kind != EventKind::Outcome);
    let needed = names.chain([mapping.id.as_ref(), mapping.label.as_ref().filter(|_| *kind == EventKind::Outcome)]);
    let beside = |path: &&Path| Origin::of(path).is_some_and(|(origin, _)| !origin.is_in_files());
    let condition = mapping.selection.conditions.iter().map(|condition| &condition.path);
    let condition = condition.filter(|path| Origin::of(path).is_some());
    let Some(path) = condition.chain(needed.flatten().filter(beside)).next() else { return Ok(()) };
    let message = format!("{}: `{path}` is a value of records on Kafka, which files do not have", file.display());
    Err(Error::user(message)
        .hint("map the field to a key of the events, or leave the condition out, in a pipeline for files"))
}
