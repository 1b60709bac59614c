//! Predictions against the truth: reliability bins, confusion counts and exact sums of losses.

use serde::{Deserialize, Serialize};

use crate::plan::{QualityPlan, Task};
use crate::summary::classes::{ClassPair, Classes};
use crate::summary::entity::{self, Answered, EntityBuckets};
use crate::summary::seal::{Reader, Seal, Writer};
use crate::summary::tail::CellCount;
use crate::summary::{Fixed, Magnitudes, PairLosses, Tails, magnitude};

/// Scores are held this far from 0 and 1 in the logarithm of the log loss, as scikit-learn and the reference numbers
/// do.
pub const LOG_LOSS_CLIP: f64 = 1e-15;

/// One prediction with its truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Labelled {
    /// Probability of the positive class (binary), confidence in the predicted class (multiclass), prediction
    /// (regression).
    pub score: f64,
    /// 1 or 0 (binary: the truth; multiclass: whether the predicted class is the true one), or the true quantity.
    pub label: f64,
    /// Binary: the class that was answered.
    pub predicted: bool,
    /// Bucket of whoever asked, where known.
    pub entity: Option<u8>,
    /// Multiclass: both classes, where their names are known. A summary is told of them by their names.
    pub classes: Option<ClassPair>,
}

/// One score bin: how many, what they promised, what came true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Labelled predictions.
    pub n: u64,
    /// Of these, positive.
    pub positive: u64,
    /// Sum of scores.
    pub score: Fixed,
}

/// Everything known about labelled predictions of one group in one pane.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Quality {
    /// Labelled predictions.
    pub n: u64,
    /// Positive labels.
    pub positive: u64,
    /// Equal-width reliability bins: for each bin count M of the plan, M bins; the bin of `s` is
    /// `min(floor(s M), M - 1)`.
    pub width: Vec<Vec<ReliabilityBin>>,
    /// Reliability bins over the fine edges of the score column.
    pub fine: Vec<ReliabilityBin>,
    /// True positives, false positives, false negatives, true negatives of the logged decision.
    pub confusion: [u64; 4],
    /// Sum of scores.
    pub score: Fixed,
    /// Classification: sum of squared errors (Brier). Regression: sum of squared errors.
    pub squared: Fixed,
    /// Regression: sum of absolute errors.
    pub absolute: Fixed,
    /// Regression: absolute errors by size.
    #[serde(default)]
    pub sizes: Magnitudes,
    /// Sum of `score - label`.
    pub signed: Fixed,
    /// Sum of log losses; not known once the probability of a true class was not.
    pub log_loss: Fixed,
    /// Spiegelhalter: sum of `(y - s)(1 - 2s)`.
    pub spiegelhalter_num: Fixed,
    /// Spiegelhalter: sum of `(1 - 2s)^2 s (1 - s)`.
    pub spiegelhalter_var: Fixed,
    /// By entity, where predictions name theirs.
    #[serde(default)]
    pub entities: EntityBuckets<Answered>,
    /// Once more what is in fine bins beyond the reach of the edges. It is sent and stored beside all else; what an
    /// earlier release has counted has none.
    #[serde(skip)]
    pub tails: Tails<ReliabilityBin>,
    /// Multiclass: by class. Sent and stored as tails are.
    #[serde(skip)]
    pub classes: Classes,
    /// Of requests that several versions answer. They are sent and kept apart.
    #[serde(skip)]
    pub pairs: PairLosses,
}

impl Quality {
    /// An empty summary.
    #[must_use]
    pub fn new(plan: &QualityPlan) -> Self {
        let (width, n_fine) = match plan.task {
            Task::Regression => (Vec::new(), 0),
            Task::Binary | Task::Multiclass => (
                plan.width_bins.iter().map(|&bins| vec![ReliabilityBin::default(); usize::from(bins)]).collect(),
                plan.score_edges.n_bins(),
            ),
        };
        Self { width, fine: vec![ReliabilityBin::default(); n_fine], ..Self::default() }
    }

    /// Adds one labelled prediction. Of several classes the score is that of the answer, and how likely the true one
    /// was is not known where that was wrong.
    pub fn update(&mut self, plan: &QualityPlan, row: Labelled) {
        let held = row.score.clamp(LOG_LOSS_CLIP, 1.0 - LOG_LOSS_CLIP);
        let truth = if row.label > 0.5 { held } else { 1.0 - held };
        self.add(plan, row, (plan.task != Task::Multiclass).then_some(truth));
    }

    /// Adds one labelled prediction that gave this probability to the true class.
    pub fn update_knowing(&mut self, plan: &QualityPlan, row: Labelled, truth: f64) {
        self.add(plan, row, Some(truth.clamp(LOG_LOSS_CLIP, 1.0 - LOG_LOSS_CLIP)));
    }

    fn add(&mut self, plan: &QualityPlan, row: Labelled, truth: Option<f64>) {
        let error = row.score - row.label;
        self.n += 1;
        self.score.add(row.score);
        self.signed.add(error);
        self.squared.add(error * error);
        if let Some(bucket) = row.entity {
            let answered = entity::at_bucket(&mut self.entities, usize::from(bucket));
            let loss = loss_of(plan.task, error);
            answered.n += 1;
            answered.loss.add(loss);
            answered.loss_sq.add(loss * loss);
        }
        match plan.task {
            Task::Regression => {
                self.absolute.add(error.abs());
                self.sizes.update(error.abs());
            }
            Task::Binary | Task::Multiclass => self.update_classified(plan, row, truth),
        }
    }

    fn update_classified(&mut self, plan: &QualityPlan, row: Labelled, truth: Option<f64>) {
        let Labelled { score, label, predicted, .. } = row;
        let positive = label > 0.5;
        self.positive += u64::from(positive);
        for bins in &mut self.width {
            let bin = width_bin(score, bins.len());
            bins[bin].update(score, positive);
        }
        self.fine[plan.score_edges.bin(score)].update(score, positive);
        if let Some(reach) = plan.score_edges.reach() {
            let mut one = ReliabilityBin::default();
            one.update(score, positive);
            self.tails.add(reach, score, &one);
        }
        self.confusion[usize::from(!predicted) * 2 + usize::from(!positive)] += 1;
        match truth {
            Some(truth) => self.log_loss.add(-libm::log(truth)),
            None => self.log_loss.forget(),
        }
        let tilt = 1.0 - 2.0 * score;
        self.spiegelhalter_num.add((label - score) * tilt);
        self.spiegelhalter_var.add(tilt * tilt * score * (1.0 - score));
    }

    /// It as it is stored: what is beyond the reach of edges comes after all else, if there is any, and then classes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = postcard::to_stdvec(self).expect("a summary always encodes");
        match (self.tails.is_empty(), self.classes.is_empty()) {
            (true, true) => bytes,
            (false, true) => postcard::to_extend(&self.tails, bytes).expect("tails always encode"),
            (_, false) => postcard::to_extend(&(&self.tails, &self.classes), bytes).expect("classes always encode"),
        }
    }

    /// It as it was stored.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, postcard::Error> {
        let (quality, rest) = postcard::take_from_bytes::<Self>(bytes)?;
        let (tails, rest) = if rest.is_empty() { Default::default() } else { postcard::take_from_bytes(rest)? };
        let classes = if rest.is_empty() { Classes::default() } else { postcard::from_bytes(rest)? };
        Ok(Self { tails, classes, ..quality })
    }

    /// How many bytes it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let bins = self.width.iter().map(Vec::len).sum::<usize>() + self.fine.len();
        size_of::<Self>()
            + bins * size_of::<ReliabilityBin>()
            + size_of_val(&*self.entities)
            + self.sizes.bytes()
            + self.tails.bytes()
            + self.classes.bytes()
    }

    /// Adds another summary of the same plan.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.fine.len(), other.fine.len(), "quality of one plan merges");
        self.n += other.n;
        self.positive += other.positive;
        let width = self.width.iter_mut().flatten().zip(other.width.iter().flatten());
        width.chain(self.fine.iter_mut().zip(&other.fine)).for_each(|(mine, theirs)| mine.merge(theirs));
        self.confusion.iter_mut().zip(other.confusion).for_each(|(mine, theirs)| *mine += theirs);
        self.score.merge(other.score);
        self.squared.merge(other.squared);
        self.absolute.merge(other.absolute);
        self.sizes.merge(&other.sizes);
        self.signed.merge(other.signed);
        self.log_loss.merge(other.log_loss);
        self.spiegelhalter_num.merge(other.spiegelhalter_num);
        self.spiegelhalter_var.merge(other.spiegelhalter_var);
        entity::merge(&mut self.entities, &other.entities, Answered::merge);
        self.tails.merge(&other.tails);
        self.classes.merge(&other.classes);
        self.pairs.merge(&other.pairs);
    }
}

/// The loss that entities are compared by. A regression's is a logarithm, since its errors have any unit and heavy
/// tails.
fn loss_of(task: Task, error: f64) -> f64 {
    match task {
        Task::Binary | Task::Multiclass => error * error,
        Task::Regression => f64::from(magnitude::step(error.abs())) / 64.0,
    }
}

/// The equal-width bin of a probability: `min(floor(score * n_bins), n_bins - 1)`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "0 <= score <= 1"
)]
fn width_bin(score: f64, n_bins: usize) -> usize {
    ((score * n_bins as f64) as usize).min(n_bins - 1)
}

impl ReliabilityBin {
    fn update(&mut self, score: f64, positive: bool) {
        self.n += 1;
        self.positive += u64::from(positive);
        self.score.add(score);
    }

    /// Adds another bin.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.positive += other.positive;
        self.score.merge(other.score);
    }
}

impl CellCount for ReliabilityBin {
    fn n(&self) -> u64 {
        self.n
    }

    fn add(&mut self, more: &Self) {
        self.merge(more);
    }
}

impl Seal for ReliabilityBin {
    fn seal(&self, out: &mut Writer) {
        out.all([self.n, self.positive]);
        self.score.seal(out);
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        let [n, positive] = from.all();
        self.n += n;
        self.positive += positive;
        self.score.add_sealed(from);
    }
}

impl Seal for Quality {
    fn seal(&self, out: &mut Writer) {
        out.all([self.n, self.positive]);
        out.all(self.confusion);
        self.sums().into_iter().for_each(|sum| sum.seal(out));
        self.width.iter().for_each(|bins| seal_bins(bins, out));
        seal_bins(&self.fine, out);
        self.sizes.seal(out);
        entity::seal(&self.entities, out);
        self.tails.seal(out);
        self.classes.seal(out);
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        let [n, positive] = from.all();
        self.n += n;
        self.positive += positive;
        self.confusion.iter_mut().for_each(|count| *count += from.n());
        self.sums_mut().into_iter().for_each(|sum| sum.add_sealed(from));
        self.width.iter_mut().for_each(|bins| add_sealed_bins(bins, from));
        add_sealed_bins(&mut self.fine, from);
        self.sizes.add_sealed(from);
        entity::add_sealed(&mut self.entities, from);
        self.tails.add_sealed(from);
        self.classes.add_sealed(from);
    }
}

impl Quality {
    fn sums(&self) -> [Fixed; 7] {
        let Self { score, squared, absolute, signed, log_loss, spiegelhalter_num, spiegelhalter_var, .. } = *self;
        [score, squared, absolute, signed, log_loss, spiegelhalter_num, spiegelhalter_var]
    }

    fn sums_mut(&mut self) -> [&mut Fixed; 7] {
        let Self { score, squared, absolute, signed, log_loss, spiegelhalter_num, spiegelhalter_var, .. } = self;
        [score, squared, absolute, signed, log_loss, spiegelhalter_num, spiegelhalter_var]
    }
}

/// Bins that hold something: the distance from the one before and, in the lowest bits, what most of them hold.
fn seal_bins(bins: &[ReliabilityBin], out: &mut Writer) {
    let held = || (0_u64..).zip(bins).filter(|(_, bin)| **bin != ReliabilityBin::default());
    out.n(held().count() as u64);
    let mut next = 0;
    for (place, bin) in held() {
        let single = (bin.n == 1 && bin.positive <= 1).then_some(bin.positive);
        out.n((place - next) << 2 | single.unwrap_or(2));
        if single.is_none() {
            out.all([bin.n, bin.positive]);
        }
        bin.score.seal(out);
        next = place + 1;
    }
}

fn add_sealed_bins(bins: &mut [ReliabilityBin], from: &mut Reader<'_>) {
    let mut next = 0;
    for _ in 0..from.n() {
        let head = from.place();
        let place = next + (head >> 2);
        let [n, positive] = if head & 3 == 2 { from.all() } else { [1, head as u64 & 1] };
        let bin = &mut bins[place];
        bin.n += n;
        bin.positive += positive;
        bin.score.add_sealed(from);
        next = place + 1;
    }
}
