//! Cramér's V: chi-square as an effect size that does not grow with the rows.
//!
//! `V = sqrt(X2 / (n + m))` for a table of two rows, `X2` as in [`super::chi_square`].
//!
//! **Source**: Cramér, Mathematical Methods of Statistics, 1946, section 21.9.
//! **Reads**: a column, as `psi` does, counts.
//! **Returns**: 0 to 1, up is worse. Not defined for a single column.
//! **Assumes**: nothing; biased up by about `sqrt((K - 1) / (n + m))`.
//! **Error**: none.
//! **Cost**: one pass over the cells.

use crate::metric::chi_square::statistic;
use crate::metric::distance::{Distance, Variant};
use crate::metric::spec::Spec;

/// See the head of this file.
pub(super) static CRAMERS_V: Distance = Distance {
    spec: Spec {
        name: "cramers_v",
        help: "Cramér's V: chi-square as an effect size that does not grow with the rows.",
        formula: "sqrt(chi_square / (n + m))",
        source: "Cramér 1946, section 21.9",
        ..Spec::DISTANCE
    },
    variants: &[Variant::own("", |paired| {
        let (m, n) = paired.totals();
        statistic(paired).map(|statistic| (statistic / (m + n)).sqrt()).into()
    })],
};
