//! One candidate's way from its first request to all of the traffic, or back.

mod state;

pub use state::State;
