//! Numbers on their way between counts and evidence.

/// Evidence is written down up to this: it must stay a number.
/// Origin: numerics; JSON has no infinity.
const E_MAX: f64 = 1e300;

/// A count as a float.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) fn count(count: u64) -> f64 {
    count as f64
}

/// A length as a float.
pub(super) fn float(n: usize) -> f64 {
    count(n as u64)
}

/// Rounded down.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
pub(super) fn floor(value: f64) -> i32 {
    libm::floor(value) as i32
}

/// Rounded to the nearest.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
pub(super) fn rounded(value: f64) -> i64 {
    libm::rint(value) as i64
}

/// An e-value from its logarithm, cut from above so that it stays finite.
pub(super) fn e_value(log_e: f64) -> f64 {
    libm::exp(log_e).min(E_MAX)
}
