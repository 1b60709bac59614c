//! `haldane act`: carries decisions out where the pipeline file says.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;

use super::run::probe::Probe;
use super::run::stop_on_signal;
use super::{command, print};
use crate::config::{self, KafkaConfig, Pipeline};
use crate::error::{Error, Fault, Result};
use crate::kafka::Connection;
use crate::plan::Plan;
use crate::serve::{Board, Server, Shared, Tls};
use crate::targets::acting::{Actor, Mode};
use crate::targets::watch::{AdapterObserver, Unwatched};
use crate::targets::{self, ActConfig, TargetKind};

/// Carry decisions out: set the share of traffic where it is set, and say what became of it.
#[derive(Debug, Args)]
#[command(
    after_help = "It decides nothing. It reads what is in force, looks at each target of the section `act`, sets what a \
decision for machines allows (authority AUTO, no drill), looks again, and acknowledges. Restrictions are kept while they are in \
force. Permissions are used once, only where the file says `raise: true`, and only while they are alive. Nothing is changed while a \
target, Kafka or whoever judges is away.

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

/// The pause before Kafka is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Runs the command.
pub fn run(args: &ActArgs, out: &mut dyn Write) -> Result<()> {
    let pipeline = config::load(&args.config)?;
    let kafka = command::cluster(&pipeline, &args.config)?;
    let chosen = chosen(args, &pipeline)?;
    if args.once || args.dry_run {
        let mode = if args.dry_run { Mode::DryRun } else { Mode::Once };
        return Work { plan: &pipeline.plan, kafka: &kafka, watch: &Unwatched }.once(&chosen, mode, out);
    }
    let stop = stop_on_signal()?;
    let Some(address) = args.listen else {
        return Work { plan: &pipeline.plan, kafka: &kafka, watch: &Unwatched }.on(&chosen, &stop);
    };
    let shared = Arc::new(Shared::new());
    shared.protect(pipeline.serve.tls.as_ref().map(Tls::open).transpose()?, pipeline.serve.limits);
    let adapters = chosen.iter().map(|one| (one.terms.adapter.as_str(), matches!(one.kind, TargetKind::Notify(_))));
    let board = Board::new(Arc::clone(&shared), &pipeline.plan, adapters);
    let server = Server::start_probes(address, Arc::clone(&shared))?;
    let _probe = Probe::start(&kafka, &shared)?;
    let ended = Work { plan: &pipeline.plan, kafka: &kafka, watch: &board }.on(&chosen, &stop);
    server.shutdown();
    ended
}

fn chosen<'a>(args: &ActArgs, pipeline: &'a Pipeline) -> Result<Vec<&'a ActConfig>> {
    let names: Vec<&str> = pipeline.act.iter().map(|one| one.terms.adapter.as_str()).collect();
    if names.is_empty() {
        return Err(Error::user(format!("{} does not say where decisions are carried out", args.config.display()))
            .hint("add a section `act:`; see pipelines/fraud.yaml"));
    }
    if let Some(unknown) = args.only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(
            Error::user(format!("there is no target `{unknown}`")).hint(format!("the file names {}", names.join(", ")))
        );
    }
    let is_chosen = |one: &&ActConfig| args.only.is_empty() || args.only.contains(&one.terms.adapter);
    Ok(pipeline.act.iter().filter(is_chosen).collect())
}

#[derive(Clone, Copy)]
struct Work<'a> {
    plan: &'a Arc<Plan>,
    kafka: &'a KafkaConfig,
    watch: &'a dyn AdapterObserver,
}

impl Work<'_> {
    /// One after the other; one that fails does not keep the others from it.
    fn once(self, chosen: &[&ActConfig], mode: Mode, out: &mut dyn Write) -> Result<()> {
        let stop = AtomicBool::new(false);
        let mut failed = None;
        for config in chosen {
            match self.act(config, mode, &stop) {
                Ok(done) if done.is_empty() => print(out, &format!("{}: nothing to do\n", config.terms.adapter))?,
                Ok(done) => print(out, &(done.join("\n") + "\n"))?,
                Err(error) => {
                    print(out, &format!("{}: {error}\n", config.terms.adapter))?;
                    failed = failed.or(Some(error));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Side by side, so that a target that is slow holds up no other.
    fn on(self, chosen: &[&ActConfig], stop: &AtomicBool) -> Result<()> {
        std::thread::scope(|scope| {
            let act = |config| move || self.keep_on(config, stop);
            let threads: Vec<_> = chosen.iter().map(|&config| scope.spawn(act(config))).collect();
            let ended = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err(Error::internal("a target's thread has panicked"))));
            ended.collect::<Vec<_>>().into_iter().collect()
        })
    }

    /// Tries again whatever may pass. A fault of haldane's own ends all of it.
    fn keep_on(self, config: &ActConfig, stop: &AtomicBool) -> Result<()> {
        loop {
            match self.act(config, Mode::On, stop) {
                Err(error) if error.fault() == Fault::External && !stop.load(Ordering::Relaxed) => {
                    let name = config.terms.adapter.as_str();
                    tracing::warn!(adapter = name, %error, hint = error.advice(), "nothing is changed meanwhile; trying again");
                    std::thread::park_timeout(AGAIN);
                }
                ended => {
                    stop.store(true, Ordering::Relaxed);
                    return ended.map(drop);
                }
            }
        }
    }

    /// The arguments and the file were checked: what is wrong from here on is mended elsewhere, and trying again helps.
    fn act(self, config: &ActConfig, mode: Mode, stop: &AtomicBool) -> Result<Vec<String>> {
        self.try_act(config, mode, stop).map_err(Error::elsewhere)
    }

    fn try_act(self, config: &ActConfig, mode: Mode, stop: &AtomicBool) -> Result<Vec<String>> {
        let cluster = Connection::open(self.kafka)?;
        if let Some(target) = targets::open(config)? {
            return Actor::open(config, target, self.plan, (&cluster, self.watch), mode)?.run(stop);
        }
        let TargetKind::Notify(notify) = &config.kind else { return Ok(Vec::new()) };
        if mode == Mode::DryRun {
            return Ok(vec![format!("{}: would tell {} of new decisions", config.terms.adapter, notify.whom())]);
        }
        let about = (&config.terms, self.plan.policy.rollout.as_str(), config.timeout);
        targets::notify::tell(notify, about, (&cluster, self.watch), (mode == Mode::Once, stop)).map(|()| Vec::new())
    }
}
