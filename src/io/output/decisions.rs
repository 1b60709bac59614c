//! Decisions and results of commands as JSON lines, exactly as they stand on their topics.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Result;
use crate::verdict::{CommandResult, Decision};

use super::{broken, create};

/// A file of JSON objects, one per line.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Lines {
    /// Opens the file.
    pub(super) fn create(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), out: create(path)? })
    }

    /// Adds a line.
    pub(super) fn write(&mut self, line: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.out, line).map_err(|error| broken(&self.path, error))?;
        self.out.write_all(b"\n").map_err(|error| broken(&self.path, error))
    }

    /// Writes what is still in memory.
    pub(super) fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(|error| broken(&self.path, error))
    }
}

/// Writes records in their order.
#[derive(Debug)]
pub struct LineWriter<T> {
    lines: Lines,
    of: PhantomData<T>,
}

/// Writes decisions.
pub type DecisionWriter = LineWriter<Decision>;
/// Writes what became of commands.
pub type ResultWriter = LineWriter<CommandResult>;

impl<T: Serialize> LineWriter<T> {
    /// Opens the file.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self { lines: Lines::create(path)?, of: PhantomData })
    }

    /// Adds records.
    pub fn write(&mut self, records: &[T]) -> Result<()> {
        records.iter().try_for_each(|record| self.lines.write(record))
    }

    /// Writes what is still in memory.
    pub fn finish(self) -> Result<()> {
        self.lines.finish()
    }
}
