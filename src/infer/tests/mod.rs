//! What the tests of this folder share, and simulations of its procedures.

mod drift;
mod known;
mod rollout;
mod size_power;
pub(crate) mod world;
