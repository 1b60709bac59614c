//! `haldane detect`: judges every stream of a folder with a pipeline made of its columns' names, and scores the alarms.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::losses::{FailOnLosses, gate};
use super::print;
use crate::detect::{Alarm, DetectionScores, Label, LabelledStream, Parts, Recipe, StreamColumns};
use crate::error::{Error, Result};
use crate::files::{InputFiles, is_table};
use crate::output::Losses;
use crate::replay::{self, ReplayProgress, ReplayStep};

/// Rows that are held at once, unless asked otherwise.
const ROWS_MAX: u64 = 4_000_000;

/// Judge every stream of a folder, and score the alarms when it is known what changed.
#[derive(Debug, Args)]
#[command(after_help = "The folder holds predictions.parquet and, where labels are known, outcomes.parquet; \
the model's name tells streams apart. Other formats, packed files and several files are read too, if their names begin \
with predictions or outcomes. With labels.json in it (what changed, and when), the alarms are scored.

Examples:
  haldane detect bench --alarms alarms.csv
  haldane detect bench --window 15m --baseline v7
  haldane detect bench --config pipeline.yaml")]
pub struct DetectArgs {
    /// Folder with predictions.parquet, outcomes.parquet and labels.json; the latter two may be absent, and tables may
    /// be of another format.
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
    /// What makes the exit code 1.
    #[arg(long, value_enum, default_value_t = FailOnLosses::Never)]
    pub fail_on: FailOnLosses,
    /// Show no progress.
    #[arg(short, long)]
    pub quiet: bool,
}

/// Runs the command; the scores go to `out`.
pub fn run(args: &DetectArgs, out: &mut dyn Write) -> Result<()> {
    let folder = StreamFolder::open(&args.dir)?;
    let recipe = match &args.config {
        Some(path) => Recipe::written(path)?,
        None => Recipe::made(folder.layout()?.pipeline(&args.baseline, &args.window), &args.baseline)?,
    };
    let (streams, said, losses) = judge(&folder, &recipe, args)?;
    let (alarms, notes): (Vec<Alarm>, Vec<Alarm>) = said.iter().cloned().partition(Alarm::restricts);
    args.alarms.as_deref().map_or(Ok(()), |path| write(path, &alarms))?;
    args.notes.as_deref().map_or(Ok(()), |path| write(path, &notes))?;
    let mut text = format!("{} streams, {} alarms, {} notes\n", streams.len(), alarms.len(), notes.len());
    text.extend(losses.sentences().into_iter().map(|sentence| format!("lost: {sentence}\n")));
    if let Some(labels) = folder.labels()? {
        text += &unknown(&labels, &streams);
        text = format!("{text}\n{}", DetectionScores::of(&labels, &said, recipe.window()));
    }
    print(out, &text)?;
    gate(&losses, args.fail_on)
}

/// The files of a folder.
struct StreamFolder {
    dir: PathBuf,
    predictions: InputFiles,
    outcomes: InputFiles,
}

impl StreamFolder {
    fn open(dir: &Path) -> Result<Self> {
        let predictions = named(dir, "predictions")?;
        if predictions.paths().is_empty() {
            return Err(Error::user(format!("there is no predictions.parquet in {}", dir.display())).hint(
                "give a folder that holds predictions.parquet and, where labels are known, outcomes.parquet; \
                 other formats are read too",
            ));
        }
        Ok(Self { dir: dir.to_owned(), predictions, outcomes: named(dir, "outcomes")? })
    }

    fn layout(&self) -> Result<StreamColumns> {
        StreamColumns::of_files(self.predictions.paths(), self.outcomes.paths())
    }

    fn labels(&self) -> Result<Option<Vec<Label>>> {
        let path = self.dir.join("labels.json");
        path.is_file().then(|| Label::load(&path)).transpose()
    }

    fn replay(&self, recipe: &Recipe) -> Result<replay::Replay> {
        let options = replay::ReplayOptions {
            predictions: self.predictions.paths().to_vec(),
            outcomes: self.outcomes.paths().to_vec(),
            ..replay::ReplayOptions::default()
        };
        replay::open(recipe.reading(), &[], &options)
    }
}

/// The files and folders in a folder whose names begin with a word.
fn named(dir: &Path, word: &str) -> Result<InputFiles> {
    let unreadable =
        |error| Error::user(format!("cannot read {}", dir.display())).because(error).hint("give a folder of tables");
    let entries =
        std::fs::read_dir(dir).map_err(unreadable)?.collect::<std::io::Result<Vec<_>>>().map_err(unreadable)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.is_dir() || is_table(path));
    paths.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(word)));
    paths.sort();
    InputFiles::find(&paths)
}

/// Judges all streams, as many at a time as may be held; returns their names, what was said about them and what was
/// lost.
fn judge(folder: &StreamFolder, recipe: &Recipe, args: &DetectArgs) -> Result<(Vec<String>, Vec<Alarm>, Losses)> {
    let rows = folder.replay(recipe)?.rows();
    let groups = if rows > args.rows_max {
        groups(folder, recipe, args.rows_max)?.into_iter().map(Some).collect()
    } else {
        vec![None]
    };
    let progress = ReplayProgress::new(rows, args.quiet);
    let (mut names, mut said, mut losses) = (Vec::new(), Vec::new(), Losses::default());
    for (pass, group) in groups.iter().enumerate() {
        for stream in read(folder, recipe, group.as_ref(), (pass == 0).then_some(&mut losses))? {
            let (alarms, counts) = recipe.judge_and_count(&stream)?;
            said.extend(alarms);
            losses.count(counts);
            progress.add(stream.rows());
            names.push(stream.name);
        }
    }
    progress.finish();
    Ok((names, said, losses))
}

/// The streams of a group; rows that are lost are told once, however often files are read.
fn read(
    folder: &StreamFolder,
    recipe: &Recipe,
    wanted: Option<&BTreeSet<String>>,
    mut losses: Option<&mut Losses>,
) -> Result<Vec<LabelledStream>> {
    let mut files = folder.replay(recipe)?;
    if let Some(losses) = &mut losses {
        files.warnings().iter().for_each(|warning| losses.note(warning));
    }
    let mut parts = Parts::default();
    for step in &mut files {
        match step? {
            ReplayStep::Batch(batch) => parts.add(&batch, wanted),
            ReplayStep::Refused(rows) => losses.iter_mut().for_each(|losses| losses.refuse_all(&rows)),
            ReplayStep::End { .. } => {}
        }
    }
    losses.iter_mut().for_each(|losses| losses.pass_over(files.passed_over()));
    parts.finish()
}

/// Models in groups of few enough rows.
fn groups(folder: &StreamFolder, recipe: &Recipe, rows_max: u64) -> Result<Vec<BTreeSet<String>>> {
    let mut rows: BTreeMap<String, u64> = BTreeMap::new();
    for step in folder.replay(recipe)? {
        if let ReplayStep::Batch(batch) = step? {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn label(stream: &str) -> Label {
        let text = format!(
            r#"[{{"stream": "{stream}", "kind": "k", "test_start": 1700000000000000, "end": 1700000001000000, "change_time": null}}]"#
        );
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        Label::load(file.path()).expect("labels").remove(0)
    }

    #[test]
    fn streams_and_labels_without_each_other_are_named() {
        let labels = ["a", "b", "c"].map(label);
        let told =
            |streams: &[&str]| unknown(&labels, &streams.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(told(&["a", "b", "c"]), "");
        assert_eq!(told(&["c", "a", "b", "z", "y"]), "2 streams have no label and are not scored, such as y\n");
        assert_eq!(told(&["b"]), "2 streams have no rows and count as silent, such as a\n");
        let both = told(&["x", "a"]);
        assert_eq!(both.lines().count(), 2, "{both}");
    }

    #[test]
    fn tables_of_a_folder_are_known_by_how_their_names_begin() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in
            ["predictions.csv", "predictions-2.parquet", "outcomes.csv.gz", "predictions.txt", "my-predictions.csv"]
        {
            std::fs::write(dir.path().join(name), "x").expect("a file");
        }
        std::fs::create_dir(dir.path().join("predictions")).expect("a folder");
        std::fs::write(dir.path().join("predictions/part-0.csv"), "x").expect("a file");
        let names = |word: &str| {
            let found = named(dir.path(), word).expect("a folder");
            let below = |path: &PathBuf| path.strip_prefix(dir.path()).expect("below").display().to_string();
            found.paths().iter().map(below).collect::<Vec<_>>()
        };
        assert_eq!(names("predictions"), ["predictions/part-0.csv", "predictions-2.parquet", "predictions.csv"]);
        assert_eq!(names("outcomes"), ["outcomes.csv.gz"]);
        assert!(names("labels").is_empty());
    }

    #[test]
    fn a_folder_without_predictions_is_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let refused = |path: &Path| StreamFolder::open(path).map(|_| ()).expect_err("no streams").to_string();
        assert_eq!(refused(dir.path()), format!("there is no predictions.parquet in {}", dir.path().display()));
        let missing = dir.path().join("missing");
        assert!(refused(&missing).starts_with(&format!("cannot read {}: ", missing.display())));
        std::fs::write(dir.path().join("predictions.csv"), "x\n1\n").expect("a file");
        let folder = StreamFolder::open(dir.path()).expect("predictions alone are enough");
        assert!(folder.outcomes.paths().is_empty() && folder.labels().expect("none").is_none());
    }

    #[test]
    fn alarms_are_lines_below_their_head() {
        let dir = tempfile::tempdir().expect("a folder");
        let alarm = |stream: &str| Alarm {
            stream: stream.to_owned(),
            time: 5,
            scope: "v2".to_owned(),
            action: "hold",
            reason: serde_json::from_str("\"guardrail\"").expect("a name"),
        };
        let path = dir.path().join("alarms.csv");
        write(&path, &[alarm("a,b"), alarm("c")]).expect("written");
        let text = std::fs::read_to_string(&path).expect("a file");
        assert_eq!(text, "stream,time,scope,action,reason\n\"a,b\",5,v2,hold,guardrail\nc,5,v2,hold,guardrail\n");
        write(&path, &[]).expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), "stream,time,scope,action,reason\n");
        let nowhere = dir.path().join("none/alarms.csv");
        let error = write(&nowhere, &[]).expect_err("no such folder");
        assert!(error.to_string().starts_with(&format!("cannot write {}: ", nowhere.display())), "{error}");
    }
}
