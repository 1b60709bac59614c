//! The program: parses the command line, starts logging, runs one command, and turns an error into an exit code.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use haldane::cli::{self, Cli, LogFormat};
use haldane::error::Error;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(cli.log);
    cli::keep_memory_private();
    match cli::run(&cli, &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Log lines go to standard error; warnings and worse unless `HALDANE_LOG` says otherwise.
fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_env("HALDANE_LOG").unwrap_or_else(|_| EnvFilter::new("warn,haldane=info"));
    // Colours are for terminals: in a file they are noise.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let lines = tracing_subscriber::fmt().with_ansi(colours).with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

#[expect(clippy::print_stderr, reason = "the program's last words")]
fn fail(error: &Error) -> ExitCode {
    eprintln!("error: {error}");
    if let Some(hint) = error.advice() {
        eprintln!("hint: {hint}");
    }
    ExitCode::from(error.exit_code())
}
