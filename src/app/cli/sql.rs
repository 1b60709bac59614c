//! `haldane sql`: a query over a store and over files.

use std::io::{IsTerminal as _, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config::span;
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::query::{Desk, OutputFormat, QueryLimits, Session};
use crate::store::Store;

/// Ask in SQL: the tables of a store, and Parquet, Arrow, CSV and JSON files.
#[derive(Debug, Args)]
#[command(
    after_help = "Tables of a store: windows, verdicts, decisions, commands, panes, columns; every one has a `date`.

Examples:
  haldane sql --store DIR 'SHOW TABLES'
  haldane sql --store DIR \"SELECT window_start, version, value, n FROM windows WHERE metric = 'psi' ORDER BY 1, 2\"
  haldane sql --store DIR 'SELECT time, action, candidate, reason FROM decisions ORDER BY time'
  haldane sql \"SELECT * FROM 'events.parquet' LIMIT 5\"
  haldane sql --file a=monday.csv --file b=tuesday.csv 'SELECT count(*) FROM a JOIN b USING (id)'
  haldane sql --store DIR --listen 127.0.0.1:5432      for psql, Grafana and other clients of PostgreSQL

Functions are the engine's own metrics. Two histograms are compared by the metric's name (psi, ks, js_distance, hellinger, \
…); histograms are added by hist_merge, each side with its FILTER:
  SELECT \\\"column\\\", psi(hist_merge(histogram) FILTER (WHERE version = 'v2'),
                       hist_merge(histogram) FILTER (WHERE version = 'v1')) FROM panes GROUP BY 1
  SELECT version, latency_quantile(hist_merge(latency), 0.99) FROM panes GROUP BY 1
Raw columns are compared by drift_…(value, is_current): rows of the current side against the others:
  SELECT drift_psi(amount, version = 'v2'), drift_ks(amount, version = 'v2') FROM 'events.parquet'
P-values of no difference at all are drift_ks_p, drift_mann_whitney_p and drift_welch_p; of two rates fisher_p, rates_z and \
rates_z_p over counts, with intervals newcombe_low and _high (of the difference), wilson_low and _high (of one rate):
  SELECT newcombe_low(sum(errors) FILTER (WHERE version = 'v2'), sum(requests) FILTER (WHERE version = 'v2'),
                      sum(errors) FILTER (WHERE version = 'v1'), sum(requests) FILTER (WHERE version = 'v1')) FROM panes
Quantiles between rows, as NumPy and pandas have them (to a millionth of the gap between two rows), are DataFusion's own:
  SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY amount) FROM 'events.parquet'
Labelled predictions are judged by ece, brier, auc, log_loss, mae, … (score, label):
  SELECT version, ece(score, label), auc(score, label) FROM 'events.parquet' GROUP BY 1"
)]
pub struct SqlArgs {
    /// The query; it only reads.
    #[arg(required_unless_present = "listen", conflicts_with = "listen")]
    pub query: Option<String>,
    /// Answer clients of PostgreSQL on this address, until it is interrupted. Files are known by the names of --file
    /// only.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// The store: a directory, or `s3://bucket/folder`.
    #[arg(long, value_name = "DIR")]
    pub store: Option<String>,
    /// A file and the name that the query has for it; may be repeated.
    #[arg(long, value_name = "NAME=PATH", value_parser = named)]
    pub file: Vec<(String, PathBuf)>,
    /// The scheduler of a cluster that does the work (`haldane cluster`); of `--memory` it knows nothing.
    #[cfg(feature = "ballista")]
    #[arg(long, value_name = "HOST:PORT", requires = "store", conflicts_with = "listen")]
    pub cluster: Option<String>,
    /// How rows are written; default: a table on a terminal, else CSV.
    #[arg(long, value_enum)]
    pub format: Option<OutputFormat>,
    /// The most rows.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub rows: usize,
    /// The longest time it may take.
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = span)]
    pub time: Micros,
    /// Memory it may use, MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub memory: usize,
}

fn named(text: &str) -> std::result::Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("a file is given as NAME=PATH")?;
    Ok((name.to_owned(), PathBuf::from(path)))
}

/// Runs the command.
pub fn run(args: &SqlArgs, out: &mut dyn Write) -> Result<()> {
    match (args.listen, &args.query) {
        (Some(address), _) => listen(address, args, out),
        (None, query) => answer(query.as_deref().unwrap_or_default(), args, out),
    }
}

fn session(args: &SqlArgs) -> Result<Session> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let time = Duration::from_micros(u64::try_from(args.time).unwrap_or_default());
    let limits = QueryLimits { memory: args.memory << 20, time, rows: args.rows, threads };
    let mut session = Session::new(limits)?;
    if let Some(url) = &args.store {
        session = session.with_store(Store::open(url)?);
    }
    for (name, path) in &args.file {
        session = session.with_file(name, path.clone());
    }
    #[cfg(feature = "ballista")]
    if let Some(scheduler) = &args.cluster {
        session = session.with_cluster(scheduler);
    }
    Ok(session)
}

#[cfg(feature = "pg")]
fn listen(address: SocketAddr, args: &SqlArgs, out: &mut dyn Write) -> Result<()> {
    use std::sync::Arc;

    use crate::serve::{Shared, postgres};

    if !address.ip().is_loopback() {
        return Err(Error::user("nobody logs in here, so only this machine may ask")
            .hint("listen on 127.0.0.1, or run the service with `serve: { postgres: …, approvers: … }`"));
    }
    let shared = Arc::new(Shared::new());
    shared.answer_queries(Desk::open(session(args)?)?);
    let host = postgres::Host::start(address, shared)?;
    super::print(out, &format!("psql -h {} -p {} haldane\n", host.address().ip(), host.address().port()))?;
    loop {
        std::thread::park();
    }
}

#[cfg(not(feature = "pg"))]
fn listen(_: SocketAddr, _: &SqlArgs, _: &mut dyn Write) -> Result<()> {
    Err(Error::user("this build does not speak PostgreSQL's protocol").hint("build it with `--features pg`"))
}

fn answer(query: &str, args: &SqlArgs, out: &mut dyn Write) -> Result<()> {
    let answer = Desk::open(session(args)?.with_paths())?.ask(query)?;
    let format =
        args.format.unwrap_or(if std::io::stdout().is_terminal() { OutputFormat::Table } else { OutputFormat::Csv });
    if answer.truncated {
        tracing::warn!(rows = args.rows, "there are more rows than are shown; --rows shows more");
    }
    let written = out.write_all(&answer.write(format)?).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::external("cannot print the result").because(error))
        }
        _ => Ok(()),
    }
}
