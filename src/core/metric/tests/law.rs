//! The contract: what holds for every metric in the list.

use std::collections::BTreeSet;

use super::world::{self, Counted, World};
use crate::metric::{METRICS, Metric, MetricResult, MetricSubject, Value, WorseDirection, find};
use crate::plan::Task;

const SEED: u64 = 20_130_401;

fn number(reading: &MetricResult) -> f64 {
    match reading.value {
        Value::Number(value) => value,
        other => panic!("{reading:?} is {other:?}"),
    }
}

fn counted(world: &World, seed: u64, fault: f64) -> Counted {
    world.count(&world.rows(seed, 3000, fault))
}

#[test]
fn names_are_unique_and_specs_are_filled() {
    let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.spec().name).collect();
    assert_eq!(names.len(), METRICS.len(), "two metrics share a name");
    for metric in METRICS {
        let spec = metric.spec();
        assert!(spec.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{}", spec.name);
        assert!(spec.help.ends_with('.'), "{}: help is a sentence", spec.name);
        assert!(![spec.unit, spec.formula, spec.source].contains(&""), "{}", spec.name);
        assert!(spec.range.0 < spec.range.1 && spec.n_min > 0, "{}", spec.name);
        assert!(spec.needs_baseline || !spec.symmetric, "{}", spec.name);
        assert_eq!(find(spec.name).map(|found| found.spec().name), Some(spec.name));
    }
    assert!(find("no_such_metric").is_none());
}

#[test]
fn what_calls_itself_calibration_is_about_that() {
    let calibrated =
        METRICS.iter().map(|metric| metric.spec()).filter(|spec| spec.help.to_lowercase().contains("calibrat"));
    let others: Vec<&str> =
        calibrated.filter(|spec| spec.subject != MetricSubject::Calibration).map(|spec| spec.name).collect();
    assert!(others.is_empty(), "a rule about these would give another reason: {others:?}");
}

#[test]
fn every_reading_has_a_convention_of_its_own() {
    for (metric, world) in world::metrics() {
        let (current, baseline) = (counted(&world, SEED, 0.2), counted(&world, SEED + 1, 0.0));
        for readings in current.read(metric, &baseline, &world.context()) {
            let conventions: BTreeSet<&str> = readings.iter().map(|reading| reading.convention.as_str()).collect();
            assert_eq!(conventions.len(), readings.len(), "{}", metric.spec().name);
            assert!(!readings.is_empty() && !conventions.contains(""), "{}", metric.spec().name);
        }
    }
}

#[test]
fn numbers_are_finite_in_range_and_inside_their_bounds() {
    for (metric, world) in world::metrics() {
        for fault in [0.0, 0.5, 1.0] {
            let (current, baseline) = (counted(&world, SEED, fault), counted(&world, SEED + 1, 0.0));
            for reading in current.read(metric, &baseline, &world.context()).into_iter().flatten() {
                let (value, (low, high)) = (number(&reading), metric.spec().range);
                assert!(value.is_finite() && low <= value && value <= high, "{}: {reading:?}", metric.spec().name);
                assert!(reading.bounds.is_none_or(|(low, high)| low <= value && value <= high), "{reading:?}");
                assert!(reading.p_value.is_none_or(|p| (0.0..=1.0).contains(&p)), "{reading:?}");
                assert_eq!(reading.n_baseline > 0, metric.spec().needs_baseline, "{reading:?}");
                assert!(reading.n > 2000, "{reading:?}");
            }
        }
    }
}

#[test]
fn nothing_drifts_from_itself() {
    for (metric, world) in world::metrics().into_iter().filter(|(metric, _)| metric.spec().needs_baseline) {
        let side = counted(&world, SEED, 0.3);
        let unmoved = if metric.spec().name == "std_ratio" { 1.0 } else { 0.0 };
        for reading in side.read(metric, &side, &world.context()).into_iter().flatten() {
            assert_eq!(number(&reading), unmoved, "{}: {reading:?}", metric.spec().name);
        }
    }
}

#[test]
fn order_and_split_of_rows_do_not_change_a_bit() {
    for (metric, world) in world::metrics() {
        let mut rows = world.rows(SEED, 3000, 0.4);
        let (whole, baseline) = (world.count(&rows), counted(&world, SEED + 1, 0.0));
        rows.reverse();
        let mut parts = world.count_range(&rows, 0..0);
        for range in [1000..2999, 2999..3000, 0..17, 17..1000] {
            parts.merge(&world.count_range(&rows, range));
        }
        let read = |side: &Counted| side.read(metric, &baseline, &world.context());
        assert_eq!(read(&whole), read(&parts), "{}", metric.spec().name);
    }
}

#[test]
fn too_few_rows_on_either_side_are_insufficient() {
    for (metric, world) in world::metrics() {
        let (full, spec) = (counted(&world, SEED, 0.0), metric.spec());
        let few = world.count(&world.rows(SEED, usize::try_from(spec.n_min - 1).expect("small"), 0.0));
        let insufficient = Value::Insufficient { n: spec.n_min - 1, n_min: spec.n_min };
        for reading in few.read(metric, &full, &world.context()).into_iter().flatten() {
            assert_eq!(reading.value, insufficient, "{}: {reading:?}", spec.name);
            assert_eq!((reading.bounds, reading.p_value), (None, None), "{}", spec.name);
        }
        if spec.needs_baseline {
            for reading in full.read(metric, &few, &world.context()).into_iter().flatten() {
                assert_eq!(reading.value, insufficient, "{}: {reading:?}", spec.name);
            }
        }
    }
}

#[test]
fn symmetric_metrics_are_symmetric() {
    for (metric, world) in world::metrics().into_iter().filter(|(metric, _)| metric.spec().symmetric) {
        let (a, b) = (counted(&world, SEED, 0.5), world.count(&world.rows(SEED + 1, 1234, 0.0)));
        let both = a.read(metric, &b, &world.context()).into_iter().zip(b.read(metric, &a, &world.context()));
        for (forward, backward) in both {
            let gap = number(&forward[0]) - number(&backward[0]);
            assert!(gap.abs() <= 1e-12 * number(&forward[0]), "{}: {gap}", metric.spec().name);
        }
    }
}

#[test]
fn a_growing_fault_makes_every_metric_worse() {
    for (metric, world) in world::metrics() {
        let spec = metric.spec();
        let baseline = counted(&world, SEED + 1, 0.0);
        let mut last: Option<Vec<f64>> = None;
        for fault in [0.0, 0.3, 0.6, 1.0] {
            let readings = counted(&world, SEED, fault).read(metric, &baseline, &world.context());
            let badness: Vec<f64> =
                readings.iter().flatten().map(|reading| badness(spec.worse, number(reading))).collect();
            if let Some(last) = last {
                assert!(
                    last.iter().zip(&badness).all(|(before, now)| before <= now),
                    "{}: {badness:?} after {last:?}",
                    spec.name
                );
            }
            last = Some(badness);
        }
    }
}

fn badness(worse: WorseDirection, value: f64) -> f64 {
    match worse {
        WorseDirection::Up => value,
        WorseDirection::Down => -value,
        WorseDirection::Away => value.abs(),
        WorseDirection::Neither => 0.0,
    }
}

#[test]
fn a_metric_gives_nothing_for_sides_it_does_not_read() {
    let world = World::new(Task::Multiclass);
    let side = counted(&world, SEED, 0.0);
    let read = |name: &str, metric: &dyn Metric| {
        let like = find(name).expect("is listed").spec().reads;
        let sides = side.sides(like);
        metric.read(sides[0], metric.spec().needs_baseline.then_some(sides[0]), &world.context())
    };
    for (metric, other) in
        [("psi", "error_rate"), ("ks", "unseen_rate"), ("wasserstein", "latency_p50"), ("error_rate", "psi")]
    {
        assert_eq!(read(other, find(metric).expect("is listed")), [], "{metric}");
    }
    for (metric, readings) in [("precision", 0), ("mae", 0), ("accuracy", 1), ("auc", 1), ("ece", 4)] {
        assert_eq!(read("ece", find(metric).expect("is listed")).len(), readings, "{metric} with several classes");
    }
}
