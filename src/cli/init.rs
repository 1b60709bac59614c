//! `haldane init`: a pipeline file from a sample of one's own data.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::print;
use crate::error::{Error, Result};
use crate::init;

/// Write a pipeline file from a sample of your own data.
#[derive(Debug, Args)]
#[command(
    after_help = "Columns are recognised by their names and by what they hold; every guess stands in the file with its \
reason. The result passes `haldane check` and replays the same files.

Examples:
  haldane init predictions.parquet outcomes.parquet -o pipeline.yaml
  haldane init log.jsonl"
)]
pub struct InitArgs {
    /// Parquet, CSV or JSON-lines files of predictions and, if there are any, of labels.
    #[arg(required = true, value_name = "FILES")]
    pub files: Vec<PathBuf>,
    /// Where to write the pipeline; default: standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
}

/// Runs the command.
pub fn run(args: &InitArgs, out: &mut dyn Write) -> Result<()> {
    if let Some(path) = args.output.as_deref().filter(|path| path.exists() && !args.force) {
        return Err(
            Error::user(format!("{} is already there", path.display())).hint("name another file, or add --force")
        );
    }
    let draft = init::draft(&args.files)?;
    let Some(path) = &args.output else { return print(out, &draft.text) };
    std::fs::write(path, &draft.text).map_err(|error| {
        Error::user(format!("cannot write {}", path.display()))
            .because(error)
            .hint("check that the directory exists and may be written to")
    })?;
    let summary = draft.summary.iter().map(|line| format!("  {line}\n")).collect::<Vec<_>>().concat();
    let files = args.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ");
    let name = path.display();
    print(
        out,
        &format!("{summary}written to {name}\nnext: haldane check -c {name}\n      haldane replay -c {name} {files}\n"),
    )
}
