//! Tests that people know, over the rows of two sides: each gives a p-value of no difference at all.

use crate::infer::exact_ks::{CELLS_MAX, kolmogorov_smirnov};
use crate::infer::mann_whitney::mann_whitney;
use crate::infer::runs::runs;
use crate::infer::welch::{Moments, welch};

/// A p-value of the current rows against the baseline's, both sorted.
pub(super) type RowTest = fn(&[f64], &[f64]) -> Option<f64>;

/// Functions with their tests.
pub(super) const OF_ROWS: [(&str, RowTest); 3] = [
    ("drift_ks_p", |current, baseline| kolmogorov_smirnov(runs(current, baseline), CELLS_MAX).map(|test| test.p)),
    ("drift_mann_whitney_p", |current, baseline| mann_whitney(runs(current, baseline)).map(|test| test.p)),
    ("drift_welch_p", |current, baseline| welch(Moments::of(current)?, Moments::of(baseline)?).map(|(_, p)| p)),
];

/// The test of a function.
pub(super) fn of_rows(function: &str) -> Option<RowTest> {
    OF_ROWS.iter().find(|(name, _)| *name == function).map(|(_, test)| *test)
}
