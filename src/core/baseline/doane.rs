//! Doane's bins, as `numpy.histogram_bin_edges(values, bins="doane")` lays them and `NannyML` uses them.
//!
//! The bin width is `range / (1 + log2 n + log2(1 + |g1| / s))` with the skewness `g1` and
//! `s = sqrt(6 (n - 2) / ((n + 1)(n + 3)))`; as many equal bins as fit, rounded up, from the smallest to the largest
//! value.
//!
//! **Source**: Doane 1976, Aesthetic frequency classifications; `numpy/lib/_histograms_impl.py`. **Error**: sums run
//! over sorted values, so the result does not depend on row order; numpy adds pairwise in row order and may lay one bin
//! more or less when the quotient is a whole number up to rounding.

/// Edges from the smallest to the largest of the values, which are finite, in rising order and not empty.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a bin count far below 2^53")]
pub fn edges(sorted: &[f64]) -> Vec<f64> {
    let (Some(&low), Some(&high)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let n_bins = n_bins(sorted, high - low);
    let (low, high) = if low < high { (low, high) } else { (low - 0.5, high + 0.5) };
    let step = (high - low) / n_bins as f64;
    let mut edges: Vec<f64> = (0..n_bins).map(|bin| bin as f64 * step + low).collect();
    edges.push(high);
    edges
}

/// The most bins the rule can ask for: twice its logarithm of 2^64 values.
const N_BINS_MAX: f64 = 130.0;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "between 1 and 130"
)]
fn n_bins(sorted: &[f64], range: f64) -> usize {
    let n = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / n;
    let sigma = (sorted.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n).sqrt();
    let is_defined = sorted.len() > 2 && sigma > 0.0 && range.is_finite();
    if !is_defined {
        return 1;
    }
    let cube = |value: f64| libm::pow((value - mean) / sigma, 3.0);
    let skew = sorted.iter().map(|&value| cube(value)).sum::<f64>() / n;
    let skew_sigma = (6.0 * (n - 2.0) / ((n + 1.0) * (n + 3.0))).sqrt();
    let width = range / (1.0 + libm::log2(n) + libm::log2(1.0 + skew.abs() / skew_sigma));
    (range / width).ceil().clamp(1.0, N_BINS_MAX) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_numpy() {
        // numpy 2.4.6: np.histogram_bin_edges(x, "doane")
        let skewed = [0.1, 0.2, 0.4, 1.7, 3.3, 3.3, 9.0];
        assert_eq!(
            edges(&skewed),
            [
                0.1,
                1.583_333_333_333_333_5,
                3.066_666_666_666_667,
                4.55,
                6.033_333_333_333_333,
                7.516_666_666_666_667,
                9.0
            ]
        );
        assert_eq!(edges(&[4.0; 5]), [3.5, 4.5]);
        assert_eq!(edges(&[1.0, 2.0]), [1.0, 2.0]);
        assert_eq!(edges(&[]), [] as [f64; 0]);
    }
}
