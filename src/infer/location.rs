//! Where a window's values lie, against a reference: by normal scores.
//!
//! A value is scored by the normal quantile of its cell's mid-rank in the reference. The mean score of a window is 0
//! where it is like the reference, and two windows whose values differ by `d` of their own standard deviations differ
//! by about `d` of the spread of their scores, whatever the tails: both are smaller where cells are wide.
//!
//! **Source**: van der Waerden, *Mathematical Statistics*, 1957 (normal scores). **State**: none. **Cost**: a quantile
//! per cell of the window that is not empty.

use super::log_space::float;
use super::normal::rough_quantile;

/// The smallest spread that scores are taken to have.
/// Origin: choice; where all values are in one cell, their spread is not seen.
const SPREAD_MIN: f64 = 0.25;

/// Scores of one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Location {
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, at least a quarter.
    pub spread: f64,
    /// Their fourth central moment, in squares of their variance.
    pub kurtosis: f64,
    /// Their number.
    pub n: u64,
}

/// The scores of a window over the cells of a reference, low ones first; nothing where a side is empty.
#[must_use]
pub fn location(reference: &[u64], window: &[u64]) -> Option<Location> {
    assert_eq!(reference.len(), window.len(), "one count per cell and side");
    let (all, n): (u64, u64) = (reference.iter().sum(), window.iter().sum());
    if all == 0 || n == 0 {
        return None;
    }
    let beyond = 0.5 / float(all + 1);
    let (mut below, mut powers) = (0.0, [0.0; 4]);
    for (&usual, &found) in reference.iter().zip(window) {
        if found > 0 {
            // A value beyond all of the reference is as far out as its next one could be.
            let rank = (below + float(usual) / 2.0) / float(all);
            let score = rough_quantile(rank.clamp(beyond, 1.0 - beyond));
            let mut term = float(found) / float(n);
            for power in &mut powers {
                term *= score;
                *power += term;
            }
        }
        below += float(usual);
    }
    let [mean, square, cube, fourth] = powers;
    let spread = (square - mean * mean).max(0.0).sqrt().max(SPREAD_MIN);
    let central = fourth - 4.0 * mean * cube + 6.0 * mean.powi(2) * square - 3.0 * mean.powi(4);
    Some(Location { mean, spread, kurtosis: central / spread.powi(4), n })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normal::normal_sf;

    /// Counts of so many events with a normal distribution around a mean, in the reference's 20-quantiles.
    fn normal(n: f64, mean: f64, spread: f64) -> Vec<u64> {
        let edges = (1..20).map(|i| rough_quantile(f64::from(i) / 20.0));
        let below = edges.map(|edge| 1.0 - normal_sf((edge - mean) / spread)).chain([1.0]);
        let mut last = 0.0;
        let share = |below: f64| below - std::mem::replace(&mut last, below);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
        below.map(share).map(|share| (n * share).round() as u64).collect()
    }

    #[test]
    fn a_shift_is_found_as_large_as_it_is_wherever_windows_lie() {
        let reference = normal(1e6, 0.0, 1.2);
        let of = |mean: f64| location(&reference, &normal(1e6, mean, 1.0)).expect("events");
        for (before, shift) in [(0.0, 0.5), (0.55, 0.5), (-0.55, 0.5), (0.3, -0.25), (0.0, 0.0)] {
            let (before, after) = (of(before), of(before + shift));
            let found = (after.mean - before.mean) / before.spread.midpoint(after.spread);
            assert!((found - shift).abs() < 0.06 * shift.abs() + 1e-3, "{shift}: {found}");
        }
        assert!(location(&reference, &normal(1e6, 0.0, 1.5)).expect("events").mean.abs() < 1e-3);
        let far = of(50.0);
        assert!((1.6..1.8).contains(&far.mean) && (far.spread - SPREAD_MIN).abs() < 1e-9, "{far:?}");
    }

    #[test]
    fn tails_are_as_heavy_as_those_of_the_distribution() {
        let kurtosis = |reference: &[u64], window: &[u64]| location(reference, window).expect("events").kurtosis;
        assert!((kurtosis(&[1, 1], &[1, 3]) - 7.0 / 3.0).abs() < 1e-9, "of two values, one in four: (1 - 3 pq) / pq");
        let fine: Vec<u64> = normal(1e7, 0.0, 1.0).into_iter().flat_map(|n| [n / 2; 2]).collect();
        assert!((2.0..3.0).contains(&kurtosis(&fine, &fine)), "cells cut tails off");
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        assert_eq!(location(&[10, 10], &[0, 0]), None);
        assert_eq!(location(&[0, 0], &[1, 2]), None);
        let one_cell = location(&[10], &[3]).expect("events");
        assert!(one_cell.mean.abs() < 1e-6 && one_cell.n == 3, "{one_cell:?}");
    }
}
