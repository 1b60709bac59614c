//! Ten faults that overlap: some of the world, some of the candidate, and one that is none.

use super::bug::Bug;
use super::kind::{ChangeScope, RowEffect};

/// One of many things that go wrong in one world.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CrowdFault {
    /// What is to be told: the metrics that show it.
    pub metrics: &'static [&'static str],
    /// The column that tells, or empty.
    pub column: &'static str,
    /// Whose it is.
    pub scope: ChangeScope,
    /// Hours of both versions before it begins.
    pub from: u32,
    /// Hours of both versions after which it is over.
    pub until: u32,
    /// What it does.
    pub effect: RowEffect,
}

/// Hours of both versions that the ten take.
pub const CROWD_HOURS: u32 = 84;

const NONE: RowEffect = RowEffect::NONE;
const MOVED: &[&str] = &["mean_shift", "std_ratio", "psi"];

const fn fault(
    (scope, column, metrics): (ChangeScope, &'static str, &'static [&'static str]),
    (from, until): (u32, u32),
    effect: RowEffect,
) -> CrowdFault {
    CrowdFault { metrics, column, scope, from, until, effect }
}

/// The ten, by their beginning. The first is a true difference that harms nobody; it restricts the candidate from the
/// start, and stays.
pub const CROWD: &[CrowdFault] = &[
    fault((ChangeScope::Candidate, "x1", MOVED), (0, CROWD_HOURS), RowEffect { mean: 0.4, ..NONE }),
    fault((ChangeScope::Candidate, "x1", &["missing_rate"]), (12, 30), RowEffect { missing: 0.1, ..NONE }),
    fault((ChangeScope::Both, "", &["error_rate"]), (18, 26), RowEffect { errors: 0.05, ..NONE }),
    fault((ChangeScope::Candidate, "x2", MOVED), (24, 46), RowEffect { bug: Some(Bug::Unit(1.61)), ..NONE }),
    fault((ChangeScope::Both, "", &["throughput"]), (32, 40), RowEffect { volume: 0.3, ..NONE }),
    fault(
        (ChangeScope::Candidate, "", &["latency_p50", "latency_p90", "latency_p99", "mean_shift", "std_ratio"]),
        (38, 56),
        RowEffect { latency: 1.3, ..NONE },
    ),
    fault(
        (ChangeScope::Both, "c1", &["missing_rate", "unseen_rate", "psi"]),
        (46, 56),
        RowEffect { unseen: 0.1, ..NONE },
    ),
    fault((ChangeScope::Candidate, "c1", &["total_variation", "psi"]), (54, 70), RowEffect { category: 0.15, ..NONE }),
    fault(
        (ChangeScope::Both, "", &["latency_p50", "latency_p90", "latency_p99"]),
        (62, 72),
        RowEffect { latency: 1.6, ..NONE },
    ),
    fault((ChangeScope::Candidate, "", &["error_rate"]), (70, CROWD_HOURS), RowEffect { errors: 0.04, ..NONE }),
];

impl CrowdFault {
    /// What it does so many hours after both versions began; nothing before and after.
    pub(super) fn effect_at(&self, hour: i64) -> Option<RowEffect> {
        (i64::from(self.from)..i64::from(self.until)).contains(&hour).then_some(self.effect)
    }
}

impl RowEffect {
    /// Both at once.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self {
            mean: self.mean + other.mean,
            scale: self.scale * other.scale,
            category: self.category + other.category,
            unseen: self.unseen + other.unseen,
            missing: self.missing.max(other.missing),
            answers: self.answers + other.answers,
            calibration: self.calibration + other.calibration,
            tilt: self.tilt * other.tilt,
            latency: self.latency * other.latency,
            tail: self.tail.or(other.tail),
            errors: self.errors.max(other.errors),
            volume: self.volume * other.volume,
            bug: self.bug.or(other.bug),
        }
    }
}
