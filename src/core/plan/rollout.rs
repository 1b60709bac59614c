//! How a rollout may proceed: steps, waiting times, and who may act.

use serde::{Deserialize, Serialize};

use crate::event::{Micros, SECOND};
use crate::plan::Action;

/// What a decision tells the world. The numbers are part of what ids of decisions are made of: none is ever given to
/// another signal, and a new one comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Nothing is wrong.
    Observe = 0,
    /// Tell people.
    Warn = 1,
    /// Do not raise exposure.
    Hold = 2,
    /// Lower exposure to a cap.
    Contain = 3,
    /// Send all traffic back to the baseline version.
    Rollback = 4,
    /// Exposure may rise to a cap, for a short while.
    PromoteOk = 5,
    /// A restriction is lifted; exposure may rise to a cap.
    Resume = 6,
    /// Decisions named before do not count any more.
    Retract = 7,
    /// A person has stopped every change.
    Freeze = 8,
    /// A freeze is over.
    Unfreeze = 9,
    /// What is in force, once more.
    Heartbeat = 10,
}

impl Signal {
    /// Every signal, in order.
    pub const ALL: [Self; 11] = [
        Self::Observe,
        Self::Warn,
        Self::Hold,
        Self::Contain,
        Self::Rollback,
        Self::PromoteOk,
        Self::Resume,
        Self::Retract,
        Self::Freeze,
        Self::Unfreeze,
        Self::Heartbeat,
    ];

    /// The name in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Warn => "warn",
            Self::Hold => "hold",
            Self::Contain => "contain",
            Self::Rollback => "rollback",
            Self::PromoteOk => "promote_ok",
            Self::Resume => "resume",
            Self::Retract => "retract",
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// Whether it tells people of something adverse: `Warn` to `Rollback`.
    #[must_use]
    pub fn is_adverse(self) -> bool {
        matches!(self, Self::Warn) || self.restricts()
    }

    /// Whether it narrows what the candidate may get.
    #[must_use]
    pub fn restricts(self) -> bool {
        matches!(self, Self::Hold | Self::Contain | Self::Rollback)
    }

    /// Whether it widens what the candidate may get.
    #[must_use]
    pub fn permits(self) -> bool {
        matches!(self, Self::PromoteOk | Self::Resume)
    }
}

impl From<Action> for Signal {
    fn from(action: Action) -> Self {
        match action {
            Action::Observe => Self::Observe,
            Action::Warn => Self::Warn,
            Action::Hold => Self::Hold,
            Action::Contain => Self::Contain,
            Action::Rollback => Self::Rollback,
        }
    }
}

/// Who may act on a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Authority {
    /// Nobody: it is advice.
    #[default]
    Advisory,
    /// A machine, once people have approved.
    Approval,
    /// A machine.
    Auto,
    /// Nobody, until a freeze is over.
    Frozen,
}

impl Authority {
    /// The name in decisions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Advisory => "ADVISORY",
            Self::Approval => "APPROVAL",
            Self::Auto => "AUTO",
            Self::Frozen => "FROZEN",
        }
    }
}

/// How long the record of a candidate that has ended is kept (event time). What must outlive it, above all that its
/// version is denied, then stands in the record of the version to go back to.
pub const ENDED_KEPT: Micros = 30 * 86_400 * SECOND;

/// The most candidates of one model that have records of their own, but for those that get traffic.
pub const CANDIDATES_MAX: usize = 200;

/// The most candidates of one model that are not denied and whose end is remembered without a record of their own.
/// Denials are all remembered.
pub const ENDED_MAX: usize = 1_000;

/// How decisions get their approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ApprovalPlan {
    /// How many different people must approve.
    pub quorum: u32,
    /// How long a decision waits (event time). Then exposure is held as it is: nothing happens unasked.
    pub deadline: Micros,
}

/// The course of a rollout. The defaults are those of a pipeline that chooses nothing. Waiting times count windows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RolloutPlan {
    /// Steps of exposure, percent, rising to 100.
    pub ladder: Vec<f64>,
    /// Windows with data of the candidate before anything but a hard finding acts.
    pub warmup_windows: u32,
    /// Windows at a step before exposure may rise, and in a restriction before it may be lifted.
    pub dwell_windows: u32,
    /// Windows at a step before exposure may rise to 100 %, and at 100 % before a version is stable.
    pub dwell_final_windows: u32,
    /// Windows in a row that a finding which is not hard must stand before it acts.
    pub confirm_windows: u32,
    /// Windows in a row without adverse evidence before something is lifted.
    pub clear_windows: u32,
    /// Restrictions that may be lifted in one episode; after that only a person lifts one.
    pub flap_budget: u32,
    /// Windows at 100 % after which a version that was passed is stable even if labels never came.
    pub bake_max_windows: u32,
    /// Windows for which a stable version can still be rolled back.
    pub horizon_windows: u32,
    /// Windows at one step after which a person is asked what to do.
    pub ask_windows: u32,
    /// Windows in a row without data after which exposure is held.
    pub blind_windows: u32,
    /// Windows that a permission to raise exposure lasts.
    pub permit_windows: u32,
    /// How far above its cap the observed share may be, in percentage points, to count as there.
    pub share_epsilon_pct: f64,
    /// Windows after which a restriction without visible effect is asserted again; then after twice as many, and so on.
    pub reassert_windows: u32,
    /// Repetitions after which it becomes fatal that a restriction has no effect.
    pub reasserts_max: u32,
    /// Whether actuators acknowledge decisions: then a rollback is over only when one has.
    pub acks: bool,
    /// Who may act on one kind of decision, where it differs from the pipeline's authority.
    pub authority: Vec<(Signal, Authority)>,
    /// How decisions get their approval.
    pub approval: ApprovalPlan,
    /// Whether hard findings may contain or roll back what a person has resumed or promoted.
    pub hard_overrides_people: bool,
    /// Seconds for which a restriction counts without a sign of life of whoever judges; each sign of life renews it.
    pub lease_s: u64,
}

impl Default for RolloutPlan {
    fn default() -> Self {
        Self {
            ladder: vec![1.0, 5.0, 25.0, 50.0, 100.0],
            warmup_windows: 3,
            dwell_windows: 12,
            dwell_final_windows: 48,
            confirm_windows: 3,
            clear_windows: 3,
            flap_budget: 3,
            bake_max_windows: 288,
            horizon_windows: 288,
            ask_windows: 288,
            blind_windows: 12,
            permit_windows: 12,
            share_epsilon_pct: 1.0,
            reassert_windows: 3,
            reasserts_max: 3,
            acks: false,
            authority: Vec::new(),
            approval: ApprovalPlan { quorum: 1, deadline: 4 * 3600 * SECOND },
            hard_overrides_people: false,
            lease_s: 900,
        }
    }
}

impl RolloutPlan {
    /// The last step of the ladder.
    #[must_use]
    pub fn top(&self) -> usize {
        self.ladder.len().saturating_sub(1)
    }

    /// The lowest step that covers a share of traffic.
    #[must_use]
    pub fn covering(&self, share_pct: f64) -> usize {
        let covers = |step: &f64| share_pct <= *step + self.share_epsilon_pct;
        self.ladder.iter().position(covers).unwrap_or(self.top())
    }

    /// What a step allows, percent.
    #[must_use]
    pub fn cap_at(&self, step: usize) -> f64 {
        self.ladder.get(step).copied().unwrap_or(100.0)
    }

    /// The lowest step above a cap, percent; 100 beyond the ladder.
    #[must_use]
    pub fn above(&self, cap_pct: f64) -> f64 {
        self.ladder.iter().copied().find(|step| *step > cap_pct).unwrap_or(100.0)
    }

    /// Windows to stay at a step before exposure may rise to the next one.
    #[must_use]
    pub fn dwell_at(&self, step: usize) -> u32 {
        if step + 1 >= self.top() { self.dwell_final_windows } else { self.dwell_windows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_signals_and_actions_stay() {
        let stated = [
            (Signal::Observe, 0),
            (Signal::Warn, 1),
            (Signal::Hold, 2),
            (Signal::Contain, 3),
            (Signal::Rollback, 4),
            (Signal::PromoteOk, 5),
            (Signal::Resume, 6),
            (Signal::Retract, 7),
            (Signal::Freeze, 8),
            (Signal::Unfreeze, 9),
            (Signal::Heartbeat, 10),
        ];
        assert_eq!(stated.map(|(signal, _)| signal), Signal::ALL);
        for (signal, number) in stated {
            assert_eq!((signal as u8, postcard::to_stdvec(&signal).expect("encodes")), (number, vec![number]));
        }
        let actions = [Action::Observe, Action::Warn, Action::Hold, Action::Contain, Action::Rollback];
        assert_eq!(actions.map(|action| action as u8), [0, 1, 2, 3, 4], "the severity series shows them");
    }
}
