//! Area under the ROC curve: the chance that a positive case scores above a negative one.
//!
//! `AUC = (pairs with the positive above + half the ties) / (positives * negatives)`; two cases in one fine bin count
//! as a tie, and the bounds are what their order could change. Not defined with one class.
//!
//! **Source**: Hanley and `McNeil`, The meaning and use of the area under a ROC curve, Radiology 143, 1982.
//! **Reads**: labelled predictions of a classification task, fine bins of the score; for several classes, confidence
//! against whether the answer was right.
//! **Returns**: 0 to 1, down is worse.
//! **Assumes**: nothing.
//! **Error**: within the bounds.
//! **Cost**: one pass over the fine bins, in integers.

use crate::metric::ks::is_one_number;
use crate::metric::one_sided::OneSided;
use crate::metric::reading::FormulaResult;
use crate::metric::spec::{Spec, Visibility, WorseDirection};
use crate::plan::QualityPlan;
use crate::summary::{Quality, Refined};

/// See the head of this file.
pub(super) static AUC: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "auc",
        help: "Area under the ROC curve: the chance that a positive case scores above a negative one.",
        worse: WorseDirection::Down,
        formula: "(pairs won + ties / 2) / pairs",
        source: "Hanley and McNeil 1982",
        shown: &[Visibility::Figures],
        ..Spec::QUALITY
    },
    convention: "fine_bins",
    n: |quality| quality.n,
    of: |quality, context| context.quality.map_or(None.into(), |plan| auc(quality, plan)),
};

#[expect(clippy::cast_precision_loss, reason = "rounded once, at the end")]
fn auc(quality: &Quality, plan: &QualityPlan) -> FormulaResult {
    let positives = u128::from(quality.positive);
    let pairs = positives * (u128::from(quality.n) - positives);
    if pairs == 0 {
        return None.into();
    }
    let Refined { edges, counts: [bins] } = Refined::of_labels(plan, quality);
    // Twice the pairs, so that half a tie is an integer; pairs in one bin that may not be ties are open.
    let (mut negatives_below, mut won, mut open) = (0, 0, 0);
    for (bin, counts) in bins.iter().enumerate() {
        let positive = u128::from(counts.positive);
        let negative = u128::from(counts.n) - positive;
        won += positive * (2 * negatives_below + negative);
        open += if is_one_number(&edges, bin) { 0 } else { positive * negative };
        negatives_below += negative;
    }
    let share = |twice: u128| twice as f64 / (2 * pairs) as f64;
    FormulaResult::from(share(won)).within(share(won - open), share(won + open)).over(bins.len())
}
