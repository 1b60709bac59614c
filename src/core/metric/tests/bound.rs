//! Certified bounds hold for any data over any edges, and no value is too extreme.

use proptest::collection::vec;
use proptest::prelude::*;

use super::cut;
use super::world::COMPAT;
use crate::kernel::bin::Edges;
use crate::kernel::moment::Grid;
use crate::metric::{Context, METRICS, MetricResult, Reads, Side, Value};
use crate::sim::Rng;
use crate::summary::Histogram;
use crate::summary::histogram::{Cut, Recuts};

fn cut_at(mut edges: Vec<f64>) -> Cut {
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    let recuts = Recuts { bins10: (0..edges.len() as u16).collect(), ..Recuts::default() };
    let grid = Grid::for_range(edges[0], edges[edges.len() - 1]);
    Cut { edges: Edges::new(edges).expect("edges increase"), grid, recuts }
}

/// All readings of metrics of a numeric column, with their metric's name.
fn readings(cut: &Cut, current: &Histogram, baseline: &Histogram) -> Vec<(&'static str, MetricResult)> {
    let context = Context { cut: Some(cut), compat: COMPAT, ..Context::ALONE };
    let columns = METRICS.iter().filter(|metric| matches!(metric.spec().reads, Reads::Numeric | Reads::Column));
    let of_metric = columns.flat_map(|metric| {
        let spec = metric.spec();
        let compared = spec.needs_baseline.then_some(Side::Numeric(baseline));
        metric.read(Side::Numeric(current), compared, &context).into_iter().map(|reading| (spec.name, reading))
    });
    of_metric.collect()
}

fn share_up_to(values: &[f64], x: f64) -> f64 {
    values.iter().filter(|value| **value <= x).count() as f64 / values.len() as f64
}

/// Exact Kolmogorov-Smirnov and Wasserstein distances.
fn exact(current: &[f64], baseline: &[f64]) -> [(&'static str, f64); 2] {
    let mut values = [current, baseline].concat();
    values.sort_by(f64::total_cmp);
    let gap = |x: f64| (share_up_to(current, x) - share_up_to(baseline, x)).abs();
    let largest = values.iter().map(|&x| gap(x)).fold(0.0, f64::max);
    let area = values.windows(2).map(|pair| gap(pair[0]) * (pair[1] - pair[0])).sum();
    [("ks", largest), ("wasserstein", area)]
}

/// Evidently's PSI and JS distance of two columns with more than 20 values each, from the rows themselves: bins of
/// equal width over both sides together, as many as Sturges' rule says.
fn evidently(current: &[f64], baseline: &[f64]) -> [(&'static str, f64); 2] {
    let pooled = [current, baseline].concat();
    let low = pooled.iter().copied().fold(f64::MAX, f64::min);
    let high = pooled.iter().copied().fold(f64::MIN, f64::max);
    let n_bins = ((pooled.len() as f64).log2() + 1.0).ceil() as usize;
    let edge = |i: usize| if i == n_bins { high } else { low + (high - low) * i as f64 / n_bins as f64 };
    let shares = |values: &[f64]| -> Vec<f64> {
        let in_bin = |value: f64, i: usize| edge(i) <= value && (value < edge(i + 1) || i + 1 == n_bins);
        let count = |i: usize| values.iter().filter(|&&value| in_bin(value, i)).count();
        (0..n_bins).map(|i| count(i) as f64 / values.len() as f64).collect()
    };
    let filled = |shares: &[f64]| -> Vec<f64> {
        let least = shares.iter().copied().filter(|&share| share > 0.0).fold(1.0, f64::min);
        let filler = if least <= 1e-4 { least / 1e6 } else { 1e-4 };
        shares.iter().map(|&share| if share > 0.0 { share } else { filler }).collect()
    };
    let (p, q) = (shares(baseline), shares(current));
    let psi = filled(&p).iter().zip(filled(&q)).map(|(p, q)| (q - p) * (q / p).ln()).sum();
    let part = |share: f64, middle: f64| if share > 0.0 { share * (share / middle).ln() } else { 0.0 };
    let js =
        p.iter().zip(&q).map(|(&p, &q)| part(p, f64::midpoint(p, q)) + part(q, f64::midpoint(p, q))).sum::<f64>() / 2.0;
    [("psi", psi), ("js_distance", js.max(0.0).sqrt())]
}

/// Columns of every shape, against themselves moved and stretched, cut by a reference that need not be like either.
#[test]
fn numbers_of_evidently_lie_inside_their_bounds() {
    let mut n_bounded = 0;
    for seed in 0..300 {
        let mut rng = Rng::new(seed);
        let draw = |rng: &mut Rng| match seed % 5 {
            0 => rng.normal(),
            1 => (2.5 * rng.normal()).exp(),
            2 => rng.student3(),
            3 => (40.0 * rng.unit()).floor(),
            _ => {
                if rng.chance(0.4) {
                    0.0
                } else {
                    rng.exponential()
                }
            }
        };
        let column = |rng: &mut Rng, n: u64, shift: f64, scale: f64| -> Vec<f64> {
            (0..n).map(|_| shift + scale * draw(rng)).collect()
        };
        let n = 30 + rng.bits() % 3_000;
        let [reference, baseline] = [column(&mut rng, 4_000, 0.0, 1.0), column(&mut rng, n, 0.0, 1.0)];
        let (shift, scale) = ((seed % 3) as f64 / 2.0, 1.0 + (seed % 7) as f64 / 6.0);
        let current = column(&mut rng, 30 + n / 2, shift, scale);
        let cut = cut::of_reference(&reference);
        let readings = readings(&cut, &cut::histogram(&cut, &current), &cut::histogram(&cut, &baseline));
        for (name, exact) in evidently(&current, &baseline) {
            let of_evidently = |one: &&(&str, MetricResult)| one.0 == name && one.1.convention.ends_with("evidently");
            let (_, reading) = readings.iter().find(of_evidently).expect("is read");
            let Some((low, high)) = reading.bounds else { continue };
            let Value::Number(value) = reading.value else { panic!("{reading:?}") };
            assert!(low - 1e-9 <= exact && exact <= high + 1e-9, "seed {seed}: {name} is {exact}, but {reading:?}");
            assert!(low <= value && value <= high, "seed {seed}: {reading:?}");
            n_bounded += 1;
        }
    }
    assert!(n_bounded > 400, "{n_bounded} numbers have bounds");
}

proptest! {
    #[test]
    fn the_exact_distance_lies_inside_its_bounds(
        edges in vec(-20_i32..20, 1..12),
        current in vec(-25_i32..25, 1..40),
        baseline in vec(-25_i32..25, 1..40),
    ) {
        // Thirds: some values lie on edges, some inside bins.
        let thirds = |values: Vec<i32>| values.into_iter().map(|x| f64::from(x) / 3.0).collect::<Vec<_>>();
        let cut = cut_at(edges.into_iter().map(|edge| f64::from(edge) / 2.0).collect());
        let (current, baseline) = (thirds(current), thirds(baseline));
        let readings = readings(&cut, &cut::histogram(&cut, &current), &cut::histogram(&cut, &baseline));
        for (name, expected) in exact(&current, &baseline) {
            let (_, reading) = readings.iter().find(|(metric, _)| *metric == name).expect("is read");
            let (low, high) = reading.bounds.expect("bounds");
            prop_assert!(low - 1e-9 <= expected && expected <= high + 1e-9, "{name} is {expected}, but {reading:?}");
            let Value::Number(value) = reading.value else { panic!("{reading:?}") };
            prop_assert!(low <= value && value <= high, "{reading:?}");
        }
    }

    #[test]
    fn extreme_values_give_finite_numbers_or_none(
        edges in vec(any::<f64>().prop_filter("finite", |x| x.is_finite()), 1..8),
        current in vec(any::<f64>().prop_filter("a number", |x| x.is_finite()), 0..8),
        baseline in vec(any::<f64>().prop_filter("a number", |x| x.is_finite()), 0..8),
    ) {
        let cut = cut_at(edges);
        for (name, reading) in readings(&cut, &cut::histogram(&cut, &current), &cut::histogram(&cut, &baseline)) {
            let all = [reading.bounds.map(|bounds| bounds.0), reading.bounds.map(|bounds| bounds.1), reading.p_value];
            prop_assert!(all.into_iter().flatten().all(f64::is_finite), "{name}: {reading:?}");
            if let Value::Number(value) = reading.value {
                prop_assert!(value.is_finite(), "{name}: {reading:?}");
            }
        }
    }
}
