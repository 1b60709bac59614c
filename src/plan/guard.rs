//! What guards a rollout when nobody chose any statistics: error budgets, margins and tolerances.

use serde::Serialize;

/// The guards of a rollout. The defaults are those of a pipeline that names nothing but its columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuardPlan {
    /// Chance that a candidate which is no worse than its margins is ever rolled back by evidence.
    pub alpha: f64,
    /// Chance that a candidate which is worse than a margin passes.
    pub beta: f64,
    /// Length of a rollout in windows that evidence is laid out for; a longer one stays covered.
    pub planned: u32,
    /// How many windows must speak before evidence acts: one blip never does.
    pub windows_min: u32,
    /// Mean number of windows between two false containments of a version without fault.
    pub patience: f64,
    /// How much alike requests of one entity are taken to be where events do not name their entity.
    pub design_effect: f64,
    /// Fewer events than this on either side: the window says nothing about distributions.
    pub n_min: u64,
    /// The share of traffic that a contained candidate keeps, percent.
    pub contain_to_pct: f64,
    /// The candidate may fail this many times as often.
    pub errors: f64,
    /// The candidate may be slower by this share at every quantile.
    pub latency: f64,
    /// The candidate's mean loss may be this many times as large.
    pub loss: f64,
    /// How far the candidate's answers may be from the baseline's, as a population stability index.
    pub answers: f64,
    /// How far a version may be from the reference, as a population stability index.
    pub drift: f64,
}

impl Default for GuardPlan {
    fn default() -> Self {
        Self {
            alpha: 0.01,
            beta: 0.05,
            planned: 288,
            windows_min: 3,
            patience: 25_920.0,
            design_effect: 3.0,
            n_min: 30,
            contain_to_pct: 5.0,
            errors: 1.2,
            latency: 0.1,
            loss: 1.05,
            answers: 0.1,
            drift: 0.1,
        }
    }
}
