//! Starvation: whether a candidate stops getting requests while the baseline version goes on.
//!
//! Where exposure is declared, `share` holds the candidate to it. Where it is not, the share that it usually gets is
//! all there is: a candidate that crashes, is taken out of the balancer or loses its log loses requests, and those that
//! are left are a selection. With `s` the share of both versions' requests that the candidate got in earlier windows (a
//! slow average), the evidence against "it still gets at least 0.7 s" are binomial likelihood ratios of smaller shares
//! against `0.7 s`: e-values for every share from there on, as those ratios fall with the share. They count for no more
//! than 1 while the candidate's own requests are above 0.7 of what is usual: then the baseline version got more, and
//! nobody was starved. A pool of Shiryaev-Roberts detectors gathers them (`infer::pool`).
//!
//! Exposure is held, as with any share that is not as it should be, and nobody is rolled back. What restricts a
//! candidate also takes traffic from it, so whenever another guard restricts it, what is usual is learnt anew. When
//! both versions fall silent nothing is judged at all; when the candidate alone does, the window is BLIND, and exposure
//! is held after some of them.
//!
//! **State**: nine numbers. **Cost**: a few logarithms a window.

use serde::{Deserialize, Serialize};

use crate::infer::pool::{AlarmRule, Pool};
use crate::plan::{Action, GuardPlan, Plan};
use crate::reason::ReasonCode;
use crate::summary::Traffic;
use crate::verdict::decision::{Evidence, Remark, Test};
use crate::verdict::finding::{Validity, Verdict};
use crate::verdict::guard::Guard;
use crate::verdict::guard::GuardName;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::number::{count, e_value, float};
use crate::verdict::guard::scene::{Scene, reason};
use crate::verdict::guard::window::Pair;
use crate::verdict::guard::window::Shown;

const SOURCE: GuardName = GuardName::Volume;
/// The part of what is usual that must go on coming.
/// Origin: choice; a loss of a third is to be noticed, the ups and downs of an hour are not.
const KEPT: f64 = 0.7;
/// Parts of what is usual that are bet on.
/// Origin: choice; from half of what is usual to hardly any.
const STARVED: [f64; 4] = [0.02, 0.1, 0.3, 0.5];
/// How quickly what is usual follows.
/// Origin: choice; a half-life of 23 windows.
const FOLLOW: f64 = 0.03;
/// Windows before anything is usual.
/// Origin: choice; half an hour of windows of five minutes.
const LEARNT: u32 = 6;
/// Evidence below this power of what acts clears.
/// Origin: choice; as in `drift`.
const CLEAR: f64 = 0.5;

const VOLUME: Account = Account::against("volume", "gets less traffic than it used to");

/// The guard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Volume;

/// What is known of a candidate's requests.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Starved {
    usual: TrafficLevel,
    pool: Pool,
    /// Requests of both versions in the newest window.
    newest: (u64, u64),
}

/// What it usually gets.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct TrafficLevel {
    windows: u32,
    share: f64,
    requests: f64,
}

impl Guard for Volume {
    type Memory = Starved;
    const ACCOUNTS: &'static [Account] = &[VOLUME];

    fn new(_: &Plan, _: &GuardPlan) -> Self {
        Self
    }

    fn traffic(&self, starved: &mut Starved, shown: &Shown<'_, '_, Traffic>) {
        let Scene { judged, model, version, guard, .. } = shown.scene;
        starved.update(shown.pair, guard, (judged.exposure)(model, version).declared_pct);
    }

    fn rule(&self, starved: &mut Starved, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        starved.rule(scene, verdict);
    }
}

impl Starved {
    /// Takes one window, unless a share is declared.
    fn update(&mut self, pair: Pair<'_, Traffic>, guard: &GuardPlan, declared_pct: Option<f64>) {
        if declared_pct.is_some() {
            *self = Self::default();
            return;
        }
        let (x, others) = (pair.candidate.served(), pair.baseline.served());
        self.newest = (x, others);
        // Who never got a request cannot get fewer: so it is where there are features and no answers.
        if self.usual.windows >= LEARNT && self.usual.share > 0.0 {
            for (part, starved) in STARVED.into_iter().enumerate() {
                let log_e = self.usual.log_e(starved, count(x), count(others)) / guard.design_effect.max(1.0);
                self.pool.update(part, log_e, 1.0 / float(STARVED.len()), alarm(guard));
            }
        }
        self.usual.follow(count(x), count(x + others));
    }

    /// Adds what starvation calls for.
    fn rule(&mut self, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        if verdict.findings.iter().any(|finding| finding.action >= Action::Hold) {
            *self = Self::default();
        }
        let (log_r, threshold) = (self.log_r(), alarm(scene.guard).threshold());
        verdict.account(VOLUME, scene.guard.alpha, e_value(log_r), libm::exp(threshold));
        verdict.cleared &= log_r < CLEAR * threshold;
        if log_r < threshold {
            return;
        }
        verdict.validity = verdict.validity.max(Validity::Degraded);
        let (x, others) = self.newest;
        let observed = count(x) / count((x + others).max(1));
        let usual = self.usual.share;
        let text = format!(
            "the candidate got {:.2} % of both versions' requests in the last window, it used to get {:.2} % or more, and nobody declared it: \
             requests are lost, or kept from it",
            observed * 100.0,
            usual * 100.0
        );
        let evidence = Evidence {
            metric: "throughput".to_owned(),
            convention: "share".to_owned(),
            estimate: observed,
            bound: KEPT * usual,
            e_value: Some(e_value(log_r)),
            alpha: Some(1.0 / scene.guard.patience()),
            margin: Some(KEPT),
            n_candidate: x,
            n_baseline: others,
            flags: vec![Remark::VerdictVoid.into()],
            ..scene.evidence(SOURCE, Test::ShiryaevRoberts)
        };
        verdict.findings.push(scene.finding(
            SOURCE,
            Action::Hold,
            reason(ReasonCode::TrafficMismatch, text),
            vec![evidence],
        ));
    }
}

impl Starved {
    fn log_r(&self) -> f64 {
        self.pool.log_mean((0..STARVED.len()).map(|part| (part, 1.0 / float(STARVED.len()))))
    }
}

fn alarm(guard: &GuardPlan) -> AlarmRule {
    AlarmRule { patience: guard.patience(), windows_min: guard.windows_min }
}

impl TrafficLevel {
    /// The log of the likelihood ratio of a part of the usual share, given `x` requests beside `others`.
    fn log_e(&self, part: f64, x: f64, others: f64) -> f64 {
        let (share, edge) = (part * self.share, KEPT * self.share);
        let log_e = x * libm::log(share / edge) + others * (libm::log1p(-share) - libm::log1p(-edge));
        if x > KEPT * self.requests { log_e.min(0.0) } else { log_e }
    }

    fn follow(&mut self, x: f64, all: f64) {
        let by = if self.windows < LEARNT { 1.0 / f64::from(self.windows + 1) } else { FOLLOW };
        self.share += by * (x / all.max(1.0) - self.share);
        self.requests += by * (x - self.requests);
        self.windows = self.windows.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Rng;
    use crate::verdict::guard::tests::{judged, traffic};

    /// The actions called for after each window of so many requests of either version.
    fn said(windows: impl Iterator<Item = (u64, u64)>) -> Vec<Action> {
        let (guard, mut starved) = (GuardPlan::default(), Starved::default());
        let one = |(x, others): (u64, u64)| {
            let (candidate, baseline) = (traffic(x, 0), traffic(others, 0));
            starved.update(Pair { candidate: &candidate, baseline: &baseline }, &guard, None);
            let mut verdict = Verdict::default();
            judged(|judged| {
                let scene = Scene { judged, guard: &guard, model: "m", version: "v2", baseline: "v1" };
                starved.rule(scene, &mut verdict);
            });
            verdict.findings.first().map_or(Action::Observe, |finding| finding.action)
        };
        windows.map(one).collect()
    }

    fn held(actions: &[Action]) -> Option<usize> {
        actions.iter().position(|action| *action == Action::Hold)
    }

    #[test]
    fn a_candidate_that_starves_is_held_and_not_after_one_window() {
        let windows = |lean: u64| (0..30).map(move |t| (if t < 10 { 60 } else { lean }, 200));
        for lean in [1, 6, 18] {
            let first = held(&said(windows(lean)));
            assert!(first.is_some_and(|window| (12..20).contains(&window)), "{lean}: {first:?}");
        }
        let blip = (0..30).map(|t| (if t == 10 { 1 } else { 60 }, 200));
        assert_eq!(held(&said(blip)), None);
    }

    #[test]
    fn nobody_starves_when_all_traffic_falls_or_the_baseline_version_gets_more() {
        let both = (0..60).map(|t| if t < 10 { (60, 200) } else { (12, 40) });
        assert_eq!(held(&said(both)), None);
        let campaign = (0..60).map(|t| (60, if t < 10 { 200 } else { 2000 }));
        assert_eq!(held(&said(campaign)), None);
        let growth = (0..60).map(|t| (60, 200 + 10 * t));
        assert_eq!(held(&said(growth)), None);
    }

    #[test]
    fn who_never_got_a_request_does_not_starve() {
        for window in [(0, 0), (0, 200)] {
            assert_eq!(held(&said((0..60).map(|_| window))), None, "{window:?}");
        }
        let late = (0..60).map(|t| (if t < 20 { 0 } else { 60 }, 200));
        assert_eq!(held(&said(late)), None);
    }

    /// One alarm in 28,800 windows is allowed; a day's cycle, users who come in bursts, and steps up raise none in
    /// 20,000.
    #[test]
    fn cycles_bursts_and_steps_up_are_no_starvation() {
        for seed in 0..40 {
            let mut rng = Rng::new(seed);
            let windows = (0..500_u32).map(|t| {
                let day = 1.0 + 0.7 * libm::sin(f64::from(t) * std::f64::consts::TAU / 24.0);
                let step = if t < 100 { 0.25 } else { 1.0 };
                // Users ask three times each.
                let mut drawn =
                    |mean: f64| 3 * (0..1000).map(|_| u64::from(rng.chance(mean * day / 3000.0))).sum::<u64>();
                (drawn(100.0 * step).max(1), drawn(400.0).max(1))
            });
            assert_eq!(held(&said(windows)), None, "seed {seed}");
        }
    }

    #[test]
    fn what_another_guard_takes_is_not_missed() {
        let (guard, mut starved, mut verdict) = (GuardPlan::default(), Starved::default(), Verdict::default());
        let (candidate, baseline) = (traffic(60, 0), traffic(200, 0));
        (0..10).for_each(|_| starved.update(Pair { candidate: &candidate, baseline: &baseline }, &guard, None));
        judged(|judged| {
            let scene = Scene { judged, guard: &guard, model: "m", version: "v2", baseline: "v1" };
            let other = scene.finding(
                GuardName::Change,
                Action::Contain,
                reason(ReasonCode::FeatureDrift, String::new()),
                Vec::new(),
            );
            verdict.findings.push(other);
            starved.rule(scene, &mut verdict);
        });
        assert_eq!((starved, verdict.findings.len()), (Starved::default(), 1));
    }
}
