//! Summaries: the mergeable state that a pane holds.
//!
//! Every summary is made of integers (or of minima and maxima), so that `merge` is associative and commutative to the
//! last bit: any split of the data over batches, partitions and processes gives the same bytes. Every summary is
//! bounded.

pub mod amounts;
pub mod category;
pub mod classes;
pub mod entity;
pub mod fixed;
pub mod histogram;
pub mod latency;
pub mod magnitude;
pub mod pairs;
pub mod profile;
pub mod quality;
pub mod rare;
pub mod rate;
pub mod refined;
pub mod seal;
pub(crate) mod spill;
pub mod tail;
pub mod traffic;

pub use amounts::{Amounts, Clip, MeasureSummary};
pub use category::Category;
pub use classes::Classes;
pub use fixed::Fixed;
pub use histogram::Histogram;
pub use latency::Latency;
pub use magnitude::Magnitudes;
pub use pairs::{PairLosses, Pairs};
pub use profile::Profile;
pub use quality::Quality;
pub use rare::Rare;
pub use rate::Rates;
pub use refined::Refined;
pub use seal::{Seal, Sealed};
pub use spill::Spill;
pub use tail::Tails;
pub use traffic::Traffic;
