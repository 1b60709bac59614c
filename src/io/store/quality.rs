//! What was counted of the input besides panes: rows, late and repeated events, and refused records by reason.
//!
//! Everything is counted by offset, from where the last flush ended, so that a restart that reads a part of the log
//! again counts nothing twice.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;

use super::columns::BatchBuilder;
use crate::batch::EventBatch;
use crate::event::{Micros, Poison, Reject};
use crate::scan::{LaneCounts, StreamCounts};

/// What one step read of one stream, beyond what is stored already.
#[derive(Debug, Clone, Copy)]
pub struct Read<'a> {
    /// Index of the source in the plan.
    pub source: u16,
    /// The source partition.
    pub lane: u32,
    /// The good rows.
    pub batch: Option<&'a EventBatch>,
    /// What the lane had counted before and after the step.
    pub counts: (LaneCounts, LaneCounts),
    /// The next offset to read.
    pub next_offset: i64,
}

/// What was read of one stream since the last flush.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct QualityRow {
    pub(super) time: Micros,
    pub(super) topic: String,
    pub(super) lane: u32,
    pub(super) offsets: (i64, i64),
    rows: u64,
    late: u64,
    duplicates: u64,
    refused: BTreeMap<Poison, u64>,
}

impl QualityRow {
    /// Nothing read yet of a stream, from an offset on.
    pub(super) fn from(topic: String, lane: u32, offset: i64) -> Self {
        Self { topic, lane, offsets: (offset, offset), ..Self::default() }
    }

    /// Takes what was read.
    pub(super) fn read(&mut self, read: &Read<'_>) {
        let (before, after) = &read.counts;
        self.rows += read.batch.map_or(0, EventBatch::len) as u64;
        self.late += after.late - before.late;
        self.duplicates += after.duplicates - before.duplicates;
        let arrived = read.batch.and_then(|batch| batch.broker_time.values().iter().copied().max());
        self.time = self.time.max(arrived.unwrap_or_default());
        self.offsets.1 = self.offsets.1.max(read.next_offset);
    }

    /// Takes what a scan that runs apart has counted since it told so before. One of another group began anew.
    pub(super) fn tallied(&mut self, before: &StreamCounts, now: &StreamCounts) {
        self.rows += now.rows.saturating_sub(before.rows);
        self.late += now.late.saturating_sub(before.late);
        self.duplicates += now.duplicates.saturating_sub(before.duplicates);
        for (&reason, n) in &now.refused {
            *self.refused.entry(reason).or_default() +=
                n.saturating_sub(before.refused.get(&reason).copied().unwrap_or_default());
        }
        self.time = self.time.max(now.arrived);
        self.offsets.1 = self.offsets.1.max(now.next_offset);
    }

    /// Takes a refused record.
    pub(super) fn refuse(&mut self, reject: &Reject) {
        *self.refused.entry(reject.reason).or_default() += 1;
        self.offsets.1 = self.offsets.1.max(reject.offset + 1);
    }
}

/// Rows as columns.
pub(super) fn quality(rows: &[QualityRow]) -> RecordBatch {
    let columns = BatchBuilder::of(rows)
        .time("time", |row| row.time)
        .text("topic", |row| &row.topic)
        .small("lane", |row| row.lane)
        .integer("first_offset", |row| Some(row.offsets.0))
        .integer("next_offset", |row| Some(row.offsets.1))
        .count("rows", |row| Some(row.rows))
        .count("late", |row| Some(row.late))
        .count("duplicates", |row| Some(row.duplicates))
        .count("refused", |row| Some(row.refused.values().sum()));
    let with_reason = Poison::ALL.into_iter().fold(columns, |columns, reason| {
        let n = move |row: &QualityRow| row.refused.get(&reason).copied().unwrap_or_default();
        columns.count(&format!("refused_{}", reason.code()), move |row| Some(n(row)))
    });
    with_reason.batch()
}
