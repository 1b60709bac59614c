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

use crate::infer::normal::normal_sf;
use crate::metric::contrast::Contrast;
use crate::metric::ks::is_one_number;
use crate::metric::reading::Measured;
use crate::metric::spec::{Reads, Spec, Worse};
use crate::summary::histogram::Cut;
use crate::summary::{Histogram, Refined};

/// See the head of this file.
pub(super) static CLIFFS_DELTA: Contrast = Contrast {
    spec: Spec {
        name: "cliffs_delta",
        help: "How much more often a row exceeds one of the baseline than the other way round.",
        reads: Reads::Numeric,
        symmetric: false,
        range: (-1.0, 1.0),
        worse: Worse::Away,
        formula: "P(current > baseline) - P(current < baseline)",
        source: "Cliff 1993",
        ..Spec::DISTANCE
    },
    variants: &[(None, "fine_bins", delta)],
};

#[expect(clippy::cast_precision_loss, reason = "rounded once, at the end")]
fn delta(current: &Histogram, baseline: &Histogram, cut: &Cut) -> Measured {
    let (n, m) = (i128::from(current.n()), i128::from(baseline.n()));
    let Refined { edges, counts: [current, baseline] } = Refined::of(cut, [current, baseline]);
    let (mut baseline_below, mut current_below, mut ahead, mut open, mut ties) = (0, 0, 0, 0, 0);
    for (bin, (&c, &b)) in current.iter().zip(&*baseline).enumerate() {
        let (c, b) = (i128::from(c), i128::from(b));
        ahead += c * baseline_below - b * current_below;
        open += if is_one_number(&edges, bin) { 0 } else { c * b };
        ties += (c + b).pow(3) - (c + b);
        baseline_below += b;
        current_below += c;
    }
    let of_pairs = |pairs: i128| pairs as f64 / (n * m) as f64;
    let total = (n + m) as f64;
    let variance = (n * m) as f64 / 12.0 * (total + 1.0 - ties as f64 / (total * (total - 1.0)));
    let gap = ahead.abs() as f64 / 2.0;
    let p: f64 = if variance > 0.0 { 2.0 * normal_sf((gap - 0.5) / variance.sqrt()) } else { 1.0 };
    Measured::from(of_pairs(ahead))
        .within(of_pairs(ahead - open), of_pairs(ahead + open))
        .with_p(p.min(1.0))
        .over(current.len())
}
