//! Which source of the plan a file, a topic or a JSON object feeds.

use arrow::datatypes::{DataType, Fields, Schema};

use crate::event::EventKind;
use crate::plan::{Field, Mapping, Path, Plan, Role, SourcePlan};

/// The plan's first source of a kind.
pub(super) fn source_of(plan: &Plan, kind: EventKind) -> Option<u16> {
    position(plan, |source| source.kind == kind)
}

/// The source with this topic; else the one whose topic has the same last part (`flights.outcomes` for `outcomes`).
pub(super) fn by_topic(plan: &Plan, topic: &str) -> Option<u16> {
    position(plan, |source| source.topic == topic)
        .or_else(|| position(plan, |source| last_part(&source.topic) == last_part(topic)))
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
        let score = plan.columns.index_of(Role::Score);
        let path = source_of(plan, kind).and_then(|at| path_of(&plan.sources[usize::from(at)].mapping, score));
        has(path, name)
    };
    let version = has(EventKind::Prediction, |mapping, _| path_of(&mapping.version), "version");
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

/// Whether a field is among the columns: under its mapped path, the path's last part, or its canonical name.
pub(super) fn is_among(names: &[String], path: Option<&Path>, canonical: &str) -> bool {
    let mapped = path.map(|path| path.join("."));
    let last = path.and_then(|path| path.last()).map(String::as_str);
    [mapped.as_deref(), last, Some(canonical)]
        .into_iter()
        .flatten()
        .any(|wanted| names.iter().any(|name| name == wanted))
}

fn path_of(field: &Field) -> Option<&Path> {
    match field {
        Field::Path(path) => Some(path),
        Field::Absent | Field::Constant(_) => None,
    }
}
