//! Labels of one lane: predictions that wait for them, the panes they belong to, and when these are complete.

use std::collections::BTreeMap;

use arrow_array::Array;

use crate::batch::EventBatch;
use crate::event::{Micros, stable_hash};
use crate::plan::{Plan, QualityPlan, Role, Task};
use crate::scan::assign::CellRows;
use crate::scan::frame::GroupKey;
use crate::scan::groups::{Cell, Groups};
use crate::scan::join::{Join, Label, Match, Stub};
use crate::scan::traffic::{Answer, Codes, outcome};
use crate::summary::Quality;
use crate::summary::entity::bucket;
use crate::summary::quality::Labelled;

/// Labels of one group in one pane, by when they arrived.
#[derive(Debug, Clone)]
pub(crate) struct QualityCell {
    pub(crate) in_time: Quality,
    pub(crate) late: Quality,
}

impl Cell for QualityCell {
    fn new(plan: &Plan) -> Self {
        let quality = plan.quality.as_ref().expect("only plans with labels have quality cells");
        Self { in_time: Quality::new(quality), late: Quality::new(quality) }
    }

    fn merge(&mut self, other: &Self) {
        self.in_time.merge(&other.in_time);
        self.late.merge(&other.late);
    }
}

/// A pane whose labels are still coming in.
#[derive(Debug)]
pub(crate) struct QualityPane {
    pub(crate) groups: Groups<QualityCell>,
    pub(crate) in_time_sent: bool,
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
        Self { panes: BTreeMap::new(), counts: LabelCounts::default(), join: Join::new(quality.pending_max), id_limit }
    }

    /// Takes the answered predictions of one cell: those that carry a label count at once, the others wait for theirs.
    pub(crate) fn predict(&mut self, plan: &Plan, batch: &EventBatch, cell: &CellRows, labels_follow: bool) {
        let quality = plan.quality.as_ref().expect("checked by the caller");
        let Some(scores) = plan.columns.index_of(Role::Score).and_then(|column| batch.numeric.get(column)) else {
            return;
        };
        let predicted = Codes::of(&batch.predicted, |name| class_of(quality.task, name));
        let classes = Codes::of(&batch.label_class, |name| stable_hash(name.as_bytes()));
        let pane =
            self.panes.entry(cell.pane).or_insert_with(|| QualityPane { groups: Groups::new(), in_time_sent: false });
        let slot = pane.groups.slot(&cell.key, plan);
        for &row in &cell.rows {
            let row = row as usize;
            if !scores.is_valid(row) || scores.value(row).is_nan() || outcome(batch, row) != Answer::Success {
                continue;
            }
            let event_time = batch.event_time.value(row);
            let answered = predicted.get(row).unwrap_or_else(|| u64::from(scores.value(row) >= quality.threshold));
            let entity = batch.entity.is_valid(row).then(|| bucket(batch.entity.value(row)));
            let entity = entity.and_then(|bucket| u8::try_from(bucket).ok());
            let stub = Stub::new(cell.pane, event_time, slot, scores.value(row), answered).asked_by(entity);
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
        let Some(pane) = self.panes.get_mut(&stub.pane) else {
            self.counts.expired += 1;
            return;
        };
        let age = label.broker_time.max(label.watermark) - (stub.pane + plan.time.pane);
        if age > quality.horizon {
            self.counts.expired += 1;
            return;
        }
        self.counts.joined += 1;
        let cell = pane.groups.cell(stub.slot);
        let part = if age <= quality.wait { &mut cell.in_time } else { &mut cell.late };
        part.update(quality, labelled(quality.task, stub, label));
    }

    /// Forgets what nothing can be joined to any more. `predictions`: watermark of the prediction streams.
    pub(crate) fn forget(&mut self, plan: &Plan, predictions: Micros) {
        let before = predictions.saturating_sub(plan.time.pane);
        self.counts.orphans += self.join.forget_labels(before);
        let kept_from = self.panes.keys().next().copied().unwrap_or(Micros::MAX);
        self.join.forget_predictions(kept_from.min(before));
    }

    /// Groups of an open pane, in key order.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (Micros, &GroupKey, &QualityCell)> {
        self.panes.iter().flat_map(|(&start, pane)| pane.groups.iter().map(move |(key, cell)| (start, key, cell)))
    }
}

fn class_of(task: Task, name: &str) -> u64 {
    match task {
        Task::Multiclass => stable_hash(name.as_bytes()),
        Task::Binary | Task::Regression => u64::from(name == "1"),
    }
}

fn labelled(task: Task, stub: Stub, label: Label) -> Labelled {
    let Stub { score, entity, .. } = stub;
    match task {
        Task::Binary => Labelled { score, label: label.value, predicted: stub.predicted == 1, entity },
        Task::Regression => Labelled { score, label: label.value, predicted: false, entity },
        Task::Multiclass => {
            let right = stub.predicted == label.class;
            Labelled { score, label: f64::from(u8::from(right)), predicted: true, entity }
        }
    }
}
