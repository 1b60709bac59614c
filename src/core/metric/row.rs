//! One result: a metric of a column in a window, with everything needed to check it.

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::trust::Trust;

pub use crate::event::ALL_VERSIONS;

/// Whether a row carries a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowStatus {
    /// It does.
    Ok,
    /// Too few rows on a side.
    Insufficient,
    /// The number is not defined for this data.
    Undefined,
}

/// One row of the windows table. Its identity is everything up to `convention`, and `revision`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowRow {
    /// Start of the window, microseconds.
    pub window_start: Micros,
    /// End of the window, exclusive.
    pub window_end: Micros,
    /// Model.
    pub model: String,
    /// Version that is judged.
    pub version: String,
    /// `field=value` joined by `,`; empty for all traffic together.
    pub segment: String,
    /// What it is compared with: `concurrent:v1`, `reference`, `previous`, `7d_ago`, or empty.
    pub baseline: String,
    /// Content address of the reference profile, for `reference` only.
    pub reference: String,
    /// Column, or empty for metrics of the whole group.
    pub column: String,
    /// Metric name.
    pub metric: String,
    /// How exactly it was computed.
    pub convention: String,
    /// 0 for the first judgement, counting up.
    pub revision: u32,
    /// Whether there is a number.
    pub status: RowStatus,
    /// The number.
    pub value: Option<f64>,
    /// Certified lower bound of the exact value, where `value` comes from bins.
    pub low: Option<f64>,
    /// Certified upper bound.
    pub high: Option<f64>,
    /// Asymptotic p-value.
    pub p_value: Option<f64>,
    /// Rows of the judged side.
    pub n: u64,
    /// Rows of the baseline.
    pub n_baseline: u64,
    /// Bins or categories.
    pub bins: u32,
    /// Quality metrics: labelled share of the successful predictions.
    pub coverage: Option<f64>,
    /// What speaks against the data of the window, with shares, joined by `,`: `degraded_late_1.2pct`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doubts: String,
    /// How far the data of the window is trusted.
    #[serde(default)]
    pub trust: Trust,
}
