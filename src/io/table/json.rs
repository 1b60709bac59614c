//! JSON records as a table: values under their paths, as texts. Records may be envelopes with a topic and a value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::{DataType, Field};
use serde_json::{Map, Value};

use super::kept::{ChunkBuilder, KEPT_BYTES, RefusedSoFar};
use super::{Chunk, Table, TableColumn, TableContents, example};
use crate::decode::object::object;
use crate::error::{Error, Result};
use crate::files::columns::RowPosition;
use crate::files::records::Records;
use crate::replay::BATCH_ROWS;

/// Levels of objects that are gone into.
const DEPTH_MAX: usize = 8;

/// One record: its topic, if it is an envelope, and the object that it brings.
fn event(record: &[u8]) -> Option<(Option<String>, Map<String, Value>)> {
    let mut fields = object(record)?;
    match (fields.get("topic"), fields.get("value")) {
        (Some(Value::String(topic)), Some(Value::Object(_))) => {
            let topic = Some(topic.clone());
            let Some(Value::Object(value)) = fields.remove("value") else { return None };
            Some((topic, value))
        }
        _ => Some((None, fields)),
    }
}

/// What one topic holds.
#[derive(Default)]
struct TopicFields {
    /// By their path: in which order fields came, and whether any value is no list.
    fields: BTreeMap<Vec<String>, (usize, bool)>,
    /// Of a small file.
    kept: Option<ChunkBuilder>,
}

impl TopicFields {
    /// Takes in an event.
    fn take(&mut self, event: &Map<String, Value>) {
        self.note(event, &[]);
        self.kept.iter_mut().for_each(ChunkBuilder::end_row);
    }

    /// Takes in the fields of an object.
    fn note(&mut self, fields: &Map<String, Value>, above: &[String]) {
        for (name, value) in fields {
            match value {
                Value::Object(inner) if above.len() + 1 < DEPTH_MAX => {
                    self.note(inner, &[above, std::slice::from_ref(name)].concat());
                }
                Value::Null => {}
                Value::Array(_) | Value::Object(_) => self.add((above, name), value, false),
                Value::Bool(_) | Value::Number(_) | Value::String(_) => self.add((above, name), value, true),
            }
        }
    }

    fn add(&mut self, (above, name): (&[String], &String), value: &Value, is_plain: bool) {
        let n = self.fields.len();
        let known = if above.is_empty() { self.fields.get_mut(std::slice::from_ref(name)) } else { None };
        if let Some(known) = known {
            known.1 |= is_plain;
        } else {
            let path = [above, std::slice::from_ref(name)].concat();
            self.fields.entry(path).or_insert((n, false)).1 |= is_plain;
        }
        if let Some((kept, text)) = self.kept.as_mut().zip(cell(value)) {
            kept.cell(above, name, &text);
        }
    }

    /// The columns as they came; those that hold nothing but lists are said to be lists.
    fn columns(self) -> Vec<(TableColumn, Vec<usize>)> {
        let mut columns: Vec<(usize, TableColumn)> = self
            .fields
            .into_iter()
            .map(|(path, (at, is_plain))| {
                let list = || DataType::List(Arc::new(Field::new("item", DataType::Null, true)));
                let data_type = if is_plain { DataType::Utf8 } else { list() };
                (at, TableColumn { name: path.join("."), path, data_type, inside: None })
            })
            .collect();
        columns.sort_by_key(|(at, _)| *at);
        columns.into_iter().map(|(_, column)| (column, Vec::new())).collect()
    }
}

/// The tables of a file or of lines in memory, one per topic, in the order in which topics come. All records are looked
/// at: a field may come late.
pub(super) fn survey(path: &Path, lines: Option<&Arc<[u8]>>) -> Result<Vec<Table>> {
    let mut records = records(path, lines)?;
    let mut topics: Vec<(Option<String>, TopicFields)> = Vec::new();
    let (mut record, mut refused) = (Vec::new(), RefusedSoFar::default());
    while records.read(&mut record)? {
        if let Some((topic, event)) = event(&record) {
            let known = topics.iter().position(|(known, _)| *known == topic).unwrap_or_else(|| {
                let kept = ChunkBuilder::after(refused.clone());
                topics.push((topic, TopicFields { kept: Some(kept), ..TopicFields::default() }));
                topics.len() - 1
            });
            topics[known].1.take(&event);
            let kept = topics.iter().filter_map(|(_, fields)| fields.kept.as_ref());
            if kept.map(ChunkBuilder::bytes).sum::<usize>() > KEPT_BYTES {
                topics.iter_mut().for_each(|(_, fields)| fields.kept = None);
            }
        } else {
            let example = no_object(path, &records);
            refused.add(&example);
            topics.iter_mut().filter_map(|(_, fields)| fields.kept.as_mut()).for_each(|kept| kept.refuse(&example));
        }
        record.clear();
    }
    topics.retain(|(_, fields)| !fields.fields.is_empty());
    if topics.is_empty() {
        return Err(Error::user(format!("{} holds no JSON object", path.display()))
            .hint("each event must be an object, or an envelope with topic and value"));
    }
    let table = |(topic, mut fields): (Option<String>, TopicFields)| {
        let kept = fields.kept.take().map(ChunkBuilder::finish);
        Table::of_part(path, topic, TableContents::Json { lines: lines.cloned(), kept }, fields.columns())
    };
    Ok(topics.into_iter().map(table).collect())
}

fn no_object(path: &Path, records: &Records) -> String {
    example(path, RowPosition::Line(records.line()), "no JSON object")
}

fn records(path: &Path, lines: Option<&Arc<[u8]>>) -> Result<Records> {
    lines.map_or_else(|| Records::open(path), |lines| Ok(Records::over(path, Arc::clone(lines))))
}

/// Rows of a file, some at a time.
pub(super) struct JsonRows {
    path: Arc<Path>,
    records: Records,
    topic: Option<String>,
    paths: Vec<Vec<String>>,
}

impl JsonRows {
    pub(super) fn open(
        path: &Arc<Path>,
        lines: Option<&Arc<[u8]>>,
        topic: Option<String>,
        paths: Vec<Vec<String>>,
    ) -> Result<Self> {
        Ok(Self { path: Arc::clone(path), records: records(path, lines)?, topic, paths })
    }

    fn chunk(&mut self) -> Result<Option<Chunk>> {
        let mut cells: Vec<StringBuilder> = self.paths.iter().map(|_| StringBuilder::new()).collect();
        let (mut rows, mut refused, mut first, mut record) = (0, 0, None, Vec::new());
        while rows < BATCH_ROWS {
            record.clear();
            if !self.records.read(&mut record)? {
                break;
            }
            match event(&record) {
                None => {
                    refused += 1;
                    first.get_or_insert_with(|| no_object(&self.path, &self.records));
                }
                Some((topic, _)) if topic != self.topic => {}
                Some((_, fields)) => {
                    let texts = self.paths.iter().map(|path| text(&fields, path));
                    cells.iter_mut().zip(texts).for_each(|(cells, text)| cells.append_option(text));
                    rows += 1;
                }
            }
        }
        let arrays = cells.iter_mut().map(|cells| Arc::new(cells.finish()) as ArrayRef).collect();
        Ok((rows > 0 || refused > 0).then_some(Chunk { arrays, rows, refused, passed_over: 0, example: first }))
    }
}

impl Iterator for JsonRows {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.chunk().transpose()
    }
}

/// What stands at a path, as a text, lists as they are written; nothing for nulls and objects.
fn text(fields: &Map<String, Value>, path: &[String]) -> Option<String> {
    let (last, above) = path.split_last()?;
    let inner = above.iter().try_fold(fields, |fields, name| fields.get(name)?.as_object())?;
    cell(inner.get(last)?).map(Cow::into_owned)
}

fn cell(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => Some(Cow::Owned(value.to_string())),
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Two topics, late and nested fields, lists, nulls and lines that are none, over several chunks.
    fn lines() -> Arc<[u8]> {
        let mut text = "no object\n".to_owned();
        for row in 0..3 * BATCH_ROWS {
            let value = match row % 5 {
                0 => format!(r#"{{"n": {row}, "in": {{"x": {row}.50, "deep": {{"y": true}}}}}}"#),
                1 => r#"{"n": null, "list": [1, {"a": 2}], "in": 3}"#.to_owned(),
                2 => "{}".to_owned(),
                3 => format!(r#"{{"late {}": "text", "n": NaN, "n": 1}}"#, row / BATCH_ROWS),
                _ => "[7]".to_owned(),
            };
            let _ = match row % 7 {
                6 => writeln!(text, r#"{{"topic": "other", "value": {value}}}"#),
                _ => writeln!(text, "{value}"),
            };
        }
        text.into_bytes().into()
    }

    #[test]
    fn cells_that_are_kept_are_those_that_would_be_read_again() {
        let (path, lines): (Arc<Path>, _) = (Path::new("lines.jsonl").into(), lines());
        let tables = survey(&path, Some(&lines)).expect("objects");
        assert_eq!(tables.len(), 2);
        for table in tables {
            let TableContents::Json { kept: Some(kept), .. } = &table.parts[0].contents else {
                panic!("few lines are kept");
            };
            let paths: Vec<Vec<String>> = table.columns.iter().map(|column| column.path.clone()).collect();
            let again =
                JsonRows::open(&path, Some(&lines), table.topic.clone(), paths.clone()).expect("the same lines");
            let again: Vec<Chunk> = again.collect::<Result<_>>().expect("readable");
            assert_eq!(kept.chunks.len(), again.len());
            let mut refused = 0;
            for (kept, again) in kept.chunks.iter().map(|kept| kept.chunk(&paths)).zip(again) {
                assert_eq!((kept.rows, kept.refused, kept.example), (again.rows, again.refused, again.example));
                assert_eq!(kept.arrays, again.arrays);
                refused += kept.refused;
            }
            assert!(refused > 1);
        }
    }

    fn is_kept(table: &Table) -> bool {
        table.parts.iter().all(|part| matches!(part.contents, TableContents::Json { kept: Some(_), .. }))
    }

    fn table(lines: &[String]) -> Table {
        let lines: Arc<[u8]> = lines.join("\n").into_bytes().into();
        survey(Path::new("lines.jsonl"), Some(&lines)).expect("objects").swap_remove(0)
    }

    #[test]
    fn large_files_are_read_again() {
        let row = format!(r#"{{"text": "{}"}}"#, "x".repeat(1 << 20));
        let (small, large) = (vec![row.clone(); 34], vec![row; 66]);
        let mut together = table(&small);
        assert!(is_kept(&together));
        together.append(table(&small));
        let rare: Vec<String> = (0..8_000).map(|row| format!(r#"{{"{row}": 1}}"#)).collect();
        for (table, rows) in [(together, 68), (table(&large), 66), (table(&rare), 8_000)] {
            assert!(!is_kept(&table));
            let chunks = table.chunks(&[crate::table::Wanted { column: 0, repeats: false }]).expect("a column");
            assert_eq!(chunks.map(|chunk| chunk.expect("readable").rows).sum::<usize>(), rows);
        }
    }
}
