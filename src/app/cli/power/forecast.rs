//! How often, and how soon, the guards of a pipeline see a regression: odds from seeded rehearsals.

use crate::sim::rng::Rng;
use crate::verdict::power::{Acted, Chance, Load, Regression, Rehearsal};

/// Rollouts that are rehearsed for one question: a chance is then known to a tenth.
pub(crate) const RUNS: u32 = 40;
/// A question whose first so many rollouts all saw nothing is not asked further.
const RUNS_MIN: u32 = 10;
/// Above this variance a binomial number is drawn from the normal distribution, which is then off by a few per cent of
/// one standard deviation.
const NORMAL_FROM: f64 = 100.0;

/// How a kind of action fared in the rollouts that were rehearsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Odds {
    /// The windows of those that acted, in rising order.
    acted: Vec<u32>,
    runs: u32,
}

impl Odds {
    pub(super) fn of(runs: &[Acted], when: impl Fn(&Acted) -> Option<u32>) -> Self {
        let mut acted: Vec<u32> = runs.iter().filter_map(when).collect();
        acted.sort_unstable();
        Self { acted, runs: u32::try_from(runs.len()).unwrap_or(u32::MAX) }
    }

    /// Windows until half of all rollouts have acted; `None` when fewer than half did.
    pub(crate) fn median(&self) -> Option<u32> {
        self.acted.get((self.runs / 2) as usize).copied()
    }

    /// Share of rollouts that acted.
    pub(crate) fn chance(&self) -> f64 {
        let acted = u32::try_from(self.acted.len()).unwrap_or(u32::MAX);
        f64::from(acted) / f64::from(self.runs.max(1))
    }
}

/// When the candidate was capped or worse, and when rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forecast {
    pub(crate) contain: Odds,
    pub(crate) rollback: Odds,
}

/// Rehearses `runs` rollouts of `windows` windows; the same question has the same answer every time.
pub(crate) fn forecast(rehearsal: &Rehearsal, load: Load, wrong: Regression, windows: u32, runs: u32) -> Forecast {
    let mut all: Vec<Acted> = Vec::new();
    for run in 0..runs {
        if run == RUNS_MIN && all.iter().all(|acted| *acted == Acted::default()) {
            break;
        }
        all.push(rehearsal.run(load, wrong, windows, &mut Dice(Rng::new(u64::from(run)))));
    }
    Forecast { contain: Odds::of(&all, |acted| acted.contain), rollback: Odds::of(&all, |acted| acted.rollback) }
}

/// Seeded dice for the core.
struct Dice(Rng);

impl Chance for Dice {
    fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if p > 0.5 {
            return n - self.binomial(n, 1.0 - p);
        }
        let (mean, variance) = (float(n) * p, float(n) * p * (1.0 - p));
        if variance > NORMAL_FROM {
            return whole((mean + variance.sqrt() * self.0.normal()).clamp(0.0, float(n)));
        }
        // By the gaps between successes, which are geometric.
        let scale = if p > 0.0 { 1.0 / libm::log1p(-p) } else { return 0 };
        let (mut at, mut hits) = (0.0, 0);
        loop {
            at += (libm::log(1.0 - self.0.unit()) * scale).floor() + 1.0;
            if at > float(n) {
                return hits;
            }
            hits += 1;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a count before")]
fn whole(count: f64) -> u64 {
    count.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomial_numbers_have_their_mean_and_variance() {
        let mut dice = Dice(Rng::new(5));
        for (n, p) in [(500, 0.01), (9500, 0.05), (200, 0.7), (40, 0.0), (40, 1.0)] {
            let draws: Vec<f64> = (0..4000).map(|_| float(dice.binomial(n, p))).collect();
            let mean = draws.iter().sum::<f64>() / 4000.0;
            let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 4000.0;
            let (truth, spread) = (float(n) * p, float(n) * p * (1.0 - p));
            assert!((mean - truth).abs() <= 0.08 * spread.sqrt(), "mean {mean} of {n} x {p}");
            assert!((variance - spread).abs() <= 0.12 * spread, "variance {variance} of {n} x {p}");
        }
    }

    #[test]
    fn the_median_is_over_all_rollouts() {
        let acted = |window| Acted { contain: window, rollback: None };
        let odds = |windows: &[Option<u32>]| {
            Odds::of(&windows.iter().map(|&window| acted(window)).collect::<Vec<_>>(), |acted| acted.contain)
        };
        assert_eq!(odds(&[Some(9), None, Some(3), Some(4)]).median(), Some(9));
        assert_eq!(odds(&[Some(9), None, None]).median(), None);
        assert!((odds(&[Some(9), None, Some(3), Some(4)]).chance() - 0.75).abs() < 1e-12);
    }
}
