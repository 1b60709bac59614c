//! L-infinity distance: the largest change of one bin's or one category's share.
//!
//! `L = max over cells of |p - q|`. `NannyML` and `TensorFlow` Data Validation compute the same for categorical
//! columns.
//!
//! **Source**: Breck et al., Data validation for machine learning, `MLSys` 2019, section 4.
//! **Reads**: a column, as `psi` does, raw shares.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: one pass over the cells.

use crate::metric::distance::{Distance, Variant};
use crate::metric::spec::Spec;

/// See the head of this file.
pub(super) static L_INFINITY: Distance = Distance {
    spec: Spec {
        name: "l_infinity",
        help: "The largest change of the share of one bin or category.",
        formula: "max |p - q|",
        source: "Breck et al. 2019, section 4",
        ..Spec::DISTANCE
    },
    variants: &[Variant::own("", |paired| paired.shares().map(|(p, q)| (p - q).abs()).fold(0.0, f64::max).into())],
};
