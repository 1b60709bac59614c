//! `haldane explain`: why a decision was made, and whether its events, or the panes kept of them, give it again.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::print;
use super::replay::commands;
use crate::audit::recompute::{self, RecomputeSource};
use crate::audit::{self, StoryContext, log};
use crate::config::{self, Pipeline};
use crate::error::{Error, Result};
use crate::files::InputFiles;
use crate::replay::{self, ReplayOptions};
use crate::verdict::Decision;

/// Say why a decision was made, and recompute it from its events or from stored panes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane explain b3:7c12a0 -c pipelines/flights.yaml                                the decision, from the control topic
  haldane explain 7c12a0 --decisions decisions.jsonl                                 from a file that `haldane replay` wrote
  haldane explain 7c12a0 -c pipelines/flights.yaml --recompute                       and again from the input topics
  haldane explain 7c12a0 -c flights.yaml --decisions decisions.jsonl *.parquet       and again from an archive
  haldane explain 7c12a0 -c flights.yaml --store DIR                                 from a store, and again from its panes

Recomputing runs the engine over the whole log up to its end, so a window's neighbours and what people said count as they did. \
Where neither files nor topics are named and the pipeline has a store, the stored panes are judged again.

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
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["decisions", "store"])]
    pub config: Option<PathBuf>,
    /// Decisions, one JSON object per line; default: those on the pipeline's control topic.
    #[arg(long, value_name = "FILE")]
    pub decisions: Option<PathBuf>,
    /// A store that holds the decision, and panes to recompute it from; default: panes of the pipeline's store.
    #[arg(long, value_name = "URL", conflicts_with = "files")]
    pub store: Option<String>,
    /// What people said, as for `haldane replay`, one JSON object per line.
    #[arg(long, value_name = "FILE", requires = "files")]
    pub commands: Option<PathBuf>,
    /// Recompute it from the pipeline's input topics.
    #[arg(long, requires = "config", conflicts_with_all = ["files", "store"])]
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
        audit::tell(decision, &StoryContext { log: &decisions, recomputed: recomputed.as_ref() })
    };
    print(out, &text)?;
    let (what, hint) = match recomputed.map(|recomputed| recomputed.source) {
        Some(RecomputeSource::Panes { .. }) => {
            ("the stored panes", "an archive of the whole log says more: name its files, or add --recompute")
        }
        _ => ("the events", "is it the archive of the whole log, and were all commands given with --commands?"),
    };
    match differences {
        Some(None) => Err(Error::candidate(format!("{what} do not give this decision")).hint(hint)),
        Some(Some(fields)) if !fields.is_empty() => {
            Err(Error::candidate(format!("{what} give this decision with another {}", fields.join(", another "))))
        }
        _ => Ok(()),
    }
}

fn bodies(args: &ExplainArgs, pipeline: Option<&Pipeline>) -> Result<Vec<Vec<u8>>> {
    if let Some(file) = &args.decisions {
        return log::read_file(file);
    }
    if let Some(url) = &args.store {
        return stored::bodies(url);
    }
    if let (Some(pipeline), Some(path)) = (pipeline, &args.config) {
        return log::read_topic(&crate::kafka::Connection::open(&super::command::cluster(pipeline, path)?)?);
    }
    Err(Error::user("no log of decisions is named").hint("name a file with --decisions"))
}

/// The decision once more, where its events are named.
fn again(args: &ExplainArgs, pipeline: &Pipeline, decision: &Decision) -> Result<Option<recompute::Recomputed>> {
    let plan = &pipeline.plan;
    if args.recompute {
        same_policy(plan, decision)?;
        let path = args.config.as_deref().unwrap_or(std::path::Path::new(""));
        let connection = crate::kafka::Connection::open(&super::command::cluster(pipeline, path)?)?;
        return crate::audit::topics::recompute(plan, &connection, decision).map(Some);
    }
    if args.files.is_empty() {
        return stored::again(args, pipeline, decision);
    }
    same_policy(plan, decision)?;
    let said = args.commands.as_deref().map_or(Ok(Vec::new()), commands::read)?;
    let given = InputFiles::find(&args.files)?;
    let schemas = crate::registry::lazily(pipeline.registry.as_ref());
    let files = replay::open(plan, given.paths(), &ReplayOptions { schemas, ..ReplayOptions::default() })?;
    recompute::from_files(plan, files, said, decision).map(Some)
}

/// What a store gives.
mod stored {
    use super::{Error, ExplainArgs, Pipeline, Result, recompute, same_policy};
    use crate::store::{RowFilter, Store};
    use crate::verdict::Decision;

    pub(super) fn bodies(url: &str) -> Result<Vec<Vec<u8>>> {
        let decisions = Store::open(url)?.decisions(&RowFilter::default())?;
        Ok(decisions.iter().map(Decision::body).collect())
    }

    /// The decision from panes: of the store that is named, or else of the pipeline's where that can be done.
    pub(super) fn again(
        args: &ExplainArgs,
        pipeline: &Pipeline,
        of: &Decision,
    ) -> Result<Option<recompute::Recomputed>> {
        let plan = &pipeline.plan;
        let Some(url) = &args.store else {
            let store = pipeline.store.as_ref().and_then(|store| Store::open(&store.url).ok());
            let store = store.filter(|_| plan.digest == of.inputs.policy);
            return store.map_or(Ok(None), |store| recompute::from_panes(plan, &store, of));
        };
        same_policy(plan, of)?;
        let found = recompute::from_panes(plan, &Store::open(url)?, of)?;
        found.map(Some).ok_or_else(|| {
            Error::user(format!("the store at {url} holds no panes of {} that can be judged again", of.model))
                .hint("they were let go, or an older release wrote them: name an archive of the events, or --recompute")
        })
    }
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
