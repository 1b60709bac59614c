//! Jensen-Shannon divergence, and the distance that is its square root.
//!
//! `JS = sum over cells of (p log(p / m) + q log(q / m)) / 2`, `m = (p + q) / 2`, `0 log 0 = 0`, on raw shares: an
//! empty cell is no trouble, so nothing is smoothed. Base 2, so that disjoint sides are at 1.
//!
//! **Source**: Lin, Divergence measures based on the Shannon entropy, IEEE Trans. Inf. Theory 37(1), 1991; Endres and
//! Schindelin, A new metric for probability distributions, 2003 (the root is a metric).
//! **Reads**: a column, as `psi` does.
//! **Returns**: bits, 0 to 1, up is worse.
//! **Assumes**: nothing; small samples are biased up by about `(k - 1)(1/n + 1/m) / (8 ln 2)`.
//! **Error**: none. `evidently` (distance, base e) reads numeric bins off the fine bins, and bounds say between which
//! numbers Evidently's own is; `nannyml` (distance, base 2)
//! has its own bins in the profile, and needs no extra bin for values outside them: where the baseline has nothing, any
//! grouping of cells gives the same sum. `tfdv` cuts each side on its own, so only its categorical columns are
//! reproduced.
//! **Cost**: one pass over the cells.

use std::f64::consts::LN_2;

use crate::metric::distance::{Distance, Variant};
use crate::metric::paired::{BinningRule, Paired};
use crate::metric::reading::FormulaResult;
use crate::metric::spec::Spec;
use crate::plan::Compat;

/// The divergence.
pub(super) static JS_DIVERGENCE: Distance = Distance {
    spec: Spec {
        name: "js_divergence",
        help: "Jensen-Shannon divergence between the shares of bins or categories.",
        unit: "bits",
        formula: "sum (p log2(p / m) + q log2(q / m)) / 2, m = (p + q) / 2",
        source: "Lin 1991",
        ..Spec::DISTANCE
    },
    variants: &[
        Variant::own("base_2", |paired| (nats(paired) / LN_2).into()),
        Variant::of(Compat::Tfdv, BinningRule::Categories, "base_2,tfdv", |paired| (nats(paired) / LN_2).into()),
    ],
};

/// The distance.
pub(super) static JS_DISTANCE: Distance = Distance {
    spec: Spec {
        name: "js_distance",
        help: "Jensen-Shannon distance: the square root of the divergence.",
        formula: "sqrt(js_divergence)",
        source: "Endres and Schindelin 2003",
        ..Spec::DISTANCE
    },
    variants: &[
        Variant::own("base_2", |paired| (nats(paired) / LN_2).sqrt().into()),
        Variant::of(Compat::Nannyml, BinningRule::Doane, "base_2,nannyml", |paired| {
            (nats(paired) / LN_2).sqrt().into()
        }),
        Variant::of(Compat::Evidently, BinningRule::Sturges, "base_e,evidently", evidently),
    ],
};

/// The divergence in nats.
fn nats(paired: &Paired) -> f64 {
    (paired.shares().map(|(p, q)| nats_of_cell(p, q)).sum::<f64>()).max(0.0)
}

/// What one cell adds to it.
fn nats_of_cell(p: f64, q: f64) -> f64 {
    let middle = f64::midpoint(p, q);
    let term = |share: f64| if share > 0.0 { share * libm::log(share / middle) } else { 0.0 };
    f64::midpoint(term(p), term(q))
}

fn evidently(paired: &Paired) -> FormulaResult {
    let distance = FormulaResult::from(nats(paired).sqrt());
    let bounds = paired.bounds(|range| range, nats_of_cell);
    bounds.map_or(distance, |(low, high)| distance.within(low.max(0.0).sqrt(), high.max(0.0).sqrt()))
}
