//! The case that other drift tools were timed with: 1,000,000 rows of 50 features in memory, the first half a
//! reference, the second half judged against it. PSI on deciles and the binned Kolmogorov-Smirnov distance with its
//! certified bounds.
//!
//! All work from raw values to the readings is timed: finding the reference's quantiles, building the tables, counting
//! and adding up both halves, and the metrics themselves. Making the data is not. Columns are normal, lognormal,
//! heavy-tailed, whole numbers and zero-inflated in turn, and every third of them drifts.

mod common;

use std::hint::black_box;

use common::{Seeded, is_measuring, median, wall_s};
use haldane::kernel::bin::Edges;
use haldane::kernel::moment::Grid;
use haldane::metric::{self, Context, MetricResult, Side, Value};
use haldane::summary::Histogram;
use haldane::summary::histogram::{Cut, Recuts};

const FEATURES: usize = 50;
/// Fine bins, as a pipeline has them unless it says otherwise; a multiple of ten, so that deciles are among their
/// edges.
const BINS: usize = 1040;
const ROUNDS: usize = 7;

/// One feature: its reference and its judged values.
struct Feature {
    reference: Vec<f64>,
    current: Vec<f64>,
}

fn main() {
    let (n_rows, rounds) = if is_measuring() { (500_000, ROUNDS) } else { (2_000, 1) };
    let features: Vec<Feature> = (0..FEATURES).map(|column| feature(column, n_rows)).collect();
    let n_values = FEATURES * 2 * n_rows;
    let mut cpu = Vec::new();
    let wall: Vec<f64> = (0..rounds)
        .map(|_| {
            let before = cpu_s();
            let wall = wall_s(&mut || drop(black_box(report(&features))));
            cpu.extend(cpu_s().zip(before).map(|(after, before)| after - before));
            wall
        })
        .collect();
    let readings = report(&features);
    let total = |metric: usize| readings.iter().map(|row| number(&row[metric])).sum::<f64>();
    println!("{n_values} values, {FEATURES} features, {BINS} fine bins, {rounds} rounds");
    println!("PSI sum {:.6}, KS sum {:.6}", total(0), total(1));
    print_seconds("wall", &wall, n_values);
    if !cpu.is_empty() {
        print_seconds("CPU", &cpu, n_values);
    }
}

/// CPU seconds that the main thread, which does all the work, has taken, where the system tells (Linux).
fn cpu_s() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split(' ').next()?.parse::<f64>().ok().map(|nanos| nanos / 1e9)
}

#[expect(clippy::cast_precision_loss, reason = "a few million values")]
fn print_seconds(clock: &str, seconds: &[f64], n_values: usize) {
    let (middle, least) = (median(seconds.to_vec()), seconds.iter().copied().fold(f64::INFINITY, f64::min));
    let rate = n_values as f64 / middle / 1e6;
    println!("{clock:>5} s: median {middle:.3}, least {least:.3}; {rate:.1} million values per second");
}

fn feature(column: usize, n_rows: usize) -> Feature {
    let mut seeded = Seeded(column as u64);
    let shift = if column.is_multiple_of(3) { 0.1 } else { 0.0 };
    let mut draw = |shift: f64| {
        let z = seeded.normal() + shift;
        match column % 5 {
            0 => 50.0 + 10.0 * z,
            1 => z.exp(),
            2 => z / seeded.normal().abs().max(0.05),
            3 => (20.0 * z).round(),
            _ => z.max(0.0),
        }
    };
    Feature { reference: (0..n_rows).map(|_| draw(0.0)).collect(), current: (0..n_rows).map(|_| draw(shift)).collect() }
}

/// PSI and KS of every feature.
fn report(features: &[Feature]) -> Vec<[MetricResult; 2]> {
    features.iter().map(compare).collect()
}

fn compare(feature: &Feature) -> [MetricResult; 2] {
    let cut = cut(&feature.reference);
    let histogram = |values: &[f64]| {
        let mut histogram = Histogram::new(&cut);
        histogram.update(&cut, values);
        histogram
    };
    let (current, baseline) = (histogram(&feature.current), histogram(&feature.reference));
    let context = Context { cut: Some(&cut), ..Context::ALONE };
    ["psi", "ks"].map(|name| {
        let metric = metric::find(name).expect("a metric of that name");
        let baseline = Some(Side::Numeric(&baseline));
        metric.read(Side::Numeric(&current), baseline, &context).swap_remove(0)
    })
}

fn number(reading: &MetricResult) -> f64 {
    match reading.value {
        Value::Number(number) => number,
        other => panic!("no number but {other:?}"),
    }
}

/// Fine edges at the quantiles of the reference, its ends and deciles among them.
fn cut(reference: &[f64]) -> Cut {
    let ladder = quantiles(reference);
    let mut edges = vec![ladder[0].next_down()];
    edges.extend(&ladder);
    edges.dedup();
    let place = |value: f64| edges.partition_point(|&edge| edge < value);
    let mut bins10: Vec<u16> =
        (1..10).map(|decile| u16::try_from(place(ladder[decile * BINS / 10])).expect("few edges")).collect();
    bins10.dedup();
    let grid = Grid::for_range(ladder[0], ladder[BINS]);
    let edges = Edges::new(edges).expect("finite and rising");
    Cut { edges, grid, recuts: Recuts { bins10, ..Recuts::default() } }
}

/// The quantiles at `0, 1/BINS, …, 1` by linear interpolation (type 7).
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 <= h < n, and n is far below 2^53"
)]
fn quantiles(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    let last = values.len() - 1;
    let heights: Vec<f64> = (0..=BINS).map(|step| last as f64 * (step as f64 / BINS as f64)).collect();
    let mut ranks: Vec<usize> = heights.iter().flat_map(|&h| [h as usize, (h as usize + 1).min(last)]).collect();
    ranks.sort_unstable();
    ranks.dedup();
    place_ranks(&mut values, &ranks, 0);
    let between = |&h: &f64| {
        let (below, above) = (values[h as usize], values[(h as usize + 1).min(last)]);
        below + (above - below) * h.fract()
    };
    heights.iter().map(between).collect()
}

/// Puts the values of these rising ranks where sorting would, without sorting the rest. `values` start at rank `first`.
fn place_ranks(values: &mut [f64], ranks: &[usize], first: usize) {
    let Some(&rank) = ranks.get(ranks.len() / 2) else { return };
    let (left, _, right) = values.select_nth_unstable_by(rank - first, f64::total_cmp);
    place_ranks(left, &ranks[..ranks.len() / 2], first);
    place_ranks(right, &ranks[ranks.len() / 2 + 1..], rank + 1);
}
