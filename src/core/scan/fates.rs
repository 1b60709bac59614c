//! What can become of a label: each has one fate.

/// What became of labels; counted, never silent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LabelCounts {
    /// Joined to their prediction.
    pub joined: u64,
    /// Further labels of one prediction that do not count.
    pub duplicates: u64,
    /// Further labels of one prediction that took the place of an older one.
    pub corrected: u64,
    /// No prediction came for them, or it was forgotten already.
    pub orphans: u64,
    /// Arrived after the horizon.
    pub expired: u64,
    /// Older than their prediction by more than clocks may differ.
    pub early: u64,
    /// Predictions that were not followed up and labels that did not wait, because the plan's `pending_max` leaves no
    /// room for all of them.
    pub refused: u64,
}

impl std::ops::AddAssign for LabelCounts {
    fn add_assign(&mut self, other: Self) {
        let Self { joined, duplicates, corrected, orphans, expired, early, refused } = other;
        self.joined += joined;
        self.duplicates += duplicates;
        self.corrected += corrected;
        self.orphans += orphans;
        self.expired += expired;
        self.early += early;
        self.refused += refused;
    }
}

/// What a lane counted besides its panes, since it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// Rows read.
    pub rows: u64,
    /// Events that came after their pane was sealed, and were dropped; in an engine, those as well that came too late
    /// for a window which was judged without them.
    pub late: u64,
    /// Re-deliveries that were dropped.
    pub duplicates: u64,
    /// What became of labels.
    pub labels: LabelCounts,
}

impl std::ops::AddAssign for LaneCounts {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.late += other.late;
        self.duplicates += other.duplicates;
        self.labels += other.labels;
    }
}
