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
pub type FindingSource = NameOf<GuardName>;

/// One thing that evidence calls for.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) source: FindingSource,
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
    /// Evidence, from requests that the baseline version answered, too, that losses are within their margin.
    pub(crate) same_requests: Option<f64>,
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

/// One line of the error budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// What it is for: the name of an account of a guard.
    pub name: String,
    /// Chance of a mistake that it stands for.
    pub alpha: f64,
    /// Evidence so far.
    pub e_value: f64,
    /// Evidence that acts.
    pub threshold: f64,
}
