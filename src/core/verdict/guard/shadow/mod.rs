//! Shadow: a candidate that answers the baseline version's requests, held against it request by request.
//!
//! * **Rollback** when the labels of pairs show that its losses are larger than its margin allows
//!   (`infer::paired_bet`, gathered as `infer::hx` does): it is rejected before it gets a request of its own.
//! * **Warn** when it answers more requests otherwise than is tolerated (`infer::binomial_limit`). That does not say
//!   who is right.
//!
//! Pairs count only where they are all there: of a window in which more than a hundredth of either side's requests
//! stayed alone no pair does, since those that come late or not at all are the hard ones. Then nothing is safe, and the
//! data count as degraded. Of the first window with pairs only the shadow's are asked for: its mirror begins within it.
//!
//! **Assumes** that users of one entity are as much alike in pairs as in losses. **State**: as a guardrail's, and the
//! windows that do not count.

mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use self::record::{PairEvidence, PairTerms};
use crate::event::Micros;
use crate::infer::binomial_limit::LimitProcess;
use crate::infer::two_sample::Arm;
use crate::plan::{Action, GuardPlan, Plan, QualityPlan, ShadowPlan, Task};
use crate::reason::ReasonCode;
use crate::summary::{Pairs, Quality, Traffic};
use crate::verdict::decision::{Evidence, Test};
use crate::verdict::finding::{Validity, Verdict};
use crate::verdict::guard::account::Account;
use crate::verdict::guard::number::{count, e_value};
use crate::verdict::guard::scene::{Scene, reason};
use crate::verdict::guard::window::Shown;
use crate::verdict::guard::{Guard, GuardName};
use crate::verdict::words;

const SOURCE: GuardName = GuardName::Shadow;
const WORSE: Account = Account::against("shadow", "errs more than its margin allows on the same requests");
const SAFE: Account = Account::speaking_for("shadow: safe", "errs no more than its margin allows on the same requests");
const DISAGREES: Account = Account::against("shadow: answers", "answers more requests otherwise than is tolerated");
const LOSS: &str = "paired_loss_difference";
const DISAGREEMENT: &str = "disagreement_rate";
/// Share of a side's requests that may stay alone.
/// Origin: choice; so few are little beside a margin of a twentieth, even if all of them were wrong.
const ALONE_MAX: f64 = 0.01;
/// Standard deviations of a count that may be chance.
/// Origin: choice; a level of 2.3 % of windows, of which the pairs then wait.
const CHANCE: f64 = 2.0;
/// Windows that are remembered because their pairs do not count.
/// Origin: choice; labels of older ones have come.
const VOID_MAX: usize = 4_096;

/// The guard; none where no request has two answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShadowGuard(Option<Watch>);

/// What is watched.
#[derive(Debug, Clone, Copy)]
struct Watch {
    shadow: ShadowPlan,
    task: Task,
    has_scores: bool,
    has_labels: bool,
}

/// What is known of pairs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ShadowMemory {
    #[serde(skip_serializing_if = "Option::is_none")]
    losses: Option<PairEvidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<AnswerEvidence>,
    /// Windows whose pairs do not count.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    void: BTreeSet<Micros>,
    /// Shares that stayed alone in the newest window, if too many; all while there has been no pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    alone: Option<[f64; 2]>,
}

/// What is known of answers that differ.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct AnswerEvidence {
    beyond: LimitProcess,
    total: Arm,
    windows: u32,
    since: Option<Micros>,
}

impl Guard for ShadowGuard {
    type Memory = ShadowMemory;
    const ACCOUNTS: &'static [Account] = &[WORSE, SAFE, DISAGREES];

    fn new(plan: &Plan, _: &GuardPlan) -> Self {
        let task = plan.quality.as_ref().map_or(Task::Binary, |quality| quality.task);
        let has_scores = plan.quality.as_ref().is_some_and(QualityPlan::has_scores);
        let has_labels = plan.quality.is_some();
        Self(plan.shadow.map(|shadow| Watch { shadow, task, has_scores, has_labels }))
    }

    fn words(plan: &Plan, _: &GuardPlan) -> Vec<String> {
        let Some(shadow) = plan.shadow else { return Vec::new() };
        let version = &plan.policy.baseline_version;
        let losses = format!(
            "roll back when its losses are more than {} times those of {version} on the same requests",
            shadow.margin
        );
        let answers = format!(
            "warn when it answers more than {} % of the requests otherwise than {version}",
            shadow.disagreement * 100.0
        );
        plan.quality.as_ref().map(|_| losses).into_iter().chain([answers]).collect()
    }

    fn traffic(&self, memory: &mut ShadowMemory, shown: &Shown<'_, '_, Traffic>) {
        let Some(watch) = self.0 else { return };
        let (pairs, scene) = (shown.pair.candidate.pairs, shown.scene);
        // A mirror begins within a window: requests before it are not lost.
        let begins = memory.answers.is_none() && memory.void.is_empty();
        // Whoever has been a shadow may serve users later.
        if begins && pairs.paired == 0 {
            memory.alone = (pairs.unpaired > 0).then_some([1.0; 2]);
            return;
        }
        let baseline_alone = if begins { 0 } else { shown.pair.baseline.pairs.unpaired };
        memory.alone = watch.alone(pairs, baseline_alone);
        if memory.alone.is_some() {
            memory.void.insert(scene.judged.newest_from);
            if memory.void.len() > VOID_MAX {
                memory.void.pop_first();
            }
        } else if pairs.compared > 0 {
            let answers = memory.answers.get_or_insert_default();
            answers.update(watch.shadow.disagreement, pairs, scene, shown.learnt.effect);
        }
    }

    fn labels(&self, memory: &mut ShadowMemory, shown: &Shown<'_, '_, Quality>) {
        let scene = shown.scene;
        let Some(watch) = self.0.filter(|_| !memory.void.contains(&scene.judged.newest_from)) else { return };
        let losses = &shown.pair.candidate.pairs;
        if !losses.is_empty() {
            let proves = !scene.judged.trust.is_untrusted();
            let known = memory.losses.get_or_insert_default();
            known.update(watch.terms(scene.guard), losses, scene.judged.start, shown.learnt.effect, proves);
        }
    }

    fn rule(&self, memory: &mut ShadowMemory, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        let Some(watch) = self.0 else { return };
        watch.rule_losses(memory, scene, verdict);
        watch.rule_answers(memory, scene, verdict);
    }
}

impl ShadowMemory {
    /// Says so where too many requests stayed alone.
    pub(crate) fn rule_alone(&self, verdict: &mut Verdict) {
        let Some(shares) = self.alone else { return };
        let [candidate, baseline] = shares.map(|share| share * 100.0);
        verdict.validity = verdict.validity.max(Validity::Degraded);
        verdict.safe = false;
        // With any pair it is less.
        verdict.waits_for.push(if candidate >= 100.0 {
            "pairs: no request of the candidate has one: nothing is mirrored, or ids differ".to_owned()
        } else {
            format!(
                "pairs: {candidate:.1} % of the candidate's requests and {baseline:.1} % of the baseline's stayed alone"
            )
        });
    }
}

impl Watch {
    fn terms(self, guard: &GuardPlan) -> PairTerms<'_> {
        PairTerms { guard, task: self.task, has_scores: self.has_scores, margin: self.shadow.margin }
    }

    /// Shares of requests that stayed alone, the candidate's first, where they are too many. Of the baseline version as
    /// many stay alone as are not mirrored. Without any pair nothing was mirrored.
    fn alone(self, pairs: Pairs, baseline_alone: u64) -> Option<[f64; 2]> {
        let (paired, alone) = (count(pairs.paired), count(pairs.unpaired));
        let expected = (paired + count(baseline_alone)) * self.shadow.share;
        let lost = (expected - paired).max(0.0);
        let is_chance = |alone: f64, n: f64| alone <= ALONE_MAX * n + CHANCE * (ALONE_MAX * n).sqrt();
        let sampled = |n: f64| CHANCE * (n * (1.0 - self.shadow.share)).sqrt();
        let are_there = is_chance(alone, paired + alone) && is_chance(lost - sampled(expected), expected);
        (pairs.paired > 0 && !are_there).then(|| [alone / (paired + alone), lost / expected])
    }

    fn rule_losses(self, memory: &ShadowMemory, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        let Some(known) = &memory.losses else {
            // Answers are there and labels are not yet: nothing speaks for the candidate.
            verdict.same_requests = memory.answers.as_ref().filter(|_| self.has_labels).map(|_| 1.0);
            return;
        };
        let (terms, alpha) = (self.terms(scene.guard), scene.guard.alpha);
        verdict.same_requests = Some(known.safe(terms));
        verdict.spend(SAFE, "", scene.guard.beta, known.safe(terms));
        let e = e_value(known.log_e(terms));
        if !verdict.spend_against(WORSE, "", alpha, e) || !scene.judged.order.1.speaks_of(LOSS) {
            return;
        }
        let [candidate, baseline] = known.losses.map(|sum| sum / count(known.summed.max(1)));
        let text = format!(
            "worse than its margin on the same requests: mean loss {candidate:.4} against {baseline:.4} over {} pairs \
             with labels in {} so far; margin x{}",
            known.n,
            words::windows(known.windows),
            terms.margin
        );
        let evidence = Evidence {
            metric: LOSS.to_owned(),
            convention: "all_windows".to_owned(),
            estimate: candidate - baseline,
            bound: (terms.margin - 1.0) * baseline,
            e_value: Some(e),
            alpha: Some(alpha),
            margin: Some(terms.margin),
            n_candidate: known.n,
            n_baseline: known.n,
            breaches: (known.windows, known.windows),
            window: (known.since.unwrap_or(scene.judged.start), scene.judged.end),
            ..scene.evidence(SOURCE, Test::Hx)
        };
        let reason = reason(ReasonCode::OutcomeRegression, text);
        verdict.findings.push(scene.finding(SOURCE, Action::Rollback, reason, vec![evidence]));
    }

    fn rule_answers(self, memory: &ShadowMemory, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        let Some(known) = &memory.answers else { return };
        let (alpha, tolerated) = (scene.guard.alpha, self.shadow.disagreement);
        let e = e_value(known.beyond.log_e(scene.guard.planned));
        verdict.spend(DISAGREES, "", alpha, e);
        if e < 1.0 / alpha {
            return;
        }
        let share = known.total.x / count(known.total.n.max(1));
        let text = format!(
            "answers {:.1} % of the requests otherwise than the baseline version, over {} pairs in {} so far; {:.1} % \
             are tolerated",
            share * 100.0,
            known.total.n,
            words::windows(known.windows),
            tolerated * 100.0
        );
        let evidence = Evidence {
            metric: DISAGREEMENT.to_owned(),
            convention: "all_windows".to_owned(),
            estimate: share,
            bound: tolerated,
            e_value: Some(e),
            alpha: Some(alpha),
            n_candidate: known.total.n,
            n_baseline: known.total.n,
            breaches: (known.windows, known.windows),
            window: (known.since.unwrap_or(scene.judged.start), scene.judged.end),
            ..scene.evidence(SOURCE, Test::Limit)
        };
        let reason = reason(ReasonCode::ScoreDrift, text);
        verdict.findings.push(scene.finding(SOURCE, Action::Warn, reason, vec![evidence]));
    }
}

impl AnswerEvidence {
    fn update(&mut self, tolerated: f64, pairs: Pairs, scene: Scene<'_, '_>, deff: f64) {
        let arm = Arm { n: pairs.compared, x: count(pairs.disagreed) };
        self.beyond.update(arm, tolerated, scene.guard.planned, deff);
        self.total = self.total.plus(arm);
        self.windows += 1;
        self.since.get_or_insert(scene.judged.start);
    }
}
