//! The newest windows, rollouts and decisions, bounded, for readers.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;

use crate::event::Micros;
use crate::judge::WindowRow;
use crate::telemetry::latest::Latest;
use crate::verdict::{Decision, RolloutState};

/// The most rows of judged windows kept, and the most of open ones: about 10 MB each.
pub const WINDOW_ROWS_MAX: usize = 20_000;

/// The most rollouts kept.
pub const ROLLOUTS_MAX: usize = 1_000;

/// How many of the last decisions are kept.
pub const DECISIONS_MAX: usize = 1_000;

/// What tells one number from another: model, version, segment, baseline, column, metric, convention.
type Number = [String; 7];

/// How far windows have been judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Judged {
    /// Windows since the start of the process.
    pub windows: u64,
    /// End of the last one, event time.
    pub upto: Micros,
}

/// A rollout's newest state, and how old the process was when a window was last judged for it; `None` before that.
type Entry = (RolloutState, Option<Duration>);

/// The newest of everything.
#[derive(Debug)]
pub struct View {
    windows: Latest<Number, WindowRow>,
    provisional: Vec<WindowRow>,
    rows_dropped: u64,
    judged: Judged,
    rollouts: BTreeMap<[String; 3], Entry>,
    decisions: VecDeque<Decision>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            windows: Latest::new(WINDOW_ROWS_MAX),
            provisional: Vec::new(),
            rows_dropped: 0,
            judged: Judged::default(),
            rollouts: BTreeMap::new(),
            decisions: VecDeque::new(),
        }
    }
}

impl View {
    /// Keeps the newest row of each number.
    pub fn judged(&mut self, rows: &[WindowRow]) {
        let Some(oldest) = rows.iter().map(|row| row.window_start).min() else { return };
        self.windows.make_room(oldest);
        for row in rows {
            if row.window_end > self.judged.upto {
                self.judged = Judged { windows: self.judged.windows + 1, upto: row.window_end };
            }
            let kept = self.windows.put(number(row), row.window_end, row.clone());
            self.rows_dropped += u64::from(!kept);
        }
    }

    /// Replaces the open windows.
    pub fn provisional(&mut self, mut rows: Vec<WindowRow>) {
        self.rows_dropped += rows.len().saturating_sub(WINDOW_ROWS_MAX) as u64;
        rows.truncate(WINDOW_ROWS_MAX);
        self.provisional = rows;
    }

    /// Keeps the last decisions.
    pub fn decided(&mut self, decisions: &[Decision]) {
        self.decisions.extend(decisions.iter().cloned());
        let surplus = self.decisions.len().saturating_sub(DECISIONS_MAX);
        self.decisions.drain(..surplus);
    }

    /// Keeps the newest state of each rollout; beyond the bound, the one that was judged longest ago goes.
    /// `judged` is how old the process is, where a judged window brought them.
    pub fn rollouts(&mut self, states: &[RolloutState], judged: Option<Duration>) {
        for state in states {
            let key = [&state.rollout, &state.model, &state.candidate].map(Clone::clone);
            let before = self.rollouts.get(&key).and_then(|(_, judged)| *judged);
            self.rollouts.insert(key, (state.clone(), judged.or(before)));
        }
        while self.rollouts.len() > ROLLOUTS_MAX {
            let oldest = self.rollouts.iter().min_by_key(|(_, (state, _))| state.judged_upto);
            let key = oldest.map(|(key, _)| key.clone()).expect("it is not empty");
            self.rollouts.remove(&key);
        }
    }

    /// The newest judged row of each number.
    pub fn windows(&self) -> impl Iterator<Item = &WindowRow> {
        self.windows.values()
    }

    /// The rows of open windows.
    pub fn open(&self) -> &[WindowRow] {
        &self.provisional
    }

    /// How far windows have been judged.
    #[must_use]
    pub fn progress(&self) -> Judged {
        self.judged
    }

    /// Rows left out because of [`WINDOW_ROWS_MAX`].
    #[must_use]
    pub fn rows_dropped(&self) -> u64 {
        self.rows_dropped
    }

    /// Every rollout, by rollout, model and candidate.
    pub fn states(&self) -> impl Iterator<Item = &RolloutState> {
        self.rollouts.values().map(|(state, _)| state)
    }

    /// The same, each with the process's age when a window was last judged for it.
    pub fn judged_states(&self) -> impl Iterator<Item = (&RolloutState, Option<Duration>)> {
        self.rollouts.values().map(|(state, judged)| (state, *judged))
    }

    /// The last decisions, newest first.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().rev()
    }
}

fn number(row: &WindowRow) -> Number {
    [&row.model, &row.version, &row.segment, &row.baseline, &row.column, &row.metric, &row.convention].map(Clone::clone)
}
