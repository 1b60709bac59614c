//! Refused rows as JSON lines.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Result;
use crate::plan::Plan;
use crate::replay::Refused;

use super::{broken, create};

/// Writes refused rows as JSON lines.
#[derive(Debug)]
pub struct DeadLetterWriter {
    path: PathBuf,
    out: BufWriter<File>,
}

/// One line of a dead-letter file.
#[derive(Serialize)]
struct DeadLetterLine<'a> {
    file: String,
    topic: &'a str,
    partition: u32,
    offset: i64,
    row: u32,
    reason: &'static str,
    detail: &'a str,
    payload: Option<&'a str>,
}

impl DeadLetterWriter {
    /// Opens the file.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), out: create(path)? })
    }

    /// Adds refused rows.
    pub fn write(&mut self, plan: &Plan, refused: &[Refused]) -> Result<()> {
        for one in refused {
            let letter = DeadLetterLine {
                file: one.file.display().to_string(),
                topic: &plan.sources[usize::from(one.source)].topic,
                partition: one.lane,
                offset: one.reject.offset,
                row: one.reject.row,
                reason: one.reject.reason.code(),
                detail: &one.reject.detail,
                payload: one.payload.as_deref(),
            };
            serde_json::to_writer(&mut self.out, &letter).map_err(|error| broken(&self.path, error))?;
            self.out.write_all(b"\n").map_err(|error| broken(&self.path, error))?;
        }
        Ok(())
    }

    /// Writes what is still in memory.
    pub fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(|error| broken(&self.path, error))
    }
}
