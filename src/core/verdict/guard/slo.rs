//! Hard limits: what no version may do, whatever the other one does.
//!
//! Each limit is a largest share of events (failed, refused, without a usable score, slower than a latency) and has its
//! own e-process (`infer::binomial_limit`) at its own level, `SloPlan::alpha`, which is spent beside the guardrails'
//! and stands in the ledger. One window may be enough, once the candidate has had `SloPlan::n_min` events. A limit that
//! both versions break is the world's doing: sending everybody back to the baseline would not help, so exposure is only
//! held.
//!
//! *Burn* is how fast the error budget goes: the share over the last hour's worth of windows over the limit (Beyer et
//! al., The Site Reliability Workbook, 2018, chapter 5); above 1, in the newest window too, it is worth a warning.
//!
//! **State**: eight bets for each limit and version, and counts of the last 12 windows.

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::infer::binomial_limit::LimitProcess;
use crate::infer::two_sample::Arm;
use crate::metric;
use crate::plan::{Action, ColumnRole, GuardPlan, Plan, SloPlan};
use crate::reason::ReasonCode;
use crate::summary::Traffic;
use crate::verdict::decision::{Evidence, Test};
use crate::verdict::finding::{Finding, Verdict};
use crate::verdict::guard::Guard;
use crate::verdict::guard::GuardName;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::number::{count, e_value};
use crate::verdict::guard::scene::{Scene, reason};
use crate::verdict::guard::window::Pair;
use crate::verdict::guard::window::Shown;
use crate::verdict::words::percent;

const SOURCE: GuardName = GuardName::Limits;
/// Windows that burn is taken over.
/// Origin: choice; an hour of windows of five minutes.
const BURN_WINDOWS: usize = 12;

const LIMIT: Account = Account::against("slo:", "beyond its limit");

/// The limits of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Limits(Vec<Limit>);

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limit {
    what: What,
    /// Largest share.
    share: f64,
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Failed,
    Rejected,
    /// No usable score, in the numeric column with this index.
    Missing(usize),
    /// Slower than so many milliseconds.
    Slow(f64),
}

impl What {
    /// What becomes of the events that count.
    fn happens(self) -> String {
        match self {
            Self::Failed => "failed".to_owned(),
            Self::Rejected => "were refused".to_owned(),
            Self::Missing(_) => "had no score".to_owned(),
            Self::Slow(ms) => format!("took longer than {ms} ms"),
        }
    }
}

/// What is known about one limit; the candidate's first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct LimitEvidence {
    beyond: [LimitProcess; 2],
    total: [Arm; 2],
    /// The candidate's newest windows, newest last.
    newest: Vec<Arm>,
    /// Start of the first window.
    #[serde(default)]
    since: Option<Micros>,
}

impl Guard for Limits {
    type Memory = Vec<LimitEvidence>;
    const ACCOUNTS: &'static [Account] = &[LIMIT];

    fn new(plan: &Plan, guard: &GuardPlan) -> Self {
        Self(limits(plan, &guard.slo))
    }

    fn words(_: &Plan, guard: &GuardPlan) -> Vec<String> {
        let at_once = |limit| format!("roll back at once when {limit}, whatever others do");
        in_words(&guard.slo).map(at_once).collect()
    }

    fn traffic(&self, all: &mut Vec<LimitEvidence>, shown: &Shown<'_, '_, Traffic>) {
        all.resize_with(self.0.len(), LimitEvidence::default);
        for (kept, &limit) in all.iter_mut().zip(&self.0) {
            kept.update(limit, shown.pair, shown.scene.guard.planned, shown.learnt.effect);
            kept.begin(shown.scene.judged.start);
        }
    }

    fn rule(&self, all: &mut Vec<LimitEvidence>, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        all.iter().zip(&self.0).for_each(|(kept, &limit)| kept.rule(limit, scene, verdict));
    }
}

fn in_words(slo: &SloPlan) -> impl Iterator<Item = String> {
    let share = |limit: Option<f64>, what: &str| limit.map(|limit| format!("more than {} {what}", percent(limit)));
    let latency = slo.latency_ms.map(|ms| {
        let slower = percent(1.0 - slo.latency_quantile);
        format!("more than {slower} of its answers take longer than {ms} ms")
    });
    let limits = [
        share(slo.error_rate, "of its answers fail"),
        share(slo.rejected_rate, "of requests to it are refused"),
        share(slo.missing_rate, "of its answers have no score"),
        latency,
    ];
    limits.into_iter().flatten()
}

fn limits(plan: &Plan, slo: &SloPlan) -> Vec<Limit> {
    let of = |what: What, share: Option<f64>| share.map(|share| Limit { what, share });
    let score = plan.columns.index_of(ColumnRole::Score);
    let slow = slo.latency_ms.and_then(|ms| of(What::Slow(ms), Some(1.0 - slo.latency_quantile)));
    let all = [
        of(What::Failed, slo.error_rate),
        of(What::Rejected, slo.rejected_rate),
        score.and_then(|column| of(What::Missing(column), slo.missing_rate)),
        slow,
    ];
    all.into_iter().flatten().collect()
}

impl Limit {
    fn count(self, traffic: &Traffic) -> Arm {
        let rates = &traffic.rates;
        match self.what {
            What::Failed => Arm { n: rates.requests, x: count(rates.errors) },
            What::Rejected => Arm { n: rates.requests, x: count(rates.rejected) },
            What::Missing(column) => {
                // Requests without success have no score either, and that is not the score's fault.
                let answered = rates.requests.saturating_sub(rates.errors + rates.rejected);
                let usable = traffic.numeric[column].n().min(answered);
                Arm { n: answered, x: count(answered - usable) }
            }
            What::Slow(ms) => {
                let (slower, n) = traffic.slower_than(ms);
                Arm { n, x: count(slower) }
            }
        }
    }

    /// The metric that shows it, and the reason code.
    fn metric(self) -> (String, ReasonCode) {
        match self.what {
            What::Failed => ("error_rate".to_owned(), ReasonCode::SloBurn),
            What::Rejected => ("rejected_rate".to_owned(), ReasonCode::SchemaBreak),
            What::Missing(_) => ("missing_rate".to_owned(), ReasonCode::DataQuality),
            What::Slow(_) => (metric::latency_quantile(1.0 - self.share), ReasonCode::SloBurn),
        }
    }
}

impl LimitEvidence {
    /// Notes when the first window began.
    fn begin(&mut self, start: Micros) {
        self.since.get_or_insert(start);
    }

    /// Takes one window; the design effect is the one known before it.
    fn update(&mut self, limit: Limit, pair: Pair<'_, Traffic>, planned: u32, deff: f64) {
        for (side, traffic) in [pair.candidate, pair.baseline].into_iter().enumerate() {
            let arm = limit.count(traffic);
            self.beyond[side].update(arm, limit.share, planned, deff);
            self.total[side] = self.total[side].plus(arm);
            if side == 0 {
                self.newest.push(arm);
            }
        }
        let surplus = self.newest.len().saturating_sub(BURN_WINDOWS);
        self.newest.drain(..surplus);
    }

    /// How fast the budget goes over the last windows, and in the newest.
    fn burn(&self, limit: Limit) -> (f64, f64) {
        let burn = |arm: Arm| if arm.n > 0 { arm.x / count(arm.n) / limit.share } else { 0.0 };
        let sum = self.newest.iter().fold(Arm::default(), |sum, arm| sum.plus(*arm));
        (burn(sum), self.newest.last().map_or(0.0, |newest| burn(*newest)))
    }

    /// Adds what the limit calls for.
    fn rule(&self, limit: Limit, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        let (alpha, n_min) = (scene.guard.slo.alpha, scene.guard.slo.n_min);
        let (metric, code) = limit.metric();
        let e = [0, 1].map(|side: usize| e_value(self.beyond[side].log_e(scene.guard.planned)));
        verdict.spend(LIMIT, &metric, alpha, e[0]);
        let broken = e.map(|e| e >= 1.0 / alpha);
        let burn = self.burn(limit);
        let action = match broken {
            [true, _] if self.total[0].n < n_min => return,
            [true, false] => Action::Rollback,
            [true, true] => Action::Hold,
            [false, _] if burn.0 > 1.0 && burn.1 > 1.0 && self.total[0].n >= n_min => Action::Warn,
            [false, _] => return,
        };
        verdict.cleared &= !broken[0];
        let share = self.total[0].x / count(self.total[0].n.max(1));
        let world = if broken[1] { ", and so does the baseline version" } else { "" };
        let text = format!(
            "{metric} breaks its limit{world}: {share:.4} of all {} events so far {}, at most {} are allowed; over the \
             last {} windows the budget burns {:.1} times too fast",
            self.total[0].n,
            limit.what.happens(),
            limit.share,
            self.newest.len(),
            burn.0
        );
        let evidence = Evidence {
            metric,
            convention: "share".to_owned(),
            estimate: share,
            bound: limit.share,
            e_value: Some(e[0]),
            alpha: Some(alpha),
            n_candidate: self.total[0].n,
            n_baseline: self.total[1].n,
            flags: vec![format!("burn_{:.1}", burn.0).into()],
            window: (self.since.unwrap_or(scene.judged.start), scene.judged.end),
            ..scene.evidence(SOURCE, Test::Limit)
        };
        let finding = scene.finding(SOURCE, action, reason(code, text), vec![evidence]);
        verdict.findings.push(Finding { world: broken[1], ..finding });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::guard::tests::{judged, traffic};

    const FAILURES: Limit = Limit { what: What::Failed, share: 0.02 };

    fn rule(kept: &LimitEvidence) -> Verdict {
        let (guard, mut verdict) = (GuardPlan::default(), Verdict { cleared: true, ..Verdict::default() });
        judged(|judged| {
            let scene = Scene { judged, guard: &guard, model: "m", version: "v2", baseline: "v1" };
            kept.rule(FAILURES, scene, &mut verdict);
        });
        verdict
    }

    fn after(windows: u32, candidate: (u64, u64), baseline: (u64, u64)) -> Verdict {
        let mut kept = LimitEvidence::default();
        let (candidate, baseline) = (traffic(candidate.0, candidate.1), traffic(baseline.0, baseline.1));
        (0..windows).for_each(|_| kept.update(FAILURES, Pair { candidate: &candidate, baseline: &baseline }, 288, 1.0));
        rule(&kept)
    }

    fn actions(verdict: &Verdict) -> Vec<Action> {
        verdict.findings.iter().map(|finding| finding.action).collect()
    }

    #[test]
    fn a_limit_on_latency_names_the_quantile_that_it_limits() {
        for (quantile, name) in
            [(0.5, "latency_p50"), (0.9, "latency_p90"), (0.95, "latency_p95"), (0.99, "latency_p99")]
        {
            let limit = Limit { what: What::Slow(250.0), share: 1.0 - quantile };
            assert_eq!(limit.metric().0, name);
            assert!(crate::metric::find(name).is_some());
        }
    }

    #[test]
    fn one_window_is_enough_when_the_candidate_alone_breaks_a_limit() {
        let verdict = after(1, (500, 50), (500, 2));
        assert_eq!((actions(&verdict), verdict.cleared), (vec![Action::Rollback], false));
        assert!(verdict.ledger[0].e_value >= verdict.ledger[0].threshold);
        assert_eq!(verdict.findings[0].reason.code, ReasonCode::SloBurn);
    }

    #[test]
    fn what_both_break_is_held_and_too_few_events_say_nothing() {
        assert_eq!(actions(&after(1, (500, 50), (500, 50))), [Action::Hold]);
        assert_eq!(actions(&after(1, (150, 40), (500, 2))), []);
        assert_eq!(actions(&after(40, (500, 10), (500, 10))), [], "the limit itself is allowed");
    }

    #[test]
    fn a_budget_that_burns_too_fast_is_worth_a_warning() {
        assert_eq!(actions(&after(3, (500, 12), (500, 2))), [Action::Warn]);
    }
}
