//! Welch's t: the difference of the means in units of its own standard error.
//!
//! `t = (mean(current) - mean(baseline)) / sqrt(var(current) / n + var(baseline) / m)`, sample variances.
//!
//! **Source**: Welch, The generalization of Student's problem when several different population variances are involved,
//! Biometrika 34, 1947; the degrees of freedom are those of Satterthwaite 1946.
//! **Reads**: a numeric column's exact sums.
//! **Returns**: standard errors, any sign, away from 0 is worse; the p-value is two-sided. For two constants 0 when
//! they are equal, else not defined.
//! **Assumes**: independent rows, two per side; means that are about normal.
//! **Error**: as [`super::mean`].
//! **Cost**: constant.

use crate::infer::welch::{Moments, welch};
use crate::metric::contrast::HistogramContrast;
use crate::metric::mean::mean;
use crate::metric::reading::FormulaResult;
use crate::metric::spec::{LINE, Reads, Spec, WorseDirection};
use crate::metric::std_dev::std_dev;
use crate::summary::Histogram;
use crate::summary::histogram::Cut;

/// See the head of this file.
pub(super) static WELCH_T: HistogramContrast = HistogramContrast {
    spec: Spec {
        name: "welch_t",
        help: "Difference of the means in units of its standard error.",
        reads: Reads::Numeric,
        symmetric: false,
        unit: "standard errors",
        range: LINE,
        worse: WorseDirection::Away,
        n_min: 2,
        formula: "(mean(current) - mean(baseline)) / sqrt(var(current) / n + var(baseline) / m)",
        source: "Welch 1947",
        ..Spec::DISTANCE
    },
    variants: &[(None, "unequal_variances", |current, baseline, cut| {
        let sides = sample(current, cut).zip(sample(baseline, cut));
        let test = sides.and_then(|(current, baseline)| welch(current, baseline));
        test.map_or(None.into(), |(t, p)| FormulaResult::from(t).with_p(p))
    })],
};

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn sample(side: &Histogram, cut: &Cut) -> Option<Moments> {
    Some(Moments { n: side.n() as f64, mean: mean(side, cut)?, std_dev: std_dev(side, cut)? })
}
