//! The `guards` section: how much worse a candidate may be, and how often evidence may err. Every key has a default, which
//! stands in the plan.

use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::{Problems, Spot};
use super::value::{At, Margin, Ratio};
use crate::plan::GuardPlan;

/// The most windows that starts of harm are spread over.
const PLANNED_MAX: u64 = 1_000_000;

/// Margins and error budgets of the evidence about a candidate.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuardSection {
    /// Chance that evidence ever rolls back a candidate that is no worse than its margins, over the whole rollout, however
    /// often it is looked at. Default: 1%.
    alpha: Option<At<Ratio>>,
    /// Chance that a candidate which is worse than a margin is found safe. Default: 5%.
    beta: Option<At<Ratio>>,
    /// How many windows a rollout is laid out for. It may take more. Default: 288, a day of windows of 5m.
    planned_windows: Option<At<u64>>,
    /// How many windows must speak before evidence acts, so that one blip does not. Default: 3.
    min_windows: Option<At<u64>>,
    /// A window with fewer events than this on either side says nothing about distributions. Default: 30.
    min_n: Option<At<u64>>,
    /// How much alike requests of one entity are taken to be where events name no `entity`: variance is this many times that
    /// of independent events. Default: 3.
    design_effect: Option<At<f64>>,
    /// Share of traffic that a contained candidate keeps. Default: 5%.
    contain_to: Option<At<Ratio>>,
    /// How many times as often the candidate may fail. Default: 1.2.
    errors: Option<At<Margin>>,
    /// How much slower the candidate may be, at every quantile. Default: 10%.
    latency: Option<At<Margin>>,
    /// How much larger the candidate's mean loss may be, once labels are known. Default: 5%.
    loss: Option<At<Margin>>,
    /// How far the candidate's answers may be from the baseline's, as a population stability index. Default: 0.1.
    answers: Option<At<f64>>,
}

impl GuardSection {
    /// The plan: what is named, and the default for the rest.
    pub(crate) fn resolve(&self, problems: &mut Problems) -> GuardPlan {
        let default = GuardPlan::default();
        self.check(problems);
        GuardPlan {
            alpha: chance("alpha", self.alpha, default.alpha, problems),
            beta: chance("beta", self.beta, default.beta, problems),
            planned: windows("planned_windows", self.planned_windows, default.planned, problems),
            windows_min: windows("min_windows", self.min_windows, default.windows_min, problems),
            design_effect: self.design_effect.map_or(default.design_effect, |effect| effect.value),
            n_min: self.min_n.map_or(default.n_min, |n| n.value),
            contain_to_pct: self.contain_to.map_or(default.contain_to_pct, |share| share.value.0 * 100.0),
            errors: self.errors.map_or(default.errors, |margin| margin.value.0),
            latency: self.latency.map_or(default.latency, |margin| margin.value.on_top()),
            loss: self.loss.map_or(default.loss, |margin| margin.value.0),
            answers: self.answers.map_or(default.answers, |psi| psi.value),
        }
    }

    fn check(&self, problems: &mut Problems) {
        if let Some(effect) = self.design_effect.filter(|effect| !(1.0..=1e6).contains(&effect.value)) {
            problems
                .add(effect.spot, format!("`design_effect` is {}", effect.value))
                .help("write 1 when every request is independent, more when one entity asks often");
        }
        if let Some(psi) = self.answers.filter(|psi| !(0.0..=10.0).contains(&psi.value) || psi.value == 0.0) {
            problems
                .add(psi.spot, format!("`answers` is {}", psi.value))
                .help("write a population stability index above 0, such as 0.1");
        }
        if let Some(share) = self.contain_to.filter(|share| share.value.0 >= 1.0) {
            problems
                .add(share.spot, "`contain_to` leaves the candidate all traffic")
                .help("write the share that it may keep, such as 5%");
        }
    }
}

/// A chance of a mistake: neither none, which no evidence gives, nor half.
fn chance(key: &str, given: Option<At<Ratio>>, default: f64, problems: &mut Problems) -> f64 {
    let Some(At { value: Ratio(chance), spot }) = given else { return default };
    if chance <= 0.0 || chance >= 0.5 {
        problems.add(spot, format!("`{key}` is {chance}")).help("write a chance above 0 and below 50%, such as 1%");
    }
    chance
}

fn windows(key: &str, given: Option<At<u64>>, default: u32, problems: &mut Problems) -> u32 {
    let Some(At { value, spot }) = given else { return default };
    let in_range = (1..=PLANNED_MAX).contains(&value);
    if !in_range {
        problems.add(spot, format!("`{key}` is {value}")).help(format!("write a number from 1 to {PLANNED_MAX}"));
    }
    u32::try_from(value).unwrap_or(default)
}

/// Tells that there is nothing to guard.
pub(crate) fn without_rollout(spot: Spot, problems: &mut Problems) {
    problems
        .add(spot, "`guards` compare a candidate with a version, and none is named")
        .help("add `rollout: { baseline: VERSION }`, or drop `guards`");
}
