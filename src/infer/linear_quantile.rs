//! Quantiles of rows, drawn straight between neighbours.
//!
//! `Q(q) = x_k + (h - k) (x_(k+1) - x_k)` over sorted rows counted from 0, `h = (n - 1) q`, `k = floor(h)`.
//!
//! **Source**: Hyndman and Fan, Sample quantiles in statistical packages, Am. Stat. 50, 1996, definition 7: what
//! `NumPy`, pandas, R and Excel give unless asked otherwise.
//! **Shapes**: finite rows that rise, `q` in [0, 1].
//! **Returns**: a number between the smallest and the largest row; nothing of no rows or another `q`.
//! **Error**: rounding. **Cost**: constant.

/// The quantile at `q` of sorted rows.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank, between 0 and the number of rows"
)]
pub fn linear_quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1).filter(|_| (0.0..=1.0).contains(&q))?;
    let rank = last as f64 * q;
    let below = (rank as usize).min(last);
    let (low, high, part) = (sorted[below], sorted[(below + 1).min(last)], rank - below as f64);
    // Two products, so that rows at either end of the range of floats do not overflow.
    Some((low * (1.0 - part) + high * part).clamp(low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_single_rows() {
        assert_eq!(linear_quantile(&[], 0.5), None);
        assert_eq!(linear_quantile(&[1.0], 1.5), None);
        assert_eq!(linear_quantile(&[1.0], f64::NAN), None);
        for q in [0.0, 0.3, 1.0] {
            assert_eq!(linear_quantile(&[4.25], q), Some(4.25));
            assert_eq!(linear_quantile(&[0.1; 7], q), Some(0.1));
        }
        assert_eq!(linear_quantile(&[1.0, 2.0, 4.0, 8.0], 0.5), Some(3.0));
        assert_eq!(linear_quantile(&[f64::MIN, f64::MAX], 0.5), Some(0.0));
    }

    #[test]
    fn it_rises() {
        let rows: Vec<f64> = (0..37_u32).map(|row| f64::from(row * row % 101)).collect();
        let mut sorted = rows;
        sorted.sort_by(f64::total_cmp);
        let at = |step: u32| linear_quantile(&sorted, f64::from(step) / 500.0).expect("rows");
        assert!((0..500).all(|step| at(step) <= at(step + 1)));
    }
}
