//! `haldane completions` and `haldane man`: what shells and man pages say, out of the same definitions as `--help`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, print};
use crate::error::{Error, Result};

/// Print a script that completes haldane's commands and options.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane completions bash > ~/.local/share/bash-completion/completions/haldane
  haldane completions zsh  > ~/.zfunc/_haldane
  haldane completions fish > ~/.config/fish/completions/haldane.fish")]
pub struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Write man pages, one for haldane and one for each command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane man                                       the page of haldane itself
  haldane man --output-dir ~/.local/share/man/man1  every page; then: man haldane-replay")]
pub struct ManArgs {
    /// Directory that every page is written to; without it the main page is printed.
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
}

/// Prints the script.
pub fn completions(args: &CompletionsArgs, out: &mut dyn Write) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "haldane", &mut script);
    print(out, &String::from_utf8_lossy(&script))
}

/// Prints the page, or writes all of them.
pub fn man(args: &ManArgs, out: &mut dyn Write) -> Result<()> {
    let Some(directory) = &args.output_dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(|error| unwritten(Path::new("-"), error))?;
        return print(out, &String::from_utf8_lossy(&page));
    };
    fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), directory))
        .map_err(|error| unwritten(directory, error))
}

fn unwritten(path: &Path, error: std::io::Error) -> Error {
    Error::user(format!("cannot write man pages to {}", path.display()))
        .because(error)
        .hint("check that the directory may be written to")
}
