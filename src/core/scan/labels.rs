//! Labels of one lane: predictions that wait for them, the panes they belong to, and when these are complete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::Array;

use crate::batch::EventBatch;
use crate::event::{Micros, class_hash};
use crate::plan::{Plan, QualityPlan, Role, Task};
use crate::scan::assign::CellRows;
use crate::scan::frame::{Body, GroupKey};
use crate::scan::groups::{Cell, Groups};
use crate::scan::join::{Join, Label, Match, Stub};
use crate::scan::traffic::{Answer, Codes, outcome};
use crate::summary::entity::bucket;
use crate::summary::quality::Labelled;
use crate::summary::{Quality, Sealed};
use crate::time::pane;

/// So many labelled predictions wait to be counted: opening a summary for each of them would cost more than counting
/// does.
const ROWS_MAX: usize = 64;

/// Labelled predictions of one group in one pane. A few wait as they came, the others are sealed: a pane is kept for as
/// long as labels may come, and most of the time none does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gathered {
    sealed: Option<Sealed<Quality>>,
    rows: Vec<Labelled>,
}

impl Gathered {
    fn push(&mut self, plan: &QualityPlan, row: Labelled) {
        self.rows.push(row);
        if self.rows.len() >= ROWS_MAX {
            self.sealed = self.open(plan).as_ref().map(Sealed::new);
            self.rows = Vec::new();
        }
    }

    /// What there is, if anything.
    fn open(&self, plan: &QualityPlan) -> Option<Quality> {
        if self.sealed.is_none() && self.rows.is_empty() {
            return None;
        }
        let mut open = Quality::new(plan);
        self.sealed.iter().for_each(|sealed| sealed.add_to(&mut open));
        self.rows.iter().for_each(|row| open.update(plan, *row));
        Some(open)
    }

    fn merge(&mut self, plan: &QualityPlan, other: &Self) {
        if let Some(sealed) = &other.sealed {
            let mut open = self.open(plan).unwrap_or_else(|| Quality::new(plan));
            sealed.add_to(&mut open);
            *self = Self { sealed: Some(Sealed::new(&open)), rows: Vec::new() };
        }
        other.rows.iter().for_each(|row| self.push(plan, *row));
    }

    fn bytes(&self) -> usize {
        self.sealed.as_ref().map_or(0, Sealed::bytes) + self.rows.capacity() * size_of::<Labelled>()
    }
}

/// Labels of one group in one pane, by when they arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct QualityCell {
    in_time: Gathered,
    late: Gathered,
}

impl Cell for QualityCell {
    fn new(_: &Plan) -> Self {
        Self::default()
    }

    fn merge(&mut self, plan: &Plan, other: &Self) {
        let quality = plan.quality.as_ref().expect("only plans with labels have quality cells");
        self.in_time.merge(quality, &other.in_time);
        self.late.merge(quality, &other.late);
    }
}

/// A pane whose labels are still coming in.
#[derive(Debug)]
pub(crate) struct QualityPane {
    groups: Groups<QualityCell>,
    in_time_sent: bool,
}

/// What became of labels; counted, never silent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LabelCounts {
    /// Joined to their prediction.
    pub joined: u64,
    /// Second and further labels of one prediction.
    pub duplicates: u64,
    /// No prediction came for them, or it was forgotten already.
    pub orphans: u64,
    /// Arrived after the horizon.
    pub expired: u64,
    /// Predictions and labels that could not wait for each other, because the plan's `pending_max` was reached.
    pub refused: u64,
}

/// Labels of one lane.
#[derive(Debug)]
pub(crate) struct Labels {
    pub(crate) panes: BTreeMap<Micros, QualityPane>,
    pub(crate) counts: LabelCounts,
    join: Join,
    /// Groups of panes that no prediction can come to any more.
    groups: BTreeSet<Arc<GroupKey>>,
    /// Panes before this have sent what came in time.
    in_time_upto: Micros,
    /// Ids at or above this are not followed up.
    id_limit: u64,
}

impl Labels {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 < sample <= 1"
    )]
    pub(crate) fn new(quality: &QualityPlan) -> Self {
        let id_limit = (quality.sample * u64::MAX as f64) as u64;
        Self {
            panes: BTreeMap::new(),
            counts: LabelCounts::default(),
            join: Join::new(quality.pending_max),
            groups: BTreeSet::new(),
            in_time_upto: Micros::MIN,
            id_limit,
        }
    }

    /// Takes the answered predictions of one cell: those that carry a label count at once, the others wait for theirs.
    pub(crate) fn predict(&mut self, plan: &Plan, batch: &EventBatch, cell: &CellRows, labels_follow: bool) {
        let quality = plan.quality.as_ref().expect("checked by the caller");
        let scores = plan.columns.index_of(Role::Score).and_then(|column| batch.numeric.get(column));
        let predicted = Codes::of(&batch.predicted, |name| class_of(quality.task, name));
        let classes = Codes::of(&batch.label_class, class_hash);
        let pane =
            self.panes.entry(cell.pane).or_insert_with(|| QualityPane { groups: Groups::new(), in_time_sent: false });
        let slot = u32::try_from(pane.groups.slot(&cell.key, plan)).expect("groups are bounded");
        for &row in &cell.rows {
            let row = row as usize;
            let class = predicted.get(row);
            let score = match scores {
                Some(scores) => scores.is_valid(row).then(|| scores.value(row)).filter(|score| !score.is_nan()),
                None => class.map(|class| certain(quality.task, class)),
            };
            let Some(score) = score.filter(|_| outcome(batch, row) == Answer::Success) else { continue };
            let event_time = batch.event_time.value(row);
            let answered = class.unwrap_or_else(|| u64::from(score >= quality.threshold));
            let entity = batch.entity.is_valid(row).then(|| bucket(batch.entity.value(row)));
            let entity = entity.and_then(|bucket| u8::try_from(bucket).ok());
            let stub = Stub::new(event_time, slot, score, answered).asked_by(entity);
            let own = batch.label.is_valid(row).then(|| batch.label.value(row)).map(|value| (value, 0));
            if let Some((value, class)) = own.or_else(|| classes.get(row).map(|class| (0.0, class))) {
                let label = Label { broker_time: event_time, watermark: event_time, value, class };
                self.count(plan, stub, label);
            } else if labels_follow && batch.id.is_valid(row) && batch.id.value(row) <= self.id_limit {
                let (label, had_room) = self.join.predict(batch.id.value(row), stub);
                self.counts.refused += u64::from(!had_room);
                if let Some(label) = label {
                    self.count(plan, stub, label);
                }
            }
        }
    }

    /// Takes one outcome.
    pub(crate) fn label(&mut self, plan: &Plan, id: u64, label: Label) {
        if id > self.id_limit {
            return;
        }
        match self.join.label(id, label) {
            Match::Joined(stub) => self.count(plan, stub, label),
            Match::Waiting => {}
            Match::Duplicate => self.counts.duplicates += 1,
            Match::Refused => self.counts.refused += 1,
        }
    }

    fn count(&mut self, plan: &Plan, stub: Stub, label: Label) {
        let quality = plan.quality.as_ref().expect("labels imply a quality plan");
        let start = pane::start_of(stub.event_time, plan.time.pane);
        let Some(pane) = self.panes.get_mut(&start) else {
            self.counts.expired += 1;
            return;
        };
        let age = label.broker_time.max(label.watermark) - (start + plan.time.pane);
        if age > quality.horizon {
            self.counts.expired += 1;
            return;
        }
        self.counts.joined += 1;
        let cell = pane.groups.cell(stub.slot as usize);
        let part = if age <= quality.wait { &mut cell.in_time } else { &mut cell.late };
        part.push(quality, labelled(quality.task, stub, label));
    }

    /// Takes out what is complete: labels that came in time, once no more of them can come, and late ones with the
    /// pane. `predictions` and `outcomes` are the watermarks of the streams.
    pub(crate) fn seal(&mut self, plan: &Plan, predictions: Micros, outcomes: Micros) -> Vec<(Micros, GroupKey, Body)> {
        let quality = plan.quality.as_ref().expect("labels imply a quality plan");
        let over = |start: Micros, after: Micros| {
            let end = start + plan.time.pane;
            predictions >= end && outcomes > end.saturating_add(after)
        };
        let mut bodies = Vec::new();
        let mut n_complete = 0;
        while let Some(first) = self.panes.first_entry().filter(|first| over(*first.key(), quality.horizon)) {
            let (start, mut pane) = first.remove_entry();
            pane.seal(quality, start, true, &mut bodies);
            n_complete += 1;
        }
        for (&start, pane) in self.panes.range_mut(self.in_time_upto..) {
            if !over(start, quality.wait) {
                break;
            }
            pane.seal(quality, start, false, &mut bodies);
            pane.groups.close(&mut self.groups);
            self.in_time_upto = start.saturating_add(1);
        }
        if n_complete > 0 {
            self.groups.retain(|group| Arc::strong_count(group) > 1);
            self.forget(plan, predictions);
        }
        bodies
    }

    /// Forgets what nothing can be joined to any more. `predictions`: watermark of the prediction streams.
    fn forget(&mut self, plan: &Plan, predictions: Micros) {
        let before = predictions.saturating_sub(plan.time.pane);
        self.counts.orphans += self.join.forget_labels(before);
        let kept_from = self.panes.keys().next().copied().unwrap_or(Micros::MAX);
        self.join.forget_predictions(kept_from.min(before), plan.time.pane);
    }

    /// How many bytes are kept, about.
    pub(crate) fn bytes(&self) -> usize {
        let names = self.groups.iter().map(|group| group.bytes()).sum::<usize>();
        self.join.bytes() + names + self.panes.values().map(QualityPane::bytes).sum::<usize>()
    }
}

impl QualityPane {
    fn seal(&mut self, plan: &QualityPlan, start: Micros, complete: bool, bodies: &mut Vec<(Micros, GroupKey, Body)>) {
        for (key, cell) in self.groups.iter_mut() {
            let in_time = std::mem::take(&mut cell.in_time).open(plan).filter(|_| !self.in_time_sent);
            let late = complete.then(|| cell.late.open(plan)).flatten();
            let parts = in_time.map(Body::QualityInTime).into_iter().chain(late.map(Body::QualityLate));
            bodies.extend(parts.map(|body| (start, key.clone(), body)));
        }
        self.in_time_sent = true;
    }

    fn bytes(&self) -> usize {
        let cells = self.groups.iter().map(|(_, cell)| cell.in_time.bytes() + cell.late.bytes() + size_of_val(cell));
        self.groups.bytes() + cells.sum::<usize>()
    }
}

/// The score of a class that was answered without one: as if the model were certain of it.
fn certain(task: Task, class: u64) -> f64 {
    f64::from(u8::from(task == Task::Multiclass || class == 1))
}

fn class_of(task: Task, name: &str) -> u64 {
    match task {
        Task::Multiclass => class_hash(name),
        Task::Binary | Task::Regression => u64::from(name == "1"),
    }
}

fn labelled(task: Task, stub: Stub, label: Label) -> Labelled {
    let (score, entity) = (stub.score, stub.entity());
    match task {
        Task::Binary => Labelled { score, label: label.value, predicted: stub.predicted == 1, entity },
        Task::Regression => Labelled { score, label: label.value, predicted: false, entity },
        Task::Multiclass => {
            let right = stub.predicted == label.class;
            Labelled { score, label: f64::from(u8::from(right)), predicted: true, entity }
        }
    }
}
