//! Hellinger distance between the shares of bins or categories.
//!
//! `H = sqrt(sum over cells of (sqrt p - sqrt q)^2 / 2)`, which is `sqrt(1 - sum sqrt(p q))` without its cancellation
//! near 0.
//!
//! **Source**: Hellinger, Neue Begründung der Theorie quadratischer Formen, J. reine angew. Math. 136, 1909.
//! **Reads**: a column, as `psi` does, raw shares.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: nothing.
//! **Error**: none. `nannyml` is the same over its own bins.
//! **Cost**: one pass over the cells.

use crate::metric::distance::{Distance, Variant};
use crate::metric::paired::{BinningRule, Paired};
use crate::metric::reading::FormulaResult;
use crate::metric::spec::Spec;
use crate::plan::Compat;

/// See the head of this file.
pub(super) static HELLINGER: Distance = Distance {
    spec: Spec {
        name: "hellinger",
        help: "Hellinger distance between the shares of bins or categories.",
        formula: "sqrt(sum (sqrt(p) - sqrt(q))^2 / 2)",
        source: "Hellinger 1909",
        ..Spec::DISTANCE
    },
    variants: &[Variant::own("", hellinger), Variant::of(Compat::Nannyml, BinningRule::Doane, "nannyml", hellinger)],
};

fn hellinger(paired: &Paired) -> FormulaResult {
    let squares = paired.shares().map(|(p, q)| (p.sqrt() - q.sqrt()) * (p.sqrt() - q.sqrt()));
    (squares.sum::<f64>() / 2.0).sqrt().into()
}
