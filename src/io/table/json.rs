//! JSON lines as a table: values under their paths, as texts. Lines may be envelopes with a topic and a value.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::DataType;
use serde_json::{Map, Value};

use super::{Chunk, Column, Table, tell_apart};
use crate::decode::json;
use crate::error::{Error, Result};
use crate::replay::BATCH_ROWS;
use crate::replay::file::Format;
use crate::replay::jsonl::Reader;

/// Lines that are looked at to find out which columns there are.
const SURVEY_LINES: usize = 10_000;
/// Levels of objects that are gone into.
const DEPTH_MAX: usize = 8;

/// One line: its topic, if it is an envelope, and the object that it brings.
fn event(line: &[u8]) -> Option<(Option<String>, Map<String, Value>)> {
    let mut fields = json::object(line)?;
    match (fields.get("topic"), fields.get("value")) {
        (Some(Value::String(topic)), Some(Value::Object(_))) => {
            let topic = Some(topic.clone());
            let Some(Value::Object(value)) = fields.remove("value") else { return None };
            Some((topic, value))
        }
        _ => Some((None, fields)),
    }
}

/// The tables of a file or of lines in memory, one per topic, in the order in which topics come.
pub(super) fn survey(path: &Path, lines: Option<&Arc<[u8]>>) -> Result<Vec<Table>> {
    let mut reader = reader(path, lines)?;
    let mut tables: Vec<Table> = Vec::new();
    let mut line = Vec::new();
    for _ in 0..SURVEY_LINES {
        line.clear();
        if !reader.read(&mut line)? {
            break;
        }
        let Some((topic, fields)) = event(&line) else { continue };
        let known = tables.iter().position(|table| table.topic == topic).unwrap_or_else(|| {
            let (path, columns, lines) = (path.into(), Vec::new(), lines.cloned());
            tables.push(Table { path, columns, topic, format: Format::Lines, rows: None, lines });
            tables.len() - 1
        });
        note(&fields, &[], &mut tables[known].columns);
    }
    tables.retain(|table| !table.columns.is_empty());
    tables.iter_mut().for_each(|table| tell_apart(&mut table.columns));
    if tables.is_empty() {
        return Err(Error::user(format!("{} holds no JSON object", path.display()))
            .hint("each line must be one object, or an envelope with topic and value"));
    }
    Ok(tables)
}

fn reader(path: &Path, lines: Option<&Arc<[u8]>>) -> Result<Reader> {
    lines.map_or_else(|| Reader::open(path), |lines| Ok(Reader::over(path, Arc::clone(lines))))
}

/// Adds the columns that an object has and that are not known yet.
fn note(fields: &Map<String, Value>, path: &[String], columns: &mut Vec<Column>) {
    for (name, value) in fields {
        let path = [path, std::slice::from_ref(name)].concat();
        match value {
            Value::Object(inner) if path.len() < DEPTH_MAX => note(inner, &path, columns),
            Value::Null | Value::Array(_) | Value::Object(_) => {}
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                if !columns.iter().any(|column| column.path == path) {
                    columns.push(Column { name: path.join("."), path, data_type: DataType::Utf8, place: Vec::new() });
                }
            }
        }
    }
}

/// Rows of a file, some at a time.
pub(super) struct Rows {
    reader: Reader,
    topic: Option<String>,
    paths: Vec<Vec<String>>,
}

impl Rows {
    pub(super) fn open(table: &Table, paths: Vec<Vec<String>>) -> Result<Self> {
        let reader = reader(&table.path, table.lines.as_ref())?;
        Ok(Self { reader, topic: table.topic.clone(), paths })
    }

    fn chunk(&mut self) -> Result<Option<Chunk>> {
        let mut cells: Vec<StringBuilder> = self.paths.iter().map(|_| StringBuilder::new()).collect();
        let (mut rows, mut refused, mut example, mut line) = (0, 0, None, Vec::new());
        while rows < BATCH_ROWS {
            line.clear();
            if !self.reader.read(&mut line)? {
                break;
            }
            match event(&line) {
                None if line.is_empty() => {}
                None => {
                    refused += 1;
                    example.get_or_insert_with(|| format!("line {} is no JSON object", self.reader.line()));
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
        Ok((rows > 0 || refused > 0).then_some(Chunk { arrays, rows, refused, example }))
    }
}

impl Iterator for Rows {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        self.chunk().transpose()
    }
}

/// What stands at a path, as a text; nothing for nulls, lists and objects.
fn text(fields: &Map<String, Value>, path: &[String]) -> Option<String> {
    let (last, above) = path.split_last()?;
    let inner = above.iter().try_fold(fields, |fields, name| fields.get(name)?.as_object())?;
    match inner.get(last)? {
        Value::String(text) => Some(text.clone()),
        value @ (Value::Bool(_) | Value::Number(_)) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
