//! Refused rows: counted by reason, the first few kept to show, all of them written as JSON lines when asked for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::Result;
use crate::event::Poison;
use crate::plan::Plan;
use crate::replay::Refused;

use super::text::{count, plural};
use super::{broken, create};

/// How many refused rows are shown.
const SHOWN: usize = 5;

/// Counts refused rows and tells about them.
#[derive(Debug, Default)]
pub struct Refusals {
    by_reason: BTreeMap<Poison, u64>,
    first: Vec<String>,
}

impl Refusals {
    /// Takes in refused rows.
    pub fn add(&mut self, refused: &[Refused]) {
        for one in refused {
            *self.by_reason.entry(one.reject.reason).or_default() += 1;
            if self.first.len() < SHOWN {
                let (reject, file) = (&one.reject, one.file.display());
                self.first.push(format!("{file}, offset {}: {}: {}", reject.offset, reject.reason, reject.detail));
            }
        }
    }

    /// Number of refused rows.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.by_reason.values().sum()
    }

    /// Counts and the first few rows as text; empty when nothing was refused.
    #[must_use]
    pub fn render(&self) -> String {
        if self.n() == 0 {
            return String::new();
        }
        let reasons = self.by_reason.iter().map(|(reason, n)| format!("{} {reason}", count(*n)));
        let mut out = format!("{} refused: {}\n", plural(self.n(), "row"), reasons.collect::<Vec<_>>().join(", "));
        for line in &self.first {
            let _ = writeln!(out, "  {line}");
        }
        if let Some(more) = self.n().checked_sub(SHOWN as u64).filter(|&more| more > 0) {
            let _ = writeln!(out, "  and {} more; --dead-letter FILE keeps them all", count(more));
        }
        out
    }
}

/// Writes refused rows as JSON lines.
#[derive(Debug)]
pub struct DeadLetterWriter {
    path: PathBuf,
    out: BufWriter<File>,
}

/// One line of a dead-letter file.
#[derive(Serialize)]
struct DeadLetter<'a> {
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
            let letter = DeadLetter {
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
