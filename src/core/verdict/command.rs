//! What people and actuators ask of a rollout, and what became of it.
//!
//! A command is data in a log like any event. Its result says after which judgement it was applied, so that the log and
//! the results together replay to the same decisions.

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::name::{Name, named};
use crate::verdict::rollout::State;

/// A place in the order of judgements: when one fell due (event time) and of which kind it was (0 traffic, 1 quality).
pub type Position = (Micros, u8);

/// Something that a person or an actuator asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Chosen by whoever asks; a repeated id is a repeated delivery, and changes nothing.
    pub id: String,
    /// When it was written to its log.
    pub at: Micros,
    /// Rollout.
    pub rollout: String,
    /// Model; empty for every model of the rollout (freezes and mutes).
    #[serde(default)]
    pub model: String,
    /// Candidate; empty for every candidate (freezes and mutes).
    #[serde(default)]
    pub candidate: String,
    /// What is asked for.
    pub kind: CommandKind,
    /// Who asks.
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Where it is written down, such as an incident's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Carried out only while this is the sequence number of the rollout's last decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_sequence: Option<u64>,
    /// Not carried out any more after this time (of the log, or of the windows judged).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Micros>,
}

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CommandKind {
    /// Carry out a decision that waits for approval.
    Approve {
        /// Its id.
        decision: String,
    },
    /// Do not carry out a decision that waits for approval.
    Reject {
        /// Its id.
        decision: String,
    },
    /// Do not raise exposure until somebody resumes.
    Hold,
    /// Lift what is in force and let exposure rise up to a cap.
    Resume {
        /// Percent; without it the next step of the ladder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cap_pct: Option<f64>,
    },
    /// All traffic back to the baseline version.
    ForceRollback,
    /// All traffic to the candidate, whatever the evidence says.
    ForcePromote,
    /// Nothing is carried out, neither up nor down.
    Freeze {
        /// Until windows end at or after this time.
        until: Micros,
    },
    /// Ends a freeze.
    Unfreeze,
    /// Findings of one metric are shown but do not act.
    Mute {
        /// Metric.
        metric: String,
        /// Column; without it any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        column: Option<String>,
        /// Segment, `field=value`; without it any, and all traffic together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        segment: Option<String>,
        /// Until windows end at or after this time.
        until: Micros,
    },
    /// Watch a version that serves everybody for longer before it counts as stable.
    ExtendBake {
        /// Until windows end at or after this time.
        until: Micros,
    },
    /// Another version to go back to.
    SetBaseline {
        /// The version.
        version: String,
    },
    /// A version that was rolled back may be tried again.
    ClearDenial,
    /// From an actuator: what became of a decision.
    Ack {
        /// Its id.
        decision: String,
        /// What became of it.
        status: AckStatus,
        /// Who says so.
        adapter: String,
        /// Share of traffic the candidate has now, percent, as the actuator sees it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        observed_cap_pct: Option<f64>,
        /// In words.
        #[serde(default)]
        detail: String,
    },
}

named! {
    /// The kinds of commands.
    pub enum CommandName {
        /// carry out a decision that waits for approval
        Approve = "approve",
        /// do not carry it out
        Reject = "reject",
        /// do not raise exposure until somebody resumes
        Hold = "hold",
        /// lift what is in force
        Resume = "resume",
        /// all traffic back to the baseline version
        ForceRollback = "force_rollback",
        /// all traffic to the candidate, whatever the evidence says
        ForcePromote = "force_promote",
        /// carry out nothing, neither up nor down
        Freeze = "freeze",
        /// end a freeze
        Unfreeze = "unfreeze",
        /// show findings of one metric, and do not let them act
        Mute = "mute",
        /// watch a version that serves everybody for longer
        ExtendBake = "extend_bake",
        /// name another version to go back to
        SetBaseline = "set_baseline",
        /// let a version that was rolled back be tried again
        ClearDenial = "clear_denial",
        /// say what became of a decision, as an actuator does
        Ack = "ack",
    }
}

impl CommandName {
    /// Whether it answers a decision that waits for approval.
    #[must_use]
    pub fn answers(self) -> bool {
        matches!(self, Self::Approve | Self::Reject)
    }

    /// Its name for people.
    #[must_use]
    pub fn words(self) -> String {
        self.name().replace('_', " ")
    }
}

impl CommandKind {
    /// Its name, as it stands in commands.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.which().name()
    }

    /// Its kind, without what is said beside.
    #[must_use]
    pub fn which(&self) -> CommandName {
        match self {
            Self::Approve { .. } => CommandName::Approve,
            Self::Reject { .. } => CommandName::Reject,
            Self::Hold => CommandName::Hold,
            Self::Resume { .. } => CommandName::Resume,
            Self::ForceRollback => CommandName::ForceRollback,
            Self::ForcePromote => CommandName::ForcePromote,
            Self::Freeze { .. } => CommandName::Freeze,
            Self::Unfreeze => CommandName::Unfreeze,
            Self::Mute { .. } => CommandName::Mute,
            Self::ExtendBake { .. } => CommandName::ExtendBake,
            Self::SetBaseline { .. } => CommandName::SetBaseline,
            Self::ClearDenial => CommandName::ClearDenial,
            Self::Ack { .. } => CommandName::Ack,
        }
    }
}

/// What an actuator did with a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AckStatus {
    /// It will be carried out.
    Accepted,
    /// It has been carried out.
    Applied,
    /// It will not be: the actuator's own rules forbid it.
    Rejected,
    /// It will not be: it is stale, superseded or known already.
    Ignored,
    /// It was tried and did not work.
    Failed,
}

impl AckStatus {
    /// Its name, as it stands in acknowledgements.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Applied => "applied",
            Self::Rejected => "rejected",
            Self::Ignored => "ignored",
            Self::Failed => "failed",
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandResult {
    /// The command.
    pub command: Command,
    /// What became of it.
    pub outcome: Outcome,
    /// One sentence.
    pub text: String,
    /// Sequence number of the rollout's last decision, after the command.
    pub sequence: u64,
    /// The rollout's state after the command; `None` when no such candidate is known.
    pub state: Option<State>,
    /// Ids of the decisions that it gave rise to.
    pub decisions: Vec<String>,
    /// The last judgement of the candidate before the command; `None` before the first.
    pub applied_after: Option<Position>,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was carried out.
    Accepted,
    /// It makes no sense here; nothing changed.
    Rejected,
    /// The rollout has moved on since the command's author looked; nothing changed.
    Conflict,
    /// It came too late; nothing changed.
    Expired,
    /// It counts, and waits for somebody else to say the same.
    Pending,
    /// It was carried out before; nothing changed.
    Duplicate,
}

impl Outcome {
    /// Every outcome, in order.
    pub const ALL: [Self; 6] =
        [Self::Accepted, Self::Rejected, Self::Conflict, Self::Expired, Self::Pending, Self::Duplicate];

    /// Its name, as it stands in results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
            Self::Expired => "expired",
            Self::Pending => "pending",
            Self::Duplicate => "duplicate",
        }
    }
}

/// A command that is to be carried out at its place among the judgements of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduled {
    /// The command.
    pub command: Command,
    /// The last judgement before it.
    pub after: Position,
}

impl From<Command> for Scheduled {
    /// By the time of its log: before the first judgement that falls due later.
    fn from(command: Command) -> Self {
        Self { after: (command.at, u8::MAX), command }
    }
}

impl From<CommandResult> for Scheduled {
    /// Where it was carried out before.
    fn from(result: CommandResult) -> Self {
        Self { after: result.applied_after.unwrap_or((Micros::MIN, 0)), command: result.command }
    }
}
