//! Seeded worlds: made-up canary rollouts in which it is known what changed, when, and in which version.
//!
//! They measure how well changes are found and how often healthy versions are blamed (`benches/detection.rs`,
//! `haldane detect`). A world is a function of its kind and its seed, the same on every machine.

mod bug;
mod crowd;
mod information;
mod kind;
pub mod rng;
mod world;

pub use bug::Bug;
pub use crowd::{CROWD, CROWD_HOURS, CrowdFault};
pub use information::{Tolerated, nats, nats_to_tell};
pub use kind::{ChangeScope, Climate, KINDS, RowEffect, Scenario, ScenarioChange, WORLD_KINDS, kind};
pub use rng::Rng;
pub use world::{SimulatedRollout, Size};
