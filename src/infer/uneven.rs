//! Evidence that what is waited for comes unevenly: to one end of an ordered split more often than to the other, by
//! more than is tolerated.
//!
//! In a window a split has groups, lowest first: of each so many have come and so many are missing. Given how many came
//! in all, which of them did is a draw without replacement, so the tilt of [`log_e_tilt`] by `theta` a group is a
//! likelihood ratio whatever the share that comes. With `p` the share that came, outer groups whose shares differ by
//! `d p` have a log odds ratio of about `d / (1 - p)`: at the edge of what is tolerated a tilt of
//! `theta0 = d / (2 (1 - p))` a group. A bet on a spread of `k d` wins `tilt(k theta0) - tilt(theta0)`, whose `exp` has
//! a mean of at most 1 for every spread up to `d`: of a family with one parameter, ratios against the edge are so for
//! all that lies within (the logarithm of its moments is convex). `p` is known once it is known how many came.
//!
//! As in [`hx`](super::hx) half of the evidence is gathered since the start and half over every window at which the
//! unevenness may have begun: `E = 1/2 mean_j exp(F_j) + 1/2 (mean_j exp(M_j) + (T - t)) / T`. Both are held a little
//! above what decides, which only takes evidence away, so that evidence which is over is forgotten soon. After `T`
//! windows it begins anew once it says nothing, so that it may go on for ever: the promise is one for every `T`
//! windows.
//!
//! **Source**: Ville's inequality; the conditional draw is Fisher's (noncentral hypergeometric). Bets against an edge,
//! mixture and ceiling are this project's own. **Assumes**: that one thing comes says nothing of the next one; where it
//! does, gains are divided by a design effect beforehand. **State**: seventeen numbers. **Cost**: ten tilts a window.

use serde::{Deserialize, Serialize};

use super::contrast::{VersionSplit, log_e_tilt};
use super::log_space::{float, log_add, log_mean};

/// Spreads that are bet on, in units of what is tolerated.
/// Origin: choice; from twice to ten times the edge, where the nearest bet has most of the evidence there is.
const SPREADS: [f64; 4] = [2.0, 3.5, 6.0, 10.0];
/// Bets: each spread, falling and rising.
/// Origin: derived; both directions of each.
const BETS: usize = 2 * SPREADS.len();
/// No bet says more than this of neighbouring groups, as a log odds ratio.
/// Origin: numerics; the saddle point of `log_e_tilt` is exact to 2e-4 up to here.
const TILT_MAX: f64 = 2.0;
/// The share that came is taken to be no more than this.
/// Origin: numerics; where all came, odds are not finite.
const SHARE_MAX: f64 = 0.99;
/// Evidence is held so far above what decides, as a logarithm.
/// Origin: simulation; by chance it falls so far in one of a thousand windows, and some dozens that are even undo it.
const HEADROOM: f64 = 7.0;

/// What one window's bets have won, as logarithms.
pub type UnevenGains = [f64; BETS];

/// One group: how many came, and how many are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Awaited {
    /// How many came.
    pub came: u64,
    /// How many did not.
    pub missing: u64,
}

/// When evidence decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnevenPlan {
    /// The chance that it does so within the planned windows while the spread is tolerated.
    pub alpha: f64,
    /// Windows that starts are spread over, `T`.
    pub planned: u32,
}

/// What the bets of a window win on three groups, lowest first; `tolerated` is the largest difference of the shares
/// that came, as a part of the share that came of all.
#[must_use]
pub fn gains(groups: [Awaited; 3], tolerated: f64) -> UnevenGains {
    let came: u64 = groups.iter().map(|group| group.came).sum();
    let all = came + groups.iter().map(|group| group.missing).sum::<u64>();
    let share = (float(came) / float(all.max(1))).min(SHARE_MAX);
    let edge = tolerated / (2.0 * (1.0 - share));
    let split = |group: Awaited| VersionSplit { candidate: group.came, baseline: group.missing };
    let scored: [(VersionSplit, f64); 3] = [(split(groups[0]), -1.0), (split(groups[1]), 0.0), (split(groups[2]), 1.0)];
    let at_edge = [-1.0, 1.0].map(|way| log_e_tilt(&scored, way * edge));
    std::array::from_fn(|bet| {
        let (way, spread) = (bet % 2, SPREADS[bet / 2]);
        let tilt = (spread * edge).min(TILT_MAX.max(edge));
        log_e_tilt(&scored, [-tilt, tilt][way]) - at_edge[way]
    })
}

/// Evidence over a rollout.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Uneven {
    fixed: [f64; BETS],
    /// `None` where no start is counted.
    moving: [Option<f64>; BETS],
    windows: u32,
}

impl Uneven {
    /// Takes what a window won, in order.
    pub fn update(&mut self, plan: UnevenPlan, gains: &UnevenGains) {
        if self.windows >= plan.planned.max(1) && self.says_nothing(plan) {
            *self = Self::default();
        }
        let most = libm::log(2.0 * float(BETS as u64) / plan.alpha) + HEADROOM;
        let starts = f64::from(plan.planned.max(1));
        let counts_starts = self.windows < plan.planned.max(1);
        for ((fixed, moving), gain) in self.fixed.iter_mut().zip(&mut self.moving).zip(gains) {
            assert!(!gain.is_nan(), "a bet on a split wins nothing that is a number");
            *fixed = (*fixed + gain).min(most);
            let before = moving.unwrap_or(f64::NEG_INFINITY);
            let open = if counts_starts { log_add(0.0, before) } else { before };
            *moving = (open > f64::NEG_INFINITY).then(|| (open + gain).min(most + libm::log(starts)));
        }
        self.windows = self.windows.saturating_add(1);
    }

    /// Whether nothing was seen yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows == 0
    }

    /// The evidence so far.
    #[must_use]
    pub fn e(&self, plan: UnevenPlan) -> f64 {
        let starts = f64::from(plan.planned.max(1));
        let moving = self.moving.iter().map(|moving| moving.unwrap_or(f64::NEG_INFINITY));
        let unused = (starts - f64::from(self.windows)).max(0.0);
        let of_moving = (libm::exp(log_mean(moving)) + unused) / starts;
        0.5 * libm::exp(log_mean(self.fixed.iter().copied())) + 0.5 * of_moving
    }

    /// Whether it speaks for no spread beyond what is tolerated.
    #[must_use]
    pub fn says_nothing(&self, plan: UnevenPlan) -> bool {
        self.e(plan) <= 1.0
    }

    /// Whether it is enough.
    #[must_use]
    pub fn decides(&self, plan: UnevenPlan) -> bool {
        self.e(plan) >= 1.0 / plan.alpha
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: UnevenPlan = UnevenPlan { alpha: 0.01, planned: 100 };
    const TOLERATED: f64 = 0.02;

    fn groups(came: [u64; 3], of: u64) -> [Awaited; 3] {
        came.map(|came| Awaited { came, missing: of - came })
    }

    fn after(windows: u32, came: [u64; 3], of: u64) -> Uneven {
        let mut uneven = Uneven::default();
        let won = gains(groups(came, of), TOLERATED);
        (0..windows).for_each(|_| uneven.update(PLAN, &won));
        uneven
    }

    /// Every way in which so many of three groups may have come, with the chance of it under a tilt.
    fn mean_gain(of: u64, came: u64, tilt: f64) -> UnevenGains {
        let choose = |n: u64, k: u64| (0..k).fold(1.0, |c, i| c * float(n - i) / float(i + 1));
        let (mut mass, mut sums) = (0.0, [0.0; BETS]);
        for low in 0..=of.min(came) {
            for middle in 0..=of.min(came - low) {
                let high = came - low - middle;
                if high > of {
                    continue;
                }
                let weight = choose(of, low) * choose(of, middle) * choose(of, high);
                let weight = weight * libm::exp(tilt * (float(high) - float(low)));
                mass += weight;
                let won = gains(groups([low, middle, high], of), TOLERATED);
                sums.iter_mut().zip(won).for_each(|(sum, log_e)| *sum += weight * libm::exp(log_e));
            }
        }
        sums.map(|sum| sum / mass)
    }

    #[test]
    fn no_bet_wins_on_average_while_the_spread_is_tolerated() {
        for (of, came) in [(5, 12), (8, 20), (12, 30)] {
            let share = float(came) / float(3 * of);
            let edge = TOLERATED / (2.0 * (1.0 - share));
            for tilt in [-edge, 0.0, edge] {
                let means = mean_gain(of, came, tilt);
                // The saddle point is not exact for so few.
                assert!(means.iter().all(|mean| *mean <= 1.01), "{of} {came} {tilt}: {means:?}");
            }
            let beyond = mean_gain(of, came, -8.0 * edge);
            assert!(beyond.iter().any(|mean| *mean > 1.02), "{of} {came}: {beyond:?}");
        }
    }

    #[test]
    fn a_spread_beyond_what_is_tolerated_is_found_in_either_direction_and_one_within_is_not() {
        assert!(after(3, [166, 150, 126], 200).decides(PLAN));
        assert!(after(3, [126, 150, 166], 200).decides(PLAN));
        assert!(!after(300, [150, 150, 150], 200).decides(PLAN));
        assert!(!after(300, [990, 985, 980], 1_000).decides(PLAN), "a hundredth is tolerated");
        assert!(!after(300, [200, 200, 200], 200).decides(PLAN), "all came");
        assert!(!after(300, [0, 0, 0], 200).decides(PLAN), "none came");
    }

    #[test]
    fn late_unevenness_is_found_and_forgotten_once_it_is_over() {
        let mut uneven = after(60, [150, 150, 150], 200);
        let bad = gains(groups([166, 150, 126], 200), TOLERATED);
        let good = gains(groups([150, 150, 150], 200), TOLERATED);
        let found = (1..100).find(|_| {
            uneven.update(PLAN, &bad);
            uneven.decides(PLAN)
        });
        assert!(found.is_some_and(|windows| windows <= 4), "{found:?}");
        (0..200).for_each(|_| uneven.update(PLAN, &bad));
        let over = (1..100).find(|_| {
            uneven.update(PLAN, &good);
            !uneven.decides(PLAN)
        });
        assert!(over.is_some_and(|windows| windows <= 60), "{over:?}");
        (0..200).for_each(|_| uneven.update(PLAN, &good));
        assert!(uneven.says_nothing(PLAN) && uneven.windows <= PLAN.planned, "{uneven:?}");
    }

    #[test]
    fn state_survives_json() {
        let uneven = after(3, [150, 140, 126], 200);
        let text = serde_json::to_string(&uneven).expect("a finite state");
        assert_eq!(serde_json::from_str::<Uneven>(&text).expect("its own text"), uneven);
    }
}
