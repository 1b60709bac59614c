//! Guardrails: what a candidate must not be worse at than its margin, and what is counted on both sides to tell.
//!
//! Every guardrail compares a share of the candidate's events with a share of the baseline's (or two means of losses
//! between 0 and 1). Latency and a regression's errors are compared by *shifted exceedance*: the share of the
//! candidate's values above `(1 + m) h` against the share of the baseline's above `h`, with `h` a quantile of the
//! baseline in earlier windows. "Every quantile of the candidate is at most `1 + m` times the baseline's" implies that
//! the first is at most the second, whatever the tails. A request that timed out failed, and is beyond every threshold:
//! its latency is censored, and shares beyond a threshold are all that can be compared without knowing where it would
//! have ended.

use serde::{Deserialize, Serialize};

use crate::infer::two_sample::Arm;
use crate::plan::{ColumnRole, GuardPlan, Plan, QualityPlan, Task};
use crate::reason::ReasonCode;
use crate::summary::magnitude::steps_of_ratio;
use crate::summary::{Quality, Traffic};
use crate::verdict::guard::number::{count, float, floor};
use crate::verdict::guard::window::Pair;
use crate::verdict::words::tells_failures;

/// Quantiles whose exceedances are compared: latency, and absolute errors.
/// Origin: choice; the usual, the slow and the slowest requests.
pub(crate) const SLOW: [f64; 3] = [0.5, 0.9, 0.99];
/// Origin: choice; the usual and the large errors; labels are too few for the largest.
const OFF: [f64; 2] = [0.5, 0.9];
/// How quickly thresholds follow the baseline version.
/// Origin: choice; a half-life of three windows.
const FOLLOW: f64 = 0.2;
/// The part of the failures' share that goes to refusals: a broken schema refuses so many that little is enough.
/// Origin: choice; see above.
const OF_REJECTED: f64 = 0.1;

/// One guardrail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rail {
    /// Share of requests that failed.
    Failed,
    /// Share of requests that were refused.
    Rejected,
    /// Share of answers slower than a quantile of the baseline version.
    Slow(usize),
    /// Regression: share of predictions further off than a quantile of the baseline version's.
    Off(usize),
    /// Classification: mean squared error of a probability.
    Loss,
}

/// What is asked of a pair of arms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hypothesis {
    /// Whether the candidate is worse than its margin.
    Margin,
    /// Whether it is worse at all.
    NoMargin,
}

/// Thresholds that earlier windows of the baseline version give.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Thresholds {
    /// Latency quantiles, milliseconds.
    slow_ms: Option<[f64; 3]>,
    /// Quantiles of absolute errors, steps.
    off: Option<[f64; 2]>,
}

/// The guardrails of a plan, with their shares of the error budget: one for failures, one for latency, one for labels.
/// What the plan's sources cannot tell is none: of a request whose failure nobody knows nothing is shown.
pub(crate) fn rails(plan: &Plan) -> Vec<(Rail, f64)> {
    let mut families = Vec::new();
    let refuses = plan.sources.iter().any(|source| source.mapping.status.is_some());
    if refuses {
        families.push(vec![(Rail::Failed, 1.0 - OF_REJECTED), (Rail::Rejected, OF_REJECTED)]);
    } else if tells_failures(plan) {
        families.push(vec![(Rail::Failed, 1.0)]);
    }
    let even = |rail: fn(usize) -> Rail, n: usize| (0..n).map(|q| (rail(q), 1.0 / float(n))).collect();
    if plan.columns.index_of(ColumnRole::Latency).is_some() {
        families.push(even(Rail::Slow, SLOW.len()));
    }
    let has_scores = plan.quality.as_ref().is_some_and(QualityPlan::has_scores);
    match plan.quality.as_ref().map(|quality| quality.task) {
        Some(Task::Regression) => families.push(even(Rail::Off, OFF.len())),
        Some(Task::Binary | Task::Multiclass) if has_scores => families.push(vec![(Rail::Loss, 1.0)]),
        _ => {}
    }
    let share = 1.0 / float(families.len());
    families.into_iter().flatten().map(|(rail, weight)| (rail, weight * share)).collect()
}

impl Rail {
    /// The metric that shows people what is meant.
    pub(crate) fn metric(self) -> &'static str {
        match self {
            Self::Failed => "error_rate",
            Self::Rejected => "rejected_rate",
            Self::Slow(q) => ["latency_p50", "latency_p90", "latency_p99"][q],
            Self::Off(_) => "mae",
            Self::Loss => "brier",
        }
    }

    /// The reason code.
    pub(crate) fn code(self) -> ReasonCode {
        match self {
            Self::Failed | Self::Rejected => ReasonCode::ErrorRate,
            Self::Slow(_) => ReasonCode::LatencyQuantile,
            Self::Off(_) | Self::Loss => ReasonCode::OutcomeRegression,
        }
    }

    /// What the shares are shares of, for people: `candidate` against `baseline`.
    pub(crate) fn describe(self, guard: &GuardPlan, asked: Hypothesis, candidate: f64, baseline: f64) -> String {
        let quantile = |q: usize| ["median", "90th percentile", "99th percentile"][q];
        let (of, beyond) = match self {
            Self::Failed => ("failed requests", None),
            Self::Rejected => ("refused requests", None),
            Self::Slow(q) => ("answers", Some(quantile(q))),
            Self::Off(q) => ("errors", Some(quantile(q))),
            Self::Loss => ("squared error", None),
        };
        let Some(quantile) = beyond else { return format!("{of} {candidate:.4} against {baseline:.4}") };
        match asked {
            Hypothesis::NoMargin => {
                format!("{candidate:.4} of its {of} beyond the baseline's {quantile}, {baseline:.4} of the baseline's")
            }
            Hypothesis::Margin => format!(
                "{candidate:.4} of its {of} beyond {} times the baseline's {quantile}, {baseline:.4} of the \
                 baseline's beyond it",
                self.margin(guard)
            ),
        }
    }

    /// Whether what is compared is the metric itself, which adds up over windows.
    pub(crate) fn is_mean(self) -> bool {
        matches!(self, Self::Failed | Self::Rejected | Self::Loss)
    }

    /// Whether it is about the labels of predictions.
    pub(crate) fn is_of_labels(self) -> bool {
        matches!(self, Self::Off(_) | Self::Loss)
    }

    /// Whether it is a share of requests that may be so small that no comparison matters.
    pub(crate) fn may_be_negligible(self) -> bool {
        matches!(self, Self::Failed | Self::Rejected)
    }

    /// The ratio of shares on the edge of the null. A margin on a threshold's scale is in the threshold.
    pub(crate) fn ratio(self, guard: &GuardPlan, asked: Hypothesis) -> f64 {
        match (self, asked) {
            (Self::Failed | Self::Rejected, Hypothesis::Margin) => guard.errors,
            (Self::Loss, Hypothesis::Margin) => guard.loss,
            _ => 1.0,
        }
    }

    /// What is tolerated, in terms that people know.
    pub(crate) fn margin(self, guard: &GuardPlan) -> f64 {
        match self {
            Self::Failed | Self::Rejected => guard.errors,
            Self::Slow(_) => 1.0 + guard.latency,
            Self::Off(_) | Self::Loss => guard.loss,
        }
    }

    /// The counts of a window's traffic, candidate first.
    pub(crate) fn traffic(
        self,
        guard: &GuardPlan,
        asked: Hypothesis,
        pair: Pair<'_, Traffic>,
        thresholds: &Thresholds,
    ) -> Option<(Arm, Arm)> {
        let share = |of: &dyn Fn(&Traffic) -> u64| {
            let arm = |traffic: &Traffic| Arm { n: traffic.rates.requests, x: count(of(traffic)) };
            Some((arm(pair.candidate), arm(pair.baseline)))
        };
        match self {
            Self::Failed => share(&|traffic| traffic.rates.errors),
            Self::Rejected => share(&|traffic| traffic.rates.rejected),
            Self::Slow(q) => {
                let bound = thresholds.slow_ms?[q];
                let moved = if asked == Hypothesis::Margin { bound * (1.0 + guard.latency) } else { bound };
                let arm = |traffic: &Traffic, bound: f64| {
                    let (slower, n) = traffic.slower_than(bound);
                    Arm { n, x: count(slower) }
                };
                Some((arm(pair.candidate, moved), arm(pair.baseline, bound)))
            }
            Self::Off(_) | Self::Loss => None,
        }
    }

    /// The counts of a window's labels, candidate first.
    pub(crate) fn labels(
        self,
        guard: &GuardPlan,
        asked: Hypothesis,
        pair: Pair<'_, Quality>,
        thresholds: &Thresholds,
    ) -> Option<(Arm, Arm)> {
        match self {
            Self::Off(q) => {
                let bound = floor(thresholds.off?[q]);
                let shift = if asked == Hypothesis::Margin { steps_of_ratio(guard.loss) } else { 0 };
                let arm = |quality: &Quality, bound: i32| Arm {
                    n: quality.sizes.n(),
                    x: count(quality.sizes.n_above(bound)),
                };
                Some((arm(pair.candidate, bound + shift), arm(pair.baseline, bound)))
            }
            Self::Loss => {
                // Rounding of the sum may pass the largest possible one by the last bit.
                let arm = |quality: &Quality| Arm { n: quality.n, x: quality.squared.value().min(count(quality.n)) };
                Some((arm(pair.candidate), arm(pair.baseline)))
            }
            Self::Failed | Self::Rejected | Self::Slow(_) => None,
        }
    }
}

impl Thresholds {
    /// Learns from the baseline's traffic, for later windows.
    pub(crate) fn follow_traffic(&mut self, baseline: &Traffic) {
        follow(&mut self.slow_ms, SLOW.map(|q| baseline.latency.quantile_ms(q)));
    }

    /// Learns from the baseline's labels, for later windows.
    pub(crate) fn follow_labels(&mut self, baseline: &Quality) {
        follow(&mut self.off, OFF.map(|q| baseline.sizes.quantile(q).map(f64::from)));
    }
}

fn follow<const N: usize>(level: &mut Option<[f64; N]>, now: [Option<f64>; N]) {
    if now.iter().any(Option::is_none) {
        return;
    }
    let now = now.map(Option::unwrap_or_default);
    let before = level.unwrap_or(now);
    *level = Some(std::array::from_fn(|q| before[q] + FOLLOW * (now[q] - before[q])));
}
