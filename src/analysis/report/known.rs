//! The tests that people know, of no difference at all, beside what a column's verdict rests on.
//!
//! They are over the rows themselves where both sides have at most [`ROWS_MAX`], which are kept while a column is
//! counted; else they are those of its fine bins, as windows have them.

use super::column::ALPHA;
use super::model::{Figure, KnownTest, Quantile, RatesApart};
use crate::infer::exact_ks::{CELLS_MAX, kolmogorov_smirnov};
use crate::infer::fisher::fisher;
use crate::infer::linear_quantile::linear_quantile;
use crate::infer::mann_whitney::mann_whitney;
use crate::infer::newcombe::newcombe;
use crate::infer::pooled_z::pooled_z;
use crate::infer::runs::runs;
use crate::infer::two_sample::Arm;
use crate::infer::welch::{Moments, welch};

/// Rows of a side that are kept.
/// Origin: choice; sorting them takes some ten milliseconds a column.
pub(super) const ROWS_MAX: u64 = 100_000;
/// Steps that exact p-values may take over all columns.
/// Origin: choice; about a second.
const STEPS_MAX: u64 = 500_000_000;
/// Quantiles that are shown.
const QUANTILES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];

/// What the rows of a column say; reference before current where there are two.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfRows {
    pub(crate) tests: Vec<KnownTest>,
    pub(crate) quantiles: [Vec<Quantile>; 2],
}

impl OfRows {
    /// Of the values of both sides, one of so many columns.
    pub(crate) fn of(mut reference: Vec<f64>, mut current: Vec<f64>, columns: usize) -> Self {
        [&mut reference, &mut current].into_iter().for_each(|rows| rows.sort_unstable_by(f64::total_cmp));
        let cells_max = (STEPS_MAX / columns.max(1) as u64).min(CELLS_MAX);
        let ks = kolmogorov_smirnov(runs(&current, &reference), cells_max).map(|found| {
            let method = if found.is_exact { "exact" } else { "limit_law" };
            test("kolmogorov_smirnov", found.distance, found.p, method)
        });
        let ranks = mann_whitney(runs(&current, &reference))
            .map(|found| test("mann_whitney", found.u(), found.p, "normal_with_ties"));
        let means =
            Moments::of(&current).zip(Moments::of(&reference)).and_then(|(current, other)| welch(current, other));
        let means = means.map(|(t, p)| test("welch", t, p, "student_t"));
        Self {
            tests: [ks, ranks, means].into_iter().flatten().collect(),
            quantiles: [&reference, &current].map(|rows| quantiles(rows)),
        }
    }
}

fn quantiles(sorted: &[f64]) -> Vec<Quantile> {
    let at = |q: f64| Some(Quantile { q, value: linear_quantile(sorted, q)? });
    QUANTILES.into_iter().filter_map(at).collect()
}

fn test(name: &str, statistic: f64, p_value: f64, method: &str) -> KnownTest {
    KnownTest { test: name.to_owned(), statistic, p_value, method: method.to_owned() }
}

/// The tests of figures over counts.
pub(super) fn of_figures(figures: &[Figure]) -> Vec<KnownTest> {
    let of = |metric: &str, name: &str, method: &str, statistic: &dyn Fn(&Figure, f64) -> f64| {
        let figure = figures.iter().find(|figure| figure.metric == metric && figure.p_value.is_some())?;
        Some(test(name, statistic(figure, figure.value?), figure.p_value?, method))
    };
    let same = |_: &Figure, value: f64| value;
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    let pairs = |figure: &Figure, delta: f64| f64::midpoint(1.0, delta) * figure.n as f64 * figure.n_reference as f64;
    let is_numeric = figures.iter().any(|figure| figure.metric == "ks");
    let all = [
        of("ks", "kolmogorov_smirnov", "limit_law,fine_bins", &same),
        of("cliffs_delta", "mann_whitney", "normal_with_ties,fine_bins", &pairs),
        of("welch_t", "welch", "student_t", &same),
        of("chi_square", "chi_square", "uncorrected", &same).filter(|_| !is_numeric),
    ];
    all.into_iter().flatten().collect()
}

/// How far the rates of the reference and the current side are apart, each as how many of how many.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) fn rates_apart([reference, current]: [(u64, u64); 2]) -> Option<RatesApart> {
    let difference = newcombe(current, reference, ALPHA)?;
    let [current_arm, reference_arm] = [current, reference].map(|(x, n)| Arm { n, x: x as f64 });
    let (z, z_p_value) = pooled_z(current_arm, reference_arm)?;
    Some(RatesApart {
        difference: difference.value,
        low: difference.low,
        high: difference.high,
        z,
        z_p_value,
        fisher_p_value: fisher(current.0, current.1, reference.0, reference.1)?,
    })
}

/// A p-value for people.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.000_5 { format!("{p:.0e}") } else { format!("{p:.3}") }
}

/// A difference of shares for people, in percentage points.
pub(super) fn points(difference: f64) -> String {
    format!("{:+.2} pp", 100.0 * difference + 0.0)
}
