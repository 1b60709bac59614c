//! The command line: which commands there are. Each one lives in a file of its own; here they are only named and
//! called.

pub mod act;
pub mod audit;
pub mod baseline;
pub mod check;
#[cfg(feature = "ballista")]
pub mod cluster;
pub mod command;
pub mod demo;
pub mod detect;
pub mod diff;
pub mod dlq;
pub mod doctor;
pub mod explain;
pub mod gate;
pub mod generate;
pub mod init;
pub mod losses;
pub mod power;
mod private;
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

pub use private::keep_memory_private;

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

/// Makes of the list of commands what the command line is read into, and calls of them.
macro_rules! commands {
    ($($(#[$($about:tt)*])* $name:ident($args:ty) => $run:path $([$($when:tt)*])?;)+) => {
        /// What haldane can do.
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $($(#[$($about)*])* $(#[cfg($($when)*)])? $name($args),)+
        }

        /// Does what the command line says; results go to `out`, progress and warnings to standard error.
        pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<()> {
            match &cli.command {
                $($(#[cfg($($when)*)])? Command::$name(args) => $run(args, out),)+
            }
        }
    };
}

// A command is a line here: what `--help` says of it, its arguments, the function that carries it out, and the feature
// without which a build does not have it.
commands! {
    /// Show a whole rollout on this machine: generated traffic, an injected regression, decisions as they fall.
    Demo(demo::DemoArgs) => demo::run;
    /// Run the service: read Kafka, judge windows, publish decisions.
    Run(run::RunArgs) => run::run;
    /// Show where every candidate stands.
    Rollouts(rollouts::RolloutsArgs) => rollouts::run;
    /// Steer a rollout.
    #[command(flatten)]
    Steer(command::RolloutCommand) => command::run;
    /// Ask whether a candidate has passed, as an exit code.
    Gate(gate::GateArgs) => gate::run;
    /// Carry decisions out: set the share of traffic where it is set, and say what became of it.
    Act(act::ActArgs) => act::run;
    /// Replay files through a pipeline and show what would have been decided.
    Replay(replay::ReplayArgs) => replay::run;
    /// Judge every stream of a folder, and score the alarms when it is known what changed.
    Detect(detect::DetectArgs) => detect::run;
    /// Build or show a reference profile.
    #[command(subcommand)]
    Baseline(baseline::BaselineCommand) => baseline::run;
    /// Write a pipeline file from a sample of your own data.
    Init(init::InitArgs) => init::run;
    /// Compare two files, or tell what a replay saw and decided: HTML, Markdown, JSON or `JUnit`.
    Report(report::ReportArgs) => report::run;
    /// Check a pipeline file and say in words what it does.
    Check(check::CheckArgs) => check::run;
    /// Say in words what two pipeline files differ in.
    Diff(diff::DiffArgs) => diff::run;
    /// Examine what a pipeline needs: topics, retention, clocks, lag, a sample of events, the store.
    Doctor(doctor::DoctorArgs) => doctor::run;
    /// List, show and send back records that were refused.
    #[command(subcommand)]
    Dlq(dlq::DlqCommand) => dlq::run;
    /// Show how many windows and events the guards need to see a regression.
    Power(power::PowerArgs) => power::run;
    /// Ask in SQL: the tables of a store, and files.
    Sql(sql::SqlArgs) => sql::run [feature = "query"];
    /// Ask in SQL; this build cannot, it needs the feature `query`.
    Sql(Missing) => no_sql [not(feature = "query")];
    /// Look after a store of results.
    #[command(subcommand)]
    Store(store::StoreCommand) => store::run;
    /// Carry out queries on many machines.
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand) => cluster::run [feature = "ballista"];
    /// Say why a decision was made, and recompute it from its events.
    Explain(explain::ExplainArgs) => explain::run;
    /// Check logs of decisions.
    #[command(subcommand)]
    Audit(audit::AuditCommand) => audit::run;
    /// Print JSON Schemas: of pipeline files and of everything haldane writes.
    Schema(schema::SchemaArgs) => schema::run;
    /// Print a script that completes haldane's commands and options.
    Completions(generate::CompletionsArgs) => generate::completions;
    /// Write man pages, one for haldane and one for each command.
    Man(generate::ManArgs) => generate::man;
}

#[cfg(not(feature = "query"))]
fn no_sql(_: &Missing, _: &mut dyn Write) -> Result<()> {
    Err(Error::user("this build answers no SQL")
        .hint("build it with the feature that does: `cargo build --features query`"))
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
