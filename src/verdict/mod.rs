//! What to do about the evidence: rules, the rollout's state, decisions.

pub mod decision;

pub use decision::{Decision, Evidence, RolloutState};
