//! What to do about the evidence: rules, the rollout's state, decisions.

pub mod decision;
mod evidence;
pub(crate) mod finding;
pub(crate) mod guard;
pub(crate) mod judged;
pub(crate) mod policy;
pub(crate) mod power;
mod reason;

pub use decision::{Decision, Evidence, RolloutState};
