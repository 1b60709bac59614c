//! Decisions as JSON lines, one event body per line, exactly as they stand on the control topic.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Result;
use crate::verdict::Decision;

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

/// Writes decisions in their order.
#[derive(Debug)]
pub struct DecisionWriter(Lines);

impl DecisionWriter {
    /// Opens the file.
    pub fn create(path: &Path) -> Result<Self> {
        Lines::create(path).map(Self)
    }

    /// Adds decisions.
    pub fn write(&mut self, decisions: &[Decision]) -> Result<()> {
        decisions.iter().try_for_each(|decision| self.0.write(decision))
    }

    /// Writes what is still in memory.
    pub fn finish(self) -> Result<()> {
        self.0.finish()
    }
}
