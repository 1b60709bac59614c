//! `haldane detect`: judges every stream of a folder with a pipeline made of its columns' names, and scores the alarms.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use clap::Args;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use super::print;
use crate::detect::{Alarm, Label, Layout, Parts, Recipe, Scores, Stream};
use crate::error::{Error, Result};
use crate::output::count;
use crate::replay::{self, Progress, Step};

/// Rows that are held at once, unless asked otherwise.
const ROWS_MAX: u64 = 4_000_000;

/// Judge every stream of a folder, and score the alarms when it is known what changed.
#[derive(Debug, Args)]
#[command(after_help = "The folder holds predictions.parquet and, where labels are known, outcomes.parquet; \
the model's name tells streams apart. With labels.json in it (what changed, and when), the alarms are scored.

Examples:
  haldane detect bench --alarms alarms.csv
  haldane detect bench --window 15m --baseline v7
  haldane detect bench --config pipeline.yaml")]
pub struct DetectArgs {
    /// Folder with predictions.parquet, outcomes.parquet and labels.json; the latter two may be absent.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Pipeline file; default: one made of the names of the columns, with a reference learned from each stream's past.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["window", "baseline"])]
    pub config: Option<PathBuf>,
    /// Length of a window.
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub window: String,
    /// The version that others are compared with.
    #[arg(long, value_name = "VERSION", default_value = "v1")]
    pub baseline: String,
    /// Write alarms (hold, contain or rollback of a named version) to this CSV file: stream, end of the window in
    /// microseconds since 1970, version, action, reason.
    #[arg(long, value_name = "FILE")]
    pub alarms: Option<PathBuf>,
    /// Write notes (warnings, and whatever blames no version) to this CSV file.
    #[arg(long, value_name = "FILE")]
    pub notes: Option<PathBuf>,
    /// Rows that are held at once; a folder with more is read several times, some streams at a time. Results do not
    /// depend on it.
    #[arg(long, value_name = "N", default_value_t = ROWS_MAX)]
    pub rows_max: u64,
    /// Show no progress.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Runs the command; the scores go to `out`.
pub fn run(args: &DetectArgs, out: &mut dyn Write) -> Result<()> {
    let folder = Folder::open(&args.dir)?;
    let recipe = match &args.config {
        Some(path) => Recipe::written(path)?,
        None => Recipe::made(folder.layout()?.pipeline(&args.baseline, &args.window), &args.baseline)?,
    };
    let (streams, said) = judge(&folder, &recipe, args)?;
    let (alarms, notes): (Vec<Alarm>, Vec<Alarm>) = said.iter().cloned().partition(Alarm::restricts);
    args.alarms.as_deref().map_or(Ok(()), |path| write(path, &alarms))?;
    args.notes.as_deref().map_or(Ok(()), |path| write(path, &notes))?;
    let mut text = format!("{} streams, {} alarms, {} notes\n", streams.len(), alarms.len(), notes.len());
    if let Some(labels) = folder.labels()? {
        text += &unknown(&labels, &streams);
        text = format!("{text}\n{}", Scores::of(&labels, &said, recipe.window()));
    }
    print(out, &text)
}

/// The files of a folder.
struct Folder {
    dir: PathBuf,
    predictions: PathBuf,
    outcomes: Option<PathBuf>,
}

impl Folder {
    fn open(dir: &Path) -> Result<Self> {
        let predictions = dir.join("predictions.parquet");
        if !predictions.is_file() {
            return Err(Error::user(format!("there is no predictions.parquet in {}", dir.display()))
                .hint("give a folder that holds predictions.parquet and, where labels are known, outcomes.parquet"));
        }
        let outcomes = Some(dir.join("outcomes.parquet")).filter(|path| path.is_file());
        Ok(Self { dir: dir.to_owned(), predictions, outcomes })
    }

    fn layout(&self) -> Result<Layout> {
        let predictions = schema(&self.predictions)?;
        let outcomes = self.outcomes.as_deref().map(schema).transpose()?;
        Layout::of(&predictions, outcomes.as_deref())
    }

    fn labels(&self) -> Result<Option<Vec<Label>>> {
        let path = self.dir.join("labels.json");
        path.is_file().then(|| Label::load(&path)).transpose()
    }

    fn replay(&self, recipe: &Recipe) -> Result<replay::Replay> {
        let options = replay::Options {
            predictions: vec![self.predictions.clone()],
            outcomes: self.outcomes.iter().cloned().collect(),
            ..replay::Options::default()
        };
        replay::open(recipe.reading(), &[], &options)
    }
}

fn schema(path: &Path) -> Result<SchemaRef> {
    let unreadable = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::user(format!("cannot read {} as a Parquet file", path.display())).because(error)
    };
    let file = File::open(path).map_err(|error| unreadable(error.into()))?;
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
    Ok(metadata.map_err(|error| unreadable(error.into()))?.schema().clone())
}

/// Judges all streams, as many at a time as may be held; returns their names and what was said about them.
fn judge(folder: &Folder, recipe: &Recipe, args: &DetectArgs) -> Result<(Vec<String>, Vec<Alarm>)> {
    let rows = folder.replay(recipe)?.rows();
    let groups = if rows > args.rows_max {
        groups(folder, recipe, args.rows_max)?.into_iter().map(Some).collect()
    } else {
        vec![None]
    };
    let progress = Progress::new(rows, args.quiet);
    let (mut names, mut said) = (Vec::new(), Vec::new());
    for (pass, group) in groups.iter().enumerate() {
        for stream in read(folder, recipe, group.as_ref(), (pass == 0).then_some(&progress))? {
            said.extend(recipe.judge(&stream)?);
            progress.add(stream.rows());
            names.push(stream.name);
        }
    }
    progress.finish();
    Ok((names, said))
}

/// The streams of a group.
fn read(
    folder: &Folder,
    recipe: &Recipe,
    wanted: Option<&BTreeSet<String>>,
    warn: Option<&Progress>,
) -> Result<Vec<Stream>> {
    let files = folder.replay(recipe)?;
    let warnings = files.warnings().to_vec();
    let (mut parts, mut refused) = (Parts::default(), 0);
    for step in files {
        match step? {
            Step::Batch(batch) => parts.add(&batch, wanted),
            Step::Refused(rows) => refused += rows.len() as u64,
            Step::End { .. } => {}
        }
    }
    if let Some(progress) = warn {
        warnings.iter().for_each(|warning| progress.say(&format!("warning: {warning}")));
        if refused > 0 {
            progress.say(&format!("warning: {} rows are broken and were left out", count(refused)));
        }
    }
    parts.finish()
}

/// Models in groups of few enough rows.
fn groups(folder: &Folder, recipe: &Recipe, rows_max: u64) -> Result<Vec<BTreeSet<String>>> {
    let mut rows: BTreeMap<String, u64> = BTreeMap::new();
    for step in folder.replay(recipe)? {
        if let Step::Batch(batch) = step? {
            for (model, n) in Parts::count(&batch) {
                *rows.entry(model.to_owned()).or_default() += n;
            }
        }
    }
    let mut groups: Vec<(u64, BTreeSet<String>)> = Vec::new();
    for (model, n) in rows {
        match groups.last_mut().filter(|(held, _)| held + n <= rows_max) {
            Some((held, group)) => {
                *held += n;
                group.insert(model);
            }
            None => groups.push((n, BTreeSet::from([model]))),
        }
    }
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

/// Says which streams have no label, and which labels no stream.
fn unknown(labels: &[Label], streams: &[String]) -> String {
    let labelled: BTreeSet<&str> = labels.iter().map(|label| label.stream.as_str()).collect();
    let judged: BTreeSet<&str> = streams.iter().map(String::as_str).collect();
    let say = |names: Vec<&&str>, what: &str| match names.first() {
        None => String::new(),
        Some(first) => format!("{} streams have no {what}, such as {first}\n", names.len()),
    };
    say(judged.difference(&labelled).collect(), "label and are not scored")
        + &say(labelled.difference(&judged).collect(), "rows and count as silent")
}

fn write(path: &Path, alarms: &[Alarm]) -> Result<()> {
    let cannot = |error: csv::Error| Error::external(format!("cannot write {}", path.display())).because(error);
    let mut out = csv::WriterBuilder::new().has_headers(false).from_path(path).map_err(cannot)?;
    out.write_record(["stream", "time", "scope", "action", "reason"]).map_err(cannot)?;
    alarms.iter().try_for_each(|alarm| out.serialize(alarm)).map_err(cannot)?;
    out.flush().map_err(|error| cannot(error.into()))
}
