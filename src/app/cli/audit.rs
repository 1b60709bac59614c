//! `haldane audit verify`: whether a log of decisions is whole and unchanged.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::print;
use crate::audit::log;
use crate::error::{Error, Result};
use crate::verdict::RolloutState;
use crate::verdict::chain::{Chain, ChainBreak};

/// What can be audited.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no decision of a log was changed, left out or slipped in.
    Verify(VerifyArgs),
}

/// Which log.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane audit verify -c pipelines/flights.yaml              the control topic, held against the state topic
  haldane audit verify --decisions decisions.jsonl            a file: one decision per line, as published

Every decision names the BLAKE3 digest of the body of the one before it. The last one is vouched for by the state topic; of a \
file alone, what was cut off at its end cannot be seen.

Exit codes: 0 whole; 1 not; 2 mistake in the arguments; 3 no Kafka.")]
pub struct VerifyArgs {
    /// Pipeline file, which names the cluster and its topics.
    #[arg(short, long, value_name = "FILE", required_unless_present = "decisions")]
    pub config: Option<PathBuf>,
    /// A file of decisions, one JSON object per line, byte for byte as they were published.
    #[arg(long, value_name = "FILE")]
    pub decisions: Option<PathBuf>,
}

/// Runs the command; a log that is not whole is an error.
pub fn run(command: &AuditCommand, out: &mut dyn Write) -> Result<()> {
    let AuditCommand::Verify(args) = command;
    let (bodies, states) = read(args)?;
    let mut chain = Chain::default();
    bodies.iter().for_each(|body| chain.add(body));
    if let Some(states) = &states {
        chain.end(states);
    }
    let flaws = chain.flaws();
    print(out, &report(&chain, &flaws, states.is_some()))?;
    if flaws.is_empty() {
        return Ok(());
    }
    Err(Error::candidate(format!("the log of decisions is not whole: {} flaws", flaws.len())).hint(
        "compare it with a copy, or replay the events: `haldane explain ID -c PIPELINE FILES` recomputes a decision",
    ))
}

/// The bodies, and the states where they are known.
type ReadLog = (Vec<Vec<u8>>, Option<Vec<RolloutState>>);

fn read(args: &VerifyArgs) -> Result<ReadLog> {
    if let Some(file) = &args.decisions {
        return Ok((log::read_file(file)?, None));
    }
    if let Some(config) = &args.config {
        let pipeline = crate::config::load(config)?;
        let connection = crate::kafka::Connection::open(&super::command::cluster(&pipeline, config)?)?;
        let states = crate::kafka::states::all(&connection)?;
        return Ok((log::read_topic(&connection)?, Some(states)));
    }
    Err(Error::user("no log is named").hint("name a file with --decisions"))
}

fn report(chain: &Chain, flaws: &[ChainBreak], vouched: bool) -> String {
    let mut out = String::new();
    for ((rollout, model, candidate), first, last) in chain.sequences() {
        let cut = if first > 1 { ", the ones before are not in the log" } else { "" };
        let _ = writeln!(out, "{rollout}/{model}/{candidate}: decisions {first} to {last}{cut}");
    }
    for flaw in flaws {
        let of = flaw
            .of
            .as_ref()
            .map_or_else(String::new, |(rollout, model, candidate)| format!("{rollout}/{model}/{candidate}: "));
        let _ = writeln!(out, "FLAW {of}{}", flaw.text);
    }
    let (n, repeats) = (chain.decisions(), chain.repeats());
    let end =
        if vouched { "and the states vouch for their ends" } else { "their ends are not vouched for by any state" };
    let whole = if flaws.is_empty() { format!("whole, {end}") } else { "NOT whole".to_owned() };
    let _ = writeln!(out, "{n} decisions, {repeats} repeated deliveries: {whole}");
    out
}
