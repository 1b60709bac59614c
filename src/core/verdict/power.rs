//! How soon guards see a given regression: whole rollouts rehearsed with drawn counts, through the guards themselves.
//!
//! Nothing is approximated but the traffic: answers fail independently, latencies are log-normal, values normal, and
//! each window has the same number of events. What the guards make of the counts is what they make of real ones, with
//! every margin, budget and cap of the plan; a reference profile and segments are left out, as they say nothing about a
//! regression of one version as a whole.
//!
//! **State**: that of the guards. **Cost**: a window of all guards, and some 100 draws.

use std::collections::BTreeMap;

use crate::event::{Micros, SECOND};
use crate::metric::view::{Baselines, ViewKey, Views};
use crate::plan::{Action, Baseline, ColumnRole, GuardPlan, Plan};
use crate::summary::Traffic;
use crate::trust::WindowTrust;
use crate::verdict::decision::Exposure;
use crate::verdict::guard::{Guards, Memory};
use crate::verdict::judged::{Judged, JudgedKind, VersionCounts};

/// Median latency of the baseline version; only ratios to it matter.
/// Origin: choice; it cancels out.
const MEDIAN_MS: f64 = 100.0;
/// Log-normal latencies are drawn on this many levels, a step of two per cent apart at a spread of a half.
/// Origin: numerics; a bound on time.
const LATENCY_LEVELS: u32 = 400;
/// Levels reach this many standard deviations to either side.
/// Origin: numerics; one value in 16,000 is further out.
const REACH: f64 = 4.0;
/// Values of a column are drawn in this many groups of equal width, up to so many standard deviations to either side.
/// Origin: numerics; a bound on time.
const VALUE_GROUPS: u32 = 32;
/// Origin: numerics; one value in 370 is further out.
const VALUE_REACH: f64 = 3.0;
/// Names of the model and the candidate that are rehearsed; the baseline version has the plan's.
const MODEL: &str = "model";
const CANDIDATE: &str = "candidate";

/// Where numbers come from: the core draws none.
pub trait Chance {
    /// Successes among `n` independent trials.
    fn binomial(&mut self, n: u64, p: f64) -> u64;
}

/// Events of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Of the candidate.
    pub candidate: u64,
    /// Of the baseline version.
    pub baseline: u64,
}

/// What is wrong with the candidate, from the first window on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Regression {
    /// A share of the baseline version's answers fail, and a multiple of it of the candidate's.
    Errors {
        /// The baseline version's share, 0 to 1.
        rate: f64,
        /// The candidate's share over it.
        ratio: f64,
    },
    /// Latencies, whose logarithms have this standard deviation, are a multiple of the baseline version's.
    Latency {
        /// Standard deviation of the logarithms.
        spread: f64,
        /// The candidate's latency over the baseline version's.
        ratio: f64,
    },
    /// The mean of one numeric column is off by a number of standard deviations.
    Shift {
        /// Position among the numeric columns.
        column: usize,
        /// How far, in standard deviations.
        deviations: f64,
    },
}

/// When guards acted for the first time, in windows from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acted {
    /// Capped the candidate, or more.
    pub contain: Option<u32>,
    /// Rolled it back.
    pub rollback: Option<u32>,
}

/// Rollouts of one pipeline, to be rehearsed.
#[derive(Debug)]
pub struct Rehearsal {
    plan: Plan,
    guards: Guards,
}

impl Rehearsal {
    /// A rehearsal of a plan's rollout; `None` when nothing guards it.
    pub fn new(plan: &Plan, design_effect: f64) -> Option<Self> {
        let mut plan = Plan { reference: None, segments: Vec::new(), ..plan.clone() };
        let guard = GuardPlan { design_effect, ..plan.policy.guards.clone()? };
        let guards = Guards::new(&plan, &guard);
        plan.policy.guards = Some(guard);
        Some(Self { plan, guards })
    }

    /// Rehearses one rollout, up to its rollback or for `windows` windows.
    pub fn run(&self, load: Load, wrong: Regression, windows: u32, chance: &mut impl Chance) -> Acted {
        let (mut memory, mut acted) = (Memory::default(), Acted::default());
        let shares = [Shares::of(wrong, false), Shares::of(wrong, true)];
        for window in 1..=windows {
            let baseline = self.draw(wrong, &shares[0], load.baseline, chance);
            let candidate = self.draw(wrong, &shares[1], load.candidate, chance);
            let severest = self.judge(&mut memory, window, candidate, baseline);
            if severest >= Some(Action::Contain) {
                acted.contain = acted.contain.or(Some(window));
            }
            if severest >= Some(Action::Rollback) {
                acted.rollback = Some(window);
                break;
            }
        }
        acted
    }

    fn judge(&self, memory: &mut Memory, window: u32, candidate: Traffic, baseline: Traffic) -> Option<Action> {
        let key =
            |version: &str| ViewKey { model: MODEL.to_owned(), version: version.to_owned(), segment: String::new() };
        let shares = (candidate.rates.requests, baseline.rates.requests);
        let main = &self.plan.policy.baseline_version;
        let views: Views<Traffic> = BTreeMap::from([(key(CANDIDATE), candidate), (key(main), baseline)]);
        let (start, end) = (Micros::from(window - 1) * SECOND, Micros::from(window) * SECOND);
        let observed_pct = 100.0 * float(shares.0) / float(shares.0 + shares.1).max(1.0);
        let judged = Judged {
            start,
            end,
            order: (end, JudgedKind::Traffic),
            rows: &[],
            seen: &[],
            newest_from: start,
            newest: &VersionCounts::Traffic(&views),
            trust: &WindowTrust::default(),
            exposure: &|_, _| Exposure { declared_pct: None, observed_pct },
            looks: &|_, _| None,
            baselines: Baselines { reference: None, earlier: &|_: &Baseline| None },
            offsets: Vec::new(),
        };
        let verdict = self.guards.judge(memory, MODEL, CANDIDATE, &judged);
        verdict.findings.iter().map(|finding| finding.action).max()
    }

    fn draw(&self, wrong: Regression, shares: &Shares, n: u64, chance: &mut impl Chance) -> Traffic {
        let mut traffic = Traffic::new(&self.plan.columns);
        traffic.rates.requests = n;
        let counts = shares.draw(n, chance);
        match wrong {
            Regression::Errors { .. } => traffic.rates.errors = counts[0],
            Regression::Latency { .. } => {
                shares.values.iter().zip(counts).for_each(|(&value, count)| traffic.latency.update_n(value, count));
            }
            Regression::Shift { column, .. } => {
                let bins = &mut traffic.numeric[column].counts;
                let last = bins.len() - 1;
                let groups = shares.of.len() - 1;
                counts.iter().enumerate().for_each(|(group, count)| bins[group * last / groups] += count);
            }
        }
        traffic
    }

    /// The first numeric column that is a model's input.
    pub fn feature(&self) -> Option<(usize, &str)> {
        let column = self.plan.columns.index_of(ColumnRole::Feature)?;
        Some((column, &self.plan.columns.numeric[column].name))
    }
}

/// How likely each group of values is.
struct Shares {
    of: Vec<f64>,
    /// What the groups stand for, where it matters.
    values: Vec<f64>,
}

impl Shares {
    /// The groups of the candidate or of the baseline version.
    fn of(wrong: Regression, candidate: bool) -> Self {
        let groups = |edges: &mut dyn Iterator<Item = f64>| {
            let below: Vec<f64> = std::iter::once(0.0).chain(edges.map(normal_cdf)).chain([1.0]).collect();
            below.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<f64>>()
        };
        match wrong {
            Regression::Errors { rate, ratio } => {
                let p = if candidate { rate * ratio } else { rate };
                Self { of: vec![p.min(1.0), 1.0 - p.min(1.0)], values: Vec::new() }
            }
            Regression::Latency { spread, ratio } => {
                let factor = MEDIAN_MS * if candidate { ratio } else { 1.0 };
                let step = 2.0 * REACH / f64::from(LATENCY_LEVELS);
                let of = groups(&mut (1..LATENCY_LEVELS).map(|level| f64::from(level) * step - REACH));
                let middle = |level: u32| (f64::from(level) + 0.5) * step - REACH;
                let values = (0..LATENCY_LEVELS).map(|level| factor * libm::exp(spread * middle(level))).collect();
                Self { of, values }
            }
            Regression::Shift { deviations, .. } => {
                let off = if candidate { deviations } else { 0.0 };
                let step = 2.0 * VALUE_REACH / f64::from(VALUE_GROUPS);
                let edge = |group: u32| f64::from(group) * step - VALUE_REACH - off;
                Self { of: groups(&mut (1..VALUE_GROUPS).map(edge)), values: Vec::new() }
            }
        }
    }

    /// How many of `n` events fall into each group.
    fn draw(&self, n: u64, chance: &mut impl Chance) -> Vec<u64> {
        let (mut left, mut mass) = (n, 1.0);
        let mut counts = Vec::with_capacity(self.of.len());
        for &share in &self.of {
            let certain = share >= mass || left == 0;
            let count = if certain { left } else { chance.binomial(left, share / mass) };
            counts.push(count);
            left -= count;
            mass -= share;
        }
        counts
    }
}

fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
