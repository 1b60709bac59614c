//! `haldane report`: two files compared, or a replayed log told, as a page to read or a gate for CI.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{check, print};
use crate::config;
use crate::decode::time::from_text;
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::files::InputFiles;
use crate::plan::Compat;
use crate::registry;
use crate::report::model::{Outcome, Report};
use crate::report::{self, CompareRequest, Filter, Log};

/// Compare two files, or tell what a replay saw and decided: HTML, Markdown, JSON or `JUnit`.
#[derive(Debug, Args)]
#[command(after_help = "Columns are guessed as `haldane init` does, or named by a pipeline with --config.

Examples:
  haldane report --reference march.parquet --current april.parquet --output drift.html
  haldane report --reference a.csv --current b.csv --format markdown
  haldane report -c pipelines/flights.yaml --reference a.parquet --current b.parquet --outcomes labels.parquet
  haldane report --reference a.parquet --current b.parquet --from 2013-04-20 --until 2013-04-21 --version v1 -o day.html
  haldane report --windows windows.parquet --decisions decisions.jsonl --candidate v2 -o release-note.md
  haldane report --store DIR --rollout fraud --from 2026-01-01 -o rollout.html
  haldane report -c pipelines/flights.yaml --windows windows.parquet --decisions decisions.jsonl --format note

Exit codes: 0 done; 1 what --fail-on names was found; 2 mistake in the arguments or the files.")]
pub struct ReportArgs {
    /// What things should be like: Parquet, Arrow, CSV or JSON, packed by gzip or zstd or not; several files, folders,
    /// patterns and pipes count as one, `-` is standard input.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "current")]
    pub reference: Vec<PathBuf>,
    /// What is judged.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "reference")]
    pub current: Vec<PathBuf>,
    /// Which topic of archives is compared; default: the one that comes first.
    #[arg(long, value_name = "NAME", requires = "reference")]
    pub topic: Option<String>,
    /// Files of labels, joined by id to the rows of both.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "reference")]
    pub outcomes: Vec<PathBuf>,
    /// Pipeline file that says what columns are for (default: they are guessed), or whose criteria a note tells.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only this version of the current file.
    #[arg(long, value_name = "NAME", requires = "reference")]
    pub version: Option<String>,
    /// Only rows of the current file, windows and decisions from this time on.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub from: Option<Micros>,
    /// Only rows of the current file, windows and decisions before this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Micros>,
    /// The classes that are positive, where labels are not 0 and 1 or words for yes and no; default: guessed.
    #[arg(long, value_name = "CLASS", value_delimiter = ',', allow_hyphen_values = true, requires = "reference")]
    pub positive: Vec<String>,
    /// Numbers of other tools beside haldane's own.
    #[arg(long, value_name = "TOOL", value_delimiter = ',', value_parser = compat, requires = "reference")]
    pub compat: Vec<Compat>,
    /// Files of windows, as `haldane replay --windows` writes them.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub windows: Vec<PathBuf>,
    /// Files of decisions, as `haldane replay --decisions` writes them.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub decisions: Vec<PathBuf>,
    /// A store with windows and decisions, as `haldane replay --store` fills it.
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Only decisions of this rollout: the report is then its summary.
    #[arg(long, value_name = "NAME")]
    pub rollout: Option<String>,
    /// Only decisions about this version.
    #[arg(long, value_name = "VERSION")]
    pub candidate: Option<String>,
    /// Where to write the report; default: standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How to write it; default: as the extension of --output says, else Markdown.
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
    /// What makes the exit code 1.
    #[arg(long, value_enum, default_value_t = FailOn::Never)]
    pub fail_on: FailOn,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One page that needs nothing else.
    Html,
    /// For pull requests and terminals.
    Markdown,
    /// For programs; see `haldane schema report`.
    Json,
    /// For CI systems: a test case per column.
    Junit,
    /// Of decisions, for a pull request: what was decided, why, by which criteria, what was seen, who decided.
    Note,
}

/// What makes the exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Nothing.
    Never,
    /// A column that drifted, or a restricted candidate.
    Drift,
    /// A problem with the data.
    Quality,
    /// Either, and also when nothing could be tested.
    Any,
}

/// A time of an argument.
fn moment(text: &str) -> std::result::Result<Micros, String> {
    from_text(text.as_bytes()).ok_or_else(|| format!("`{text}` is no time, such as 2026-11-30T06:00:00Z or 2026-11-30"))
}

/// A tool by its name in pipelines.
fn compat(text: &str) -> std::result::Result<Compat, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

/// Runs the command.
pub fn run(args: &ReportArgs, out: &mut dyn Write) -> Result<()> {
    let format = args.format()?;
    args.fits(format)?;
    let comparison = if args.reference.is_empty() { None } else { Some(args.compare()?) };
    let log = args.log();
    let history = (!log.is_empty()).then(|| report::history(&log)).transpose()?;
    if comparison.is_none() && history.is_none() {
        return Err(Error::user("there is nothing to report on").hint(
            "name two files with --reference and --current, a replay's results with --windows and --decisions, or a --store",
        ));
    }
    let report = report::report(comparison, history);
    let text = match format {
        ReportFormat::Html => report::page(&report),
        ReportFormat::Markdown => report::markdown(&report),
        ReportFormat::Json => report::json(&report),
        ReportFormat::Junit => report::junit(&report),
        ReportFormat::Note => report::note(&report, &args.criteria()?),
    };
    match &args.output {
        Some(path) => write(path, &text)?,
        None => print(out, &text)?,
    }
    gate(&report, args.fail_on)
}

/// Fails when what was named was found.
fn gate(report: &Report, fail_on: FailOn) -> Result<()> {
    let comparison = report.comparison.as_ref();
    let drift = matches!(report.verdict.outcome, Outcome::Drift | Outcome::Restricted);
    let quality = comparison.is_some_and(|comparison| !comparison.problems.is_empty());
    let fails = match fail_on {
        FailOn::Never => false,
        FailOn::Drift => drift,
        FailOn::Quality => quality,
        FailOn::Any => drift || quality || report.verdict.outcome == Outcome::Unknown,
    };
    let first = comparison.and_then(|comparison| comparison.problems.first()).filter(|_| !drift);
    let why = first.map_or_else(
        || report.verdict.headline.clone(),
        |problem| format!("a problem with the data: {} {}", problem.column, problem.text),
    );
    if fails { Err(Error::candidate(why).hint("the report says more")) } else { Ok(()) }
}

impl ReportArgs {
    fn format(&self) -> Result<ReportFormat> {
        let extension = self.output.as_deref().and_then(Path::extension).and_then(|extension| extension.to_str());
        Ok(match (self.format, extension) {
            (Some(format), _) => format,
            (None, None | Some("md" | "markdown")) => ReportFormat::Markdown,
            (None, Some("html" | "htm")) => ReportFormat::Html,
            (None, Some("json")) => ReportFormat::Json,
            (None, Some("xml")) => ReportFormat::Junit,
            (None, Some(other)) => {
                return Err(Error::user(format!("no format is known for a file ending in .{other}"))
                    .hint("end --output in .html, .md, .json or .xml, or say it with --format"));
            }
        })
    }

    fn fits(&self, format: ReportFormat) -> Result<()> {
        let compares = !self.reference.is_empty();
        if format == ReportFormat::Note && (compares || self.log().is_empty()) {
            return Err(Error::user("a note is of decisions").hint("name them with --decisions or --store"));
        }
        if self.config.is_some() && !compares && format != ReportFormat::Note {
            return Err(Error::user("--config is for --reference and --current, or for a note")
                .hint("add --format note, or leave --config out"));
        }
        Ok(())
    }

    /// What the pipeline asks of a candidate, in words.
    fn criteria(&self) -> Result<Vec<(&'static str, Vec<String>)>> {
        let Some(path) = &self.config else { return Ok(Vec::new()) };
        let pipeline = config::load(path)?;
        let asked = ["compared with", "guards", "rules", "course", "who acts"];
        let mut sections = check::sections(&pipeline);
        sections.retain(|(title, _)| asked.contains(title));
        Ok([("plan", vec![pipeline.plan.digest.clone()])].into_iter().chain(sections).collect())
    }

    fn log(&self) -> Log {
        Log {
            windows: self.windows.clone(),
            decisions: self.decisions.clone(),
            store: self.store.clone(),
            from: self.from,
            until: self.until,
            rollout: self.rollout.clone(),
            candidate: self.candidate.clone(),
        }
    }

    fn compare(&self) -> Result<report::model::Comparison> {
        let [reference, current, outcomes] =
            [&self.reference, &self.current, &self.outcomes].map(|files| InputFiles::find(files));
        let (reference, current, outcomes) = (reference?, current?, outcomes?);
        let pipeline = self.config.as_deref().map(config::reading_plan).transpose()?;
        let request = CompareRequest {
            schemas: pipeline.as_ref().map(|pipeline| registry::lazily(pipeline.registry.as_ref())),
            reference: reference.paths().to_vec(),
            current: current.paths().to_vec(),
            outcomes: outcomes.paths().to_vec(),
            topic: self.topic.clone(),
            filter: Filter { version: self.version.clone(), from: self.from, until: self.until },
            positive: self.positive.clone(),
            compat: self.compat.clone(),
        };
        report::compare(&request, pipeline.as_ref().map(|pipeline| &*pipeline.plan))
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| {
        Error::user(format!("cannot write {}", path.display()))
            .because(error)
            .hint("check that the directory exists and may be written to")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::{Problem, Verdict};

    fn args(words: &str) -> ReportArgs {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            report: ReportArgs,
        }
        let words = ["report"].into_iter().chain(words.split(' ').filter(|word| !word.is_empty()));
        clap::Parser::try_parse_from(words).map_or_else(|error| panic!("{error}"), |Line { report }| report)
    }

    fn refused<T>(told: Result<T>) -> String {
        told.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_ending_of_a_file_says_how_it_is_written_unless_that_is_said() {
        let format = |words: &str| args(words).format();
        let cases = [
            ("", ReportFormat::Markdown),
            ("-o r.md", ReportFormat::Markdown),
            ("-o r.markdown", ReportFormat::Markdown),
            ("-o report", ReportFormat::Markdown),
            ("-o r.html", ReportFormat::Html),
            ("-o r.htm", ReportFormat::Html),
            ("-o r.json", ReportFormat::Json),
            ("-o r.xml", ReportFormat::Junit),
            ("-o r.xml --format html", ReportFormat::Html),
            ("-o r.pdf --format json", ReportFormat::Json),
        ];
        for (words, expected) in cases {
            assert_eq!(format(words).ok(), Some(expected), "{words}");
        }
        assert_eq!(refused(format("-o r.pdf")), "no format is known for a file ending in .pdf");
    }

    #[test]
    fn what_is_asked_for_fits_together() {
        let fits = |words: &str| {
            let args = args(words);
            refused(args.format().and_then(|format| args.fits(format)))
        };
        let note = "a note is of decisions";
        let config = "--config is for --reference and --current, or for a note";
        let cases = [
            ("--decisions d.jsonl --format note", ""),
            ("--store s --format note -c p.yaml", ""),
            ("--format note", note),
            ("--reference a --current b --format note", note),
            ("--reference a --current b --decisions d.jsonl --format note", note),
            ("--reference a --current b -c p.yaml", ""),
            ("--decisions d.jsonl -c p.yaml", config),
            ("--decisions d.jsonl", ""),
        ];
        for (words, expected) in cases {
            assert_eq!(fits(words), expected, "{words}");
        }
        assert!(refused(run(&args(""), &mut Vec::new())).starts_with("there is nothing to report on"));
    }

    fn found(outcome: Outcome) -> Report {
        let verdict = Verdict { outcome, headline: "h".to_owned(), sentences: Vec::new() };
        Report { format: 1, made_by: String::new(), verdict, comparison: None, history: None }
    }

    #[test]
    fn what_was_named_fails_and_nothing_else() {
        let fails = |outcome| {
            [FailOn::Never, FailOn::Drift, FailOn::Quality, FailOn::Any].map(|on| gate(&found(outcome), on).is_err())
        };
        assert_eq!(fails(Outcome::Ok), [false; 4]);
        assert_eq!(fails(Outcome::Drift), [false, true, false, true]);
        assert_eq!(fails(Outcome::Restricted), [false, true, false, true]);
        assert_eq!(fails(Outcome::Unknown), [false, false, false, true]);
        let error = gate(&found(Outcome::Drift), FailOn::Any).expect_err("drift");
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("h", 1));
    }

    #[test]
    fn a_problem_is_told_where_nothing_drifted() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = |name: &str, rows: usize| {
            let path = dir.path().join(name);
            let lines: Vec<String> = (0..rows).map(|at| format!("{at},{}", at % 7)).collect();
            std::fs::write(&path, format!("id,a\n{}\n", lines.join("\n"))).expect("a file");
            path.display().to_string()
        };
        let words = format!("--reference {} --current {}", file("a.csv", 300), file("b.csv", 300));
        let mut report = report::report(Some(args(&words).compare().expect("compared")), None);
        report.verdict.outcome = Outcome::Quality;
        let problem = Problem {
            column: "a".to_owned(),
            what: "missing".to_owned(),
            text: "is missing".to_owned(),
            reference: None,
            current: None,
            n_reference: 0,
            n: 1,
        };
        let problems = &mut report.comparison.as_mut().expect("a comparison").problems;
        problems.clear();
        problems.push(problem);
        let fails = [FailOn::Drift, FailOn::Quality, FailOn::Any].map(|on| refused(gate(&report, on)));
        let told = "a problem with the data: a is missing";
        assert_eq!(fails, ["", told, told]);
        report.verdict.outcome = Outcome::Drift;
        assert_eq!(refused(gate(&report, FailOn::Any)), report.verdict.headline, "drift comes first");
    }

    #[test]
    fn times_and_tools_are_known_by_their_names() {
        assert_eq!(moment("1970-01-02"), Ok(86_400_000_000));
        assert!(moment("1h").expect_err("a span").starts_with("`1h` is no time, such as "));
        assert!(compat("evidently").is_ok() && compat("Evidently").is_err() && compat("").is_err());
    }

    #[test]
    fn where_nothing_can_be_written_the_file_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let nowhere = dir.path().join("none/r.md");
        assert!(refused(write(&nowhere, "x")).starts_with(&format!("cannot write {}: ", nowhere.display())));
        write(&dir.path().join("r.md"), "x").expect("written");
        assert_eq!(std::fs::read_to_string(dir.path().join("r.md")).expect("a file"), "x");
    }
}
