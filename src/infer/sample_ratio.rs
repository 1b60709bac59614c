//! Do versions receive the shares of traffic that were declared?
//!
//! If routing is what it should be, counts are multinomial with the declared shares `theta`. The alternative lets the shares
//! be anything near, by a Dirichlet prior around them with `kappa theta` for parameters:
//!
//! `log e = ln G(kappa) - ln G(kappa + n) + sum over versions of ln G(kappa theta + x) - ln G(kappa theta) - x ln theta`
//!
//! on the counts since the shares were declared, `G` the gamma function. It may be looked at after every event; when shares are
//! declared anew, a new product begins and the old one keeps what it had won. `kappa` = 1000 looks for shares that are off by a
//! few points in a hundred.
//!
//! **Source**: Lindon and Malek, Anytime-valid inference for multinomial count data, `NeurIPS` 2022, section 3.
//! **Assumes**: independent assignments; entities that come back count once, or a design effect deflates the evidence.
//! **State**: one count per version and a float. **Cost**: two log-gammas per version.

use serde::{Deserialize, Serialize};

use super::chi_square_sf;
use super::log_space::{float, times_ln};

/// Weight of the declared shares, in events.
const KAPPA: f64 = 1000.0;

/// Evidence that shares are not the declared ones.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SampleRatio {
    shares: Vec<f64>,
    counts: Vec<u64>,
    won_before: f64,
}

impl SampleRatio {
    /// Takes one window: counts per version under the shares declared for it, which add up to 1.
    pub fn update(&mut self, counts: &[u64], shares: &[f64]) {
        assert_eq!(counts.len(), shares.len(), "one count per share");
        if self.shares != shares {
            self.won_before += log_e_shares(&self.counts, &self.shares);
            self.shares = shares.to_vec();
            self.counts = vec![0; shares.len()];
        }
        self.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }

    /// The log of the evidence; it decides at `ln(1 / alpha)`.
    #[must_use]
    pub fn log_e(&self, deff: f64) -> f64 {
        (self.won_before + log_e_shares(&self.counts, &self.shares)) / deff.max(1.0)
    }
}

/// `ln e` of counts against shares, by the formula of this module's head.
#[must_use]
pub fn log_e_shares(counts: &[u64], shares: &[f64]) -> f64 {
    let n = float(declared(counts, shares).map(|(count, _)| count).sum());
    let rising = |base: f64, count: f64| libm::lgamma(base + count) - libm::lgamma(base);
    let of_version = |(x, theta): (u64, f64)| rising(KAPPA * theta, float(x)) - times_ln(float(x), theta);
    declared(counts, shares).map(of_version).sum::<f64>() - rising(KAPPA, n)
}

/// Versions that were to receive anything at all; strays of others say nothing about the split.
fn declared(counts: &[u64], shares: &[f64]) -> impl Iterator<Item = (u64, f64)> {
    counts.iter().copied().zip(shares.iter().copied()).filter(|(_, theta)| *theta > 0.0)
}

/// Pearson's p-value of one window, for display: how likely counts are as far from the shares; 1 without events.
#[must_use]
pub fn p_of_shares(counts: &[u64], shares: &[f64], deff: f64) -> f64 {
    let n = float(declared(counts, shares).map(|(count, _)| count).sum());
    if n == 0.0 {
        return 1.0;
    }
    let term = |(x, theta): (u64, f64)| (float(x) - n * theta) * (float(x) - n * theta) / (n * theta);
    let pearson: f64 = declared(counts, shares).map(term).sum();
    let versions = u32::try_from(declared(counts, shares).count()).unwrap_or(u32::MAX);
    chi_square_sf(pearson / deff.max(1.0), versions.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::tests::world::{Rng, multinomial_mass, tables};

    #[test]
    fn declared_shares_never_win_on_average() {
        let mut rng = Rng::new(41);
        for case in 0..50 {
            let (first, second) = (rng.simplex(), rng.simplex());
            let mut mean = 0.0;
            for a in tables(5) {
                for b in tables(4) {
                    let mut ratio = SampleRatio::default();
                    ratio.update(&a, &first);
                    ratio.update(&b, &second);
                    mean += multinomial_mass(a, first) * multinomial_mass(b, second) * ratio.log_e(1.0).exp();
                }
            }
            assert!((mean - 1.0).abs() < 1e-9, "seed 41, case {case}: {first:?} {second:?}: mean {mean}");
        }
    }

    #[test]
    fn two_events_by_hand() {
        // Both to the first of two equal versions: (500 * 501) / (1000 * 1001) over a quarter.
        let log_e = log_e_shares(&[2, 0], &[0.5, 0.5]);
        assert!((log_e.exp() - 4.0 * 500.0 * 501.0 / (1000.0 * 1001.0)).abs() < 1e-9);
    }

    #[test]
    fn it_matters_not_how_counts_are_split_while_shares_stay() {
        let (mut whole, mut parts) = (SampleRatio::default(), SampleRatio::default());
        whole.update(&[950, 50], &[0.95, 0.05]);
        [[900, 20], [0, 0], [50, 30]].iter().for_each(|counts| parts.update(counts, &[0.95, 0.05]));
        assert_eq!(whole, parts);
    }

    #[test]
    fn what_was_won_is_kept_when_shares_change() {
        let mut ratio = SampleRatio::default();
        ratio.update(&[9000, 1000], &[0.95, 0.05]);
        let won = ratio.log_e(1.0);
        ratio.update(&[0, 0], &[0.8, 0.2]);
        assert!(won > 100.0 && (ratio.log_e(1.0) - won).abs() < 1e-9);
        assert!((ratio.log_e(2.0) - won / 2.0).abs() < 1e-9);
        let text = serde_json::to_string(&ratio).expect("a finite state");
        assert_eq!(serde_json::from_str::<SampleRatio>(&text).expect("its own text"), ratio);
    }

    #[test]
    fn strays_of_a_version_without_a_share_say_nothing() {
        assert!((log_e_shares(&[7, 3, 5], &[0.6, 0.4, 0.0]) - log_e_shares(&[7, 3], &[0.6, 0.4])).abs() < 1e-12);
        assert!(
            (p_of_shares(&[7, 3, 5], &[0.6, 0.4, 0.0], 1.0) - p_of_shares(&[7, 3], &[0.6, 0.4], 1.0)).abs() < 1e-12
        );
        assert!(log_e_shares(&[50, 5], &[1.0, 0.0]).abs() < 1e-12);
    }

    #[test]
    fn p_values_agree_with_scipy() {
        // scipy.stats.chisquare([520, 480], [500, 500]) and ([940, 60], [950, 50]), SciPy 1.17.1.
        assert!((p_of_shares(&[520, 480], &[0.5, 0.5], 1.0) - 0.205_903_210_732_064_66).abs() < 1e-12);
        assert!((p_of_shares(&[940, 60], &[0.95, 0.05], 1.0) - 0.146_793_087_308_566_83).abs() < 1e-12);
        assert!((p_of_shares(&[0, 0], &[0.95, 0.05], 1.0) - 1.0).abs() < 1e-15);
    }
}
