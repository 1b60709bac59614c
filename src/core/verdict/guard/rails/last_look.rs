//! The last look: one classical test of failures and latency when the planned windows are over (`infer::final_look`).
//!
//! A family's contrast in a window is the sum of its guardrails' standardised ones: failed and refused requests, or
//! latency at three quantiles. Both families share the look's part of `alpha` as they share the rest; what it finds
//! stands from then on.
//!
//! **State**: four series.

use serde::{Deserialize, Serialize};

use super::{CONTAIN_AT_END, ROLLBACK_AT_END};
use crate::infer::final_look::ContrastSeries;
use crate::infer::two_sample::{Arm, standardised};
use crate::plan::GuardPlan;
use crate::summary::Traffic;
use crate::verdict::finding::Verdict;
use crate::verdict::guard::rails::rail::{Hypothesis, Rail, SLOW, Thresholds};
use crate::verdict::guard::window::Pair;

/// What is asked, in the order of the series.
const ASKED: [Hypothesis; 2] = [Hypothesis::Margin, Hypothesis::NoMargin];

/// What is known before the look, and what it found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct LastLook {
    /// Failures and latency; worse than the margin, and worse at all.
    series: [[ContrastSeries; 2]; 2],
    windows: u32,
    /// The level over the p-value, of both questions, once it was taken.
    taken: Option<[f64; 2]>,
}

impl LastLook {
    /// Takes the next window, and the look with the last planned one. `effect` are the guardrails' design effects.
    pub(crate) fn update(
        &mut self,
        rails: &[(Rail, f64)],
        guard: &GuardPlan,
        pair: Pair<'_, Traffic>,
        thresholds: &Thresholds,
        effect: &dyn Fn(Rail) -> f64,
    ) {
        if !guard.final_look || self.taken.is_some() {
            return;
        }
        for (family, series) in self.series.iter_mut().enumerate() {
            for (series, asked) in series.iter_mut().zip(ASKED) {
                let contrast = |&(rail, _): &(Rail, f64)| {
                    let (candidate, baseline) = rail.traffic(guard, asked, pair, thresholds)?;
                    Some(contrast(candidate, baseline, rail.ratio(guard, asked)) / effect(rail).max(1.0).sqrt())
                };
                let mut contrasts = members(rails, family).filter_map(contrast).peekable();
                if contrasts.peek().is_some() {
                    series.update(contrasts.sum());
                }
            }
        }
        self.windows += 1;
        if self.windows >= guard.planned {
            self.taken = Some([0, 1].map(|asked| self.strength(rails, guard, asked)));
        }
    }

    /// The level over the p-value of the family that stands out most.
    fn strength(&self, rails: &[(Rail, f64)], guard: &GuardPlan, asked: usize) -> f64 {
        let weight = |family| members(rails, family).map(|(_, weight)| weight).sum::<f64>();
        let total = weight(0) + weight(1);
        let strength = |family: usize| {
            let share = weight(family) / total;
            let p = self.series[family][asked].p(of_counts(&members(rails, family).map(|(rail, _)| *rail)));
            share * guard.alpha_last() / p.max(f64::MIN_POSITIVE)
        };
        strength(0).max(strength(1))
    }

    /// Whether it found the candidate worse.
    pub(crate) fn found(&self, asked: Hypothesis) -> bool {
        self.taken.is_some_and(|taken| taken[usize::from(asked == Hypothesis::NoMargin)] >= 1.0)
    }

    /// Writes its lines of the error budget: one over the p-value stands for the evidence.
    pub(crate) fn account(&self, guard: &GuardPlan, verdict: &mut Verdict) {
        if !guard.final_look {
            return;
        }
        let (alpha, taken) = (guard.alpha_last(), self.taken.unwrap_or_default());
        for (account, strength) in [ROLLBACK_AT_END, CONTAIN_AT_END].into_iter().zip(taken) {
            verdict.account(account, alpha, (strength / alpha).min(f64::MAX), 1.0 / alpha);
        }
    }
}

/// Guardrails of a family.
fn members(rails: &[(Rail, f64)], family: usize) -> impl Iterator<Item = &(Rail, f64)> + Clone {
    rails.iter().filter(move |(rail, _)| match rail {
        Rail::Failed | Rail::Rejected => family == 0,
        Rail::Slow(_) => family == 1,
        Rail::Off(_) | Rail::Loss => false,
    })
}

/// The variance of a sum of standardised contrasts, if counts explain it all: shares of failures and refusals are about
/// independent, those beyond two quantiles `p < q` of one sample correlate by `sqrt(p (1 - q) / (q (1 - p)))`.
fn of_counts(rails: &(impl Iterator<Item = Rail> + Clone)) -> f64 {
    let correlation = |pair: (Rail, Rail)| match pair {
        (Rail::Slow(a), Rail::Slow(b)) => {
            let (low, high) = (SLOW[a.min(b)], SLOW[a.max(b)]);
            (low * (1.0 - high) / (high * (1.0 - low))).sqrt()
        }
        (one, other) => f64::from(u8::from(one == other)),
    };
    rails.clone().flat_map(|one| rails.clone().map(move |other| correlation((one, other)))).sum()
}

fn contrast(candidate: Arm, baseline: Arm, ratio: f64) -> f64 {
    standardised(candidate, baseline, ratio).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::guard::tests::traffic;

    /// Failures of 1,000 requests, one more in every other window, in front of a plan of 40 windows.
    fn after(windows: u32, candidate: u64, baseline: u64) -> LastLook {
        let guard = GuardPlan { planned: 40, final_look: true, ..GuardPlan::default() };
        let mut look = LastLook::default();
        for window in 0..windows {
            let more = u64::from(window % 2);
            let (candidate, baseline) = (traffic(1000, candidate + more), traffic(1000, baseline + more));
            let pair = Pair { candidate: &candidate, baseline: &baseline };
            look.update(&[(Rail::Failed, 1.0)], &guard, pair, &Thresholds::default(), &|_| 1.0);
        }
        look
    }

    #[test]
    fn it_is_taken_once_and_at_the_end() {
        assert!(!after(39, 14, 10).found(Hypothesis::NoMargin));
        let look = after(40, 14, 10);
        assert!(look.found(Hypothesis::NoMargin));
        assert_eq!(after(100, 14, 10), look);
        assert!(!after(40, 10, 10).found(Hypothesis::NoMargin));
    }

    #[test]
    fn what_is_within_the_margin_is_only_worse_at_all() {
        let look = after(40, 110, 100);
        assert!(look.found(Hypothesis::NoMargin) && !look.found(Hypothesis::Margin));
        assert!(after(40, 150, 100).found(Hypothesis::Margin));
        let mut verdict = Verdict::default();
        look.account(&GuardPlan { final_look: true, ..GuardPlan::default() }, &mut verdict);
        let acts: Vec<bool> = verdict.ledger.iter().map(|line| line.e_value >= line.threshold).collect();
        assert_eq!(acts, [false, true]);
    }
}
