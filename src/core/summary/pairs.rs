//! Pairs: what two versions made of the same requests, as a shadow that gets a copy of the traffic does.
//!
//! One request answered twice tells far more than two requests: what makes it hard or easy is the same for both.
//! All but `unpaired` stands with the version that is compared; the baseline version has only that.

use serde::{Deserialize, Serialize};

use crate::plan::Task;
use crate::summary::Fixed;

/// Bins of how much larger one version's loss is.
/// Origin: choice; twice as many as keep almost all evidence about means (`infer::balanced`).
const EXCESS_BINS: usize = 64;

/// Requests that two versions answered, before anything is known of the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pairs {
    /// Requests that came to both versions, however they were answered.
    pub paired: u64,
    /// Of those, failed by this version alone.
    pub failed: u64,
    /// Of those, failed by the baseline version alone.
    pub failed_baseline: u64,
    /// Of those, with answers of both that can be compared.
    pub compared: u64,
    /// Of those, answered otherwise.
    pub disagreed: u64,
    /// Requests with a score of both.
    pub scored: u64,
    /// Sum of this version's score less the baseline version's.
    pub difference: Fixed,
    /// Sum of its squares.
    pub squared: Fixed,
    /// Requests that the other version had not answered when its time was over.
    pub unpaired: u64,
    /// Further answers to a request that were not compared.
    pub repeated: u64,
}

impl Pairs {
    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts by how much the scores of a request differ.
    pub fn score(&mut self, difference: f64) {
        self.scored += 1;
        self.difference.add(difference);
        self.squared.add(difference * difference);
    }

    /// Adds other pairs.
    pub fn merge(&mut self, other: &Self) {
        self.paired += other.paired;
        self.failed += other.failed;
        self.failed_baseline += other.failed_baseline;
        self.compared += other.compared;
        self.disagreed += other.disagreed;
        self.scored += other.scored;
        self.difference.merge(other.difference);
        self.squared.merge(other.squared);
        self.unpaired += other.unpaired;
        self.repeated += other.repeated;
    }
}

/// How one of two versions answered a request whose truth is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedLoss {
    /// What the answer costs; see [`PairLosses`].
    pub loss: f64,
    /// Classes: whether it was wrong.
    pub wrong: bool,
}

/// Values between two edges: how many, and their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExcessBin {
    /// How many.
    pub n: u64,
    /// Their sum.
    pub sum: Fixed,
}

/// Requests that two versions answered, and whose truth is known.
///
/// The loss of an answer is the squared error of its score for two classes, 1 for a wrong and 0 for a right one where
/// there are classes only, and the absolute error of a quantity. One that failed to come costs 1; of quantities it is
/// farther off than any.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PairLosses {
    /// How many.
    pub n: u64,
    /// Of those, the ones whose losses are in the sums: of quantities those that both versions answered.
    pub summed: u64,
    /// Sums of losses, this version's first.
    pub losses: [Fixed; 2],
    /// Classes: both were right, this version alone was wrong, the baseline version alone, both. Quantities: how often
    /// this version was farther off than its margin allows, and how often the baseline version was, in the middle.
    pub wrong: [u64; 4],
    /// Scores of two classes: this version's loss less the margin times the baseline version's, between equally spaced
    /// edges from `-margin` to 1.
    pub excess: Vec<ExcessBin>,
}

impl PairLosses {
    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Counts a request; `None` stands for an answer that failed to come. The margin is how many times as large this
    /// version's loss may be; `scores` says whether losses are those of scores.
    pub fn add(&mut self, task: Task, scores: bool, margin: f64, answers: [Option<PairedLoss>; 2]) {
        self.n += 1;
        let of = |place: usize| answers[place].unwrap_or(PairedLoss { loss: 1.0, wrong: true });
        let [mine, baseline] = [of(0), of(1)];
        if task == Task::Regression {
            let errors = answers.map(|answer| answer.map_or(f64::INFINITY, |answer| answer.loss));
            self.wrong[1] += u64::from(errors[0] > margin * errors[1]);
            self.wrong[2] += u64::from(errors[1] > margin * errors[0]);
            if answers.iter().all(Option::is_some) {
                self.sum([mine.loss, baseline.loss]);
            }
            return;
        }
        self.sum([mine.loss, baseline.loss]);
        self.wrong[usize::from(mine.wrong) + 2 * usize::from(baseline.wrong)] += 1;
        if scores {
            self.excess.resize(EXCESS_BINS, ExcessBin::default());
            let excess = mine.loss - margin * baseline.loss;
            let bin = &mut self.excess[excess_bin(excess, margin)];
            bin.n += 1;
            bin.sum.add(excess);
        }
    }

    fn sum(&mut self, losses: [f64; 2]) {
        self.summed += 1;
        self.losses.iter_mut().zip(losses).for_each(|(sum, loss)| sum.add(loss));
    }

    /// The edges of a bin of [`excess`](Self::excess).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "few bins")]
    pub fn edges(bin: usize, margin: f64) -> (f64, f64) {
        let edge = |bin: usize| bin as f64 / EXCESS_BINS as f64 * (1.0 + margin) - margin;
        (edge(bin), edge(bin + 1))
    }

    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.summed += other.summed;
        self.losses.iter_mut().zip(other.losses).for_each(|(mine, theirs)| mine.merge(theirs));
        self.wrong.iter_mut().zip(other.wrong).for_each(|(mine, theirs)| *mine += theirs);
        if !other.excess.is_empty() {
            self.excess.resize(EXCESS_BINS, ExcessBin::default());
        }
        for (mine, theirs) in self.excess.iter_mut().zip(&other.excess) {
            mine.n += theirs.n;
            mine.sum.merge(theirs.sum);
        }
    }

    /// How many bytes it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.excess)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "-margin <= excess <= 1"
)]
fn excess_bin(excess: f64, margin: f64) -> usize {
    let place = (excess + margin) / (1.0 + margin) * EXCESS_BINS as f64;
    (place.max(0.0) as usize).min(EXCESS_BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as answers are that came")]
    fn answer(loss: f64, wrong: bool) -> Option<PairedLoss> {
        Some(PairedLoss { loss, wrong })
    }

    #[test]
    fn each_request_falls_into_the_bin_of_its_excess() {
        let margin = 1.05;
        for (mine, baseline) in [(0.0, 1.0), (1.0, 0.0), (0.3, 0.3), (0.04, 0.09), (1.0, 1.0), (0.0, 0.0)] {
            let mut losses = PairLosses::default();
            losses.add(Task::Binary, true, margin, [answer(mine, mine > 0.25), answer(baseline, baseline > 0.25)]);
            let (bin, found) = losses.excess.iter().enumerate().find(|(_, bin)| bin.n > 0).expect("counted");
            let (low, high) = PairLosses::edges(bin, margin);
            let excess = mine - margin * baseline;
            let rounding = 1e-12;
            assert!(low - rounding <= excess && excess <= high + rounding, "{excess} between {low} and {high}");
            assert!((found.sum.value() - excess).abs() < 1e-15);
        }
    }

    #[test]
    fn an_answer_that_failed_to_come_is_wrong() {
        let mut losses = PairLosses::default();
        losses.add(Task::Multiclass, false, 1.05, [None, answer(0.0, false)]);
        losses.add(Task::Multiclass, false, 1.05, [answer(1.0, true), None]);
        assert_eq!((losses.n, losses.wrong), (2, [0, 1, 0, 1]));
        let mut quantities = PairLosses::default();
        quantities.add(Task::Regression, false, 1.05, [None, answer(7.0, false)]);
        quantities.add(Task::Regression, false, 1.05, [answer(7.3, false), answer(7.0, false)]);
        quantities.add(Task::Regression, false, 1.05, [answer(7.0, false), answer(8.0, false)]);
        assert_eq!((quantities.n, quantities.wrong), (3, [0, 1, 1, 0]));
        assert_eq!(quantities.summed, 2);
        assert!((quantities.losses[0].value() - 14.3).abs() < 1e-12, "of answers only");
    }

    #[test]
    fn parts_add_up_to_the_whole_in_any_order() {
        let rows: Vec<_> = (0..40).map(|row| f64::from(row) / 40.0).collect();
        let count = |rows: &[f64]| {
            let mut losses = PairLosses::default();
            rows.iter().for_each(|&row| {
                losses.add(Task::Binary, true, 1.05, [answer(row, row > 0.25), answer(1.0 - row, row < 0.75)]);
            });
            losses
        };
        let (mut one, two) = (count(&rows[..13]), count(&rows[13..]));
        let mut other = two.clone();
        other.merge(&one);
        one.merge(&two);
        assert_eq!((&one, &one), (&count(&rows), &other));
        let (mut pairs, more) = (Pairs::default(), Pairs { paired: 3, unpaired: 1, ..Pairs::default() });
        assert!(pairs.is_empty());
        pairs.merge(&more);
        pairs.score(0.25);
        assert_eq!((pairs.paired, pairs.unpaired, pairs.scored), (3, 1, 1));
        assert!((pairs.difference.value() - 0.25).abs() < 1e-15 && (pairs.squared.value() - 0.0625).abs() < 1e-15);
    }
}
