//! One file: which format it has, which streams it feeds, and how it is read.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::plan::Plan;

use super::columnar::{self, Found, Table};
use super::jsonl::{self, Lines, Survey};
use super::{Blocks, Stream, csv, parquet, route};

/// A file that was looked into and can be read.
#[derive(Debug)]
pub(super) struct Input {
    /// Where it is.
    pub(super) path: Arc<Path>,
    /// The streams it feeds.
    pub(super) streams: BTreeSet<Stream>,
    /// Its rows.
    pub(super) rows: u64,
    /// What is odd about it.
    pub(super) warnings: Vec<String>,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    Columns { format: Format, source: u16, found: Found },
    Lines(Survey),
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Parquet.
    Parquet,
    /// Separated values.
    Csv {
        /// What separates them.
        delimiter: u8,
    },
    /// One JSON object per line.
    Lines,
}

/// Looks into a file. `explicit` is the source it was named for, if any.
pub(super) fn open(plan: &Arc<Plan>, path: &Path, explicit: Option<u16>) -> Result<Input> {
    match recognise(path)? {
        Format::Lines => lines(plan, path, explicit),
        format => columns(plan, path, format, explicit),
    }
}

impl Input {
    /// Starts reading.
    pub(super) fn blocks(self, plan: &Arc<Plan>, batch_rows: usize) -> Result<Box<dyn Blocks + Send>> {
        match self.contents {
            Contents::Lines(survey) => Ok(Box::new(Lines::open(plan, self.path, survey)?)),
            Contents::Columns { format: Format::Csv { delimiter }, source, found } => {
                let rows = csv::Rows::open(&self.path, &found, delimiter, batch_rows)?;
                Ok(Box::new(Table::new(plan, self.path, source, rows)))
            }
            Contents::Columns { source, found, .. } => {
                let rows = parquet::Rows::open(&self.path, &found, batch_rows)?;
                Ok(Box::new(Table::new(plan, self.path, source, rows)))
            }
        }
    }
}

fn columns(plan: &Arc<Plan>, path: &Path, format: Format, explicit: Option<u16>) -> Result<Input> {
    let (schema, rows) = match format {
        Format::Csv { delimiter } => csv::header(path, delimiter)?,
        _ => parquet::header(path)?,
    };
    let names = route::names(&schema);
    let has = |mapped: Option<&crate::plan::Path>, name: &str| route::is_among(&names, mapped, name);
    let source = explicit.or_else(|| route::by_fields(plan, has)).ok_or_else(|| {
        Error::user(format!("{} fits no source of pipeline {}", path.display(), plan.name))
            .hint("say what it holds with --predictions FILE or --outcomes FILE")
    })?;
    let (found, absent) = columnar::find(plan, source, &schema).map_err(|error| within(path, plan, source, &error))?;
    let streams = BTreeSet::from([(source, 0)]);
    let mut warnings = match absent.as_slice() {
        [] => Vec::new(),
        fields => vec![format!("has no column for {}; it counts as missing in every row", fields.join(", "))],
    };
    for (at, field) in schema.fields().iter().enumerate() {
        let before = schema.fields()[..at].iter().filter(|other| other.name() == field.name()).count();
        if before == 1 {
            warnings.push(format!("has two columns `{}`; the first is read", field.name()));
        }
    }
    Ok(Input { path: path.into(), streams, rows, warnings, contents: Contents::Columns { format, source, found } })
}

fn lines(plan: &Arc<Plan>, path: &Path, explicit: Option<u16>) -> Result<Input> {
    let mut survey = jsonl::survey(plan, path, explicit)?;
    let warnings = std::mem::take(&mut survey.warnings);
    let (streams, rows) = (survey.streams.clone(), survey.rows);
    Ok(Input { path: path.into(), streams, rows, warnings, contents: Contents::Lines(survey) })
}

/// Puts the file and the source it was taken for before an error about its columns.
fn within(path: &Path, plan: &Plan, source: u16, error: &Error) -> Error {
    let kind = plan.sources[usize::from(source)].kind.name();
    let hint = error.advice().unwrap_or_default().to_owned();
    Error::user(format!("{}, read as {kind}s: {error}", path.display())).hint(hint)
}

/// Opens a file for reading.
pub fn opened(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| unreadable(path, error))
}

/// The error of a file that cannot be read at all.
pub(crate) fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::user(format!("cannot read {}", path.display())).because(error).hint("check the path and its permissions")
}

/// So much of the beginning of a file is looked at.
const HEAD_BYTES: u64 = 1 << 16;
/// What may separate values; the first of equals.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What separates the names in the first line: what stands there most often outside of quotes.
fn delimiter(head: &[u8]) -> Option<u8> {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut quoted = false;
    for &byte in head {
        quoted ^= byte == b'"';
        match DELIMITERS.iter().position(|&delimiter| delimiter == byte) {
            Some(at) if !quoted => counts[at] += 1,
            _ if byte == b'\n' && !quoted => break,
            _ => {}
        }
    }
    let most = *counts.iter().max()?;
    let at = counts.iter().position(|&count| count == most && count > 0)?;
    Some(DELIMITERS[at])
}

/// Tells the format by the first bytes, where they tell, else by the extension.
pub fn recognise(path: &Path) -> Result<Format> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if metadata.is_dir() {
        return Err(Error::user(format!("{} is a directory", path.display()))
            .hint(format!("name its files, as in {}/*.parquet", path.display())));
    }
    let mut head = Vec::new();
    opened(path)?.take(HEAD_BYTES).read_to_end(&mut head).map_err(|error| unreadable(path, error))?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    match (head.as_slice(), extension.as_str()) {
        ([], _) => {
            Err(Error::user(format!("{} is empty", path.display())).hint("write or copy it again, or leave it out"))
        }
        ([b'P', b'A', b'R', b'1', ..], _) => Ok(Format::Parquet),
        ([0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..], _) => {
            Err(Error::user(format!("{} is compressed", path.display()))
                .hint("unpack it first, with gunzip or zstd -d"))
        }
        (_, "parquet" | "pq") => {
            Err(Error::user(format!("{} is not a Parquet file: it does not start with PAR1", path.display()))
                .hint("write or copy it again, or give it the extension of its real format"))
        }
        ([0xff, 0xfe, ..] | [0xfe, 0xff, ..], _) => Err(Error::user(format!("{} is in UTF-16", path.display()))
            .hint("save it in UTF-8, with iconv -f UTF-16 -t UTF-8")),
        (head, "csv") => Ok(Format::Csv { delimiter: delimiter(head).unwrap_or(b',') }),
        (head, "tsv" | "tab") => Ok(Format::Csv { delimiter: delimiter(head).unwrap_or(b'\t') }),
        (_, "jsonl" | "ndjson" | "json") => Ok(Format::Lines),
        (head, _) if head.trim_ascii_start().starts_with(b"{") => Ok(Format::Lines),
        (head, "txt" | "dat" | "data" | "psv") if delimiter(head).is_some() => {
            Ok(Format::Csv { delimiter: delimiter(head).unwrap_or(b',') })
        }
        _ => Err(Error::user(format!("cannot tell the format of {}", path.display()))
            .hint("replay reads .parquet, .jsonl, .ndjson, .csv and .tsv files")),
    }
}
