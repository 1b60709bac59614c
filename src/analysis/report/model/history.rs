//! What windows and decisions come to in a report.

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::Micros;

/// Judged windows and decisions.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct History {
    /// Windows that were judged.
    pub windows: usize,
    /// Start of the first one.
    pub first: Option<Micros>,
    /// End of the last one.
    pub last: Option<Micros>,
    /// Versions that were judged.
    pub versions: Vec<String>,
    /// Content addresses of the references.
    pub references: Vec<String>,
    /// Metrics over time, those with most to say first.
    pub series: Vec<Series>,
    /// Decisions in their order.
    pub decisions: Vec<DecisionNote>,
    /// One summary per candidate.
    pub rollouts: Vec<Rollout>,
}

/// One metric of one column over time.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Series {
    /// Model.
    pub model: String,
    /// Metric.
    pub metric: String,
    /// Column, or empty.
    pub column: String,
    /// Segment, or empty.
    pub segment: String,
    /// What it was compared with, or empty.
    pub baseline: String,
    /// How exactly it was computed.
    pub convention: String,
    /// Bounds that decisions held it against.
    pub bounds: Vec<f64>,
    /// One line per version.
    pub lines: Vec<SeriesLine>,
}

/// One version's line.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct SeriesLine {
    /// Version.
    pub version: String,
    /// Points in time order.
    pub points: Vec<Point>,
}

/// One window's number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Point {
    /// Start of the window.
    pub start: Micros,
    /// End of it.
    pub end: Micros,
    /// The number.
    pub value: f64,
    /// Rows.
    pub n: u64,
}

/// A decision, in short.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DecisionNote {
    /// Id.
    pub id: String,
    /// Position in the rollout's sequence.
    pub sequence: u64,
    /// End of the window that called for it.
    pub time: Micros,
    /// What to do.
    pub action: String,
    /// Largest share of traffic, percent.
    pub cap_pct: Option<f64>,
    /// Rollout.
    pub rollout: String,
    /// Model.
    pub model: String,
    /// Candidate.
    pub candidate: String,
    /// Why, in words.
    pub reason: String,
    /// Why, as a code.
    pub code: String,
    /// Who may act on it, and who has approved it.
    pub who: String,
    /// Digest of the plan that it was made by.
    pub policy: String,
    /// What it rests on, in words.
    pub evidence: Vec<String>,
}

/// How a candidate fared.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Rollout {
    /// Rollout.
    pub rollout: String,
    /// Model.
    pub model: String,
    /// Candidate.
    pub candidate: String,
    /// What it was compared with.
    pub baseline: String,
    /// Where it stands, in a sentence.
    pub summary: String,
    /// Last action.
    pub last_action: String,
    /// First and last decision.
    pub from: Micros,
    /// Last decision.
    pub to: Micros,
    /// Decisions by action.
    pub actions: Vec<(String, u64)>,
    /// Candidate beside baseline over all windows, weighted by rows.
    pub compared: Vec<Beside>,
}

/// A number of the candidate beside the baseline's.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Beside {
    /// Metric.
    pub metric: String,
    /// Column, or empty.
    pub column: String,
    /// The candidate's.
    pub candidate: f64,
    /// The baseline's.
    pub baseline: f64,
    /// Rows of the candidate.
    pub n: u64,
}
