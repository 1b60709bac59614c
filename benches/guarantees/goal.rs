//! One goal: what is promised, what is simulated, and whether it holds.

use std::sync::Arc;

use haldane::event::Micros;
use haldane::judge::Effects;
use haldane::plan::{Action, Plan};
use haldane::sim::Rng;

use crate::lab::{self, Rows};

/// How much is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Enough to see that it runs.
    Tiny,
    /// Minutes.
    Fast,
    /// As much as the published figures rest on.
    Full,
}

impl Effort {
    pub(crate) fn of<T: Copy>(self, [tiny, fast, full]: [T; 3]) -> T {
        match self {
            Self::Tiny => tiny,
            Self::Fast => fast,
            Self::Full => full,
        }
    }
}

/// What is promised.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// The action comes in at most this share of rollouts.
    Chance(f64),
    /// The action comes after at most this many windows since the change, in the median rollout.
    Delay(u32),
}

/// What is looked for in a rollout.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sought {
    /// A restriction, and how severe it is at least.
    Restriction(Action),
    /// That the candidate may pass.
    Permission,
    /// That its labels cannot be trusted.
    Bias,
}

/// One goal.
pub(crate) struct Goal {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    /// What is looked for.
    pub(crate) sought: Sought,
    /// The plan, with the knobs that the goal names.
    pub(crate) plan: fn() -> Arc<Plan>,
    /// When things change, in windows from the start.
    pub(crate) change: u32,
    /// Windows of a rollout, by effort.
    pub(crate) windows: [u32; 3],
    /// Rollouts, by effort.
    pub(crate) rollouts: [u32; 3],
    /// What draws the windows of one rollout.
    pub(crate) traffic: fn(u64) -> Traffic,
}

/// Draws the rows of a window.
pub(crate) type Traffic = Box<dyn FnMut(u32, &mut Rows)>;

impl Goal {
    /// Simulates so many rollouts at most, prints the row, and tells whether the goal is met.
    pub(crate) fn report(&self, effort: Effort, rollouts_max: u32) -> bool {
        let (windows, rollouts) = (effort.of(self.windows), effort.of(self.rollouts).min(rollouts_max));
        let plan = (self.plan)();
        let run = |seed| self.sought.windows_until(&plan, windows, (self.traffic)(seed));
        let found: Vec<Option<u32>> = (1..=u64::from(rollouts)).map(run).collect();
        let (target, ours, met) = match self.target {
            Target::Chance(chance) => {
                let events = u32::try_from(found.iter().flatten().count()).expect("few rollouts");
                let met = at_least(events, rollouts, chance) >= 0.01;
                (format!("<= {:.1} %", chance * 100.0), format!("{events} of {rollouts}"), met)
            }
            Target::Delay(most) => {
                let median = median_delay(&found, self.change);
                let never = || "not found".to_owned();
                let ours = median.map_or_else(never, |median| format!("{median} ({rollouts} x)"));
                (format!("<= {most}"), ours, median.is_some_and(|median| median <= most))
            }
        };
        let verdict = if met { "met" } else { "MISSED" };
        println!("{:<64} {target:>12} {ours:>18}  {verdict}", self.name);
        met
    }
}

impl Sought {
    fn windows_until(self, plan: &Arc<Plan>, windows: u32, traffic: Traffic) -> Option<u32> {
        match self {
            Self::Restriction(action) => lab::windows_until(plan, windows, action, traffic),
            Self::Permission => {
                let passed = |effects: &Effects| lab::decided(effects, |decision| decision.action.permits());
                lab::windows_until_any(plan, windows, passed, traffic)
            }
            Self::Bias => lab::windows_until_any(plan, windows, biased, traffic),
        }
    }
}

/// When a candidate was first told to have labels that cannot be trusted.
fn biased(effects: &Effects) -> Option<Micros> {
    let mut states = effects.states.iter().filter(|state| state.candidate != state.baseline);
    let is_biased = |text: &String| text.contains("LABEL_BIASED");
    states.find(|state| state.waits_for.iter().any(is_biased)).map(|state| state.judged_upto.0)
}

/// The median number of windows since the change; `None` when most were never found. One that came before the change
/// was about nothing, and counts as never found.
fn median_delay(found: &[Option<u32>], change: u32) -> Option<u32> {
    let mut delays: Vec<u32> = found
        .iter()
        .map(|found| found.and_then(|at| at.checked_sub(change)).filter(|&d| d > 0).unwrap_or(u32::MAX))
        .collect();
    delays.sort_unstable();
    Some(delays[delays.len() / 2]).filter(|&delay| delay < u32::MAX)
}

/// The chance of at least `events` among `n` that each come with chance `p`.
fn at_least(events: u32, n: u32, p: f64) -> f64 {
    let mut mass = libm::exp(f64::from(n) * libm::log1p(-p));
    let mut below = 0.0;
    for k in 0..events {
        below += mass;
        mass *= f64::from(n - k) / f64::from(k + 1) * p / (1.0 - p);
    }
    1.0 - below
}

/// The generator of one rollout.
pub(crate) fn rng(seed: u64) -> Rng {
    Rng::new(seed.wrapping_mul(0xD1B5_4A32_D192_ED03))
}
