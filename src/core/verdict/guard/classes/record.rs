//! What is known of how often a version errs in one respect: evidence that it does so more often than its margin
//! allows, and the counts for people.

use serde::{Deserialize, Serialize};

use crate::infer::hx::{Direction, Hx, HxPlan};
use crate::infer::two_sample::Arm;
use crate::plan::GuardPlan;
use crate::summary::Quality;
use crate::summary::classes::ClassCounts;
use crate::verdict::guard::number::{count, e_value};
use crate::verdict::guard::rails::record::ArmCounts;
use crate::verdict::guard::window::Pair;

/// In which respect a version errs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Respect {
    /// All labelled predictions that are wrong.
    Overall,
    /// Labels of a class that were answered otherwise.
    Missed,
    /// Answers with a class that were wrong.
    Wrong,
}

impl Respect {
    /// The metric that shows it: one less the share of errors.
    pub(super) fn metric(self) -> &'static str {
        match self {
            Self::Overall => "accuracy",
            Self::Missed => "recall",
            Self::Wrong => "precision",
        }
    }

    /// Of all classes the overall share of errors is one, and is looked at more closely.
    fn direction(self) -> Direction {
        if self == Self::Overall { Direction::Harm } else { Direction::RoughHarm }
    }

    /// Errors among what was counted.
    pub(super) fn errors(self, counts: ClassCounts) -> Arm {
        let ClassCounts { labelled, answered, right } = counts;
        let n = if self == Self::Wrong { answered } else { labelled };
        Arm { n, x: count(n - right) }
    }
}

/// Wrong answers among all labelled predictions.
pub(super) fn overall(pair: Pair<'_, Quality>) -> [Arm; 2] {
    [pair.candidate, pair.baseline].map(|quality| Arm { n: quality.n, x: count(quality.n - quality.positive) })
}

/// How the evidence of one respect is gathered.
#[derive(Debug, Clone, Copy)]
pub(super) struct ErrorTerms<'a> {
    pub(super) guard: &'a GuardPlan,
    pub(super) margin: f64,
    pub(super) respect: Respect,
    /// Share of the error budget.
    pub(super) weight: f64,
}

impl ErrorTerms<'_> {
    fn plan(self) -> HxPlan {
        let GuardPlan { alpha, planned, windows_min, .. } = *self.guard;
        let (alpha, direction) = (alpha * self.weight, self.respect.direction());
        HxPlan { alpha, margin: self.margin, direction, planned, windows_min }
    }
}

/// What is known of one respect.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct ErrorEvidence {
    harm: Option<Hx>,
    deff: f64,
    pub(super) tally: ArmCounts,
}

impl ErrorEvidence {
    /// Takes one window, candidate first.
    pub(super) fn update(&mut self, terms: ErrorTerms<'_>, [candidate, baseline]: [Arm; 2], deff: f64) {
        let plan = terms.plan();
        self.harm.get_or_insert_with(|| Hx::new(&plan)).update(&plan, candidate, baseline, deff, 1.0);
        self.tally.add((candidate, baseline));
        self.deff = deff.max(1.0);
    }

    /// `ln e` that it errs more often than its margin allows.
    pub(super) fn log_e(&self, terms: ErrorTerms<'_>) -> f64 {
        self.harm.as_ref().map_or(0.0, |harm| harm.log_e(&terms.plan()))
    }

    /// What it adds to the evidence about all respects.
    pub(super) fn part(&self, terms: ErrorTerms<'_>) -> f64 {
        terms.weight * e_value(self.log_e(terms))
    }

    /// The metric of the candidate and of the baseline version, and an interval of the candidate's.
    pub(super) fn shown(&self, alpha: f64) -> ([f64; 2], Option<(f64, f64)>) {
        let [candidate, baseline] = [self.tally.candidate, self.tally.baseline].map(Arm::rate);
        let of = |ratio: f64| (1.0 - ratio * baseline).clamp(0.0, 1.0);
        let interval = self.tally.ratio.interval(self.deff, alpha);
        let interval = interval.map(|ratio| (of(ratio.high).min(1.0 - candidate), of(ratio.low).max(1.0 - candidate)));
        ([1.0 - candidate, 1.0 - baseline], interval)
    }
}
