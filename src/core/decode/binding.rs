//! What is read from the records of one source: each mapped path bound to the column it feeds.
//!
//! Made once per decoder from the plan and used by every format, so that all of them agree on types and on what is
//! required.

use std::borrow::Cow;

use crate::event::EventKind;
use crate::plan::{
    ClassScores, ColumnRole, Condition, FieldSource, NumericField, Path, Plan, ROW, Selection, SourcePlan, Task,
    TimeFormat, WallClock,
};

use super::pattern::Pattern;

/// Positions of the fixed text columns; segments follow, then categorical columns.
pub(super) const MODEL: usize = 0;
/// See [`MODEL`].
pub(super) const VERSION: usize = 1;
/// See [`MODEL`].
pub(super) const PREDICTED: usize = 2;
/// See [`MODEL`].
pub(super) const LABEL_CLASS: usize = 3;
/// Position of the first segment.
pub(super) const SEGMENTS: usize = 4;
/// Positions of the fixed number columns; the plan's numeric columns follow.
pub(super) const LABEL: usize = 0;
/// See [`LABEL`].
pub(super) const EXPOSURE: usize = 1;
/// The place of a row in its record; 0 where none is put. See [`LABEL`].
pub(super) const ROW_NUMBER: usize = 2;
/// Position of the first numeric column of the plan.
pub(super) const NUMERIC: usize = 3;

/// The column that a value goes to, and so the type it must have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Slot {
    /// Text or whole number, hashed.
    Id,
    /// Text or whole number, hashed.
    Entity,
    /// Text or whole number, hashed.
    Producer,
    /// Epoch number or written time.
    Time(TimeFormat),
    /// Text, number or boolean.
    Text(usize),
    /// Truth value in any spelling, compared by its name.
    TruthName(usize),
    /// Number times a factor.
    Number {
        /// Position of the number column.
        column: usize,
        /// What the value is multiplied by.
        factor: f64,
    },
    /// Number, boolean or class.
    Truth,
    /// Text, number or boolean; booleans are "1" and "0" for a binary task.
    Class {
        /// Position of the text column.
        column: usize,
        /// Whether the task is binary.
        binary: bool,
    },
    /// Object of class to number, of which the largest number is taken.
    BestScore(usize),
    /// Object of class to number, of which the class with the largest number is taken.
    BestClass(usize),
    /// Small whole number.
    Status,
    /// Boolean, or a text or number that tells of an error.
    Failed,
    /// Text, number or boolean that one of the source's conditions allows or not.
    Condition(usize),
    /// A part of a text; what it feeds says the binding.
    Part,
    /// List of which each element is a row.
    Rows,
    /// Place of a row in its record, from 0.
    Row,
}

impl Slot {
    /// Whether it takes an object or a list as a whole.
    pub(super) fn takes_whole(self) -> bool {
        matches!(self, Self::BestScore(_) | Self::BestClass(_) | Self::Rows)
    }
}

/// One mapped path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Binding {
    /// Where the value is.
    pub(super) path: Path,
    /// Where it goes.
    pub(super) slot: Slot,
    /// The name that files use for it when they do not use the path.
    pub(super) canonical: String,
    /// Whether a record without it is refused.
    pub(super) required: bool,
}

impl Binding {
    /// The path as people write it.
    pub(super) fn name(&self) -> String {
        self.path.to_string()
    }

    /// Whether it stands in an element of the list of rows, or of a list around that.
    pub(super) fn is_in_row(&self) -> bool {
        self.path.is_in_row()
    }

    /// Which part of a text is taken.
    pub(super) fn pattern(&self) -> Option<Pattern> {
        let pattern = self.path.texts.pattern.as_deref()?;
        Some(Pattern::new(pattern).expect("patterns of a plan were checked when it was made"))
    }
}

/// Everything a decoder must know about its source: bindings and the shape of the batches.
#[derive(Debug, Clone)]
pub(super) struct SourceLayout {
    pub(super) kind: EventKind,
    pub(super) source: u16,
    pub(super) lane: u32,
    pub(super) bindings: Vec<Binding>,
    /// Which records are taken.
    pub(super) selection: Selection,
    /// The values that decide about it, in the order of the conditions.
    pub(super) conditions: Vec<Binding>,
    /// The classes that are positive, where they are named.
    pub(super) positive: Vec<String>,
    /// The clock that times without a zone are from; UTC where this is none.
    pub(super) clock: Option<WallClock>,
    /// Statuses that mean success, as they are compared, where they are named.
    pub(super) ok: Vec<String>,
    /// Model and version names that are the same for all records.
    pub(super) constants: [Option<String>; 2],
    pub(super) n_segments: usize,
    pub(super) n_numeric: usize,
    pub(super) n_categorical: usize,
    /// What fields for each class are made into.
    pub(super) best: Option<Best>,
    /// The lists that lead to the rows, where a record has several, each in the elements of the one before it.
    pub(super) lists: Vec<List>,
    /// One bit for each condition on a value of the record itself.
    pub(super) conditions_of_record: u64,
    /// Whether the rows of a record share its id, and are told apart by their place in it.
    pub(super) shares_id: bool,
    /// Whether the rows of a record are one request.
    pub(super) is_one_request: bool,
}

/// A list of rows, or of what has a list of rows.
#[derive(Debug, Clone)]
pub(super) struct List {
    /// Its binding.
    pub(super) binding: u16,
    /// What paths begin with that lead into its elements.
    pub(super) element: String,
    /// One bit for each condition on a value in its elements.
    pub(super) conditions: u64,
}

/// The largest of the scores that stand in a field for each class, in number columns behind the plan's.
#[derive(Debug, Clone)]
pub(super) struct Best {
    pub(super) classes: Vec<String>,
    /// The plan's number column that takes the score.
    pub(super) score: Option<usize>,
    /// Whether its class is the answer.
    pub(super) is_answer: bool,
}

impl SourceLayout {
    /// Whether a column of tables may be read by this name: as a path, or as what a path begins or ends with.
    pub(super) fn reads(&self, column: &str) -> bool {
        let bindings = self.bindings.iter().chain(&self.conditions);
        let names = |binding: &Binding| {
            let (first, last) = (binding.path.first(), binding.path.last());
            [first, last, Some(binding.canonical.as_str())].contains(&Some(column)) || binding.name() == column
        };
        bindings.into_iter().any(names)
    }

    /// The layout of one partition of one source.
    pub(super) fn new(plan: &Plan, source: u16, lane: u32) -> Self {
        let from = &plan.sources[usize::from(source)];
        let carries_features = matches!(from.kind, EventKind::Prediction | EventKind::Feature);
        let count = |n: usize| if carries_features { n } else { 0 };
        let bindings = Binder::new(plan, from, carries_features).bind();
        let conditions = conditions(&from.mapping.selection);
        let lists = lists(&bindings, &conditions);
        let is_in_row = |path: &Path| path.is_in_row() || from.mapping.is_tensor(path);
        let any_in_row =
            |is: fn(Slot) -> bool| bindings.iter().any(|binding| is(binding.slot) && is_in_row(&binding.path));
        // The rows of an element around them share what it says.
        let is_own = |path: &Path| path.first() == Some(ROW) || from.mapping.is_tensor(path);
        let has_own_id = bindings.iter().any(|binding| binding.slot == Slot::Id && is_own(&binding.path));
        let latency = plan.columns.index_of(ColumnRole::Latency).and_then(|at| from.mapping.numeric.get(at)?.as_ref());
        let is_timed_in_row = latency.is_some_and(|field| is_in_row(&field.path));
        let has_rows = from.mapping.has_rows();
        Self {
            lists,
            conditions_of_record: mask(&conditions, |path| !path.is_in_row()),
            shares_id: has_rows && !has_own_id,
            is_one_request: has_rows
                && !any_in_row(|slot| matches!(slot, Slot::Status | Slot::Failed))
                && !is_timed_in_row,
            kind: from.kind,
            source,
            lane,
            bindings,
            conditions,
            selection: from.mapping.selection.clone(),
            positive: positive(plan, from).to_vec(),
            clock: from.mapping.clock.clone(),
            ok: from.mapping.ok.clone(),
            constants: [constant(&from.mapping.model), constant(&from.mapping.version)],
            n_segments: count(plan.segments.len()),
            n_numeric: count(plan.columns.numeric.len()),
            n_categorical: count(plan.columns.categorical.len()),
            best: best(plan, from),
        }
    }

    /// How people know a field: its path in the records, or its canonical name when it is not mapped.
    pub(super) fn name<'a>(&'a self, canonical: &'a str) -> Cow<'a, str> {
        let binding = self.bindings.iter().find(|binding| binding.canonical == canonical);
        binding.map_or(Cow::Borrowed(canonical), |binding| Cow::Owned(binding.name()))
    }

    /// Number of text columns.
    pub(super) fn n_texts(&self) -> usize {
        SEGMENTS + self.n_segments + self.n_categorical
    }

    /// Number of number columns.
    pub(super) fn n_numbers(&self) -> usize {
        NUMERIC + self.n_numeric + self.best.as_ref().map_or(0, |best| best.classes.len())
    }

    /// Whether the event time is read from the record rather than taken from the broker.
    pub(super) fn reads_event_time(&self) -> bool {
        self.bindings.iter().any(|binding| matches!(binding.slot, Slot::Time(_)))
    }
}

/// The positive classes that a source names, or else any other: labels and answers name the same classes.
fn positive<'a>(plan: &'a Plan, source: &'a SourcePlan) -> &'a [String] {
    let mut named = std::iter::once(source).chain(&plan.sources).map(|source| source.mapping.positive.as_slice());
    named.find(|classes| !classes.is_empty()).unwrap_or_default()
}

fn conditions(selection: &Selection) -> Vec<Binding> {
    let binding = |(at, condition): (usize, &Condition)| Binding {
        path: condition.path.clone(),
        slot: Slot::Condition(at),
        canonical: condition.path.to_string(),
        required: false,
    };
    selection.conditions.iter().enumerate().map(binding).collect()
}

/// One bit for each condition on a value that stands in such a place.
fn mask(conditions: &[Binding], is_there: impl Fn(&Path) -> bool) -> u64 {
    let places = conditions.iter().enumerate();
    places.filter(|(_, condition)| is_there(&condition.path)).fold(0, |mask, (at, _)| mask | 1 << at)
}

fn lists(bindings: &[Binding], conditions: &[Binding]) -> Vec<List> {
    let lists = || bindings.iter().zip(0..).filter(|(binding, _)| binding.slot == Slot::Rows);
    let innermost = lists().last().map(|(_, at)| at);
    let list = |(binding, at): (&Binding, u16)| {
        let element = if Some(at) == innermost { ROW.to_owned() } else { binding.path.each() };
        let conditions = mask(conditions, |path| path.first() == Some(&element));
        List { binding: at, element, conditions }
    };
    lists().map(list).collect()
}

fn constant(field: &FieldSource) -> Option<String> {
    match field {
        FieldSource::Constant(name) => Some(name.clone()),
        FieldSource::Absent | FieldSource::Path(_) => None,
    }
}

/// The plan's score column, where the largest score of a class goes: one that is mapped on its own is not overwritten.
fn score_of_classes(plan: &Plan, source: &SourcePlan) -> Option<usize> {
    plan.columns.index_of(ColumnRole::Score).filter(|&score| source.mapping.numeric.get(score) == Some(&None))
}

fn best(plan: &Plan, source: &SourcePlan) -> Option<Best> {
    let Some(ClassScores::Each(classes)) = &source.mapping.class_scores else { return None };
    Some(Best {
        classes: classes.iter().map(|(class, _)| class.clone()).collect(),
        score: score_of_classes(plan, source),
        is_answer: source.mapping.predicted.is_none(),
    })
}

/// Walks a mapping and collects its bindings.
struct Binder<'a> {
    plan: &'a Plan,
    source: &'a SourcePlan,
    carries_features: bool,
    bindings: Vec<Binding>,
}

impl<'a> Binder<'a> {
    fn new(plan: &'a Plan, source: &'a SourcePlan, carries_features: bool) -> Self {
        Self { plan, source, carries_features, bindings: Vec::new() }
    }

    fn bind(mut self) -> Vec<Binding> {
        self.identity();
        if self.carries_features {
            self.features();
            self.answer();
        }
        self.truth();
        self.add(self.source.mapping.exposure.as_ref(), number(EXPOSURE), "exposure");
        self.add(self.source.mapping.row.as_ref(), Slot::Row, "row");
        self.source.mapping.lists().iter().for_each(|list| self.add(Some(list), Slot::Rows, "rows"));
        self.bindings
    }

    fn identity(&mut self) {
        let mapping = &self.source.mapping;
        self.add(mapping.id.as_ref(), Slot::Id, "prediction_id");
        if let Some((path, format)) = &mapping.event_time {
            self.add(Some(path), Slot::Time(*format), "event_time");
        }
        self.add(mapping.producer.as_ref(), Slot::Producer, "producer");
        for (field, column, name) in [(&mapping.model, MODEL, "model"), (&mapping.version, VERSION, "version")] {
            if let FieldSource::Path(path) = field {
                self.add(Some(path), Slot::Text(column), name);
            }
        }
    }

    fn features(&mut self) {
        let (plan, mapping) = (self.plan, &self.source.mapping);
        for (i, (name, path)) in plan.segments.iter().zip(&mapping.segments).enumerate() {
            self.add(Some(path), Slot::Text(SEGMENTS + i), name);
        }
        for (i, (column, field)) in plan.columns.numeric.iter().zip(&mapping.numeric).enumerate() {
            let name = if column.role == ColumnRole::Latency { "latency_ms" } else { &column.name };
            if let Some(NumericField { path, factor }) = field {
                self.add(Some(path), Slot::Number { column: NUMERIC + i, factor: *factor }, name);
            }
        }
        let first = SEGMENTS + plan.segments.len();
        for (i, (column, path)) in plan.columns.categorical.iter().zip(&mapping.categorical).enumerate() {
            let slot = if mapping.truths.contains(&i) { Slot::TruthName(first + i) } else { Slot::Text(first + i) };
            self.add(path.as_ref(), slot, &column.name);
        }
    }

    fn answer(&mut self) {
        let mapping = &self.source.mapping;
        self.add(mapping.entity.as_ref(), Slot::Entity, "entity_id");
        self.add(mapping.predicted.as_ref(), self.class(PREDICTED), "predicted_label");
        self.class_scores();
        self.add(mapping.status.as_ref(), Slot::Status, "status");
        self.add(mapping.failed.as_ref(), Slot::Failed, "error");
    }

    fn truth(&mut self) {
        let slot = match task(self.plan) {
            Some(Task::Multiclass) => self.class(LABEL_CLASS),
            _ => Slot::Truth,
        };
        self.add(self.source.mapping.label.as_ref(), slot, "label");
    }

    fn class(&self, column: usize) -> Slot {
        Slot::Class { column, binary: task(self.plan) == Some(Task::Binary) }
    }

    fn class_scores(&mut self) {
        match &self.source.mapping.class_scores {
            Some(ClassScores::Whole(path)) => {
                if let Some(score) = score_of_classes(self.plan, self.source) {
                    self.add(Some(path), Slot::BestScore(NUMERIC + score), "class_scores");
                }
                if self.source.mapping.predicted.is_none() {
                    self.add(Some(path), Slot::BestClass(PREDICTED), "class_scores");
                }
            }
            Some(ClassScores::Each(classes)) => {
                for (at, (_, path)) in classes.iter().enumerate() {
                    self.add(Some(path), number(NUMERIC + self.plan.columns.numeric.len() + at), &path.to_string());
                }
            }
            None => {}
        }
    }

    fn add(&mut self, path: Option<&Path>, slot: Slot, canonical: &str) {
        if let Some(path) = path {
            let required = is_required(self.source.kind, slot);
            self.bindings.push(Binding { path: path.clone(), slot, canonical: canonical.to_owned(), required });
        }
    }
}

fn number(column: usize) -> Slot {
    Slot::Number { column, factor: 1.0 }
}

/// What the plan's model predicts, where the plan has labels.
pub(super) fn task(plan: &Plan) -> Option<Task> {
    plan.quality.as_ref().map(|quality| quality.task)
}

/// Whether an empty text is no value: a model, a version or a true class cannot be nameless, a category can.
pub(super) fn blank_is_missing(column: usize) -> bool {
    matches!(column, MODEL | VERSION | PREDICTED | LABEL_CLASS)
}

/// Whether texts of a column are compared by their value: names of models and versions are not.
pub(super) fn is_category(column: usize) -> bool {
    !matches!(column, MODEL | VERSION)
}

/// Whether a record of this kind is refused when this mapped field is absent, null or empty.
fn is_required(kind: EventKind, slot: Slot) -> bool {
    match slot {
        Slot::Time(_) | Slot::Rows => true,
        Slot::Id => kind != EventKind::Exposure,
        Slot::Text(MODEL | VERSION) => kind != EventKind::Outcome,
        Slot::Truth | Slot::Class { column: LABEL_CLASS, .. } => kind == EventKind::Outcome,
        Slot::Number { column: EXPOSURE, .. } => kind == EventKind::Exposure,
        _ => false,
    }
}
