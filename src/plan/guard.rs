//! What guards a rollout when nobody chose any statistics: error budgets and margins.

use serde::Serialize;

/// The guards of a rollout. The defaults are those of a pipeline that names nothing but its columns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuardPlan {
    /// Chance that evidence ever rolls back a candidate that is no worse than its margins; and, over `planned` windows, the
    /// chance that it contains one that is like the baseline.
    pub alpha: f64,
    /// Chance that a candidate which is worse than a margin is found safe.
    pub beta: f64,
    /// Windows that a rollout is laid out for.
    pub planned: u32,
    /// How many windows must speak before evidence acts: one blip never does.
    pub windows_min: u32,
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
}

impl GuardPlan {
    /// Mean windows between false containments, `A`: then the chance of one in `planned` windows is at most `alpha`
    /// (Doob's inequality for the submartingale `R`, whose mean grows by one a window).
    #[must_use]
    pub fn patience(&self) -> f64 {
        f64::from(self.planned) / self.alpha
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
            latency: 0.1,
            loss: 1.05,
            answers: 0.1,
        }
    }
}
