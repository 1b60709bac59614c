//! Smallest and largest value of a numeric column.
//!
//! **Source**: the definition.
//! **Reads**: a numeric column; missing values, NaN and infinite ones are left out.
//! **Returns**: the column's unit; no direction is worse by itself.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::OneSided;
use crate::metric::spec::{COLUMN_UNIT, LINE, Reads, Spec, WorseDirection};
use crate::summary::Histogram;

const EXTREME: Spec = Spec {
    reads: Reads::Numeric,
    unit: COLUMN_UNIT,
    range: LINE,
    worse: WorseDirection::Neither,
    source: "definition",
    ..Spec::RATE
};

/// The smallest.
pub(super) static MIN: OneSided<Histogram> = OneSided {
    spec: Spec { name: "min", help: "Smallest value of the column.", formula: "min x", ..EXTREME },
    convention: "exact",
    n: Histogram::n,
    of: |histogram, _| histogram.min.into(),
};

/// The largest.
pub(super) static MAX: OneSided<Histogram> = OneSided {
    spec: Spec { name: "max", help: "Largest value of the column.", formula: "max x", ..EXTREME },
    convention: "exact",
    n: Histogram::n,
    of: |histogram, _| histogram.max.into(),
};
