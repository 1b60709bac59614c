//! Measures: numbers of which the mean matters, such as revenue, tokens or cost.

use serde::{Deserialize, Serialize};

/// A measure that a candidate must not be worse in than its margin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeasurePlan {
    /// The numeric column of this name, whose role is [`Role::Measure`](super::ColumnRole::Measure).
    pub name: String,
    /// Its place among the measures of the plan.
    pub place: usize,
    /// Where worse is.
    pub worse: Worse,
    /// How much worse it may be.
    pub margin: Tolerance,
    /// Values beyond this count as it (at the next edge of `summary::Amounts`); where nothing is said, at a quantile of
    /// the reference or, without one, of the baseline version's first windows.
    pub cap: Option<f64>,
}

/// Which way a measure gets worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Worse {
    /// More is worse: cost, tokens, errors.
    Up,
    /// Less is worse: revenue, ratings.
    Down,
}

/// How much worse a mean may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    /// By this share of the baseline's mean, above 0 and below 1; no value is below 0.
    Relative(f64),
    /// By so much in the measure's unit; values may be below 0.
    Absolute(f64),
}
