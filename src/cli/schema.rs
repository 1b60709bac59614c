//! `haldane schema`: the JSON Schemas of what haldane reads and writes.

use std::io::Write;

use clap::Args;

use super::print;
use crate::error::{Error, Result};

/// Print JSON Schemas: of pipeline files and of everything haldane writes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane schema                     the names of all schemas
  haldane schema pipeline            the schema of pipeline files, for editors")]
pub struct SchemaArgs {
    /// Which one; without a name all names are listed.
    pub name: Option<String>,
}

/// Name, what it describes, and text of every schema.
const SCHEMAS: [(&str, &str, &str); 1] =
    [("pipeline", "pipeline files", include_str!("../../schemas/pipeline.schema.json"))];

/// Runs the command.
pub fn run(args: &SchemaArgs, out: &mut dyn Write) -> Result<()> {
    let Some(name) = &args.name else {
        let list: String = SCHEMAS.iter().map(|(name, about, _)| format!("{name:16} {about}\n")).collect();
        return print(out, &list);
    };
    match SCHEMAS.iter().find(|(known, ..)| known == name) {
        Some((.., text)) => print(out, text),
        None => {
            let names: Vec<&str> = SCHEMAS.iter().map(|(name, ..)| *name).collect();
            Err(Error::user(format!("there is no schema `{name}`")).hint(format!("write one of {}", names.join(", "))))
        }
    }
}
