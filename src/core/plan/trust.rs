//! From when on the data of a window is not trusted any more.

use serde::{Serialize, Serializer};

use crate::event::{Micros, SECOND};
use crate::name::{Name, named};

named! {
    /// Why a window may not hold what happened.
    pub enum Cause {
        /// records that were refused
        Poison = "poison",
        /// rows that came too late for their window
        Late = "late",
        /// re-deliveries
        Duplicates = "duplicates",
        /// records that were deleted from the log before they were read
        Gaps = "gaps",
        /// rows that silent partitions usually bring, while others spoke
        Missing = "missing",
        /// event times ahead of broker times
        Skew = "skew",
    }
}

/// Shares of a window's records from which on it is degraded, and untrusted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TrustLimits {
    /// From here on people are told.
    pub degraded: f64,
    /// From here on nothing passes.
    pub untrusted: f64,
}

/// From when on the data of a window is not trusted any more.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustPlan {
    /// Fewer records than this that speak against a window say nothing, whatever their share.
    pub n_min: u64,
    /// How far an event time may be ahead of its broker time.
    pub max_ahead: Micros,
    /// In the order of [`Cause`]; `None` where the cause is not looked at.
    pub limits: [Option<TrustLimits>; CAUSES],
}

/// How many causes there are.
const CAUSES: usize = Cause::ALL.len();

/// What is lost changes a share by as much at most. One in a hundred is below the margins that guards hold a candidate
/// to; one in twenty is of their size, and a candidate may look better by it than it is.
const OF_LOSSES: TrustLimits = TrustLimits { degraded: 0.01, untrusted: 0.05 };
/// Re-deliveries are recognised and counted once. So many make it likely that others, with other ids or on other
/// partitions, are not.
const OF_DUPLICATES: TrustLimits = TrustLimits { degraded: 0.1, untrusted: 0.5 };

impl Default for TrustPlan {
    fn default() -> Self {
        let limits = |&cause: &Cause| Some(if cause == Cause::Duplicates { OF_DUPLICATES } else { OF_LOSSES });
        let all: Vec<_> = Cause::ALL.iter().map(limits).collect();
        Self { n_min: 10, max_ahead: 10 * SECOND, limits: all.try_into().expect("every cause has limits") }
    }
}

impl TrustPlan {
    /// Every window is trusted.
    #[must_use]
    pub fn off() -> Self {
        Self { limits: [None; CAUSES], ..Self::default() }
    }

    /// The limits of a cause.
    #[must_use]
    pub fn limits(&self, cause: Cause) -> Option<TrustLimits> {
        self.limits[cause as usize]
    }

    /// Whether it is what a pipeline has that says nothing: then it is not in the plan's digest, which was before.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Serialize for TrustPlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named: Vec<_> = Cause::ALL.iter().map(|&cause| (cause.name(), self.limits(cause))).collect();
        (self.n_min, self.max_ahead, named).serialize(serializer)
    }
}
