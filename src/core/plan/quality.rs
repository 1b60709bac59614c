//! How labels are joined to predictions, and what is measured with them.

use serde::{Deserialize, Serialize};

use super::{Task, TimePlan};
use crate::event::Micros;
use crate::kernel::bin::Edges;

/// How predictions meet their truth.
#[derive(Debug, Clone, PartialEq)]
pub struct QualityPlan {
    /// What the model predicts.
    pub task: Task,
    /// Bin counts of the equal-width reliability tables; none where predictions have a class but no score.
    pub width_bins: Vec<u16>,
    /// Edges of the fine reliability table: the score column's.
    pub score_edges: Edges,
    /// Binary: where the answer turns positive, for predictions that carry no predicted class.
    pub threshold: f64,
    /// Labels that arrive (broker time) up to this long after the end of their prediction's pane are in the first
    /// result of its window; the window's quality is judged then.
    pub wait: Micros,
    /// Labels that arrive later, up to this long after, are in its last revision; still later ones are counted and
    /// dropped.
    pub horizon: Micros,
    /// The most predictions that wait for their label, per source partition; see [`QualityPlan::pending_of_pane`].
    pub pending_max: usize,
    /// Share of predictions that are followed up (by hash of the id), 0 < p <= 1.
    pub sample: f64,
    /// Which of several labels of a prediction counts.
    pub corrections: Corrections,
}

/// Which of several outcomes of one prediction is its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Corrections {
    /// The one that was read first.
    #[default]
    First,
    /// The one with the latest event time; of those that have the same, the last in the log.
    Last,
}

impl QualityPlan {
    /// How many predictions of a pane and source partition are followed up for certain: half of the room is shared
    /// alike by all panes that labels may come to, so that no window lacks labels because much was going on before it.
    #[must_use]
    pub fn pending_of_pane(&self, time: &TimePlan) -> usize {
        // Both streams are late; one pane fills, one is no whole pane of the horizon, and labels are a little behind.
        let panes = self.horizon.saturating_add(2 * time.lateness) / time.pane.max(1) + 4;
        (self.pending_max / 2 / usize::try_from(panes).unwrap_or(usize::MAX)).max(1)
    }

    /// Whether answers say which class is likely, so that labels which depend on it can be told by them.
    pub(crate) fn tells_classes(&self) -> bool {
        match self.task {
            Task::Binary => true,
            Task::Multiclass => self.has_scores(),
            Task::Regression => false,
        }
    }

    /// Whether predictions have scores. With classes alone it is known which are right, and nothing else.
    #[must_use]
    pub fn has_scores(&self) -> bool {
        !self.width_bins.is_empty()
    }
}
