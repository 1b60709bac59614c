//! The non-central chi-square distribution: what a distance between counts looks like when the truth is not zero.
//!
//! `P(X > x) = sum over j of Poisson(j; ncp / 2) Q(dof / 2 + j, x / 2)`, `Q` the upper regularized gamma function,
//! which climbs by `Q(a + 1, y) = Q(a, y) + y^a exp(-y) / Gamma(a + 1)` from `Q(1/2, y) = erfc(sqrt(y))` or
//! `Q(1, y) = exp(-y)`. All terms are positive, so nothing cancels. Beyond `ncp` 500 or `x` 1200, where the first terms
//! leave the range of floats, the cube-root normal approximation of Sankaran takes over, which is within 0.3 per cent
//! there wherever the probability exceeds 1e-6.
//!
//! **Source**: Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions 2, 1995, chapter 29 (mixture);
//! Sankaran, Approximations to the non-central chi-square distribution, Biometrika 50, 1963. **Cost**: one
//! multiplication for each of about `dof / 2 + ncp / 2 + 10 sqrt(ncp)` terms.

use super::normal::normal_sf;

/// From here on the mixture is replaced by Sankaran's approximation.
/// Origin: numerics; the mixture needs ever more terms beyond.
const NCP_MAX: f64 = 500.0;
/// Origin: numerics; as for the non-centrality.
const X_MAX: f64 = 1200.0;
/// Terms that can add no more than this share of the sum are left out.
/// Origin: numerics; less than the last digit.
const NEGLIGIBLE: f64 = 1e-17;
/// Halvings of an interval that no float survives.
/// Origin: numerics; a float has 52 digits and eleven of exponent.
const HALVINGS: u32 = 100;

/// `P(X > x)` of the chi-square distribution with `dof` degrees of freedom and non-centrality `ncp`; 1 without any
/// degree of freedom, since there is nothing to test.
#[must_use]
pub fn noncentral_sf(x: f64, dof: u32, ncp: f64) -> f64 {
    if x <= 0.0 || dof == 0 {
        return 1.0;
    }
    if ncp >= NCP_MAX || x > X_MAX { sankaran_sf(x, f64::from(dof), ncp) } else { mixture_sf(x / 2.0, dof, ncp / 2.0) }
}

fn mixture_sf(y: f64, dof: u32, mean: f64) -> f64 {
    let odd = dof % 2 == 1;
    let (mut a, mut upper) = if odd { (0.5, libm::erfc(y.sqrt())) } else { (1.0, libm::exp(-y)) };
    // y^a exp(-y) / Gamma(a + 1), with Gamma(3/2) = sqrt(pi) / 2.
    let gamma = if odd { std::f64::consts::PI.sqrt() / 2.0 } else { 1.0 };
    let mut step = if odd { y.sqrt() } else { y } * libm::exp(-y) / gamma;
    let mut climb = || {
        let here = upper;
        upper += step;
        a += 1.0;
        step *= y / a;
        here
    };
    (1..dof.div_ceil(2)).for_each(|_| {
        climb();
    });
    let (mut j, mut weight, mut sum) = (0.0, libm::exp(-mean), 0.0);
    loop {
        sum += weight * climb();
        j += 1.0;
        weight *= mean / j;
        // Beyond twice the mean weights at least halve from term to term.
        if j >= 2.0 * mean && weight <= NEGLIGIBLE * sum {
            return sum.min(1.0);
        }
    }
}

fn sankaran_sf(x: f64, dof: f64, ncp: f64) -> f64 {
    let (one, two, three) = (dof + ncp, dof + 2.0 * ncp, dof + 3.0 * ncp);
    let h = 1.0 - 2.0 / 3.0 * one * three / (two * two);
    let p = two / (one * one);
    let m = (h - 1.0) * (1.0 - 3.0 * h);
    let center = 1.0 + h * p * (h - 1.0 - 0.5 * (2.0 - h) * m * p);
    let spread = h * (2.0 * p).sqrt() * (1.0 + 0.5 * m * p);
    normal_sf((libm::pow(x / one, h) - center) / spread)
}

/// The `x` with `P(X > x) = p`, for `p` in (0, 1); 0 without any degree of freedom.
#[must_use]
pub fn noncentral_upper(p: f64, dof: u32, ncp: f64) -> f64 {
    if dof == 0 {
        return 0.0;
    }
    let mut high = f64::from(dof) + ncp;
    while noncentral_sf(high, dof, ncp) > p {
        high *= 2.0;
    }
    bisect(0.0, high, |x| noncentral_sf(x, dof, ncp) <= p)
}

/// The smallest non-centrality at which `x` is exceeded with probability at least `p`.
#[must_use]
pub fn noncentrality(x: f64, dof: u32, p: f64) -> f64 {
    let mut high = x.max(1.0);
    while noncentral_sf(x, dof, high) < p {
        high *= 2.0;
    }
    bisect(0.0, high, |ncp| noncentral_sf(x, dof, ncp) >= p)
}

/// Where a condition that stays true once it is true begins to be.
fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    if holds(low) {
        return low;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

#[cfg(test)]
#[expect(clippy::unreadable_literal, reason = "as SciPy prints them")]
#[expect(clippy::float_cmp, reason = "the ends are exact")]
mod tests {
    use super::*;
    use crate::chi_square_sf;

    /// `scipy.stats.ncx2.sf`, `SciPy` 1.17.1: degrees of freedom, non-centrality, statistic, probability.
    const NONCENTRAL: [(u32, f64, f64, f64); 14] = [
        (1, 0.5, 3.0, 0.1600555730601739),
        (2, 1.0, 0.1, 0.9700509466518576),
        (3, 2.5, 20.0, 0.005784246260554879),
        (9, 5.0, 5.0, 0.9638874821832747),
        (9, 25.0, 60.0, 0.017556327355345094),
        (9, 25.0, 150.0, 7.244660816766303e-12),
        (19, 50.0, 30.0, 0.9988273664025343),
        (19, 200.0, 300.0, 0.004605432544342504),
        (19, 480.0, 400.0, 0.9903294976958198),
        (63, 100.0, 220.0, 0.01034342810118524),
        (255, 10.0, 300.0, 0.07206706802226313),
        (9, 600.0, 700.0, 0.0354988907519866),
        (19, 2000.0, 2300.0, 0.001172537292693104),
        (19, 5000.0, 4900.0, 0.7991546821298064),
    ];

    #[test]
    fn agrees_with_scipy() {
        for (dof, ncp, x, truth) in NONCENTRAL {
            let found = noncentral_sf(x, dof, ncp);
            let tolerance = if ncp >= NCP_MAX || x > X_MAX { 3e-3 } else { 1e-10 };
            assert!((found / truth - 1.0).abs() < tolerance, "{dof} {ncp} {x}: {found} instead of {truth}");
        }
    }

    #[test]
    fn without_noncentrality_it_is_the_central_law() {
        for dof in [1, 2, 3, 9, 19, 64, 255] {
            for x in [0.3, 4.0, 30.0, 300.0] {
                let (found, truth) = (noncentral_sf(x, dof, 0.0), chi_square_sf(x, dof));
                assert!((found / truth - 1.0).abs() < 1e-10, "{dof} {x}: {found} instead of {truth}");
            }
        }
    }

    #[test]
    fn both_formulas_meet() {
        for (dof, x) in [(9, 450.0), (19, 520.0), (19, 600.0), (63, 640.0)] {
            let (one, other) = (mixture_sf(x / 2.0, dof, 249.999), sankaran_sf(x, f64::from(dof), 499.998));
            assert!((one / other - 1.0).abs() < 3e-3, "{dof} {x}: {one} against {other}");
        }
    }

    #[test]
    fn inverses_invert() {
        for (dof, ncp, p) in [(1, 0.0, 0.01), (9, 25.0, 0.05), (19, 0.3, 0.95), (9, 2000.0, 0.05)] {
            let x = noncentral_upper(p, dof, ncp);
            assert!((noncentral_sf(x, dof, ncp) / p - 1.0).abs() < 1e-9, "{dof} {ncp} {p}: {x}");
            assert!((noncentrality(x, dof, p) - ncp).abs() < 1e-6 * (1.0 + ncp), "{dof} {ncp} {p}: {x}");
        }
        assert_eq!(noncentrality(0.5, 9, 0.05), 0.0);
    }

    #[test]
    fn ends() {
        assert_eq!(noncentral_sf(0.0, 4, 3.0), 1.0);
        assert_eq!(noncentral_sf(7.0, 0, 3.0), 1.0);
        assert_eq!(noncentral_sf(f64::INFINITY, 4, 3.0), 0.0);
        assert_eq!(noncentral_upper(0.05, 0, 3.0), 0.0);
    }
}
