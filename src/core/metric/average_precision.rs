//! Average precision: the mean of the precision over all levels of recall, for classes of which one is rare.
//!
//! `AP = sum over scores, from the highest down, of (recall gained) * precision down to there`. Predictions in one fine
//! bin count as equal scores, and the bounds are what their order could change. Not defined with one class.
//!
//! **Source**: Davis and Goadrich, The relationship between precision-recall and ROC curves, ICML 2006.
//! **Reads**: labelled predictions of a classification task, fine bins of the score; for several classes, confidence
//! against whether the answer was right.
//! **Returns**: 0 to 1, down is worse; a score that says nothing is at the base rate.
//! **Assumes**: nothing.
//! **Error**: within the bounds.
//! **Cost**: one pass over the fine bins.

use crate::metric::ks::is_one_number;
use crate::metric::one_sided::OneSided;
use crate::metric::reading::FormulaResult;
use crate::metric::spec::{Spec, WorseDirection};
use crate::plan::QualityPlan;
use crate::summary::{Quality, Refined};

/// See the head of this file.
pub(super) static AVERAGE_PRECISION: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "average_precision",
        help: "Mean precision over all levels of recall.",
        worse: WorseDirection::Down,
        formula: "sum (recall gained) precision",
        source: "Davis and Goadrich 2006",
        ..Spec::QUALITY
    },
    convention: "fine_bins",
    n: |quality| quality.n,
    of: |quality, context| context.quality.map_or(None.into(), |plan| average_precision(quality, plan)),
};

/// Of `k` positives and `l` negatives in a bin, none can be reached at a precision above that of all positives first,
/// or below that of the first positive after all negatives.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn average_precision(quality: &Quality, plan: &QualityPlan) -> FormulaResult {
    if quality.positive == 0 || quality.positive == quality.n {
        return None.into();
    }
    let Refined { edges, counts: [bins] } = Refined::of_labels(plan, quality);
    let (mut above, mut positives_above) = (0, 0);
    let [mut value, mut low, mut high] = [0.0; 3];
    for (bin, counts) in bins.iter().enumerate().rev().filter(|(_, counts)| counts.n > 0) {
        let (n, positive) = (above + counts.n, positives_above + counts.positive);
        let gained = counts.positive as f64 / quality.positive as f64;
        let precision = positive as f64 / n as f64;
        let is_tied = counts.positive == 0 || is_one_number(&edges, bin);
        let (least, most) = if is_tied {
            (precision, precision)
        } else {
            let negative = counts.n - counts.positive;
            let first = (positives_above + 1) as f64 / (above + negative + 1) as f64;
            (first.min(precision), positive as f64 / (n - negative) as f64)
        };
        value += gained * precision;
        low += gained * least;
        high += gained * most;
        (above, positives_above) = (n, positive);
    }
    FormulaResult::from(value).within(low, high).over(bins.len())
}
