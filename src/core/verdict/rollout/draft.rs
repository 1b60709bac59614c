//! A decision before it has its place in the sequence.

use super::{Pending, RolloutState, State};
use crate::name::NameOf;
use crate::plan::Signal;
use crate::reason::ReasonCode;
use crate::verdict::decision::{Evidence, Reason, Severity};

/// What is decided, and why.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is said on its own and any may go with any")]
pub(crate) struct Draft {
    pub(crate) signal: Signal,
    pub(crate) cap_pct: Option<f64>,
    pub(crate) reason: Reason,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) severity: Severity,
    pub(crate) causation: Option<String>,
    /// Tells people something, and changes nothing that is in force.
    pub(crate) note: bool,
    /// It tells of episodes.
    pub(crate) tells: bool,
    /// A person asked for it: it is carried out whatever the usual authority.
    pub(crate) by_person: bool,
    /// It is what happens when nobody answers: nobody has to approve it.
    pub(crate) unasked: bool,
    /// The decision that a person has rejected: what was in force before it is again.
    pub(crate) undoes: Option<Pending>,
    /// Those who approved it.
    pub(crate) granted: Vec<String>,
    /// State and cap before it.
    pub(crate) from: (State, Option<f64>),
}

impl Draft {
    /// A draft from the state as it is now.
    pub(crate) fn new(
        state: &RolloutState,
        signal: Signal,
        code: impl Into<NameOf<ReasonCode>>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            signal,
            cap_pct: None,
            reason: Reason { code: code.into(), text: text.into() },
            evidence: Vec::new(),
            severity: Severity::of(signal),
            causation: None,
            note: false,
            tells: false,
            by_person: false,
            unasked: false,
            undoes: None,
            granted: Vec::new(),
            from: (state.state, state.cap_pct),
        }
    }

    /// A word to people that changes nothing.
    pub(crate) fn note(state: &RolloutState, code: impl Into<NameOf<ReasonCode>>, text: impl Into<String>) -> Self {
        Self { note: true, ..Self::new(state, Signal::Warn, code, text) }
    }

    pub(crate) fn capped(self, cap_pct: f64) -> Self {
        Self { cap_pct: Some(cap_pct), ..self }
    }
}
