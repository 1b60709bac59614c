//! A version's predictions by thirds of its scores, so that it can be told whether labels come to all of them alike.
//!
//! Thirds are cut at the fine bins of the score column, by what predictions of the window say and before any label is
//! known. A bin belongs to the third that its middle row is in: scores of few distinct values make uneven thirds, and
//! one value alone makes one. An answer of two classes without a score counts as a score of 0 or 1.

use crate::metric::view::{ViewKey, Views};
use crate::plan::{ColumnRole, Plan, QualityPlan};
use crate::summary::{Histogram, Quality, Rates, Traffic};
use crate::verdict::judged::ScoreThird;

/// Failed requests that have an answer: with more of them than one in so many predictions, thirds say nothing, as
/// failures have no labels.
/// Origin: derived; all of them in one third are a spread of three in fifty at most.
const FAILED_MAX: u64 = 50;

/// Rows of each third, and how labels are told by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScoreThirds {
    rows: [u64; 3],
    by: SplitBy,
}

/// What predictions are split by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SplitBy {
    /// How many fine bins of the score are in the lowest third, and in the lowest two.
    Score([usize; 2]),
    /// The class that was answered.
    Answer,
}

impl ScoreThirds {
    /// Those of every version as a whole; none without labels, or where these cannot be told by what was answered.
    pub(crate) fn of_views(plan: &Plan, views: &Views<Traffic>) -> Vec<(ViewKey, Self)> {
        if !plan.quality.as_ref().is_some_and(QualityPlan::tells_classes) {
            return Vec::new();
        }
        let column = plan.columns.index_of(ColumnRole::Score);
        let whole = views.iter().filter(|(key, _)| key.segment.is_empty());
        let of = |(key, traffic): (&ViewKey, &Traffic)| {
            let thirds = match column {
                Some(column) => Self::of_scores(&traffic.numeric[column]),
                None => Self::of_answers(traffic.rates),
            };
            let answered: u64 = thirds.rows.iter().sum();
            let failed = answered.saturating_sub(traffic.rates.scored);
            (failed * FAILED_MAX <= answered).then(|| (key.clone(), thirds))
        };
        whole.filter_map(of).collect()
    }

    fn of_scores(scores: &Histogram) -> Self {
        let n = scores.n();
        let (mut below, mut ends, mut rows) = (0, [0; 2], [0; 3]);
        for (bin, &count) in scores.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            // The middle of the bin, of all rows, in sixths of a row.
            let middle = 3 * (2 * below + count);
            let third = if middle < 2 * n { 0 } else { 1 + usize::from(middle >= 4 * n) };
            ends.iter_mut().skip(third).for_each(|end| *end = bin + 1);
            rows[third] += count;
            below += count;
        }
        Self { rows, by: SplitBy::Score(ends) }
    }

    fn of_answers(Rates { predicted, positive, .. }: Rates) -> Self {
        Self { rows: [predicted.saturating_sub(positive), 0, positive], by: SplitBy::Answer }
    }

    /// With the labels that are there.
    pub(crate) fn labelled(&self, quality: Option<&Quality>) -> [ScoreThird; 3] {
        let labelled = quality.map_or([0; 3], |quality| self.by.labels(quality));
        std::array::from_fn(|third| {
            let labelled = labelled[third];
            ScoreThird { scored: self.rows[third].max(labelled), labelled }
        })
    }
}

impl SplitBy {
    /// Labels of each third.
    fn labels(self, quality: &Quality) -> [u64; 3] {
        match self {
            Self::Answer => {
                let [hits, alarms, misses, passes] = quality.confusion;
                [misses + passes, 0, hits + alarms]
            }
            Self::Score(ends) => {
                let [low, middle] = ends.map(|end| end.min(quality.fine.len()));
                let of = |bins: std::ops::Range<usize>| quality.fine[bins].iter().map(|bin| bin.n).sum();
                [of(0..low), of(low..middle), of(middle..quality.fine.len())]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::cut;
    use crate::summary::quality::ReliabilityBin;

    /// Thirds of scores, and of the labels of some of them.
    fn thirds(scores: &[f64], labelled: &[f64]) -> [ScoreThird; 3] {
        let cut = cut::equal_width(0.0, 1.0, 100);
        let mut histogram = Histogram::new(&cut);
        histogram.update(&cut, scores);
        let mut fine = vec![ReliabilityBin::default(); cut.edges.n_bins()];
        labelled.iter().for_each(|&score| fine[cut.edges.bin(score)].n += 1);
        ScoreThirds::of_scores(&histogram).labelled(Some(&Quality { fine, ..Quality::default() }))
    }

    fn counts(thirds: [ScoreThird; 3]) -> [[u64; 2]; 3] {
        thirds.map(|third| [third.scored, third.labelled])
    }

    #[test]
    fn every_row_and_every_label_is_in_the_third_of_its_score() {
        let scores: Vec<f64> = (0..90).map(|at| f64::from(at) / 90.0).collect();
        let labelled: Vec<f64> = scores.iter().copied().filter(|score| *score < 0.5).collect();
        let [low, middle, high] = counts(thirds(&scores, &labelled));
        assert_eq!(low[0] + middle[0] + high[0], 90);
        assert!([low, middle, high].iter().all(|third| (29..=31).contains(&third[0])), "{low:?} {middle:?} {high:?}");
        assert_eq!((low[1], low[1] + middle[1], high[1]), (low[0], 45, 0));
    }

    #[test]
    fn few_distinct_scores_make_uneven_thirds() {
        let scores = |values: [(f64, usize); 2]| -> Vec<f64> {
            values.into_iter().flat_map(|(value, n)| std::iter::repeat_n(value, n)).collect()
        };
        let two = scores([(0.1, 40), (0.9, 60)]);
        assert_eq!(counts(thirds(&two, &two[30..])), [[40, 10], [0, 0], [60, 60]]);
        let one = scores([(0.5, 40), (0.5, 60)]);
        assert_eq!(counts(thirds(&one, &one[30..])), [[0, 0], [100, 70], [0, 0]]);
        assert_eq!(counts(thirds(&[], &[])), [[0, 0]; 3]);
    }

    #[test]
    fn answers_without_scores_are_split_by_their_class() {
        let rates = Rates { predicted: 100, positive: 30, ..Rates::default() };
        let quality = Quality { n: 75, confusion: [20, 5, 10, 40], ..Quality::default() };
        assert_eq!(counts(ScoreThirds::of_answers(rates).labelled(Some(&quality))), [[70, 50], [0, 0], [30, 25]]);
    }
}
