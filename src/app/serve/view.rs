//! The newest windows, rollouts, decisions and answers to commands, bounded, for readers.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::history::{ChartHistory, Number};
use crate::engine::Effects;
use crate::event::Micros;
use crate::judge::WindowRow;
use crate::telemetry::latest::Latest;
use crate::verdict::decision::LedgerEntry;
use crate::verdict::{CommandResult, Decision, Ledger, RolloutState};

/// The most rows of judged windows kept, and the most of open ones: about 10 MB each.
pub const WINDOW_ROWS_MAX: usize = 20_000;

/// The most rollouts kept.
pub const ROLLOUTS_MAX: usize = 1_000;

/// How many of the last decisions are kept.
pub const DECISIONS_MAX: usize = 1_000;

/// How many of the last answers to commands are kept.
pub const RESULTS_MAX: usize = 200;

/// What tells one rollout from another: rollout, model, candidate.
pub type RolloutKey = [String; 3];

/// How far windows have been judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct JudgedUpto {
    /// Windows since the start of the process.
    pub windows: u64,
    /// End of the last one, event time.
    pub upto: Micros,
}

/// A rollout's newest state.
#[derive(Debug, Clone)]
pub struct RolloutView {
    /// The state, without what guards remember.
    pub state: RolloutState,
    /// How much evidence stood after the window that was judged last.
    pub ledger: Vec<LedgerEntry>,
}

/// The newest of everything.
#[derive(Debug)]
pub struct View {
    windows: Latest<Number, WindowRow>,
    provisional: Vec<WindowRow>,
    rows_dropped: u64,
    judged: JudgedUpto,
    rollouts: BTreeMap<RolloutKey, RolloutView>,
    decisions: VecDeque<Decision>,
    /// Decisions since the start of the process.
    decided: u64,
    results: VecDeque<CommandResult>,
    history: ChartHistory,
}

impl Default for View {
    fn default() -> Self {
        Self {
            windows: Latest::new(WINDOW_ROWS_MAX),
            provisional: Vec::new(),
            rows_dropped: 0,
            judged: JudgedUpto::default(),
            rollouts: BTreeMap::new(),
            decisions: VecDeque::new(),
            decided: 0,
            results: VecDeque::new(),
            history: ChartHistory::default(),
        }
    }
}

impl View {
    /// Takes in what a step of the engine gave rise to.
    pub fn publish(&mut self, effects: &Effects) {
        self.judged(&effects.windows);
        self.decided(&effects.decisions);
        self.answered(&effects.results);
        self.rollouts(&effects.states);
        self.weighed(&effects.ledgers);
    }

    /// Keeps the newest row of each number, and the numbers of all traffic over time.
    pub fn judged(&mut self, rows: &[WindowRow]) {
        let Some(oldest) = rows.iter().map(|row| row.window_start).min() else { return };
        self.windows.make_room(oldest);
        self.history.take(rows);
        for row in rows {
            if row.window_end > self.judged.upto {
                self.judged = JudgedUpto { windows: self.judged.windows + 1, upto: row.window_end };
            }
            let kept = self.windows.put(Number::of(row), row.window_end, row.clone());
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
        self.decided += decisions.len() as u64;
    }

    /// Keeps the last answers to commands; one that is known already is not new.
    pub fn answered(&mut self, results: &[CommandResult]) {
        for result in results {
            if !self.results.contains(result) {
                self.results.push_back(result.clone());
            }
        }
        let surplus = self.results.len().saturating_sub(RESULTS_MAX);
        self.results.drain(..surplus);
    }

    fn weighed(&mut self, ledgers: &[Ledger]) {
        for ledger in ledgers {
            let key = [&ledger.rollout, &ledger.model, &ledger.candidate].map(Clone::clone);
            if let Some(known) = self.rollouts.get_mut(&key) {
                known.ledger.clone_from(&ledger.entries);
            }
        }
    }

    /// Keeps the newest state of each rollout; beyond the bound, the one that was judged longest ago goes.
    pub fn rollouts(&mut self, states: &[RolloutState]) {
        for state in states {
            let state = without_memory(state);
            match self.rollouts.get_mut(&key(&state)) {
                Some(known) => known.state = state,
                None => _ = self.rollouts.insert(key(&state), RolloutView { state, ledger: Vec::new() }),
            }
        }
        while self.rollouts.len() > ROLLOUTS_MAX {
            let oldest = self.rollouts.iter().min_by_key(|(_, known)| known.state.judged_upto);
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
    pub fn progress(&self) -> JudgedUpto {
        self.judged
    }

    /// Rows left out because of [`WINDOW_ROWS_MAX`].
    #[must_use]
    pub fn rows_dropped(&self) -> u64 {
        self.rows_dropped
    }

    /// Every rollout's state, by rollout, model and candidate.
    pub fn states(&self) -> impl Iterator<Item = &RolloutState> {
        self.rollouts.values().map(|known| &known.state)
    }

    /// The same, each with how much evidence stands.
    pub fn known(&self) -> impl Iterator<Item = &RolloutView> {
        self.rollouts.values()
    }

    /// The last decisions, newest first.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().rev()
    }

    /// How many decisions there were since the start of the process.
    #[must_use]
    pub fn decisions_total(&self) -> u64 {
        self.decided
    }

    /// The last answers to commands, newest first.
    pub fn results(&self) -> impl Iterator<Item = &CommandResult> {
        self.results.iter().rev()
    }

    /// The numbers of all traffic over time.
    #[must_use]
    pub fn history(&self) -> &ChartHistory {
        &self.history
    }
}

fn key(state: &RolloutState) -> RolloutKey {
    [&state.rollout, &state.model, &state.candidate].map(Clone::clone)
}

/// What guards remember is for the judge alone: large, and with counts that a JSON reader may round.
fn without_memory(state: &RolloutState) -> RolloutState {
    RolloutState { memory: None, ..state.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::decision::LedgerEntry;

    fn row(column: usize, end: Micros, value: f64) -> WindowRow {
        serde_json::from_value(serde_json::json!({
            "window_start": end - 10, "window_end": end, "model": "m", "version": "v2", "segment": "", "baseline": "",
            "reference": "", "column": format!("c{column}"), "metric": "mean", "convention": "own", "revision": 0,
            "status": "ok", "value": value, "n": 1, "n_baseline": 0, "bins": 0,
        }))
        .expect("a row")
    }

    fn state(candidate: usize, upto: Micros) -> RolloutState {
        let mut state = RolloutState::new("r", "m", &format!("v{candidate}"), "v1");
        state.judged_upto.0 = upto;
        state
    }

    fn decision(sequence: u64) -> Decision {
        let line = include_str!("../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
        let recorded: Decision = serde_json::from_str(line.expect("a line")).expect("a decision");
        Decision { sequence, ..recorded }
    }

    #[test]
    fn windows_are_counted_by_their_ends_and_the_newest_row_of_a_number_is_kept() {
        let mut view = View::default();
        view.judged(&[row(1, 100, 1.0), row(2, 100, 2.0)]);
        view.judged(&[row(1, 200, 3.0)]);
        view.judged(&[row(1, 100, 9.0)]);
        view.judged(&[]);
        assert_eq!(view.progress(), JudgedUpto { windows: 2, upto: 200 });
        let values: Vec<Option<f64>> = view.windows().map(|row| row.value).collect();
        assert_eq!(values, [Some(3.0), Some(2.0)], "a later judgement of an older window does not take its place");
        assert_eq!(view.rows_dropped(), 0);
    }

    #[test]
    fn open_windows_are_replaced_as_a_whole_and_bounded() {
        let mut view = View::default();
        view.provisional(vec![row(1, 100, 1.0); WINDOW_ROWS_MAX + 3]);
        assert_eq!((view.open().len(), view.rows_dropped()), (WINDOW_ROWS_MAX, 3));
        view.provisional(vec![row(2, 100, 1.0)]);
        assert_eq!((view.open().len(), view.rows_dropped()), (1, 3));
    }

    #[test]
    fn the_last_decisions_are_kept_and_all_are_counted() {
        let mut view = View::default();
        let all: Vec<Decision> = (1..=DECISIONS_MAX as u64 + 5).map(decision).collect();
        view.decided(&all[..3]);
        view.decided(&all[3..]);
        let kept: Vec<u64> = view.decisions().map(|decision| decision.sequence).collect();
        assert_eq!((kept.len(), kept[0], kept[kept.len() - 1]), (DECISIONS_MAX, DECISIONS_MAX as u64 + 5, 6));
        assert_eq!(view.decisions_total(), DECISIONS_MAX as u64 + 5);
    }

    #[test]
    fn of_too_many_rollouts_the_one_that_was_judged_longest_ago_goes() {
        let mut view = View::default();
        let upto = |candidate: usize| if candidate == 7 { 1 } else { 100 };
        let states: Vec<RolloutState> = (0..=ROLLOUTS_MAX).map(|candidate| state(candidate, upto(candidate))).collect();
        view.rollouts(&states);
        assert_eq!(view.states().count(), ROLLOUTS_MAX);
        assert!(view.states().all(|state| state.candidate != "v7"));
    }

    #[test]
    fn a_new_state_keeps_the_evidence_that_stood() {
        let entry = LedgerEntry { name: "errors".to_owned(), alpha: 0.01, e_value: 5.0, threshold: 100.0 };
        let ledger = |candidate: &str| Ledger {
            rollout: "r".to_owned(),
            model: "m".to_owned(),
            candidate: candidate.to_owned(),
            entries: vec![entry.clone()],
        };
        let mut view = View::default();
        let ledgers = vec![ledger("v2"), ledger("v9")];
        view.publish(&Effects { states: vec![state(2, 1)], ledgers, ..Effects::default() });
        view.rollouts(&[state(2, 5)]);
        let known: Vec<&RolloutView> = view.known().collect();
        assert_eq!(known.len(), 1, "evidence alone makes no rollout");
        assert_eq!((known[0].state.judged_upto.0, known[0].ledger.as_slice()), (5, &[entry][..]));
    }
}
