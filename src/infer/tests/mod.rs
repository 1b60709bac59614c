//! What the tests of this folder share, and simulations of its procedures.

mod drift;
mod rollout;
pub(crate) mod world;
