//! Which fine bins of a column hold what counts as one value.
//!
//! Numbers that were written in lower precision, or added in another order, are no change. `baseline::cut` lays edges
//! around every value that holds much of the reference: the value has a bin of its own, and those on both sides of it
//! take what lower precision makes of it. Whoever compares two sides by the order of their values puts these three
//! together. Which ones they are is seen from the edges alone, so it is the same for every window.

use super::ks::is_one_number;
use crate::summary::Refined;
use crate::summary::histogram::{Cut, HALF, SINGLE};

/// Rounding of edges, relative to how far apart they are.
const SLACK: f64 = 1e-6;

/// Counts over bins of a cut, refined or not, with bins of one value put together.
pub(crate) fn settled<const N: usize>(cut: &Cut, bins: &Refined<'_, u64, N>) -> [Vec<u64>; N] {
    let within = within(cut);
    bins.counts.each_ref().map(|counts| together(&within, &bins.edges, counts))
}

/// The edges that stand within one value and what is taken for it, rising.
fn within(cut: &Cut) -> Vec<f64> {
    let edges = cut.edges.as_slice();
    let ends = [cut.recuts.range.first(), cut.recuts.range.last()];
    let largest = ends.into_iter().flatten().map(|&edge| edges[usize::from(edge)].abs()).fold(0.0, f64::max);
    let (mut within, mut end) = (Vec::new(), 0);
    for bin in (1..edges.len()).filter(|&bin| is_one_number(edges, bin)) {
        let value = edges[bin];
        let reach = (value.abs() * HALF).max(largest * SINGLE) * (1.0 + SLACK);
        let from = if bin > 1 && value - edges[bin - 2] <= reach { bin - 1 } else { bin };
        let to = if edges.get(bin + 1).is_some_and(|after| after - value <= reach) { bin + 1 } else { bin };
        let from = from.max(end);
        if from < to {
            within.extend_from_slice(&edges[from..to]);
            end = to + 1;
        }
    }
    within
}

/// Counts over `edges`, without those edges that stand within a value.
fn together(within: &[f64], edges: &[f64], counts: &[u64]) -> Vec<u64> {
    let mut within = within.iter().peekable();
    let (mut settled, mut sum) = (Vec::with_capacity(counts.len()), 0);
    for (bin, count) in counts.iter().enumerate() {
        sum += count;
        let upper = edges.get(bin).copied().unwrap_or(f64::INFINITY);
        while within.next_if(|edge| **edge < upper).is_some() {}
        if within.next_if(|edge| **edge <= upper).is_none() {
            settled.push(sum);
            sum = 0;
        }
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::cut::{equal_width, of_values};
    use crate::metric::paired::cells_of_both;
    use crate::summary::Histogram;

    fn histogram(cut: &Cut, values: &[f64]) -> Histogram {
        let mut histogram = Histogram::new(cut);
        histogram.update(cut, values);
        histogram
    }

    fn counted(cut: &Cut, values: &[f64]) -> Vec<u64> {
        let [counts] = settled(cut, &Refined::of(cut, [&histogram(cut, values)]));
        counts
    }

    #[test]
    fn single_and_half_precision_move_no_value_and_other_values_stay_apart() {
        let prices = [1.05, 4.49, 9.99, 19.99, 99.9];
        let column: Vec<f64> = (0..4_000).map(|row| prices[row * 7 % 5]).collect();
        let mut sorted = column.clone();
        sorted.sort_by(f64::total_cmp);
        let cut = of_values(&sorted, 1_040);
        #[expect(clippy::cast_possible_truncation, reason = "single precision is what is meant")]
        let single: Vec<f64> = column.iter().map(|&value| f64::from(value as f32)).collect();
        let half: Vec<f64> = column.iter().map(|value| value * (1.0 - 4e-4)).collect();
        let other: Vec<f64> = column.iter().map(|value| value * 1.01).collect();
        assert_ne!(single, column);
        assert_eq!(counted(&cut, &single), counted(&cut, &column));
        assert_eq!(counted(&cut, &half), counted(&cut, &column));
        assert_ne!(counted(&cut, &other), counted(&cut, &column));
        let are_alike = |values: &[f64]| {
            let [left, right] = cells_of_both(&cut, [&histogram(&cut, values), &histogram(&cut, &column)], 10);
            left == right
        };
        assert_eq!([&single, &half, &other].map(|values| are_alike(values)), [true, true, false]);
    }

    #[test]
    fn bins_without_values_of_their_own_stay_as_they_are() {
        assert_eq!(within(&equal_width(0.0, 1.0, 40)), [0.0; 0]);
    }
}
