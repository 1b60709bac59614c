//! `haldane baseline`: building and showing reference profiles.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::print;
use crate::baseline::ProfileBuilder;
use crate::batch::EventBatch;
use crate::config::{self, Pipeline, reference};
use crate::error::{Error, Result};
use crate::output::count;
use crate::plan::Reference;
use crate::replay::{self, Refused, Step};
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
    /// Parquet, JSON-lines or CSV files.
    #[arg(required = true, value_name = "FILES")]
    pub files: Vec<PathBuf>,
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
    let origin = args.origin.clone().unwrap_or_else(|| names(&args.files));
    let (profile, lost) = profile(&pipeline, &args.files, &origin)?;
    let id = reference::save(&profile, &output)?;
    let lost = lost.map_or_else(String::new, |lost| format!("\n{lost}\n"));
    print(out, &format!("{}{lost}\nwritten to {}\n", describe(&Reference { id, profile }), output.display()))
}

/// Builds the profile of files by reading them twice; also says which rows were left out.
fn profile(pipeline: &Pipeline, files: &[PathBuf], origin: &str) -> Result<(Profile, Option<String>)> {
    let mut builder = ProfileBuilder::new(pipeline.plan.clone(), pipeline.fine_bins);
    let (read, refused) = for_each_batch(pipeline, files, |batch| builder.learn(batch))?;
    if refused.n() > read {
        return Err(refused.error(read));
    }
    let mut counter = builder.cut();
    for_each_batch(pipeline, files, |batch| counter.count(batch))?;
    let profile = counter.finish(origin);
    if profile.rows == 0 {
        return Err(Error::user(format!("no predictions or features in {}", names(files)))
            .hint("a reference is built from the rows of `sources: { predictions }` or `{ features }`"));
    }
    Ok((profile, (refused.n() > 0).then(|| refused.text(read))))
}

/// Rows that were refused, by reason, each with an example.
#[derive(Default)]
struct Losses(BTreeMap<String, (u64, String)>);

impl Losses {
    fn take(&mut self, refused: &Refused) {
        let example =
            || format!("row {} of {}: {}", refused.reject.offset + 1, refused.file.display(), refused.reject.detail);
        self.0.entry(refused.reject.reason.to_string()).or_insert_with(|| (0, example())).0 += 1;
    }

    fn n(&self) -> u64 {
        self.0.values().map(|(n, _)| n).sum()
    }

    fn text(&self, read: u64) -> String {
        let reasons = self.0.iter().map(|(reason, (n, example))| format!("{} {reason}, such as {example}", count(*n)));
        let reasons: Vec<String> = reasons.collect();
        format!("{} of {} rows are left out: {}", count(self.n()), count(self.n() + read), reasons.join("; "))
    }

    fn error(&self, read: u64) -> Error {
        Error::user(self.text(read))
            .hint("mend the rows or what the pipeline says of these fields: most rows must be readable")
    }
}

/// Hands on the batches of files; gives the rows in them and those that were refused.
fn for_each_batch(pipeline: &Pipeline, files: &[PathBuf], mut take: impl FnMut(&EventBatch)) -> Result<(u64, Losses)> {
    let (mut read, mut losses) = (0, Losses::default());
    for step in replay::open(&pipeline.plan, files, &replay::Options::default())? {
        match step? {
            Step::Batch(batch) => {
                read += batch.len() as u64;
                take(&batch);
            }
            Step::Refused(refused) => refused.iter().for_each(|refused| losses.take(refused)),
            Step::End { .. } => {}
        }
    }
    Ok((read, losses))
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
