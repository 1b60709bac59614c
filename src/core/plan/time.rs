//! Event time, panes and windows: what they are. Arithmetic with them is the business of the module of time.

use serde::Serialize;

use super::{WallClock, calendar};
use crate::event::Micros;

/// How windows are cut from panes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum WindowKind {
    /// `[k * slide, k * slide + size)` by the plan's clock; tumbling when `slide == size`. Multiples of the pane.
    Sliding {
        /// Length.
        size: Micros,
        /// Distance between starts.
        slide: Micros,
    },
    /// The shortest run of whole panes in which every version seen has `n_min` predictions, at most `size_max` long.
    AtLeast {
        /// Predictions per version.
        n_min: u64,
        /// Longest run.
        size_max: Micros,
    },
}

/// Event time, panes and windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimePlan {
    /// Length of a pane; windows are whole panes.
    pub pane: Micros,
    /// Windows.
    pub window: WindowKind,
    /// The clock by which they are aligned.
    #[serde(skip_serializing_if = "WallClock::is_default")]
    pub clock: WallClock,
    /// How far the watermark stays behind the latest event time of a stream, and how far ahead of it an event is in
    /// order.
    pub lateness: Micros,
    /// How far an event time may be ahead of its broker time before it is absurd.
    pub skew_max: Micros,
    /// An event time this far ahead of the watermark moves it only when [`TimePlan::jump_confirmations`] records agree.
    pub jump_max: Micros,
    /// How many distinct records confirm a jump.
    pub jump_confirmations: u32,
    /// A stream at the end of its log that has brought nothing for so long is idle, and no window waits for it.
    pub idle_after: Micros,
    /// How often open panes are shown before they are sealed (wall clock of the shell).
    pub early_every: Micros,
    /// For how long after its end a judged window is kept, so that late data can revise it; for labels, after their
    /// horizon, while some stream is behind.
    pub revise_for: Micros,
}

impl TimePlan {
    /// Whether a column tells the time and windows are shorter than its cycle.
    #[must_use]
    pub fn is_within_a_cycle(&self, column: &str) -> bool {
        let (WindowKind::Sliding { size, .. } | WindowKind::AtLeast { size_max: size, .. }) = self.window;
        calendar::cycle(column).is_some_and(|cycle| size < cycle)
    }

    /// Event time from one window to the next: exact for sliding windows, the most there can be for others.
    #[must_use]
    pub fn every(&self) -> Micros {
        match self.window {
            WindowKind::Sliding { slide: every, .. } | WindowKind::AtLeast { size_max: every, .. } => every,
        }
    }
}
