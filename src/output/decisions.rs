//! Decisions as JSON lines, one event body per line, exactly as they stand on the control topic.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::verdict::Decision;

use super::{broken, create};

/// Writes decisions in their order.
#[derive(Debug)]
pub struct DecisionWriter {
    path: PathBuf,
    out: BufWriter<File>,
}

impl DecisionWriter {
    /// Opens the file.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), out: create(path)? })
    }

    /// Adds decisions.
    pub fn write(&mut self, decisions: &[Decision]) -> Result<()> {
        for decision in decisions {
            serde_json::to_writer(&mut self.out, decision).map_err(|error| broken(&self.path, error))?;
            self.out.write_all(b"\n").map_err(|error| broken(&self.path, error))?;
        }
        Ok(())
    }

    /// Writes what is still in memory.
    pub fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(|error| broken(&self.path, error))
    }
}
