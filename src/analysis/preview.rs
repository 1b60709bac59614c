//! The first rows of files as a pipeline reads them, and which fields of their records nothing reads.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _};
use serde_json::Value;

use crate::batch::{EventBatch, TextArray};
use crate::error::Result;
use crate::init::documents::documents;
use crate::kafka::ports::Schemas;
use crate::output::text::{instant, number};
use crate::plan::{ClassScores, Mapping, Path, PathStep, Plan, ROW, SourcePlan};
use crate::replay::{self, ARRIVAL_NAMES, ReplayOptions};
use crate::table::Table;

/// Rows that are shown of each source.
const ROWS: usize = 5;
/// Refused rows that are shown.
const REFUSED: usize = 3;
/// Records whose fields are looked at.
const RECORDS: usize = 200;
/// Fields that are named at most.
const FIELDS_MAX: usize = 40;

/// What a sample shows.
#[derive(Debug, Default)]
pub struct Preview {
    /// The first rows, as they are read, and the first that are refused.
    pub rows: Vec<String>,
    /// The fields that nothing reads.
    pub unread: Vec<String>,
}

/// Reads the first rows of files through a pipeline.
///
/// # Errors
/// When a file cannot be read, or fits no source of the pipeline.
pub fn of(plan: &Arc<Plan>, files: &[PathBuf], schemas: Arc<dyn Schemas>) -> Result<Preview> {
    let mut preview = Preview::default();
    let mut shown = vec![0; plan.sources.len()];
    let (mut n_refused, mut n_read) = (0, 0);
    let mut replay = replay::open(plan, files, &ReplayOptions { schemas, ..ReplayOptions::default() })?;
    for step in replay.by_ref() {
        match step? {
            replay::ReplayStep::Batch(batch) => {
                let source = usize::from(batch.source);
                let more = batch.len().min(ROWS - shown[source]);
                preview.rows.extend((0..more).map(|row| described(plan, &batch, row)));
                shown[source] += more;
                n_read += batch.len();
            }
            replay::ReplayStep::Refused(refused) => {
                let said = refused.iter().map(|one| {
                    let kind = plan.sources[usize::from(one.source)].kind.name();
                    format!("{kind} refused, {}: {} ({})", one.place, one.reject.detail, one.reject.reason.code())
                });
                preview.rows.extend(said.take(REFUSED.saturating_sub(n_refused)));
                n_refused += refused.len();
            }
            replay::ReplayStep::End { .. } => {}
        }
        if n_read + n_refused >= replay::BATCH_ROWS {
            break;
        }
    }
    let passed = replay.passed_over();
    preview.rows.push(format!("of the first rows {n_read} were read, {n_refused} refused, {passed} passed over"));
    // What is in the records of archives stands in no column.
    let archived = files.iter().map(|file| replay::is_archive(file)).collect::<Result<Vec<_>>>()?;
    let files = files.iter().zip(archived).filter(|(_, is_archive)| !is_archive).map(|(file, _)| file.clone());
    let tables = Table::open_kinds(&files.collect::<Vec<_>>())?;
    for table in &tables {
        preview.unread.extend(unread(plan, table)?);
    }
    Ok(preview)
}

/// A row in words: what it is, and each value by the name that the pipeline gives it.
fn described(plan: &Plan, batch: &EventBatch, row: usize) -> String {
    let text = |array: &TextArray| array.key(row).map(|key| array.values().as_string::<i32>().value(key).to_owned());
    let source = &plan.sources[usize::from(batch.source)];
    let mut said = vec![format!("{} at {}", source.kind.name(), instant(batch.event_time.value(row)))];
    let mut add = |name: &str, value: Option<String>| said.extend(value.map(|value| format!("{name} {value}")));
    add("id", batch.id.is_valid(row).then(|| format!("#{:016x}", batch.id.value(row))));
    add("model", text(&batch.model));
    add("version", text(&batch.version));
    plan.segments.iter().zip(&batch.segments).for_each(|(name, array)| add(name, text(array)));
    for ((column, array), field) in plan.columns.numeric.iter().zip(&batch.numeric).zip(&source.mapping.numeric) {
        let is_read = field.is_some() || array.is_valid(row);
        let value = if array.is_valid(row) { number(array.value(row)) } else { "missing".to_owned() };
        add(&column.name, is_read.then_some(value));
    }
    for ((column, array), path) in
        plan.columns.categorical.iter().zip(&batch.categorical).zip(&source.mapping.categorical)
    {
        add(&column.name, path.as_ref().map(|_| text(array).unwrap_or_else(|| "missing".to_owned())));
    }
    add("predicted", text(&batch.predicted));
    add("status", batch.status.is_valid(row).then(|| batch.status.value(row).to_string()));
    add("failed", batch.failed.is_valid(row).then(|| batch.failed.value(row).to_string()));
    add("label", batch.label.is_valid(row).then(|| number(batch.label.value(row))));
    add("label", text(&batch.label_class));
    add("exposure", batch.exposure.is_valid(row).then(|| number(batch.exposure.value(row))));
    said.join(", ")
}

/// The fields of the records of a table that no source reads.
fn unread(plan: &Plan, table: &Table) -> Result<Vec<String>> {
    let sources: Vec<&SourcePlan> = plan.sources.iter().collect();
    let of_topic = sources.iter().copied().filter(|source| Some(&source.topic) == table.topic.as_ref());
    let of_topic: Vec<&SourcePlan> = of_topic.collect();
    let sources = if of_topic.is_empty() { sources } else { of_topic };
    let read: Vec<Vec<PathStep>> = sources.iter().flat_map(|source| ways(&source.mapping)).collect();
    let mut seen = Vec::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for document in documents(table, RECORDS)? {
        for (column, value) in table.columns.iter().zip(&document) {
            let steps: Vec<PathStep> = column.path.iter().cloned().map(PathStep::Key).collect();
            leaves(&steps, value, &mut |place| {
                let name = place.iter().cloned().collect::<Path>().to_string();
                if known.insert(name.clone()) && !is_read(&read, place) {
                    seen.push(name);
                }
            });
        }
    }
    let more = seen.len().saturating_sub(FIELDS_MAX);
    seen.truncate(FIELDS_MAX);
    seen.extend((more > 0).then(|| format!("and {more} more")));
    Ok(seen)
}

/// The way from the record to each value that a source reads.
fn ways(mapping: &Mapping) -> Vec<Vec<PathStep>> {
    let conditions = mapping.selection.conditions.iter().map(|condition| &condition.path);
    let whole = |path: &Path| {
        let row = mapping.rows.as_ref().map(Path::each);
        let first = path.first().map(|first| if first == ROW { row.unwrap_or_default() } else { first.to_owned() });
        let lists = first.as_deref().filter(|first| first.contains("[*]"));
        let head: Vec<PathStep> = match lists {
            Some(first) => first.split("[*]").filter(|part| !part.is_empty()).flat_map(list).collect(),
            None => path.steps().first().cloned().into_iter().collect(),
        };
        head.into_iter().chain(path.steps().iter().skip(1).cloned()).collect()
    };
    let scores = mapping.class_scores.iter().filter_map(|scores| match scores {
        ClassScores::Whole(path) => Some(path),
        ClassScores::Each(_) => None,
    });
    mapping.paths().into_iter().chain(conditions).chain(scores).map(whole).collect()
}

/// A part of the way through lists, and any element behind it.
fn list(part: &str) -> Vec<PathStep> {
    let path: Option<Path> = part.trim_start_matches('.').parse().ok();
    path.iter().flat_map(|path| path.steps().to_vec()).chain([PathStep::Index(0)]).collect()
}

/// Calls `take` with the place of each scalar. Of lists only the first elements differ by what is in them, so they
/// count as one, but those that are known by a text.
fn leaves(steps: &[PathStep], value: &Value, take: &mut dyn FnMut(&[PathStep])) {
    let with = |step: PathStep| -> Vec<PathStep> { steps.iter().cloned().chain([step]).collect() };
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| leaves(&with(PathStep::Key(key.clone())), value, take));
        }
        Value::Array(all) => {
            for element in all {
                let named = ["key", "name"].into_iter().find_map(|key| Some((key, element.get(key)?.as_str()?)));
                match named {
                    Some((key, text)) => {
                        let place = with(PathStep::Named(key.to_owned(), text.to_owned()));
                        let fields = element.as_object().into_iter().flatten().filter(|(field, _)| *field != key);
                        fields.for_each(|(field, value)| {
                            let place: Vec<PathStep> =
                                place.iter().cloned().chain([PathStep::Key(field.clone())]).collect();
                            leaves(&place, value, take);
                        });
                    }
                    None => leaves(&with(PathStep::Index(0)), element, take),
                }
            }
        }
        _ => take(steps),
    }
}

/// Whether something reads what stands at a place, or all of what it stands in.
fn is_read(ways: &[Vec<PathStep>], place: &[PathStep]) -> bool {
    let is_alike = |(way, place): (&PathStep, &PathStep)| match (way, place) {
        (PathStep::Index(_), PathStep::Index(_) | PathStep::Named(..)) | (PathStep::Named(..), PathStep::Index(_)) => {
            true
        }
        (way, place) => way == place,
    };
    let leads = |way: &&Vec<PathStep>| way.len() <= place.len() && way.iter().zip(place).all(is_alike);
    let is_last = |way: &&Vec<PathStep>| place.len() == 1 && way.last() == place.last();
    let is_arrival = matches!(place, [PathStep::Key(name)] if ARRIVAL_NAMES.contains(&name.as_str()));
    is_arrival || ways.iter().any(|way| leads(&way) || is_last(&way))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config;

    fn path(text: &str) -> Path {
        text.parse().expect("a path")
    }

    fn places(value: &Value) -> Vec<String> {
        let mut all = Vec::new();
        leaves(&[], value, &mut |place| all.push(place.iter().cloned().collect::<Path>().to_string()));
        all
    }

    /// Whether one of these ways reads what stands at a place.
    fn reads(ways: &[&str], place: &str) -> bool {
        let ways: Vec<Vec<PathStep>> = ways.iter().map(|way| path(way).steps().to_vec()).collect();
        is_read(&ways, path(place).steps())
    }

    #[test]
    fn every_scalar_has_a_place_and_elements_of_lists_share_theirs() {
        let record =
            json!({ "a": { "b": 1, "none": null }, "list": [1, 2], "deep": [[{ "x": 1 }], [{ "y": 2 }]], "empty": [] });
        assert_eq!(places(&record), ["a.b", "deep[0][0].x", "deep[0][0].y", "list[0]", "list[0]"]);
        let named = json!({ "tensors": [{ "name": "in", "shape": [1] }, { "key": "k", "name": "n" }, { "other": 1 }] });
        assert_eq!(places(&named), ["tensors[name=in].shape[0]", "tensors[key=k].name", "tensors[0].other"]);
    }

    #[test]
    fn what_leads_to_a_place_or_around_it_reads_it() {
        let cases = [
            (&["a.b"][..], "a.b", true),
            (&["a"], "a.b", true),
            (&["a.b.c"], "a.b", false),
            (&["a.c", "x"], "a.b", false),
            (&["list[3]"], "list[0]", true),
            (&["list[key=k].value"], "list[0].value", true),
            (&["list[0].value"], "list[key=k].value", true),
            (&["list[key=k].value"], "list[key=other].value", false),
            (&["a.b"], "b", true),
            (&["a.b"], "c.b", false),
            (&[], "ingest_time", true),
            (&[], "a.ingest_time", false),
            (&[], "ingest_times", false),
        ];
        for (ways, place, expected) in cases {
            assert_eq!(reads(ways, place), expected, "{ways:?} of {place}");
        }
    }

    #[test]
    fn ways_lead_from_the_record_whatever_the_rows_are() {
        let text = "sources: { predictions: { topic: p, rows: 'batch[*].rows[*]', id: $row.id, version: v, \
                    event_time: 'batch[*].at', score: $row.out.s, where: { kind: [a] } } }";
        let plan = config::parse(text, "p.yaml", std::path::Path::new("")).expect("a pipeline").plan;
        let ways = ways(&plan.sources[0].mapping);
        let written: BTreeSet<String> =
            ways.iter().map(|way| way.iter().cloned().collect::<Path>().to_string()).collect();
        for way in ["v", "kind", "batch[0].at", "batch[0].rows[0].id", "batch[0].rows[0].out.s"] {
            assert!(written.contains(way), "{way} of {written:?}");
        }
        let place = |text: &str| is_read(&ways, path(text).steps());
        assert!(place("batch[0].rows[0].id") && !place("batch[0].rows[0].other") && !place("batch[0].other"));
    }

    #[test]
    fn the_first_rows_are_told_as_they_are_read_and_the_fields_that_nothing_reads() {
        let dir = tempfile::tempdir().expect("a folder");
        let text = "sources: { predictions: { topic: p, id: id, version: v, event_time: t, score: s } }";
        let plan = config::parse(text, "p.yaml", std::path::Path::new("")).expect("a pipeline").plan;
        let good = |id: usize| json!({ "id": format!("i{id}"), "v": "v1", "t": "2026-01-01T00:00:00Z", "s": 0.25, "more": { "x": id } });
        let bad = |id: usize| json!({ "id": format!("b{id}"), "t": "2026-01-01T00:00:00Z", "s": 0.25 });
        let lines = (0..ROWS + 2)
            .map(good)
            .chain((0..REFUSED + 2).map(bad))
            .map(|line| line.to_string() + "\n")
            .collect::<String>();
        let file = dir.path().join("p.jsonl");
        std::fs::write(&file, lines).expect("a file");
        let preview = of(&plan, &[file], ReplayOptions::default().schemas).expect("a preview");
        let begins = |text: &str| preview.rows.iter().filter(|row| row.starts_with(text)).count();
        assert_eq!(begins("prediction at 2026-01-01 00:00"), ROWS);
        assert_eq!(begins("prediction refused, line 8: "), 1, "{:?}", preview.rows);
        assert_eq!(begins("prediction refused"), REFUSED);
        let read = preview.rows.iter().find(|row| row.starts_with("prediction at")).expect("a row");
        assert!(read.ends_with(", version v1, score 0.25"), "{read}");
        let last = preview.rows.last().expect("a line");
        assert_eq!(*last, format!("of the first rows {} were read, {} refused, 0 passed over", ROWS + 2, REFUSED + 2));
        assert_eq!(preview.unread, ["more.x"]);
    }
}
