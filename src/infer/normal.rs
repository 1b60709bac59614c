//! The standard normal distribution, to the last digits and alike on every platform.
//!
//! **Source**: Abramowitz and Stegun, Handbook of Mathematical Functions, 1964, 26.2.23, for a start within 0.00045 of
//! the quantile, and two steps of Halley's method on `erfc` from there.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

/// `P(Z > z)`.
#[must_use]
pub fn normal_sf(z: f64) -> f64 {
    0.5 * libm::erfc(z * FRAC_1_SQRT_2)
}

/// The `z` with `P(Z > z) = p`, for `p` in (0, 1).
#[must_use]
pub fn normal_upper(p: f64) -> f64 {
    if p > 0.5 {
        return -upper_half(1.0 - p);
    }
    upper_half(p)
}

/// The `z` with `P(Z <= z) = p`, for `p` in (0, 1): the probit.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    -normal_upper(p)
}

/// The probit to within 0.00045, without the steps of Halley's method: where any increasing score would do.
#[must_use]
pub fn rough_quantile(p: f64) -> f64 {
    if p > 0.5 { rough_upper_half(1.0 - p) } else { -rough_upper_half(p) }
}

fn rough_upper_half(p: f64) -> f64 {
    let t = (-2.0 * libm::log(p)).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

fn upper_half(p: f64) -> f64 {
    let mut z = rough_upper_half(p);
    for _ in 0..2 {
        let density = libm::exp(-0.5 * z * z) / TAU.sqrt();
        let step = (normal_sf(z) - p) / density;
        z += step / (1.0 - 0.5 * z * step);
    }
    z
}

#[cfg(test)]
#[expect(clippy::unreadable_literal, reason = "as SciPy prints them")]
mod tests {
    use super::*;

    /// `scipy.stats.norm.isf`, `SciPy` 1.17.1: probability, quantile.
    const UPPER: [(f64, f64); 8] = [
        (1e-12, 7.034483825301131),
        (1e-06, 4.753424308822899),
        (0.001, 3.090232306167813),
        (0.025, 1.9599639845400545),
        (0.2, 0.8416212335729142),
        (0.499, 0.0025066308995717666),
        (0.7, -0.5244005127080407),
        (0.999, -3.090232306167813),
    ];

    #[test]
    fn agrees_with_scipy_and_with_its_own_inverse() {
        for (p, truth) in UPPER {
            let z = normal_upper(p);
            assert!((z - truth).abs() < 1e-12, "at {p}: {z} instead of {truth}");
            assert!((normal_sf(z) / p - 1.0).abs() < 1e-10, "at {p}: {}", normal_sf(z));
            assert!((normal_quantile(p) + z).abs() < 1e-15);
            assert!((rough_quantile(p) + z).abs() < 4.5e-4, "at {p}: {}", rough_quantile(p));
        }
    }

    #[test]
    fn sides_mirror_each_other() {
        for p in [0.01, 0.2, 0.4999, 0.5] {
            assert!((normal_upper(p) + normal_upper(1.0 - p)).abs() < 1e-12, "at {p}");
        }
    }

    #[test]
    fn rough_quantiles_increase() {
        let at = |per_mille: u32| rough_quantile(f64::from(per_mille) / 1000.0);
        assert!((1..999).all(|p| at(p) < at(p + 1)), "{} {} {}", at(499), at(500), at(501));
    }
}
