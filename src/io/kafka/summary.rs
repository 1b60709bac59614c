//! What a run did, for whoever started it.

use super::reader::ReadPortion;
use crate::output::Losses;

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunSummary {
    /// Events taken.
    pub events: u64,
    /// Events refused.
    pub rejects: u64,
    /// Rows of judged windows.
    pub rows: u64,
    /// Decisions published.
    pub decisions: u64,
    /// What of the events does not count.
    pub losses: Losses,
}

impl RunSummary {
    /// Takes in what others did.
    pub(super) fn add(&mut self, other: Self) {
        self.events += other.events;
        self.rejects += other.rejects;
        self.rows += other.rows;
        self.decisions += other.decisions;
        self.losses.add(other.losses);
    }

    /// Takes in what was read of a stream.
    pub(super) fn read(&mut self, topic: &str, portion: &ReadPortion) {
        self.events += portion.batch.len() as u64;
        self.rejects += portion.rejects.len() as u64;
        self.losses.pass_over(portion.passed_over);
        for reject in &portion.rejects {
            let place = || format!("{topic}/{}, offset {}: {}", portion.lane, reject.offset, reject.detail);
            self.losses.refuse(reject.reason, place);
        }
    }
}
