//! A pipeline file from files of somebody's data: every guess with its reason beside it.
//!
//! Predictions without an id cannot be joined or told apart from re-deliveries, so a file without ids becomes a source
//! of feature events. A file without times cannot be cut into windows, which is an error.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::facts::Facts;
use super::features;
use super::guess::{Guess, Use};
use super::reach;
use super::sample::TopicSample;
use super::scalar::{one_line, plain, scalar};
use super::source::{DraftSource, FileFacts};
use crate::error::{Error, Result};
use crate::event::SECOND;
use crate::output::count;
use crate::output::text::instant;
use crate::plan::{self, Task, TimeFormat};
use crate::table::Table;

/// A pipeline file that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineDraft {
    /// The file.
    pub text: String,
    /// What was guessed and matters most, one line each.
    pub summary: Vec<String>,
}

/// Makes a pipeline of files: predictions or features, and outcomes if there are any.
///
/// # Errors
/// When a file cannot be read, or none holds what a pipeline needs.
pub fn draft(files: &[PathBuf]) -> Result<PipelineDraft> {
    let sources = Table::open_kinds(files)?.into_iter().map(|table| DraftSource::of(table, None));
    draft_of(sources.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect(), files)
}

/// Makes a pipeline of the first records of topics, as [`draft`] does of files.
///
/// # Errors
/// When a topic holds no events that can be read, or none holds what a pipeline needs.
pub fn draft_topics(samples: Vec<TopicSample>) -> Result<PipelineDraft> {
    let names: Vec<PathBuf> = samples.iter().map(|sample| sample.address().into()).collect();
    let source = |sample: TopicSample| DraftSource::of(sample.table()?, Some(sample));
    let sources = samples.into_iter().map(source).collect::<Result<Vec<_>>>()?;
    draft_of(sources.into_iter().flatten().collect(), &names)
}

fn draft_of(mut sources: Vec<DraftSource>, files: &[PathBuf]) -> Result<PipelineDraft> {
    let id = sources.iter().find_map(|source: &DraftSource| source.find(Use::Id)).map(|guess| guess.facts.name.clone());
    if let Some(id) = id {
        sources.iter_mut().skip(1).for_each(|source| source.guesses.take_label(&id));
    }
    let (mut outcomes, mut traffic): (Vec<DraftSource>, Vec<DraftSource>) =
        sources.into_iter().partition(DraftSource::is_outcome);
    // A label beside features is one of predictions that were logged without their answers.
    if let Some(at) = outcomes.iter().position(DraftSource::has_features).filter(|_| traffic.is_empty()) {
        traffic.push(outcomes.remove(at));
    }
    // What was asked may be told apart from what was answered.
    let answers = traffic.iter().position(|source| !source.is_question()).unwrap_or(0);
    let is_beside = |source: &DraftSource| {
        source.shape.is_some() && source.is_question() && source.table.path == traffic[answers].table.path
    };
    let questions = (0..traffic.len()).find(|at| *at != answers && is_beside(&traffic[*at]));
    let questions = questions.map(|at| &traffic[at]);
    let traffic = traffic.get(answers).ok_or_else(|| {
        Error::user(format!("{} holds no predictions", names(files)))
            .hint("name a file with what the model was asked and what it answered, besides any file of labels")
    })?;
    if !traffic.has_something_to_watch() {
        return Err(Error::user(format!("{} has no column that can be watched", traffic.table.path.display()))
            .hint("a pipeline needs features, or ids and what the model answered; empty columns and times are none"));
    }
    let course = traffic.course()?;
    Ok(DraftWriter { traffic, questions, outcomes: outcomes.first(), course: &course, files }.draft())
}

fn names(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Puts it all into words.
struct DraftWriter<'a> {
    traffic: &'a DraftSource,
    /// What was asked, where that is told apart.
    questions: Option<&'a DraftSource>,
    outcomes: Option<&'a DraftSource>,
    course: &'a FileFacts,
    files: &'a [PathBuf],
}

impl DraftWriter<'_> {
    fn draft(&self) -> PipelineDraft {
        let is_features = self.traffic.find(Use::Id).is_none();
        let next = match &self.traffic.sample {
            None => format!("replay -c THIS {}` replays the files", names(self.files)),
            Some(_) => "run -c THIS` runs it".to_owned(),
        };
        let mut text = format!(
            "# Made by `haldane init` from {}. Every line is a guess, with its reason beside it: read them,\n\
             # mend what is wrong, then `haldane check -c THIS` says what the pipeline does, and\n\
             # `haldane {next}.\n",
            names(self.files),
        );
        let name = self.files.first().and_then(|file| file.file_stem()).map(|stem| stem.to_string_lossy());
        let _ = writeln!(text, "pipeline: {}", plain(name.as_deref().unwrap_or("pipeline")));
        if !is_features {
            let task = match self.traffic.guesses.task {
                Task::Binary => "binary",
                Task::Multiclass => "multiclass",
                Task::Regression => "regression",
            };
            let _ = writeln!(text, "task: {task} # {}", self.traffic.guesses.task_reason);
        }
        if let Some(sample) = &self.traffic.sample {
            text += &reach::section(sample.cluster());
            text += &self.registry(sample);
        }
        text += "\nsources:\n";
        self.traffic(self.traffic, is_features, &mut text);
        if let Some(questions) = self.questions.filter(|_| !is_features) {
            text.push('\n');
            self.traffic(questions, true, &mut text);
        }
        self.outcomes(is_features, &mut text);
        self.rest(is_features, &mut text);
        PipelineDraft { text, summary: self.summary(is_features) }
    }

    /// Where schemas are known, if records name any.
    fn registry(&self, sample: &TopicSample) -> String {
        let mut all = [Some(self.traffic), self.questions, self.outcomes].into_iter().flatten();
        let frame = all.find_map(|source| source.sample.as_ref()?.frame());
        let (Some(frame), Some(place)) = (frame, sample.registry()) else { return String::new() };
        let key = if place.contains("://") { "url" } else { "schemas" };
        let frame = if frame == plan::Frame::Apicurio8 { ", frame: apicurio8" } else { "" };
        format!("\n# Records name their schemas.\nregistry: {{ {key}: {}{frame} }}\n", scalar(place))
    }

    fn traffic(&self, source: &DraftSource, is_features: bool, text: &mut String) {
        let kind = if is_features { "features" } else { "predictions" };
        let _ = writeln!(text, "  {kind}:");
        topic(text, source, kind);
        if is_features && source.find(Use::Id).is_none() {
            *text += "    # No column has a value of its own in every row, so rows have no id: they are taken as feature events,\n";
            *text += "    # which need none, but have no labels and no answers.\n";
        }
        match source.time() {
            Some((guess, _)) => line(text, "event_time", &time(source), Some(guess)),
            None => *text += "    # event_time: PATH # no field holds one, so the record's broker time counts\n",
        }
        simple(text, source, &[("id", Use::Id)]);
        if !is_features {
            simple(text, source, &[("entity", Use::Entity)]);
        }
        simple(text, source, &[("model", Use::Model), ("version", Use::Version)]);
        if source.find(Use::Version).is_none() {
            *text += "    version: { constant: v1 } # no column looks like a version\n";
        }
        let segments: Vec<&Guess> = source.guesses.all(Use::Segment).collect();
        if !segments.is_empty() {
            *text += "    segments:\n";
            segments.iter().for_each(|guess| entry(text, &last(guess), guess, &path(guess)));
        }
        if !is_features {
            self.answers(text);
        }
        features::features(&source.guesses, is_features, text);
    }

    fn answers(&self, text: &mut String) {
        let source = self.traffic;
        match (source.find(Use::Score), &source.guesses.class_scores) {
            (Some(score), _) if source.guesses.task == Task::Regression => {
                line(text, "score", &features::ranged(score), Some(score));
            }
            (Some(score), _) => line(text, "score", &path(score), Some(score)),
            (None, Some(classes)) => classes.write(&source.guesses, text),
            (None, None) => {
                *text += "    # score: PATH # no column looks like a probability or a quantity that was answered\n";
            }
        }
        simple(text, source, &[("predicted_label", Use::Predicted)]);
        if let Some(latency) = source.guesses.find(|usage| matches!(usage, Use::Latency(_)))
            && let Use::Latency(unit) = latency.usage
        {
            line(text, "latency", &format!("{{ path: {}, unit: {unit} }}", path(latency)), Some(latency));
        }
        simple(text, source, &[("status", Use::Status), ("error", Use::Failed)]);
        if self.outcomes.is_none() && source.has_answers() {
            truth(text, source, source.guesses.task);
        }
    }

    fn outcomes(&self, is_features: bool, text: &mut String) {
        let Some(outcomes) = self.outcomes.filter(|_| !is_features && self.traffic.has_answers()) else { return };
        let task = self.traffic.guesses.task;
        if !outcomes.has_truth(task) {
            *text += "\n  # outcomes: not read as long as nothing says which class is positive:\n";
            return truth(text, outcomes, task);
        }
        *text += "\n  outcomes:\n";
        topic(text, outcomes, "outcomes");
        if let Some((guess, _)) = outcomes.time() {
            line(text, "event_time", &time(outcomes), Some(guess));
        }
        simple(text, outcomes, &[("id", Use::Id), ("model", Use::Model)]);
        truth(text, outcomes, task);
    }

    fn rest(&self, is_features: bool, text: &mut String) {
        let ignored = |guess: &Guess| match guess.usage {
            Use::Arrival => Some("arrival time; replays find it by its name".to_owned()),
            Use::Ignored => Some(guess.reason.clone()),
            _ => features::unusable(guess),
        };
        let scores = self.traffic.guesses.class_scores.as_ref().filter(|_| !is_features);
        let is_free = |column: usize| scores.is_none_or(|scores| !scores.holds(column));
        let all = self.traffic.guesses.columns.iter().enumerate().filter(|(column, _)| is_free(*column));
        let ignored = all.filter_map(|(_, guess)| Some((guess, ignored(guess)?)));
        let ignored = ignored.map(|(guess, why)| format!("#   {}: {}\n", one_line(&guess.facts.name), one_line(&why)));
        let ignored = ignored.collect::<String>();
        if !ignored.is_empty() {
            let _ = write!(text, "\n# Columns that are not used:\n{ignored}");
        }
        let course = self.course;
        let most = course.versions.iter().map(|(_, n)| *n).max();
        let baseline = course.versions.iter().find(|(_, n)| Some(*n) == most).map_or("v1", |(name, _)| name.as_str());
        let seen: Vec<String> =
            course.versions.iter().map(|(name, n)| format!("{name} ({} rows)", count(*n))).collect();
        let why = if seen.is_empty() {
            "the constant above".to_owned()
        } else {
            format!("most rows; versions: {}", seen.join(", "))
        };
        let _ = writeln!(
            text,
            "\n# Other versions are compared with this one, in the same windows.\nrollout: {{ baseline: {} }} # {why}",
            scalar(baseline)
        );
        let (size, windows) = course.window();
        let span = course
            .range
            .map_or_else(String::new, |(first, last)| format!(", from {} to {}", instant(first), instant(last)));
        let lateness = course.behind / SECOND + 30;
        let _ = writeln!(
            text,
            "\n# {windows} windows{span}; rows are up to {} s behind the latest one before them.",
            course.behind / SECOND
        );
        if size.ends_with(['h', 'd']) {
            *text += "# They begin by UTC; `zone: America/New_York` and `begin: 06:00` make days begin at six there.\n";
        }
        let _ = writeln!(text, "windows: {{ size: {size}, lateness: {lateness}s }}");
        let has_labels = self.outcomes.unwrap_or(self.traffic).has_truth(self.traffic.guesses.task);
        if has_labels && !is_features && self.traffic.has_answers() {
            *text += "\n# How long labels are waited for: an hour for the first verdict, a week for the last, unless said otherwise.\nlabels: {}\n";
        }
        *text += "\n# What things should be like, from data known to be good; make it with `haldane baseline build -c THIS FILE`:\n";
        *text += "# reference: reference.json\n";
    }

    fn summary(&self, is_features: bool) -> Vec<String> {
        let source = self.traffic;
        let mut lines = vec![format!(
            "{} rows of {}, {} columns",
            count(self.course.rows),
            if is_features { "features" } else { "predictions" },
            source.table.columns.len()
        )];
        for guess in source.guesses.columns.iter().filter(|guess| !matches!(guess.usage, Use::Feature | Use::Ignored)) {
            lines.push(format!("{}: {}", guess.facts.name, guess.reason));
        }
        let questions = self.questions.filter(|_| !is_features);
        let sources = || [Some(source), questions, self.outcomes].into_iter().flatten();
        lines.extend(sources().filter_map(|one| Some(format!("records: {}", one.shape.as_ref()?.said))));
        lines.extend(sources().filter_map(|one| one.sample.as_ref()?.odd()));
        lines
    }
}

/// The line of the truth, with the positive class where it must be named.
fn truth(text: &mut String, source: &DraftSource, task: Task) {
    let Some(guess) = source.find(Use::Label) else { return };
    if !source.has_truth(task) {
        let why = one_line(&guess.reason);
        let _ = writeln!(
            text,
            "    # label: {{ path: {}, positive: [CLASS] }} # {why}; say which is positive",
            path(guess)
        );
        return;
    }
    let Some((class, why)) = &source.guesses.positive else { return line(text, "label", &path(guess), Some(guess)) };
    let reason = format!("{}; {why} is positive", guess.reason);
    let value = format!("{{ path: {}, positive: [{}] }}", path(guess), scalar(class));
    line(text, "label", &value, Some(&Guess { reason, ..guess.clone() }));
}

/// Lines of fields that are a path and no more.
fn simple(text: &mut String, source: &DraftSource, fields: &[(&str, Use)]) {
    for (key, usage) in fields {
        if let Some(guess) = source.find(*usage) {
            line(text, key, &path(guess), Some(guess));
        }
    }
}

fn line(text: &mut String, key: &str, value: &str, guess: Option<&Guess>) {
    let why = guess.map_or_else(String::new, |guess| format!(" # {}", one_line(&guess.reason)));
    let _ = writeln!(text, "    {key}: {value}{why}");
}

/// The last part of a path.
pub(super) fn last(guess: &Guess) -> String {
    guess.facts.path.last().unwrap_or(&guess.facts.name).clone()
}

/// A named entry of a mapping.
pub(super) fn entry(text: &mut String, name: &str, guess: &Guess, value: &str) {
    let _ = writeln!(text, "      {}: {value} # {}", scalar(name), one_line(&guess.reason));
}

/// The path of a column; a dot or an opening bracket inside a name is escaped.
pub(super) fn path(guess: &Guess) -> String {
    let Facts { name, path, place, .. } = &guess.facts;
    if let Some(place) = place {
        return scalar(place);
    }
    let escaped = path.iter().cloned().collect::<plan::Path>().escaped();
    // Of columns that share a name the further ones have a number in it, but not in their path.
    if *name == path.join(".") { scalar(&escaped) } else { scalar(name) }
}

fn time(source: &DraftSource) -> String {
    let Some((guess, format)) = source.time() else { return String::new() };
    let unit = match format {
        TimeFormat::Seconds => "s",
        TimeFormat::Millis => "ms",
        TimeFormat::Micros => "us",
        TimeFormat::Nanos => "ns",
        TimeFormat::Rfc3339 => return path(guess),
    };
    format!("{{ path: {}, unit: {unit} }}", path(guess))
}

/// The topic of a source, and the format of its records.
fn topic(text: &mut String, source: &DraftSource, kind: &str) {
    let of_file = if source.sample.is_none() { " # the Kafka topic, once there is one" } else { "" };
    let _ = writeln!(text, "    topic: {}{of_file}", plain(&topic_name(source, kind)));
    let format = source.sample.as_ref().map(|sample| sample.format()).filter(|format| *format != plan::Format::Json);
    if let Some(format) = format.and_then(|format| serde_json::to_value(format).ok()) {
        let _ = writeln!(text, "    format: {}", format.as_str().unwrap_or_default());
    }
    source.shape.iter().for_each(|shape| shape.write(text));
}

/// The file's own topic, or one after the file.
fn topic_name(source: &DraftSource, kind: &str) -> String {
    source.table.topic.clone().unwrap_or_else(|| {
        let stem = Path::new(&*source.table.path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        stem.map_or_else(|| kind.to_owned(), |stem| if stem.contains(kind) { stem } else { format!("{stem}.{kind}") })
    })
}
