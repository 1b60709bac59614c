//! From counts to what they allow to say.
//!
//! Two kinds of numbers live here. P-values and intervals describe one window; looked at again and again they are no
//! longer what they say. *E-values* have mean at most 1 under the null and may be multiplied over windows, averaged
//! over metrics and looked at whenever one likes, so decisions rest on them:
//!
//! * e-values of one window, or of all counts so far: [`two_sample`] and [`contrast`] between versions,
//!   [`balanced`] between means of anything that is counted, [`gap`] between groups of both versions,
//!   [`binomial_limit`] against an absolute limit, [`sample_ratio`] of the split of traffic, [`reliability`] of
//!   predicted probabilities, [`uneven`] of what is waited for;
//! * p-values of one window that know what is tolerated: [`psi_tolerance`], [`ks_tolerance`]; made e-values by
//!   [`calibrator`];
//! * what gathers them: [`hx`] over a rollout, [`shiryaev`] over a lifetime, [`pool`] and [`multiplicity`] over
//!   metrics, [`final_look`] at the end;
//! * what they are corrected for: [`deff`] for entities that come back, [`likeness`] for requests that are alike where
//!   no entity is named, [`autocorrelation`] for windows that resemble each other, [`overdispersion`] for noise that
//!   one version has for itself;
//! * what is shown beside them: [`interval`], [`mean_ratio`], [`newcombe`] for a difference of rates, and the tests
//!   that people know,
//!   of no difference at all: [`exact_ks`], [`mann_whitney`], [`welch`] over rows, [`fisher`], [`pooled_z`] over
//!   counts;
//! * series of points out of dashboards: [`series`];
//! * how rows are read for these: [`runs`], [`linear_quantile`];
//! * the laws beneath: [`normal`], [`noncentral`], [`special`].
//!
//! Everything is a function of numbers and slices. States are a few floats, updated in the order of windows.

pub mod autocorrelation;
pub mod balanced;
pub mod binomial_limit;
mod block;
pub mod calibrator;
pub mod contrast;
pub mod deff;
pub mod exact_ks;
pub mod final_look;
pub mod fisher;
pub mod gap;
pub mod hx;
pub mod interval;
pub mod ks_tolerance;
pub mod likeness;
pub mod linear_quantile;
pub mod location;
mod log_space;
pub mod mann_whitney;
pub mod mean_ratio;
pub mod multiplicity;
pub mod newcombe;
pub mod noncentral;
pub mod normal;
pub mod overdispersion;
pub mod paired_bet;
pub mod pool;
pub mod pooled_z;
pub mod psi_tolerance;
pub mod reliability;
pub mod runs;
pub mod sample_ratio;
pub mod series;
pub mod shiryaev;
pub mod special;
#[cfg(test)]
mod tests;
pub mod two_sample;
pub mod uneven;
pub mod wander;
pub mod welch;

pub use special::{chi_square_sf, kolmogorov_sf, student_t_sf};
