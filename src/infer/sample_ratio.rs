//! Does a version receive the share of traffic that was declared for it, give or take what is tolerated?
//!
//! Declarations are rounded and ramps lag, so the null is a share within 5 % of the declared one. Each bet on a share
//! `p` beyond an edge `b` of it keeps the likelihood ratio `x ln(p / b) + (n - x) ln((1 - p) / (1 - b))`, whose
//! exponential has mean 1 at the edge and less within; their mean is an e-process against "the share was right in every
//! window".
//!
//! **Source**: Wald, Sequential Analysis, 1947, section 5, with a mixture; why it matters: Fabijan et al., Diagnosing
//! sample ratio mismatch in online controlled experiments, KDD 2019. **Assumes**: independent assignments; where
//! entities come back, a design effect deflates the evidence (Jensen). **State**: one float per bet. **Cost**: two
//! logarithms per bet and window.

use serde::{Deserialize, Serialize};

use super::log_space::log_mean;
use super::two_sample::Arm;

/// How far the share may be from the declared one, as a part of it.
/// Origin: choice; routers split by hashes, and a share within a twentieth is what was asked for.
pub const TOLERATED: f64 = 0.05;
/// Shares that are bet on, as factors on the edges.
/// Origin: choice; from just beyond the tolerance to five times.
const ABOVE: [f64; 5] = [1.03, 1.1, 1.3, 2.0, 5.0];
/// Origin: choice; from just beyond the tolerance to hardly any.
const BELOW: [f64; 5] = [0.97, 0.9, 0.7, 0.4, 0.1];
/// No bet says that every event is the version's.
/// Origin: numerics; a bet on certainty would lose everything at once.
const SHARE_MAX: f64 = 0.999_999;

/// Evidence that a share is not the declared one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct SampleRatio {
    above: [f64; 5],
    below: [f64; 5],
}

impl SampleRatio {
    /// Takes one window: `x` of `n` events are the version's, `declared` is its share. No window adds more than `cap`
    /// to a bet.
    pub fn update(&mut self, arm: Arm, declared: f64, cap: f64) {
        let (high, low) = (declared * (1.0 + TOLERATED), declared * (1.0 - TOLERATED));
        for (log_e, factor) in self.above.iter_mut().zip(ABOVE) {
            let bet = (high * factor).min(SHARE_MAX);
            *log_e += if bet > high { arm.log_ratio(bet, high).min(cap) } else { 0.0 };
        }
        for (log_e, factor) in self.below.iter_mut().zip(BELOW) {
            *log_e += arm.log_ratio(low * factor, low).min(cap);
        }
    }

    /// The log of the evidence; it decides at `ln(1 / alpha)`.
    #[must_use]
    pub fn log_e(&self, deff: f64) -> f64 {
        let all: Vec<f64> = self.above.iter().chain(&self.below).map(|log_e| log_e / deff.max(1.0)).collect();
        log_mean(all.into_iter())
    }

    /// The cap with which no fewer than `windows` reach `1 / alpha`, with this design effect.
    #[must_use]
    pub fn cap(alpha: f64, windows: u32, deff: f64) -> f64 {
        libm::log(f64::from(u32::try_from(ABOVE.len() + BELOW.len()).unwrap_or(u32::MAX)) / alpha) * deff
            / f64::from(windows.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean of the evidence of one window of `n` events over all outcomes.
    fn mean(n: u32, share: f64, declared: f64) -> f64 {
        let mut mass = (1.0 - share).powi(i32::try_from(n).unwrap());
        let mut sum = 0.0;
        for x in 0..=n {
            let mut ratio = SampleRatio::default();
            ratio.update(Arm { n: u64::from(n), x: f64::from(x) }, declared, f64::INFINITY);
            sum += mass * ratio.log_e(1.0).exp();
            mass *= f64::from(n - x) / f64::from(x + 1) * share / (1.0 - share);
        }
        sum
    }

    #[test]
    fn nothing_is_won_within_what_is_tolerated_and_something_beyond() {
        for declared in [0.1, 0.2, 0.7] {
            for within in [0.951, 1.0, 1.049] {
                assert!(mean(60, declared * within, declared) <= 1.0, "{declared} {within}");
            }
            assert!(mean(60, declared * 1.3, declared) > 1.0 && mean(60, declared * 0.4, declared) > 1.0, "{declared}");
        }
    }

    #[test]
    fn a_cap_bounds_what_one_window_says() {
        let cap = SampleRatio::cap(1e-4, 3, 2.0);
        let mut ratio = SampleRatio::default();
        for window in 1..=3 {
            ratio.update(Arm { n: 100_000, x: 90_000.0 }, 0.05, cap);
            assert!(window == 3 || ratio.log_e(2.0) < 1e4_f64.ln(), "after {window}: {}", ratio.log_e(2.0));
        }
        let text = serde_json::to_string(&ratio).expect("a finite state");
        assert_eq!(serde_json::from_str::<SampleRatio>(&text).expect("its own text"), ratio);
    }
}
