//! Standardised shift of the mean: by how many standard deviations of the baseline the mean moved.
//!
//! `d = (mean(current) - mean(baseline)) / sd(baseline)`, sample standard deviation.
//!
//! **Source**: Glass, Primary, secondary, and meta-analysis of research, Educ. Researcher 5(10), 1976 (Glass's delta).
//! **Reads**: a numeric column's exact sums.
//! **Returns**: standard deviations, any sign, away from 0 is worse. For a constant baseline 0 when the mean stayed,
//! else not defined.
//! **Assumes**: two rows per side.
//! **Error**: as [`super::mean`].
//! **Cost**: constant.

use crate::metric::contrast::HistogramContrast;
use crate::metric::mean::mean;
use crate::metric::spec::{LINE, Moment, Reads, Spec, WorseDirection};
use crate::metric::std_dev::std_dev;
use crate::summary::Histogram;
use crate::summary::histogram::Cut;

/// See the head of this file.
pub(super) static MEAN_SHIFT: HistogramContrast = HistogramContrast {
    spec: Spec {
        name: "mean_shift",
        help: "Shift of the mean in standard deviations of the baseline.",
        reads: Reads::Numeric,
        symmetric: false,
        unit: "sd of baseline",
        range: LINE,
        worse: WorseDirection::Away,
        n_min: 2,
        formula: "(mean(current) - mean(baseline)) / sd(baseline)",
        source: "Glass 1976",
        moment: Some(Moment::Location),
        ..Spec::DISTANCE
    },
    variants: &[(None, "sample_sd", |current, baseline, cut| shift(current, baseline, cut).into())],
};

fn shift(current: &Histogram, baseline: &Histogram, cut: &Cut) -> Option<f64> {
    let moved = mean(current, cut)? - mean(baseline, cut)?;
    let sd = std_dev(baseline, cut)?;
    if sd > 0.0 { Some(moved / sd) } else { (moved == 0.0).then_some(0.0) }
}
