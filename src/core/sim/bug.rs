//! Particular ways in which a version may be broken, beyond shifted numbers.

use super::rng::Rng;
use super::world::SimulatedRow;

/// What a request takes that times out, in milliseconds.
const TIMEOUT_MS: f64 = 1_000.0;

/// One way to be broken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bug {
    /// The names `a` and `b` of `c1` are exchanged.
    Renamed,
    /// `x2` is in another unit: so many times as large.
    Unit(f64),
    /// Share of rows in which `x1` is not a number.
    NotANumber(f64),
    /// `x1` is the same in every row.
    Stuck,
    /// `x1` and `x3` are exchanged.
    Swapped,
    /// `x1` keeps its mean and variance but gets heavy tails (Student's t with three degrees of freedom).
    Tails,
    /// Share of the requests of one category that fail.
    FailsOne(&'static str, f64),
    /// Share of labels that are turned round.
    Flipped(f64),
    /// Every score is one half.
    Collapsed,
    /// Every answer takes at least so many milliseconds: the median rises, the tail does not.
    Floor(f64),
    /// Share of requests that fail after a second.
    TimesOut(f64),
}

impl Bug {
    /// Breaks a healthy row.
    pub(super) fn hit(self, row: &mut SimulatedRow, rng: &mut Rng) {
        match self {
            Self::Renamed => {
                row.c1 = match row.c1 {
                    "a" => "b",
                    "b" => "a",
                    other => other,
                }
            }
            Self::Unit(factor) => row.x2 *= factor,
            Self::NotANumber(share) if rng.chance(share) => row.x1 = Some(f64::NAN),
            Self::Stuck => row.x1 = Some(0.0),
            Self::Swapped => {
                if let Some(x1) = &mut row.x1 {
                    std::mem::swap(x1, &mut row.x3);
                }
            }
            Self::Tails => row.x1 = Some(rng.student3() / 3.0_f64.sqrt()),
            Self::FailsOne(category, share) => row.failed |= row.c1 == category && rng.chance(share),
            Self::Flipped(share) if rng.chance(share) => row.label = !row.label,
            Self::Collapsed => row.score = 0.5,
            Self::Floor(ms) => row.latency_ms = row.latency_ms.max(ms),
            Self::TimesOut(share) if rng.chance(share) => {
                row.failed = true;
                row.latency_ms = TIMEOUT_MS;
            }
            Self::NotANumber(_) | Self::Flipped(_) | Self::TimesOut(_) => {}
        }
    }
}
