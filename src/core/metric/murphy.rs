//! Murphy's decomposition of the Brier score: `brier = reliability - resolution + uncertainty` (and what bins blur).
//!
//! With bins of scores and `y0` the base rate: `reliability = sum n_b / n (mean s - mean y)^2`,
//! `resolution = sum n_b / n (mean y - y0)^2`, `uncertainty = y0 (1 - y0)`.
//!
//! **Source**: Murphy, A new vector partition of the probability score, J. Appl. Meteorol. 12, 1973.
//! **Reads**: labelled predictions of a classification task, bins of equal width.
//! **Returns**: 0 to 1, 0 to 1/4 and 0 to 1/4; worse is reliability up, resolution down; uncertainty belongs to the
//! world.
//! **Assumes**: the three add up to the Brier score only as far as scores in one bin are equal.
//! **Error**: none.
//! **Cost**: one pass over the bins.

use crate::metric::binned::{Binned, FilledBin};
use crate::metric::spec::{MetricSubject, Spec, WorseDirection};

const PART: Spec = Spec { subject: MetricSubject::Calibration, source: "Murphy 1973", ..Spec::CALIBRATION };

/// What miscalibration costs.
pub(super) static RELIABILITY: Binned = Binned {
    spec: Spec {
        name: "brier_reliability",
        help: "Part of the Brier score that miscalibration costs.",
        formula: "sum n_b / n (mean s - mean y)^2",
        ..PART
    },
    equal_width: true,
    equal_mass: false,
    bounds: None,
    of: |bins| Some(weighed(bins, |bin| (bin.score - bin.label) * (bin.score - bin.label))),
};

/// What telling cases apart earns.
pub(super) static RESOLUTION: Binned = Binned {
    spec: Spec {
        name: "brier_resolution",
        help: "Part of the Brier score that telling cases apart earns.",
        range: (0.0, 0.25),
        worse: WorseDirection::Down,
        formula: "sum n_b / n (mean y - y0)^2",
        ..PART
    },
    equal_width: true,
    equal_mass: false,
    bounds: None,
    of: |bins| {
        let base = base_rate(bins);
        Some(weighed(bins, |bin| (bin.label - base) * (bin.label - base)))
    },
};

/// What the world costs any model.
pub(super) static UNCERTAINTY: Binned = Binned {
    spec: Spec {
        name: "brier_uncertainty",
        help: "Part of the Brier score that the world costs any model.",
        range: (0.0, 0.25),
        worse: WorseDirection::Neither,
        formula: "y0 (1 - y0)",
        ..PART
    },
    equal_width: true,
    equal_mass: false,
    bounds: None,
    of: |bins| Some(base_rate(bins) * (1.0 - base_rate(bins))),
};

fn base_rate(bins: &[FilledBin]) -> f64 {
    weighed(bins, |bin| bin.label)
}

fn weighed(bins: &[FilledBin], term: impl Fn(&FilledBin) -> f64) -> f64 {
    bins.iter().map(|bin| bin.weight * term(bin)).sum()
}
