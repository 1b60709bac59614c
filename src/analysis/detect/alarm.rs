//! What a detector said: one line per decision.

use serde::Serialize;

use crate::event::Micros;
use crate::name::NameOf;
use crate::plan::Signal;
use crate::reason::ReasonCode;
use crate::verdict::Decision;

/// The scope of a decision that blames no version.
pub const WORLD: &str = "world";

/// One decision about one stream, as a row of the alarms file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// The stream, which is the model's name.
    pub stream: String,
    /// End of the window that called for it, microseconds since 1970 (as in `labels.json`).
    pub time: Micros,
    /// The version that is named, or [`WORLD`].
    pub scope: String,
    /// What is called for.
    pub action: &'static str,
    /// The reason code.
    pub reason: NameOf<ReasonCode>,
}

impl Alarm {
    /// The decision as an alarm.
    #[must_use]
    pub fn of(decision: &Decision) -> Self {
        let blames = !decision.candidate.is_empty() && decision.candidate != decision.baseline;
        let scope = if blames { &decision.candidate } else { WORLD };
        Self {
            stream: decision.model.clone(),
            time: decision.time,
            scope: scope.to_owned(),
            action: decision.action.name(),
            reason: decision.reason.code.clone(),
        }
    }

    /// Whether it names a version and restricts it. Everything else is a note: it tells people, and nothing is held
    /// back.
    #[must_use]
    pub fn restricts(&self) -> bool {
        let restricting = [Signal::Hold, Signal::Contain, Signal::Rollback].map(Signal::name);
        self.scope != WORLD && restricting.contains(&self.action)
    }

    /// Whether it takes a version out of production.
    #[must_use]
    pub fn rolls_back(&self) -> bool {
        self.restricts() && self.action == Signal::Rollback.name()
    }
}
