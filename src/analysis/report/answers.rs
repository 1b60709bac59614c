//! How requests were answered and whether answers were right, on both sides and by period.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Float64Array, StringArray, UInt64Array};

use super::class_scores::Probabilities;
use super::layout::{ColumnPosition, Layout, find};
use super::rows::{NONE, RowReader, Rows};
use crate::batch::TextArray;
use crate::decode::cell::{self, Classes};
use crate::error::{Error, Result};
use crate::event::{EventKind, Micros, class_hash, class_name};
use crate::init::facts::Facts;
use crate::init::guess::{Guesses, Use};
use crate::kernel::bin::Edges;
use crate::plan::{ColumnRole, Corrections, Plan, QualityPlan, Task, TimeFormat};
use crate::scan::traffic::ResponseClass;
use crate::summary::quality::Labelled;
use crate::summary::{Quality, Rates};
use crate::table::{Chunk, EventField, Table, Wanted, cells};

/// Labels by the hash of their prediction's id; of several the one that the pipeline says, or the first.
pub(crate) type Labels = BTreeMap<u64, String>;

/// Answers of one side.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) rates: Rates,
    pub(crate) quality: Option<Quality>,
    /// By period: counts, and labelled predictions.
    pub(crate) periods: Vec<(Rates, Option<Quality>)>,
    /// Answers with a label.
    pub(crate) labelled: u64,
    /// Of those, the ones whose label or score is none of this task, and the first such label.
    pub(crate) strange: u64,
    pub(crate) example: Option<String>,
    /// Answers whose label came by their id.
    pub(crate) joined: u64,
}

/// What files of outcomes hold.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    pub(crate) labels: Labels,
    /// Rows in all, also those that cannot be read.
    pub(crate) rows: u64,
    /// Rows that cannot be read, and what is wrong with the first.
    pub(crate) refused: u64,
    pub(crate) example: Option<String>,
    /// Rows without an id or a label.
    pub(crate) blank: u64,
    /// Further labels of an id that do not count.
    pub(crate) further: u64,
    /// Labels that took the place of an older one.
    pub(crate) corrected: u64,
    /// Files that do not say when labels became known: of theirs the last in the file counts.
    pub(crate) undated: u64,
    /// Where the last label counts: when each became known.
    known_at: BTreeMap<u64, Micros>,
}

impl Outcomes {
    /// Reads files of outcomes. `plan` names their columns, else they are guessed.
    pub(crate) fn read(tables: &[Table], plan: Option<&Plan>) -> Result<Self> {
        let mut outcomes = Self::default();
        for table in tables {
            let (id, label) = places(table, plan)?;
            let order = plan.and_then(|plan| OutcomeOrder::of(table, plan));
            let time = order.as_ref().and_then(|order| order.time);
            outcomes.undated += u64::from(order.is_some() && time.is_none());
            let wanted = [Some(id), Some(label), time.map(|(column, _)| column)].into_iter().flatten();
            let wanted: Vec<Wanted> = wanted.map(|column| Wanted { column, repeats: false }).collect();
            for chunk in table.chunks(&wanted)? {
                outcomes.take(table, chunk?, order.as_ref());
            }
        }
        Ok(outcomes)
    }

    fn take(&mut self, table: &Table, chunk: Chunk, order: Option<&OutcomeOrder>) {
        self.rows += chunk.rows as u64 + chunk.refused;
        self.refused += chunk.refused;
        self.example = self.example.take().or(chunk.example);
        let (ids, texts) = (table.ids(&chunk.arrays[0]), cells::texts(&chunk.arrays[1]));
        let times = order.and_then(|order| order.time).map(|(_, format)| cells::times(&chunk.arrays[2], format));
        for (row, (id, label)) in ids.iter().zip(&texts).enumerate() {
            let (Some(id), Some(label)) = (id, label.filter(|label| !cell::is_missing(label))) else {
                self.blank += 1;
                continue;
            };
            let known_at =
                times.as_ref().filter(|times| times.is_valid(row)).map_or(Micros::MIN, |times| times.value(row));
            let is_last = order.is_some() && self.known_at.get(&id).is_none_or(|before| known_at >= *before);
            if is_last {
                self.known_at.insert(id, known_at);
            }
            match self.labels.entry(id) {
                Entry::Vacant(free) => drop(free.insert(label.to_owned())),
                Entry::Occupied(mut former) if is_last => {
                    former.insert(label.to_owned());
                    self.corrected += 1;
                }
                Entry::Occupied(_) => self.further += 1,
            }
        }
    }
}

/// By what the last of several labels is known.
struct OutcomeOrder {
    /// Where the file has when they became known; without it the last is that furthest down.
    time: Option<(usize, TimeFormat)>,
}

impl OutcomeOrder {
    /// None where the first counts.
    fn of(table: &Table, plan: &Plan) -> Option<Self> {
        plan.quality.as_ref().filter(|quality| quality.corrections == Corrections::Last)?;
        let of_events = table.field(EventField::Time).map(|column| (column, TimeFormat::Micros));
        let of_plan = || {
            let source = plan.sources.iter().find(|source| source.kind == EventKind::Outcome)?;
            let (path, format) = source.mapping.event_time.as_ref()?;
            Some((find(table, path, "event_time")?, *format))
        };
        Some(Self { time: of_events.or_else(of_plan) })
    }
}

/// Where a file of outcomes has its ids and its labels.
fn places(table: &Table, plan: Option<&Plan>) -> Result<(usize, usize)> {
    let source = || plan.and_then(|plan| plan.sources.iter().find(|source| source.kind == EventKind::Outcome));
    let events = table.field(EventField::Id).zip(table.field(EventField::Label));
    let said = events.or_else(|| {
        let source = source()?;
        let id = find(table, source.mapping.id.as_ref()?, "prediction_id")?;
        Some((id, find(table, source.mapping.label.as_ref()?, "label")?))
    });
    let guessed = || -> Result<Option<(usize, usize)>> {
        let guesses = Guesses::of(Facts::of(table)?);
        let at = |usage: Use| guesses.find(|known| known == usage).and_then(|guess| table.find(&guess.facts.name));
        Ok(at(Use::Id).zip(at(Use::Label)))
    };
    said.map_or_else(guessed, |said| Ok(Some(said)))?.ok_or_else(|| {
        Error::user(format!("{} has no columns for the id and the label", table.path.display()))
            .hint("name them `prediction_id` and `label`, or in a pipeline file given with --config")
    })
}

/// The quality plan of a comparison.
pub(crate) fn plan(layout: &Layout, score_edges: Option<Edges>) -> QualityPlan {
    QualityPlan {
        task: layout.task,
        width_bins: score_edges.as_ref().map_or_else(Vec::new, |_| vec![10, 15]),
        score_edges: score_edges.unwrap_or_else(|| Edges::new(Vec::new()).expect("no edges rise")),
        threshold: layout.threshold,
        wait: 0,
        horizon: 0,
        pending_max: usize::MAX,
        sample: 1.0,
        corrections: Corrections::First,
    }
}

/// What one pass over a file needs.
pub(crate) struct Pass<'a> {
    pub(crate) reader: RowReader<'a>,
    pub(crate) rows: &'a Rows,
    pub(crate) n_periods: usize,
    pub(crate) labels: &'a Labels,
    /// `None` when there is no score or no label.
    pub(crate) quality: Option<&'a QualityPlan>,
}

/// The cells of one chunk.
struct Cells<'a> {
    classes: Classes<'a>,
    status: Option<Float64Array>,
    failed: Option<StringArray>,
    score: Option<Float64Array>,
    predicted: Option<TextArray>,
    label: Option<StringArray>,
    ids: Option<UInt64Array>,
    /// Whether classes alone are answers, since there are no scores.
    classes_alone: bool,
    probabilities: Option<Probabilities>,
}

impl Pass<'_> {
    /// Counts the answers of the file; nothing when it tells nothing of them.
    pub(crate) fn run(&self) -> Result<Option<Answers>> {
        let layout = self.reader.layout;
        let at = |place: &Option<ColumnPosition>| place.as_ref().and_then(|place| place.at[self.reader.side]);
        let score = layout.columns.iter().find(|column| column.numeric == Some(ColumnRole::Score));
        let score = score.and_then(|column| column.place.at[self.reader.side]);
        let by_id = (!self.labels.is_empty()).then(|| at(&layout.id)).flatten();
        let fields = [at(&layout.status), at(&layout.failed), score, at(&layout.predicted), at(&layout.label), by_id];
        if fields.iter().all(Option::is_none) && layout.class_scores.is_none() {
            return Ok(None);
        }
        let classes = layout.class_scores.as_ref().and_then(|scores| scores.columns(self.reader.side));
        let asked = fields.iter().flatten().chain(classes.iter().flatten()).map(|&column| (column, false));
        let (wanted, places) = self.reader.wanted(&asked.collect::<Vec<_>>());
        let mut next = places.into_iter();
        let places = fields.map(|field| field.and_then(|_| next.next()));
        let of_classes: Vec<usize> = next.collect();
        let empty = || (Rates::default(), self.quality.map(Quality::new));
        let ((rates, quality), periods) = (empty(), (0..self.n_periods).map(|_| empty()).collect());
        let mut answers = Answers { rates, quality, periods, labelled: 0, strange: 0, example: None, joined: 0 };
        let mut from = 0;
        for chunk in self.reader.table.chunks(&wanted)? {
            let chunk = chunk?;
            let classes_alone = self.quality.is_some_and(|plan| !plan.has_scores());
            let at = |at: usize| places[at].map(|at| &chunk.arrays[at]);
            let mut cells = Cells {
                status: at(0).map(|array| layout.statuses(array)),
                ids: at(5).map(|array| self.reader.table.ids(array)),
                classes_alone,
                ..Cells::of(&chunk.arrays, places, layout.classes())
            };
            if let Some(scores) = layout.class_scores.as_ref().filter(|_| !of_classes.is_empty()) {
                let arrays: Vec<ArrayRef> = of_classes.iter().map(|&at| Arc::clone(&chunk.arrays[at])).collect();
                cells.take_probabilities(Probabilities::of(scores, &arrays));
            }
            self.count(&cells, from, chunk.rows, &mut answers);
            from += chunk.rows;
        }
        Ok(Some(answers))
    }

    fn count(&self, cells: &Cells<'_>, from: usize, n: usize, answers: &mut Answers) {
        for row in self.rows.select(from, n) {
            let row = row as usize;
            let period = self.rows.periods.get(from + row).filter(|period| **period != NONE).map(|&at| usize::from(at));
            let mut period = period.and_then(|at| answers.periods.get_mut(at));
            let rates = cells.rates(row);
            answers.rates.merge(&rates);
            if let Some((known, _)) = &mut period {
                known.merge(&rates);
            }
            let Some((label, is_joined)) = cells.label(row, self.labels) else { continue };
            answers.joined += u64::from(is_joined);
            let Some(plan) = self.quality.filter(|_| rates.scored == 1) else { continue };
            answers.labelled += 1;
            let Some(labelled) = cells.labelled(row, plan, label) else {
                answers.strange += 1;
                answers.example.get_or_insert_with(|| label.to_owned());
                continue;
            };
            let truth = cells.probability_of(row, label);
            let update = |quality: &mut Quality| match truth {
                Some(truth) => quality.update_knowing(plan, labelled, truth),
                None => quality.update(plan, labelled),
            };
            answers.quality.iter_mut().for_each(update);
            if let Some((_, Some(quality))) = period {
                update(quality);
            }
            if let Some(((truth, answer), quality)) = cells.pair(row, plan, label).zip(answers.quality.as_mut()) {
                quality.classes.count(&truth, &answer);
            }
        }
    }
}

impl<'c> Cells<'c> {
    fn of(arrays: &[ArrayRef], places: [Option<usize>; 6], classes: Classes<'c>) -> Self {
        let [_, failed, score, predicted, label, _] = places.map(|place| place.map(|at| &arrays[at]));
        Self {
            classes,
            status: None,
            failed: failed.map(cells::texts),
            score: score.map(|array| cells::numbers(array).0),
            predicted: predicted.map(|array| cells::classes(array, classes)),
            label: label.map(cells::texts),
            ids: None,
            classes_alone: false,
            probabilities: None,
        }
    }

    /// Scores and answers are those of the most probable classes, unless the answers are logged.
    fn take_probabilities(&mut self, probabilities: Probabilities) {
        let (classes, shares) = probabilities.tops();
        self.predicted.get_or_insert(classes);
        self.score = Some(shares);
        self.probabilities = Some(probabilities);
    }

    /// The probability that a row gave to its true class, where all are known.
    fn probability_of(&self, row: usize, label: &str) -> Option<f64> {
        self.probabilities.as_ref()?.of_class(row, self.classes.class(label)?)
    }

    /// One row as counts.
    fn rates(&self, row: usize) -> Rates {
        let status = number(self.status.as_ref(), row);
        let failed = text(self.failed.as_ref(), row).is_some_and(cell::is_failure);
        let answer = ResponseClass::of(status.map(code), failed);
        let predicted = self.predicted(row);
        let positive = predicted == Some("1");
        Rates {
            requests: 1,
            errors: answer.is_failure().into(),
            rejected: (answer == ResponseClass::Rejected).into(),
            scored: (answer == ResponseClass::Success && self.score(row).is_some()).into(),
            predicted: predicted.is_some().into(),
            positive: positive.into(),
            duplicates: 0,
        }
    }

    /// The score; of a class without one, as if the model were certain of it.
    fn score(&self, row: usize) -> Option<f64> {
        let certain = || self.predicted(row).map(|class| f64::from(u8::from(!self.classes.binary || class == "1")));
        if self.classes_alone { certain() } else { number(self.score.as_ref(), row) }
    }

    /// The label of a row, and whether it came by its id.
    fn label<'a>(&'a self, row: usize, labels: &'a Labels) -> Option<(&'a str, bool)> {
        let own = text(self.label.as_ref(), row).filter(|label| !cell::is_missing(label));
        own.map(|label| (label, false)).or_else(|| {
            let ids = self.ids.as_ref().filter(|ids| ids.is_valid(row))?;
            labels.get(&ids.value(row)).map(|label| (label.as_str(), true))
        })
    }

    fn predicted(&self, row: usize) -> Option<&str> {
        let predicted = self.predicted.as_ref()?;
        Some(predicted.values().as_string::<i32>().value(predicted.key(row)?))
    }

    /// The names of the true and of the answered one of several classes.
    fn pair<'a>(&'a self, row: usize, plan: &QualityPlan, label: &'a str) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
        let predicted = self.predicted(row).filter(|_| plan.task == Task::Multiclass)?;
        Some((class_name(self.classes.class(label)?), class_name(predicted)))
    }

    fn labelled(&self, row: usize, plan: &QualityPlan, label: &str) -> Option<Labelled> {
        let score = self.score(row)?;
        let predicted = self.predicted(row);
        let truth = || self.classes.label(label).ok().flatten();
        let label = match plan.task {
            Task::Binary => truth().filter(|&truth| cell::truth_of(truth).is_some())?,
            Task::Multiclass => f64::from(u8::from(class_hash(predicted?) == class_hash(self.classes.class(label)?))),
            Task::Regression => truth().filter(|label| label.is_finite())?,
        };
        let in_range = plan.task == Task::Regression || (0.0..=1.0).contains(&score);
        let positive = predicted.map_or(score >= plan.threshold, |predicted| predicted == "1");
        in_range.then_some(Labelled { score, label, predicted: positive, entity: None, classes: None })
    }
}

/// A status as the code that it is.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and no code is that large")]
fn code(status: f64) -> i16 {
    status as i16
}

fn number(array: Option<&Float64Array>, row: usize) -> Option<f64> {
    array.filter(|array| array.is_valid(row)).map(|array| array.value(row)).filter(|value| value.is_finite())
}

fn text(array: Option<&StringArray>, row: usize) -> Option<&str> {
    array.filter(|array| array.is_valid(row)).map(|array| array.value(row).trim()).filter(|text| !text.is_empty())
}
