//! Limit laws behind p-values.

/// Survival function of the Kolmogorov distribution.
#[must_use]
pub fn kolmogorov_sf(x: f64) -> f64 {
    use std::f64::consts::PI;
    if x <= 0.0 {
        return 1.0;
    }
    let sum = |term: &dyn Fn(f64) -> f64| (1..=8).map(|j| term(f64::from(j))).sum::<f64>();
    let p = if x < 1.18 {
        let odd = |j: f64| libm::exp(-(2.0 * j - 1.0).powi(2) * PI * PI / (8.0 * x * x));
        1.0 - (2.0 * PI).sqrt() / x * sum(&odd)
    } else {
        2.0 * sum(&|j| if j % 2.0 == 1.0 { 1.0 } else { -1.0 } * libm::exp(-2.0 * j * j * x * x))
    };
    p.clamp(0.0, 1.0)
}

/// Survival function of the chi-square distribution.
#[must_use]
pub fn chi_square_sf(x: f64, dof: u32) -> f64 {
    if x <= 0.0 || dof == 0 {
        return 1.0;
    }
    statrs::function::gamma::gamma_ur(f64::from(dof) / 2.0, x / 2.0).clamp(0.0, 1.0)
}
