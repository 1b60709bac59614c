//! What a replay leaves behind: files of windows and decisions, and a summary to read.

mod cells;
mod dead_letter;
mod decisions;
mod diff;
pub mod evidence;
mod losses;
pub(crate) mod summary;
pub mod text;
mod windows;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

pub(crate) use cells::CellReader;
pub use dead_letter::DeadLetterWriter;
pub use decisions::{DecisionWriter, LineWriter, ResultWriter};
pub use diff::{DecisionTimeline, Diff, PredictionCounts};
pub use losses::Losses;
pub use summary::Summary;
pub use text::aligned;
pub use text::count;
pub use windows::{WindowWriter, read_windows, window_batch, window_rows, window_schema, write_window_lines};

use crate::error::{Error, Result};

/// Opens a result file for writing; what was there before is replaced.
fn create(path: &Path) -> Result<BufWriter<File>> {
    File::create(path).map(BufWriter::new).map_err(|error| {
        Error::user(format!("cannot write {}", path.display()))
            .because(error)
            .hint("check that the directory exists and may be written to")
    })
}

/// The error of a write that failed half-way: a full disk, a closed pipe.
fn broken(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::external(format!("cannot write {}", path.display())).because(error).hint("check the free space on the disk")
}
