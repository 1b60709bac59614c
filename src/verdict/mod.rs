//! What to do about the evidence: rules, the rollout's state, decisions.

pub mod command;
pub mod decision;
mod evidence;
pub(crate) mod finding;
pub(crate) mod guard;
pub(crate) mod judged;
pub(crate) mod policy;
mod reason;
pub mod rollout;

pub use command::{Command, CommandKind, CommandResult, Outcome, Position};
pub use decision::{Decision, Evidence, RolloutState};
pub use rollout::State;
