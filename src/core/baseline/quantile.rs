//! Quantiles by linear interpolation (type 7), with the exact arithmetic of `numpy.quantile`.
//!
//! With `h = (n - 1) q`, `a` the value at rank `floor(h)`, `b` the next one and `t = h - floor(h)`, the quantile is
//! `a + (b - a) t`, or `b - (b - a)(1 - t)` when `t >= 1/2`. The second form is the same number on paper; in floating
//! point it is what numpy computes, and bin edges that differ in the last bit put whole ties into another bin.
//!
//! **Source**: Hyndman and Fan 1996, definition 7; `numpy/lib/_function_base_impl.py`, `_lerp`.

/// The `q`-quantile of finite values in rising order; there must be one at least.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::many_single_char_names,
    reason = "0 <= h <= n - 1, far below 2^53; the letters are those of the formula above"
)]
pub fn type7(sorted: &[f64], q: f64) -> f64 {
    assert!(!sorted.is_empty() && (0.0..=1.0).contains(&q), "a quantile of something, between 0 and 1");
    let last = sorted.len() - 1;
    let h = last as f64 * q;
    let rank = (h as usize).min(last);
    let (a, b) = (sorted[rank], sorted[(rank + 1).min(last)]);
    let t = h - rank as f64;
    if t >= 0.5 { b - (b - a) * (1.0 - t) } else { a + (b - a) * t }
}

/// The quantiles at `0/n, 1/n, …, n/n`.
pub fn ladder(sorted: &[f64], n: u16) -> impl Iterator<Item = f64> {
    (0..=n).map(move |step| type7(sorted, f64::from(step) / f64::from(n)))
}

/// The quantiles at `1/n, …, (n - 1)/n`, rising, without repetitions.
#[must_use]
pub fn interior(sorted: &[f64], n: u16) -> Vec<f64> {
    let mut edges: Vec<f64> = (1..n).map(|step| type7(sorted, f64::from(step) / f64::from(n))).collect();
    edges.dedup();
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_numpy_to_the_last_bit() {
        // numpy 2.4.6: np.quantile([0.1, 0.2, 0.4, 1.7, 3.3, 3.3, 9.0], [k / 10 for k in range(11)])
        let sorted = [0.1, 0.2, 0.4, 1.7, 3.3, 3.3, 9.0];
        let expected = [
            0.1,
            0.160_000_000_000_000_03,
            0.240_000_000_000_000_05,
            0.36,
            0.920_000_000_000_000_4,
            1.7,
            2.659_999_999_999_999_3,
            3.3,
            3.3,
            5.580_000_000_000_002,
            9.0,
        ];
        assert_eq!(ladder(&sorted, 10).collect::<Vec<_>>(), expected);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "no arithmetic is done on these")]
    fn repeated_quantiles_collapse() {
        assert_eq!(interior(&[2.0; 7], 10), [2.0]);
        assert_eq!(type7(&[5.0], 0.3), 5.0);
    }
}
