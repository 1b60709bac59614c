//! A file as a table: its columns by name, and some of them at a time, whatever the format.
//!
//! Parquet files give typed columns, and only those asked for are read. CSV and JSON lines give texts; what they stand
//! for ([`cells`]) is decided by whoever asks. A row that cannot be read is counted and left out, a cell that cannot is
//! missing.

pub mod cells;
mod json;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Fields};

use crate::error::{Error, Result};
use crate::replay::columnar::Found;
use crate::replay::file::{Format, recognise};
use crate::replay::{BATCH_ROWS, csv, parquet};

/// A file, and where its columns are.
#[derive(Debug, Clone)]
pub struct Table {
    /// Where it is.
    pub path: Arc<Path>,
    /// Its columns, in the order of the file; those inside structs and objects have dots in their names.
    pub columns: Vec<Column>,
    /// Its topic, when its lines are envelopes that name one.
    pub topic: Option<String>,
    format: Format,
    rows: Option<u64>,
    /// Its lines, when they are in memory and not in a file.
    lines: Option<Arc<[u8]>>,
}

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, with dots between levels.
    pub name: String,
    /// Names from the outside in.
    pub path: Vec<String>,
    /// What the file holds; texts for CSV and JSON lines.
    pub data_type: DataType,
    /// Indexes from the outside in; empty for JSON lines.
    place: Vec<usize>,
}

/// A column to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Which one.
    pub column: usize,
    /// Whether it holds texts that repeat.
    pub repeats: bool,
}

/// Some rows of the columns asked for.
#[derive(Debug)]
pub struct Chunk {
    /// One array per column asked for.
    pub arrays: Vec<ArrayRef>,
    /// Rows that could be read.
    pub rows: usize,
    /// Rows that could not.
    pub refused: u64,
    /// What is wrong with the first of them.
    pub example: Option<String>,
}

/// Chunks of a table, in its order.
pub type Chunks = Box<dyn Iterator<Item = Result<Chunk>>>;

impl Table {
    /// The table of a file; of several topics the one that comes first.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_all(path).map(|mut tables| tables.swap_remove(0))
    }

    /// The tables of a file: one, or one per topic. There is at least one, and each has columns.
    pub fn open_all(path: &Path) -> Result<Vec<Self>> {
        let format = recognise(path)?;
        let (schema, rows) = match format {
            Format::Lines => return json::survey(path, None),
            Format::Csv { delimiter } => csv::header(path, delimiter)?,
            Format::Parquet => parquet::header(path)?,
        };
        let mut columns = Vec::new();
        leaves(schema.fields(), &[], &[], &mut columns);
        if let Some(name) = twice(&columns).filter(|_| format == Format::Parquet) {
            return Err(Error::user(format!("two columns of {} are called `{name}`", path.display()))
                .hint("write the file again with a name for each"));
        }
        tell_apart(&mut columns);
        if columns.is_empty() {
            return Err(Error::user(format!("{} has no columns", path.display())).hint("write or copy it again"));
        }
        Ok(vec![Self { path: path.into(), columns, topic: None, format, rows: Some(rows), lines: None }])
    }

    /// The table of lines in memory, of several topics the first; `name` is what errors call it.
    pub fn of_lines(name: &Path, lines: Vec<u8>) -> Result<Self> {
        json::survey(name, Some(&lines.into())).map(|mut tables| tables.swap_remove(0))
    }

    /// Its rows, where they need no counting.
    pub fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// Whether columns can be read one by one without reading the others.
    pub fn is_columnar(&self) -> bool {
        self.format == Format::Parquet
    }

    /// The column with this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The rows of some columns. Several columns may be asked for only once each.
    pub fn chunks(&self, wanted: &[Wanted]) -> Result<Chunks> {
        let paths: Vec<Vec<String>> = wanted.iter().map(|wanted| self.columns[wanted.column].path.clone()).collect();
        let place = |wanted: &Wanted| (self.columns[wanted.column].place.clone(), wanted.repeats);
        let found = Found { places: wanted.iter().map(place).collect() };
        Ok(match self.format {
            Format::Lines => Box::new(json::Rows::open(self, paths)?),
            Format::Csv { delimiter } => {
                let rows = csv::Rows::open(&self.path, &found, delimiter, BATCH_ROWS)?;
                let places = rows.places(&found);
                Box::new(rows.map(move |chunk| {
                    let chunk = chunk?;
                    let arrays = places.iter().map(|&place| Arc::clone(chunk.batch.column(place))).collect();
                    Ok(with_arrays(&chunk, arrays))
                }))
            }
            Format::Parquet => {
                let rows = parquet::Rows::open(&self.path, &found, BATCH_ROWS)?;
                Box::new(rows.map(move |chunk| picked(&chunk?, &paths)))
            }
        })
    }
}

/// All columns that hold values, those inside structs with the path to them.
fn leaves(fields: &Fields, path: &[String], place: &[usize], columns: &mut Vec<Column>) {
    for (at, field) in fields.iter().enumerate() {
        let path = [path, &[field.name().clone()]].concat();
        let place = [place, &[at]].concat();
        match field.data_type() {
            DataType::Struct(inner) => leaves(inner, &path, &place, columns),
            kind => columns.push(Column { name: path.join("."), path, data_type: kind.clone(), place }),
        }
    }
}

/// The columns at these paths.
fn picked(chunk: &crate::replay::columnar::Chunk, paths: &[Vec<String>]) -> Result<Chunk> {
    let arrays = paths.iter().map(|path| {
        at(&chunk.batch, path).ok_or_else(|| Error::internal(format!("column {} got lost on the way", path.join("."))))
    });
    Ok(with_arrays(chunk, arrays.collect::<Result<_>>()?))
}

fn with_arrays(chunk: &crate::replay::columnar::Chunk, arrays: Vec<ArrayRef>) -> Chunk {
    let example = chunk.rejects.first().map(|reject| format!("row {}: {}", reject.offset + 1, reject.detail));
    Chunk { arrays, rows: chunk.batch.num_rows(), refused: chunk.rejects.len() as u64, example }
}

/// A name that two columns have.
fn twice(columns: &[Column]) -> Option<&str> {
    let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// Numbers columns of one name, from the second one on.
fn tell_apart(columns: &mut [Column]) {
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for column in columns {
        let n = known.entry(column.name.clone()).or_default();
        *n += 1;
        if *n > 1 {
            column.name = format!("{} ({n})", column.name);
        }
    }
}

/// The column at a path; a null struct makes its fields null.
fn at(batch: &RecordBatch, path: &[String]) -> Option<ArrayRef> {
    let (first, rest) = path.split_first()?;
    let mut array = Arc::clone(batch.column_by_name(first)?);
    for name in rest {
        let parent = array.as_struct_opt()?;
        let child = parent.column_by_name(name)?;
        array = match parent.nulls() {
            Some(nulls) if nulls.null_count() > 0 => {
                let is_null = arrow::array::BooleanArray::new(!nulls.inner(), None);
                arrow::compute::nullif(child, &is_null).ok()?
            }
            _ => Arc::clone(child),
        };
    }
    Some(array)
}
