//! Sums that do not depend on order: values are rounded to a fixed grid once and added as integers.
//!
//! Floating-point sums change in the last bits with the order and the split of the data, and so would every decision
//! that rests on them. Here `x` becomes the integer `round((x - center) * 2^shift)`, and sums of it and of its square
//! are exact.

use serde::{Deserialize, Serialize};

use super::wide::widest;

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
/// Steps of the grid that a number must be large for its moments to be told.
const RESOLVED: f64 = 65_536.0;
/// Fixed-point values are held within ± 2^60, so that a square fits into an `i128` many times over.
const CLAMP: f64 = 1_152_921_504_606_846_976.0;

impl Grid {
    /// A grid for values in `[low, high]` that resolves 2^-44 of the largest distance from the middle.
    #[must_use]
    pub fn for_range(low: f64, high: f64) -> Self {
        let center = low / 2.0 + high / 2.0;
        let reach = (high - center).abs().max((center - low).abs());
        let exponent = if reach > 0.0 && reach.is_finite() { libm::ilogb(reach) + 1 } else { 1 };
        Self { center, shift: (RANGE_BITS - exponent).clamp(-1000, 1023) }
    }

    /// Whether numbers of this size, or that far apart, are told apart to one part in 65,536 at least.
    #[must_use]
    pub fn resolves(&self, size: f64) -> bool {
        size * self.scale() >= RESOLVED
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

/// Values that are added up in machine words before they are carried into 128 bits: 1024 terms below 2^52 fit into 64.
const BLOCK: usize = 1024;
/// Minima and maxima that are kept side by side.
const LANES: usize = 8;
/// Fixed-point values within ± (2^51 - 1) take the fast way.
const REACH: f64 = 2_251_799_813_685_247.0;
/// 2^52 + 2^51. Adding it to a float within ± (2^51 - 1) leaves that, rounded to even as an integer and raised by 2^51,
/// in the low 52 bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
/// By how much it is raised.
const BIAS: i128 = 1 << 51;
/// Half of 52 bits: products of halves fit into a word.
const HALF_BITS: u32 = 26;
const HALF: u64 = (1 << HALF_BITS) - 1;

/// Adds up `values`, none of which is NaN.
#[must_use]
pub fn sums(grid: Grid, values: &[f64]) -> Sums {
    let (center, scale) = (grid.center, grid.scale());
    let mut sums = Sums { sum: 0, sum_sq: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, n_clamped: 0 };
    for block in values.chunks(BLOCK) {
        let (min, max) = widest(|| range(block));
        (sums.min, sums.max) = (sums.min.min(min), sums.max.max(max));
        let is_near = (min - center) * scale >= -REACH && (max - center) * scale <= REACH;
        if is_near { widest(|| sums.add_near(center, scale, block)) } else { sums.add_far(center, scale, block) }
    }
    sums
}

/// Smallest and largest value. A zero is +0, since which of two zeros is met first depends on order.
#[inline]
fn range(block: &[f64]) -> (f64, f64) {
    let (rows, rest) = block.as_chunks::<LANES>();
    let (mut min, mut max) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    for row in rows {
        for lane in 0..LANES {
            min[lane] = if row[lane] < min[lane] { row[lane] } else { min[lane] };
            max[lane] = if row[lane] > max[lane] { row[lane] } else { max[lane] };
        }
    }
    let min = min.iter().chain(rest).copied().fold(f64::INFINITY, f64::min);
    let max = max.iter().chain(rest).copied().fold(f64::NEG_INFINITY, f64::max);
    (min + 0.0, max + 0.0)
}

impl Sums {
    /// Adds a block of values that all lie in the inner part of the grid, without a branch.
    ///
    /// Each becomes `u = fixed + 2^51 = h 2^26 + l`; the sums of `l`, `h`, `l l`, `l h` and `h h` stay below 2^64, and
    /// the bias is taken off afterwards.
    #[inline]
    fn add_near(&mut self, center: f64, scale: f64, block: &[f64]) {
        let (mut low, mut high, mut low_low, mut low_high, mut high_high) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
        for &value in block {
            let bits = ((value - center) * scale + ROUNDER).to_bits();
            let (l, h) = (bits & HALF, (bits >> HALF_BITS) & HALF);
            low += l;
            high += h;
            low_low += l * l;
            low_high += l * h;
            high_high += h * h;
        }
        let raised = |word: u64, halves: u32| i128::from(word) << (halves * HALF_BITS);
        let n = block.len() as i128;
        let sum = raised(low, 0) + raised(high, 1);
        let sum_sq = raised(low_low, 0) + 2 * raised(low_high, 1) + raised(high_high, 2);
        self.sum += sum - n * BIAS;
        self.sum_sq = self.sum_sq.saturating_add(sum_sq - 2 * BIAS * sum + n * BIAS * BIAS);
    }

    /// Adds any values, one by one. A saturating sum of squares does not depend on order: no term is negative.
    #[expect(clippy::cast_possible_truncation, reason = "the value is clamped to ± 2^60 first")]
    fn add_far(&mut self, center: f64, scale: f64, block: &[f64]) {
        for &value in block {
            let scaled = (value - center) * scale;
            let held = scaled.clamp(-CLAMP, CLAMP);
            self.n_clamped += u64::from(scaled.abs() > CLAMP);
            let fixed = held.round_ties_even() as i64;
            self.sum += i128::from(fixed);
            self.sum_sq = self.sum_sq.saturating_add(i128::from(fixed) * i128::from(fixed));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The scalar twin.
    #[expect(clippy::cast_possible_truncation, reason = "the value is clamped to ± 2^60 first")]
    fn twin(grid: Grid, values: &[f64]) -> Sums {
        let mut sums = Sums { sum: 0, sum_sq: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, n_clamped: 0 };
        for &value in values {
            let scaled = (value - grid.center) * grid.scale();
            let held = scaled.clamp(-CLAMP, CLAMP);
            sums.n_clamped += u64::from(scaled.abs() > CLAMP);
            let fixed = i128::from(libm::rint(held) as i64);
            sums.sum += fixed;
            sums.sum_sq = sums.sum_sq.saturating_add(fixed * fixed);
            sums.min = sums.min.min(value);
            sums.max = sums.max.max(value);
        }
        sums
    }

    #[test]
    fn nothing_adds_up_to_nothing() {
        assert_eq!(sums(Grid::for_range(0.0, 1.0), &[]), twin(Grid::for_range(0.0, 1.0), &[]));
    }

    #[test]
    fn the_border_of_the_fast_way_is_exact() {
        let grid = Grid { center: 0.0, shift: 0 };
        for value in [0.5, 1.5, 2.5, REACH, REACH + 0.25, REACH + 0.5, REACH + 1.0, 2.0 * REACH] {
            let values = [value, -value, 0.5, -0.5];
            assert_eq!(sums(grid, &values), twin(grid, &values), "{value}");
        }
    }

    #[test]
    fn a_full_block_does_not_overflow() {
        let grid = Grid { center: 0.0, shift: 0 };
        let values = vec![REACH; 3 * BLOCK];
        assert_eq!(sums(grid, &values), twin(grid, &values));
    }

    #[test]
    fn infinite_values_are_held_and_counted() {
        let mut values = vec![f64::INFINITY; 300];
        values.extend([f64::NEG_INFINITY, 0.25]);
        let all = sums(Grid::for_range(0.0, 1.0), &values);
        assert_eq!((all.n_clamped, all.sum_sq), (301, i128::MAX));
        assert_eq!(all, twin(Grid::for_range(0.0, 1.0), &values));
        values.reverse();
        assert_eq!(sums(Grid::for_range(0.0, 1.0), &values), all);
    }

    #[test]
    fn zeros_of_either_sign_give_the_same_bytes() {
        let grid = Grid::for_range(-1.0, 1.0);
        for values in [[0.0, -0.0], [-0.0, 0.0], [-0.0, -0.0]] {
            let sums = sums(grid, &values);
            assert_eq!((sums.min.to_bits(), sums.max.to_bits()), (0, 0));
        }
    }

    /// Values of a plain column, now and then one far outside the grid.
    fn column() -> impl Strategy<Value = Vec<f64>> {
        let outlier = any::<f64>().prop_filter("no NaN", |value| !value.is_nan());
        let plain = prop::collection::vec(-20.0..30.0_f64, 0..3000);
        (plain, prop::collection::vec(outlier, 0..3)).prop_map(|(mut values, outliers)| {
            values.extend(outliers);
            values
        })
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_twin(values in column(), low in -10.0..0.0_f64, width in 1e-3..1e3_f64) {
            let grid = Grid::for_range(low, low + width);
            prop_assert_eq!(sums(grid, &values), twin(grid, &values));
        }

        #[test]
        fn order_does_not_matter(values in column().prop_shuffle()) {
            let grid = Grid::for_range(-20.0, 30.0);
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            prop_assert_eq!(sums(grid, &values), sums(grid, &sorted));
        }
    }
}
