//! `haldane run`: the service.

pub(super) mod acting;
mod probe;
mod refusals;
mod systemd;
mod tidying;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::probe::Probe;
use self::refusals::Refusals;
use self::systemd::Notifier;
use self::tidying::Tidying;
use super::check::memory;
use super::diff;
use super::losses::{FailOnLosses, gate};
use super::print;
use crate::config::{self, KafkaConfig, Pipeline, Role};
use crate::engine::{Effects, MemoryUse};
use crate::error::{Error, Fault, Result};
use crate::judge::WindowRow;
use crate::kafka::Connection;
use crate::kafka::keeping::Keeping;
use crate::kafka::standalone::{self, RunOptions};
use crate::kafka::summary::RunSummary;
use crate::kafka::versions::{self, PipelineVersion};
use crate::kafka::watch::{Audience, Keeper, RunObserver, StreamStanding};
use crate::kafka::{judging, reader::ReadPortion, scanning};
use crate::output::write_window_lines;
use crate::scan::LaneCounts;
use crate::serve::{Access, Listener, Server, Shared, Tls};
use crate::summary::Spill;
use crate::targets::Adapters;
use crate::verdict::{Liveness, RolloutState};
use crate::{batch::EventBatch, scan::StreamCounts};

/// The pause before something that is away at the start is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long an end in good order may take: supervisors kill after 30 s.
const DRAIN: Duration = Duration::from_secs(20);

/// Run the service: read Kafka, judge windows, publish decisions.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane run -c pipelines/flights.yaml
  haldane run -c pipelines/flights.yaml --role scan
  haldane run -c pipelines/fraud.yaml --role act    only carries decisions out: `haldane act` as a part of the service
  haldane run -c pipelines/fraud.yaml --act         judges, and carries decisions out, in one process
  haldane run -c pipelines/flights.yaml --until-end --windows windows.jsonl

Exit codes: 0 ended in good order; 2 mistake in the arguments or the pipeline file; 3 something else is missing, wrong or away, \
so that it is worth starting again; 70 a fault of haldane's own; 130 ended at once by a second signal.")]
pub struct RunArgs {
    /// Pipeline file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Which part of the work this process does; default: what the file says.
    #[arg(long, value_enum)]
    pub role: Option<Role>,
    /// Carry decisions out, too, where the section `act` says; without it, whoever judges changes no share of traffic.
    /// Of processes that stand by for each other one alone should have it: each would tell people.
    #[arg(long, conflicts_with = "until_end")]
    pub act: bool,
    /// Read up to the present ends of the topics, and stop there.
    #[arg(long)]
    pub until_end: bool,
    /// What makes the exit code 1 at the end.
    #[arg(long, value_enum, default_value_t = FailOnLosses::Never, requires = "until_end")]
    pub fail_on: FailOnLosses,
    /// Append judged windows to this file, one JSON object per line.
    #[arg(long, value_name = "FILE")]
    pub windows: Option<PathBuf>,
    /// Threads that read and decode; default: one for each core, at most 4.
    #[arg(long, value_name = "N")]
    pub shards: Option<u32>,
    /// Address of the HTTP server; default: what the file says, and none with --until-end.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

/// Runs the command.
pub fn run(args: &RunArgs, out: &mut dyn Write) -> Result<()> {
    let pipeline = config::load(&args.config)?;
    let kafka = pipeline.kafka.clone().ok_or_else(|| no_cluster(&args.config))?;
    let role = args.role.unwrap_or(kafka.role);
    check(args, role, &pipeline)?;
    let acts = args.act || role == Role::Act;
    let chosen = if acts { acting::chosen(&pipeline, &args.config, &[])? } else { Vec::new() };
    if role == Role::Act {
        return acting::serve(&pipeline, &kafka, &chosen, Some(args.listen.unwrap_or(pipeline.serve.listen)));
    }
    if role != Role::Scan && chosen.is_empty() && !pipeline.act.is_empty() {
        tracing::info!("the section `act` is not carried out by this process: say --act, or start one with --role act");
    }
    let stop = stop_on_signal()?;
    let shared = Arc::new(Shared::new());
    shared.telemetry().runs_as(role.name());
    shared.protect(pipeline.serve.tls.as_ref().map(Tls::open).transpose()?, pipeline.serve.limits);
    shared.admit(Access::open(&pipeline.serve)?);
    if role != Role::Scan && !args.until_end {
        shared.steer(Box::new(kafka.clone()));
    }
    let server = listen(args, &pipeline).map(|address| Server::start(address, Arc::clone(&shared))).transpose()?;
    let probe = (!args.until_end).then(|| Probe::start(&kafka, &shared)).transpose()?;
    let _notifier = Notifier::start(&shared, &stop)?;
    let listener = Listener::new(Arc::clone(&shared), &pipeline.plan);
    let board = acting::board(&shared, &chosen);
    let adapters = Adapters { chosen: &chosen, plan: &pipeline.plan, kafka: &kafka, watch: &board };
    let done = adapters.beside(&stop, || judge(args, (&pipeline, &kafka, role), (&shared, listener), &stop));
    drop(probe);
    if let Some(server) = server {
        server.shutdown();
    }
    report(out, &done?, args.fail_on)
}

/// All that is not carrying decisions out: reads, judges, keeps and answers, until the end.
fn judge(
    args: &RunArgs,
    (pipeline, kafka, role): (&Pipeline, &KafkaConfig, Role),
    (shared, listener): (&Arc<Shared>, Listener),
    stop: &AtomicBool,
) -> Result<RunSummary> {
    let patient = !args.until_end;
    let kept = pipeline.store.as_ref().filter(|_| role != Role::Scan);
    let open_store = || kept.map(|store| Keeping::open(store, &pipeline.plan)).transpose();
    let store = patiently(patient, stop, open_store).map_err(Error::elsewhere)?;
    let connection = patiently(patient, stop, || Connection::open(kafka)).map_err(Error::elsewhere)?;
    let (Some(store), Some(cluster)) = (store, connection) else { return Ok(RunSummary::default()) };
    // It ends after the store's last flush.
    let _tidying = kept.filter(|store| store.compact).map(Tidying::start).transpose()?;
    let told = ServiceObserver {
        listener,
        cluster,
        version: diff::version(&args.config, pipeline)?,
        windows: args.windows.as_deref().map(open).transpose()?,
        store,
        refusals: Refusals::default(),
        bound: memory::bound(pipeline)?,
    };
    #[cfg(feature = "query")]
    kept.iter().try_for_each(|store| answer_queries(&store.url, shared))?;
    let _postgres = postgres(args, pipeline, shared);
    let audience = Audience { keeper: &told, watch: &told };
    // What stands in the arguments and the file was checked. Whatever else is wrong can be mended elsewhere, and a
    // restart helps then.
    work(pipeline, kafka, (role, options(args)), audience, stop).map_err(Error::elsewhere)
}

/// What goes together.
fn check(args: &RunArgs, role: Role, pipeline: &Pipeline) -> Result<()> {
    if args.until_end && role != Role::All {
        return Err(
            Error::user("--until-end needs both parts in one process").hint("leave --role out, or say `--role all`")
        );
    }
    if pipeline.memory.is_some() && !matches!(role, Role::All | Role::Act) {
        return Err(Error::user("`memory` bounds a service in one process, not a scan or a judge that runs apart")
            .hint("leave `memory` out, and bound what labels and revisions take: see `haldane check`"));
    }
    if args.act && role == Role::Scan {
        return Err(Error::user("a process that scans carries nothing out")
            .hint("say --act beside `--role all` or `--role judge`, or start another process with `--role act`"));
    }
    Ok(())
}

fn no_cluster(path: &Path) -> Error {
    Error::user(format!("{} names no Kafka cluster", path.display()))
        .hint("add a `kafka:` section with `brokers: host:port`, or use `haldane replay` for files")
}

fn options(args: &RunArgs) -> RunOptions {
    let shards = args.shards.unwrap_or_else(standalone::shards_here);
    RunOptions { until_end: args.until_end, shards, ..RunOptions::default() }
}

fn listen(args: &RunArgs, pipeline: &Pipeline) -> Option<SocketAddr> {
    args.listen.or_else(|| (!args.until_end).then_some(pipeline.serve.listen))
}

/// Lets the HTTP server answer SQL over the store.
#[cfg(feature = "query")]
fn answer_queries(url: &str, shared: &Shared) -> Result<()> {
    use crate::query::{Desk, QueryLimits, Session};

    let store = crate::store::Store::reach(url)?;
    shared.answer_queries(Desk::open(Session::new(QueryLimits::default())?.with_store(store))?);
    Ok(())
}

/// Clients of PostgreSQL, where they are answered. Rollouts are watched all the same when they cannot be.
#[cfg(feature = "pg")]
fn postgres(args: &RunArgs, pipeline: &Pipeline, shared: &Arc<Shared>) -> Option<crate::serve::postgres::Host> {
    let address = pipeline.serve.postgres.filter(|_| !args.until_end)?;
    let host = crate::serve::postgres::Host::start(address, Arc::clone(shared));
    host.inspect_err(|error| tracing::error!(%error, hint = error.advice(), "postgresql clients are not answered")).ok()
}

#[cfg(not(feature = "pg"))]
fn postgres(_: &RunArgs, pipeline: &Pipeline, _: &Arc<Shared>) -> Option<std::convert::Infallible> {
    if pipeline.serve.postgres.is_some() {
        tracing::error!("postgresql clients are not answered: this build lacks the feature `pg`");
    }
    None
}

fn work(
    pipeline: &Pipeline,
    kafka: &KafkaConfig,
    (role, options): (Role, RunOptions),
    audience: Audience<'_>,
    stop: &AtomicBool,
) -> Result<RunSummary> {
    tracing::info!(pipeline = pipeline.plan.name, brokers = kafka.brokers, ?role, "starting");
    match role {
        Role::All => standalone::run(&pipeline.plan, kafka, options, audience, stop),
        Role::Scan => scanning::run(&pipeline.plan, kafka, options, audience, stop),
        Role::Judge => judging::run(&pipeline.plan, kafka, options, audience, stop),
        // Whoever only acts has gone its own way before.
        Role::Act => Ok(RunSummary::default()),
    }
}

/// Tries until what is away at the start is there; `None` when it is told to stop before. What trying again does not
/// mend is an error.
fn patiently<T>(patient: bool, stop: &AtomicBool, mut attempt: impl FnMut() -> Result<T>) -> Result<Option<T>> {
    while !stop.load(Ordering::Relaxed) {
        match attempt() {
            Err(error) if patient && error.fault() == Fault::External => {
                tracing::warn!(%error, hint = error.advice(), "cannot start yet; waiting");
                std::thread::park_timeout(AGAIN);
            }
            done => return done.map(Some),
        }
    }
    Ok(None)
}

fn report(out: &mut dyn Write, summary: &RunSummary, fail_on: FailOnLosses) -> Result<()> {
    let RunSummary { events, rejects, rows, decisions, losses } = summary;
    let lost = losses.render();
    print(out, &format!("{events} events read, {rejects} refused; {rows} results, {decisions} decisions\n{lost}"))?;
    gate(losses, fail_on)
}

/// A flag that the first SIGTERM or SIGINT sets: everything read is finished and committed then. A second one ends the
/// process at once, which is safe too; the next start reads a little more again.
pub(crate) fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let failed = |error| Error::internal("cannot wait for signals").because(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let wait = move || {
        runtime.block_on(async {
            let (Ok(mut term), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
            else {
                return tracing::error!("signals cannot be waited for: they end the process at once");
            };
            either(&mut term, &mut interrupt).await;
            tracing::info!("stopping; a second signal ends the process at once");
            flag.store(true, Ordering::Relaxed);
            if tokio::time::timeout(DRAIN, either(&mut term, &mut interrupt)).await.is_err() {
                tracing::error!("what was read is not finished in time; the next start reads it again");
            }
            std::process::exit(130);
        });
    };
    std::thread::Builder::new().name("haldane-signals".to_owned()).spawn(wait).map_err(failed)?;
    Ok(stop)
}

async fn either(term: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Appends: a run that goes on after a restart keeps what was written before it.
fn open(path: &Path) -> Result<Mutex<BufWriter<File>>> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.map(|file| Mutex::new(BufWriter::new(file)))
        .map_err(|error| Error::user(format!("cannot write {}", path.display())).because(error).hint("check --windows"))
}

/// Tells the HTTP side and the file of windows.
struct ServiceObserver {
    listener: Listener,
    cluster: Connection,
    /// What the file says.
    version: PipelineVersion,
    windows: Option<Mutex<BufWriter<File>>>,
    store: Option<Keeping>,
    refusals: Refusals,
    bound: Option<(usize, Arc<dyn Spill>)>,
}

impl ServiceObserver {
    /// Written out before anything is committed, so that a crash can repeat lines but lose none.
    fn write(&self, rows: &[WindowRow]) -> std::io::Result<()> {
        let Some(windows) = &self.windows else { return Ok(()) };
        let mut windows = windows.lock().unwrap_or_else(PoisonError::into_inner);
        write_window_lines(&mut windows, rows)?;
        windows.flush()
    }
}

impl Keeper for ServiceObserver {
    fn taking_over(&self) -> Result<()> {
        // Decisions do not wait for it.
        if let Err(error) = versions::record(&self.cluster, &self.version) {
            tracing::warn!(%error, "what the pipeline file says is not recorded");
        }
        self.store.as_ref().map_or(Ok(()), Keeping::taking_over)
    }

    fn keeps_panes(&self) -> bool {
        self.store.is_some()
    }

    fn bound(&self) -> Option<(usize, Arc<dyn Spill>)> {
        self.bound.clone()
    }

    fn counted_upto(&self, source: u16, lane: u32) -> i64 {
        self.store.as_ref().map_or(0, |store| store.counted_upto(source, lane))
    }

    fn took(&self, portion: &ReadPortion, fresh: &EventBatch, counts: (LaneCounts, LaneCounts)) {
        self.store.iter().for_each(|store| store.took(portion, fresh, counts));
    }

    fn tallied(&self, source: u16, lane: u32, tally: &StreamCounts) {
        self.store.iter().for_each(|store| store.tallied(source, lane, tally));
    }

    fn keep(&self, effects: &Effects) -> Result<bool> {
        self.store.as_ref().map_or(Ok(true), |store| store.keep(effects))
    }

    fn conclude(&self, effects: &Effects) -> Result<()> {
        self.write(&effects.windows)
            .map_err(|error| Error::external("cannot write the windows of --windows").because(error))
    }

    fn settle(&self, at_end: bool) -> Result<bool> {
        let Some(store) = &self.store else { return Ok(true) };
        let settled = store.settle(at_end)?;
        self.listener.reached("store", store.answers());
        Ok(settled)
    }
}

impl RunObserver for ServiceObserver {
    fn schemas(&self, answer: bool) {
        self.listener.schemas(answer);
    }

    fn started(&self, rollouts: &[RolloutState]) {
        self.listener.started(rollouts);
    }

    fn standing_by(&self) {
        self.listener.standing_by();
    }

    fn caught_up(&self) {
        self.listener.caught_up();
        tracing::info!("every log was read near to its end; ready");
    }

    fn judging(&self, liveness: &Liveness) {
        self.listener.judging(liveness);
    }

    fn read(&self, portion: &ReadPortion) {
        self.refusals.note(&portion.rejects);
        self.listener.read(portion);
    }

    fn stepped(&self, took: Duration) {
        self.listener.stepped(took);
    }

    fn counted(&self, thread: &str, counts: &BTreeMap<u32, LaneCounts>) {
        self.listener.counted(thread, counts);
    }

    fn published(&self, effects: &Effects) {
        for decision in &effects.decisions {
            let (action, id, candidate) = (decision.action.name(), &decision.id, &decision.candidate);
            tracing::info!(action, id, candidate, reason = decision.reason.text, "decided");
        }
        self.listener.published(effects);
    }

    fn provisional(&self, rows: Vec<WindowRow>) {
        self.listener.provisional(rows);
    }

    fn skipped(&self, looks: u64) {
        self.listener.skipped(looks);
    }

    fn remembered(&self, thread: &str, memory: &MemoryUse, queued: u64) {
        self.listener.remembered(thread, memory, queued);
    }

    fn standing(&self, thread: &str, standings: &[StreamStanding]) {
        self.listener.standing(thread, standings);
    }

    fn unread(&self, partitions: u32) {
        if partitions > 0 {
            tracing::warn!(partitions, "partitions were added and are not read until all input topics have as many");
        }
        self.listener.unread(partitions);
    }

    fn alive(&self, thread: &str) {
        self.listener.alive(thread);
    }
}
