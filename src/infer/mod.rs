//! From counts to what they allow to say: p-values.
//!
//! They describe; no decision rests on them alone (a p-value looked at every window is no longer one).

pub mod contrast;
pub mod pool;
pub mod special;

pub use special::{chi_square_sf, kolmogorov_sf};
