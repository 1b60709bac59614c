//! Where a candidate stands.

use serde::{Deserialize, Serialize};

use crate::plan::{Action, Signal};

/// The verdict so far on a candidate. Its parameters (step of the ladder, cap) stand beside it in the rollout's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Known, and has served nothing yet.
    Registered,
    /// Has served too little to be judged; only hard findings act.
    Warming,
    /// Nothing speaks against it.
    Observing,
    /// Something speaks against it and is being confirmed.
    Suspect,
    /// Exposure must not rise.
    Held,
    /// Exposure is capped.
    Contained,
    /// All traffic was asked back; not seen to have happened yet.
    RollingBack,
    /// All traffic is back; the version is denied.
    RolledBack,
    /// Shown to be no worse than its margins at this step: exposure may rise.
    Passed,
    /// Serves everybody, and is watched before the baseline version is given up.
    Baking,
    /// Has replaced the baseline version.
    Stable,
    /// A newer candidate has taken its place.
    Superseded,
    /// Gone.
    Retired,
}

impl State {
    /// Every state, in order.
    pub const ALL: [Self; 13] = [
        Self::Registered,
        Self::Warming,
        Self::Observing,
        Self::Suspect,
        Self::Held,
        Self::Contained,
        Self::RollingBack,
        Self::RolledBack,
        Self::Passed,
        Self::Baking,
        Self::Stable,
        Self::Superseded,
        Self::Retired,
    ];

    /// The name in states and decisions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Registered => "REGISTERED",
            Self::Warming => "WARMING",
            Self::Observing => "OBSERVING",
            Self::Suspect => "SUSPECT",
            Self::Held => "HELD",
            Self::Contained => "CONTAINED",
            Self::RollingBack => "ROLLING_BACK",
            Self::RolledBack => "ROLLED_BACK",
            Self::Passed => "PASSED",
            Self::Baking => "BAKING",
            Self::Stable => "STABLE",
            Self::Superseded => "SUPERSEDED",
            Self::Retired => "RETIRED",
        }
    }

    /// How severe the restriction is that holds in this state.
    #[must_use]
    pub fn severity(self) -> Action {
        match self {
            Self::Suspect => Action::Warn,
            Self::Held => Action::Hold,
            Self::Contained => Action::Contain,
            Self::RollingBack | Self::RolledBack => Action::Rollback,
            _ => Action::Observe,
        }
    }

    /// The state that a finding of some severity leads to.
    pub(crate) fn under(action: Action) -> Self {
        match action {
            Action::Observe => Self::Observing,
            Action::Warn => Self::Suspect,
            Action::Hold => Self::Held,
            Action::Contain => Self::Contained,
            Action::Rollback => Self::RollingBack,
        }
    }

    /// What asks for this state again; `None` where nothing is restricted.
    pub(crate) fn asks_for(self) -> Option<Signal> {
        Some(Signal::from(self.severity())).filter(|signal| signal.restricts() && self != Self::RolledBack)
    }

    /// Whether the candidate is judged at all.
    #[must_use]
    pub fn is_live(self) -> bool {
        !matches!(self, Self::RolledBack | Self::Superseded | Self::Retired)
    }
}
