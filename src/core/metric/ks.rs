//! Two-sample Kolmogorov-Smirnov distance: the largest gap between the two distribution functions.
//!
//! `D = sup over x of |F(x) - G(x)|`. The value is the largest gap at a fine edge, and the true `D` lies between it and
//! `max over bins of max(F(b) - G(a), G(b) - F(a))` for bins `(a, b]`; a bin that holds a single number adds nothing to
//! that.
//!
//! **Source**: Smirnov, Table for estimating the goodness of fit, Ann. Math. Stat. 19, 1948 (limit law).
//! **Reads**: a numeric column, all fine bins.
//! **Returns**: 0 to 1, up is worse; the p-value is the limit law at `sqrt(n m / (n + m)) D` of the value, so it is
//! never smaller than the exact D's.
//! **Assumes**: independent rows; with ties the p-value is conservative.
//! **Error**: within the bounds; with a thousand bins at quantiles of the reference about 0.001 above the value, and
//! about 0.01 at most where values lie beyond the reference's.
//! **Cost**: one pass over the fine bins, in integers.

use crate::infer::kolmogorov_sf;
use crate::metric::contrast::HistogramContrast;
use crate::metric::reading::FormulaResult;
use crate::metric::spec::{Reads, Spec};
use crate::summary::histogram::Cut;
use crate::summary::{Histogram, Refined};

/// See the head of this file.
pub(super) static KS: HistogramContrast = HistogramContrast {
    spec: Spec {
        name: "ks",
        help: "Kolmogorov-Smirnov distance: the largest gap between the distribution functions.",
        reads: Reads::Numeric,
        formula: "max |F(x) - G(x)|",
        source: "Smirnov 1948",
        ..Spec::DISTANCE
    },
    variants: &[(None, "fine_bins", ks)],
};

#[expect(clippy::cast_precision_loss, reason = "rounded once, at the end")]
fn ks(current: &Histogram, baseline: &Histogram, cut: &Cut) -> FormulaResult {
    let (n, m) = (i128::from(current.n()), i128::from(baseline.n()));
    let Refined { edges, counts: [current, baseline] } = Refined::of(cut, [current, baseline]);
    // Both functions times n m, so that they are integers.
    let (mut f, mut g, mut low, mut high) = (0, 0, 0, 0);
    for (bin, (&c, &b)) in current.iter().zip(&*baseline).enumerate() {
        let (f_before, g_before) = (f, g);
        f += i128::from(c) * m;
        g += i128::from(b) * n;
        low = low.max((f - g).abs());
        let inside = if is_one_number(&edges, bin) { 0 } else { (f - g_before).max(g - f_before) };
        high = high.max(inside).max(low);
    }
    let share = |gap: i128| gap as f64 / (n * m) as f64;
    let pooled = (n as f64 * m as f64 / (n + m) as f64).sqrt();
    FormulaResult::from(share(low))
        .within(share(low), share(high))
        .with_p(kolmogorov_sf(pooled * share(low)))
        .over(current.len())
}

/// Whether a bin's edges are neighbouring floats, so that all its rows are equal.
pub fn is_one_number(edges: &[f64], bin: usize) -> bool {
    bin > 0 && edges.get(bin).is_some_and(|&upper| edges[bin - 1].next_up() >= upper)
}
