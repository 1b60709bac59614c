//! Ratio of the standard deviations: how much wider the judged side spreads.
//!
//! `r = sd(current) / sd(baseline)`, sample standard deviations.
//!
//! **Source**: Fisher, Statistical Methods for Research Workers, 1925, section 41 (variance ratio, here its root).
//! **Reads**: a numeric column's exact sums.
//! **Returns**: 0 up, 1 is no change. Not defined for a constant baseline.
//! **Assumes**: two rows per side.
//! **Error**: as [`super::mean`].
//! **Cost**: constant.

use crate::metric::contrast::HistogramContrast;
use crate::metric::spec::{Moment, Reads, Spec, UPWARDS, WorseDirection};
use crate::metric::std_dev::std_dev;

/// See the head of this file.
pub(super) static STD_RATIO: HistogramContrast = HistogramContrast {
    spec: Spec {
        name: "std_ratio",
        help: "Standard deviation in units of the baseline's; 1 is no change.",
        reads: Reads::Numeric,
        symmetric: false,
        unit: "ratio",
        range: UPWARDS,
        worse: WorseDirection::Neither,
        n_min: 2,
        formula: "sd(current) / sd(baseline)",
        source: "Fisher 1925, section 41",
        moment: Some(Moment::Spread),
        ..Spec::DISTANCE
    },
    variants: &[(None, "sample_sd", |current, baseline, cut| {
        let scale = std_dev(baseline, cut).filter(|&sd| sd > 0.0);
        std_dev(current, cut).zip(scale).map(|(sd, scale)| sd / scale).into()
    })],
};
