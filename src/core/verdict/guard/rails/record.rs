//! What is known about one guardrail: three kinds of evidence from the same counts, and the counts themselves for
//! people.
//!
//! * *harm*: the candidate is worse than its margin (`infer::hx`, margin as planned);
//! * *worse*: it is worse at all (the same at margin 1);
//! * *safe*: it is no worse than its margin. For failures either that, or their rate is *negligible*: a fixed mixture
//!   `0.9 S + 0.1 N` with `N` the likelihood ratio of half the negligible rate against it, an e-value against "worse
//!   than the margin and not negligible".
//!
//! *Again* gathers evidence of safety anew once something looked worse, so that what happened before cannot excuse it:
//! the reversed evidence that a restriction is lifted on.
//!
//! **State**: at most 76 numbers.

use serde::{Deserialize, Serialize};

use crate::infer::hx::{Direction, Hx, HxPlan};
use crate::infer::interval::RateRatio;
use crate::infer::two_sample::{Arm, log_e_margin};
use crate::plan::GuardPlan;
use crate::verdict::guard::number::{count, e_value, float};
use crate::verdict::guard::rails::rail::{Hypothesis, Rail};

/// Share of the evidence of safety that goes to "negligible".
/// Origin: choice; the word is told beside a permission and grants none.
const OF_NEGLIGIBLE: f64 = 0.1;
/// Ratios below the margin that the number of events still needed is reckoned with.
/// Origin: derived; the bets of safety (`infer::hx`).
const BETS: [f64; 5] = [1.05, 1.1, 1.15, 1.2, 1.3];

/// Both arms, the candidate's first.
pub(crate) type Arms = (Arm, Arm);

/// How one guardrail's evidence is gathered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RailTerms<'a> {
    pub(crate) guard: &'a GuardPlan,
    pub(crate) rail: Rail,
    /// Share of the error budget.
    pub(crate) weight: f64,
    /// Fewest windows that can make its whole evidence.
    pub(crate) windows_min: u32,
}

impl RailTerms<'_> {
    /// Caps are set for the level at which this guardrail alone would decide.
    fn plan(self, direction: Direction, asked: Hypothesis) -> HxPlan {
        let alpha =
            if direction == Direction::Harm { self.guard.alpha_always() * self.weight } else { self.guard.beta };
        let Self { guard, rail, windows_min, .. } = self;
        HxPlan { alpha, margin: rail.ratio(guard, asked), direction, planned: guard.planned, windows_min }
    }
}

/// What is known about one guardrail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RailEvidence {
    harm: Hx,
    worse: Hx,
    safe: Hx,
    again: Option<Hx>,
    /// `ln e` that the candidate's rate is negligible.
    negligible: f64,
    deff: f64,
    /// At the margin's threshold.
    pub(crate) tally: ArmCounts,
    /// At the threshold without a margin, where the margin is on its scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    no_margin: Option<ArmCounts>,
}

/// Counts so far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct ArmCounts {
    pub(crate) candidate: Arm,
    pub(crate) baseline: Arm,
    /// The candidate's rate over the baseline's, every window on its own.
    pub(crate) ratio: RateRatio,
    pub(crate) windows: u32,
}

impl RailEvidence {
    pub(crate) fn new(terms: RailTerms<'_>) -> Self {
        let hx = |direction, asked| Hx::new(&terms.plan(direction, asked));
        Self {
            harm: hx(Direction::Harm, Hypothesis::Margin),
            worse: hx(Direction::Harm, Hypothesis::NoMargin),
            safe: hx(Direction::Safety, Hypothesis::Margin),
            again: None,
            negligible: 0.0,
            deff: 1.0,
            tally: ArmCounts::default(),
            no_margin: None,
        }
    }

    /// The counts that tell whether it is worse: than its margin, or at all.
    pub(crate) fn counts(&self, asked: Hypothesis) -> &ArmCounts {
        match (asked, &self.no_margin) {
            (Hypothesis::NoMargin, Some(counts)) => counts,
            _ => &self.tally,
        }
    }

    /// Takes one window: the counts that the margin asks for, and those without a margin. `deff` is the design effect
    /// of entities, `noise` what the window's evidence is divided by besides. One whose data is not trusted `proves`
    /// nothing for the candidate.
    pub(crate) fn update(
        &mut self,
        terms: RailTerms<'_>,
        (margin, no_margin): (Arms, Arms),
        (deff, noise): (f64, f64),
        proves: bool,
    ) {
        let safety = terms.plan(Direction::Safety, Hypothesis::Margin);
        self.harm.update(&terms.plan(Direction::Harm, Hypothesis::Margin), margin.0, margin.1, deff, noise);
        self.worse.update(&terms.plan(Direction::Harm, Hypothesis::NoMargin), no_margin.0, no_margin.1, deff, noise);
        if proves {
            self.safe.update(&safety, margin.0, margin.1, deff, noise);
            if let Some(again) = &mut self.again {
                again.update(&safety, margin.0, margin.1, deff, noise);
            }
            let bound = terms.guard.negligible;
            self.negligible += margin.0.log_ratio(bound / 2.0, bound) / noise;
        }
        self.deff = deff.max(1.0);
        self.tally.add(margin);
        if !terms.rail.is_mean() {
            self.no_margin.get_or_insert_default().add(no_margin);
        }
    }

    /// `ln e` that it is worse: than its margin, or at all.
    pub(crate) fn log_e(&self, terms: RailTerms<'_>, asked: Hypothesis) -> f64 {
        let hx = if asked == Hypothesis::Margin { &self.harm } else { &self.worse };
        hx.log_e(&terms.plan(Direction::Harm, asked))
    }

    /// Evidence that it is no worse than its margin, or negligible.
    pub(crate) fn safe(&self, terms: RailTerms<'_>) -> f64 {
        let safe = e_value(self.safe.log_e(&terms.plan(Direction::Safety, Hypothesis::Margin)));
        if !terms.rail.may_be_negligible() {
            return safe;
        }
        (1.0 - OF_NEGLIGIBLE) * safe + OF_NEGLIGIBLE * e_value(self.negligible / self.deff)
    }

    /// Starts to gather evidence of safety anew.
    pub(crate) fn doubt(&mut self, terms: RailTerms<'_>) {
        self.again.get_or_insert_with(|| Hx::new(&terms.plan(Direction::Safety, Hypothesis::Margin)));
    }

    pub(crate) fn trust(&mut self) {
        self.again = None;
    }

    /// Whether it was shown to be within its margin since doubt began.
    pub(crate) fn is_refuted(&self, terms: RailTerms<'_>) -> bool {
        let safety = terms.plan(Direction::Safety, Hypothesis::Margin);
        self.again.as_ref().is_some_and(|again| again.log_e(&safety) >= safety.threshold())
    }

    pub(crate) fn deff(&self) -> f64 {
        self.deff
    }

    /// About how many events of the candidate it takes to show that it is safe, if both versions go on alike: the
    /// evidence that is asked for over the best bet's mean gain per event. `None` where going on would not show it.
    pub(crate) fn needs(&self, terms: RailTerms<'_>) -> Option<f64> {
        let ArmCounts { candidate, baseline, .. } = self.tally;
        let pooled = candidate.plus(baseline);
        let margin = terms.rail.ratio(terms.guard, Hypothesis::Margin);
        let alike = |arm: Arm| Arm { n: arm.n, x: count(arm.n) * pooled.x / count(pooled.n.max(1)) };
        // Where the margin lies in the threshold, versions that are alike have different shares beyond it.
        let arms = if margin > 1.0 { (alike(candidate), alike(baseline)) } else { (candidate, baseline) };
        let share = count(candidate.n) / count(pooled.n.max(1));
        let bet = |psi: f64| {
            let ratio = margin / psi;
            let p_b = pooled.x / count(pooled.n.max(1)) / (share * ratio + 1.0 - share);
            log_e_margin(arms.0, arms.1, p_b * ratio, p_b, margin)
        };
        let gain = BETS.map(bet).into_iter().fold(0.0, f64::max) / count(candidate.n.max(1)) / self.deff;
        (gain > 0.0).then(|| (-libm::log(terms.guard.beta) + libm::log(float(BETS.len()))) / gain)
    }
}

impl ArmCounts {
    /// Takes the counts of a window.
    pub(crate) fn add(&mut self, (candidate, baseline): Arms) {
        self.candidate = self.candidate.plus(candidate);
        self.baseline = self.baseline.plus(baseline);
        self.ratio.update(candidate, baseline);
        self.windows += u32::from(candidate.n > 0 && baseline.n > 0);
    }

    /// Events that are shares' numerators, both arms.
    pub(crate) fn rare(&self) -> f64 {
        self.candidate.x + self.baseline.x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evidence after windows in which both versions fail alike, or the candidate more often.
    fn after(failures: f64, proves: bool) -> (f64, f64) {
        let guard = GuardPlan::default();
        let terms = RailTerms { guard: &guard, rail: Rail::Failed, weight: 1.0, windows_min: 3 };
        let mut record = RailEvidence::new(terms);
        let arms = (Arm { n: 2_000, x: failures }, Arm { n: 2_000, x: 40.0 });
        (0..60).for_each(|_| record.update(terms, (arms, arms), (1.0, 1.0), proves));
        (record.safe(terms), record.log_e(terms, Hypothesis::Margin))
    }

    #[test]
    fn a_window_that_is_not_trusted_speaks_against_a_candidate_and_never_for_it() {
        let (safe, _) = after(40.0, true);
        assert!(safe >= 1.0 / GuardPlan::default().beta, "{safe}");
        let (unproven, _) = after(40.0, false);
        assert!(unproven <= 1.0, "{unproven}");
        let [trusted, untrusted] = [true, false].map(|proves| after(80.0, proves).1);
        assert!(untrusted > 10.0 && (trusted - untrusted).abs() < 1e-12, "{trusted} and {untrusted}");
    }
}
