//! The command line: which commands there are. Each one lives in a file of its own; here they are only named and
//! called.

pub mod audit;
pub mod baseline;
pub mod check;
#[cfg(feature = "ballista")]
pub mod cluster;
pub mod command;
pub mod demo;
pub mod detect;
pub mod doctor;
pub mod explain;
pub mod gate;
pub mod generate;
pub mod init;
pub mod losses;
pub mod power;
pub mod replay;
pub mod report;
pub mod rollouts;
pub mod run;
pub mod schema;
#[cfg(feature = "query")]
pub mod sql;
pub mod store;

use std::io::Write;

use clap::{Parser, Subcommand, ValueEnum};

use crate::error::{Error, Result};

/// Watches model versions in production: drift, errors, latency and quality per version in event-time windows, and
/// decisions to hold, contain or roll back.
#[derive(Debug, Parser)]
#[command(name = "haldane", version, arg_required_else_help = true)]
pub struct Cli {
    /// How log lines are written.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines are written. Which ones is said by the variable `HALDANE_LOG`, such as `debug` or `haldane=trace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Whatever is said to a command that a build does not have.
#[cfg(not(feature = "query"))]
#[derive(Debug, clap::Args)]
pub struct Missing {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<std::ffi::OsString>,
}

/// What haldane can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a whole rollout on this machine: generated traffic, an injected regression, decisions as they fall.
    Demo(demo::DemoArgs),
    /// Run the service: read Kafka, judge windows, publish decisions.
    Run(run::RunArgs),
    /// Show where every candidate stands.
    Rollouts(rollouts::RolloutsArgs),
    /// Steer a rollout.
    #[command(flatten)]
    Steer(command::Request),
    /// Ask whether a candidate has passed, as an exit code.
    Gate(gate::GateArgs),
    /// Replay files through a pipeline and show what would have been decided.
    Replay(replay::ReplayArgs),
    /// Judge every stream of a folder, and score the alarms when it is known what changed.
    Detect(detect::DetectArgs),
    /// Build or show a reference profile.
    #[command(subcommand)]
    Baseline(baseline::BaselineCommand),
    /// Write a pipeline file from a sample of your own data.
    Init(init::InitArgs),
    /// Compare two files, or tell what a replay saw and decided: HTML, Markdown, JSON or `JUnit`.
    Report(report::ReportArgs),
    /// Check a pipeline file and say in words what it does.
    Check(check::CheckArgs),
    /// Examine what a pipeline needs: topics, retention, clocks, lag, a sample of events, the store.
    Doctor(doctor::DoctorArgs),
    /// Show how many windows and events the guards need to see a regression.
    Power(power::PowerArgs),
    /// Ask in SQL: the tables of a store, and files.
    #[cfg(feature = "query")]
    Sql(sql::SqlArgs),
    /// Ask in SQL; this build cannot, it needs the feature `query`.
    #[cfg(not(feature = "query"))]
    Sql(Missing),
    /// Look after a store of results.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Carry out queries on many machines.
    #[cfg(feature = "ballista")]
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Say why a decision was made, and recompute it from its events.
    Explain(explain::ExplainArgs),
    /// Check logs of decisions.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Print JSON Schemas: of pipeline files and of everything haldane writes.
    Schema(schema::SchemaArgs),
    /// Print a script that completes haldane's commands and options.
    Completions(generate::CompletionsArgs),
    /// Write man pages, one for haldane and one for each command.
    Man(generate::ManArgs),
}

/// Does what the command line says; results go to `out`, progress and warnings to standard error.
pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<()> {
    match &cli.command {
        Command::Demo(args) => demo::run(args, out),
        Command::Run(args) => run::run(args, out),
        Command::Rollouts(args) => rollouts::run(args, out),
        Command::Steer(request) => command::run(request, out),
        Command::Gate(args) => gate::run(args, out),
        Command::Replay(args) => replay::run(args, out),
        Command::Detect(args) => detect::run(args, out),
        Command::Baseline(command) => baseline::run(command, out),
        Command::Init(args) => init::run(args, out),
        Command::Report(args) => report::run(args, out),
        Command::Check(args) => check::run(args, out),
        Command::Doctor(args) => doctor::run(args, out),
        Command::Power(args) => power::run(args, out),
        #[cfg(feature = "query")]
        Command::Sql(args) => sql::run(args, out),
        #[cfg(not(feature = "query"))]
        Command::Sql(_) => Err(Error::user("this build answers no SQL")
            .hint("build it with the feature that does: `cargo build --features query`")),
        Command::Store(command) => store::run(command, out),
        #[cfg(feature = "ballista")]
        Command::Cluster(command) => cluster::run(command, out),
        Command::Explain(args) => explain::run(args, out),
        Command::Audit(command) => audit::run(command, out),
        Command::Schema(args) => schema::run(args, out),
        Command::Completions(args) => generate::completions(args, out),
        Command::Man(args) => generate::man(args, out),
    }
}

/// Writes a result. A reader that went away, as `head` does, is no failure.
pub(crate) fn print(out: &mut dyn Write, text: &str) -> Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::external("cannot print the result").because(error))
        }
        _ => Ok(()),
    }
}
