//! What the columns of two files are for: guessed, or as a pipeline says.

use arrow::array::{ArrayRef, Float64Array};

use super::class_scores::ClassScoreColumns;
use crate::batch::TextArray;
use crate::decode::cell::{Classes, category, named_status};
use crate::error::{Error, Result};
use crate::init::classes::ClassColumns;
use crate::init::facts::{FactKind, Facts};
use crate::init::guess::{Guess, Guesses, Use, time_format};
use crate::plan::{self, ColumnRole, Plan, Task, TimeFormat};
use crate::table::{Table, cells};

/// Where a column stands in each file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnPosition {
    /// Its name.
    pub(crate) name: String,
    /// Index in the reference file and in the current one.
    pub(crate) at: [Option<usize>; 2],
}

/// A column whose distribution is compared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ComparedColumn {
    pub(crate) place: ColumnPosition,
    /// `None` for texts and booleans.
    pub(crate) numeric: Option<ColumnRole>,
    /// Whether texts are truth values, however they are spelled.
    pub(crate) is_truth: bool,
    /// What numbers are multiplied by.
    pub(crate) factor: f64,
    /// What it was taken for, and why.
    pub(crate) reason: String,
}

impl ComparedColumn {
    /// Its texts, as they are compared.
    pub(crate) fn categories(&self, array: &ArrayRef) -> TextArray {
        if self.is_truth { cells::truths(array) } else { cells::categories(array) }
    }
}

/// What is compared, and what else is read.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) columns: Vec<ComparedColumn>,
    /// The event time, and its format in each file.
    pub(crate) time: Option<(ColumnPosition, [TimeFormat; 2])>,
    pub(crate) id: Option<ColumnPosition>,
    pub(crate) version: Option<ColumnPosition>,
    pub(crate) predicted: Option<ColumnPosition>,
    /// Probabilities of all classes, where there is no score.
    pub(crate) class_scores: Option<ClassScoreColumns>,
    pub(crate) label: Option<ColumnPosition>,
    pub(crate) status: Option<ColumnPosition>,
    /// Statuses that mean success, as they are compared; where none is named, codes of HTTP are meant.
    pub(crate) ok: Vec<String>,
    pub(crate) failed: Option<ColumnPosition>,
    /// Fields to split by that were named as such.
    pub(crate) segments: Vec<ColumnPosition>,
    pub(crate) task: Task,
    /// The classes that are positive, as they are compared; none when those are that say yes.
    pub(crate) positive: Vec<String>,
    /// The score from which an answer is positive.
    pub(crate) threshold: f64,
    /// What is what and why, for people.
    pub(crate) roles: Vec<(String, String, String)>,
    /// Columns that are not compared, and why.
    pub(crate) untested: Vec<(String, String)>,
}

impl Layout {
    /// Says which classes are positive; the task is binary then.
    pub(crate) fn name_positive(&mut self, classes: &[String]) {
        if !classes.is_empty() {
            self.positive = classes.iter().map(|class| category(class).to_owned()).collect();
            self.task = Task::Binary;
        }
    }

    /// A column of statuses as numbers of HTTP.
    pub(crate) fn statuses(&self, array: &ArrayRef) -> Float64Array {
        if self.ok.is_empty() {
            return cells::numbers(array).0;
        }
        let status = |text: Option<&str>| named_status(text?, &self.ok).map(f64::from);
        cells::texts(array).iter().map(status).collect()
    }

    /// How classes and labels are read.
    pub(crate) fn classes(&self) -> Classes<'_> {
        Classes { binary: self.task == Task::Binary, positive: &self.positive }
    }
}

/// Guesses from the first rows of both files.
pub(crate) fn guessed(tables: [&Table; 2]) -> Result<Layout> {
    let samples = [Facts::of(tables[0])?, Facts::of(tables[1])?];
    let place = |guess: &Guess| ColumnPosition {
        name: guess.facts.name.clone(),
        at: tables.map(|table| table.find(&guess.facts.name)),
    };
    let formats = |name: &str, usual: TimeFormat| {
        [0, 1].map(|side: usize| {
            let facts = samples[side].iter().find(|facts| facts.name == name);
            facts.and_then(time_format).unwrap_or(usual)
        })
    };
    let guesses = Guesses::of(both(samples.clone()));
    let one = |usage: Use| guesses.find(|known| known == usage).map(place);
    let roles = guesses.columns.iter().filter(|guess| !matches!(guess.usage, Use::Feature | Use::Ignored));
    let positive = |usage: Use| match &guesses.positive {
        Some((class, why)) if usage == Use::Label => format!("; `{class}` is taken for positive: {why}"),
        _ => String::new(),
    };
    let roles = roles.map(|guess| {
        let reason = format!("{}{}", guess.reason, positive(guess.usage));
        (guess.facts.name.clone(), role_name(guess.usage).to_owned(), reason)
    });
    let ignored = guesses.columns.iter().filter_map(|guess| Some((guess.facts.name.clone(), why_ignored(guess)?)));
    let class_scores = class_scores(&guesses, place);
    let of_classes = class_scores
        .iter()
        .zip(&guesses.class_scores)
        .map(|(scores, found)| (scores.names(), "class probabilities".to_owned(), found.reason().to_owned()));
    let roles: Vec<(String, String, String)> = roles.chain(of_classes).collect();
    Ok(Layout {
        columns: guesses.columns.iter().filter_map(|guess| watched(guess, place(guess))).collect(),
        time: guesses.columns.iter().find_map(|guess| match guess.usage {
            Use::Time(format) => Some((place(guess), formats(&guess.facts.name, format))),
            _ => None,
        }),
        id: one(Use::Id),
        version: one(Use::Version),
        predicted: one(Use::Predicted),
        task: guesses.task,
        class_scores,
        label: one(Use::Label),
        status: one(Use::Status),
        ok: Vec::new(),
        failed: one(Use::Failed),
        segments: guesses.all(Use::Segment).map(place).collect(),
        positive: guesses.positive.iter().map(|(class, _)| class.clone()).collect(),
        threshold: 0.5,
        roles,
        untested: ignored.collect(),
    })
}

/// Probabilities of classes, where no other column is the score.
fn class_scores(guesses: &Guesses, place: impl Fn(&Guess) -> ColumnPosition) -> Option<ClassScoreColumns> {
    let place = |at: usize| place(&guesses.columns[at]);
    guesses.class_scores.as_ref().map(|columns| match columns {
        ClassColumns::Each(classes) => {
            ClassScoreColumns::Each(classes.iter().map(|(class, at)| (class.clone(), place(*at))).collect())
        }
        ClassColumns::List(at) => ClassScoreColumns::List(place(*at)),
    })
}

/// The columns of both samples: those of the first, unless it shows nothing of them, and what only the second has.
fn both(samples: [Vec<Facts>; 2]) -> Vec<Facts> {
    let [reference, mut current] = samples;
    let mut all: Vec<Facts> = Vec::new();
    for facts in reference {
        let other = current.iter().position(|other| other.name == facts.name).map(|at| current.remove(at));
        all.push(other.filter(|other| facts.n == 0 && other.n > 0).unwrap_or(facts));
    }
    all.extend(current);
    all
}

fn watched(guess: &Guess, place: ColumnPosition) -> Option<ComparedColumn> {
    let (numeric, factor) = match (guess.usage, guess.kind) {
        (Use::Feature, FactKind::Numeric) => (Some(ColumnRole::Feature), 1.0),
        (Use::Score, FactKind::Numeric) => (Some(ColumnRole::Score), 1.0),
        (Use::Latency(unit), FactKind::Numeric) => (Some(ColumnRole::Latency), milliseconds(unit)),
        (
            Use::Feature | Use::Segment | Use::Predicted,
            FactKind::Categorical | FactKind::Boolean | FactKind::Numeric,
        ) => (None, 1.0),
        _ => return None,
    };
    let is_truth = guess.kind == FactKind::Boolean;
    Some(ComparedColumn { place, numeric, is_truth, factor, reason: guess.reason.clone() })
}

/// What a latency in a unit is multiplied by.
fn milliseconds(unit: &str) -> f64 {
    match unit {
        "s" => 1e3,
        "us" => 1e-3,
        "ns" => 1e-6,
        _ => 1.0,
    }
}

fn role_name(usage: Use) -> &'static str {
    match usage {
        Use::Time(_) => "event time",
        Use::Arrival => "arrival time",
        Use::Id => "id",
        Use::Entity => "entity",
        Use::Model => "model",
        Use::Version => "version",
        Use::Segment => "segment",
        Use::Score => "score",
        Use::Predicted => "predicted class",
        Use::Label => "label",
        Use::Latency(_) => "latency",
        Use::Status => "status",
        Use::Failed => "error marker",
        Use::Feature => "feature",
        Use::Ignored => "ignored",
    }
}

fn why_ignored(guess: &Guess) -> Option<String> {
    match guess.usage {
        Use::Id => Some("an id: every row has its own".to_owned()),
        Use::Entity => Some("names who asked".to_owned()),
        Use::Time(_) | Use::Arrival => Some("a time".to_owned()),
        Use::Model | Use::Version => Some(format!("names the {}", role_name(guess.usage))),
        Use::Label => Some("the truth; see the quality of predictions".to_owned()),
        Use::Status | Use::Failed => Some("how requests were answered; see answers".to_owned()),
        Use::Ignored => Some(guess.reason.clone()),
        _ => None,
    }
}

/// The source whose files are compared: of predictions (or feature events).
pub(crate) fn traffic(plan: &Plan) -> Result<&plan::SourcePlan> {
    let traffic = plan.sources.iter().find(|source| source.kind.is_traffic());
    traffic.ok_or_else(|| Error::user(format!("pipeline {} has neither predictions nor features", plan.name)))
}

/// What a pipeline says about the columns of its predictions (or feature events).
pub(crate) fn of_plan(plan: &Plan, tables: [&Table; 2]) -> Result<Layout> {
    let mapping = &traffic(plan)?.mapping;
    let place = |name: &str, path: &plan::Path| ColumnPosition {
        name: name.to_owned(),
        at: tables.map(|table| find(table, path, name)),
    };
    let optional = |name: &str, path: &Option<plan::Path>| path.as_ref().map(|path| place(name, path));
    let said = || "as the pipeline says".to_owned();
    let numeric = plan.columns.numeric.iter().zip(&mapping.numeric).filter_map(|(column, field)| {
        let field = field.as_ref()?;
        let place = place(&column.name, &field.path);
        Some(ComparedColumn {
            place,
            numeric: Some(column.role),
            is_truth: false,
            factor: field.factor,
            reason: said(),
        })
    });
    let categorical = plan.columns.categorical.iter().zip(&mapping.categorical).enumerate();
    let categorical = categorical.filter_map(|(at, (column, path))| {
        let place = place(&column.name, path.as_ref()?);
        let is_truth = mapping.truths.contains(&at);
        Some(ComparedColumn { place, numeric: None, is_truth, factor: 1.0, reason: said() })
    });
    Ok(Layout {
        columns: numeric.chain(categorical).collect(),
        time: mapping.event_time.as_ref().map(|(path, format)| (place("event_time", path), [*format; 2])),
        id: optional("prediction_id", &mapping.id),
        version: mapping.version.path().map(|path| place("version", path)),
        predicted: optional("predicted_label", &mapping.predicted),
        class_scores: mapping.class_scores.as_ref().and_then(|scores| match scores {
            plan::ClassScores::Whole(path) => ClassScoreColumns::of_path(path, tables),
            plan::ClassScores::Each(classes) => {
                let of_class = |(class, path): &(String, plan::Path)| (class.clone(), place(&path.to_string(), path));
                Some(ClassScoreColumns::Each(classes.iter().map(of_class).collect()))
            }
        }),
        label: optional("label", &mapping.label),
        status: optional("status", &mapping.status),
        ok: mapping.ok.clone(),
        failed: optional("error", &mapping.failed),
        segments: plan.segments.iter().zip(&mapping.segments).map(|(name, path)| place(name, path)).collect(),
        task: plan.quality.as_ref().map_or(Task::Binary, |quality| quality.task),
        positive: plan.sources.iter().flat_map(|source| source.mapping.positive.clone()).collect(),
        threshold: plan.quality.as_ref().map_or(0.5, |quality| quality.threshold),
        roles: Vec::new(),
        untested: Vec::new(),
    })
}

/// A column of a table: under its path, the path's last part, or its own name.
pub(crate) fn find(table: &Table, path: &plan::Path, name: &str) -> Option<usize> {
    [Some(path.to_string()).as_deref(), path.last(), Some(name)].into_iter().flatten().find_map(|name| table.find(name))
}
