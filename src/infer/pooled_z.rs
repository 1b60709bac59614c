//! The z-test of two rates, with the rate of both sides together in the standard error.
//!
//! `z = (p_c - p_b) / sqrt(q (1 - q) (1 / n_c + 1 / n_b))`, `q = (x_c + x_b) / (n_c + n_b)`; two-sided against the
//! normal law. Its square is Pearson's chi-square of the table.
//!
//! **Source**: Pearson, On the criterion, Phil. Mag. 50, 1900; Fleiss, Levin and Paik, Statistical Methods for Rates
//! and Proportions, 2003, section 3.1.
//! **Returns**: `z` of any sign and `p` in [0, 1]; 0 and 1 where nothing or everything is a success, since the rates
//! are equal then. Nothing with an empty side.
//! **Assumes**: independent events, some five successes and failures a side.
//! **Error**: that of the normal law; [`super::fisher`] has none. **Cost**: constant.

use super::normal::normal_sf;
use super::two_sample::{Arm, standardised};

/// The statistic and its two-sided p-value.
#[must_use]
pub fn pooled_z(current: Arm, baseline: Arm) -> Option<(f64, f64)> {
    let z = standardised(current, baseline, 1.0).unwrap_or(0.0);
    (current.n > 0 && baseline.n > 0).then(|| (z, (2.0 * normal_sf(z.abs())).min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_everything() {
        let arm = |x: u32, n: u64| Arm { n, x: f64::from(x) };
        assert_eq!(pooled_z(arm(0, 0), arm(1, 2)), None);
        assert_eq!(pooled_z(arm(0, 10), arm(0, 20)), Some((0.0, 1.0)));
        assert_eq!(pooled_z(arm(10, 10), arm(20, 20)), Some((0.0, 1.0)));
        let (z, p) = pooled_z(arm(10, 10), arm(0, 10)).expect("events on both sides");
        assert!((z * z - 20.0).abs() < 1e-12 && p < 1e-4, "{z} {p}");
    }
}
