//! `haldane replay`: the engine over files.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::error::{Error, Result};

/// Replay files through a pipeline and show what would have been decided.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Pipeline file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Parquet, JSON-lines or CSV files.
    #[arg(value_name = "FILES")]
    pub files: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: &ReplayArgs, _out: &mut dyn Write) -> Result<()> {
    Err(Error::internal(format!("replay for {} is not part of this build", args.config.display())))
}
