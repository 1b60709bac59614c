//! What guards a rollout when nobody chose any statistics: error budgets, margins and limits.

use serde::Serialize;

use super::MeasurePlan;

/// The guards of a rollout. The defaults are those of a pipeline that names nothing but its columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuardPlan {
    /// Chance that evidence ever rolls back a candidate that is no worse than its margins; and, over `planned` windows,
    /// the chance that it contains one that is like the baseline.
    pub alpha: f64,
    /// Chance that a candidate which is worse than a margin is found safe.
    pub beta: f64,
    /// Windows that a rollout is laid out for.
    pub planned: u32,
    /// How many windows must speak before evidence acts: one blip never does.
    pub windows_min: u32,
    /// How much alike requests of one entity are taken to be where events do not name their entity, unless windows show
    /// it.
    pub design_effect: f64,
    /// Fewer events than this on either side: the window says nothing about distributions, and a segment is not watched
    /// yet.
    pub n_min: u64,
    /// The share of traffic that a contained candidate keeps, percent.
    pub contain_to_pct: f64,
    /// The candidate may fail this many times as often.
    pub errors: f64,
    /// A failure rate below this is safe, however it compares with the baseline's.
    pub negligible: f64,
    /// The candidate may be slower by this share at every quantile.
    pub latency: f64,
    /// The candidate's mean loss (regression: its absolute errors) may be this many times as large.
    pub loss: f64,
    /// How far the candidate's answers may be from the baseline's, as a population stability index.
    pub answers: f64,
    /// How far a column or score may be from the reference profile before it counts as drift, as a population stability
    /// index over 20 bins.
    pub drift: f64,
    /// Columns that are never held against a reference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drift_except: Vec<String>,
    /// Segments that are watched one by one, those with the most traffic first.
    pub segments_max: u32,
    /// Whether a last look is taken after `planned` windows. It has three quarters of `alpha` for itself.
    pub final_look: bool,
    /// Limits that hold whatever the baseline does.
    pub slo: SloPlan,
    /// What it must be shown to achieve before it passes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub success: Vec<Success>,
    /// Rates of which groups must not be farther apart than they are with the baseline version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fairness: Vec<Fairness>,
    /// Several classes: how many times as often it may miss one of them, or be wrong where it answers with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<f64>,
    /// Measures that it must not be worse in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measures: Vec<MeasurePlan>,
}

/// One thing that a candidate must be shown to achieve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Success {
    /// In which metric.
    pub achievement: Achievement,
    /// How many times as bad it may be; `None`: it must be better.
    pub margin: Option<f64>,
}

/// What is measured on labels to tell a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Achievement {
    /// Share of outcomes that are positive; more are better.
    BaseRate,
    /// Share of right answers.
    Accuracy,
}

impl Achievement {
    /// The metric that shows it.
    #[must_use]
    pub fn metric(self) -> &'static str {
        match self {
            Self::BaseRate => "base_rate",
            Self::Accuracy => "accuracy",
        }
    }
}

/// A rate that groups of requests are compared by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fairness {
    /// The segment field whose values are the groups.
    pub segment: String,
    /// The rate.
    pub rate: GroupRate,
    /// By how much the largest difference between two groups may be larger than the baseline version's.
    pub margin: f64,
}

/// Rates by which groups of requests are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupRate {
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

impl GroupRate {
    /// The metric that shows it.
    #[must_use]
    pub fn metric(self) -> &'static str {
        match self {
            Self::ErrorRate => "error_rate",
            Self::PositiveRate => "positive_rate",
            Self::Accuracy => "accuracy",
            Self::Recall => "recall",
            Self::Precision => "precision",
        }
    }

    /// Whether it is about the labels of predictions.
    pub(crate) fn is_of_labels(self) -> bool {
        matches!(self, Self::Accuracy | Self::Recall | Self::Precision)
    }
}

/// Hard limits; `None` is no limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SloPlan {
    /// Chance that a limit which is kept is ever called broken, for each limit over the whole rollout.
    pub alpha: f64,
    /// Events of the candidate before any limit may act.
    pub n_min: u64,
    /// Largest share of requests that may fail.
    pub error_rate: Option<f64>,
    /// Largest share of requests that may be refused with a status of 400 to 499, which is what a broken schema looks
    /// like.
    pub rejected_rate: Option<f64>,
    /// Largest share of answers without a usable score (missing or NaN).
    pub missing_rate: Option<f64>,
    /// The latency, in milliseconds, that `latency_quantile` of all answers must keep.
    pub latency_ms: Option<f64>,
    /// The share of answers that must be faster than `latency_ms`.
    pub latency_quantile: f64,
}

impl SloPlan {
    /// Whether anything is limited.
    #[must_use]
    pub fn has_limits(&self) -> bool {
        [self.error_rate, self.rejected_rate, self.missing_rate, self.latency_ms].iter().any(Option::is_some)
    }
}

impl GuardPlan {
    /// Mean windows between false containments, `A`: then the chance of one in `planned` windows is at most `alpha`
    /// (Doob's inequality for the submartingale `R`, whose mean grows by one a window).
    #[must_use]
    pub fn patience(&self) -> f64 {
        f64::from(self.planned) / self.alpha
    }
}

impl GuardPlan {
    /// What of `alpha` is left for the guardrails' evidence that is looked at after every window.
    #[must_use]
    pub fn alpha_always(&self) -> f64 {
        if self.final_look { self.alpha - self.alpha_last() } else { self.alpha }
    }

    /// The level of the last look, when one is taken: who asks for one plans to decide at the end.
    #[must_use]
    pub fn alpha_last(&self) -> f64 {
        0.75 * self.alpha
    }
}

impl Default for GuardPlan {
    fn default() -> Self {
        Self {
            alpha: 0.01,
            beta: 0.05,
            planned: 288,
            windows_min: 3,
            design_effect: 3.0,
            n_min: 30,
            contain_to_pct: 5.0,
            errors: 1.2,
            negligible: 0.001,
            latency: 0.1,
            loss: 1.05,
            answers: 0.1,
            drift: 0.1,
            drift_except: Vec::new(),
            segments_max: 16,
            final_look: false,
            slo: SloPlan::default(),
            success: Vec::new(),
            fairness: Vec::new(),
            classes: None,
            measures: Vec::new(),
        }
    }
}

impl Default for SloPlan {
    fn default() -> Self {
        Self {
            alpha: 0.001,
            n_min: 200,
            error_rate: None,
            rejected_rate: None,
            missing_rate: None,
            latency_ms: None,
            latency_quantile: 0.99,
        }
    }
}
