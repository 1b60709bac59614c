//! JSON records as a table: values under their paths, as texts. Records may be envelopes with a topic and a value.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::{DataType, Field};
use serde_json::{Map, Value};

use super::{Chunk, Column, Table, TableContents, example};
use crate::decode::object::object;
use crate::error::{Error, Result};
use crate::files::columns::Place;
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

/// The columns of one topic, by their path: in which order they came, and whether any value is no list.
#[derive(Default)]
struct TopicFields(BTreeMap<Vec<String>, (usize, bool)>);

impl TopicFields {
    /// Takes in the fields of an object.
    fn note(&mut self, fields: &Map<String, Value>, path: &[String]) {
        for (name, value) in fields {
            let path = [path, std::slice::from_ref(name)].concat();
            match value {
                Value::Object(inner) if path.len() < DEPTH_MAX => self.note(inner, &path),
                Value::Null => {}
                Value::Array(_) | Value::Object(_) => self.add(path, false),
                Value::Bool(_) | Value::Number(_) | Value::String(_) => self.add(path, true),
            }
        }
    }

    fn add(&mut self, path: Vec<String>, is_plain: bool) {
        let n = self.0.len();
        self.0.entry(path).or_insert((n, false)).1 |= is_plain;
    }

    /// The columns as they came; those that hold nothing but lists are said to be lists.
    fn columns(self) -> Vec<(Column, Vec<usize>)> {
        let mut columns: Vec<(usize, Column)> = self
            .0
            .into_iter()
            .map(|(path, (at, is_plain))| {
                let list = || DataType::List(Arc::new(Field::new("item", DataType::Null, true)));
                let data_type = if is_plain { DataType::Utf8 } else { list() };
                (at, Column { name: path.join("."), path, data_type })
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
    let mut record = Vec::new();
    while records.read(&mut record)? {
        if let Some((topic, fields)) = event(&record) {
            let known = topics.iter().position(|(known, _)| *known == topic).unwrap_or_else(|| {
                topics.push((topic, TopicFields::default()));
                topics.len() - 1
            });
            topics[known].1.note(&fields, &[]);
        }
        record.clear();
    }
    topics.retain(|(_, fields)| !fields.0.is_empty());
    if topics.is_empty() {
        return Err(Error::user(format!("{} holds no JSON object", path.display()))
            .hint("each event must be an object, or an envelope with topic and value"));
    }
    let table = |(topic, fields): (Option<String>, TopicFields)| {
        Table::of_part(path, topic, TableContents::Json(lines.cloned()), fields.columns())
    };
    Ok(topics.into_iter().map(table).collect())
}

fn records(path: &Path, lines: Option<&Arc<[u8]>>) -> Result<Records> {
    lines.map_or_else(|| Records::open(path), |lines| Ok(Records::over(path, Arc::clone(lines))))
}

/// Rows of a file, some at a time.
pub(super) struct Rows {
    path: Arc<Path>,
    records: Records,
    topic: Option<String>,
    paths: Vec<Vec<String>>,
}

impl Rows {
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
                    let place = Place::Line(self.records.line());
                    first.get_or_insert_with(|| example(&self.path, place, "no JSON object"));
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
        Ok((rows > 0 || refused > 0).then_some(Chunk { arrays, rows, refused, example: first }))
    }
}

impl Iterator for Rows {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.chunk().transpose()
    }
}

/// What stands at a path, as a text, lists as they are written; nothing for nulls and objects.
fn text(fields: &Map<String, Value>, path: &[String]) -> Option<String> {
    let (last, above) = path.split_last()?;
    let inner = above.iter().try_fold(fields, |fields, name| fields.get(name)?.as_object())?;
    match inner.get(last)? {
        Value::String(text) => Some(text.clone()),
        value @ (Value::Bool(_) | Value::Number(_) | Value::Array(_)) => Some(value.to_string()),
        Value::Null | Value::Object(_) => None,
    }
}
