//! Survival functions of the distributions behind the tests: how likely a statistic is to exceed a value by chance.

use std::f64::consts::{PI, TAU};

use statrs::function::beta::beta_reg;
use statrs::function::gamma::gamma_ur;

/// Below this the Kolmogorov survival function is 1 to the last bit.
/// Origin: numerics; the first term is below the last digit.
const KOLMOGOROV_MIN: f64 = 0.1;
/// Where the two series of the Kolmogorov distribution meet: either needs no more than a few terms there.
/// Origin: literature; Press et al. (2007), section 6.14.12.
const KOLMOGOROV_SWITCH: f64 = 1.18;

/// `P(K > x)` of the Kolmogorov distribution.
///
/// The p-value of a two-sample Kolmogorov-Smirnov distance `D` between `n` and `m` values is
/// `kolmogorov_sf(sqrt(n m / (n + m)) D)`, to first order; on ties and bins it is conservative.
#[must_use]
pub fn kolmogorov_sf(x: f64) -> f64 {
    if x < KOLMOGOROV_MIN {
        return 1.0;
    }
    let sf = if x < KOLMOGOROV_SWITCH { 1.0 - theta_cdf(x) } else { alternating_sf(x) };
    sf.clamp(0.0, 1.0)
}

/// `sqrt(2 pi) / x * sum of exp(-(2j - 1)^2 pi^2 / (8 x^2))`, which converges fast for small `x`.
fn theta_cdf(x: f64) -> f64 {
    let rate = PI * PI / (8.0 * x * x);
    let terms = [1.0, 3.0, 5.0, 7.0].map(|odd: f64| libm::exp(-odd * odd * rate));
    TAU.sqrt() / x * terms.iter().sum::<f64>()
}

/// `2 * sum of (-1)^(j - 1) exp(-2 j^2 x^2)`, which converges fast for large `x`.
fn alternating_sf(x: f64) -> f64 {
    let terms = [1.0, 2.0, 3.0, 4.0, 5.0].map(|j: f64| libm::exp(-2.0 * j * j * x * x));
    2.0 * (terms[0] - terms[1] + terms[2] - terms[3] + terms[4])
}

/// `P(X >= x)` of the chi-square distribution with `dof` degrees of freedom; 1 without any, since there is nothing to
/// test.
#[must_use]
pub fn chi_square_sf(x: f64, dof: u32) -> f64 {
    if x <= 0.0 || dof == 0 {
        return 1.0;
    }
    if x == f64::INFINITY {
        return 0.0;
    }
    gamma_ur(f64::from(dof) / 2.0, x / 2.0).clamp(0.0, 1.0)
}

/// `P(T >= t)` of Student's t distribution with `dof` degrees of freedom, which need not be whole; `t` is at least 0.
#[must_use]
pub fn student_t_sf(t: f64, dof: f64) -> f64 {
    if t == f64::INFINITY {
        return 0.0;
    }
    beta_reg(dof / 2.0, 0.5, dof / (dof + t * t)) / 2.0
}

#[cfg(test)]
#[expect(clippy::unreadable_literal, reason = "as SciPy prints them")]
#[expect(clippy::float_cmp, reason = "the ends are exact")]
mod tests {
    use super::*;

    /// `scipy.special.kolmogorov`, `SciPy` 1.17.1.
    const KOLMOGOROV: [(f64, f64); 16] = [
        (0.05, 1.0),
        (0.2, 0.999999999999495),
        (0.3, 0.9999906941986655),
        (0.5, 0.9639452436648751),
        (0.8, 0.5441424115741981),
        (1.0, 0.26999967167735456),
        (1.17, 0.12939004218561884),
        (1.18, 0.1234538094297657),
        (1.19, 0.11774229287977166),
        (1.36, 0.049485876755377876),
        (1.63, 0.009846364888486529),
        (2.0, 0.0006709252557796953),
        (3.0, 3.045995948942526e-08),
        (5.0, 3.8574996959278356e-22),
        (10.0, 2.767793053473475e-87),
        (18.5, 1.0628136728909079e-297),
    ];

    /// `scipy.stats.chi2.sf`, `SciPy` 1.17.1: degrees of freedom, statistic, probability.
    const CHI_SQUARE: [(u32, f64, f64); 20] = [
        (1, 1e-08, 0.9999202115440526),
        (1, 0.5, 0.47950012218695337),
        (1, 3.841, 0.050013683763956804),
        (1, 40.0, 2.5396285894708634e-10),
        (2, 0.1, 0.951229424500714),
        (2, 1400.0, 9.85967654375939e-305),
        (3, 7.81, 0.05010605635000589),
        (9, 2.0, 0.9914676066288135),
        (9, 16.92, 0.04998360638750561),
        (9, 60.0, 1.3406780483959625e-09),
        (19, 30.14, 0.050043527691035886),
        (63, 40.0, 0.9895217674632927),
        (63, 82.5, 0.050221122986400774),
        (255, 250.0, 0.5766352636499277),
        (255, 400.0, 1.6600025244123397e-08),
        (1023, 1000.0, 0.6906084463510535),
        (1023, 1200.0, 9.870605956167375e-05),
        (8191, 8000.0, 0.9330397298378394),
        (8191, 8400.0, 0.0521426077434814),
        (8191, 9500.0, 1.087317215726781e-22),
    ];

    fn relative(value: f64, truth: f64) -> f64 {
        (value - truth).abs() / truth
    }

    #[test]
    fn kolmogorov_agrees_with_scipy() {
        for (x, truth) in KOLMOGOROV {
            let error = relative(kolmogorov_sf(x), truth);
            assert!(error < 1e-13, "at {x}: {} instead of {truth}", kolmogorov_sf(x));
        }
    }

    #[test]
    fn kolmogorov_at_its_ends() {
        assert_eq!(kolmogorov_sf(0.0), 1.0);
        assert_eq!(kolmogorov_sf(f64::from_bits(1)), 1.0);
        assert_eq!(kolmogorov_sf(KOLMOGOROV_MIN.next_down()), 1.0);
        assert_eq!(kolmogorov_sf(100.0), 0.0);
        assert_eq!(kolmogorov_sf(f64::INFINITY), 0.0);
    }

    #[test]
    fn kolmogorov_never_rises() {
        let values: Vec<f64> = (0..4000).map(|step| kolmogorov_sf(f64::from(step) / 1000.0)).collect();
        assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
    }

    #[test]
    fn chi_square_agrees_with_scipy() {
        for (dof, x, truth) in CHI_SQUARE {
            let error = relative(chi_square_sf(x, dof), truth);
            assert!(error < 1e-11, "{dof} at {x}: {} instead of {truth}", chi_square_sf(x, dof));
        }
    }

    #[test]
    fn chi_square_at_its_ends() {
        assert_eq!(chi_square_sf(0.0, 0), 1.0);
        assert_eq!(chi_square_sf(1.0, 0), 1.0);
        assert_eq!(chi_square_sf(0.0, 3), 1.0);
        assert_eq!(chi_square_sf(-1e-18, 3), 1.0);
        assert_eq!(chi_square_sf(f64::INFINITY, 3), 0.0);
    }

    #[test]
    fn student_t_is_that_of_scipy() {
        // scipy.stats.t.sf, SciPy 1.17.1, and the textbooks' critical values.
        for (t, dof, truth) in [
            (0.0, 3.0, 0.5),
            (1.0, 1.0, 0.25),
            (2.0, 5.0, 0.050969739414929105),
            (2.228138851986273, 10.0, 0.025),
            (12.706204736432095, 1.0, 0.025),
        ] {
            let p = student_t_sf(t, dof);
            assert!((p - truth).abs() < 1e-12, "t {t}, dof {dof}: {p}");
        }
        assert_eq!(student_t_sf(f64::INFINITY, 4.0), 0.0);
    }
}
