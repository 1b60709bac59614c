//! Pearson's chi-square test that both sides come from one distribution.
//!
//! `X2 = sum over the 2 x K table of (o - e)^2 / e`, `e = row total * column total / total`; columns that both sides
//! left empty are dropped, there is no continuity correction, and `K - 1` degrees of freedom are left.
//!
//! **Source**: Pearson, Phil. Mag. 50, 1900; Agresti, Categorical Data Analysis, section 3.2.
//! **Reads**: a column, as `psi` does, counts.
//! **Returns**: 0 up, up is worse; it grows with the rows, judge its p-value or [`super::cramers_v`]. Not defined for a
//! single column.
//! **Assumes**: independent rows, about five expected rows per cell.
//! **Error**: none.
//! **Cost**: one pass over the cells.

use crate::infer::chi_square_sf;
use crate::metric::distance::{Distance, Variant};
use crate::metric::paired::Paired;
use crate::metric::reading::FormulaResult;
use crate::metric::spec::{Spec, UPWARDS};

/// See the head of this file.
pub(super) static CHI_SQUARE: Distance = Distance {
    spec: Spec {
        name: "chi_square",
        help: "Pearson's chi-square statistic of both sides as a two-row table, with its p-value.",
        range: UPWARDS,
        formula: "sum (o - e)^2 / e",
        source: "Pearson 1900",
        ..Spec::DISTANCE
    },
    variants: &[Variant::own("uncorrected", |paired| {
        let Some(statistic) = statistic(paired) else { return None.into() };
        FormulaResult::from(statistic).with_p(chi_square_sf(statistic, paired.dof()))
    })],
};

/// The statistic, `None` when fewer than two columns hold something.
pub(super) fn statistic(paired: &Paired) -> Option<f64> {
    let (m, n) = paired.totals();
    let cell = |observed: f64, expected: f64| (observed - expected) * (observed - expected) / expected;
    let column = |(b, c): (f64, f64)| {
        let both = b + c;
        cell(b, both * m / (m + n)) + cell(c, both * n / (m + n))
    };
    (paired.dof() > 0).then(|| paired.pairs().filter(|(b, c)| b + c > 0.0).map(column).sum())
}
