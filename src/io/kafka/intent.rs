//! What a step is about to say of a candidate, written before it is said.
//!
//! Decisions and results of commands stand on one topic and states on another, so a crash may come between them. What
//! was said is never judged again then: records may be gone since, others may have come, and the plan may be another
//! one. Whoever takes over goes on from the intent, and says what is in it once more.

use serde::{Deserialize, Serialize};

use crate::engine::Effects;
use crate::format::Version;
use crate::verdict::{CommandResult, Decision, RolloutState};

/// What keys of intents begin with; no rollout may have such a name.
const PREFIX: &str = "@intent/";

/// The state of a candidate after a step, and what the step says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Version of this format.
    #[serde(default)]
    format: Version<1>,
    /// The candidate's state, once all of it is said.
    pub state: RolloutState,
    /// Its decisions, in their sequence.
    pub decisions: Vec<Decision>,
    /// What became of commands to it.
    pub results: Vec<CommandResult>,
}

/// The key of a candidate's intent, from that of its state.
#[must_use]
pub fn key(of_state: &str) -> String {
    format!("{PREFIX}{of_state}")
}

/// The key of the state that a key is the intent's of.
#[must_use]
pub fn of_state(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(PREFIX.as_bytes())
}

impl Intent {
    /// Of each candidate of whom something is about to be said.
    #[must_use]
    pub fn all(effects: &Effects) -> Vec<Self> {
        let last = |at: usize| !effects.states[at + 1..].iter().any(|later| same(later, &effects.states[at]));
        let states = (0..effects.states.len()).filter(|&at| last(at)).map(|at| &effects.states[at]);
        states.filter(|state| !state.gone).map(|state| Self::of(state, effects)).filter(Self::says_something).collect()
    }

    fn of(state: &RolloutState, effects: &Effects) -> Self {
        let is_its = |decision: &&Decision| is_of(decision, state);
        let decisions = effects.decisions.iter().filter(is_its).cloned().collect();
        let results = effects.results.iter().filter(|result| state.knows(&result.command.id)).cloned().collect();
        Self { format: Version, state: state.clone(), decisions, results }
    }

    fn says_something(&self) -> bool {
        !(self.decisions.is_empty() && self.results.is_empty())
    }

    /// Whether the state that was written last lacks some of it.
    #[must_use]
    pub fn is_ahead_of(&self, written: Option<&RolloutState>) -> bool {
        let Some(written) = written else { return true };
        let lacks_result = self.results.iter().any(|result| !written.knows(&result.command.id));
        written.judged_upto <= self.state.judged_upto && (written.sequence < self.state.sequence || lacks_result)
    }
}

/// Whether two states are of one candidate.
#[must_use]
pub fn same(one: &RolloutState, other: &RolloutState) -> bool {
    (&one.rollout, &one.model, &one.candidate) == (&other.rollout, &other.model, &other.candidate)
}

/// Whether a decision is about the candidate of a state.
#[must_use]
pub fn is_of(decision: &Decision, state: &RolloutState) -> bool {
    (&decision.rollout, &decision.model, &decision.candidate) == (&state.rollout, &state.model, &state.candidate)
}
