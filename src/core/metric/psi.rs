//! Population stability index: how far the shares of quantile bins or categories moved.
//!
//! `PSI = sum over cells of (q - p) ln(q / p)`, `p` the baseline's share, `q` the judged side's, each
//! `(c + 1/2) / (n + k/2)` for a count `c` of `n` rows in `k` cells (Jeffreys), so that an empty cell costs no more
//! than chance makes likely.
//!
//! **Source**: Yurdakul and Naranjo, Statistical properties of the population stability index, J. Risk Model Validation
//! 14(4), 2020; Jeffreys, Theory of Probability, 1961.
//! **Reads**: a column; quantile bins of the reference, or of both sides together where neither is the reference, or
//! the categories either side saw. Missing values and NaN are left out.
//! **Returns**: nats, 0 up, up is worse; the p-value is that of no drift, `PSI / (1/n + 1/m) ~ chi-square(k - 1)`.
//! **Assumes**: independent rows; the p-value about five rows per cell.
//! **Error**: none, the cells' counts are exact; those of both sides end at the fine bins nearest to the quantiles, and
//! where all rows lie in one fine bin there is no number. `evidently` cuts numeric columns anew on both sides together:
//! its counts are then read off the fine bins, evenly filled, and bounds say between which numbers Evidently's own is.
//! **Cost**: one pass over the cells.

use crate::infer::chi_square_sf;
use crate::metric::distance::{Distance, Variant};
use crate::metric::paired::{BinningRule, Paired, ShareRange};
use crate::metric::reading::FormulaResult;
use crate::metric::spec::{Spec, UPWARDS};
use crate::plan::Compat;

/// See the head of this file.
pub(super) static PSI: Distance = Distance {
    spec: Spec {
        name: "psi",
        help: "Population stability index: how far the shares of bins or categories moved.",
        unit: "nats",
        range: UPWARDS,
        formula: "sum (q - p) ln(q / p)",
        source: "Yurdakul and Naranjo 2020",
        ..Spec::DISTANCE
    },
    variants: &[
        Variant::own("jeffreys", |paired| {
            let psi = psi(paired.shares_with(0.5));
            let (m, n) = paired.totals();
            FormulaResult::from(psi).with_p(chi_square_sf(psi / (1.0 / n + 1.0 / m), paired.dof()))
        }),
        Variant::of(Compat::Eps1e4, BinningRule::Quantiles, "raised_to_1e-4", |paired| raised(paired, 1e-4)),
        Variant::of(Compat::Eps1e6, BinningRule::Quantiles, "raised_to_1e-6", |paired| raised(paired, 1e-6)),
        Variant::of(Compat::Scouter, BinningRule::Quantiles, "plus_1e-10,scouter", |paired| {
            psi(paired.shares().map(|(p, q)| (p + 1e-10, q + 1e-10))).into()
        }),
        Variant::of(Compat::Fiddler, BinningRule::Quantiles, "plus_1_row,fiddler", |paired| {
            psi(paired.shares_with(1.0)).into()
        }),
        Variant::of(Compat::Evidently, BinningRule::Sturges, "filled,evidently", evidently),
    ],
};

/// What Evidently puts in place of an empty share.
const FILLER: f64 = 1e-4;

fn psi(shares: impl Iterator<Item = (f64, f64)>) -> f64 {
    shares.map(|(p, q)| (q - p) * libm::log(q / p)).sum()
}

fn raised(paired: &Paired, floor: f64) -> FormulaResult {
    psi(paired.shares().map(|(p, q)| (p.max(floor), q.max(floor)))).into()
}

/// Evidently puts 1e-4 in place of an empty share, or a millionth of the side's smallest share when that is not larger.
fn evidently(paired: &Paired) -> FormulaResult {
    let filler = |share: &dyn Fn((f64, f64)) -> f64| {
        let smallest = paired.shares().map(share).filter(|&share| share > 0.0).fold(1.0, f64::min);
        filler_for(smallest)
    };
    let fillers = (filler(&|(p, _)| p), filler(&|(_, q)| q));
    let filled_up = |share: f64, filler: f64| if share > 0.0 { share } else { filler };
    let index = psi(paired.shares().map(|(p, q)| (filled_up(p, fillers.0), filled_up(q, fillers.1))));
    let (m, n) = paired.totals();
    // A cell that may be empty may hold the filler; the least of those stands in for one row.
    let may_be = |(low, high): (f64, f64), rows: f64| {
        if low > 0.0 { (low, high) } else { (filler_for(1.0 / rows), high.max(FILLER)) }
    };
    let range = |[p, q]: ShareRange| [may_be(p, m), may_be(q, n)];
    let bounds = paired.bounds(range, |p, q| (q - p) * libm::log(q / p));
    bounds.map_or(index.into(), |(low, high)| FormulaResult::from(index).within(low.min(index), high.max(index)))
}

/// What stands in for an empty share where the smallest other one is this.
fn filler_for(smallest: f64) -> f64 {
    if smallest <= FILLER { smallest / 1e6 } else { FILLER }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conventions_of_other_tools_by_hand() {
        let paired = Paired::exact("categories", vec![8.0, 2.0], vec![10.0, 0.0]);
        let of = |compat| {
            let variant = PSI.variants.iter().find(|variant| variant.compat == Some(compat)).expect("is listed");
            (variant.of)(&paired)
        };
        let sum = |q: [f64; 2], p: [f64; 2]| -> f64 { (0..2).map(|i| (q[i] - p[i]) * (q[i] / p[i]).ln()).sum() };
        let close = |measured: FormulaResult, expected: f64| {
            let tolerance = 1e-12;
            assert!(measured.differs_from(expected) < tolerance, "{measured:?} is not {expected}");
        };
        close(of(Compat::Scouter), sum([1.0 + 1e-10, 1e-10], [0.8 + 1e-10, 0.2 + 1e-10]));
        close(of(Compat::Fiddler), sum([11.0 / 12.0, 1.0 / 12.0], [9.0 / 12.0, 3.0 / 12.0]));
        close(of(Compat::Evidently), sum([1.0, 1e-4], [0.8, 0.2]));
        close(of(Compat::Eps1e6), sum([1.0, 1e-6], [0.8, 0.2]));
    }
}
