//! All that predictions and feature events of one group add up to in one pane.

use serde::{Deserialize, Serialize};

use crate::plan::Columns;
use crate::summary::entity::{self, Asked, Buckets};
use crate::summary::{Category, Histogram, Latency, Rates};

/// Features, scores, latency and rates of one (model, version, segment) in one pane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// One per numeric column of the plan.
    pub numeric: Vec<Histogram>,
    /// One per categorical column of the plan.
    pub categorical: Vec<Category>,
    /// Latencies, all statuses.
    pub latency: Latency,
    /// Counts of answers.
    pub rates: Rates,
    /// By entity, where events name theirs.
    #[serde(default)]
    pub entities: Buckets<Asked>,
}

impl Traffic {
    /// An empty summary for the columns of a plan.
    #[must_use]
    pub fn new(columns: &Columns) -> Self {
        Self {
            numeric: columns.numeric.iter().map(|column| Histogram::new(&column.cut)).collect(),
            categorical: columns.categorical.iter().map(|column| Category::new(column.known.len())).collect(),
            latency: Latency::default(),
            rates: Rates::default(),
            entities: Buckets::new(),
        }
    }

    /// Adds another summary of the same plan.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.numeric.len(), other.numeric.len(), "traffic of one plan merges");
        assert_eq!(self.categorical.len(), other.categorical.len(), "traffic of one plan merges");
        self.numeric.iter_mut().zip(&other.numeric).for_each(|(mine, theirs)| mine.merge(theirs));
        self.categorical.iter_mut().zip(&other.categorical).for_each(|(mine, theirs)| mine.merge(theirs));
        self.latency.merge(&other.latency);
        self.rates.merge(&other.rates);
        entity::merge(&mut self.entities, &other.entities, Asked::merge);
    }
}
