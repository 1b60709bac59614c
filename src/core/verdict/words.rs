//! What guards say of a plan, in words.

use crate::plan::Plan;

pub use super::guard::{blind_spots, words as guards};

/// A share in percent, to three digits.
#[must_use]
pub fn percent(share: f64) -> String {
    let rounded = (share * 1e5).round() / 1e3;
    format!("{rounded} %")
}

/// So many windows.
#[must_use]
pub fn windows(n: u32) -> String {
    if n == 1 { "1 window".to_owned() } else { format!("{n} windows") }
}

/// Whether any source says that a request failed.
#[must_use]
pub fn tells_failures(plan: &Plan) -> bool {
    plan.sources.iter().any(|source| source.mapping.status.is_some() || source.mapping.failed.is_some())
}
