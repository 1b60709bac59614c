//! `haldane cluster`: the processes of a cluster that carries out queries.

use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::print;
use crate::error::{Error, Result};
use crate::query::cluster;

/// Carry out queries on many machines.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Plan queries and hand out their work.
    #[command(after_help = "Examples:
  haldane cluster scheduler --listen 127.0.0.1:50050
  haldane sql --cluster 127.0.0.1:50050 --store DIR 'SELECT count(*) FROM windows'

Nobody logs in: whoever reaches the port may run queries on the executors, so keep it inside a network of yours.")]
    Scheduler(SchedulerArgs),
    /// Do the work of a scheduler.
    #[command(after_help = "Examples:
  haldane cluster executor --scheduler 127.0.0.1:50050 --listen 127.0.0.1:50051
  haldane cluster executor --scheduler 127.0.0.1:50050 --listen 127.0.0.1:50061

Executors read the store themselves: its directory must be there under the same path on every machine, and of a bucket the
variables AWS_… must be set for each of them, as for whoever asks.")]
    Executor(ExecutorArgs),
}

/// Where to listen.
#[derive(Debug, Args)]
pub struct SchedulerArgs {
    /// Address for clients and executors, under which executors on other machines reach it, too.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50050")]
    pub listen: SocketAddr,
}

/// Whom to work for.
#[derive(Debug, Args)]
pub struct ExecutorArgs {
    /// The scheduler.
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub scheduler: (String, u16),
    /// Address where other executors fetch results.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Port of the same host where the scheduler hands out work and calls it off; default: the one after `--listen`'s.
    #[arg(long, value_name = "PORT")]
    pub control: Option<u16>,
    /// Folder for results that are on their way; default: one of the system's.
    #[arg(long, value_name = "DIR")]
    pub work: Option<PathBuf>,
    /// How many pieces of work at a time; default: as many as there are cores.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

fn host_and_port(text: &str) -> std::result::Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("a scheduler is given as HOST:PORT")?;
    let port = port.parse().map_err(|_| format!("`{port}` is not a port"))?;
    Ok((host.to_owned(), port))
}

/// Runs the command.
pub fn run(command: &ClusterCommand, out: &mut dyn Write) -> Result<()> {
    match command {
        ClusterCommand::Scheduler(args) => within(schedule(args, out)),
        ClusterCommand::Executor(args) => within(execute(args)),
    }
}

fn within(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Error::internal("cannot start a runtime").because(error))?.block_on(work)
}

async fn schedule(args: &SchedulerArgs, out: &mut dyn Write) -> Result<()> {
    let refused = |error| {
        Error::external(format!("cannot listen on {}", args.listen)).because(error).hint("choose another port, or 0")
    };
    let listener = tokio::net::TcpListener::bind(args.listen).await.map_err(refused)?;
    print(out, &format!("the scheduler listens on {}\n", listener.local_addr().map_err(refused)?))?;
    cluster::schedule(listener).await
}

async fn execute(args: &ExecutorArgs) -> Result<()> {
    let (host, port) = &args.scheduler;
    let control = args.control.unwrap_or_else(|| args.listen.port().saturating_add(1));
    cluster::execute((host, *port), args.listen, control, args.work.as_deref(), args.threads).await
}
