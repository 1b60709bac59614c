//! Sums that do not depend on order: values are rounded to a fixed grid once and added as integers.
//!
//! Floating-point sums change in the last bits with the order and the split of the data, and so would every decision that
//! rests on them. Here `x` becomes the integer `round((x - center) * 2^shift)`, and sums of it and of its square are exact.

use serde::{Deserialize, Serialize};

/// The grid of one column: where zero is and how fine it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// The value that becomes zero, near the middle of the data, so that a large offset costs no precision.
    pub center: f64,
    /// Binary digits after the point.
    pub shift: i32,
}

/// Bits for the largest expected distance from the center; outliers up to 2^16 times further still fit.
const RANGE_BITS: i32 = 44;
/// Fixed-point values are held within ± 2^60, so that a square fits into an `i128` many times over.
const CLAMP: f64 = (1_i64 << 60) as f64;

impl Grid {
    /// A grid for values in `[low, high]` that resolves 2^-44 of the largest distance from the middle.
    #[must_use]
    pub fn for_range(low: f64, high: f64) -> Self {
        let center = low / 2.0 + high / 2.0;
        let reach = (high - center).abs().max((center - low).abs());
        let exponent = if reach > 0.0 && reach.is_finite() { libm::ilogb(reach) + 1 } else { 1 };
        Self { center, shift: (RANGE_BITS - exponent).clamp(-1000, 1000) }
    }

    /// The factor 2^shift.
    #[must_use]
    pub fn scale(&self) -> f64 {
        libm::scalbn(1.0, self.shift)
    }
}

/// What one pass over values adds up to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sums {
    /// Sum of the fixed-point values.
    pub sum: i128,
    /// Sum of their squares.
    pub sum_sq: i128,
    /// Smallest value; +inf when there is none.
    pub min: f64,
    /// Largest value; -inf when there is none.
    pub max: f64,
    /// Values so far out that they were held at the end of the grid.
    pub n_clamped: u64,
}

/// Adds up `values`, none of which is NaN.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the value is clamped to ± 2^60 first")]
pub fn sums(grid: Grid, values: &[f64]) -> Sums {
    let scale = grid.scale();
    let mut sums = Sums { sum: 0, sum_sq: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, n_clamped: 0 };
    for &value in values {
        let scaled = (value - grid.center) * scale;
        let held = scaled.clamp(-CLAMP, CLAMP);
        sums.n_clamped += u64::from(held != scaled);
        let fixed = libm::rint(held) as i64;
        sums.sum += i128::from(fixed);
        sums.sum_sq = sums.sum_sq.saturating_add(i128::from(fixed) * i128::from(fixed));
        sums.min = sums.min.min(value);
        sums.max = sums.max.max(value);
    }
    sums
}
