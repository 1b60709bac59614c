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
const SCHEMAS: [(&str, &str, &str); 13] = [
    ("pipeline", "pipeline files", include_str!("../../../schemas/pipeline.schema.json")),
    ("prediction", "predictions, as JSON records", include_str!("../../../schemas/prediction.schema.json")),
    ("feature", "feature events, as JSON records", include_str!("../../../schemas/feature.schema.json")),
    ("outcome", "outcomes, as JSON records", include_str!("../../../schemas/outcome.schema.json")),
    ("exposure", "changes of traffic share, as JSON records", include_str!("../../../schemas/exposure.schema.json")),
    ("window", "judged windows", include_str!("../../../schemas/window.schema.json")),
    ("decision", "decisions on the control topic", include_str!("../../../schemas/decision.schema.json")),
    ("ack", "what actuators did with decisions", include_str!("../../../schemas/ack.schema.json")),
    (
        "observed-exposure",
        "shares of traffic that `haldane act` saw at a target",
        include_str!("../../../schemas/observed-exposure.schema.json"),
    ),
    (
        "report",
        "reports on two files, or on windows and decisions",
        include_str!("../../../schemas/report.schema.json"),
    ),
    (
        "rollout-state",
        "states of rollouts on the state topic",
        include_str!("../../../schemas/rollout-state.schema.json"),
    ),
    (
        "liveness",
        "signs of life on the state topic, which leases rest on",
        include_str!("../../../schemas/liveness.schema.json"),
    ),
    (
        "pipeline-version",
        "what pipeline files said while they were in force, on the state topic",
        include_str!("../../../schemas/pipeline-version.schema.json"),
    ),
];

/// Runs the command.
pub fn run(args: &SchemaArgs, out: &mut dyn Write) -> Result<()> {
    let Some(name) = &args.name else {
        let lines: Vec<String> = SCHEMAS.iter().map(|(name, about, _)| format!("{name:18} {about}")).collect();
        return print(out, &(lines.join("\n") + "\n"));
    };
    let Some((.., text)) = SCHEMAS.iter().find(|(known, ..)| known == name) else {
        let names: Vec<&str> = SCHEMAS.iter().map(|(name, ..)| *name).collect();
        return Err(
            Error::user(format!("there is no schema `{name}`")).hint(format!("write one of {}", names.join(", ")))
        );
    };
    print(out, text)
}
