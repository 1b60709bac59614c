//! Kullback-Leibler divergence of the judged side from the baseline.
//!
//! `KL = sum over cells of q ln(q / p)` on Jeffreys shares, as in [`super::psi`], which is this plus its mirror image.
//!
//! **Source**: Kullback and Leibler, On information and sufficiency, Ann. Math. Stat. 22, 1951.
//! **Reads**: a column, as `psi` does.
//! **Returns**: nats, 0 up, up is worse; not symmetric.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: one pass over the cells.

use crate::metric::distance::{Distance, Variant};
use crate::metric::spec::{Spec, UPWARDS};

/// See the head of this file.
pub(super) static KL_DIVERGENCE: Distance = Distance {
    spec: Spec {
        name: "kl_divergence",
        help: "Kullback-Leibler divergence of the judged side from the baseline.",
        symmetric: false,
        unit: "nats",
        range: UPWARDS,
        formula: "sum q ln(q / p)",
        source: "Kullback and Leibler 1951",
        ..Spec::DISTANCE
    },
    variants: &[Variant::own("jeffreys", |paired| {
        paired.shares_with(0.5).map(|(p, q)| q * libm::log(q / p)).sum::<f64>().into()
    })],
};
