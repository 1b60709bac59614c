//! `haldane act`: carries decisions out where the pipeline file says.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::run::acting;
use super::{command, print};
use crate::config;
use crate::error::Result;
use crate::targets::Adapters;
use crate::targets::acting::Mode;
use crate::targets::watch::Unwatched;

/// Carry decisions out: set the share of traffic where it is set, and say what became of it.
#[derive(Debug, Args)]
#[command(
    after_help = "It decides nothing. It reads what is in force, looks at each target of the section `act`, sets what a \
decision for machines allows (authority AUTO, no drill), looks again, and acknowledges. Restrictions are kept while they are in \
force. Permissions are used once, only where the file says `raise: true`, and only while they are alive. Nothing is changed while a \
target, Kafka or whoever judges is away. `haldane run --role act` is the same service, at the address that the file says.

Exit codes: 0 all that is in force is carried out (--once), or ended in good order; 2 mistake in the arguments or the pipeline \
file; 3 Kafka or a target is away, or says no.

Examples:
  haldane act -c pipelines/fraud.yaml --dry-run     what it would set now
  haldane act -c pipelines/fraud.yaml --once        set it, and end: for people and cron
  haldane act -c pipelines/fraud.yaml               the service
  haldane act -c pipelines/fraud.yaml --listen 127.0.0.1:8089    the same, with /livez, /readyz and /metrics
  haldane act -c pipelines/fraud.yaml --only flags"
)]
pub struct ActArgs {
    /// Pipeline file, with a section `act`.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Carry out what is in force now, and end.
    #[arg(long)]
    pub once: bool,
    /// Print what would be set, and change and say nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Only the target of this name; may be given more than once. Default: all.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// Address of an HTTP server with /livez, /readyz and /metrics, over TLS where `serve.tls` says so; default: none.
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["once", "dry_run"])]
    pub listen: Option<SocketAddr>,
}

/// Runs the command.
pub fn run(args: &ActArgs, out: &mut dyn Write) -> Result<()> {
    let pipeline = config::load(&args.config)?;
    let kafka = command::cluster(&pipeline, &args.config)?;
    let chosen = acting::chosen(&pipeline, &args.config, &args.only)?;
    if !(args.once || args.dry_run) {
        return acting::serve(&pipeline, &kafka, &chosen, args.listen);
    }
    let mode = if args.dry_run { Mode::DryRun } else { Mode::Once };
    let adapters = Adapters { chosen: &chosen, plan: &pipeline.plan, kafka: &kafka, watch: &Unwatched };
    adapters.once(mode, &mut |name, done| {
        print(
            out,
            &match done {
                Ok(done) if done.is_empty() => format!("{name}: nothing to do\n"),
                Ok(done) => done.join("\n") + "\n",
                Err(error) => format!("{name}: {error}\n"),
            },
        )
    })
}
