//! What is being judged: the frame that every guard's findings and evidence share.

use crate::plan::{Action, GuardPlan};
use crate::reason::ReasonCode;
use crate::verdict::decision::{Evidence, Reason, Test};
use crate::verdict::finding::{Finding, LedgerEntry, Verdict};
use crate::verdict::guard::GuardName;
use crate::verdict::guard::account::Account;
use crate::verdict::judged::Judged;

/// Evidence this many times weaker than what acts is worth suspicion.
/// Origin: choice; one false suspicion for ten that a true change raises sooner.
pub(crate) const SUSPICION: f64 = 0.1;

/// One candidate in one window.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a, 'j> {
    pub(crate) judged: &'a Judged<'j>,
    pub(crate) guard: &'a GuardPlan,
    pub(crate) model: &'a str,
    /// The version that is judged.
    pub(crate) version: &'a str,
    pub(crate) baseline: &'a str,
}

impl Scene<'_, '_> {
    /// Whether the version that is judged is the one that serves the world.
    fn is_world(&self) -> bool {
        self.version == self.baseline
    }

    /// Evidence of a guard against the baseline version, its numbers yet to be filled in.
    pub(crate) fn evidence(&self, rule: GuardName, test: Test) -> Evidence {
        Evidence {
            rule: rule.into(),
            metric: String::new(),
            column: String::new(),
            segment: String::new(),
            baseline_kind: format!("concurrent:{}", self.baseline),
            convention: String::new(),
            estimate: 0.0,
            lo: None,
            hi: None,
            bound: 0.0,
            test: test.into(),
            e_value: None,
            alpha: None,
            margin: None,
            n_candidate: 0,
            n_baseline: 0,
            breaches: (0, 0),
            window: (self.judged.newest_from, self.judged.end),
            reference: String::new(),
            flags: Vec::new(),
        }
    }

    /// A finding that gathered evidence calls for; it needs no confirmation.
    pub(crate) fn finding(
        &self,
        source: GuardName,
        action: Action,
        reason: Reason,
        evidence: Vec<Evidence>,
    ) -> Finding {
        let cap_pct = (action == Action::Contain).then_some(self.guard.contain_to_pct);
        let (source, beside) = (source.into(), Vec::new());
        Finding { source, action, cap_pct, hard: true, reason, evidence, beside, world: self.is_world() }
    }
}

/// A reason by its code.
pub(crate) fn reason(code: ReasonCode, text: String) -> Reason {
    Reason { code: code.into(), text }
}

impl Verdict {
    /// Writes a line of the error budget, which acts at `1 / alpha`. What it is `about` is empty where an account has
    /// one line only.
    pub(crate) fn spend(&mut self, account: Account, about: &str, alpha: f64, e_value: f64) {
        self.ledger.push(LedgerEntry { name: account.line(about), alpha, e_value, threshold: 1.0 / alpha });
    }

    /// The same of evidence against the candidate, which is suspected where that is not far from enough; whether it is
    /// enough.
    pub(crate) fn spend_against(&mut self, account: Account, about: &str, alpha: f64, e_value: f64) -> bool {
        self.spend(account, about, alpha, e_value);
        if e_value >= SUSPICION / alpha {
            (self.suspicious, self.cleared) = (true, false);
        }
        e_value >= 1.0 / alpha
    }

    /// Writes the line of an account that acts at a threshold.
    pub(crate) fn account(&mut self, account: Account, alpha: f64, e_value: f64, threshold: f64) {
        self.ledger.push(LedgerEntry { name: account.line(""), alpha, e_value, threshold });
    }
}
