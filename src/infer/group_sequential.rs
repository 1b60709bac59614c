//! One classical last look at the end of a rollout, for effects too small to be found on the way.
//!
//! Half of `alpha` goes to the evidence that is looked at all the time (`E >= 2 / alpha`), half to a single test of the stratified
//! `z` at the end. How much of its half a look may spend depends on how much of the planned information has come:
//!
//! `spent(t) = 2 (1 - Phi(z_(a / 2) / sqrt(t)))` with `a = alpha / 2`, all of it at `t = 1` and next to nothing early.
//!
//! The union bound over both halves keeps `alpha`. The look can be taken once; whoever may extend the rollout afterwards keeps to
//! the evidence alone.
//!
//! **Source**: O'Brien and Fleming, Biometrics 35, 1979; Lan and `DeMets`, Discrete sequential boundaries for clinical trials,
//! Biometrika 70, 1983.
//! **Assumes**: `z` about normal (20 events of the rarer kind), and the look's time not chosen for what is seen.
//! **State**: none. **Cost**: two error functions.

use super::normal::{normal_sf, normal_upper};

/// The level that a single look may use when this fraction of the planned information has come.
#[must_use]
pub fn spent(alpha: f64, fraction: f64) -> f64 {
    if fraction <= 0.0 {
        return 0.0;
    }
    2.0 * normal_sf(normal_upper(alpha / 2.0) / fraction.min(1.0).sqrt())
}

/// Whether the last look finds harm: at level `alpha / 2` of the whole, `z` counting standard errors beyond the margin.
#[must_use]
pub fn final_look(alpha: f64, fraction: f64, z: f64) -> bool {
    normal_sf(z) <= spent(alpha / 2.0, fraction)
}

/// What `ln E` must reach while the other half of `alpha` is kept for the last look.
#[must_use]
pub fn threshold_beside_final_look(alpha: f64) -> f64 {
    libm::log(2.0 / alpha)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_spent_at_the_end_and_next_to_nothing_early() {
        assert!((spent(0.05, 1.0) - 0.05).abs() < 1e-12 && (spent(0.05, 7.0) - 0.05).abs() < 1e-12);
        // Lan and DeMets 1983: 1.96 / sqrt(1/2) and 1.96 / sqrt(1/5).
        assert!((spent(0.05, 0.5) - 0.005_574_6).abs() < 1e-6, "{}", spent(0.05, 0.5));
        assert!((spent(0.05, 0.2) - 1.173e-5).abs() < 1e-7, "{}", spent(0.05, 0.2));
        assert!(spent(0.05, 0.0).abs() < 1e-300);
    }

    #[test]
    fn a_full_look_at_one_per_cent_needs_the_quantile_of_half_a_per_cent() {
        assert!(final_look(0.01, 1.0, 2.576) && !final_look(0.01, 1.0, 2.575));
        assert!(!final_look(0.01, 0.5, 3.0));
        assert!((threshold_beside_final_look(0.01) - 200.0_f64.ln()).abs() < 1e-12);
    }
}
