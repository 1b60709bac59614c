//! Numbers of numpy 2.4.6, scipy 1.17.1, scikit-learn 1.9.1, Evidently 0.7.23 and `NannyML` 0.13.1 for small inputs.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use super::cut;
use super::world::{COMPAT, quality_plan};
use crate::metric::{Context, MetricResult, Side, Value, find};
use crate::plan::{QualityPlan, Task};
use crate::summary::histogram::Cut;
use crate::summary::quality::Labelled;
use crate::summary::{Category, Latency, Quality, Rates};

const VECTORS: &str = include_str!("../../../../tests/data/reference/vectors.json");

/// One case of the file.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Case {
    Numeric { name: String, r#ref: Vec<f64>, cur: Vec<f64>, expect: Json },
    Categorical { name: String, r#ref: BTreeMap<String, u64>, cur: BTreeMap<String, u64>, expect: Json },
    Probability { name: String, score: Vec<f64>, label: Vec<f64>, threshold: f64, expect: Json },
    Rates { name: String, k1: u64, n1: u64, k2: u64, n2: u64, expect: Json },
    Quantiles { name: String, x: Vec<f64>, q: Vec<f64>, expect: Json },
}

fn cases() -> Vec<Case> {
    serde_json::from_str(VECTORS).expect("the reference file is well formed")
}

/// One case being checked: where a mismatch happened, what was expected.
struct Check<'a> {
    case: &'a str,
    expect: &'a Json,
}

impl Check<'_> {
    fn expected(&self, key: &str) -> Option<f64> {
        self.expect.get(key).and_then(Json::as_f64)
    }

    /// A number is what was expected; where nothing was, it is not defined.
    fn exact(&self, key: &str, reading: &MetricResult) {
        self.close(key, reading.value, 1e-9);
    }

    fn close(&self, key: &str, value: Value, tolerance: f64) {
        let Some(expected) = self.expected(key) else {
            return assert!(!matches!(value, Value::Number(_)), "{}: {key} is not defined, but {value:?}", self.case);
        };
        let Value::Number(number) = value else { panic!("{}: {key} is {expected}, but {value:?}", self.case) };
        let gap = (number - expected).abs();
        assert!(gap <= 1e-12_f64.max(tolerance * expected.abs()), "{}: {key} is {expected}, but {number}", self.case);
    }

    /// A number is about what was expected.
    fn near(&self, key: &str, reading: &MetricResult, tolerance: f64) {
        let (Value::Number(number), Some(expected)) = (reading.value, self.expected(key)) else {
            panic!("{}: {key} is {reading:?}", self.case)
        };
        assert!((number - expected).abs() <= tolerance, "{}: {key} is about {expected}, but {number}", self.case);
    }

    /// The expected number lies inside the certified bounds, and equals the value where they leave no room.
    fn bounded(&self, key: &str, reading: &MetricResult) {
        let Some(expected) = self.expected(key) else { return self.exact(key, reading) };
        let (low, high) = reading.bounds.expect("bounds");
        let slack = 1e-12_f64.max(1e-9 * expected.abs());
        assert!(
            low - slack <= expected && expected <= high + slack,
            "{}: {key} is {expected}, but {reading:?}",
            self.case
        );
        if low == high {
            self.exact(key, reading);
        }
    }
}

/// The reading of a metric in the convention whose text ends with `convention`.
fn read(
    metric: &str,
    convention: &str,
    current: Side<'_>,
    baseline: Option<Side<'_>>,
    context: &Context<'_>,
) -> MetricResult {
    let readings = find(metric).expect("is listed").read(current, baseline, context);
    let found = readings.iter().find(|reading| reading.convention.ends_with(convention));
    found.unwrap_or_else(|| panic!("{metric} has no {convention}: {readings:?}")).clone()
}

fn context() -> Context<'static> {
    Context { window: 1_000_000, compat: COMPAT, ..Context::ALONE }
}

/// Keys of the file, metric, end of the convention: equal to the last bits but a few for either kind of column.
const SHARES: [(&str, &str, &str); 8] = [
    ("psi_jeffreys", "psi", "jeffreys"),
    ("psi_eps1e4", "psi", "raised_to_1e-4"),
    ("psi_eps1e6", "psi", "raised_to_1e-6"),
    ("kl_cur_ref_jeffreys", "kl_divergence", "jeffreys"),
    ("js_distance", "js_distance", "base_2"),
    ("hellinger", "hellinger", "s"),
    ("tvd", "total_variation", "s"),
    ("linf", "l_infinity", "s"),
];

#[test]
fn numeric_columns() {
    let mut n_cases = 0;
    for case in cases() {
        let Case::Numeric { name, r#ref, cur, expect } = case else { continue };
        numeric(&Check { case: &name, expect: &expect }, &r#ref, &cur);
        n_cases += 1;
    }
    assert_eq!(n_cases, 16);
}

fn numeric(check: &Check<'_>, reference: &[f64], current: &[f64]) {
    let cut = cut::of_reference(reference);
    let context = Context { cut: Some(&cut), ..context() };
    let (baseline, judged) = (cut::histogram(&cut, reference), cut::histogram(&cut, current));
    let compared = |metric: &str, convention: &str| {
        read(metric, convention, Side::Numeric(&judged), Some(Side::Numeric(&baseline)), &context)
    };
    for (key, metric, convention) in SHARES {
        check.exact(key, &compared(metric, convention));
    }
    assert_eq!(Some(f64::from(compared("psi", "jeffreys").bins)), check.expected("n_bins"), "{}", check.case);
    check.exact("nannyml_js", &compared("js_distance", "nannyml"));
    check.bounded("wasserstein", &compared("wasserstein", "fine_bins"));
    check.bounded("wasserstein_norm", &compared("wasserstein", "evidently"));
    kolmogorov(check, &compared("ks", "fine_bins"));
    mann_whitney(check, &compared("cliffs_delta", "fine_bins"));
    if judged.n_clamped + baseline.n_clamped == 0 {
        welch(check, &compared("welch_t", "unequal_variances"));
    }
    let evidently = compared("psi", "evidently");
    match check.expected("evidently_psi") {
        Some(expected) if evidently.convention.starts_with("sturges_approximated") => {
            check.bounded("evidently_psi", &evidently);
            check.near("evidently_psi", &evidently, (expected / 2.0).max(1e-9));
        }
        _ if are_told_apart(&cut, reference, current) => check.exact("evidently_psi", &evidently),
        _ => {}
    }
    for (key, metric) in [("mean", "mean"), ("std_ddof1", "std_dev"), ("min", "min"), ("max", "max")] {
        let reading = read(metric, "", Side::Numeric(&judged), None, &context);
        if judged.n_clamped > 0 && ["mean", "std_dev"].contains(&metric) {
            assert_eq!(reading.value, Value::Undefined, "{}: {metric} of values beyond the grid", check.case);
            continue;
        }
        // A constant has no deviation, and numpy's 1e-17 is the rounding of its mean.
        let reading = if check.expected(key).is_some_and(|x| x.abs() < 1e-15) { rounded(reading) } else { reading };
        check.exact(key, &reading);
    }
}

fn rounded(reading: MetricResult) -> MetricResult {
    let value = if let Value::Number(x) = reading.value {
        Value::Number(if x.abs() < 1e-12 { 0.0 } else { x })
    } else {
        reading.value
    };
    MetricResult { value, ..reading }
}

/// The exact U lies inside the bounds; where they leave no room, the p-value is that of `SciPy` but for ties of one
/// side.
fn mann_whitney(check: &Check<'_>, reading: &MetricResult) {
    let (n, m) = (reading.n as f64, reading.n_baseline as f64);
    let Some(u) = check.expected("mwu_u_cur") else { return };
    let (low, high) = reading.bounds.expect("bounds");
    let delta = 2.0 * u / (n * m) - 1.0;
    assert!(low - 1e-9 <= delta && delta <= high + 1e-9, "{}: delta is {delta}, but {reading:?}", check.case);
    if low == high {
        check.close("mwu_p_asymptotic", Value::Number(reading.p_value.expect("a p-value")), 0.05);
    }
}

/// As far as sums are exact.
fn welch(check: &Check<'_>, reading: &MetricResult) {
    if check.expected("welch_t").is_some_and(f64::is_finite) {
        check.close("welch_t", reading.value, 1e-5);
        check.close("welch_p", Value::Number(reading.p_value.expect("a p-value")), 1e-5);
    }
}

/// The exact distance lies inside the bounds, and its p-value between those of the bounds.
fn kolmogorov(check: &Check<'_>, reading: &MetricResult) {
    check.bounded("ks_d", reading);
    let (_, high) = reading.bounds.expect("bounds");
    let (n, m) = (reading.n as f64, reading.n_baseline as f64);
    let p_low = crate::infer::kolmogorov_sf((n * m / (n + m)).sqrt() * high);
    let (p_high, expected) =
        (reading.p_value.expect("a p-value"), check.expected("ks_p_kolmogorov").expect("is there"));
    assert!(p_low * (1.0 - 1e-9) <= expected && expected <= p_high * (1.0 + 1e-9), "{}: {reading:?}", check.case);
}

/// Whether no fine bin holds two different values.
fn are_told_apart(cut: &Cut, reference: &[f64], current: &[f64]) -> bool {
    let mut values = [reference, current].concat();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values.windows(2).all(|pair| cut.edges.bin(pair[0]) < cut.edges.bin(pair[1]))
}

#[test]
fn categorical_columns() {
    let mut n_cases = 0;
    for case in cases() {
        let Case::Categorical { name, r#ref, cur, expect } = case else { continue };
        let check = Check { case: &name, expect: &expect };
        let known: Vec<String> = r#ref.keys().cloned().collect();
        let [baseline, current] = [&r#ref, &cur].map(|counts| category(&known, counts));
        let compared = |metric: &str, convention: &str| {
            read(metric, convention, Side::Categorical(&current), Some(Side::Categorical(&baseline)), &context())
        };
        for (key, metric, convention) in SHARES {
            check.exact(key, &compared(metric, convention));
        }
        let chi_square = compared("chi_square", "uncorrected");
        check.exact("chi2", &chi_square);
        if let Some(p) = chi_square.p_value {
            check.close("chi2_p", Value::Number(p), 1e-9);
            assert_eq!(Some(f64::from(chi_square.bins - 1)), check.expected("chi2_dof"));
        }
        check.exact("cramers_v", &compared("cramers_v", "s"));
        check.exact("new_share", &read("unseen_rate", "exact", Side::Categorical(&current), None, &context()));
        n_cases += 1;
    }
    assert_eq!(n_cases, 7);
}

fn category(known: &[String], counts: &BTreeMap<String, u64>) -> Category {
    let mut category = Category::new(known.len());
    for (name, count) in counts {
        match known.binary_search(name) {
            Ok(index) => category.known[index] += count,
            Err(_) => category.add_unseen(name, *count),
        }
    }
    category
}

/// Keys of the file, metric, convention: sums and counts that bins do not blur.
const LABELS: [(&str, &str, &str); 24] = [
    ("ece10_width", "ece", "equal_width_10"),
    ("ece15_width", "ece", "equal_width_15"),
    ("ece10_mass", "ece", "equal_mass_10,fine_bins"),
    ("ece15_mass", "ece", "equal_mass_15,fine_bins"),
    ("mce10_width", "mce", "equal_width_10"),
    ("mce15_width", "mce", "equal_width_15"),
    ("brier", "brier", ""),
    ("log_loss", "log_loss", ""),
    ("murphy_rel10", "brier_reliability", "equal_width_10"),
    ("murphy_res10", "brier_resolution", "equal_width_10"),
    ("murphy_unc", "brier_uncertainty", "equal_width_10"),
    ("spiegelhalter_z", "spiegelhalter_z", ""),
    ("calib_in_the_large", "calibration_in_the_large", ""),
    ("base_rate", "base_rate", ""),
    ("accuracy", "accuracy", ""),
    ("precision", "precision", ""),
    ("recall", "recall", ""),
    ("f1", "f1", ""),
    ("auc", "auc", ""),
    ("avg_precision", "average_precision", ""),
    ("rmsce10_width", "rmsce", "equal_width_10"),
    ("pos_rate", "positive_rate", ""),
    ("recal_slope", "calibration_slope", ""),
    ("recal_intercept", "calibration_intercept", ""),
];

#[test]
fn probabilities() {
    let mut n_cases = 0;
    for case in cases() {
        let Case::Probability { name, score, label, threshold, expect } = case else { continue };
        let check = Check { case: &name, expect: &expect };
        let plan = QualityPlan { threshold, ..quality_plan(Task::Binary, cut::of_reference(&score).edges) };
        let (quality, rates) = labelled(&plan, &score, &label);
        let context = Context { quality: Some(&plan), ..context() };
        for (key, metric, convention) in LABELS {
            let side = if metric == "positive_rate" { Side::Rates(&rates) } else { Side::Quality(&quality) };
            let reading = read(metric, convention, side, None, &context);
            match metric {
                "auc" | "average_precision" => check.bounded(key, &reading),
                "calibration_slope" | "calibration_intercept" if check.expected(key).is_none() => {}
                "calibration_slope" | "calibration_intercept" => check.close(key, reading.value, 1e-6),
                _ => check.exact(key, &reading),
            }
        }
        n_cases += 1;
    }
    assert_eq!(n_cases, 10);
}

fn labelled(plan: &QualityPlan, scores: &[f64], labels: &[f64]) -> (Quality, Rates) {
    let (mut quality, mut rates) = (Quality::new(plan), Rates::default());
    for (&score, &label) in scores.iter().zip(labels) {
        let predicted = score >= plan.threshold;
        quality.update(plan, Labelled { score, label, predicted, entity: None, classes: None });
        rates.merge(&Rates { requests: 1, predicted: 1, positive: predicted.into(), ..Rates::default() });
    }
    (quality, rates)
}

#[test]
fn failures_of_two_versions() {
    for case in cases() {
        let Case::Rates { name, k1, n1, k2, n2, expect } = case else { continue };
        let rate = |errors: u64, requests: u64| {
            let rates = Rates { requests, errors, ..Rates::default() };
            match read("error_rate", "exact", Side::Rates(&rates), None, &context()).value {
                Value::Number(rate) => rate,
                other => panic!("{name}: {other:?}"),
            }
        };
        Check { case: &name, expect: &expect }.close("diff", Value::Number(rate(k2, n2) - rate(k1, n1)), 1e-9);
    }
}

#[test]
fn quantiles_of_latency() {
    for case in cases() {
        let Case::Quantiles { name, x, q, expect } = case else { continue };
        let mut latency = Latency::default();
        for &value in &x {
            latency.update(value);
        }
        for (metric, quantile) in [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)] {
            let index = q.iter().position(|other| *other == quantile).expect("is there");
            let exact = expect["inverted_cdf"][index].as_f64().expect("a number");
            let reading = read(&format!("latency_{metric}"), "", Side::Latency(&latency), None, &context());
            let (low, high) = reading.bounds.expect("bounds");
            assert!(low <= exact && exact <= high, "{name}: {metric} is {exact}, but {reading:?}");
            assert!((high - low) / exact < 0.001 + 0.001 / exact, "{name}: bounds of {metric} are wide: {reading:?}");
        }
    }
}
