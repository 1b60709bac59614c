//! Drift within segments: one detector for each of the busiest, and which of them explains what sets the versions
//! apart.
//!
//! Those segments are watched that guardrails watch (`rails::watch`). In each, columns and scores of the candidate are
//! held against the baseline version's of the same windows, and both against the *matched* segment of every reference,
//! with the tests of `drift`. A segment's e-value of a window is the mean over its columns', whatever their dependence,
//! so that it has one detector and not one for each column, and state stays small. A candidate is contained when in
//! some segment it differs from the baseline version and, where a reference knows the segment, has moved away from it
//! while the baseline version has not.
//!
//! All traffic and the segments share drift's budget in halves; segments share theirs by the e-d-BH rule, free places
//! counting.
//!
//! A finding about all traffic names the segment with more than half of the distance, each segment's stability indices
//! weighted by its events.
//!
//! **State**: twelve numbers per segment, and twice as many per reference. **Cost**: that of `drift` for each segment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::infer::multiplicity::e_d_bh;
use crate::infer::shiryaev::AlarmRule;
use crate::metric::{self, view::ViewKey};
use crate::plan::{Action, Baseline, GuardPlan, Plan};
use crate::reason::ReasonCode;
use crate::summary::Traffic;
use crate::verdict::decision::{Evidence, Test};
use crate::verdict::finding::{Finding, Verdict};
use crate::verdict::guard::Guard;
use crate::verdict::guard::GuardName;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::drift::{CLEAR, Drift, DriftDetector, NAMED_MAX, find};
use crate::verdict::guard::number::{count, e_value};
use crate::verdict::guard::scene::{Scene, reason};
use crate::verdict::guard::window::Both;
use crate::verdict::guard::window::Shown;
use crate::verdict::judged::Judged;

const SOURCE: GuardName = GuardName::Segments;

const IN_SEGMENTS: Account = Account::against("drift in segments", "differs from the baseline within a segment");

/// The guard: what drift looks at, in segments.
#[derive(Debug, Clone)]
pub(crate) struct Segments(Drift);

/// What is known of one segment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Local {
    /// The candidate against the baseline version.
    concurrent: DriftDetector,
    /// The candidate and the baseline version against each reference.
    references: Vec<[DriftDetector; 2]>,
    /// Columns and their debiased index in the newest window, farthest apart first.
    apart: Vec<(usize, f64)>,
}

/// What is known of the segments that are watched.
pub(crate) type Locals = BTreeMap<String, Local>;

impl Guard for Segments {
    type Memory = Locals;
    const ACCOUNTS: &'static [Account] = &[IN_SEGMENTS];

    fn new(plan: &Plan, guard: &GuardPlan) -> Self {
        Self(Drift::new(plan, guard))
    }

    fn words(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
        let watched = || format!("the {} busiest segments are watched one by one", guard.segments_max);
        (!plan.segments.is_empty()).then(watched).into_iter().collect()
    }

    fn traffic(&self, locals: &mut Locals, shown: &Shown<'_, '_, Traffic>) {
        self.0.update_segments(locals, &shown.learnt.segments, shown.both, shown.scene.judged);
    }

    fn rule(&self, locals: &mut Locals, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        self.0.rule_segments(locals, scene, verdict);
        self.0.locate(locals, verdict);
    }
}

impl Local {
    /// What there is of evidence that the candidate alone moved; `quiet` bounds that of a baseline version that did
    /// not.
    fn log_r(&self, quiet: f64) -> f64 {
        let concurrent = self.concurrent.log_r();
        let mut known = self.references.iter().filter(|[version, _]| version.n.0 > 0).peekable();
        if known.peek().is_none() {
            return concurrent;
        }
        let alone = known.filter(|[_, baseline]| baseline.log_r() < quiet).map(|[version, _]| version.log_r());
        alone.fold(f64::NEG_INFINITY, f64::max).min(concurrent)
    }

    /// Its part in what sets the versions apart.
    fn distance(&self) -> f64 {
        count(self.concurrent.n.0) * self.apart.iter().map(|(_, psi)| psi).sum::<f64>()
    }
}

impl Drift {
    /// Takes one window of the segments that are watched.
    fn update_segments(&self, locals: &mut Locals, segments: &[String], both: &Both<'_, Traffic>, judged: &Judged<'_>) {
        for segment in segments {
            let Some(pair) = both.pair(segment) else { continue };
            let local = locals.entry(segment.clone()).or_default();
            let indices = self.watch(&mut local.concurrent, pair.candidate, (pair.baseline, false));
            if indices.is_empty() {
                continue;
            }
            local.apart = indices;
            local.references.resize_with(self.references.len(), Default::default);
            let key = |of: &ViewKey| ViewKey { segment: segment.clone(), ..of.clone() };
            let sides = [(key(both.candidate), pair.candidate), (key(both.baseline), pair.baseline)];
            for (watches, reference) in local.references.iter_mut().zip(self.references.iter()) {
                let fixed = *reference == Baseline::Reference;
                for (watch, (key, traffic)) in watches.iter_mut().zip(&sides) {
                    if let Some(reference) = find(reference, key, judged) {
                        self.watch(watch, traffic, (reference, fixed));
                    }
                }
            }
        }
    }

    /// Takes a window of one segment; the columns that could be compared, farthest apart first.
    fn watch(
        &self,
        watch: &mut DriftDetector,
        current: &Traffic,
        (reference, fixed): (&Traffic, bool),
    ) -> Vec<(usize, f64)> {
        let columns = self.columns.iter().enumerate().filter(|(_, column)| !(fixed && column.calendar));
        let (tolerated, deff) = (self.guard.drift, self.guard.design_effect);
        let compare = |column| self.compare(column, (current, reference, fixed), tolerated, deff);
        let compared = columns.filter_map(|(index, column)| Some((index, compare(column)?)));
        let compared: Vec<_> = compared.collect();
        let Some((_, first)) = compared.first() else { return Vec::new() };
        watch.n = first.n;
        let ps: Vec<f64> = compared.iter().flat_map(|(_, one)| one.ps()).collect();
        watch.monitor.update_with(&ps, self.alarm_of_segment());
        let mut apart: Vec<(usize, f64)> = compared.iter().map(|(index, one)| (*index, one.psi.debiased())).collect();
        apart.sort_by(|(a, psi), (b, other)| other.total_cmp(psi).then(a.cmp(b)));
        watch.psi = apart[0].1;
        apart.truncate(NAMED_MAX);
        apart
    }

    /// One segment alone must reach this.
    fn alarm_of_segment(&self) -> AlarmRule {
        let patience = self.patience() * f64::from(self.places.max(1));
        AlarmRule { patience, windows_min: self.guard.windows_min + 1 }
    }

    /// Adds what drift of the candidate within segments calls for.
    fn rule_segments(&self, locals: &Locals, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        if self.places == 0 {
            return;
        }
        let threshold = self.alarm_of_segment().threshold();
        let quiet = CLEAR * threshold;
        let all: Vec<(&str, &Local)> = locals.iter().map(|(segment, local)| (segment.as_str(), local)).collect();
        let mut log_r: Vec<f64> = all.iter().map(|(_, local)| local.log_r(quiet)).collect();
        let strongest = log_r.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        verdict.account(IN_SEGMENTS, self.guard.alpha / 2.0, e_value(strongest), libm::exp(threshold));
        verdict.cleared &= strongest < quiet;
        verdict.suspicious |= strongest >= f64::midpoint(quiet, threshold);
        let places = usize::try_from(self.places).unwrap_or(usize::MAX);
        log_r.resize(places.max(all.len()), f64::NEG_INFINITY);
        let mut listed = e_d_bh(&log_r, &vec![1.0; log_r.len()], self.patience());
        listed.sort_by(|&a, &b| log_r[b].total_cmp(&log_r[a]));
        let named: Vec<(&str, &Local)> = listed.into_iter().map(|index| all[index]).collect();
        if let Some((_, first)) = named.first() {
            let texts: Vec<String> = named.iter().take(NAMED_MAX).map(|one| self.describe(*one)).collect();
            let text = format!("the candidate differs from the baseline version in {}", texts.join("; "));
            let mut evidence: Vec<Evidence> = named.iter().map(|one| self.evidence_of(*one, scene)).collect();
            let beside = evidence.split_off(named.len().min(NAMED_MAX));
            let code = first.apart.first().map_or(ReasonCode::FeatureDrift, |&(column, _)| self.columns[column].code);
            let finding = scene.finding(SOURCE, Action::Contain, reason(code, text), evidence);
            verdict.findings.push(Finding { beside, ..finding });
        }
    }

    fn evidence_of(&self, (segment, local): (&str, &Local), scene: Scene<'_, '_>) -> Evidence {
        let watch = &local.concurrent;
        Evidence {
            metric: metric::DRIFT.spec().name.to_owned(),
            column: local.apart.first().map(|&(column, _)| self.columns[column].name.clone()).unwrap_or_default(),
            segment: segment.to_owned(),
            convention: "debiased".to_owned(),
            estimate: watch.psi,
            bound: self.guard.drift,
            e_value: Some(e_value(watch.log_r())),
            alpha: Some(1.0 / self.alarm_of_segment().patience),
            margin: Some(self.guard.drift),
            n_candidate: watch.n.0,
            n_baseline: watch.n.1,
            ..scene.evidence(SOURCE, Test::ShiryaevRoberts)
        }
    }

    /// A segment and the columns that are farthest apart in it.
    fn describe(&self, (segment, local): (&str, &Local)) -> String {
        let columns: Vec<&str> = local
            .apart
            .iter()
            .take_while(|(_, psi)| *psi >= local.apart[0].1 / 2.0)
            .map(|&(column, _)| self.columns[column].name.as_str())
            .collect();
        format!("{segment} ({})", columns.join(", "))
    }

    /// Says in findings about all traffic which segment explains most of them, if one does.
    fn locate(&self, locals: &Locals, verdict: &mut Verdict) {
        let total: f64 = locals.values().map(Local::distance).sum();
        let stands_out = |local: &Local| local.concurrent.log_r() >= CLEAR * self.alarm_of_segment().threshold();
        let most = locals.iter().find(|(_, local)| local.distance() > total / 2.0 && stands_out(local));
        let Some((segment, local)) = most.filter(|_| locals.len() > 1) else { return };
        let text = format!("; most of it in {}", self.describe((segment, local)));
        let of_columns = [ReasonCode::FeatureDrift, ReasonCode::ScoreDrift, ReasonCode::DataQuality];
        let findings =
            verdict.findings.iter_mut().filter(|finding| of_columns.iter().any(|code| finding.reason.code == *code));
        findings
            .filter(|finding| finding.evidence.iter().all(|evidence| evidence.segment.is_empty()))
            .for_each(|finding| finding.reason.text += &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::view::Views;
    use crate::verdict::guard::drift::tests::{OTHER, USUAL, drift_over, traffic};
    use crate::verdict::guard::tests::{key, with_reference};

    const DE: &str = "place=DE";
    const FR: &str = "place=FR";

    fn in_segment(version: &str, segment: &str) -> ViewKey {
        ViewKey { segment: segment.to_owned(), ..key(version) }
    }

    /// What is said after so many windows in which the versions had these values in `DE`, and the usual ones in `FR`.
    fn after(windows: u32, candidate: [u64; 4], baseline: [u64; 4], reference: Option<[u64; 4]>) -> Verdict {
        let (drift, mut locals) = (drift_over(2), Locals::default());
        let mut verdict = Verdict { cleared: true, ..Verdict::default() };
        let views = Views::from([
            (in_segment("v2", DE), traffic(candidate)),
            (in_segment("v1", DE), traffic(baseline)),
            (in_segment("v2", FR), traffic(USUAL)),
            (in_segment("v1", FR), traffic(USUAL)),
        ]);
        let reference = reference.map(|de| (DE.to_owned(), traffic(de))).into_iter().collect();
        let both = Both { views: &views, candidate: &key("v2"), baseline: &key("v1") };
        with_reference(&reference, |judged| {
            for _ in 0..windows {
                drift.update_segments(&mut locals, &[DE, FR].map(str::to_owned), &both, judged);
            }
            let scene = Scene { judged, guard: &drift.guard, model: "m", version: "v2", baseline: "v1" };
            drift.rule_segments(&locals, scene, &mut verdict);
            let about_all = scene.finding(
                GuardName::Change,
                Action::Warn,
                reason(ReasonCode::FeatureDrift, "it".to_owned()),
                Vec::new(),
            );
            verdict.findings.push(about_all);
            drift.locate(&locals, &mut verdict);
        });
        let text = serde_json::to_string(&locals).expect("a finite state");
        assert_eq!(serde_json::from_str::<Locals>(&text).expect("its own text"), locals);
        assert!(text.len() < 1500 * locals.len(), "{} bytes", text.len());
        verdict
    }

    fn actions(verdict: &Verdict) -> Vec<Action> {
        verdict.findings.iter().map(|finding| finding.action).collect()
    }

    #[test]
    fn a_segment_that_differs_is_contained_and_named_with_its_column() {
        let verdict = after(20, OTHER, USUAL, None);
        assert_eq!((actions(&verdict), verdict.cleared), (vec![Action::Contain, Action::Warn], false));
        let evidence = &verdict.findings[0].evidence;
        assert_eq!((evidence.len(), evidence[0].segment.as_str(), evidence[0].column.as_str()), (1, DE, "carrier"));
        assert_eq!(verdict.findings[1].reason.text, "it; most of it in place=DE (carrier)");
        assert_eq!(actions(&after(3, OTHER, USUAL, None)), [Action::Warn], "three windows are too few");
    }

    #[test]
    fn what_the_season_does_to_a_segment_of_both_is_nobodys_fault() {
        let verdict = after(100, OTHER, OTHER, Some(USUAL));
        assert_eq!((actions(&verdict), verdict.cleared), (vec![Action::Warn], true));
        assert_eq!(verdict.findings[0].reason.text, "it");
    }

    #[test]
    fn the_matched_segment_of_a_reference_says_who_moved() {
        assert_eq!(actions(&after(20, OTHER, USUAL, Some(USUAL))), [Action::Contain, Action::Warn]);
        assert_eq!(actions(&after(100, USUAL, OTHER, Some(USUAL))), [Action::Warn], "the baseline version did");
    }

    #[test]
    fn segments_that_are_alike_say_nothing() {
        let verdict = after(100, USUAL, USUAL, Some(USUAL));
        assert_eq!((actions(&verdict), verdict.cleared, verdict.suspicious), (vec![Action::Warn], true, false));
    }
}
