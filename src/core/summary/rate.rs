//! Plain counts of answers: how many, how many failed, how many were positive.

use serde::{Deserialize, Serialize};

use crate::summary::seal::{Reader, Seal, Writer};

/// Counts of one group in one pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rates {
    /// Predictions, whatever their status.
    pub requests: u64,
    /// Server errors: status >= 500, a timeout, or marked as failed.
    pub errors: u64,
    /// Rejected by the server: status 400 to 499, timeouts aside.
    pub rejected: u64,
    /// Successful answers with a score.
    pub scored: u64,
    /// Rows with a predicted class (binary tasks).
    pub predicted: u64,
    /// Of these, positive.
    pub positive: u64,
    /// Re-deliveries that were dropped.
    pub duplicates: u64,
}

impl Rates {
    /// Adds another summary.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.rejected += other.rejected;
        self.scored += other.scored;
        self.predicted += other.predicted;
        self.positive += other.positive;
        self.duplicates += other.duplicates;
    }
}

impl Seal for Rates {
    fn seal(&self, out: &mut Writer) {
        let Self { requests, errors, rejected, scored, predicted, positive, duplicates } = *self;
        out.all([requests, errors, rejected, scored, predicted, positive, duplicates]);
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        let [requests, errors, rejected, scored, predicted, positive, duplicates] = from.all();
        self.merge(&Self { requests, errors, rejected, scored, predicted, positive, duplicates });
    }
}
