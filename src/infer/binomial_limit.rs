//! Is the rate of one version above an absolute limit?
//!
//! For a bet on rate `p` beyond the limit `l`, `log e = x ln(p / l) + (n - x) ln((1 - p) / (1 - l))`; its mean is 1 at
//! the limit and less below it. The bets are the odds `r l / (1 - l)` for a grid of ratios `r`, averaged.
//!
//! Over a rollout each bet is also averaged over the windows at which the breach may have begun, half of the weight on
//! the first and half spread over `T` planned windows:
//!
//! `S_t = (S_(t-1) + v_t) e_t`, `E_t = mean over bets of S_t + sum of v after t`, `v_1 = 1/2 + 1/(2 T)`,
//! `v_t = 1/(2 T)`.
//!
//! So `P(E ever >= 1 / alpha) <= alpha` while no window's rate is above the limit. One window can decide: a hard limit
//! does not wait for company. A design effect deflates each window's evidence (Jensen's inequality keeps its mean at
//! most 1).
//!
//! **Source**: Wald, Sequential Analysis, 1947, section 5; Robbins, Statistical methods related to the law of the
//! iterated logarithm, Ann. Math. Stat. 41, 1970 (mixtures). **Assumes**: independent events, or a design effect;
//! losses in `[0, 1]` in place of events are as good. **State**: one float per bet and a count. **Cost**: two
//! logarithms per bet and window.

use serde::{Deserialize, Serialize};

use super::log_space::{log_add, log_mean};
use super::two_sample::Arm;

/// Ratios of odds beyond the limit that are bet on.
/// Origin: choice; a grid on which the nearest bet loses little evidence, from the least burn of interest to a total
/// failure.
const RATIOS: [f64; 8] = [1.05, 1.1, 1.2, 1.4, 1.8, 3.0, 6.0, 20.0];

/// `ln e` of one bet, for a limit inside of (0, 1).
fn bet(arm: Arm, limit: f64, ratio: f64) -> f64 {
    let odds = ratio * limit / (1.0 - limit);
    arm.log_ratio(odds / (1.0 + odds), limit)
}

/// Evidence over a rollout that a rate is above a limit. See the head of this module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitProcess {
    /// `ln S` per bet; `None` stands for minus infinity, which JSON cannot hold.
    log_s: Vec<Option<f64>>,
    windows: u32,
}

impl Default for LimitProcess {
    fn default() -> Self {
        Self { log_s: vec![None; RATIOS.len()], windows: 0 }
    }
}

impl LimitProcess {
    /// Takes one window, in order; limit, planned windows and design effect are known before it. An empty window
    /// changes nothing.
    pub fn update(&mut self, arm: Arm, limit: f64, planned: u32, deff: f64) {
        if arm.n == 0 {
            return;
        }
        let starts = f64::from(planned.max(1));
        let weight = match self.windows {
            0 => 0.5 + 0.5 / starts,
            past if past < planned => 0.5 / starts,
            _ => 0.0,
        };
        for (log_s, &ratio) in self.log_s.iter_mut().zip(&RATIOS) {
            let open = log_add(log_s.unwrap_or(f64::NEG_INFINITY), libm::log(weight));
            *log_s = Some(open + bet(arm, limit, ratio) / deff.max(1.0)).filter(|log_s| log_s.is_finite());
        }
        self.windows += 1;
    }

    /// The log of the evidence; it decides at `ln(1 / alpha)`.
    #[must_use]
    pub fn log_e(&self, planned: u32) -> f64 {
        let starts = f64::from(planned.max(1));
        let to_come = match self.windows {
            0 => 1.0,
            past => 0.5 * f64::from(planned.max(1).saturating_sub(past)) / starts,
        };
        let seen = log_mean(self.log_s.iter().map(|log_s| log_s.unwrap_or(f64::NEG_INFINITY)));
        log_add(seen, libm::log(to_come))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_space::float;
    use crate::tests::world::binomial_mass;

    fn arm(n: u64, x: u64) -> Arm {
        Arm { n, x: float(x) }
    }

    /// Mean of `exp(log e)` over all outcomes of two windows of `n` events.
    fn mean_of_two(n: u64, rate: f64, log_e: impl Fn(Arm, Arm) -> f64) -> f64 {
        let outcomes = (0..=n).flat_map(|a| (0..=n).map(move |b| (a, b)));
        outcomes
            .map(|(a, b)| binomial_mass(n, a, rate) * binomial_mass(n, b, rate) * log_e(arm(n, a), arm(n, b)).exp())
            .sum()
    }

    #[test]
    fn a_rate_within_the_limit_never_wins_on_average() {
        for (limit, planned) in [(0.01, 1), (0.2, 2), (0.7, 288)] {
            let process = |a: Arm, b: Arm| {
                let mut process = LimitProcess::default();
                process.update(a, limit, planned, 1.0);
                process.update(b, limit, planned, 1.0);
                process.log_e(planned)
            };
            let at = mean_of_two(12, limit, process);
            assert!((at - 1.0).abs() < 1e-9, "{limit} {planned}: mean {at}");
            let below = mean_of_two(12, 0.8 * limit, process);
            assert!(below < 1.0, "{limit} {planned}: mean {below}");
        }
    }

    #[test]
    fn agrees_with_the_sum_over_starts() {
        let windows = [arm(100, 3), arm(50, 0), arm(200, 9), arm(10, 4), arm(90, 1)];
        let (limit, planned, deff) = (0.02, 3, 1.3);
        let mut process = LimitProcess::default();
        for end in 1..=windows.len() {
            process.update(windows[end - 1], limit, planned, deff);
            let weight = |start: usize| if start == 0 { 0.5 + 0.5 / 3.0 } else { 0.5 / 3.0 };
            let gain = |ratio: f64, start: usize| -> f64 {
                windows[start.min(end)..end].iter().map(|&arm| bet(arm, limit, ratio) / deff).sum()
            };
            let of_ratio = |&ratio: &f64| (0..3).map(|start| weight(start) * gain(ratio, start).exp()).sum::<f64>();
            let truth = (RATIOS.iter().map(of_ratio).sum::<f64>() / 8.0).ln();
            assert!((process.log_e(planned) - truth).abs() < 1e-12, "{end}: {}", process.log_e(planned));
        }
    }

    #[test]
    fn nothing_is_known_at_the_start_and_one_window_can_decide() {
        let mut process = LimitProcess::default();
        process.update(Arm::default(), 0.01, 288, 1.0);
        assert!(process.log_e(288).abs() < 1e-15);
        process.update(arm(500, 60), 0.01, 288, 1.0);
        assert!(process.log_e(288) > 1000.0_f64.ln());
        let text = serde_json::to_string(&process).expect("a finite state");
        assert_eq!(serde_json::from_str::<LimitProcess>(&text).expect("its own text"), process);
    }
}
