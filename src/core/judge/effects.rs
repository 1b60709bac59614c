//! What a step of the judge gives rise to.

use crate::judge::sealed::SealedPartial;
use crate::metric::row::WindowRow;
use crate::verdict::{CommandResult, Decision, Ledger, RolloutState};

/// What a step gives rise to; the shell carries it out.
#[derive(Debug, Default)]
pub struct Effects {
    /// Judged windows, in a fixed order.
    pub windows: Vec<WindowRow>,
    /// Decisions, in their sequence.
    pub decisions: Vec<Decision>,
    /// Rollouts whose state changed.
    pub states: Vec<RolloutState>,
    /// What became of commands.
    pub results: Vec<CommandResult>,
    /// Panes that are complete, where they were asked for: the state that windows are merged from.
    pub panes: Vec<SealedPartial>,
    /// How much evidence stands for and against the candidates of judged windows; for readers, never published.
    pub ledgers: Vec<Ledger>,
}

impl Effects {
    /// Whether there is nothing to carry out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
            && self.decisions.is_empty()
            && self.states.is_empty()
            && self.results.is_empty()
            && self.panes.is_empty()
    }

    /// Adds what a later step gave rise to.
    pub fn extend(&mut self, later: Self) {
        self.windows.extend(later.windows);
        self.decisions.extend(later.decisions);
        self.states.extend(later.states);
        self.results.extend(later.results);
        self.panes.extend(later.panes);
        self.ledgers.extend(later.ledgers);
    }
}
