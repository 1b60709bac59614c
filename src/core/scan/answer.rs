//! What a row of predictions answered, and how that compares with another answer to the same request or with the truth.

use arrow_array::{Array, Float64Array};

use crate::batch::EventBatch;
use crate::event::class_hash;
use crate::plan::{ColumnRole, Plan, QualityPlan, Task};
use crate::scan::traffic::{PerEntry, ResponseClass, outcome};
use crate::summary::Pairs;
use crate::summary::pairs::PairedLoss;

/// What turned out to be true.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Truth {
    /// Two classes and quantities: the value.
    pub(crate) value: f64,
    /// Several classes: hash of the true one.
    pub(crate) class: u64,
}

/// One answer to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Answer {
    /// The request failed.
    Failed,
    /// What came; nothing where it was refused.
    Given { score: Option<f64>, class: Option<u64> },
}

/// The answers of a batch.
pub(crate) struct Answers<'a> {
    pub(crate) batch: &'a EventBatch,
    quality: Option<&'a QualityPlan>,
    scores: Option<&'a Float64Array>,
    classes: PerEntry<'a, u64>,
    true_classes: PerEntry<'a, u64>,
}

impl<'a> Answers<'a> {
    pub(crate) fn of(plan: &'a Plan, batch: &'a EventBatch) -> Self {
        let quality = plan.quality.as_ref();
        let task = quality.map_or(Task::Multiclass, |quality| quality.task);
        Self {
            batch,
            quality,
            scores: plan.columns.index_of(ColumnRole::Score).and_then(|column| batch.numeric.get(column)),
            classes: PerEntry::of(&batch.predicted, |name| class_of(task, name)),
            true_classes: PerEntry::of(&batch.label_class, class_hash),
        }
    }

    /// The score of a row; where no row has one, as if the model were certain of the class.
    pub(crate) fn score(&self, row: usize) -> Option<f64> {
        let certain =
            |class| f64::from(u8::from(self.quality.is_some_and(|of| of.task == Task::Multiclass) || class == 1));
        match self.scores {
            Some(scores) => scores.is_valid(row).then(|| scores.value(row)).filter(|score| !score.is_nan()),
            None => self.classes.get(row).map(certain),
        }
    }

    /// The class that was answered: 1 or 0 of two classes, a hash of several.
    pub(crate) fn class(&self, row: usize) -> Option<u64> {
        let by_score = || Some(u64::from(self.score(row)? >= self.quality?.threshold));
        self.classes.get(row).or_else(by_score)
    }

    /// The truth that the row brings along.
    pub(crate) fn truth(&self, row: usize) -> Option<Truth> {
        let label = &self.batch.label;
        let value = label.is_valid(row).then(|| Truth { value: label.value(row), class: 0 });
        value.or_else(|| self.true_classes.get(row).map(|class| Truth { value: 0.0, class }))
    }

    /// The request that a row answers.
    pub(crate) fn request(&self, row: usize) -> Option<u64> {
        self.batch.id.is_valid(row).then(|| self.batch.id.value(row))
    }

    /// What came of the request.
    pub(crate) fn of_row(&self, row: usize) -> Answer {
        match outcome(self.batch, row) {
            ResponseClass::Failed | ResponseClass::TimedOut => Answer::Failed,
            ResponseClass::Rejected | ResponseClass::Other => Answer::Given { score: None, class: None },
            ResponseClass::Success => {
                let has_classes = self.quality.is_none_or(|quality| quality.task != Task::Regression);
                let score = self.score(row).filter(|_| self.scores.is_some());
                Answer::Given { score, class: self.class(row).filter(|_| has_classes) }
            }
        }
    }
}

impl Answer {
    /// Counts how it differs from the baseline version's answer to the same request.
    pub(crate) fn compare(self, baseline: Self, tolerance: Option<f64>, pairs: &mut Pairs) {
        pairs.paired += 1;
        let (scores, classes) = match (self, baseline) {
            (Self::Given { score, class }, Self::Given { score: their_score, class: their_class }) => {
                (score.zip(their_score), class.zip(their_class))
            }
            (Self::Failed, Self::Failed) => return,
            (Self::Failed, _) => return pairs.failed += 1,
            (_, Self::Failed) => return pairs.failed_baseline += 1,
        };
        // Two infinite scores are not apart by a number.
        let difference = scores.map(|(score, baseline)| score - baseline).filter(|difference| !difference.is_nan());
        difference.iter().for_each(|&difference| pairs.score(difference));
        let apart = difference.zip(tolerance).map(|(difference, tolerance)| difference.abs() > tolerance);
        let other = classes.map(|(class, baseline)| class != baseline);
        if apart.is_some() || other.is_some() {
            pairs.compared += 1;
            pairs.disagreed += u64::from(apart == Some(true) || other == Some(true));
        }
    }

    /// What it costs when this is true; `None` where no answer came.
    pub(crate) fn loss(self, task: Task, truth: Truth) -> Option<PairedLoss> {
        let Self::Given { score, class } = self else { return None };
        let of_class = |wrong: bool| PairedLoss { loss: f64::from(u8::from(wrong)), wrong };
        match task {
            Task::Binary => {
                let of_class = of_class(class? != u64::from(truth.value > 0.5));
                let squared = score.map(|score| (score - truth.value) * (score - truth.value));
                Some(squared.map_or(of_class, |squared| PairedLoss { loss: squared.min(1.0), ..of_class }))
            }
            Task::Multiclass => Some(of_class(class? != truth.class)),
            Task::Regression => {
                let error = score.map(|score| (score - truth.value).abs()).filter(|error| !error.is_nan());
                error.map(|loss| PairedLoss { loss, wrong: false })
            }
        }
    }
}

fn class_of(task: Task, name: &str) -> u64 {
    match task {
        Task::Multiclass => class_hash(name),
        Task::Binary | Task::Regression => u64::from(name == "1"),
    }
}
