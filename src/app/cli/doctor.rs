//! `haldane doctor`: whether everything that a pipeline needs is there and as it should be, with what to do where it is
//! not.

mod cluster;
mod serve;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::check::memory;
use super::{command, print};
use crate::config::{self, Pipeline, RegistryConfig};
use crate::error::{Error, Result};
use crate::kafka::Connection;
use crate::output::text::aligned;
use crate::registry::Registry;
use crate::store;

/// Examine the cluster, the store and the certificate that a pipeline names: topics, retention, clocks, lag, a
/// sample of events, who may read secrets.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is written to a topic. Offsets are committed once, by a group of its own (`GROUP.doctor`), which is \
then deleted. The exit code is 1 when something is wrong; what is only doubtful does not count.

Examples:
  haldane doctor -c pipelines/flights.yaml"
)]
pub struct DoctorArgs {
    /// Pipeline file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
}

/// What one look has found.
#[derive(Debug)]
struct Observation {
    /// What was looked at.
    subject: String,
    grade: Grade,
    /// What was found.
    said: String,
    /// What to do.
    advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    Fine,
    Doubtful,
    Wrong,
}

impl Grade {
    fn name(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Doubtful => "doubtful",
            Self::Wrong => "WRONG",
        }
    }
}

impl Observation {
    fn fine(subject: impl Into<String>, said: impl Into<String>) -> Self {
        Self { subject: subject.into(), grade: Grade::Fine, said: said.into(), advice: None }
    }

    fn doubtful(subject: impl Into<String>, said: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { grade: Grade::Doubtful, advice: Some(advice.into()), ..Self::fine(subject, said) }
    }

    fn wrong(subject: impl Into<String>, said: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { grade: Grade::Wrong, advice: Some(advice.into()), ..Self::fine(subject, said) }
    }

    /// What an answer says, or the error in its place.
    fn of(subject: &str, answer: Result<String>) -> Self {
        match answer {
            Ok(said) => Self::fine(subject, said),
            Err(error) => {
                let advice = error.advice().map(str::to_owned);
                Self { grade: Grade::Wrong, advice, ..Self::fine(subject, error.to_string()) }
            }
        }
    }
}

/// Whether the schema registry answers.
fn schemas(config: &RegistryConfig) -> Option<Observation> {
    let answer = match Registry::open(config) {
        Ok(registry) => registry.greet()?,
        Err(error) => return Some(Observation::of("registry", Err(error))),
    };
    let advice = "see that it runs, and check the keys of `registry`";
    Some(match answer {
        Ok(said) => Observation::fine("registry", said),
        Err(why) => Observation::wrong("registry", why, advice),
    })
}

/// Runs the command.
pub fn run(args: &DoctorArgs, out: &mut dyn Write) -> Result<()> {
    let pipeline = config::load(&args.config)?;
    let kafka = command::cluster(&pipeline, &args.config)?;
    let mut seen = match Connection::open(&kafka) {
        Ok(connection) => cluster::examine(&pipeline.plan, &connection),
        Err(error) => vec![Observation::of("brokers", Err(error))],
    };
    seen.extend(pipeline.registry.as_ref().and_then(schemas));
    seen.extend(here(&pipeline));
    seen.extend(serve::examine(&pipeline));
    print(out, &told(&seen))?;
    let wrong = seen.iter().filter(|one| one.grade == Grade::Wrong).count();
    match wrong {
        0 => Ok(()),
        _ => Err(Error::user(format!("{wrong} of {} things are wrong", seen.len())).exits(1)),
    }
}

fn told(seen: &[Observation]) -> String {
    let line = |one: &Observation| [one.grade.name().to_owned(), one.subject.clone(), one.said.clone()];
    let advice =
        |one: &Observation| one.advice.as_ref().map(|advice| [String::new(), String::new(), format!("→ {advice}")]);
    let lines: Vec<_> = seen.iter().flat_map(|one| std::iter::once(line(one)).chain(advice(one))).collect();
    aligned(&lines, 0)
}

/// The store, and the disk for what does not fit into memory.
fn here(pipeline: &Pipeline) -> Vec<Observation> {
    let mut seen = Vec::new();
    if let Some(store) = &pipeline.store {
        let answer = store::probe(&store.url).map(|()| format!("{} can be written, read and deleted", store.url));
        seen.push(Observation::of("store", answer));
    }
    if let Some(memory) = &pipeline.memory {
        let answer = memory::bound(pipeline).map(|_| format!("{} can be written", memory.spill.display()));
        seen.push(Observation::of("spill", answer));
    }
    seen
}
