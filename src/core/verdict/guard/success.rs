//! Success metrics: what a candidate must be shown to achieve before it passes, beside keeping the margins of all
//! guardrails.
//!
//! Each compares a share of labelled predictions in the same windows: positive outcomes (conversions, say), of which
//! the candidate must have more, or wrong answers, of which it must have fewer. Without a margin it must be shown to be
//! *better*; with one, to be *no worse* than the margin allows. The evidence is that of a guardrail's safety
//! (`infer::hx`): with the share that should be the smaller one on the left, it speaks against "left is at least the
//! margin times right", so for positive outcomes the versions change places.
//!
//! In ROLLBACK > CONTAIN > HOLD > ADVANCE a success metric says HOLD until it is shown and ADVANCE from then on. It
//! restricts nothing: that outcomes get worse is found by the guardrail of losses and by the detector of changes. Every
//! one must be shown, each at level `beta`, so one that misses any of them passes with a chance of at most `beta`,
//! however many there are (intersection-union test; Schultzberg, Ankargren and Frånberg, Risk-aware product decisions
//! in A/B tests with multiple metrics, 2024, for the rule).
//!
//! **State**: thirty numbers each. **Cost**: one `infer::hx` update each and label window.

use serde::{Deserialize, Serialize};

use crate::infer::hx::{Direction, Hx, HxPlan};
use crate::infer::two_sample::Arm;
use crate::plan::{Achievement, GuardPlan, Plan, Success};
use crate::summary::Quality;
use crate::verdict::decision::{Evidence, Test};
use crate::verdict::finding::Verdict;
use crate::verdict::guard::Guard;
use crate::verdict::guard::GuardName;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::number::{count, e_value};
use crate::verdict::guard::rails::record::ArmCounts;
use crate::verdict::guard::scene::Scene;
use crate::verdict::guard::window::Pair;
use crate::verdict::guard::window::Shown;

const SOURCE: GuardName = GuardName::Success;

const SUCCESS: Account = Account::speaking_for("success: ", "achieves what it is to achieve");

/// The guard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Successes;

/// What is known about one success metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SuccessEvidence {
    hx: Hx,
    tally: ArmCounts,
}

impl Guard for Successes {
    type Memory = Vec<SuccessEvidence>;
    const ACCOUNTS: &'static [Account] = &[SUCCESS];

    fn new(_: &Plan, _: &GuardPlan) -> Self {
        Self
    }

    fn words(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
        guard.success.iter().map(|success| success.in_words(&plan.policy.baseline_version)).collect()
    }

    fn labels(&self, proofs: &mut Vec<SuccessEvidence>, shown: &Shown<'_, '_, Quality>) {
        if !shown.scene.judged.trust.is_untrusted() {
            update(proofs, shown.scene.guard, shown.pair, shown.learnt.effect);
        }
    }

    fn forget_labels(&self, proofs: &mut Vec<SuccessEvidence>, _: &GuardPlan) {
        proofs.clear();
    }

    fn rule(&self, proofs: &mut Vec<SuccessEvidence>, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        rule(proofs, scene, verdict);
    }
}

impl Success {
    fn plan(self, guard: &GuardPlan) -> HxPlan {
        let GuardPlan { beta, planned, windows_min, .. } = *guard;
        let margin = self.margin.unwrap_or(1.0);
        HxPlan { alpha: beta, margin, direction: Direction::Safety, planned, windows_min }
    }

    /// Labels and the events that are counted.
    fn count(self, quality: &Quality) -> Arm {
        let [_, false_positive, false_negative, _] = quality.confusion;
        let x = match self.achievement {
            Achievement::BaseRate => quality.positive,
            Achievement::Accuracy => false_positive + false_negative,
        };
        Arm { n: quality.n, x: count(x) }
    }

    fn in_words(self, version: &str) -> String {
        let shown = match (self.achievement, self.margin) {
            (Achievement::BaseRate, None) => format!("have more positive outcomes than {version}"),
            (Achievement::BaseRate, Some(margin)) => {
                format!("have at least 1/{margin} of {version}'s positive outcomes")
            }
            (Achievement::Accuracy, None) => format!("give fewer wrong answers than {version}"),
            (Achievement::Accuracy, Some(margin)) => {
                format!("give at most {margin} times as many wrong answers as {version}")
            }
        };
        format!("let pass only when it is shown to {shown}, too")
    }

    /// What must be shown, as the error budget names it.
    fn describe(self) -> String {
        let worse = self.margin.map(|margin| format!("no worse than x{margin}"));
        format!("{} {}", self.achievement.metric(), worse.as_deref().unwrap_or("better"))
    }
}

/// Takes the labels of a window; `deff` is the design effect of losses.
fn update(proofs: &mut Vec<SuccessEvidence>, guard: &GuardPlan, pair: Pair<'_, Quality>, deff: f64) {
    for (index, success) in guard.success.iter().enumerate() {
        let plan = success.plan(guard);
        if proofs.len() == index {
            proofs.push(SuccessEvidence { hx: Hx::new(&plan), tally: ArmCounts::default() });
        }
        let (candidate, baseline) = (success.count(pair.candidate), success.count(pair.baseline));
        let (left, right) = match success.achievement {
            Achievement::BaseRate => (baseline, candidate),
            Achievement::Accuracy => (candidate, baseline),
        };
        proofs[index].hx.update(&plan, left, right, deff, 1.0);
        proofs[index].tally.add((candidate, baseline));
    }
}

/// Lets nothing pass that is not shown, and says what is.
fn rule(proofs: &[SuccessEvidence], scene: Scene<'_, '_>, verdict: &mut Verdict) {
    for (index, &success) in scene.guard.success.iter().enumerate() {
        let log_e = proofs.get(index).map_or(0.0, |proof| proof.hx.log_e(&success.plan(scene.guard)));
        let tally = proofs.get(index).map(|proof| proof.tally).unwrap_or_default();
        verdict.spend(SUCCESS, &success.describe(), scene.guard.beta, e_value(log_e));
        if log_e >= success.plan(scene.guard).threshold() {
            verdict.proofs.push(evidence(success, &tally, log_e, scene));
        } else {
            verdict.safe = false;
            verdict.waits_for.push(lacks(success, &tally));
        }
    }
}

fn lacks(success: Success, tally: &ArmCounts) -> String {
    let what = success.describe();
    if tally.candidate.n == 0 {
        return format!("{what}: no labels yet");
    }
    let [candidate, baseline] = shares(success, tally);
    format!("{what}: not shown by {} labels so far, {candidate:.4} against {baseline:.4}", tally.candidate.n)
}

/// The metric as people know it, of both versions.
fn shares(success: Success, tally: &ArmCounts) -> [f64; 2] {
    [tally.candidate, tally.baseline].map(|arm| match success.achievement {
        Achievement::BaseRate => arm.rate(),
        Achievement::Accuracy => 1.0 - arm.rate(),
    })
}

fn evidence(success: Success, tally: &ArmCounts, log_e: f64, scene: Scene<'_, '_>) -> Evidence {
    let [candidate, baseline] = shares(success, tally);
    Evidence {
        metric: success.achievement.metric().to_owned(),
        convention: "difference".to_owned(),
        estimate: candidate - baseline,
        e_value: Some(e_value(log_e)),
        alpha: Some(scene.guard.beta),
        margin: success.margin,
        n_candidate: tally.candidate.n,
        n_baseline: tally.baseline.n,
        breaches: (0, tally.windows),
        ..scene.evidence(SOURCE, Test::Hx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Rng;
    use crate::verdict::guard::tests::judged;

    const BETTER: Success = Success { achievement: Achievement::BaseRate, margin: None };
    const RIGHT: Success = Success { achievement: Achievement::Accuracy, margin: Some(1.2) };

    fn guard(success: &[Success]) -> GuardPlan {
        GuardPlan { success: success.to_vec(), ..GuardPlan::default() }
    }

    /// Labels of which so many are positive, and so many were answered wrongly.
    fn quality(n: u64, positive: u64, wrong: u64) -> Quality {
        Quality { n, positive, confusion: [positive, wrong, 0, n - positive - wrong], ..Quality::default() }
    }

    fn said(guard: &GuardPlan, proofs: &[SuccessEvidence]) -> Verdict {
        let mut verdict = Verdict { safe: true, cleared: true, ..Verdict::default() };
        judged(|judged| {
            let scene = Scene { judged, guard, model: "m", version: "v2", baseline: "v1" };
            rule(proofs, scene, &mut verdict);
        });
        verdict
    }

    /// What is said after so many windows of these labels.
    fn after(success: Success, windows: u32, candidate: &Quality, baseline: &Quality) -> Verdict {
        let (guard, mut proofs) = (guard(&[success]), Vec::new());
        (0..windows).for_each(|_| update(&mut proofs, &guard, Pair { candidate, baseline }, 1.0));
        said(&guard, &proofs)
    }

    #[test]
    fn what_is_better_is_shown_and_what_is_alike_or_worse_is_not() {
        let [more, same, fewer] = [130, 100, 80].map(|positive| quality(1000, positive, 0));
        let shown = after(BETTER, 30, &more, &same);
        assert_eq!((shown.safe, shown.waits_for.len(), shown.proofs.len()), (true, 0, 1));
        assert!((shown.proofs[0].estimate - 0.03).abs() < 1e-12 && shown.proofs[0].metric == "base_rate");
        for candidate in [&same, &fewer] {
            let open = after(BETTER, 300, candidate, &same);
            assert!(!open.safe && open.proofs.is_empty() && open.findings.is_empty() && open.cleared);
            assert!(open.waits_for[0].starts_with("base_rate better: not shown by 300000 labels"), "{open:?}");
        }
        assert!(!after(BETTER, 2, &quality(100_000, 50_000, 0), &quality(100_000, 1000, 0)).safe, "too few windows");
    }

    #[test]
    fn within_its_margin_one_that_is_alike_is_shown_and_one_beyond_is_not() {
        let [same, worse] = [100, 130].map(|wrong| quality(1000, 0, wrong));
        let shown = after(RIGHT, 60, &same, &same);
        assert!(shown.safe && shown.proofs[0].margin == Some(1.2), "{shown:?}");
        assert!(!after(RIGHT, 300, &worse, &same).safe);
        assert_eq!(after(RIGHT, 0, &same, &same).waits_for, ["accuracy no worse than x1.2: no labels yet"]);
    }

    /// One in twenty may pass that is no better: of 200, 23 or more would come once in 10,000 suites.
    #[test]
    fn one_that_is_no_better_seldom_passes_however_often_it_is_looked_at() {
        let guard = guard(&[BETTER]);
        let passed = (0..200_u64).filter(|&seed| {
            let (mut rng, mut proofs) = (Rng::new(seed), Vec::new());
            (0..200).any(|_| {
                let mut drawn = || quality(200, (0..200).map(|_| u64::from(rng.chance(0.1))).sum(), 0);
                let (candidate, baseline) = (drawn(), drawn());
                update(&mut proofs, &guard, Pair { candidate: &candidate, baseline: &baseline }, 1.0);
                said(&guard, &proofs).safe
            })
        });
        let passed = passed.count();
        assert!(passed < 23, "seeds 0..200: {passed} of 200");
    }
}
