//! Cliff's delta: how much more often a row of the judged side exceeds one of the baseline than the other way round.
//!
//! `delta = P(current > baseline) - P(current < baseline)`; rows in one fine bin count as equal, and the bounds are
//! what their order could change.
//!
//! **Source**: Cliff, Dominance statistics, Psychological Bulletin 114(3), 1993; Mann and Whitney, Ann. Math. Stat.
//! 18, 1947 (the test of 0, `U = (1 + delta) n m / 2`); Lehmann, Nonparametrics, 1975, section 1.4 (its variance with
//! ties).
//! **Reads**: a numeric column, all fine bins.
//! **Returns**: -1 to 1, away from 0 is worse; the p-value is two-sided, by the normal approximation with a correction
//! for continuity.
//! **Assumes**: independent rows; the p-value some ten rows per side.
//! **Error**: within the bounds; the p-value takes rows of one bin for ties, which makes it a little smaller.
//! **Cost**: one pass over the fine bins, in integers.

use crate::infer::mann_whitney::mann_whitney;
use crate::metric::contrast::HistogramContrast;
use crate::metric::ks::is_one_number;
use crate::metric::reading::FormulaResult;
use crate::metric::spec::{Reads, Spec, WorseDirection};
use crate::summary::histogram::Cut;
use crate::summary::{Histogram, Refined};

/// See the head of this file.
pub(super) static CLIFFS_DELTA: HistogramContrast = HistogramContrast {
    spec: Spec {
        name: "cliffs_delta",
        help: "How much more often a row exceeds one of the baseline than the other way round.",
        reads: Reads::Numeric,
        symmetric: false,
        range: (-1.0, 1.0),
        worse: WorseDirection::Away,
        formula: "P(current > baseline) - P(current < baseline)",
        source: "Cliff 1993",
        ..Spec::DISTANCE
    },
    variants: &[(None, "fine_bins", delta)],
};

#[expect(clippy::cast_precision_loss, reason = "rounded once, at the end")]
fn delta(current: &Histogram, baseline: &Histogram, cut: &Cut) -> FormulaResult {
    let Refined { edges, counts: [current, baseline] } = Refined::of(cut, [current, baseline]);
    let bins = current.iter().zip(&*baseline).map(|(&current, &baseline)| [current, baseline]);
    let Some(test) = mann_whitney(bins.clone()) else { return None.into() };
    let of_order = |(bin, [current, baseline]): (usize, [u64; 2])| {
        if is_one_number(&edges, bin) { 0 } else { i128::from(current) * i128::from(baseline) }
    };
    let open: i128 = bins.enumerate().map(of_order).sum();
    let of_pairs = |ahead: i128| ahead as f64 / test.pairs as f64;
    FormulaResult::from(of_pairs(test.ahead))
        .within(of_pairs(test.ahead - open), of_pairs(test.ahead + open))
        .with_p(test.p)
        .over(current.len())
}
