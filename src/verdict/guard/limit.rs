//! Evidence that a rate lies beyond a bound, whichever way it wanders on the other side of it.
//!
//! Each bet on a rate `p` beyond the bound `b` keeps the likelihood ratio `x ln(p / b) + (n - x) ln((1 - p) / (1 - b))`. Its
//! exponential has mean 1 at the bound and less within, so the mean over bets is an e-process against "the rate never is
//! beyond its bound", which may change from window to window (Wald, Sequential Analysis, 1947, with a mixture).
//! **State**: one float per bet.

use serde::{Deserialize, Serialize};

use crate::infer::two_sample::Arm;
use crate::verdict::guard::number::{count, e_value, float};

/// No bet says that every event counts.
const RATE_MAX: f64 = 0.999_999;

/// Evidence of one side.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Beyond {
    log_es: Vec<f64>,
}

/// `ln` of the likelihood ratio of one rate against another.
pub(crate) fn log_likelihood_ratio(arm: Arm, bet: f64, bound: f64) -> f64 {
    let times = |x: f64, ln: f64| if x > 0.0 { x * ln } else { 0.0 };
    let others = count(arm.n) - arm.x;
    times(arm.x, libm::log(bet / bound)) + times(others, libm::log1p(-bet) - libm::log1p(-bound))
}

impl Beyond {
    /// Takes a window; `bets` are factors on the bound, all above 1 or all below. No window adds more than `cap` to a bet.
    pub(crate) fn update(&mut self, arm: Arm, bound: f64, bets: &[f64], cap: f64) {
        self.log_es.resize(bets.len(), 0.0);
        for (log_e, factor) in self.log_es.iter_mut().zip(bets) {
            let bet = (bound * factor).min(RATE_MAX);
            let beyond = (*factor > 1.0) == (bet > bound) && bound < 1.0;
            *log_e += if beyond { log_likelihood_ratio(arm, bet, bound).min(cap) } else { 0.0 };
        }
    }

    /// The evidence, deflated by a design effect; 1 before any window.
    pub(crate) fn e(&self, deff: f64) -> f64 {
        if self.log_es.is_empty() {
            return 1.0;
        }
        self.log_es.iter().map(|log_e| e_value(log_e / deff)).sum::<f64>() / float(self.log_es.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean of the evidence of one window of `n` events over all outcomes.
    fn mean(n: u32, rate: f64, bound: f64, bets: &[f64]) -> f64 {
        let mut mass = (1.0 - rate).powi(i32::try_from(n).unwrap());
        let mut sum = 0.0;
        for x in 0..=n {
            let mut beyond = Beyond::default();
            beyond.update(Arm { n: u64::from(n), x: f64::from(x) }, bound, bets, f64::INFINITY);
            sum += mass * beyond.e(1.0);
            mass *= f64::from(n - x) / f64::from(x + 1) * rate / (1.0 - rate);
        }
        sum
    }

    #[test]
    fn nothing_is_won_within_the_bound_and_something_beyond() {
        for bound in [0.01, 0.2, 0.7] {
            assert!((mean(40, bound, bound, &[1.2, 2.0, 20.0]) - 1.0).abs() < 1e-9);
            assert!(mean(40, bound * 0.8, bound, &[1.2, 2.0, 20.0]) <= 1.0);
            assert!(mean(40, bound * 1.4, bound, &[1.2, 2.0, 20.0]) > 1.0);
            assert!((mean(40, bound, bound, &[0.2, 0.8]) - 1.0).abs() < 1e-9);
            assert!(mean(40, bound * 1.2, bound, &[0.2, 0.8]) <= 1.0);
        }
    }

    #[test]
    fn a_cap_bounds_what_one_window_says() {
        let mut beyond = Beyond::default();
        beyond.update(Arm { n: 1000, x: 900.0 }, 0.01, &[2.0, 50.0], 1.5);
        assert!((beyond.e(1.0) - 1.5_f64.exp()).abs() < 1e-12);
    }
}
