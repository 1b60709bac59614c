//! How versions that answer the same requests are compared.

use serde::Serialize;

use crate::event::Micros;

/// A version that gets a copy of the baseline version's requests: answers are paired by the id of their request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ShadowPlan {
    /// Share of the baseline version's requests that are mirrored, 0 < p <= 1.
    pub share: f64,
    /// How much later than the one version the other may answer (event time).
    pub wait: Micros,
    /// By how much scores may differ before answers disagree; `None`: only other classes do.
    pub tolerance: Option<f64>,
    /// Share of requests that may be answered otherwise.
    pub disagreement: f64,
    /// How many times as large the loss of the version that is compared may be.
    pub margin: f64,
    /// The most answers of a pane that are paired, and the most pairs that wait for their label, per source partition.
    pub pending_max: usize,
}
