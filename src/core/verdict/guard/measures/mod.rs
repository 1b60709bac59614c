//! Measures: numbers such as revenue, tokens or cost, whose mean must not be worse than a margin.
//!
//! *Mean* is that of values clipped where a thousandth of those that are not 0 is beyond (or where the plan says so):
//! what is beyond counts as the clip, and what is below 0 as 0 where the margin is a share of the mean. A tenth of a
//! measure's evidence watches the share beyond, so that nothing hides there.
//!
//! The evidence is the balanced bet (`infer::balanced`) over a rollout (`infer::hx`), deflated for entities that come
//! back and for noise. `E` is the mean over measures, so that under no harm it ever reaches `1 / alpha` with a chance
//! of at most `alpha`, whatever their dependence:
//!
//! * **Rollback** when it does.
//! * **Safe** only when every measure is shown to keep its margin, each at level `beta` (intersection-union test).
//!
//! All traffic is watched, no segments. **Cost**: a logarithm per bet, step of values and arm: 20 µs a window.

mod record;

use self::record::{MeasureEvidence, MeasureTerms};
use crate::infer::two_sample::Arm;
use crate::plan::{Action, GuardPlan, MeasurePlan, Plan, Tolerance, Worse};
use crate::reason::ReasonCode;
use crate::summary::{Amounts, Clip, Traffic};
use crate::verdict::decision::{Evidence, Remark, Test};
use crate::verdict::finding::Verdict;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::number::{count, float};
use crate::verdict::guard::scene::{Scene, reason};
use crate::verdict::guard::window::{Pair, Shown};
use crate::verdict::guard::{Guard, GuardName};
use crate::verdict::words::{self, percent};

const SOURCE: GuardName = GuardName::Measures;
const HARM: Account = Account::against("measures", "the mean of a measure is worse than its margin");
const SAFE: Account = Account::speaking_for("measures: safe", "no measure is worse than its margin");
/// Evidence from which on a measure is named beside the one that has most.
/// Origin: choice; a chance of a tenth that one alone has so much for nothing.
const NAMED: f64 = 10.0;
/// How far beyond its margin a candidate is of which people are told how soon it is found.
/// Origin: choice; a fifth.
const TOLD: f64 = 0.2;

/// The guard.
#[derive(Debug, Clone)]
pub(crate) struct Measures {
    /// Values of the reference, by measure of the guard.
    references: Vec<Option<Amounts>>,
}

impl Guard for Measures {
    type Memory = Vec<MeasureEvidence>;
    const ACCOUNTS: &'static [Account] = &[HARM, SAFE];

    fn new(plan: &Plan, guard: &GuardPlan) -> Self {
        let of = |measure: &MeasurePlan| {
            let known = plan.reference.iter().flat_map(|reference| &reference.profile.measures);
            let (_, values) = known.into_iter().find(|(name, _)| *name == measure.name)?;
            (values.nonzero() > 0).then(|| values.clone())
        };
        Self { references: guard.measures.iter().map(of).collect() }
    }

    fn words(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
        if guard.measures.is_empty() {
            return Vec::new();
        }
        let margins: Vec<String> = guard.measures.iter().map(in_words).collect();
        let version = &plan.policy.baseline_version;
        let mut lines = vec![
            format!("roll back when, compared with {version}, {}", margins.join(", or ")),
            format!(
                "let pass when all of this is shown not to be so, with a chance of {} to be wrong",
                percent(guard.beta)
            ),
        ];
        let this = Self::new(plan, guard);
        let has_entity = plan.sources.iter().any(|source| source.mapping.entity.is_some());
        let effect = if has_entity { 1.0 } else { guard.design_effect };
        lines.extend(this.all(guard).filter_map(|terms| how_soon(terms, effect)));
        lines
    }

    fn traffic(&self, records: &mut Vec<MeasureEvidence>, shown: &Shown<'_, '_, Traffic>) {
        let Scene { guard, judged, .. } = shown.scene;
        records.resize_with(guard.measures.len(), MeasureEvidence::default);
        for (terms, record) in self.all(guard).zip(records) {
            let [candidate, baseline] =
                [shown.pair.candidate, shown.pair.baseline].map(|traffic| traffic.measures.get(terms.measure.place));
            if let Some((candidate, baseline)) = candidate.zip(baseline) {
                record.update(terms, Pair { candidate, baseline }, judged.start, !judged.trust.is_untrusted());
            }
        }
    }

    fn rule(&self, records: &mut Vec<MeasureEvidence>, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        if scene.guard.measures.is_empty() {
            return;
        }
        records.resize_with(scene.guard.measures.len(), MeasureEvidence::default);
        let all: Vec<(MeasureTerms<'_>, &MeasureEvidence)> = self.all(scene.guard).zip(records.iter()).collect();
        let total: f64 = all.iter().map(|(terms, record)| terms.weight * record.harm(*terms)).sum();
        let is_enough = verdict.spend_against(HARM, "", scene.guard.alpha, total);
        if is_enough && scene.judged.order.1.speaks_of("mean") {
            verdict.findings.push(finding(&all, scene));
        }
        let enough = 1.0 / scene.guard.beta;
        let least = all.iter().map(|(terms, record)| record.safe(*terms)).fold(f64::INFINITY, f64::min);
        verdict.spend(SAFE, "", scene.guard.beta, least);
        verdict.safe &= least >= enough;
        let open = all.iter().filter(|(terms, record)| record.safe(*terms) < enough);
        verdict.waits_for.extend(open.map(|(terms, record)| lacks(*terms, record)));
    }
}

impl Measures {
    fn all<'a>(&'a self, guard: &'a GuardPlan) -> impl Iterator<Item = MeasureTerms<'a>> {
        let weight = 1.0 / float(guard.measures.len().max(1));
        guard.measures.iter().zip(&self.references).map(move |(measure, reference)| MeasureTerms {
            guard,
            measure,
            reference: reference.as_ref(),
            weight,
        })
    }
}

fn finding(all: &[(MeasureTerms<'_>, &MeasureEvidence)], scene: Scene<'_, '_>) -> crate::verdict::finding::Finding {
    let mut by: Vec<&(MeasureTerms<'_>, &MeasureEvidence)> = all.iter().collect();
    by.sort_by(|a, b| b.1.harm(b.0).total_cmp(&a.1.harm(a.0)));
    let named = by.iter().skip(1).take_while(|(terms, record)| record.harm(*terms) >= NAMED).count() + 1;
    by.truncate(named);
    let texts: Vec<String> = by.iter().map(|(terms, record)| describe(*terms, record)).collect();
    let reason = reason(ReasonCode::MeasureRegression, format!("worse than its margin: {}", texts.join("; ")));
    let evidence = by.iter().map(|(terms, record)| evidence(*terms, record, scene)).collect();
    scene.finding(SOURCE, Action::Rollback, reason, evidence)
}

/// What a candidate must not be, in words.
fn in_words(measure: &MeasurePlan) -> String {
    let MeasurePlan { name, worse, margin, .. } = measure;
    let way = if *worse == Worse::Up { "larger" } else { "smaller" };
    match margin {
        Tolerance::Relative(share) => format!("its mean {name} is {way} by more than {}", percent(*share)),
        Tolerance::Absolute(by) => format!("its mean {name} is {way} by more than {by}"),
    }
}

/// How many rows it takes, where a reference tells.
fn how_soon(terms: MeasureTerms<'_>, effect: f64) -> Option<String> {
    let (clip, found, kept) = terms.rows(TOLD, effect)?;
    let sign = if clip.signed { "±" } else { "" };
    Some(format!(
        "{}: values beyond {sign}{} count as that; it takes about {} answers of each version to find a mean {} beyond \
         the margin, and {} to show that one which is alike keeps it",
        terms.measure.name,
        clip.at(),
        round(found),
        percent(TOLD),
        round(kept)
    ))
}

/// To two digits.
fn round(n: f64) -> f64 {
    let unit = libm::pow(10.0, (libm::log10(n.max(1.0)).floor() - 1.0).max(0.0));
    (n / unit).ceil() * unit
}

fn tolerated(measure: &MeasurePlan) -> String {
    let way = if measure.worse == Worse::Up { "more" } else { "less" };
    match measure.margin {
        Tolerance::Relative(share) => format!("{} {way}", percent(share)),
        Tolerance::Absolute(by) => format!("{by} {way}"),
    }
}

/// One clause that says what both versions had.
fn describe(terms: MeasureTerms<'_>, record: &MeasureEvidence) -> String {
    let MeasurePlan { name, .. } = terms.measure;
    let (candidate, baseline) = record.tally.means();
    let ratio = record.tally.ratio().filter(|_| matches!(terms.measure.margin, Tolerance::Relative(_)));
    let ratio = ratio.map_or(String::new(), |ratio| format!(", x{ratio:.3}"));
    let windows = words::windows(record.windows);
    let clip = record.clip(terms).map_or(0.0, Clip::at);
    if record.is_beyond(terms) {
        let [candidate, baseline] = record.clipped.map(Arm::rate);
        return format!(
            "values of {name} beyond {clip} ({candidate:.5} of the candidate's, {baseline:.5} of the baseline's, over \
             all {windows} so far)"
        );
    }
    format!(
        "mean of {name} ({candidate:.4} against {baseline:.4}{ratio}, over all {windows} so far; margin {}; values \
         beyond {clip} count as that)",
        tolerated(terms.measure)
    )
}

/// Means are those of all windows so far, each weighing the same in both versions.
fn evidence(terms: MeasureTerms<'_>, record: &MeasureEvidence, scene: Scene<'_, '_>) -> Evidence {
    let MeasureTerms { guard, measure, weight, .. } = terms;
    let (candidate, baseline) = record.tally.means();
    let sign = if measure.worse == Worse::Up { 1.0 } else { -1.0 };
    let deff = record.deff.max(1.0);
    let (margin, bound, interval) = match measure.margin {
        Tolerance::Relative(share) => {
            let at = record.tally.interval(share, deff, guard.alpha);
            (1.0 + sign * share, baseline * (1.0 + sign * share), at.map(|at| (at.low * baseline, at.high * baseline)))
        }
        Tolerance::Absolute(by) => {
            let at = record.tally.difference(by, deff, guard.alpha);
            (sign * by, baseline + sign * by, at.map(|at| (at.low + baseline, at.high + baseline)))
        }
    };
    let [over, under] = record.clipped.map(Arm::rate);
    let flags = [
        (!record.is_measured()).then(|| Remark::IidAssumed.into()),
        Some(format!("design_effect_{deff:.1}").into()),
        record.tally.ratio().map(|ratio| format!("ratio_{ratio:.4}").into()),
        record.clip(terms).map(|clip| format!("cap_{}", clip.at()).into()),
        Some(format!("beyond_cap_{over:.5}_against_{under:.5}").into()),
        record.below_zero(terms).map(|[candidate, baseline]| {
            format!("below_zero_counts_as_zero_{candidate:.5}_against_{baseline:.5}").into()
        }),
    ];
    Evidence {
        metric: "mean".to_owned(),
        column: measure.name.clone(),
        convention: "clipped_all_windows".to_owned(),
        estimate: candidate,
        lo: interval.map(|(low, _)| low.min(candidate)),
        hi: interval.map(|(_, high)| high.max(candidate)),
        bound,
        e_value: Some(record.harm(terms)),
        alpha: Some(guard.alpha * weight),
        margin: Some(margin),
        n_candidate: record.clipped[0].n,
        n_baseline: record.clipped[1].n,
        breaches: (record.windows, record.windows),
        window: (record.since.unwrap_or(scene.judged.start), scene.judged.end),
        flags: flags.into_iter().flatten().collect(),
        ..scene.evidence(SOURCE, Test::Hx)
    }
}

/// What is missing before a measure is shown to keep its margin.
fn lacks(terms: MeasureTerms<'_>, record: &MeasureEvidence) -> String {
    let (name, n) = (&terms.measure.name, record.clipped[0].n);
    match record.needs(terms) {
        _ if n == 0 => format!("mean of {name}: no windows yet that count"),
        Some(needs) if count(n) < needs => format!("mean of {name}: {n} of about {} rows", round(needs)),
        _ => format!("mean of {name}: undecided after {n} rows"),
    }
}

#[cfg(test)]
mod tests;
