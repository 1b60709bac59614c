//! Fairness: whether groups of requests are treated less alike than by the baseline version.
//!
//! Groups are the values of a segment field, such as `sex`; what is compared is a rate of each: failures, positive
//! answers (demographic parity), or with labels positives that are found (equal opportunity), positive answers that are
//! right (predictive parity) and right answers. The *gap* of a version is the largest difference between two groups. A
//! candidate is contained when its gap is shown to be wider than the baseline version's by more than the margin
//! (`infer::gap`): what is fair is for people to decide, so nobody is rolled back for it.
//!
//! The groups are chosen once: at most `segments_max`, those that get [`ROWS_MIN`] rows of both versions within as many
//! windows as evidence needs, or sooner if all have them. Windows are taken together until each of them has so many
//! again. Each rate has an equal part of `alpha`. Requests of one user are alike as failures are (of labels, losses).
//!
//! **State**: 50 numbers per group. **Cost**: 400 logarithms per group and window.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::infer::gap::{GapEvidence, GapPlan, Widest};
use crate::infer::two_sample::Arm;
use crate::plan::{Action, Fairness, GroupRate, GuardPlan, Plan};
use crate::reason::ReasonCode;
use crate::summary::{Quality, Traffic};
use crate::verdict::decision::{Evidence, Test};
use crate::verdict::finding::Verdict;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::number::{count, e_value, float};
use crate::verdict::guard::scene::{Scene, reason};
use crate::verdict::guard::window::{Both, Shown};
use crate::verdict::guard::{Guard, GuardName};
use crate::verdict::words;

const SOURCE: GuardName = GuardName::Fairness;
const WIDER: Account = Account::against("fairness: ", "groups are treated less alike than by the baseline version");
/// Rows of a group and a version that a look takes.
/// Origin: choice; below it a group's rate is hardly more than one row's.
const ROWS_MIN: u64 = 10;

/// The guard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FairnessGuard;

/// What is known of one rate.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RateEvidence {
    /// Rows of groups that were not looked at yet, candidate and baseline.
    rows: BTreeMap<String, [Arm; 2]>,
    /// The groups, once they are chosen, in the order of `rows`, and what is known of them.
    chosen: Vec<String>,
    gap: Option<GapEvidence>,
    windows: u32,
    /// Start of the first window.
    since: Option<Micros>,
}

impl Guard for FairnessGuard {
    type Memory = Vec<RateEvidence>;
    const ACCOUNTS: &'static [Account] = &[WIDER];

    fn new(_: &Plan, _: &GuardPlan) -> Self {
        Self
    }

    fn words(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
        let version = &plan.policy.baseline_version;
        let words = |fairness: &Fairness| {
            format!(
                "contain when the largest difference of {} between groups of {} is shown to exceed {version}'s by more \
                 than {}",
                fairness.rate.metric(),
                fairness.segment,
                fairness.margin
            )
        };
        guard.fairness.iter().map(words).collect()
    }

    fn traffic(&self, records: &mut Vec<RateEvidence>, shown: &Shown<'_, '_, Traffic>) {
        update(records, (shown.both, shown.learnt.effect), shown.scene, GroupRate::of_traffic);
    }

    fn labels(&self, records: &mut Vec<RateEvidence>, shown: &Shown<'_, '_, Quality>) {
        update(records, (shown.both, shown.learnt.effect), shown.scene, GroupRate::of_labels);
    }

    fn forget_labels(&self, records: &mut Vec<RateEvidence>, guard: &GuardPlan) {
        let of_labels = records.iter_mut().zip(&guard.fairness).filter(|(_, fairness)| fairness.rate.is_of_labels());
        of_labels.for_each(|(record, _)| *record = RateEvidence::default());
    }

    fn rule(&self, records: &mut Vec<RateEvidence>, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        for (fairness, record) in scene.guard.fairness.iter().zip(records.iter()) {
            record.rule(fairness, scene, verdict);
        }
    }
}

impl GroupRate {
    fn of_traffic(self, traffic: &Traffic) -> Option<Arm> {
        let rates = traffic.rates;
        match self {
            Self::ErrorRate => Some(Arm { n: rates.requests, x: count(rates.errors) }),
            Self::PositiveRate => Some(Arm { n: rates.predicted, x: count(rates.positive) }),
            Self::Accuracy | Self::Recall | Self::Precision => None,
        }
    }

    fn of_labels(self, quality: &Quality) -> Option<Arm> {
        let [hits, alarms, misses, passes] = quality.confusion;
        match self {
            Self::ErrorRate | Self::PositiveRate => None,
            Self::Accuracy => Some(Arm { n: quality.n, x: count(hits + passes) }),
            Self::Recall => Some(Arm { n: hits + misses, x: count(hits) }),
            Self::Precision => Some(Arm { n: hits + alarms, x: count(hits) }),
        }
    }
}

/// Takes a window of the rates that are read from its counts, and its design effect.
fn update<T>(
    records: &mut Vec<RateEvidence>,
    (both, deff): (&Both<'_, T>, f64),
    scene: Scene<'_, '_>,
    read: impl Fn(GroupRate, &T) -> Option<Arm>,
) {
    records.resize_with(scene.guard.fairness.len(), RateEvidence::default);
    for (fairness, record) in scene.guard.fairness.iter().zip(records) {
        let of_field = format!("{}=", fairness.segment);
        let window = groups(both, &of_field, |counts| read(fairness.rate, counts));
        if window.is_empty() {
            continue;
        }
        record.since.get_or_insert(scene.judged.start);
        record.windows += 1;
        record.take(window);
        record.look(plan(fairness, scene.guard), deff, scene.guard.segments_max);
    }
}

/// Rows of the groups that both versions have.
fn groups<'a, T>(both: &Both<'a, T>, of_field: &str, read: impl Fn(&'a T) -> Option<Arm>) -> Vec<(&'a str, [Arm; 2])> {
    let named = both.segments().filter(|(segment, _)| segment.starts_with(of_field));
    let arms = |(segment, _): (&'a str, &'a T)| {
        let pair = both.pair(segment)?;
        Some((segment, [read(pair.candidate)?, read(pair.baseline)?]))
    };
    named.filter_map(arms).collect()
}

/// Each rate has an equal part of the budget.
fn plan(fairness: &Fairness, guard: &GuardPlan) -> GapPlan {
    let GuardPlan { planned, windows_min, .. } = *guard;
    let alpha = guard.alpha / float(guard.fairness.len().max(1));
    GapPlan { tolerated: fairness.margin, alpha, planned, windows_min }
}

impl RateEvidence {
    fn take(&mut self, window: Vec<(&str, [Arm; 2])>) {
        for (segment, [candidate, baseline]) in window {
            if self.gap.is_some() && !self.chosen.iter().any(|chosen| chosen == segment) {
                continue;
            }
            let rows = self.rows.entry(segment.to_owned()).or_default();
            *rows = [rows[0].plus(candidate), rows[1].plus(baseline)];
        }
    }

    /// Chooses the groups once all have rows enough or there were windows enough, and looks at them when each has rows
    /// again.
    fn look(&mut self, plan: GapPlan, deff: f64, groups_max: u32) {
        let may_choose = self.windows >= plan.windows_min || self.rows.values().all(is_enough);
        if self.gap.is_none() && may_choose {
            self.choose(usize::try_from(groups_max).unwrap_or(usize::MAX));
        }
        let Some(gap) = &mut self.gap else { return };
        let looked: Vec<[Arm; 2]> = self.rows.values().copied().collect();
        if looked.iter().all(is_enough) {
            gap.update(plan, &looked, deff);
            self.rows.values_mut().for_each(|rows| *rows = Default::default());
        }
    }

    /// The busiest groups of which there are rows enough.
    fn choose(&mut self, groups_max: usize) {
        let mut by: Vec<(u64, String)> = self
            .rows
            .iter()
            .filter(|(_, rows)| is_enough(rows))
            .map(|(segment, rows)| (rows[0].n.min(rows[1].n), segment.clone()))
            .collect();
        by.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        by.truncate(groups_max);
        if by.len() >= 2 {
            self.rows.retain(|segment, _| by.iter().any(|(_, chosen)| chosen == segment));
            self.chosen = self.rows.keys().cloned().collect();
            self.gap = Some(GapEvidence::new(self.chosen.len()));
        }
    }

    fn rule(&self, fairness: &Fairness, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        let plan = plan(fairness, scene.guard);
        let e = self.gap.as_ref().map_or(1.0, |gap| e_value(gap.log_e()));
        let about = format!("{} by {}", fairness.rate.metric(), fairness.segment);
        let is_enough = verdict.spend_against(WIDER, &about, plan.alpha, e);
        let Some(gap) = self.gap.as_ref().filter(|_| is_enough) else { return };
        if scene.judged.order.1.speaks_of(fairness.rate.metric()) {
            let reason = reason(ReasonCode::FairnessGap, self.describe(fairness, gap));
            let evidence = vec![self.evidence(fairness, gap, scene)];
            verdict.findings.push(scene.finding(SOURCE, Action::Contain, reason, evidence));
        }
    }

    fn describe(&self, fairness: &Fairness, gap: &GapEvidence) -> String {
        let Fairness { segment, rate, margin } = fairness;
        let [candidate, baseline] = gap.widest();
        format!(
            "{} differs by {:.4} between groups of {segment} ({}), with the baseline version by {:.4} ({}), over all \
             {} so far; margin {margin}",
            rate.metric(),
            candidate.gap,
            self.named(gap, 0, candidate),
            baseline.gap,
            self.named(gap, 1, baseline),
            words::windows(self.windows)
        )
    }

    /// The two groups that are farthest apart, and their rates.
    fn named(&self, gap: &GapEvidence, version: usize, Widest { most, least, .. }: Widest) -> String {
        let rate = |group: usize| format!("{} {:.4}", self.chosen[group], gap.rows()[group][version].rate());
        format!("{}, {}", rate(most), rate(least))
    }

    /// Gaps are those of all windows so far.
    fn evidence(&self, fairness: &Fairness, gap: &GapEvidence, scene: Scene<'_, '_>) -> Evidence {
        let plan = plan(fairness, scene.guard);
        let [candidate, baseline] = gap.widest();
        let rows = |version: usize| gap.rows().iter().map(|arms| arms[version].n).sum();
        Evidence {
            metric: fairness.rate.metric().to_owned(),
            segment: fairness.segment.clone(),
            convention: "largest_difference".to_owned(),
            estimate: candidate.gap,
            bound: baseline.gap + fairness.margin,
            e_value: Some(e_value(gap.log_e())),
            alpha: Some(plan.alpha),
            margin: Some(fairness.margin),
            n_candidate: rows(0),
            n_baseline: rows(1),
            breaches: (self.windows, self.windows),
            window: (self.since.unwrap_or(scene.judged.start), scene.judged.end),
            ..scene.evidence(SOURCE, Test::Gap)
        }
    }
}

fn is_enough(rows: &[Arm; 2]) -> bool {
    rows.iter().all(|arm| arm.n >= ROWS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::view::{ViewKey, Views};
    use crate::sim::Rng;
    use crate::verdict::guard::tests::{judged, key, traffic};

    const SEX: [&str; 3] = ["sex=f", "sex=m", "sex=x"];

    fn guard(rate: GroupRate) -> GuardPlan {
        let fairness = vec![Fairness { segment: "sex".to_owned(), rate, margin: 0.02 }];
        GuardPlan { fairness, design_effect: 1.0, ..GuardPlan::default() }
    }

    fn answers(rng: &mut Rng, n: u64, positive: f64) -> Traffic {
        let mut traffic = traffic(n, 0);
        (traffic.rates.predicted, traffic.rates.positive) =
            (n, (0..n).filter(|_| rng.unit() < positive).count() as u64);
        traffic
    }

    /// What is said after so many windows, in which groups of these sizes had these shares of positive answers,
    /// candidate first.
    fn after(windows: u32, sizes: [[u64; 2]; 3], shares: [[f64; 2]; 3]) -> (Verdict, Vec<RateEvidence>) {
        let (guard, mut rng, mut records) = (guard(GroupRate::PositiveRate), Rng::new(7), Vec::new());
        let mut verdict = Verdict { safe: true, cleared: true, ..Verdict::default() };
        for _ in 0..windows {
            let mut views = Views::new();
            for (group, segment) in SEX.iter().enumerate() {
                for (version, name) in ["v2", "v1"].iter().enumerate() {
                    let of = ViewKey { segment: (*segment).to_owned(), ..key(name) };
                    views.insert(of, answers(&mut rng, sizes[group][version], shares[group][version]));
                    let other = ViewKey { segment: "sexes=both".to_owned(), ..key(name) };
                    views.insert(other, answers(&mut rng, 400, 0.9));
                }
            }
            judged(|judged| {
                let scene = Scene { judged, guard: &guard, model: "m", version: "v2", baseline: "v1" };
                let both = Both { views: &views, candidate: &key("v2"), baseline: &key("v1") };
                update(&mut records, (&both, 1.0), scene, GroupRate::of_traffic);
                verdict = Verdict { safe: true, cleared: true, ..Verdict::default() };
                FairnessGuard.rule(&mut records, scene, &mut verdict);
            });
        }
        let text = serde_json::to_string(&records).expect("a finite state");
        assert_eq!(serde_json::from_str::<Vec<RateEvidence>>(&text).expect("its own text"), records);
        (verdict, records)
    }

    const SIZES: [[u64; 2]; 3] = [[300, 1200], [150, 600], [50, 200]];

    #[test]
    fn a_group_that_is_answered_otherwise_is_named_with_both_gaps() {
        let (verdict, _) = after(20, SIZES, [[0.30, 0.30], [0.16, 0.28], [0.29, 0.29]]);
        let finding = verdict.findings.first().expect("a finding");
        assert_eq!((finding.action, finding.reason.code.to_string().as_str()), (Action::Contain, "FAIRNESS_GAP"));
        let (evidence, text) = (&finding.evidence[0], &finding.reason.text);
        assert_eq!((evidence.metric.as_str(), evidence.segment.as_str()), ("positive_rate", "sex"));
        assert!((0.11..0.17).contains(&evidence.estimate) && evidence.estimate > evidence.bound, "{evidence:?}");
        assert!(text.contains("differs by 0.1") && text.contains(", sex=m 0.1603), with the baseline"), "{text}");
        assert!(verdict.suspicious && !verdict.cleared);
    }

    #[test]
    fn what_falls_for_all_groups_or_differs_for_both_versions_is_no_gap() {
        for shares in [[[0.1, 0.3], [0.1, 0.3], [0.1, 0.3]], [[0.5, 0.5], [0.2, 0.2], [0.3, 0.3]]] {
            let (verdict, records) = after(60, SIZES, shares);
            assert!(verdict.findings.is_empty() && !verdict.suspicious, "{shares:?}: {:?}", verdict.findings);
            assert_eq!(records[0].chosen, SEX);
        }
    }

    #[test]
    fn windows_are_taken_together_until_each_group_has_rows_and_groups_too_small_are_left_out() {
        let sizes = [[60, 240], [6, 24], [1, 4]];
        let (_, records) = after(5, sizes, [[0.3; 2]; 3]);
        assert_eq!(records[0].chosen, SEX[..2]);
        let looked = records[0].gap.as_ref().expect("chosen").rows()[1];
        assert_eq!((looked[0].n, looked[1].n), (30, 120), "three windows, and two that make up a look");
    }
}
