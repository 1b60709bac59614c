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

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(tests: &'a [KnownTest], name: &str) -> &'a KnownTest {
        tests.iter().find(|test| test.test == name).expect("a test")
    }

    /// `SciPy` 1.16: `ks_2samp(current, reference)`, `mannwhitneyu(current, reference, use_continuity=True,
    /// method="asymptotic")`, `ttest_ind(current, reference, equal_var=False)`; quantiles of `numpy.quantile`.
    #[test]
    fn tests_over_rows_are_of_the_current_side_against_the_reference_in_any_order_of_rows() {
        let (reference, current) = (vec![3.1, 1.0, 2.2, 4.8, 2.9], vec![6.0, 2.5, 5.1, 7.3, 4.4, 5.8]);
        let found = OfRows::of(reference, current, 1);
        for (name, statistic, p, method) in [
            ("kolmogorov_smirnov", 0.666_666_666_666_666_7, 0.108_225_108_225_108_2, "exact"),
            ("mann_whitney", 26.0, 0.055_234_253_718_063_83, "normal_with_ties"),
            ("welch", 2.616_135_752_630_172, 0.028_022_119_159_414_82, "student_t"),
        ] {
            let test = find(&found.tests, name);
            assert!((test.statistic - statistic).abs() < 1e-9, "{test:?}");
            assert!((test.p_value - p).abs() < 1e-9 && test.method == method, "{test:?}");
        }
        let of = |side: usize| found.quantiles[side].iter().map(|at| (at.q, at.value)).collect::<Vec<_>>();
        assert_eq!((of(0)[2], of(0)[3]), ((0.25, 2.2), (0.5, 2.9)));
        assert!((of(1)[3].1 - 5.45).abs() < 1e-12, "{:?}", of(1));
        assert_eq!((of(0).len(), of(1).len()), (7, 7));
    }

    #[test]
    fn without_rows_there_is_no_test_and_no_quantile() {
        for (reference, current) in [(vec![], vec![1.0, 2.0]), (vec![1.0, 2.0], vec![]), (vec![], vec![])] {
            let found = OfRows::of(reference, current, 1);
            assert_eq!(found.tests, [], "{found:?}");
        }
        let one = OfRows::of(vec![1.0], vec![2.0], 1);
        assert!(one.tests.iter().all(|test| test.test != "welch"), "one row has no variance");
        assert!(OfRows::of(vec![], vec![], 0).quantiles.iter().all(Vec::is_empty));
    }

    #[test]
    fn rates_are_apart_by_the_current_less_the_reference() {
        let apart = rates_apart([(5, 100), (12, 100)]).expect("rates");
        assert!((apart.difference - 0.07).abs() < 1e-12 && apart.z > 0.0, "{apart:?}");
        assert!(apart.low < 0.07 && 0.07 < apart.high);
        // `scipy.stats.fisher_exact([[12, 88], [5, 95]])`.
        assert!((apart.fisher_p_value - 0.126_178_861_263_690_43).abs() < 1e-12);
        let back = rates_apart([(12, 100), (5, 100)]).expect("rates");
        assert!((back.difference + apart.difference).abs() < 1e-12 && (back.z + apart.z).abs() < 1e-12);
        assert_eq!((rates_apart([(0, 0), (1, 2)]), rates_apart([(1, 2), (0, 0)])), (None, None));
    }

    #[test]
    fn small_p_values_are_told_by_their_size_and_no_difference_has_no_sign() {
        assert_eq!([p_value(0.0005), p_value(0.000_499), p_value(1.0)], ["0.001", "5e-4", "1.000"]);
        assert_eq!(
            [points(0.0123), points(-0.0123), points(0.0), points(-0.0)],
            ["+1.23 pp", "-1.23 pp", "+0.00 pp", "+0.00 pp"]
        );
    }

    fn figure(metric: &str, value: f64, p_value: Option<f64>) -> Figure {
        Figure {
            metric: metric.to_owned(),
            convention: String::new(),
            unit: String::new(),
            value: Some(value),
            reference: None,
            low: None,
            high: None,
            p_value,
            n: 10,
            n_reference: 20,
            bins: 0,
        }
    }

    #[test]
    fn tests_of_bins_are_those_of_figures_that_have_a_p_value() {
        let numeric = [
            figure("ks", 0.25, Some(0.01)),
            figure("cliffs_delta", 0.5, Some(0.02)),
            figure("welch_t", -2.0, None),
            figure("chi_square", 9.0, Some(0.03)),
        ];
        let tests = of_figures(&numeric);
        let told: Vec<(&str, f64)> = tests.iter().map(|test| (test.test.as_str(), test.statistic)).collect();
        assert_eq!(told, [("kolmogorov_smirnov", 0.25), ("mann_whitney", 150.0)], "U is (1 + delta) / 2 of all pairs");
        let categories = of_figures(&numeric[3..]);
        assert_eq!((categories.len(), find(&categories, "chi_square").p_value), (1, 0.03));
    }
}
