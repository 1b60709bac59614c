//! Small inputs with numbers worked out by hand, for what no other tool computed.

use super::cut;
use super::world::quality_plan;
use crate::kernel::bin::Edges;
use crate::metric::{Context, Side, Value, find};
use crate::plan::Task;
use crate::summary::quality::Labelled;
use crate::summary::{Category, Latency, Quality, Rates};

fn context() -> Context<'static> {
    Context { window: 20_000_000, ..Context::ALONE }
}

/// The first reading.
fn read(metric: &str, current: Side<'_>, baseline: Option<Side<'_>>, context: &Context<'_>) -> Value {
    find(metric).expect("is listed").read(current, baseline, context)[0].value
}

fn assert_close(metric: &str, value: Value, expected: f64) {
    let Value::Number(number) = value else { panic!("{metric} is {value:?}") };
    assert!((number - expected).abs() < 1e-12, "{metric} is {expected}, but {number}");
}

#[test]
fn answers() {
    let rates =
        Rates { requests: 50, errors: 5, rejected: 10, scored: 35, predicted: 35, positive: 7, ..Rates::default() };
    for (metric, expected) in [("error_rate", 0.1), ("rejected_rate", 0.2), ("positive_rate", 0.2), ("throughput", 2.5)]
    {
        assert_close(metric, read(metric, Side::Rates(&rates), None, &context()), expected);
    }
    let mut latency = Latency::default();
    for ms in [1.0, 2.0, 6.0] {
        latency.update(ms);
    }
    assert_close("latency_mean", read("latency_mean", Side::Latency(&latency), None, &context()), 3.0);
}

#[test]
fn columns() {
    let cut = cut::of_reference(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    let context = Context { cut: Some(&cut), ..context() };
    let baseline = cut::histogram(&cut, &[1.0, 2.0, 3.0]);
    let mut current = cut::histogram(&cut, &[0.0, 2.0, 4.0, 6.0]);
    (current.missing, current.nan) = (4, 2);
    let expected = [
        ("mean_shift", 1.0),
        ("std_ratio", (20.0_f64 / 3.0).sqrt()),
        ("missing_rate", 0.4),
        ("nan_rate", 0.2),
        ("out_of_range_rate", 0.5),
    ];
    for (metric, expected) in expected {
        let compared = metric.starts_with(['m', 's']).then_some(Side::Numeric(&baseline));
        assert_close(metric, read(metric, Side::Numeric(&current), compared, &context), expected);
    }
    let category = Category { known: vec![3], missing: 4, other: 1, ..Category::new(1) };
    assert_close("missing_rate", read("missing_rate", Side::Categorical(&category), None, &context), 0.5);
    assert_close("unseen_rate", read("unseen_rate", Side::Categorical(&category), None, &context), 0.25);
}

#[test]
fn a_constant_baseline_has_no_unit() {
    let cut = cut::of_reference(&[2.0, 2.0]);
    let context = Context { cut: Some(&cut), ..context() };
    let (constant, moved) = (cut::histogram(&cut, &[2.0, 2.0]), cut::histogram(&cut, &[2.0, 3.0]));
    let read = |metric: &str, current| read(metric, Side::Numeric(current), Some(Side::Numeric(&constant)), &context);
    assert_close("mean_shift", read("mean_shift", &constant), 0.0);
    assert_eq!(read("mean_shift", &moved), Value::Undefined);
    assert_eq!(read("std_ratio", &moved), Value::Undefined);
}

#[test]
fn twenty_bins_are_used_when_asked_for() {
    let reference: Vec<f64> = (0..400).map(f64::from).collect();
    let cut = cut::of_reference(&reference);
    let side = cut::histogram(&cut, &reference);
    let context = Context { cut: Some(&cut), bins: 20, ..context() };
    let readings = find("psi").expect("is listed").read(Side::Numeric(&side), Some(Side::Numeric(&side)), &context);
    assert_eq!((readings[0].convention.as_str(), readings[0].bins), ("20_quantiles,jeffreys", 20));
}

#[test]
fn regression() {
    let plan = quality_plan(Task::Regression, Edges::new(vec![0.0]).expect("one edge"));
    let mut quality = Quality::new(&plan);
    for (score, label) in [(1.0, 0.0), (0.0, 3.0)] {
        quality.update(&plan, Labelled { score, label, predicted: false, entity: None, classes: None });
    }
    let context = Context { quality: Some(&plan), ..context() };
    for (metric, expected) in [("mae", 2.0), ("rmse", 5.0_f64.sqrt()), ("bias", -1.0)] {
        assert_close(metric, read(metric, Side::Quality(&quality), None, &context), expected);
    }
}

#[test]
fn calibration_errors_less_what_chance_adds() {
    let plan = quality_plan(Task::Binary, Edges::new(vec![0.0, 0.5, 1.0]).expect("edges increase"));
    let mut quality = Quality::new(&plan);
    // Ten labels at 0.95, five of them positive, and one at 0.05.
    let labels = (0..10).map(|i| (0.95, f64::from(i % 2))).chain([(0.05, 0.0)]);
    labels.for_each(|(score, label)| {
        quality.update(&plan, Labelled { score, label, predicted: true, entity: None, classes: None });
    });
    let context = Context { quality: Some(&plan), ..context() };
    let (many, one) = (10.0 / 11.0, 1.0 / 11.0);
    let chance = many * (0.95_f64 * 0.05 / 10.0).sqrt() + one * (0.95_f64 * 0.05).sqrt();
    let excess = many * 0.45 + one * 0.05 - (2.0 / std::f64::consts::PI).sqrt() * chance;
    let debiased = (many * (0.45_f64.powi(2) - 0.25 / 9.0)).sqrt();
    assert_close("ece_excess", read("ece_excess", Side::Quality(&quality), None, &context), excess);
    assert_close("ece_debiased", read("ece_debiased", Side::Quality(&quality), None, &context), debiased);
}

#[test]
fn classes_that_the_score_separates_have_no_recalibration() {
    let plan =
        quality_plan(Task::Binary, Edges::new((0..=50).map(|i| f64::from(i) / 50.0).collect()).expect("increase"));
    let mut quality = Quality::new(&plan);
    for i in 1..50_u8 {
        let score = f64::from(i) / 50.0;
        quality.update(
            &plan,
            Labelled { score, label: f64::from(score > 0.5), predicted: score > 0.5, entity: None, classes: None },
        );
    }
    let context = Context { quality: Some(&plan), ..context() };
    assert_eq!(read("calibration_slope", Side::Quality(&quality), None, &context), Value::Undefined);
    assert_close("auc", read("auc", Side::Quality(&quality), None, &context), 1.0);
}
