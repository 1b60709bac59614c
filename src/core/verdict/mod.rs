//! What to do about the evidence: rules, the rollout's state, decisions.

pub mod chain;
pub mod command;
pub mod decision;
mod evidence;
pub(crate) mod finding;
pub(crate) mod guard;
pub(crate) mod judged;
pub mod liveness;
pub mod permission;
pub(crate) mod policy;
pub mod power;
mod published;
mod reason;
pub mod rollout;
mod rules;
pub mod words;

pub use command::{AckStatus, Command, CommandKind, CommandName, CommandResult, Outcome, Position, Scheduled};
pub use decision::{Decision, Evidence};
pub use finding::{FindingSource, Ledger, Validity};
pub use guard::{GuardName, Memory};
pub use liveness::{Freshness, Liveness};
pub use permission::{Permission, Word, permission};
pub use rollout::{Ended, Episode, RolloutState, State, with_ended};
