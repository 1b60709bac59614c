//! Commands that wait for their place among the judgements: how a log and its commands are replayed together.

use std::collections::BTreeMap;

use crate::verdict::{Command, Position, Scheduled};

/// Commands in the order in which they will be carried out.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    waiting: BTreeMap<(Position, usize), Command>,
    taken: usize,
}

impl Schedule {
    pub(crate) fn add(&mut self, scheduled: Scheduled) {
        self.waiting.insert((scheduled.after, self.taken), scheduled.command);
        self.taken += 1;
    }

    /// The next command that comes before a judgement.
    pub(crate) fn before(&mut self, judgement: Position) -> Option<Command> {
        let first = self.waiting.first_entry().filter(|first| first.key().0 < judgement)?;
        Some(first.remove())
    }

    /// The next command, when there are no more judgements.
    pub(crate) fn rest(&mut self) -> Option<Command> {
        self.waiting.pop_first().map(|(_, command)| command)
    }
}
