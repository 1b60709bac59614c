//! Cuts of a reference held in memory, made as simply as can be.

use crate::kernel::bin::Edges;
use crate::kernel::moment::Grid;
use crate::summary::Histogram;
use crate::summary::histogram::{Cut, Recuts};

/// More distinct values than this and quantiles take their place.
const DISTINCT_MAX: usize = 2080;

/// The cut of a reference without NaN.
pub(super) fn of_reference(reference: &[f64]) -> Cut {
    let mut sorted = reference.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
    let (deciles, vigintiles, doane) = (quantiles(&sorted, 10), quantiles(&sorted, 20), doane_edges(&sorted));
    let distinct = sorted.chunk_by(|a, b| a == b);
    let mut edges = if distinct.clone().count() <= DISTINCT_MAX {
        let atoms = distinct.clone().filter(|run| run.len() > 1).map(|run| run[0].next_down());
        distinct.clone().map(|run| run[0]).chain(atoms).collect()
    } else {
        quantiles(&sorted, 1040)
    };
    edges.extend(deciles.iter().chain(&vigintiles).chain(&doane).chain(&[low.next_down(), high]));
    let edges = sorted_once(edges);
    let kept = |coarse: &[f64]| coarse.iter().map(|edge| index(&edges, *edge)).collect();
    let range = kept(&[low.next_down(), high]);
    let recuts = Recuts { range, bins10: kept(&deciles), bins20: kept(&vigintiles), doane: kept(&doane) };
    Cut { edges: Edges::new(edges).expect("edges increase"), grid: Grid::for_range(low, high), recuts }
}

/// A histogram of values without NaN.
pub(super) fn histogram(cut: &Cut, values: &[f64]) -> Histogram {
    let mut histogram = Histogram::new(cut);
    histogram.update(cut, values);
    histogram
}

/// Interior type-7 quantiles `i / parts`, duplicates collapsed.
pub(super) fn quantiles(sorted: &[f64], parts: u32) -> Vec<f64> {
    let quantile = |i: u32| {
        let position = f64::from(i) / f64::from(parts) * (sorted.len() - 1) as f64;
        let rank = position as usize;
        let (below, above) = (sorted[rank], sorted[(rank + 1).min(sorted.len() - 1)]);
        // numpy comes from the nearer end, and so does this, for equal last bits.
        let (share, width) = (position - rank as f64, above - below);
        if share < 0.5 { below + width * share } else { above - width * (1.0 - share) }
    };
    sorted_once((1..parts).map(quantile).collect())
}

/// numpy's Doane bins, left-closed. The reference numbers use them for every column; `NannyML` itself takes one bin per
/// value where there are at most 50 and each stands for ten rows.
fn doane_edges(sorted: &[f64]) -> Vec<f64> {
    let (mut low, mut high) = (sorted[0], sorted[sorted.len() - 1]);
    if low == high {
        (low, high) = (low - 0.5, high + 0.5);
    }
    let n_bins = doane_bins(sorted);
    let step = (high - low) / n_bins as f64;
    let left = (0..n_bins).map(|i| (i as f64 * step + low).next_down());
    sorted_once(left.chain([high]).collect())
}

fn doane_bins(sorted: &[f64]) -> usize {
    let n = sorted.len() as f64;
    let moment = |center: f64, power: i32| sorted.iter().map(|x| (x - center).powi(power)).sum::<f64>() / n;
    let mean = moment(0.0, 1);
    let sd = moment(mean, 2).sqrt();
    if sorted.len() <= 2 || sd == 0.0 {
        return 1;
    }
    let skew = sorted.iter().map(|x| ((x - mean) / sd).powi(3)).sum::<f64>() / n;
    let spread = (6.0 * (n - 2.0) / ((n + 1.0) * (n + 3.0))).sqrt();
    (1.0 + n.log2() + (1.0 + skew.abs() / spread).log2()).ceil() as usize
}

fn sorted_once(mut edges: Vec<f64>) -> Vec<f64> {
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    edges
}

fn index(edges: &[f64], edge: f64) -> u16 {
    let index = edges.iter().position(|other| *other == edge).expect("every coarse edge is a fine edge");
    u16::try_from(index).expect("few edges")
}
