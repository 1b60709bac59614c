//! `haldane replay`: the engine over files. Prints what would have fired, and keeps it on request.

pub(super) mod commands;
mod diff;

use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::check::memory;
use super::losses::{FailOnLosses, gate, warn};
use super::print;
use crate::batch::EventBatch;
use crate::config::{self, Pipeline};
use crate::engine::{Effects, Engine};
use crate::error::Result;
use crate::files::InputFiles;
use crate::output::{DeadLetterWriter, DecisionWriter, Losses, ResultWriter, Summary, WindowWriter, count};
use crate::plan::Plan;
use crate::registry;
use crate::replay::{self, Refused, Replay, ReplayOptions, ReplayProgress, ReplayStep};
use crate::verdict::Scheduled;

/// Replay files through a pipeline and show what would have been decided.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane replay -c pipelines/flights.yaml predictions.parquet outcomes.parquet
  haldane replay -c pipelines/flights.yaml --decisions decisions.jsonl --windows windows.parquet *.parquet
  haldane replay -c pipelines/flights.yaml --diff stricter.yaml *.parquet

With --diff the files are judged by both pipelines, A (-c) and B (--diff). It says which decisions both make and when, and \
how many answers of each candidate either one would have kept away had its caps and rollbacks been carried out at once; \
--decisions then writes one JSON object per decision of either: model, candidate, action, found_in (both, a or b), shift_us \
(how much later B said so), a and b (the decisions).

A store in a bucket is reached by the variables AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and others than \
Amazon's by AWS_ENDPOINT_URL, such as http://host:9000.")]
pub struct ReplayArgs {
    /// Pipeline file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Parquet, Arrow, JSON or CSV files, packed by gzip or zstd or not; folders, patterns and pipes of them, `-` for
    /// standard input. What each one holds is told by its columns; files of one source are put in order of time.
    #[arg(value_name = "FILES")]
    pub files: Vec<PathBuf>,
    /// A file that holds predictions, whatever its columns look like; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub predictions: Vec<PathBuf>,
    /// A file that holds outcomes, whatever its columns look like; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub outcomes: Vec<PathBuf>,
    /// Write decisions to this file as JSON lines.
    #[arg(long, value_name = "FILE")]
    pub decisions: Option<PathBuf>,
    /// Write judged windows to this file, Parquet or JSON lines by its extension.
    #[arg(long, value_name = "FILE")]
    pub windows: Option<PathBuf>,
    /// Carry out the commands of this file, JSON lines: commands by the time of their log, results of commands where
    /// they were carried out.
    #[arg(long, value_name = "FILE", conflicts_with = "diff")]
    pub commands: Option<PathBuf>,
    /// Write what became of the commands to this file as JSON lines.
    #[arg(long, value_name = "FILE", requires = "commands")]
    pub results: Option<PathBuf>,
    /// Write refused rows to this file as JSON lines.
    #[arg(long, value_name = "FILE")]
    pub dead_letter: Option<PathBuf>,
    /// Judge by this pipeline too, and show what it would have decided otherwise.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["windows", "dead_letter"])]
    pub diff: Option<PathBuf>,
    /// Keep windows, verdicts, decisions and commands in this store: a directory, or `s3://bucket/folder`. What is in
    /// it already is recognised.
    #[arg(long, value_name = "DIR", conflicts_with = "diff")]
    pub store: Option<String>,
    /// Rows that are handed to the engine at once; results do not depend on it.
    #[arg(long, value_name = "N", default_value_t = replay::BATCH_ROWS)]
    pub batch_rows: usize,
    /// What makes the exit code 1.
    #[arg(long, value_enum, default_value_t = FailOnLosses::Never)]
    pub fail_on: FailOnLosses,
    /// Show neither progress nor summary, only warnings and what was lost.
    #[arg(short, long)]
    pub quiet: bool,
}

/// The files to replay.
struct ReplayFiles {
    files: InputFiles,
    predictions: InputFiles,
    outcomes: InputFiles,
}

impl ReplayFiles {
    fn find(args: &ReplayArgs) -> Result<Self> {
        let [files, predictions, outcomes] =
            [&args.files, &args.predictions, &args.outcomes].map(|files| InputFiles::find(files));
        Ok(Self { files: files?, predictions: predictions?, outcomes: outcomes? })
    }

    fn open(&self, pipeline: &Pipeline, args: &ReplayArgs) -> Result<Replay> {
        let (predictions, outcomes) = (self.predictions.paths().to_vec(), self.outcomes.paths().to_vec());
        let (batch_rows, schemas) = (args.batch_rows, registry::lazily(pipeline.registry.as_ref()));
        replay::open(&pipeline.plan, self.files.paths(), &ReplayOptions { predictions, outcomes, batch_rows, schemas })
    }
}

/// Runs the command; the summary goes to `out`, progress and warnings to standard error.
pub fn run(args: &ReplayArgs, out: &mut dyn Write) -> Result<()> {
    let given = ReplayFiles::find(args)?;
    if let Some(other) = &args.diff {
        return diff::run(args, &given, other, out);
    }
    let pipeline = config::load(&args.config)?;
    let plan = Arc::clone(&pipeline.plan);
    let files = given.open(&pipeline, args)?;
    let progress = ReplayProgress::new(files.rows(), args.quiet);
    let early = files.warnings().iter().filter(|_| !args.quiet);
    early.for_each(|warning| progress.say(&format!("warning: {warning}")));
    let mut sinks = Sinks::create(args, &plan)?;
    let commands = args.commands.as_deref().map_or(Ok(Vec::new()), commands::read)?;
    let engine = Engine::new(Arc::clone(&plan), files.lanes()).keeping_panes(sinks.keep_panes());
    let engine = match memory::bound(&pipeline)? {
        Some((bytes, spill)) => engine.bounded(bytes, spill),
        None => engine,
    };
    drive(engine, &plan, files, commands, (&mut sinks, &progress))?;
    progress.finish();
    let losses = std::mem::take(&mut sinks.losses);
    let summary = sinks.finish()?;
    if args.quiet {
        warn(&losses, "", &progress);
    } else {
        print(out, &format!("{}{}{summary}", read(&losses), losses.render()))?;
    }
    gate(&losses, args.fail_on)
}

/// What was read, in a line.
fn read(losses: &Losses) -> String {
    let counts = losses.counts();
    let (rows, late, again) = (count(counts.rows), count(counts.late), count(counts.duplicates));
    format!("{rows} rows read, {late} late and {again} re-delivered events dropped\n")
}

/// Feeds every step to the engine and every effect to the sinks.
fn drive(
    mut engine: Engine,
    plan: &Plan,
    mut files: Replay,
    commands: Vec<Scheduled>,
    (sinks, progress): (&mut Sinks, &ReplayProgress),
) -> Result<()> {
    commands.into_iter().for_each(|command| engine.schedule(command));
    files.warnings().iter().for_each(|warning| sinks.losses.note(warning));
    for step in &mut files {
        match step? {
            ReplayStep::Batch(batch) => {
                progress.add(batch.len());
                let effects = sinks.step(&mut engine, &batch);
                sinks.take(&effects)?;
            }
            ReplayStep::Refused(refused) => {
                progress.add(refused.len());
                sinks.refuse(plan, &refused)?;
            }
            ReplayStep::End { source, lane, next_offset } => {
                sinks.take(&engine.progress(lane, source, next_offset, true, true))?;
            }
        }
    }
    sinks.losses.pass_over(files.passed_over());
    engine.counts().into_values().for_each(|counts| sinks.losses.count(counts));
    Ok(())
}

fn keep(url: &str, plan: &Arc<Plan>) -> Result<crate::store::StoreWriter> {
    crate::store::StoreWriter::open(url, plan, crate::store::Every::default())
}

/// Where effects go.
struct Sinks {
    windows: Option<WindowWriter>,
    decisions: Option<DecisionWriter>,
    dead_letter: Option<DeadLetterWriter>,
    results: Option<ResultWriter>,
    store: Option<crate::store::StoreWriter>,
    summary: Summary,
    losses: Losses,
}

impl Sinks {
    fn create(args: &ReplayArgs, plan: &Arc<Plan>) -> Result<Self> {
        Ok(Self {
            windows: args.windows.as_deref().map(WindowWriter::create).transpose()?,
            decisions: args.decisions.as_deref().map(DecisionWriter::create).transpose()?,
            dead_letter: args.dead_letter.as_deref().map(DeadLetterWriter::create).transpose()?,
            results: args.results.as_deref().map(ResultWriter::create).transpose()?,
            store: args.store.as_deref().map(|url| keep(url, plan)).transpose()?,
            summary: Summary::default(),
            losses: Losses::default(),
        })
    }

    fn keep_panes(&self) -> bool {
        self.store.is_some()
    }

    /// Gives rows to the engine; what is counted of them goes into the store.
    fn step(&mut self, engine: &mut Engine, batch: &EventBatch) -> Effects {
        if let Some(store) = &mut self.store {
            let (source, lane) = (batch.source, batch.lane);
            let (again, fresh) = batch.split_at_offset(store.counted_upto(source, lane));
            let mut effects = engine.step(&again);
            let before = engine.counts_of(lane);
            effects.extend(engine.step(&fresh));
            let next_offset = batch.offsets().map_or(0, |(_, last)| last + 1);
            let counts = (before, engine.counts_of(lane));
            store.read(&crate::store::Read { source, lane, batch: Some(&fresh), counts, next_offset });
            return effects;
        }
        engine.step(batch)
    }

    fn take(&mut self, effects: &Effects) -> Result<()> {
        self.summary.add(effects);
        self.windows.iter_mut().try_for_each(|windows| windows.write(&effects.windows))?;
        self.results.iter_mut().try_for_each(|results| results.write(&effects.results))?;
        self.decisions.iter_mut().try_for_each(|decisions| decisions.write(&effects.decisions))?;
        self.store.iter_mut().try_for_each(|store| store.keep(effects))?;
        Ok(())
    }

    fn refuse(&mut self, plan: &Plan, refused: &[Refused]) -> Result<()> {
        self.losses.refuse_all(refused);
        if let Some(store) = &mut self.store {
            refused.iter().for_each(|one| store.refuse(one.source, one.lane, [&one.reject]));
        }
        self.dead_letter.iter_mut().try_for_each(|letters| letters.write(plan, refused))
    }

    /// Closes the files; returns the summary.
    fn finish(self) -> Result<String> {
        self.windows.map_or(Ok(()), WindowWriter::finish)?;
        self.decisions.map_or(Ok(()), DecisionWriter::finish)?;
        self.dead_letter.map_or(Ok(()), DeadLetterWriter::finish)?;
        self.results.map_or(Ok(()), ResultWriter::finish)?;
        self.store.map_or(Ok(()), |mut store| store.flush())?;
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Ok(self.summary.render(colour))
    }
}
