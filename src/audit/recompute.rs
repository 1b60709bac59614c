//! A decision once more, from the events: the same engine, the same plan, the same log.

use std::sync::Arc;

use crate::engine::{Effects, Engine};
use crate::error::Result;
use crate::judge::WindowRow;
use crate::plan::Plan;
use crate::replay::{Replay, Step};
use crate::verdict::{Decision, Scheduled};

/// What the log gave when it was judged again.
#[derive(Debug)]
pub struct Recomputed {
    /// Every decision of the same candidate.
    pub decisions: Vec<Decision>,
    /// The rows of the decision's window, first judgements only.
    pub rows: Vec<WindowRow>,
}

/// Judges files again, with what people said meanwhile.
pub fn from_files(plan: &Arc<Plan>, files: Replay, commands: Vec<Scheduled>, of: &Decision) -> Result<Recomputed> {
    let mut engine = Engine::new(Arc::clone(plan), files.lanes());
    commands.into_iter().for_each(|command| engine.schedule(command));
    let mut found = Recomputed::nothing();
    for step in files {
        match step? {
            Step::Batch(batch) => found.take(engine.step(&batch), of),
            Step::Refused(_) => {}
            Step::End { source, lane, next_offset } => {
                found.take(engine.progress(lane, source, next_offset, true, true), of);
            }
        }
    }
    Ok(found)
}

impl Recomputed {
    /// Before any event.
    #[must_use]
    pub fn nothing() -> Self {
        Self { decisions: Vec::new(), rows: Vec::new() }
    }

    /// Keeps what a step says of the decision's candidate and window.
    pub fn take(&mut self, effects: Effects, of: &Decision) {
        let same = |decision: &Decision| {
            (&decision.rollout, &decision.model, &decision.candidate) == (&of.rollout, &of.model, &of.candidate)
        };
        self.decisions.extend(effects.decisions.into_iter().filter(same));
        let here = |row: &WindowRow| {
            (row.window_end, &row.model, &row.version) == (of.time, &of.model, &of.candidate) && row.revision == 0
        };
        self.rows.extend(effects.windows.into_iter().filter(here));
    }

    /// The fields in which the decision of the same id differs, `None` where there is no such decision. Offsets may differ:
    /// an archive has its own.
    #[must_use]
    pub fn differences(&self, of: &Decision) -> Option<Vec<&'static str>> {
        let again = self.decisions.iter().find(|again| again.id == of.id)?;
        let compared = [
            ("time", again.time == of.time),
            ("authority", again.authority == of.authority),
            ("approval", again.approval == of.approval),
            ("reason", again.reason == of.reason),
            ("evidence", again.evidence == of.evidence),
            ("exposure", again.exposure == of.exposure),
            ("ledger", again.ledger == of.ledger),
            ("precondition", again.precondition == of.precondition),
            ("supersedes", again.supersedes == of.supersedes),
        ];
        Some(compared.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect())
    }
}
