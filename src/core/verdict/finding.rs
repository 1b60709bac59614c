//! What the evidence of one window calls for: the seam between statistics and the rollout's state machine.

use serde::{Deserialize, Serialize};

use crate::name::NameOf;
use crate::plan::Action;
use crate::verdict::decision::{Evidence, Reason};
use crate::verdict::guard::GuardName;

/// Whether the data of a window can be trusted to say anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Validity {
    /// It can.
    #[default]
    Valid,
    /// It can, with reservations.
    Degraded,
    /// It lacks data of the candidate or the baseline.
    Blind,
}

/// Who found something: a guard, or a rule of the pipeline by the name that it has there.
pub type Source = NameOf<GuardName>;

/// One thing that evidence calls for.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) source: Source,
    pub(crate) action: Action,
    pub(crate) cap_pct: Option<f64>,
    /// Acts at once, without a window of confirmation.
    pub(crate) hard: bool,
    pub(crate) reason: Reason,
    pub(crate) evidence: Vec<Evidence>,
    /// What stands out, too, and is not named in the reason.
    pub(crate) beside: Vec<Evidence>,
    /// Whether it is about the version that serves the world, or about both: then no candidate is to blame.
    pub(crate) world: bool,
}

impl Finding {
    /// Everything that stands out.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Evidence> {
        self.evidence.iter().chain(&self.beside)
    }
}

/// What one window's evidence says about one candidate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    pub(crate) validity: Validity,
    pub(crate) findings: Vec<Finding>,
    /// Adverse evidence below what would act, above the warn bound.
    pub(crate) suspicious: bool,
    /// Every cause of restriction is refuted by reversed evidence (or its rules' windows are clean): relaxing may
    /// begin.
    pub(crate) cleared: bool,
    /// Every required guardrail is shown to be no worse than its margin.
    pub(crate) safe: bool,
    /// What success metrics have shown.
    pub(crate) proofs: Vec<Evidence>,
    /// What is missing before the candidate can pass, for people.
    pub(crate) waits_for: Vec<String>,
    /// Error budget: what each kind of mistake may cost and how much evidence stands.
    pub(crate) ledger: Vec<LedgerEntry>,
}

/// How much evidence stands for and against one candidate after a judgement.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    /// Rollout name.
    pub rollout: String,
    /// Model.
    pub model: String,
    /// Version that is judged.
    pub candidate: String,
    /// Its error budget.
    pub entries: Vec<LedgerEntry>,
}

/// What a line of the error budget is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// Worse than the margins of the guardrails.
    Rollback,
    /// Worse than the baseline version, by any amount.
    Contain,
    /// The same as `Rollback`, looked at once after the planned windows.
    RollbackAtEnd,
    /// The same as `Contain`, looked at once after the planned windows.
    ContainAtEnd,
    /// No worse than the margins.
    Safe,
    /// Columns have moved away from a reference.
    Drift,
    /// Columns differ between versions within a segment.
    DriftInSegments,
    /// Scores do not fit the truth.
    Calibration,
    /// Traffic is not split as declared.
    Share,
    /// The candidate gets less traffic than it used to.
    Volume,
    /// The version that serves the world is not as it used to be.
    World,
    /// A limit on this metric is broken.
    Limit(String),
    /// A success metric has achieved this.
    Success(String),
}

impl Account {
    /// The name in decisions.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Rollback => "rollback".to_owned(),
            Self::Contain => "contain".to_owned(),
            Self::RollbackAtEnd => "rollback: last look".to_owned(),
            Self::ContainAtEnd => "contain: last look".to_owned(),
            Self::Safe => "safe".to_owned(),
            Self::Drift => "drift".to_owned(),
            Self::DriftInSegments => "drift in segments".to_owned(),
            Self::Calibration => "calibration".to_owned(),
            Self::Share => "share".to_owned(),
            Self::Volume => "volume".to_owned(),
            Self::World => "world".to_owned(),
            Self::Limit(metric) => format!("slo:{metric}"),
            Self::Success(what) => format!("success: {what}"),
        }
    }

    /// The account of a name; `None` for one of another build.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let limit = || name.strip_prefix("slo:").map(|metric| Self::Limit(metric.to_owned()));
        let success = || name.strip_prefix("success: ").map(|what| Self::Success(what.to_owned()));
        let plain = [
            Self::Rollback,
            Self::Contain,
            Self::RollbackAtEnd,
            Self::ContainAtEnd,
            Self::Safe,
            Self::Drift,
            Self::DriftInSegments,
            Self::Calibration,
            Self::Share,
            Self::Volume,
            Self::World,
        ];
        plain.into_iter().find(|account| account.name() == name).or_else(limit).or_else(success)
    }

    /// The source of the findings that it leads to; `None` where it leads to a pass.
    #[must_use]
    pub fn source(&self) -> Option<GuardName> {
        match self {
            Self::Rollback | Self::Contain | Self::RollbackAtEnd | Self::ContainAtEnd => Some(GuardName::Guardrails),
            Self::Drift => Some(GuardName::Drift),
            Self::DriftInSegments => Some(GuardName::Segments),
            Self::Calibration => Some(GuardName::Calibration),
            Self::Share => Some(GuardName::Share),
            Self::Volume => Some(GuardName::Volume),
            Self::World => Some(GuardName::World),
            Self::Limit(_) => Some(GuardName::Limits),
            Self::Safe | Self::Success(_) => None,
        }
    }
}

/// One line of the error budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// What it is for: the name of an [`Account`].
    pub name: String,
    /// Chance of a mistake that it stands for.
    pub alpha: f64,
    /// Evidence so far.
    pub e_value: f64,
    /// Evidence that acts.
    pub threshold: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_known_by_its_name() {
        let with_a_name = [Account::Limit("latency_p95".to_owned()), Account::Success("accuracy better".to_owned())];
        let plain = ["rollback", "contain", "rollback: last look", "contain: last look", "safe", "drift"];
        let more = ["drift in segments", "calibration", "share", "volume", "world"];
        for name in plain.into_iter().chain(more) {
            assert_eq!(Account::of(name).expect(name).name(), name);
        }
        for account in with_a_name {
            assert_eq!(Account::of(&account.name()), Some(account));
        }
        assert_eq!(Account::of("slow"), None);
    }
}
