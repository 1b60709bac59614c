//! Commands of a replay, as JSON lines.

use std::path::Path;

use crate::error::{Error, Result};
use crate::verdict::{Command, CommandResult, Scheduled};

/// The commands of a file. A line is a command, or the result of one that was carried out live.
pub(in crate::cli) fn read(path: &Path) -> Result<Vec<Scheduled>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::user(format!("cannot read {}", path.display())).because(error))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| scheduled(line).map_err(|error| unreadable(path, number, error))).collect()
}

fn scheduled(line: &str) -> serde_json::Result<Scheduled> {
    let fields: serde_json::Value = serde_json::from_str(line)?;
    match fields.get("command") {
        Some(_) => serde_json::from_str::<CommandResult>(line).map(Scheduled::from),
        None => serde_json::from_str::<Command>(line).map(Scheduled::from),
    }
}

fn unreadable(path: &Path, number: u32, error: serde_json::Error) -> Error {
    Error::user(format!("line {number} of {} is no command", path.display()))
        .hint("schemas/command.schema.json says what one looks like, schemas/command-result.schema.json its result")
        .because(error)
}
