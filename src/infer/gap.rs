//! Whether one version treats groups of requests less alike than another does.
//!
//! The *gap* of a version is the largest difference of a rate between two groups. The null is that the candidate's gap
//! is at most the baseline's and `tolerated` on top, in every window; the baseline's two extreme groups are the same
//! throughout.
//!
//! For a pair `(s, t)` of the candidate's groups and a pair `(u, v)` of the baseline's, the balanced bet
//! ([`balanced`](super::balanced)) on `r_cs - r_ct - r_bu + r_bv - tolerated` is an e-process if that contrast is at
//! most 0. Under the null it is for *some* `(u, v)` and every `(s, t)`, so that the mean over `(s, t)` of the least
//! over `(u, v)` is one. With one stake for all pairs, and centres that depend on the version and the sign alone,
//!
//! `A = max p_c + tolerated / 2`, `B = A - (C - D) - tolerated`, `C = max p_b`, `D = min p_b`,
//!
//! `p` being what is predicted of the groups, it takes four sums a group and no pair is gone through window by window:
//! `ln E = ln mean over s != t of exp(W_c+(s) + W_c-(t)) + min over u != v of (W_b-(u) + W_b+(v))`, `W` the sums of
//! `ln(1 +- stake / n (f - centre))` over rows, `f` 0 or 1. `E` is the mean over stakes.
//!
//! A gap that is estimated from few rows is too large, the more so for the smaller version; thresholds on estimates
//! call that unfair, and this does not. Half of the evidence is gathered since the first window, and half since the
//! latest of the windows 1, 2, 4, 8, …, what was gathered between two of them being kept: so a gap that opens late is
//! not drowned by what the early windows lost. What a window adds beyond `ln(1 / alpha) / K` is given up for good, so
//! that fewer than `K` windows never decide; that only takes evidence away.
//!
//! **Source**: two groups of one version: Chugg, Cortes-Gomez, Wilder and Ramdas, Auditing fairness by betting,
//! `NeurIPS` 2023, section 3; the difference of two versions' gaps is this project's own. **Assumes**: rows that are
//! independent given the past and have one group each. **State**: 48 numbers per group, 10 besides. **Cost**: 64
//! logarithms per group and window.

use serde::{Deserialize, Serialize};

use super::log_space::{float, log_add, log_mean, log_sum};
use super::two_sample::Arm;

/// Stakes, as shares of the largest.
/// Origin: choice; of two neighbours one wins nine tenths of what the best stake would, from small gaps to wide ones.
const STAKES: [f64; 6] = [0.02, 0.05, 0.12, 0.25, 0.5, 1.0];
/// The most of its stake that a bet may lose to one row.
/// Origin: choice; logarithms stay far from where they fall without bound.
const LOSES_MAX: f64 = 0.9;
/// Rates are predicted as `(0.5 + past x) / (1 + past n)`.
/// Origin: literature; half an event of each kind, Jeffreys (1946).
const PRIOR: f64 = 0.5;

/// Sums of one group: the candidate's for the larger and for the smaller rate, the baseline's likewise.
type GroupSums = [f64; 4];

/// What was gathered since some window: a row of groups for each stake.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Wealth(Vec<Vec<GroupSums>>);

/// The evidence over a rollout. See the head of this module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GapEvidence {
    /// Rows of each group so far, candidate and baseline.
    past: Vec<[Arm; 2]>,
    always: Wealth,
    lately: Wealth,
    /// `ln` of the sum of what was gathered between windows 1, 2, 4, 8, …; minus infinity, as `None`, before the
    /// second.
    earlier: Option<f64>,
    windows: u32,
    /// What counts, and what was given up, of the logarithm.
    log_e: f64,
    given_up: f64,
}

/// How evidence is gathered; chosen before a rollout starts, and then fixed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GapPlan {
    /// By how much the candidate's gap may be wider than the baseline's.
    pub tolerated: f64,
    /// The level at which the evidence decides: caps are set for it.
    pub alpha: f64,
    /// Windows that a rollout is planned to take: the latest start is within them.
    pub planned: u32,
    /// The fewest windows that may decide, `K`.
    pub windows_min: u32,
}

/// Two groups and the difference of their rates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Widest {
    /// The group with the largest rate.
    pub most: usize,
    /// The group with the smallest rate.
    pub least: usize,
    /// The difference.
    pub gap: f64,
}

impl GapPlan {
    /// Stretches that lie between the windows 1, 2, 4, 8, … and the last that is planned.
    fn stretches(self) -> f64 {
        f64::from(self.planned.max(1).ilog2() + 1)
    }
}

impl GapEvidence {
    /// No evidence about so many groups, at least two.
    #[must_use]
    pub fn new(groups: usize) -> Self {
        assert!(groups >= 2, "a gap is between two groups");
        let none = Wealth(vec![vec![GroupSums::default(); groups]; STAKES.len()]);
        let past = vec![[Arm::default(); 2]; groups];
        Self { past, always: none.clone(), lately: none, earlier: None, windows: 0, log_e: 0.0, given_up: 0.0 }
    }

    /// Takes one window: rows of each group and of those the events, candidate and baseline. Every group must have rows
    /// of both. Requests of one entity count `deff` times too much, as is known up to this window.
    pub fn update(&mut self, plan: GapPlan, window: &[[Arm; 2]], deff: f64) {
        assert_eq!(window.len(), self.past.len(), "the groups of the first window");
        assert!(window.iter().flatten().all(|arm| arm.n > 0), "every group has rows of both versions");
        self.windows = self.windows.saturating_add(1);
        if self.windows.is_power_of_two() && self.windows > 1 && self.windows <= plan.planned.max(1) {
            self.earlier = Some(log_add(self.earlier.unwrap_or(f64::NEG_INFINITY), self.lately.log_e(deff)));
            self.lately = Wealth(vec![vec![GroupSums::default(); self.past.len()]; STAKES.len()]);
        }
        // The first window teaches, and is not bet on.
        if self.windows > 1 {
            let centres = self.centres(plan.tolerated);
            let largest = largest_stake(window, centres);
            [&mut self.always, &mut self.lately].into_iter().for_each(|wealth| wealth.add(window, centres, largest));
        }
        for (past, arms) in self.past.iter_mut().zip(window) {
            *past = [past[0].plus(arms[0]), past[1].plus(arms[1])];
        }
        let gathered = self.gathered(plan, deff) - self.given_up;
        self.log_e = gathered.min(self.log_e - libm::log(plan.alpha) / f64::from(plan.windows_min.max(1)));
        self.given_up += gathered - self.log_e;
    }

    fn gathered(&self, plan: GapPlan, deff: f64) -> f64 {
        let stretches = plan.stretches();
        let begun = f64::from(self.windows.min(plan.planned.max(1)).ilog2() + 1);
        let earlier = log_add(self.earlier.unwrap_or(f64::NEG_INFINITY), libm::log(stretches - begun));
        let lately = log_add(self.lately.log_e(deff), earlier) - libm::log(stretches);
        log_add(self.always.log_e(deff), lately) - libm::log(2.0)
    }

    /// Log evidence that the candidate's gap is wider than is tolerated.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        self.log_e
    }

    /// The groups whose rates are farthest apart over all windows: of the candidate, and of the baseline.
    #[must_use]
    pub fn widest(&self) -> [Widest; 2] {
        [0, 1].map(|version| {
            let rates = || self.past.iter().map(|arms| arms[version].rate()).enumerate();
            let by_rate = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1);
            let (most, high) = rates().max_by(by_rate).unwrap_or_default();
            let (least, low) = rates().min_by(by_rate).unwrap_or_default();
            Widest { most, least, gap: high - low }
        })
    }

    /// Rows of each group so far, candidate and baseline.
    #[must_use]
    pub fn rows(&self) -> &[[Arm; 2]] {
        &self.past
    }

    /// What the groups of each version and sign are bet around, in the order of [`GroupSums`].
    fn centres(&self, tolerated: f64) -> GroupSums {
        let predicted = |arm: Arm| (PRIOR + arm.x) / (2.0 * PRIOR + float(arm.n));
        let most = |version: usize| self.past.iter().map(|arms| predicted(arms[version])).fold(0.0, f64::max);
        let least = self.past.iter().map(|arms| predicted(arms[1])).fold(1.0, f64::min);
        let high = most(0) + tolerated / 2.0;
        [high, high - (most(1) - least) - tolerated, most(1), least]
    }
}

/// Which way each of the [`GroupSums`] bets: on events, or on none.
const SIGNS: GroupSums = [1.0, -1.0, -1.0, 1.0];

/// The stake at which no row may lose more than [`LOSES_MAX`]: chosen by counts and centres alone.
fn largest_stake(window: &[[Arm; 2]], centres: GroupSums) -> f64 {
    let loses = |part: usize| if SIGNS[part] > 0.0 { centres[part] } else { 1.0 - centres[part] };
    let rows = window.iter().flat_map(|arms| (0..4).map(move |part| (float(arms[part / 2].n), loses(part))));
    rows.map(|(n, loses)| LOSES_MAX * n / loses.max(1.0)).fold(f64::INFINITY, f64::min)
}

impl Wealth {
    fn add(&mut self, window: &[[Arm; 2]], centres: GroupSums, largest: f64) {
        for (groups, share) in self.0.iter_mut().zip(STAKES) {
            for (sums, arms) in groups.iter_mut().zip(window) {
                for (part, sum) in sums.iter_mut().enumerate() {
                    let Arm { n, x } = arms[part / 2];
                    let slope = SIGNS[part] * share * largest / float(n);
                    let won = |value: f64| libm::log1p(slope * (value - centres[part]));
                    *sum += x * won(1.0) + (float(n) - x) * won(0.0);
                }
            }
        }
    }

    /// The mean over stakes.
    fn log_e(&self, deff: f64) -> f64 {
        log_mean(self.0.iter().map(|groups| log_e_of(groups, deff)))
    }
}

/// `ln mean over s != t of exp(W_c+(s) + W_c-(t)) + min over u != v of (W_b-(u) + W_b+(v))`, all over `deff`.
fn log_e_of(groups: &[GroupSums], deff: f64) -> f64 {
    let pairs = || (0..groups.len()).flat_map(|a| (0..groups.len()).filter(move |b| *b != a).map(move |b| (a, b)));
    let candidate = pairs().map(|(s, t)| (groups[s][0] + groups[t][1]) / deff);
    let baseline = pairs().map(|(u, v)| (groups[u][2] + groups[v][3]) / deff).fold(f64::INFINITY, f64::min);
    log_sum(candidate) - libm::log(float((groups.len() * (groups.len() - 1)) as u64)) + baseline
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::Rng;

    const PLAN: GapPlan = GapPlan { tolerated: 0.03, alpha: 0.01, planned: 150, windows_min: 3 };

    /// Rows of a window by group, and rates of both versions.
    struct Stream {
        rows: Vec<[u64; 2]>,
        rates: Vec<[f64; 2]>,
    }

    impl Stream {
        /// 500 rows of the candidate and 2,000 of the baseline, with these rates in half, a quarter, 15 and 10 %.
        fn new(candidate: [f64; 4], baseline: [f64; 4]) -> Self {
            let rows = vec![[250, 1000], [125, 500], [75, 300], [50, 200]];
            Self { rows, rates: candidate.into_iter().zip(baseline).map(|(c, b)| [c, b]).collect() }
        }

        fn window(&self, rng: &mut Rng) -> Vec<[Arm; 2]> {
            let arms = |(rows, rates): (&[u64; 2], &[f64; 2])| {
                [0, 1].map(|version| Arm { n: rows[version], x: float(rng.binomial(rows[version], rates[version])) })
            };
            self.rows.iter().zip(&self.rates).map(arms).collect()
        }

        /// The window that decides, of so many.
        fn decides(&self, windows: u32, seed: u64) -> Option<u32> {
            let (mut gap, mut rng) = (GapEvidence::new(self.rows.len()), Rng::new(seed));
            (1..=windows).find(|_| {
                gap.update(PLAN, &self.window(&mut rng), 1.0);
                gap.log_e() >= -libm::log(PLAN.alpha)
            })
        }

        fn median(&self, runs: u64) -> u32 {
            let mut all: Vec<u32> = (1..=runs).map(|seed| self.decides(150, seed).unwrap_or(u32::MAX)).collect();
            all.sort_unstable();
            all[all.len() / 2]
        }
    }

    const FAIR: [f64; 4] = [0.25, 0.22, 0.22, 0.20];

    /// Every outcome of a window of few rows is gone through.
    #[test]
    fn nothing_is_won_on_average_within_the_null() {
        let mut rng = Rng::new(11);
        for _ in 0..200 {
            let rows: Vec<[u64; 2]> = (0..2).map(|_| [1 + rng.below(2), 1 + rng.below(2)]).collect();
            let base: Vec<f64> = (0..2).map(|_| rng.unit()).collect();
            let widest = ((base[0] - base[1]).abs() + PLAN.tolerated).min(1.0);
            let low = rng.unit() * (1.0 - widest);
            let candidate = if rng.unit() < 0.5 { [low, low + widest] } else { [low + widest, low] };
            let rates: Vec<[f64; 2]> = candidate.into_iter().zip(base).map(|(c, b)| [c, b]).collect();
            let mut gap = GapEvidence::new(2);
            // What was seen before makes the centres: anything.
            gap.windows = 1;
            gap.past = (0..2).map(|_| [0, 1].map(|_| Arm { n: 9, x: float(rng.below(10)) })).collect();
            let mean = mean_over_outcomes(&gap, &rows, &rates);
            assert!(mean <= 1.0 + 1e-9, "{mean} with rows {rows:?} and rates {rates:?}");
            assert!((mean - 1.0).abs() > 1e-9, "something is bet");
        }
    }

    fn mean_over_outcomes(gap: &GapEvidence, rows: &[[u64; 2]], rates: &[[f64; 2]]) -> f64 {
        let cells: Vec<(u64, f64)> = rows.iter().flatten().copied().zip(rates.iter().flatten().copied()).collect();
        let outcomes: u64 = cells.iter().map(|(n, _)| n + 1).product();
        let mean = (0..outcomes).map(|mut code| {
            let mut chance = 1.0;
            let arms: Vec<Arm> = cells
                .iter()
                .map(|&(n, p)| {
                    let x = code % (n + 1);
                    code /= n + 1;
                    let ways = if n == 2 && x == 1 { 2.0 } else { 1.0 };
                    chance *= ways * libm::pow(p, float(x)) * libm::pow(1.0 - p, float(n - x));
                    Arm { n, x: float(x) }
                })
                .collect();
            let window: Vec<[Arm; 2]> = arms.chunks(2).map(|pair| [pair[0], pair[1]]).collect();
            let mut after = gap.clone();
            after.update(GapPlan { alpha: 1e-300, ..PLAN }, &window, 1.0);
            chance * libm::exp(after.log_e())
        });
        mean.sum()
    }

    #[test]
    fn a_gap_within_what_is_tolerated_is_never_called_wide() {
        let at_the_edge = [FAIR[0] + PLAN.tolerated, FAIR[1], FAIR[2], FAIR[3]];
        let lower = FAIR.map(|rate| rate - 0.1);
        let reversed = [FAIR[2], FAIR[3], FAIR[0], FAIR[1]];
        for (name, candidate) in [("alike", FAIR), ("edge", at_the_edge), ("lower", lower), ("reversed", reversed)] {
            let stream = Stream::new(candidate, FAIR);
            let called = (1..=100).filter(|seed| stream.decides(150, *seed).is_some()).count();
            assert_eq!(called, 0, "{name}: of 100");
        }
    }

    #[test]
    fn a_group_that_loses_is_found_as_soon_as_is_promised() {
        for (loses, goal) in [(0.08, 42), (0.12, 13), (0.20, 5)] {
            let stream = Stream::new([FAIR[0], FAIR[1], FAIR[2], FAIR[3] - loses], FAIR);
            let median = stream.median(40);
            assert!(median <= goal, "loses {loses}: {median} windows");
        }
    }

    #[test]
    fn one_window_decides_nothing_and_leaves_nothing() {
        let (mut gap, mut rng) = (GapEvidence::new(4), Rng::new(3));
        let (usual, wide) = (Stream::new(FAIR, FAIR), Stream::new([0.25, 0.9, 0.0, 0.2], FAIR));
        for window in 1..=60 {
            let stream = if window == 30 { &wide } else { &usual };
            gap.update(PLAN, &stream.window(&mut rng), 1.0);
            assert!(gap.log_e() < -libm::log(PLAN.alpha) / 2.0, "window {window}: {}", gap.log_e());
        }
    }

    #[test]
    fn a_gap_that_opens_late_is_found() {
        let (mut gap, mut rng) = (GapEvidence::new(4), Rng::new(4));
        let (usual, wide) = (Stream::new(FAIR, FAIR), Stream::new([FAIR[0], FAIR[1], FAIR[2], 0.08], FAIR));
        (0..70).for_each(|_| gap.update(PLAN, &usual.window(&mut rng), 1.0));
        let found = (1..=60).find(|_| {
            gap.update(PLAN, &wide.window(&mut rng), 1.0);
            gap.log_e() >= -libm::log(PLAN.alpha)
        });
        assert!(found.is_some_and(|windows| windows <= 30), "{found:?}");
        let [candidate, _] = gap.widest();
        assert_eq!((candidate.most, candidate.least), (0, 3));
    }

    #[test]
    fn entities_that_come_back_say_less() {
        let (stream, mut rng) = (Stream::new([FAIR[0], FAIR[1], FAIR[2], 0.08], FAIR), Rng::new(4));
        let (mut plain, mut alike) = (GapEvidence::new(4), GapEvidence::new(4));
        for _ in 0..5 {
            let window = stream.window(&mut rng);
            plain.update(PLAN, &window, 1.0);
            alike.update(PLAN, &window, 3.0);
        }
        assert!(alike.log_e() < plain.log_e() / 2.0, "{} of {}", alike.log_e(), plain.log_e());
    }
}
