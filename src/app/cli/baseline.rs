//! `haldane baseline`: building and showing reference profiles.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::losses::{FailOnLosses, gate};
use super::print;
use crate::baseline::ProfileBuilder;
use crate::batch::EventBatch;
use crate::config::{self, Pipeline, reference};
use crate::error::{Error, Result};
use crate::files::InputFiles;
use crate::output::Losses;
use crate::plan::Reference;
use crate::replay::{self, ReplayStep};
use crate::scan::LaneCounts;
use crate::summary::Profile;

/// Build or show a reference profile.
#[derive(Debug, Subcommand)]
pub enum BaselineCommand {
    /// Build a profile from files of predictions or features known to be good.
    Build(BuildArgs),
    /// Show what a profile holds.
    Show(ShowArgs),
}

/// Build a profile from files of predictions or features known to be good.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane baseline build -c pipelines/flights.yaml reference.parquet
  haldane baseline build -c pipelines/flights.yaml -o profiles/march.json march/*.parquet")]
pub struct BuildArgs {
    /// Pipeline file whose columns are profiled.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where to write the profile; default: the `reference` of the pipeline file.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Where the data came from, for people; default: the names of the files.
    #[arg(long, value_name = "TEXT")]
    pub origin: Option<String>,
    /// Parquet, Arrow, JSON or CSV files, packed by gzip or zstd or not; folders, patterns and pipes of them.
    #[arg(required = true, value_name = "FILES")]
    pub files: Vec<PathBuf>,
    /// What makes the exit code 1; the profile is written all the same.
    #[arg(long, value_enum, default_value_t = FailOnLosses::Never)]
    pub fail_on: FailOnLosses,
}

/// Show what a profile holds.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane baseline show profiles/flights.json")]
pub struct ShowArgs {
    /// Profile.
    pub file: PathBuf,
}

/// Runs the command.
pub fn run(command: &BaselineCommand, out: &mut dyn Write) -> Result<()> {
    match command {
        BaselineCommand::Build(args) => build(args, out),
        BaselineCommand::Show(args) => print(out, &describe(&reference::load(&args.file)?)),
    }
}

fn build(args: &BuildArgs, out: &mut dyn Write) -> Result<()> {
    let pipeline = config::reading_plan(&args.config)?;
    let output = args.output.clone().or_else(|| pipeline.reference.clone()).ok_or_else(|| {
        Error::user("no place for the profile")
            .hint("name a file with --output, or add `reference: FILE` to the pipeline file")
    })?;
    let files = InputFiles::find(&args.files)?;
    let origin = args.origin.clone().unwrap_or_else(|| names(files.paths()));
    let (profile, losses) = profile(&pipeline, files.paths(), &origin)?;
    let id = reference::save(&profile, &output)?;
    let lost = match losses.render() {
        lost if lost.is_empty() => lost,
        lost => format!("\n{lost}"),
    };
    print(out, &format!("{}{lost}\nwritten to {}\n", describe(&Reference { id, profile }), output.display()))?;
    gate(&losses, args.fail_on)
}

/// Builds the profile of files by reading them twice; also says what was left out.
fn profile(pipeline: &Pipeline, files: &[PathBuf], origin: &str) -> Result<(Profile, Losses)> {
    let mut builder = ProfileBuilder::new(pipeline.plan.clone(), pipeline.fine_bins);
    let losses = for_each_batch(pipeline, files, |batch| builder.learn(batch))?;
    if losses.n_refused() > losses.counts().rows {
        return Err(Error::user(losses.sentences().join("; "))
            .hint("mend the rows or what the pipeline says of these fields: most rows must be readable"));
    }
    let mut counter = builder.cut();
    for_each_batch(pipeline, files, |batch| counter.count(batch))?;
    let profile = counter.finish(origin);
    if profile.rows == 0 {
        return Err(Error::user(format!("no predictions or features in {}", names(files)))
            .hint("a reference is built from the rows of `sources: { predictions }` or `{ features }`"));
    }
    Ok((profile, losses))
}

/// Hands on the batches of files; tells what was left out.
fn for_each_batch(pipeline: &Pipeline, files: &[PathBuf], mut take: impl FnMut(&EventBatch)) -> Result<Losses> {
    let mut losses = Losses::default();
    let schemas = crate::registry::lazily(pipeline.registry.as_ref());
    let options = replay::ReplayOptions { schemas, ..replay::ReplayOptions::default() };
    let mut replay = replay::open(&pipeline.plan, files, &options)?;
    replay.warnings().iter().for_each(|warning| losses.note(warning));
    for step in &mut replay {
        match step? {
            ReplayStep::Batch(batch) => {
                losses.count(LaneCounts { rows: batch.len() as u64, ..LaneCounts::default() });
                take(&batch);
            }
            ReplayStep::Refused(refused) => losses.refuse_all(&refused),
            ReplayStep::End { .. } => {}
        }
    }
    losses.pass_over(replay.passed_over());
    Ok(losses)
}

fn names(files: &[PathBuf]) -> String {
    let names = files.iter().filter_map(|path| path.file_name());
    names.map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(", ")
}

/// What a profile holds, as a table.
#[must_use]
pub fn describe(reference: &Reference) -> String {
    let Reference { id, profile } = reference;
    let mut text = format!("reference {id}\nfrom {}, {} rows\n\n", profile.origin, profile.rows);
    let mut line =
        |text_line: String| writeln!(text, "{}", text_line.trim_end()).expect("writing to a String cannot fail");
    line(format!(
        "{:<24} {:>10} {:>9} {:>12} {:>12} {:>12} {:>6}",
        "numeric", "values", "missing", "mean", "min", "max", "bins"
    ));
    for (column, counts) in profile.numeric.iter().zip(&profile.all.numeric) {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.6}"));
        line(format!(
            "{:<24} {:>10} {:>9} {:>12} {:>12} {:>12} {:>6}",
            column.name,
            counts.n(),
            counts.missing,
            number(counts.mean(column.grid)),
            number(counts.min),
            number(counts.max),
            counts.counts.len()
        ));
    }
    line(String::new());
    line(format!("{:<24} {:>10} {:>9} {:>12}", "categorical", "values", "missing", "categories"));
    for (column, counts) in profile.categorical.iter().zip(&profile.all.categorical) {
        let rare = column.rare.as_ref().map_or(0, crate::summary::Rare::n);
        let categories = column.known.len() as u64 + rare;
        line(format!("{:<24} {:>10} {:>9} {categories:>12}", column.name, counts.n(), counts.missing));
    }
    for (segment, counts) in &profile.segments {
        line(format!("segment {:<16} {:>10} rows", segment.join(","), counts.rates.requests));
    }
    text
}
