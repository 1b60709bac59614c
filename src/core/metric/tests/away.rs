//! Two sides where neither is the reference: what the numbers say wherever both of them are, and how sure they are.

use super::cut as twin;
use super::world::{Dice, quality_plan};
use crate::baseline::cut;
use crate::metric::{Context, MetricResult, Quantiles, Side, Value, find};
use crate::plan::{QualityPlan, Task};
use crate::summary::histogram::Cut;
use crate::summary::quality::Labelled;
use crate::summary::{Histogram, Quality};

/// Rows of the reference, of the baseline and of the judged side: uniform in (0, 1), with their seeds.
const ROWS: [(u64, usize); 3] = [(11, 4000), (12, 1500), (13, 600)];

/// `SciPy` 1.17.1 of the rows themselves, cut at those deciles of both sides together that ties allow: PSI and KL of
/// Jeffreys' shares (`entropy`), `jensenshannon` (base 2), Hellinger, total variation, L-infinity, `chi2_contingency`
/// (0 where there is one cell), Cramér's V, `ks_2samp`, `wasserstein_distance`, and Cliff's delta of `mannwhitneyu`.
const SCIPY: [(&str, [f64; 11]); 9] = [
    (
        "both far",
        [
            0.120_074_367,
            0.058_574_866,
            0.147_411_039,
            0.123_061_831,
            0.147,
            0.056,
            50.12,
            0.154_488_403,
            0.140_666_667,
            0.586_705_582,
            0.178_268_889,
        ],
    ),
    (
        "both far, alike",
        [
            0.015_723_767,
            0.007_809_356,
            0.053_588_991,
            0.044_629_121,
            0.056,
            0.021,
            6.766_666_667,
            0.056_764_621,
            0.032_333_333,
            5.459_557_673,
            -0.017_971_111,
        ],
    ),
    (
        "one far",
        [
            10.576_489_869,
            5.611_698_144,
            0.972_642_58,
            0.960_489_632,
            0.98,
            0.35,
            1974.0,
            0.969_535_971,
            1.0,
            1_000.086_587_388,
            1.0,
        ],
    ),
    (
        "in one cell",
        [
            0.051_254_274,
            0.026_161_973,
            0.096_601_551,
            0.080_505_962,
            0.098,
            0.044_333_333,
            22.773_333_333,
            0.104_136_662,
            0.106,
            0.020_282_424,
            -0.110_155_556,
        ],
    ),
    (
        "a thousand times",
        [
            0.079_841_987,
            0.040_214_457,
            0.120_278_993,
            0.100_367_047,
            0.102_666_667,
            0.058_333_333,
            34.72,
            0.128_582_01,
            0.078_333_333,
            399.418_997_384,
            0.019_091_111,
        ],
    ),
    (
        "atoms",
        [
            0.132_774_286,
            0.063_347_35,
            0.154_775_643,
            0.129_347_707,
            0.148_333_333,
            0.058_666_667,
            53.761_346_304,
            0.160_002_003,
            0.131_333_333,
            1.161_666_667,
            0.176_494_444,
        ],
    ),
    ("constants", [15.080_021_075, 7.993_641_311, 1.0, 1.0, 1.0, 1.0, 2100.0, 1.0, 1.0, 1.0, 1.0]),
    ("one constant", [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
    (
        "heavy tails",
        [
            0.066_227_339,
            0.032_551_693,
            0.109_802_274,
            0.091_523_599,
            0.119,
            0.042,
            28.046_666_667,
            0.115_566_239,
            0.114,
            218.233_931_239,
            0.108_568_889,
        ],
    ),
];

const METRICS: [&str; 11] = [
    "psi",
    "kl_divergence",
    "js_distance",
    "hellinger",
    "total_variation",
    "l_infinity",
    "chi_square",
    "cramers_v",
    "ks",
    "wasserstein",
    "cliffs_delta",
];

fn rows((seed, n): (u64, usize)) -> Vec<f64> {
    let mut dice = Dice::new(seed);
    (0..n).map(|_| dice.uniform()).collect()
}

fn logit(u: f64) -> f64 {
    (u / (1.0 - u)).ln()
}

fn cauchy(u: f64) -> f64 {
    100.0 * (std::f64::consts::PI * (u - 0.5)).tan()
}

/// Baseline and judged side of a case, made of uniform numbers.
fn sides(case: &str) -> [fn(f64) -> f64; 2] {
    match case {
        "both far" => [|u| 1000.0 + logit(u), |u| 1000.5 + logit(u)],
        "both far, alike" => [|u| -1e6 - 50.0 * logit(u), |u| -1e6 - 50.0 * logit(u)],
        "one far" => [logit, |u| 1000.0 + logit(u)],
        "in one cell" => [|u| 0.02 + 0.36 * u, |u| 0.02 + 0.36 * u.powf(1.3)],
        "a thousand times" => [|u| 1000.0 * logit(u), |u| 1300.0 * logit(u)],
        "atoms" => [|u| 1000.0 + (2.0 * logit(u) + 0.5).floor(), |u| 1000.0 + (2.0 * logit(u) + 1.5).floor()],
        "constants" => [|_| 500.0, |_| 501.0],
        "one constant" => [|_| 500.0, |_| 500.0],
        "heavy tails" => [cauchy, |u| 30.0 + cauchy(u)],
        other => panic!("{other}"),
    }
}

fn reference() -> Cut {
    let mut values: Vec<f64> = rows(ROWS[0]).into_iter().map(logit).collect();
    values.sort_by(f64::total_cmp);
    cut::of_values(&values, 1040)
}

fn context(cut: &Cut) -> Context<'_> {
    let (known, compat, quality) = (&[][..], &[][..], None);
    Context { cut: Some(cut), known, window: 1, bins: 10, quantiles: Quantiles::Both, compat, quality }
}

fn read(metric: &str, cut: &Cut, current: &Histogram, baseline: &Histogram) -> MetricResult {
    let metric = find(metric).expect("is listed");
    metric.read(Side::Numeric(current), Some(Side::Numeric(baseline)), &context(cut)).swap_remove(0)
}

fn number(reading: &MetricResult) -> f64 {
    match reading.value {
        Value::Number(number) => number,
        other => panic!("{reading:?} is {other:?}"),
    }
}

fn width(reading: &MetricResult) -> f64 {
    let (low, high) = reading.bounds.expect("bounds");
    high - low
}

#[test]
fn two_sides_are_compared_where_they_are() {
    let cut = reference();
    for (case, expected) in SCIPY {
        let of = |side: usize| -> Vec<f64> { rows(ROWS[side + 1]).into_iter().map(sides(case)[side]).collect() };
        let [baseline, current] = [0, 1].map(|side| twin::histogram(&cut, &of(side)));
        for (metric, expected) in METRICS.into_iter().zip(expected) {
            let reading = read(metric, &cut, &current, &baseline);
            let is_undefined = ["chi_square", "cramers_v"].contains(&metric) && case == "one constant";
            if is_undefined {
                assert_eq!(reading.value, Value::Undefined, "{case}: {metric}");
                continue;
            }
            if let Some((low, high)) = reading.bounds {
                let slack = 1e-9 * expected.abs().max(1.0);
                assert!(low - slack <= expected && expected <= high + slack, "{case}: {expected}, {reading:?}");
                continue;
            }
            let gap = (number(&reading) - expected).abs();
            assert!(reading.convention.starts_with("deciles_of_both"), "{reading:?}");
            assert!(gap <= 0.004 + 0.04 * expected, "{case}: {metric} is {expected}, not {reading:?}");
        }
        let of = |metric: &str| read(metric, &cut, &current, &baseline);
        assert!(width(&of("ks")) <= 0.02, "{case}: {:?}", of("ks"));
        assert!(width(&of("cliffs_delta")) <= 0.025, "{case}: {:?}", of("cliffs_delta"));
    }
}

#[test]
fn where_nothing_can_be_told_no_number_says_so() {
    let cut = reference();
    let far_below_a_bin = |u: f64| 1e-7 * u;
    let of = |side: usize| -> Vec<f64> { rows(ROWS[side + 1]).into_iter().map(far_below_a_bin).collect() };
    let [baseline, current] = [0, 1].map(|side| twin::histogram(&cut, &of(side)));
    for metric in METRICS {
        let reading = read(metric, &cut, &current, &baseline);
        match reading.bounds {
            Some(_) => assert!(metric == "wasserstein" || width(&reading) >= 0.9, "{reading:?}"),
            None => assert_eq!(reading.value, Value::Undefined, "{metric}"),
        }
    }
}

/// Scores of two hundred and of two thousand labels, below those of the reference; labels that a score promises too
/// seldom.
#[test]
fn labels_are_judged_where_their_scores_are() {
    let mut scores: Vec<f64> = rows(ROWS[0]).into_iter().map(|u| 0.4 + 0.3 * u).collect();
    scores.sort_by(f64::total_cmp);
    let plan = quality_plan(Task::Binary, cut::of_values(&scores, 1040).edges);
    for n in [200, 500, 5000] {
        let (scores, coins) = (rows((21, n)), rows((22, n)));
        let labelled: Vec<Labelled> = scores.iter().zip(&coins).map(|(u, coin)| label(0.01 + 0.2 * u, *coin)).collect();
        let mut sorted: Vec<f64> = labelled.iter().map(|row| row.score).collect();
        sorted.sort_by(f64::total_cmp);
        let exact = quality_plan(Task::Binary, crate::kernel::bin::Edges::new(sorted).expect("all differ"));
        let read = |metric: &str, convention: &str, plan: &QualityPlan| {
            let mut quality = Quality::new(plan);
            labelled.iter().for_each(|row| quality.update(plan, *row));
            let (trivial, quality_plan) = (cut::trivial(), Some(plan));
            let context = Context { quality: quality_plan, cut: None, ..context(&trivial) };
            let readings = find(metric).expect("is listed").read(Side::Quality(&quality), None, &context);
            readings.into_iter().find(|reading| reading.convention.starts_with(convention)).expect("is there")
        };
        let auc = read("auc", "fine", &plan);
        let truth = number(&read("auc", "fine", &exact));
        let (low, high) = auc.bounds.expect("bounds");
        assert!(low <= truth && truth <= high && high - low <= 0.01, "{n}: {truth}, {auc:?}");
        for line in ["calibration_slope", "calibration_intercept"] {
            let gap = number(&read(line, "fine", &plan)) - number(&read(line, "fine", &exact));
            assert!(gap.abs() < 1e-3, "{n}: {line} is off by {gap}");
        }
        let ece = read("ece", "equal_mass_10", &plan);
        let truth = number(&read("ece", "equal_mass_10", &exact));
        let (low, high) = ece.bounds.expect("bounds");
        assert!(low <= truth && truth <= high, "{n}: {truth}, {ece:?}");
        assert!((number(&ece) / truth - 1.0).abs() < 0.02, "{n}: {truth}, {ece:?}");
    }
}

fn label(score: f64, coin: f64) -> Labelled {
    Labelled { score, label: f64::from(u8::from(coin < 1.5 * score)), predicted: false, entity: None, classes: None }
}
