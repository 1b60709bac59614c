//! From a p-value to an e-value.
//!
//! `e = (1 - p + p ln p) / (p ln^2 p)`, the mean of `kappa p^(kappa - 1)` over all `kappa` in `(0, 1)`: it needs no
//! choice, grows almost like `1 / p` and falls to 1/2 where `p` is 1. In terms of `u = -ln p` it is
//! `(exp(u) - 1 - u) / u^2`.
//!
//! Any function whose integral over `(0, 1)` is at most 1 and which falls with `p` does this; a p-value that is larger
//! than it need be (a tolerance test away from its edge) makes the e-value smaller, never invalid.
//!
//! **Source**: Vovk and Wang, E-values: calibration, combination and applications, Ann. Stat. 49(3), 2021, section 2.
//! **Assumes**: `P(p <= x) <= x` for all `x`, given the windows before. **State**: none. **Cost**: two elementary
//! functions.

/// Below this `u` the first terms of the series are exact to the last digits.
/// Origin: numerics; the first term left out is below the last digit.
const SERIES_MAX: f64 = 0.01;

/// `ln e` of a p-value; of 0, as of the smallest positive float.
#[must_use]
pub fn log_e_of_p(p: f64) -> f64 {
    let u = -libm::log(p.clamp(f64::MIN_POSITIVE, 1.0));
    if u < SERIES_MAX {
        return libm::log(0.5 + u * (1.0 / 6.0 + u * (1.0 / 24.0 + u * (1.0 / 120.0 + u / 720.0))));
    }
    u - 2.0 * libm::log(u) + libm::log1p(-(1.0 + u) * libm::exp(-u))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_formula_in_p() {
        for p in [1e-300, 1e-12, 1e-3, 0.05, 0.3, 0.8] {
            let log = f64::ln(p);
            let truth = ((1.0 - p + p * log) / (p * log * log)).ln();
            assert!((log_e_of_p(p) - truth).abs() < 1e-12 * truth.abs().max(10.0), "at {p}: {}", log_e_of_p(p));
        }
    }

    #[test]
    fn nothing_is_won_on_average() {
        // The integral over (0, 1), as one over u: exp(-u) e(u), by Simpson's rule; beyond 400 it is 1/400.
        let integrand = |u: f64| if u == 0.0 { 0.5 } else { libm::exp(log_e_of_p(libm::exp(-u)) - u) };
        let (steps, width) = (40_000_u32, 0.01);
        let weight = |step: u32| if step == 0 || step == steps { 1.0 } else { 2.0 + 2.0 * f64::from(step % 2) };
        let sum: f64 = (0..=steps).map(|step| weight(step) * integrand(f64::from(step) * width)).sum();
        let total = sum * width / 3.0 + 1.0 / 400.0;
        assert!((total - 1.0).abs() < 1e-6, "{total}");
    }

    #[test]
    fn falls_with_p_between_its_ends() {
        let values: Vec<f64> = (0..=2000).map(|step| log_e_of_p(f64::from(step) / 2000.0)).collect();
        assert!(values.windows(2).all(|pair| pair[0] > pair[1]));
        assert!((log_e_of_p(1.0) - 0.5_f64.ln()).abs() < 1e-15);
        assert!(log_e_of_p(0.0).is_finite() && log_e_of_p(0.0) > 690.0);
    }
}
