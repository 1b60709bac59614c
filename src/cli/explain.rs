//! `haldane explain`: why a decision was made, and whether its events give it again.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::print;
use super::replay::commands;
use crate::audit::{self, Context, log, recompute};
use crate::config::{self, Pipeline};
use crate::error::{Error, Result};
use crate::replay::{self, Options};
use crate::verdict::Decision;

/// Say why a decision was made, and recompute it from its events.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane explain b3:7c12a0 -c pipelines/flights.yaml                                the decision, from the control topic
  haldane explain 7c12a0 --decisions decisions.jsonl                                 from a file that `haldane replay` wrote
  haldane explain 7c12a0 -c pipelines/flights.yaml --recompute                       and again from the input topics
  haldane explain 7c12a0 -c flights.yaml --decisions decisions.jsonl *.parquet       and again from an archive

Recomputing runs the engine over the whole log up to its end, so a window's neighbours and what people said count as they did.

Exit codes: 0 explained, and recomputed alike where asked; 1 the events give another decision; 2 mistake in the arguments; \
3 no Kafka.")]
pub struct ExplainArgs {
    /// The decision's id, or its first digits.
    #[arg(value_name = "DECISION")]
    pub id: String,
    /// Archive of the events, as for `haldane replay`: the decision is recomputed from it.
    #[arg(value_name = "FILES", requires = "config")]
    pub files: Vec<PathBuf>,
    /// Pipeline file.
    #[arg(short, long, value_name = "FILE", required_unless_present = "decisions")]
    pub config: Option<PathBuf>,
    /// Decisions, one JSON object per line; default: those on the pipeline's control topic.
    #[arg(long, value_name = "FILE")]
    pub decisions: Option<PathBuf>,
    /// What people said, as for `haldane replay`, one JSON object per line.
    #[arg(long, value_name = "FILE", requires = "files")]
    pub commands: Option<PathBuf>,
    /// Recompute it from the pipeline's input topics.
    #[cfg(feature = "kafka")]
    #[arg(long, requires = "config", conflicts_with = "files")]
    pub recompute: bool,
    /// Print JSON: the decision, whether it was recomputed, and in which fields it differs.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command; a decision that its events do not give again is an error.
pub fn run(args: &ExplainArgs, out: &mut dyn Write) -> Result<()> {
    let pipeline = args.config.as_deref().map(config::load).transpose()?;
    let decisions = log::decisions(&bodies(args, pipeline.as_ref())?)?;
    let decision = log::find(&decisions, &args.id)?;
    let recomputed = pipeline.map(|pipeline| again(args, &pipeline, decision)).transpose()?.flatten();
    let differences = recomputed.as_ref().map(|recomputed| recomputed.differences(decision));
    let text = if args.json {
        let matches = differences.as_ref().map(|fields| fields.as_ref().is_some_and(Vec::is_empty));
        let value = json!({ "decision": decision, "matches": matches, "differences": differences.clone().flatten() });
        format!("{value:#}\n")
    } else {
        audit::tell(decision, &Context { log: &decisions, recomputed: recomputed.as_ref() })
    };
    print(out, &text)?;
    match differences {
        Some(None) => Err(Error::candidate("the events do not give this decision")
            .hint("is it the archive of the whole log, and were all commands given with --commands?")),
        Some(Some(fields)) if !fields.is_empty() => {
            Err(Error::candidate(format!("the events give this decision with another {}", fields.join(", another "))))
        }
        _ => Ok(()),
    }
}

fn bodies(args: &ExplainArgs, pipeline: Option<&Pipeline>) -> Result<Vec<Vec<u8>>> {
    if let Some(file) = &args.decisions {
        return log::read_file(file);
    }
    #[cfg(feature = "kafka")]
    if let (Some(pipeline), Some(path)) = (pipeline, &args.config) {
        return log::read_topic(&crate::kafka::Connection::open(&super::command::cluster(pipeline, path)?)?);
    }
    let _ = pipeline;
    Err(Error::user("no log of decisions is named").hint("name a file with --decisions"))
}

/// The decision once more, where its events are named.
fn again(args: &ExplainArgs, pipeline: &Pipeline, decision: &Decision) -> Result<Option<recompute::Recomputed>> {
    let plan = &pipeline.plan;
    #[cfg(feature = "kafka")]
    if args.recompute {
        same_policy(plan, decision)?;
        let path = args.config.as_deref().unwrap_or(std::path::Path::new(""));
        let connection = crate::kafka::Connection::open(&super::command::cluster(pipeline, path)?)?;
        return crate::kafka::history::recompute(plan, &connection, decision).map(Some);
    }
    if args.files.is_empty() {
        return Ok(None);
    }
    same_policy(plan, decision)?;
    let said = args.commands.as_deref().map_or(Ok(Vec::new()), commands::read)?;
    let files = replay::open(plan, &args.files, &Options::default())?;
    recompute::from_files(plan, files, said, decision).map(Some)
}

/// Another policy gives other decisions, which says nothing about this one.
fn same_policy(plan: &Arc<crate::plan::Plan>, decision: &Decision) -> Result<()> {
    if plan.digest == decision.inputs.policy {
        return Ok(());
    }
    Err(Error::user(format!(
        "the decision was made under policy {}, the pipeline is {}",
        decision.inputs.policy, plan.digest
    ))
    .hint("give the pipeline file of that day; `haldane replay --diff` compares two policies"))
}
