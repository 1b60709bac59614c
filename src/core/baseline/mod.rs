//! Reference profiles: how columns are cut into bins, and how the profile of a data set is built.
//!
//! A profile is built in two passes over the same rows, the first to learn where to cut, the second to count. The cuts
//! hold the edges that other tools would lay (deciles, 20-quantiles, `NannyML`'s bins), so that each of their numbers
//! can be computed from one histogram.

pub mod builder;
pub mod cut;
pub mod doane;
pub mod quantile;

pub use builder::{Counter, ProfileBuilder};
