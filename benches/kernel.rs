//! Kernels against the plain way to do the same, over two million distinct values.
//!
//! Criterion gives the absolute figures. They move with whatever else the machine does, so the table at the end times
//! the kernel and the plain way in turns (A, B, A, B, …) in one process and prints the ratio of the medians: that is
//! what the goals are about. Every pair first shows that both give the same counts.

mod common;

use std::hint::black_box;

use common::{Seeded, is_measuring, median, wall_s};
use criterion::{Criterion, Throughput};
use haldane::kernel::bin::Edges;
use haldane::kernel::moment::{self, Grid};
use haldane::kernel::select::{self, SelectedRows};

/// Rows of one batch of the scan.
const BATCH: usize = 8192;
/// Columns and groups of the composite.
const COLUMNS: usize = 30;
const GROUPS: usize = 6;
/// Rounds of the table.
const ROUNDS: usize = 15;

/// A kernel and its plain rival on the same values.
struct Duel {
    name: String,
    n_values: usize,
    /// The ratio that must be reached.
    goal: f64,
    kernel: Box<dyn FnMut()>,
    plain: Box<dyn FnMut()>,
}

fn main() {
    let n_batches = if is_measuring() { 256 } else { 1 };
    let mut duels = duels(n_batches);
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(std::time::Duration::from_millis(200))
        .measurement_time(std::time::Duration::from_secs(1))
        .configure_from_args();
    for duel in &mut duels {
        measure(&mut criterion, duel);
    }
    criterion.final_summary();
    print_table(&mut duels, if is_measuring() { ROUNDS } else { 1 });
}

fn measure(criterion: &mut Criterion, duel: &mut Duel) {
    let mut group = criterion.benchmark_group(&duel.name);
    group.throughput(Throughput::Elements(duel.n_values as u64));
    group.bench_function("kernel", |bencher| bencher.iter(&mut duel.kernel));
    group.bench_function("plain", |bencher| bencher.iter(&mut duel.plain));
    group.finish();
}

#[expect(clippy::cast_precision_loss, reason = "a few million values")]
fn print_table(duels: &mut [Duel], rounds: usize) {
    println!("{:<34} {:>10} {:>10} {:>7} {:>6}", "ns per value", "kernel", "plain", "ratio", "goal");
    for duel in duels {
        let (mut kernel, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            kernel.push(wall_s(&mut duel.kernel) * 1e9 / duel.n_values as f64);
            plain.push(wall_s(&mut duel.plain) * 1e9 / duel.n_values as f64);
        }
        let (kernel, plain) = (median(kernel), median(plain));
        let (name, goal) = (&duel.name, duel.goal);
        println!("{name:<34} {kernel:>10.2} {plain:>10.2} {:>7.1} {goal:>6.1}", plain / kernel);
    }
}

fn duels(n_batches: usize) -> Vec<Duel> {
    let mut seeded = Seeded(1);
    let normal: Vec<f64> = (0..n_batches * BATCH).map(|_| seeded.normal()).collect();
    let lognormal: Vec<f64> = normal.iter().map(|z| (2.5 * z).exp()).collect();
    let mut duels = Vec::new();
    for (column, values) in [("normal", &normal), ("lognormal", &lognormal)] {
        for n_bins in [10, 64, 256, 1040] {
            let name = format!("bin {column} into {n_bins}");
            duels.push(binning(name, values.clone(), quantile_edges(values, n_bins)));
        }
    }
    duels.push(summing(normal.clone()));
    duels.push(grouped("grouped count", &normal, false));
    duels.push(grouped("grouped count and sums", &normal, true));
    duels
}

/// Edges at the quantiles of a column, its ends among them.
fn quantile_edges(values: &[f64], n_bins: usize) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (0..=n_bins).map(|step| sorted[step * (sorted.len() - 1) / n_bins]).collect()
}

fn binning(name: String, values: Vec<f64>, edges: Vec<f64>) -> Duel {
    let edges = Edges::new(edges).expect("distinct quantiles");
    let (mut counts, mut plain_counts) = (vec![0_u64; edges.n_bins()], vec![0_u64; edges.n_bins()]);
    edges.count(&values, &mut counts);
    plain_count(&edges, &values, &mut plain_counts);
    assert_eq!(counts, plain_counts);
    let (plain_edges, plain_values) = (edges.clone(), values.clone());
    Duel {
        name,
        n_values: values.len(),
        goal: if edges.n_bins() < 64 { 2.0 } else { 3.0 },
        kernel: Box::new(move || values.chunks(BATCH).for_each(|batch| edges.count(batch, &mut counts))),
        plain: Box::new(move || {
            plain_values.chunks(BATCH).for_each(|batch| plain_count(&plain_edges, batch, &mut plain_counts));
        }),
    }
}

fn plain_count(edges: &Edges, values: &[f64], counts: &mut [u64]) {
    for &value in values {
        counts[edges.bin(value)] += 1;
    }
}

fn summing(values: Vec<f64>) -> Duel {
    let grid = Grid::for_range(-6.0, 6.0);
    let kernel = moment::sums(grid, &values);
    assert_eq!((kernel.sum, kernel.sum_sq), plain_sums(grid, &values));
    let plain_values = values.clone();
    Duel {
        name: "sums".to_owned(),
        n_values: values.len(),
        goal: 3.0,
        kernel: Box::new(move || values.chunks(BATCH).map(|batch| moment::sums(grid, batch)).for_each(keep)),
        plain: Box::new(move || plain_values.chunks(BATCH).map(|batch| plain_sums(grid, batch)).for_each(keep)),
    }
}

/// Makes the compiler believe that a result is used.
fn keep<T>(result: T) {
    black_box(result);
}

#[expect(clippy::cast_possible_truncation, reason = "values in the grid")]
fn plain_sums(grid: Grid, values: &[f64]) -> (i128, i128) {
    let fixed = values.iter().map(|value| i128::from(libm::rint((value - grid.center) * grid.scale()) as i64));
    fixed.fold((0, 0), |(sum, sum_sq), fixed| (sum + fixed, sum_sq + fixed * fixed))
}

/// What the scan does with a batch: 8192 rows of 30 columns in 6 groups, 64 bins.
#[derive(Clone)]
struct Grouped {
    edges: Edges,
    batches: Vec<Vec<Vec<f64>>>,
    /// Rows of each group.
    rows: Vec<Vec<u32>>,
    with_sums: bool,
    /// Per group and column.
    counts: Vec<Vec<u64>>,
}

fn grouped(name: &str, values: &[f64], with_sums: bool) -> Duel {
    let edges = Edges::new(quantile_edges(values, 64)).expect("distinct quantiles");
    let columns = values.chunks(BATCH).map(<[f64]>::to_vec).cycle().take(values.len().div_ceil(BATCH).max(COLUMNS));
    let batches: Vec<Vec<Vec<f64>>> =
        columns.collect::<Vec<_>>().chunks_exact(COLUMNS).map(<[Vec<f64>]>::to_vec).collect();
    let mut seeded = Seeded(2);
    let mut rows = vec![Vec::new(); GROUPS];
    for row in (0_u32..).take(BATCH) {
        rows[usize::try_from(seeded.bits() % GROUPS as u64).expect("few groups")].push(row);
    }
    let counts = vec![vec![0_u64; edges.n_bins()]; GROUPS * COLUMNS];
    let mut kernel = Grouped { edges, batches, rows, with_sums, counts };
    let mut plain = kernel.clone();
    kernel.by_kernel();
    plain.by_hand();
    assert_eq!(kernel.counts, plain.counts);
    Duel {
        name: name.to_owned(),
        n_values: kernel.batches.len() * COLUMNS * BATCH,
        goal: 2.5,
        kernel: Box::new(move || kernel.by_kernel()),
        plain: Box::new(move || plain.by_hand()),
    }
}

impl Grouped {
    fn by_kernel(&mut self) {
        let grid = Grid::for_range(-6.0, 6.0);
        for (batch, group) in self.batches.iter().flat_map(|batch| (0..GROUPS).map(move |group| (batch, group))) {
            let rows = SelectedRows::new(&self.rows[group]);
            for (values, counts) in batch.iter().zip(&mut self.counts[group * COLUMNS..]) {
                select::present(values, None, &rows, |block| {
                    self.edges.count(block, counts);
                    if self.with_sums {
                        black_box(moment::sums(grid, block));
                    }
                });
            }
        }
    }

    fn by_hand(&mut self) {
        let grid = Grid::for_range(-6.0, 6.0);
        for (batch, group) in self.batches.iter().flat_map(|batch| (0..GROUPS).map(move |group| (batch, group))) {
            for (values, counts) in batch.iter().zip(&mut self.counts[group * COLUMNS..]) {
                let present = self.rows[group].iter().map(|&row| values[row as usize]).filter(|value| !value.is_nan());
                if self.with_sums {
                    let present: Vec<f64> = present.collect();
                    plain_count(&self.edges, &present, counts);
                    black_box(plain_sums(grid, &present));
                } else {
                    present.for_each(|value| counts[self.edges.bin(value)] += 1);
                }
            }
        }
    }
}
