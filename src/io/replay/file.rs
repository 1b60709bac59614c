//! One file: which format it has, which streams it feeds, and how it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::error::{Error, Result};
use crate::event::Micros;
use crate::files::columns::{ColumnFile, WantedFields};
use crate::files::open_columns;
use crate::kafka::ports::Schemas;
use crate::plan::Plan;

use super::archive::{self, Archive, ArchiveBlocks, ArchiveSurvey};
use super::columnar::{self, OneLaneTable};
use super::jsonl::{self, LineBlocks, Survey};
use super::{Blocks, StreamKey, route};

/// A file that was looked into and can be read.
#[derive(Debug, Clone)]
pub(super) struct Input {
    /// Where it is.
    pub(super) path: Arc<Path>,
    /// The streams it feeds.
    pub(super) streams: BTreeSet<StreamKey>,
    /// Its rows.
    pub(super) rows: u64,
    /// When its first rows arrived, where that matters.
    pub(super) begins: Micros,
    /// What is odd about it.
    pub(super) warnings: Vec<String>,
    contents: FileContents,
}

#[derive(Debug, Clone)]
enum FileContents {
    Columns { file: Arc<dyn ColumnFile>, source: u16, wanted: WantedFields },
    Json(Survey),
    Archive(ArchiveSurvey, Arc<dyn Schemas>),
}

/// Looks into a file. `explicit` is the source it was named for, if any.
pub(super) fn open(plan: &Arc<Plan>, path: &Path, explicit: Option<u16>, schemas: &Arc<dyn Schemas>) -> Result<Input> {
    let file = open_columns(path)?;
    let archive = match &file {
        Some(file) => Archive::of_columns(file),
        None => Archive::of_lines(path)?,
    };
    if let Some(archive) = archive {
        let mut survey = archive::survey(plan, path, archive, explicit)?;
        let (warnings, streams) = (std::mem::take(&mut survey.warnings), survey.streams.clone());
        let (path, rows, begins) = (path.into(), survey.rows, Micros::MIN);
        let contents = FileContents::Archive(survey, Arc::clone(schemas));
        return Ok(Input { path, streams, rows, begins, warnings, contents });
    }
    let Some(file) = file else { return json(plan, path, explicit) };
    let (source, wanted, warnings) = columns(plan, path, file.schema(), explicit)?;
    Ok(Input {
        path: path.into(),
        streams: BTreeSet::from([(source, 0)]),
        rows: file.rows(),
        begins: Micros::MIN,
        warnings,
        contents: FileContents::Columns { file, source, wanted },
    })
}

impl Input {
    /// Starts reading.
    pub(super) fn blocks(self, plan: &Arc<Plan>, batch_rows: usize) -> Result<Box<dyn Blocks + Send>> {
        match self.contents {
            FileContents::Archive(survey, schemas) => {
                Ok(Box::new(ArchiveBlocks::open(plan, self.path, &survey, schemas)?))
            }
            FileContents::Json(survey) => Ok(Box::new(LineBlocks::open(plan, self.path, survey)?)),
            FileContents::Columns { file, source, wanted } => {
                let rows = file.read(&wanted, batch_rows)?;
                Ok(Box::new(OneLaneTable::new(plan, self.path, source, rows)))
            }
        }
    }
}

/// The source that a table feeds, what is read of it, and what is odd about its columns.
fn columns(
    plan: &Arc<Plan>,
    path: &Path,
    schema: &SchemaRef,
    explicit: Option<u16>,
) -> Result<(u16, WantedFields, Vec<String>)> {
    let names = route::names(schema);
    let has = |mapped: Option<&crate::plan::Path>, name: &str| route::is_among(&names, mapped, name);
    let source = explicit.or_else(|| route::by_fields(plan, has)).ok_or_else(|| {
        Error::user(format!("{} fits no source of pipeline {}", path.display(), plan.name))
            .hint("say what it holds with --predictions FILE or --outcomes FILE")
    })?;
    let (wanted, absent) = columnar::find(plan, source, schema).map_err(|error| within(path, plan, source, &error))?;
    let mut warnings = match absent.as_slice() {
        [] => Vec::new(),
        fields => vec![format!("has no column for {}; it counts as missing in every row", fields.join(", "))],
    };
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for field in schema.fields() {
        let n = known.entry(field.name()).or_default();
        *n += 1;
        if *n == 2 {
            warnings.push(format!("has two columns `{}`; the first is read", field.name()));
        }
    }
    Ok((source, wanted, warnings))
}

fn json(plan: &Arc<Plan>, path: &Path, explicit: Option<u16>) -> Result<Input> {
    let mut survey = jsonl::survey(plan, path, explicit)?;
    let warnings = std::mem::take(&mut survey.warnings);
    let (streams, rows) = (survey.streams.clone(), survey.rows);
    Ok(Input { path: path.into(), streams, rows, begins: Micros::MIN, warnings, contents: FileContents::Json(survey) })
}

/// Puts the file and the source it was taken for before an error about its columns.
fn within(path: &Path, plan: &Plan, source: u16, error: &Error) -> Error {
    let kind = plan.sources[usize::from(source)].kind.name();
    let hint = error.advice().unwrap_or_default().to_owned();
    Error::user(format!("{}, read as {kind}s: {error}", path.display())).hint(hint)
}
