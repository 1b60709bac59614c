//! The columns of a file that the plan reads.
//!
//! A field is looked up by its mapped path (a column of that name, or a field inside a struct), then by the path's last
//! part, then by its canonical name.

use crate::error::{Error, Result};
use crate::event::EventKind;
use crate::plan::{Field, Mapping, Path, Plan, Role, Task, TimeFormat};

use super::ARRIVAL_NAMES;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// An id: a text of which only the hash is kept.
    Id,
    /// A point in time.
    Time(TimeFormat),
    /// A number.
    Number,
    /// A short text with few distinct values.
    Text,
    /// A yes or no, or a text that is empty for no.
    Flag,
    /// Scores per class.
    Scores,
}

/// A field that the plan reads.
#[derive(Debug)]
pub(super) struct Wanted {
    name: String,
    path: Path,
    pub(super) content: Content,
    required: bool,
}

/// Indexes of the leaf columns to read and what each one holds, and what is missing but not needed.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) leaves: Vec<(usize, Content)>,
    pub(super) warnings: Vec<String>,
}

/// Every field that a source of the plan reads.
pub(super) fn wanted(plan: &Plan, source: u16) -> Vec<Wanted> {
    let source = &plan.sources[usize::from(source)];
    let mapping = &source.mapping;
    let named = source.kind != EventKind::Outcome;
    let identified = matches!(source.kind, EventKind::Prediction | EventKind::Outcome);
    let multiclass = plan.quality.as_ref().is_some_and(|quality| quality.task == Task::Multiclass);
    let label = if multiclass { Content::Text } else { Content::Number };

    let mut fields = Vec::new();
    let mut add = |name: &str, path: Option<&Path>, content, required| {
        fields.extend(path.map(|path| Wanted { name: name.to_owned(), path: path.clone(), content, required }));
    };
    add("prediction_id", mapping.id.as_ref(), Content::Id, identified);
    if let Some((path, format)) = &mapping.event_time {
        add("event_time", Some(path), Content::Time(*format), true);
    }
    add("model", text_path(&mapping.model), Content::Text, named);
    add("version", text_path(&mapping.version), Content::Text, named);
    add("predicted_label", mapping.predicted.as_ref(), Content::Text, false);
    add("class_scores", mapping.class_scores.as_ref(), Content::Scores, false);
    add("status", mapping.status.as_ref(), Content::Number, false);
    add("error", mapping.failed.as_ref(), Content::Flag, false);
    add("label", mapping.label.as_ref(), label, source.kind == EventKind::Outcome);
    add("exposure", mapping.exposure.as_ref(), Content::Number, source.kind == EventKind::Exposure);
    fields.extend(features(plan, mapping));
    fields
}

/// Segments and the plan's numeric and categorical columns.
fn features(plan: &Plan, mapping: &Mapping) -> Vec<Wanted> {
    let segments = plan
        .segments
        .iter()
        .zip(mapping.segments.iter().map(Some))
        .map(|(name, path)| (name.as_str(), path, Content::Text));
    let numeric = plan.columns.numeric.iter().zip(&mapping.numeric).map(|(column, field)| {
        let name = if column.role == Role::Latency { "latency_ms" } else { &column.name };
        (name, field.as_ref().map(|field| &field.path), Content::Number)
    });
    let categorical = plan.columns.categorical.iter().zip(&mapping.categorical);
    let categorical = categorical.map(|(column, path)| (column.name.as_str(), path.as_ref(), Content::Text));
    let all = segments.chain(numeric).chain(categorical);
    all.filter_map(|(name, path, content)| {
        Some(Wanted { name: name.to_owned(), path: path?.clone(), content, required: false })
    })
    .collect()
}

fn text_path(field: &Field) -> Option<&Path> {
    match field {
        Field::Path(path) => Some(path),
        Field::Absent | Field::Constant(_) => None,
    }
}

/// Finds the wanted fields among the leaf columns of a file (dotted paths), and the arrival time.
pub(super) fn find(wanted: &[Wanted], leaves: &[String]) -> Result<Found> {
    let mut found = Found::default();
    for field in wanted {
        let places = lookup(leaves, Some(&field.path), &field.name);
        if places.is_empty() && field.required {
            return Err(missing(field, leaves));
        }
        if places.is_empty() {
            found.warnings.push(format!("has no column for `{}`; it counts as missing in every row", field.name));
        }
        found.leaves.extend(places.into_iter().map(|place| (place, field.content)));
    }
    let arrival = ARRIVAL_NAMES.iter().find_map(|name| leaves.iter().position(|leaf| leaf == name));
    found.leaves.extend(arrival.map(|place| (place, Content::Time(TimeFormat::Micros))));
    found.leaves.sort_by_key(|&(place, _)| place);
    found.leaves.dedup_by_key(|&mut (place, _)| place);
    Ok(found)
}

/// The leaf columns under a path, else under its last part, else under the canonical name.
pub(super) fn lookup(leaves: &[String], path: Option<&Path>, name: &str) -> Vec<usize> {
    let mapped = path.map(|path| path.join("."));
    let last = path.and_then(|path| path.last());
    let names = [mapped.as_deref(), last.map(String::as_str), Some(name)];
    let under = |name: &str| -> Vec<usize> {
        let is_under =
            |leaf: &String| leaf.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        (0..leaves.len()).filter(|&at| is_under(&leaves[at])).collect()
    };
    names.into_iter().flatten().map(under).find(|places| !places.is_empty()).unwrap_or_default()
}

fn missing(field: &Wanted, leaves: &[String]) -> Error {
    /// How many of the file's columns an error names.
    const SHOWN: usize = 12;
    let more = if leaves.len() > SHOWN { ", …" } else { "" };
    let shown: Vec<&str> = leaves.iter().take(SHOWN).map(String::as_str).collect();
    Error::user(format!("no column `{}` for the {}", field.path.join("."), field.name.replace('_', " ")))
        .hint(format!("map it under `sources` to one of the file's columns: {}{more}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup_names(leaves: &[&str], path: &str, name: &str) -> Vec<usize> {
        let leaves: Vec<String> = leaves.iter().map(|&leaf| leaf.to_owned()).collect();
        let path = path.split('.').map(str::to_owned).collect();
        lookup(&leaves, Some(&path), name)
    }

    #[test]
    fn a_field_is_found_by_path_then_last_part_then_canonical_name() {
        let leaves = ["score", "out.p", "p", "scores.a", "scores.b"];
        assert_eq!(lookup_names(&leaves, "out.p", "score"), [1]);
        assert_eq!(lookup_names(&leaves, "other.p", "score"), [2]);
        assert_eq!(lookup_names(&leaves, "other.q", "score"), [0]);
        assert_eq!(lookup_names(&leaves, "scores", "class_scores"), [3, 4]);
        assert!(lookup_names(&leaves, "x", "y").is_empty());
    }
}
