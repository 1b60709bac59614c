//! Total variation: the largest difference between the two sides over any set of bins or categories.
//!
//! `TV = sum over cells of |p - q| / 2`.
//!
//! **Source**: Gibbs and Su, On choosing and bounding probability metrics, Int. Stat. Rev. 70(3), 2002.
//! **Reads**: a column, as `psi` does, raw shares.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: one pass over the cells.

use crate::metric::distance::{Distance, Variant};
use crate::metric::spec::Spec;

/// See the head of this file.
pub(super) static TOTAL_VARIATION: Distance = Distance {
    spec: Spec {
        name: "total_variation",
        help: "Total variation: half the summed differences between the shares of bins or categories.",
        formula: "sum |p - q| / 2",
        source: "Gibbs and Su 2002",
        ..Spec::DISTANCE
    },
    variants: &[Variant::own("", |paired| (paired.shares().map(|(p, q)| (p - q).abs()).sum::<f64>() / 2.0).into())],
};
