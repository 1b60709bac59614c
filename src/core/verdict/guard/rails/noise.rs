//! Noise that one version has for itself: by how much its failures and latencies wander from window to window.
//!
//! Requests are drawn for both versions alike, so columns and scores have no noise of their own; hosts, caches and
//! collectors give it to failures and latency. What is divided by it, and why that keeps every guarantee, stands in
//! `infer::overdispersion`. The *history* is the baseline version's own latency against its own level, before a
//! candidate came; a candidate takes it along when it is met. Failures have none: incidents hit both versions, and a
//! history of them would excuse a candidate that fails.
//!
//! **State**: four times that of `infer::overdispersion` for each view, three times for a history.

use serde::{Deserialize, Serialize};

use crate::infer::overdispersion::{Contrast, Overdispersion};
use crate::infer::two_sample::Arm;
use crate::plan::GuardPlan;
use crate::summary::Traffic;
use crate::verdict::guard::number::count;
use crate::verdict::guard::rails::rail::{Hypothesis, Rail, SLOW, Thresholds};
use crate::verdict::guard::window::Pair;

/// How quickly a history's thresholds follow the version.
/// Origin: choice; a half-life of 34 windows.
const FOLLOW: f64 = 0.02;

/// How the baseline version's latency wanders around its own level.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct LatencyHistory {
    slow_ms: Option<[f64; 3]>,
    of: [Overdispersion; 3],
}

/// How two versions wander around each other: failures, and latency at three quantiles.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct RailNoise {
    failed: Overdispersion,
    slow: [Overdispersion; 3],
}

impl LatencyHistory {
    /// Takes the next window.
    pub(crate) fn update(&mut self, traffic: &Traffic) {
        let now = SLOW.map(|q| traffic.latency.quantile_ms(q));
        let [Some(p50), Some(p90), Some(p99)] = now else { return };
        let now = [p50, p90, p99];
        let before = self.slow_ms.unwrap_or(now);
        if self.slow_ms.is_some() {
            for (place, q) in SLOW.into_iter().enumerate() {
                let arm = Arm { n: traffic.latency.n(), x: count(traffic.latency.n_above_ms(before[place])) };
                Contrast::with(arm, 1.0 - q, f64::INFINITY)
                    .into_iter()
                    .for_each(|contrast| self.of[place].update(contrast));
            }
        }
        self.slow_ms = Some(std::array::from_fn(|q| before[q] + FOLLOW * (now[q] - before[q])));
    }

    /// How its median wanders.
    pub(crate) fn of_the_median(&self) -> &Overdispersion {
        &self.of[0]
    }
}

impl RailNoise {
    /// Takes the next window.
    pub(crate) fn update(&mut self, guard: &GuardPlan, pair: Pair<'_, Traffic>, thresholds: &Thresholds) {
        let contrast = |rail: Rail, rate: Option<f64>| {
            let (candidate, baseline) = rail.traffic(guard, Hypothesis::NoMargin, pair, thresholds)?;
            Contrast::of(candidate, baseline, rate)
        };
        contrast(Rail::Failed, None).into_iter().for_each(|contrast| self.failed.update(contrast));
        for ((place, q), slow) in SLOW.into_iter().enumerate().zip(&mut self.slow) {
            contrast(Rail::Slow(place), Some(1.0 - q)).into_iter().for_each(|contrast| slow.update(contrast));
        }
    }

    /// What evidence of a guardrail is divided by in the next window.
    pub(crate) fn factor(&self, rail: Rail, pair: Pair<'_, Traffic>, history: &LatencyHistory) -> f64 {
        match rail {
            Rail::Failed => {
                let weight = weight(pair.candidate.rates.requests, pair.baseline.rates.requests);
                self.failed.factor(weight, &Overdispersion::default())
            }
            Rail::Slow(q) => {
                // What moves the median moves tails as well, and a tail may be too thin to tell.
                let weight = weight(pair.candidate.latency.n(), pair.baseline.latency.n());
                let factor = |place: usize| self.slow[place].factor(weight, &history.of[place]);
                factor(q).max(factor(0))
            }
            Rail::Rejected | Rail::Off(_) | Rail::Loss => 1.0,
        }
    }
}

/// What the contrast of so many events of two versions is worth.
fn weight(candidate: u64, baseline: u64) -> f64 {
    count(candidate) * count(baseline) / count((candidate + baseline).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Rng;
    use crate::verdict::guard::tests::traffic;

    /// A window of latencies around a level.
    fn window(rng: &mut Rng, level: f64) -> Traffic {
        let mut traffic = traffic(100, 1);
        (0..100).for_each(|_| traffic.latency.update(50.0 * libm::exp(level + 0.5 * rng.normal())));
        traffic
    }

    #[test]
    fn latency_that_wanders_is_known_from_history_and_then_from_both_versions() {
        let (mut rng, mut history, mut noise) = (Rng::new(11), LatencyHistory::default(), RailNoise::default());
        (0..50).for_each(|_| {
            let level = 0.25 * rng.normal();
            history.update(&window(&mut rng, level));
        });
        let guard = GuardPlan::default();
        let mut thresholds = Thresholds::default();
        let same = (window(&mut rng, 0.0), window(&mut rng, 0.0));
        let pair = Pair { candidate: &same.0, baseline: &same.1 };
        let factor = |noise: &RailNoise, q| noise.factor(Rail::Slow(q), pair, &history);
        assert!(factor(&noise, 0) > 4.0 && factor(&noise, 2) > 4.0, "{} {}", factor(&noise, 0), factor(&noise, 2));
        assert!((noise.factor(Rail::Failed, pair, &history) - 1.0).abs() < 1e-12);
        // The noise turns out to be the world's: both versions have it at once.
        for _ in 0..80 {
            let level = 0.25 * rng.normal();
            let windows = (window(&mut rng, level), window(&mut rng, level));
            noise.update(&guard, Pair { candidate: &windows.0, baseline: &windows.1 }, &thresholds);
            thresholds.follow_traffic(&windows.1);
        }
        assert!(factor(&noise, 0) < 1.5, "{}", factor(&noise, 0));
    }
}
