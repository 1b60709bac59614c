//! Files as a table: columns by name, and some of them at a time, whatever the format, and however many files there
//! are.
//!
//! Parquet and Arrow files give typed columns, and of Parquet only those asked for are read. CSV and JSON give texts;
//! what they stand for ([`cells`]) is decided by whoever asks. A row that cannot be read is counted and left out, a
//! cell that cannot is missing, and so is a column that one of several files does not have.

pub mod cells;
mod events;
mod inside;
mod json;
mod kept;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Fields, UInt64Type};

pub use self::events::EventField;
use self::events::EventTable;
pub use self::inside::Inside;
use self::inside::Insides;
use self::kept::{KEPT_BYTES, TopicRows};
use crate::error::{Error, Result};
use crate::files::columns::{self, ColumnFile, RowPosition};
use crate::files::open_columns;
use crate::replay::BATCH_ROWS;

/// Files of the same kind, and where their columns are.
#[derive(Debug, Clone)]
pub struct Table {
    /// What they are called together: the path of the first, and how many more there are.
    pub path: Arc<Path>,
    /// Their columns, in the order in which files have them; those inside structs and objects have dots in their names.
    pub columns: Vec<TableColumn>,
    /// Their topic, when their records are envelopes that name one.
    pub topic: Option<String>,
    parts: Vec<TableFile>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name, with dots between levels.
    pub name: String,
    /// Names from the outside in.
    pub path: Vec<String>,
    /// What the first file that has it holds; texts for CSV and JSON, or lists that are not looked into.
    pub data_type: DataType,
    /// The column that it stands in, and where; then the path and what it holds are that column's.
    pub inside: Option<Inside>,
}

/// One file of a table.
#[derive(Debug, Clone)]
struct TableFile {
    path: Arc<Path>,
    contents: TableContents,
    /// Where each of the table's columns is: indexes from the outside in, none for JSON.
    places: BTreeMap<String, Vec<usize>>,
    topic: Option<String>,
}

#[derive(Debug, Clone)]
enum TableContents {
    Columns(Arc<dyn ColumnFile>),
    /// JSON, in memory where it is in no file; the cells of a small file.
    Json {
        lines: Option<Arc<[u8]>>,
        kept: Option<TopicRows>,
    },
    /// What a source of a plan reads of it.
    Events(EventTable),
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
    /// Records and rows that the source of a pipeline does not take.
    pub passed_over: u64,
    /// What is wrong with the first of them, and where it stands.
    pub example: Option<String>,
}

/// Chunks of a table, in its order.
pub type Chunks = Box<dyn Iterator<Item = Result<Chunk>>>;

/// A column that is asked of a file: its name, its path, and whether it holds texts that repeat.
type AskedColumn = (String, Vec<String>, bool);

impl Table {
    /// The table of a file; of several topics the one that comes first.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_all(path).map(|mut tables| tables.swap_remove(0))
    }

    /// The tables of a file: one, or one per topic. There is at least one, and each has columns.
    pub fn open_all(path: &Path) -> Result<Vec<Self>> {
        let Some(file) = open_columns(path)? else { return json::survey(path, None) };
        let mut found = Vec::new();
        leaves(file.schema().fields(), &[], &[], &mut found);
        if found.is_empty() {
            return Err(Error::user(format!("{} has no columns", path.display())).hint("write or copy it again"));
        }
        Ok(vec![Self::of_part(path, None, TableContents::Columns(file), found)])
    }

    /// The tables of files that belong together, one per topic: rows file by file, columns by name.
    pub fn open_together(paths: &[PathBuf]) -> Result<Vec<Self>> {
        let mut tables: Vec<Self> = Vec::new();
        for path in paths {
            for table in Self::open_all(path)? {
                match tables.iter_mut().find(|known| known.topic == table.topic) {
                    Some(known) => known.append(table),
                    None => tables.push(table),
                }
            }
        }
        if tables.is_empty() { Err(Error::user("no file is named").hint("name at least one")) } else { Ok(tables) }
    }

    /// The tables of files, those together that are of one topic and have nearly the same columns.
    pub fn open_kinds(paths: &[PathBuf]) -> Result<Vec<Self>> {
        let mut tables: Vec<Self> = Vec::new();
        for path in paths {
            for table in Self::open_all(path)? {
                match tables.iter_mut().find(|known| known.topic == table.topic && known.is_like(&table)) {
                    Some(known) => known.append(table),
                    None => tables.push(table),
                }
            }
        }
        Ok(tables)
    }

    /// Whether more than two in three of all columns are in both.
    fn is_like(&self, other: &Self) -> bool {
        let names = |table: &Self| table.columns.iter().map(|column| column.name.clone()).collect::<BTreeSet<_>>();
        let (mine, theirs) = (names(self), names(other));
        mine.intersection(&theirs).count() * 3 > mine.union(&theirs).count() * 2
    }

    /// The table of lines in memory, of several topics the first; `name` is what errors call it.
    pub fn of_lines(name: &Path, lines: Vec<u8>) -> Result<Self> {
        json::survey(name, Some(&lines.into())).map(|mut tables| tables.swap_remove(0))
    }

    /// The table of one file; columns of one name are told apart by numbers.
    fn of_part(
        path: &Path,
        topic: Option<String>,
        contents: TableContents,
        found: Vec<(TableColumn, Vec<usize>)>,
    ) -> Self {
        let (mut columns, places): (Vec<TableColumn>, Vec<Vec<usize>>) = found.into_iter().unzip();
        tell_apart(&mut columns);
        let places = columns.iter().map(|column| column.name.clone()).zip(places).collect();
        let path: Arc<Path> = path.into();
        let part = TableFile { path: Arc::clone(&path), contents, places, topic: topic.clone() };
        Self { path, columns, topic, parts: vec![part] }
    }

    /// Adds the rows of another table below these.
    fn append(&mut self, other: Self) {
        let known: BTreeSet<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        self.columns.extend(other.columns.into_iter().filter(|column| !known.contains(&column.name)));
        self.parts.extend(other.parts);
        if self.parts.iter().map(TableFile::kept_bytes).sum::<usize>() > KEPT_BYTES {
            self.parts.iter_mut().for_each(TableFile::let_go);
        }
        let more = self.parts.len() - 1;
        self.path = PathBuf::from(format!("{} and {more} more", self.parts[0].path.display())).into();
    }

    /// Its files, where all are of columns.
    fn column_files(&self) -> Option<Vec<&Arc<dyn ColumnFile>>> {
        self.parts.iter().map(TableFile::column_file).collect()
    }

    /// Its rows, where they need no counting because columns can be read one by one without reading the others.
    pub fn rows(&self) -> Option<u64> {
        let files = self.column_files().filter(|files| files.iter().all(|file| file.is_columnar()))?;
        Some(files.iter().map(|file| file.rows()).sum())
    }

    /// Whether columns can be read one by one without reading the others.
    pub fn is_columnar(&self) -> bool {
        self.rows().is_some()
    }

    /// Whether its files say of which types their values are.
    pub fn is_typed(&self) -> bool {
        self.column_files().is_some_and(|files| files.iter().all(|file| file.is_typed()))
    }

    /// Hashes of ids that were read from this table; those of events are hashes already.
    pub fn ids(&self, array: &ArrayRef) -> UInt64Array {
        let is_of_events = matches!(self.parts[0].contents, TableContents::Events(_));
        if is_of_events { array.as_primitive::<UInt64Type>().clone() } else { cells::ids(array) }
    }

    /// The column with this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The rows of some columns. Several columns may be asked for only once each.
    pub fn chunks(&self, wanted: &[Wanted]) -> Result<Chunks> {
        let columns: Vec<&TableColumn> = wanted.iter().map(|wanted| &self.columns[wanted.column]).collect();
        let (outer, insides) = Insides::of(&columns);
        let asked = |name: String| {
            let at = columns.iter().position(|column| column.name == name);
            let path = columns.iter().find(|column| column.outer() == name).map(|column| column.path.clone());
            (name, path.unwrap_or_default(), at.is_some_and(|at| wanted[at].repeats))
        };
        let asked: Arc<[AskedColumn]> = outer.into_iter().map(asked).collect();
        let mut parts = self.parts.clone().into_iter();
        let first = parts.next().map(|part| part.chunks(&asked)).transpose()?;
        let others = parts.flat_map(move |part| match part.chunks(&asked) {
            Ok(chunks) => chunks,
            Err(error) => Box::new(std::iter::once(Err(error))),
        });
        let chunks = first.into_iter().flatten().chain(others);
        if columns.iter().all(|column| column.inside.is_none()) {
            return Ok(Box::new(chunks));
        }
        Ok(Box::new(chunks.map(move |chunk| Ok(insides.within(chunk?)))))
    }
}

impl TableColumn {
    /// The column of the file that it is read from.
    fn outer(&self) -> &str {
        self.inside.as_ref().map_or(&self.name, |inside| &inside.column)
    }
}

impl TableFile {
    fn column_file(&self) -> Option<&Arc<dyn ColumnFile>> {
        if let TableContents::Columns(file) = &self.contents { Some(file) } else { None }
    }

    fn kept_bytes(&self) -> usize {
        if let TableContents::Json { kept: Some(kept), .. } = &self.contents { kept.bytes } else { 0 }
    }

    /// Keeps no cells.
    fn let_go(&mut self) {
        if let TableContents::Json { kept, .. } = &mut self.contents {
            *kept = None;
        }
    }

    /// The rows of the columns asked for; those that it does not have are missing.
    fn chunks(&self, asked: &[AskedColumn]) -> Result<Chunks> {
        let here: Vec<Option<&AskedColumn>> =
            asked.iter().map(|asked| Some(asked).filter(|(name, ..)| self.places.contains_key(name))).collect();
        let there: Vec<&AskedColumn> = here.iter().copied().flatten().collect();
        let paths = || there.iter().map(|(_, path, _)| path.clone()).collect::<Vec<_>>();
        let chunks: Chunks = match &self.contents {
            TableContents::Json { kept: Some(kept), .. } => {
                let (chunks, paths) = (Arc::clone(&kept.chunks), paths());
                Box::new((0..chunks.len()).map(move |at| Ok(chunks[at].chunk(&paths))))
            }
            TableContents::Json { lines, kept: None } => {
                Box::new(json::JsonRows::open(&self.path, lines.as_ref(), self.topic.clone(), paths())?)
            }
            TableContents::Columns(file) => self.columns(file.as_ref(), &there)?,
            TableContents::Events(events) => {
                events.chunks(&there.iter().map(|(name, ..)| self.places[name][0]).collect::<Vec<_>>())?
            }
        };
        if there.len() == asked.len() {
            return Ok(chunks);
        }
        let is_here: Vec<bool> = here.iter().map(Option::is_some).collect();
        Ok(Box::new(chunks.map(move |chunk| Ok(with_absent(chunk?, &is_here)))))
    }

    /// Columns of a file that has them.
    fn columns(&self, file: &dyn ColumnFile, asked: &[&AskedColumn]) -> Result<Chunks> {
        let place = |(name, _, repeats): &&AskedColumn| (self.places[name].clone(), *repeats);
        let wanted = columns::WantedFields { places: asked.iter().map(place).collect() };
        let read = wanted.columns();
        let at = |(place, _): &(Vec<usize>, bool)| read.partition_point(|column| *column < place[0]);
        let outer: Vec<usize> = wanted.places.iter().map(at).collect();
        let paths: Vec<Vec<String>> = asked.iter().map(|(_, path, _)| path.clone()).collect();
        let rows = file.read(&wanted, BATCH_ROWS)?;
        let path = Arc::clone(&self.path);
        Ok(Box::new(rows.map(move |chunk| {
            let chunk = chunk?;
            let arrays = outer.iter().zip(&paths).map(|(&at, names)| {
                inside(chunk.batch.column(at), &names[1..])
                    .ok_or_else(|| Error::internal(format!("column {} got lost on the way", names.join("."))))
            });
            Ok(Chunk {
                arrays: arrays.collect::<Result<_>>()?,
                rows: chunk.batch.num_rows(),
                refused: chunk.rejects.len() as u64,
                passed_over: 0,
                example: chunk.rejects.first().map(|(place, reject)| example(&path, *place, &reject.detail)),
            })
        })))
    }
}

/// Where a row stands that cannot be read, and why not.
fn example(path: &Path, place: RowPosition, detail: &str) -> String {
    format!("{}, {place}: {detail}", path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
}

/// The arrays of a chunk with empty ones where a column is not there.
fn with_absent(chunk: Chunk, is_here: &[bool]) -> Chunk {
    let absent: ArrayRef = Arc::new(StringArray::new_null(chunk.rows));
    let mut arrays = chunk.arrays.iter().cloned();
    let mut array = |is_here: bool| if is_here { arrays.next() } else { None };
    let arrays = is_here.iter().map(|&is_here| array(is_here).unwrap_or_else(|| Arc::clone(&absent)));
    Chunk { arrays: arrays.collect(), ..chunk }
}

/// All columns that hold values, those inside structs with the path to them.
fn leaves(fields: &Fields, path: &[String], place: &[usize], columns: &mut Vec<(TableColumn, Vec<usize>)>) {
    for (at, field) in fields.iter().enumerate() {
        let path = [path, &[field.name().clone()]].concat();
        let place = [place, &[at]].concat();
        match field.data_type() {
            DataType::Struct(inner) => leaves(inner, &path, &place, columns),
            kind => {
                let data_type = kind.clone();
                columns.push((TableColumn { name: path.join("."), path, data_type, inside: None }, place));
            }
        }
    }
}

/// Numbers columns of one name, from the second one on.
fn tell_apart(columns: &mut [TableColumn]) {
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for column in columns {
        let n = known.entry(column.name.clone()).or_default();
        *n += 1;
        if *n > 1 {
            column.name = format!("{} ({n})", column.name);
        }
    }
}

/// The column at a path inside of a struct; a null struct makes its fields null.
fn inside(column: &ArrayRef, names: &[String]) -> Option<ArrayRef> {
    let mut array = Arc::clone(column);
    for name in names {
        let parent = array.as_struct_opt()?;
        let child = parent.column_by_name(name)?;
        array = match parent.nulls() {
            Some(nulls) if nulls.null_count() > 0 => {
                let is_null = arrow::array::BooleanArray::new(!nulls.inner(), None);
                // What has no nulls of its own, as a union, is no column that anything reads.
                arrow::compute::nullif(child, &is_null).unwrap_or_else(|_| Arc::clone(child))
            }
            _ => Arc::clone(child),
        };
    }
    Some(array)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom, Write as _};

    use ::parquet::arrow::ArrowWriter;
    use arrow::array::{Int64Array, RecordBatch};

    use super::*;

    #[test]
    fn a_footer_is_read_once_however_many_columns_are_asked_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("wide.parquet");
        let column = |at: i64| (format!("c{at}"), Arc::new(Int64Array::from(vec![at, at + 1])) as ArrayRef);
        let batch = RecordBatch::try_from_iter((0..50).map(column)).expect("columns");
        let mut file = std::fs::File::create(&path).expect("a file");
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("rows");
        writer.close().expect("a footer");
        let table = Table::open(&path).expect("a table");
        file.seek(SeekFrom::End(-8)).and_then(|_| file.write_all(&[0; 8])).expect("a file without its footer's end");
        for at in 0..50 {
            let chunks = table.chunks(&[Wanted { column: at, repeats: false }]).expect("a column");
            let chunks = chunks.collect::<Result<Vec<_>>>().expect("its rows");
            assert_eq!(chunks[0].arrays[0].as_ref(), batch.column(at).as_ref());
        }
    }
}
