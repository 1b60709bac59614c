//! The `guards` section: how much worse a candidate may be, and how often evidence may err. Every key has a default,
//! which stands in the plan.

use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::{Problems, Spot};
use super::value::{At, Margin, Period, Ratio};
use crate::plan::{Achievement, Fairness, GroupRate, GuardPlan, SloPlan, Success};

/// The most windows that starts of harm are spread over.
const PLANNED_MAX: u64 = 1_000_000;
/// Two points; differences that are smaller are seldom looked at.
const FAIRNESS_MARGIN: f64 = 0.02;
/// As for failures.
pub(crate) const CLASSES_MARGIN: f64 = 1.2;
/// Indexes of this size say that nothing is tested.
const INDEX_MAX: f64 = 10.0;

/// Margins and error budgets of the evidence about a candidate.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuardSection {
    /// Chance that evidence ever rolls back a candidate that is no worse than its margins, over the whole rollout,
    /// however often it is looked at. Default: 1%.
    alpha: Option<At<Ratio>>,
    /// Chance that a candidate which is worse than a margin is found safe. Default: 5%.
    beta: Option<At<Ratio>>,
    /// How many windows a rollout is laid out for. It may take more. Default: 288, a day of windows of 5m.
    planned_windows: Option<At<u64>>,
    /// How many windows must speak before evidence acts, so that one blip does not. Default: 3.
    min_windows: Option<At<u64>>,
    /// A window with fewer events than this on either side says nothing about distributions. Default: 30.
    min_n: Option<At<u64>>,
    /// How much alike requests of one entity are taken to be where events name no `entity`: variance is this many times
    /// that of independent events. Where windows show how much it is, of drift and of the world, it is the most that is
    /// reckoned with. Default: 3.
    design_effect: Option<At<f64>>,
    /// Share of traffic that a contained candidate keeps. Default: 5%.
    contain_to: Option<At<Ratio>>,
    /// How many times as often the candidate may fail. Default: 1.2.
    errors: Option<At<Margin>>,
    /// How much slower the candidate may be, at every quantile. Default: 10%.
    latency: Option<At<Margin>>,
    /// How much larger the candidate's mean loss may be, once labels are known. Default: 5%.
    loss: Option<At<Margin>>,
    /// A share of failures below this is safe, however it compares with the baseline's. Default: 0.1%.
    negligible: Option<At<Ratio>>,
    /// How far the candidate's answers may be from the baseline's, as a population stability index. Default: 0.1.
    answers: Option<At<f64>>,
    /// How far a column may be from the reference before it counts as drift, as a population stability index over 20
    /// bins. Default: 0.1.
    drift: Option<At<f64>>,
    /// Columns that are never held against the reference, because they are meant to move. Columns that tell the time
    /// (`hour`, `weekday`, `month`) are not in windows shorter than their cycle, without being named. Default: none.
    #[serde(default)]
    drift_except: Vec<At<String>>,
    /// How many segments are watched one by one, those with the most traffic first. Default: 16.
    segments_max: Option<At<u64>>,
    /// Whether to look once more after `planned_windows`, with three quarters of `alpha`, for effects too small to be
    /// found on the way; evidence then acts at the rest. Best where rollouts end there. Default: false.
    final_look: Option<bool>,
    /// Limits that hold whatever the baseline does. Default: none.
    slo: Option<SloSection>,
    /// What a candidate must be shown to achieve before it passes, beside keeping every margin. Default: nothing.
    #[serde(default)]
    success: Vec<At<SuccessSection>>,
    /// Groups of requests that must not be treated less alike than by the baseline version. Default: none.
    #[serde(default)]
    fairness: Vec<FairnessSection>,
    /// Multiclass: how many times as often the candidate may miss one of the classes, or be wrong where it answers with
    /// it, each class by itself, once labels are known. Where nothing is written it is 1.2.
    classes: Option<At<Margin>>,
}

/// Groups of requests, and the rate that they are compared by.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FairnessSection {
    /// The segment whose values are the groups, one of `segments`.
    segment: At<String>,
    /// The rate of each group.
    metric: At<OfGroup>,
    /// By how much the largest difference between two groups may be larger than the baseline version's. Default: 2%,
    /// two points.
    margin: Option<At<Ratio>>,
}

/// Rates that groups are compared by.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OfGroup {
    /// Share of requests that failed.
    ErrorRate,
    /// Share of answers that were positive.
    PositiveRate,
    /// Share of right answers.
    Accuracy,
    /// Share of positives that were found.
    Recall,
    /// Share of positive answers that were right.
    Precision,
}

/// One thing that a candidate must be shown to achieve.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuccessSection {
    /// In which metric.
    metric: Achieved,
    /// How much worse is tolerated: as many times fewer positive outcomes, or more wrong answers. Without it, it must
    /// be better.
    margin: Option<At<Margin>>,
}

/// Metrics of success.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Achieved {
    /// Share of outcomes that are positive, such as conversions; more are better.
    BaseRate,
    /// Share of right answers.
    Accuracy,
}

/// Limits that hold whatever the baseline does; a limit that is not named is none.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SloSection {
    /// Chance that a limit which is kept is ever called broken, for each limit over the whole rollout. Default: 0.1%.
    alpha: Option<At<Ratio>>,
    /// Events of the candidate before any limit may act. Default: 200.
    min_n: Option<At<u64>>,
    /// Largest share of requests that may fail.
    error_rate: Option<At<Ratio>>,
    /// Largest share of requests that may be refused with a status of 400 to 499, which is what a broken schema looks
    /// like.
    rejected_rate: Option<At<Ratio>>,
    /// Largest share of answers without a usable score.
    missing_rate: Option<At<Ratio>>,
    /// The longest time to answer that `latency_quantile` of all answers must keep.
    latency: Option<At<Period>>,
    /// The share of answers that must be faster than `latency`. Default: 99%.
    latency_quantile: Option<At<Ratio>>,
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
            negligible: self.negligible.map_or(default.negligible, |share| share.value.0),
            answers: index("answers", self.answers, default.answers, problems),
            drift: index("drift", self.drift, default.drift, problems),
            drift_except: self.drift_except.iter().map(|column| column.value.clone()).collect(),
            segments_max: self
                .segments_max
                .map_or(default.segments_max, |n| u32::try_from(n.value).unwrap_or(u32::MAX)),
            final_look: self.final_look.unwrap_or(default.final_look),
            slo: self.slo.as_ref().map_or(default.slo, |slo| slo.resolve(problems)),
            success: self.success.iter().map(|success| success.value.resolve()).collect(),
            fairness: self.fairness.iter().map(FairnessSection::resolve).collect(),
            classes: self.classes.map(|margin| margin.value.0),
            measures: Vec::new(),
        }
    }

    fn check(&self, problems: &mut Problems) {
        if let Some(effect) = self.design_effect.filter(|effect| !(1.0..=1e6).contains(&effect.value)) {
            problems
                .add(effect.spot, format!("`design_effect` is {}", effect.value))
                .help("write 1 when every request is independent, more when one entity asks often");
        }
        if let Some(share) = self.contain_to.filter(|share| share.value.0 >= 1.0) {
            problems
                .add(share.spot, "`contain_to` leaves the candidate all traffic")
                .help("write the share that it may keep, such as 5%");
        }
    }
}

impl GuardSection {
    /// Tells of columns that are to be left out of drift and are none of the pipeline's.
    pub(crate) fn check_columns(&self, is_known: impl Fn(&str) -> bool, problems: &mut Problems) {
        for column in self.drift_except.iter().filter(|column| !is_known(&column.value)) {
            problems
                .add(column.spot, format!("`{}` is no column of this pipeline", column.value))
                .help("write the name of a feature or of the score, or drop it from `drift_except`");
        }
    }

    /// Tells of metrics of success that the pipeline has nothing for.
    pub(crate) fn check_success(&self, lack: impl Fn(&str) -> Option<&'static str>, problems: &mut Problems) {
        for At { value, spot } in &self.success {
            let metric = value.resolve().achievement.metric();
            if let Some(lack) = lack(metric) {
                problems
                    .add(*spot, format!("`{metric}` cannot be shown here"))
                    .help(format!("it needs {lack}; add that, or drop it from `success`"));
            }
        }
    }

    /// Tells of classes where there are none, or no labels of them.
    pub(crate) fn check_classes(&self, have_labels: bool, problems: &mut Problems) {
        if let Some(margin) = self.classes.filter(|_| !have_labels) {
            problems
                .add(margin.spot, "`classes` compares the classes of labelled predictions, and there are none")
                .help("it needs `task: multiclass` and labels; drop `classes` where there are two classes or none");
        }
    }

    /// Tells of groups that no segment makes, and of rates that the pipeline has nothing for.
    pub(crate) fn check_fairness(
        &self,
        segments: &[&str],
        lack: impl Fn(&str) -> Option<&'static str>,
        problems: &mut Problems,
    ) {
        for (place, one) in self.fairness.iter().enumerate() {
            let Fairness { segment, rate, .. } = one.resolve();
            if !segments.contains(&segment.as_str()) {
                problems
                    .add(one.segment.spot, format!("`{segment}` is no segment of this pipeline"))
                    .help("name its field under `segments` of `predictions`, such as segments: { sex: user.sex }");
            }
            if let Some(lack) = lack(rate.metric()) {
                problems
                    .add(one.metric.spot, format!("groups cannot be compared by `{}` here", rate.metric()))
                    .help(format!("it needs {lack}; add that, or drop it from `fairness`"));
            }
            let is_same = |other: &FairnessSection| {
                let other = other.resolve();
                (other.segment.as_str(), other.rate) == (segment.as_str(), rate)
            };
            if self.fairness[..place].iter().any(is_same) {
                problems
                    .add(one.segment.spot, format!("groups of `{segment}` are compared by `{}` twice", rate.metric()))
                    .help("drop one of the two");
            }
        }
    }
}

impl FairnessSection {
    fn resolve(&self) -> Fairness {
        let rate = match self.metric.value {
            OfGroup::ErrorRate => GroupRate::ErrorRate,
            OfGroup::PositiveRate => GroupRate::PositiveRate,
            OfGroup::Accuracy => GroupRate::Accuracy,
            OfGroup::Recall => GroupRate::Recall,
            OfGroup::Precision => GroupRate::Precision,
        };
        let margin = self.margin.map_or(FAIRNESS_MARGIN, |margin| margin.value.0);
        Fairness { segment: self.segment.value.clone(), rate, margin }
    }
}

impl SuccessSection {
    fn resolve(self) -> Success {
        let achievement = match self.metric {
            Achieved::BaseRate => Achievement::BaseRate,
            Achieved::Accuracy => Achievement::Accuracy,
        };
        Success { achievement, margin: self.margin.map(|margin| margin.value.0) }
    }
}

impl SloSection {
    fn resolve(&self, problems: &mut Problems) -> SloPlan {
        let default = SloPlan::default();
        let quantile = self.latency_quantile.filter(|quantile| self.latency.is_none() || quantile.value.0 >= 1.0);
        if let Some(quantile) = quantile {
            problems
                .add(quantile.spot, "`latency_quantile` is the share of answers that must be faster than `latency`")
                .help("write both, such as `latency: 250ms` and `latency_quantile: 99%`");
        }
        let share = |share: Option<At<Ratio>>| share.map(|share| share.value.0);
        SloPlan {
            alpha: chance("alpha", self.alpha, default.alpha, problems),
            n_min: self.min_n.map_or(default.n_min, |n| n.value),
            error_rate: share(self.error_rate),
            rejected_rate: share(self.rejected_rate),
            missing_rate: share(self.missing_rate),
            latency_ms: self.latency.map(|limit| millis(limit.value)),
            latency_quantile: share(self.latency_quantile).unwrap_or(default.latency_quantile),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations far below 2^53 microseconds")]
fn millis(period: Period) -> f64 {
    period.0 as f64 / 1000.0
}

/// A population stability index: above zero, and below what no two samples reach.
fn index(key: &str, given: Option<At<f64>>, default: f64, problems: &mut Problems) -> f64 {
    let Some(At { value, spot }) = given else { return default };
    if value <= 0.0 || value >= INDEX_MAX || value.is_nan() {
        problems
            .add(spot, format!("`{key}` is {value}"))
            .help("write a population stability index above 0, such as 0.1");
    }
    value
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
