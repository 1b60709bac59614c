//! What the guardrails call for.
//!
//! * **Rollback** when the evidence that some guardrail is worse than its margin reaches `1 / alpha`.
//! * Both, too, when the last look finds it (`last_look`), where the plan has one.
//! * **Contain** when the evidence that some guardrail is worse at all does; once those that stand out have been shown
//!   to be within their margins all the same (evidence gathered since), this is a **warning**.
//! * **Safe** when every guardrail of all traffic is shown to keep its margin, each at level `beta`: promoting needs
//!   all of them, so the chance to promote one that breaks a margin is at most `beta` without splitting it
//!   (intersection-union test, Berger, Technometrics 24, 1982).
//! * **Cleared** when nothing restricts and the evidence of harm is below a tenth of what acts, or refuted.
//!
//! Named are the guardrails that the closed e-BH rule lists at 10 % (`infer::multiplicity`), first those that
//! contribute most to the evidence; where it lists none, the one that contributes most.

use super::{CONTAIN, ROLLBACK, SAFE};
use crate::infer::multiplicity::closed_e_bh;
use crate::name::NameOf;
use crate::plan::Action;
use crate::verdict::decision::{Evidence, Remark, Test};
use crate::verdict::finding::{Finding, Verdict};
use crate::verdict::guard::GuardName;
use crate::verdict::guard::number::{count, e_value};
use crate::verdict::guard::rails::rail::{Hypothesis, Rail};
use crate::verdict::guard::rails::watch::{RailMemory, Rails, ViewRail};
use crate::verdict::guard::scene::{SUSPICION, Scene, reason};
use crate::verdict::words;

const SOURCE: GuardName = GuardName::Guardrails;
/// False discoveries among those that are named.
/// Origin: literature; the usual level of false discoveries (Benjamini and Hochberg 1995).
pub(crate) const NAMED_FALSELY: f64 = 0.1;
/// Guardrails, or classes, that are named at most.
/// Origin: choice; more are not read at night.
pub(crate) const NAMED_MAX: usize = 5;
/// Events of the rare class before an interval of their ratio is shown, or a class named.
/// Origin: choice; as in `infer::interval`.
pub(crate) const RARE_MIN: f64 = 20.0;

impl Rails {
    /// Adds what all evidence so far calls for.
    pub(super) fn weigh(&self, watched: &mut RailMemory, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        let (alpha, enough) = (self.guard.alpha_always(), 1.0 / self.guard.alpha_always());
        let [harm, worse] = [Hypothesis::Margin, Hypothesis::NoMargin].map(|asked| self.total(watched, asked));
        verdict.spend(ROLLBACK, "", alpha, harm);
        verdict.spend(CONTAIN, "", alpha, worse);
        watched.last_look.account(&self.guard, verdict);
        let harmful = harm >= enough || watched.last_look.found(Hypothesis::Margin);
        let worsened = worse >= enough || watched.last_look.found(Hypothesis::NoMargin);
        let suspicious = harmful || worsened || harm.max(worse) >= SUSPICION * enough;
        if harmful || worsened || !suspicious {
            self.remember(watched, suspicious);
        }
        verdict.suspicious |= suspicious;
        if harmful {
            self.find(Action::Rollback, watched, scene, verdict, Hypothesis::Margin);
            verdict.cleared = false;
        } else if suspicious {
            let standing = self.standing(watched, Hypothesis::NoMargin);
            let refuted = standing.iter().take(NAMED_MAX).all(|watch| watch.record.is_refuted(watch.terms));
            if worsened {
                let action = if refuted { Action::Warn } else { Action::Contain };
                self.find(action, watched, scene, verdict, Hypothesis::NoMargin);
            }
            verdict.cleared &= refuted;
        }
        self.rule_safety(watched, verdict);
    }

    fn rule_safety(&self, watched: &RailMemory, verdict: &mut Verdict) {
        let enough = 1.0 / self.guard.beta;
        // Losses on the same requests tell as well: a mean of e-values is one.
        let pairs = verdict.same_requests;
        let safe = |watch: &ViewRail<'_>| {
            let alone = watch.record.safe(watch.terms);
            pairs.filter(|_| watch.terms.rail == Rail::Loss).map_or(alone, |pairs| f64::midpoint(alone, pairs))
        };
        let of_labels = self.of.iter().any(|(rail, _)| rail.is_of_labels());
        let only_pairs = pairs.filter(|_| !of_labels);
        let least = self.required(watched).map(|watch| safe(&watch)).chain(only_pairs).fold(f64::INFINITY, f64::min);
        let complete = self.is_complete(watched) && least.is_finite();
        verdict.spend(SAFE, "", self.guard.beta, if complete { least.min(f64::MAX) } else { 0.0 });
        verdict.safe = complete && least >= enough;
        let open = self.required(watched).filter(|watch| safe(watch) < enough);
        verdict.waits_for.extend(open.map(|watch| watch.lacks()));
        if only_pairs.is_some_and(|pairs| pairs < enough) {
            verdict.waits_for.push("losses on the same requests: undecided".to_owned());
        }
        if self.of.is_empty() && only_pairs.is_none() {
            verdict.waits_for.push("failures, latency or losses: nothing tells them".to_owned());
        }
    }

    /// The guardrails that stand out, first the one that contributes most, of which the first few are named.
    fn standing<'a>(&'a self, watched: &'a RailMemory, asked: Hypothesis) -> Vec<ViewRail<'a>> {
        let all: Vec<ViewRail<'a>> = self.watches(watched).collect();
        let log_e: Vec<f64> = all.iter().map(|watch| watch.log_e(asked)).collect();
        let weights: Vec<f64> = all.iter().map(|watch| watch.terms.weight).collect();
        named(&log_e, &weights).into_iter().map(|place| all[place]).collect()
    }

    fn find(
        &self,
        action: Action,
        watched: &RailMemory,
        scene: Scene<'_, '_>,
        verdict: &mut Verdict,
        asked: Hypothesis,
    ) {
        let is_own = |watch: &ViewRail<'_>| scene.judged.order.1.speaks_of(watch.terms.rail.metric());
        let standing: Vec<ViewRail<'_>> = self.standing(watched, asked).into_iter().filter(is_own).collect();
        let (named, more) = standing.split_at(standing.len().min(NAMED_MAX));
        let Some(first) = named.first() else { return };
        let evidence = |watch: &ViewRail<'_>| Evidence {
            e_value: Some(e_value(watch.log_e(asked))),
            flags: flags(watched, watch),
            ..watch.evidence(scene, asked)
        };
        let texts = clauses(named, asked);
        let what = match action {
            Action::Rollback => "worse than its margin",
            Action::Warn => "worse than the baseline, within its margin",
            _ => "worse than the baseline",
        };
        let reason = reason(first.terms.rail.code(), format!("{what}: {}", texts.join("; ")));
        let finding = scene.finding(SOURCE, action, reason, named.iter().map(evidence).collect());
        verdict.findings.push(Finding { beside: more.iter().map(evidence).collect(), ..finding });
    }
}

/// Which of these to name, first the one that contributes most.
fn named(log_e: &[f64], weights: &[f64]) -> Vec<usize> {
    let listed = closed_e_bh(log_e, NAMED_FALSELY);
    let n_named = listed.len().max(1);
    let contributes = |&place: &usize| libm::log(weights[place]) + log_e[place];
    let mut by = if listed.is_empty() { (0..log_e.len()).collect() } else { listed };
    by.sort_by(|a, b| contributes(b).total_cmp(&contributes(a)));
    by.truncate(n_named);
    by
}

/// A clause for each guardrail. Where one stands for all traffic, its segments are only named beside it.
fn clauses(named: &[ViewRail<'_>], asked: Hypothesis) -> Vec<String> {
    let has_own = |watch: &&ViewRail<'_>| !named.iter().any(|one| one.holds_part(watch));
    let clause = |watch: &ViewRail<'_>| {
        let parts = named.iter().filter(|one| watch.holds_part(one));
        let parts: Vec<String> = parts.map(|one| format!("{}{}", one.segment, one.times(asked, " "))).collect();
        let own = watch.describe(asked);
        if parts.is_empty() { own } else { format!("{own}, so in {}", parts.join(", ")) }
    };
    named.iter().filter(has_own).map(clause).collect()
}

fn flags(watched: &RailMemory, watch: &ViewRail<'_>) -> Vec<NameOf<Remark>> {
    let assumed = !watched.alike.is_measured(watch.terms.rail);
    let effect = format!("design_effect_{:.1}", watch.record.deff());
    let ratio = watch.record.tally.ratio.value().filter(|_| watch.terms.rail.is_mean());
    let flags = [
        assumed.then(|| Remark::IidAssumed.into()),
        Some(effect.into()),
        ratio.map(|ratio| format!("ratio_{ratio:.4}").into()),
        watch.record.is_refuted(watch.terms).then(|| Remark::Refuted.into()),
    ];
    flags.into_iter().flatten().collect()
}

impl ViewRail<'_> {
    /// `ln e` that it is worse: than its margin, or at all.
    pub(crate) fn log_e(&self, asked: Hypothesis) -> f64 {
        self.record.log_e(self.terms, asked)
    }

    fn name(&self) -> String {
        let metric = self.terms.rail.metric();
        if self.segment.is_empty() { metric.to_owned() } else { format!("{metric} in {}", self.segment) }
    }

    /// Whether it is the same guardrail, of all traffic where the other one is of a segment.
    fn holds_part(&self, other: &Self) -> bool {
        self.segment.is_empty() && !other.segment.is_empty() && self.terms.rail == other.terms.rail
    }

    /// How many times the baseline version's the candidate's share is, where that is known.
    fn times(&self, asked: Hypothesis, before: &str) -> String {
        let ratio = self.record.counts(asked).ratio.value();
        ratio.map_or(String::new(), |ratio| format!("{before}x{ratio:.2}"))
    }

    /// One clause that says what both versions did.
    fn describe(&self, asked: Hypothesis) -> String {
        let Self { terms, record, .. } = self;
        let tally = record.counts(asked);
        let what = terms.rail.describe(terms.guard, asked, tally.candidate.rate(), tally.baseline.rate());
        let ratio = self.times(asked, ", ");
        let (windows, margin) = (words::windows(tally.windows), terms.rail.margin(terms.guard));
        let held_to = if asked == Hypothesis::Margin { "margin" } else { "without the margin of" };
        format!("{} ({what}{ratio}, over all {windows} so far; {held_to} x{margin})", self.name())
    }

    /// Rates and losses are those of all windows so far, held against the baseline version's times the margin. Of
    /// latency and absolute errors only shares beyond a threshold can be added up over windows: their ratio stands here
    /// until the newest window's quantile or error takes its place (`published`). Asked whether it is worse at all, the
    /// margin is 1.
    fn evidence(&self, scene: Scene<'_, '_>, asked: Hypothesis) -> Evidence {
        let Self { terms, record, segment, since } = *self;
        let tally = record.counts(asked);
        let margin = if asked == Hypothesis::Margin { terms.rail.margin(terms.guard) } else { 1.0 };
        let (candidate, baseline) = (tally.candidate.rate(), tally.baseline.rate());
        let shown = tally.ratio.value().filter(|_| tally.rare() >= RARE_MIN);
        let interval = tally.ratio.interval(record.deff(), terms.guard.alpha);
        let evidence = Evidence {
            metric: terms.rail.metric().to_owned(),
            segment: segment.to_owned(),
            alpha: Some(terms.guard.alpha * terms.weight),
            margin: Some(margin),
            n_candidate: tally.candidate.n,
            n_baseline: tally.baseline.n,
            breaches: (tally.windows, tally.windows),
            ..scene.evidence(SOURCE, Test::Hx)
        };
        if !terms.rail.is_mean() {
            let convention = if shown.is_some() { "ratio" } else { "difference" }.to_owned();
            return Evidence { convention, estimate: shown.unwrap_or(candidate - baseline), bound: margin, ..evidence };
        }
        Evidence {
            convention: "all_windows".to_owned(),
            estimate: candidate,
            lo: interval.map(|interval| (interval.low * baseline).min(candidate)),
            hi: interval.map(|interval| (interval.high * baseline).max(candidate)),
            bound: baseline * margin,
            window: (since.unwrap_or(scene.judged.start), scene.judged.end),
            ..evidence
        }
    }

    /// What is missing before this guardrail is shown to be kept.
    fn lacks(&self) -> String {
        let (name, n) = (self.name(), self.record.tally.candidate.n);
        match self.record.needs(self.terms) {
            _ if n == 0 => format!("{name}: no events yet"),
            Some(needs) if count(n) < needs => format!("{name}: {n} of about {} events", round_up(needs)),
            _ => format!("{name}: undecided after {n} events"),
        }
    }
}

/// Rounded up to two digits.
fn round_up(needs: f64) -> f64 {
    let unit = libm::pow(10.0, (libm::log10(needs.max(1.0)).floor() - 1.0).max(0.0));
    (needs / unit).ceil() * unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::two_sample::Arm;
    use crate::plan::GuardPlan;
    use crate::verdict::guard::rails::record::{RailEvidence, RailTerms};

    #[test]
    fn who_is_slower_within_its_margin_is_told_by_what_is_slower() {
        let guard = GuardPlan::default();
        let terms = RailTerms { guard: &guard, rail: Rail::Slow(0), weight: 1.0, windows_min: 3 };
        let mut record = RailEvidence::new(terms);
        let of = |x: f64| Arm { n: 1_000, x };
        let arms = ((of(460.0), of(500.0)), (of(550.0), of(500.0)));
        (0..2).for_each(|_| record.update(terms, arms, (1.0, 1.0), true));
        let watch = ViewRail { terms, record: &record, segment: "", since: None };
        assert_eq!(
            watch.describe(Hypothesis::NoMargin),
            "latency_p50 (0.5500 of its answers beyond the baseline's median, 0.5000 of the baseline's, x1.10, over \
             all 2 windows so far; without the margin of x1.1)"
        );
        assert_eq!(
            watch.describe(Hypothesis::Margin),
            "latency_p50 (0.4600 of its answers beyond 1.1 times the baseline's median, 0.5000 of the baseline's \
             beyond it, x0.92, over all 2 windows so far; margin x1.1)"
        );
    }

    #[test]
    fn what_says_nothing_is_not_named_for_its_weight() {
        let named_of = |e: [f64; 4]| named(&e.map(libm::log), &[0.1, 0.1, 0.1, 0.7]);
        assert_eq!(named_of([1000.0, 2000.0, 6.0, 1.2]), [1, 0, 2], "the fourth contributes more than the third");
        assert_eq!(named_of([9.0, 1.0, 1.0, 8.0]), [3], "none stands out alone");
    }

    #[test]
    fn people_get_two_digits() {
        let texts = [3.2, 41.3, 857.0, 123_456.0].map(|n| round_up(n).to_string());
        assert_eq!(texts, ["4", "42", "860", "130000"]);
    }
}
