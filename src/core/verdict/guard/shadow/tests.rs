//! What pairs show, and when they show nothing.

use super::*;
use crate::metric::view::Views;
use crate::sim::Rng;
use crate::summary::PairLosses;
use crate::summary::pairs::PairedLoss;
use crate::verdict::guard::rails::entities::Inflation;
use crate::verdict::guard::rails::noise::LatencyHistory;
use crate::verdict::guard::tests::{judged, judged_labels, key, traffic};
use crate::verdict::guard::window::{Both, Learnt};

const PLAN: ShadowPlan =
    ShadowPlan { share: 1.0, wait: 0, tolerance: None, disagreement: 0.05, margin: 1.0, pending_max: 1 };
const WATCH: Watch = Watch { shadow: PLAN, task: Task::Multiclass, has_scores: true, has_labels: true };

/// How often the shadow and the baseline version err, and the correlation of their errors.
#[derive(Clone, Copy)]
struct World {
    rates: [f64; 2],
    correlation: f64,
}

impl World {
    fn losses(self, rng: &mut Rng, n: u32) -> PairLosses {
        let [mine, baseline] = self.rates;
        let both = mine * baseline + self.correlation * (mine * (1.0 - mine) * baseline * (1.0 - baseline)).sqrt();
        let mut losses = PairLosses::default();
        for _ in 0..n {
            let u = rng.unit();
            let wrong = [u < mine, u < both || (mine..mine + baseline - both).contains(&u)];
            let answer = |wrong| Some(PairedLoss { loss: f64::from(u8::from(wrong)), wrong });
            losses.add(Task::Multiclass, false, PLAN.margin, wrong.map(answer));
        }
        losses
    }
}

fn learnt() -> Learnt {
    let inflation = Inflation { failed: 1.0, slow: [1.0; 3], losses: 1.0, columns: 1.0 };
    Learnt { inflation, effect: 1.0, segments: Vec::new() }
}

/// Shows labels of a window; what is said then.
fn show(watch: Watch, memory: &mut ShadowMemory, losses: PairLosses) -> Verdict {
    let (guard, mut verdict) = (GuardPlan::default(), Verdict { safe: true, cleared: true, ..Verdict::default() });
    let (candidate, baseline, history) = (key("v2"), key("v1"), LatencyHistory::default());
    let quality = Quality { pairs: losses, ..Quality::default() };
    let views = Views::from([(candidate.clone(), quality), (baseline.clone(), Quality::default())]);
    judged_labels(&views, |judged| {
        let scene = Scene { judged, guard: &guard, model: "m", version: "v2", baseline: "v1" };
        let both = Both { views: &views, candidate: &candidate, baseline: &baseline };
        let pair = both.pair("").expect("both versions");
        let shown = Shown { both: &both, pair, scene, history: &history, learnt: &learnt() };
        ShadowGuard(Some(watch)).labels(memory, &shown);
        ShadowGuard(Some(watch)).rule(memory, scene, &mut verdict);
    });
    verdict
}

/// Shows traffic of a window; what is said then.
fn show_answers(memory: &mut ShadowMemory, pairs: Pairs, baseline_alone: u64) -> Verdict {
    let (guard, mut verdict) = (GuardPlan::default(), Verdict { safe: true, cleared: true, ..Verdict::default() });
    let (candidate, baseline, history) = (key("v2"), key("v1"), LatencyHistory::default());
    let of = |pairs| Traffic { pairs, ..traffic(100, 0) };
    let alone = Pairs { unpaired: baseline_alone, ..Pairs::default() };
    let views = Views::from([(candidate.clone(), of(pairs)), (baseline.clone(), of(alone))]);
    judged(|judged| {
        let scene = Scene { judged, guard: &guard, model: "m", version: "v2", baseline: "v1" };
        let both = Both { views: &views, candidate: &candidate, baseline: &baseline };
        let pair = both.pair("").expect("both versions");
        let shown = Shown { both: &both, pair, scene, history: &history, learnt: &learnt() };
        ShadowGuard(Some(WATCH)).traffic(memory, &shown);
        ShadowGuard(Some(WATCH)).rule(memory, scene, &mut verdict);
        memory.rule_alone(&mut verdict);
    });
    verdict
}

/// The windows of 100 requests after which the shadow is rejected, at most 200.
fn windows(world: World, margin: f64, seed: u64) -> Option<u32> {
    let watch = Watch { shadow: ShadowPlan { margin, ..PLAN }, ..WATCH };
    let (mut rng, mut memory) = (Rng::new(seed), ShadowMemory::default());
    (1..=200).find(|_| !show(watch, &mut memory, world.losses(&mut rng, 100)).findings.is_empty())
}

fn median(world: World) -> u32 {
    let mut all: Vec<u32> = (0..41).map(|seed| windows(world, 1.0, seed).unwrap_or(u32::MAX)).collect();
    all.sort_unstable();
    all[20]
}

/// Two versions that err in 12 and in 10 of a hundred requests, mostly in the same: outcomes of unpaired samples take
/// 59 windows.
#[test]
fn the_more_two_versions_err_together_the_sooner_it_shows() {
    for (correlation, most) in [(0.5, 36), (0.8, 15), (0.9, 10)] {
        let found = median(World { rates: [0.12, 0.10], correlation });
        assert!(found <= most, "correlation {correlation}: {found} windows, {most} at most");
    }
}

#[test]
fn a_shadow_that_is_alike_or_at_its_margin_is_not_rejected() {
    for (rates, margin) in [([0.1, 0.1], 1.0), ([0.11, 0.1], 1.1)] {
        for correlation in [0.5, 0.9] {
            let rejected =
                (0..40).filter(|&seed| windows(World { rates, correlation }, margin, seed).is_some()).count();
            assert!(rejected <= 1, "{rejected} of 40 at {rates:?}, correlation {correlation}");
        }
    }
}

#[test]
fn what_is_told_are_both_losses_on_the_same_requests() {
    let (mut rng, mut memory) = (Rng::new(1), ShadowMemory::default());
    let world = World { rates: [0.3, 0.1], correlation: 0.4 };
    let verdict = (0..20).map(|_| show(WATCH, &mut memory, world.losses(&mut rng, 200))).last().expect("windows");
    let finding = verdict.findings.first().expect("a finding");
    assert_eq!((finding.action, finding.reason.code.to_string().as_str()), (Action::Rollback, "OUTCOME_REGRESSION"));
    let evidence = &finding.evidence[0];
    assert!((evidence.estimate - 0.2).abs() < 0.03 && evidence.n_candidate == 4_000, "{evidence:?}");
    assert!(verdict.same_requests.is_some_and(|e| e < 1.0), "nothing speaks for it");
    let better = World { rates: [0.05, 0.1], correlation: 0.4 };
    let mut memory = ShadowMemory::default();
    let verdict = (0..40).map(|_| show(WATCH, &mut memory, better.losses(&mut rng, 200))).last().expect("windows");
    assert!(verdict.findings.is_empty() && verdict.same_requests.is_some_and(|e| e > 20.0), "{verdict:?}");
    let text = serde_json::to_string(&memory).expect("a finite state");
    assert_eq!(serde_json::from_str::<ShadowMemory>(&text).expect("its own text"), memory);
}

#[test]
fn quantities_are_held_against_each_other_by_which_is_farther_off() {
    let watch = Watch { task: Task::Regression, shadow: ShadowPlan { margin: 1.05, ..PLAN }, ..WATCH };
    let rejects = |worse: f64| {
        let (mut rng, mut memory) = (Rng::new(2), ShadowMemory::default());
        (0..60).any(|_| {
            let mut losses = PairLosses::default();
            for _ in 0..100 {
                let shared = rng.normal();
                let error =
                    |own: f64, times: f64| Some(PairedLoss { loss: (times * (shared + own)).abs(), wrong: false });
                let answers = [error(0.3 * rng.normal(), worse), error(0.3 * rng.normal(), 1.0)];
                losses.add(Task::Regression, true, 1.05, answers);
            }
            !show(watch, &mut memory, losses).findings.is_empty()
        })
    };
    assert!(rejects(1.3) && !rejects(1.0));
}

#[test]
fn scores_are_held_against_each_other_by_their_squared_errors() {
    let watch = Watch { task: Task::Binary, shadow: ShadowPlan { margin: 1.05, ..PLAN }, ..WATCH };
    let rejects = |tilt: f64| {
        let (mut rng, mut memory) = (Rng::new(3), ShadowMemory::default());
        (0..60).any(|_| {
            let mut losses = PairLosses::default();
            for _ in 0..200 {
                let p = rng.unit();
                let label = f64::from(u8::from(rng.unit() < p));
                let answer = |score: f64| {
                    Some(PairedLoss { loss: (score - label) * (score - label), wrong: (score < 0.5) == (label > 0.5) })
                };
                losses.add(Task::Binary, true, 1.05, [answer((p + tilt).min(1.0)), answer(p)]);
            }
            !show(watch, &mut memory, losses).findings.is_empty()
        })
    };
    assert!(rejects(0.3) && !rejects(0.02));
}

#[test]
fn other_answers_are_worth_a_warning_and_no_more() {
    let said = |disagreed: u64| {
        let mut memory = ShadowMemory::default();
        let pairs = Pairs { paired: 200, compared: 200, disagreed, ..Pairs::default() };
        (0..20).map(|_| show_answers(&mut memory, pairs, 0)).last().expect("windows")
    };
    assert!(said(10).findings.is_empty(), "as many as are tolerated");
    let verdict = said(30);
    assert_eq!(verdict.findings.iter().map(|finding| finding.action).collect::<Vec<_>>(), [Action::Warn]);
    assert!((verdict.findings[0].evidence[0].estimate - 0.15).abs() < 1e-12);
    assert!(verdict.safe);
    assert_eq!(verdict.same_requests, Some(1.0), "no label has come yet");
}

#[test]
fn pairs_of_a_window_in_which_too_many_stay_alone_do_not_count() {
    let pairs = |paired, unpaired| Pairs { paired, unpaired, ..Pairs::default() };
    let is_void = |pairs, baseline_alone, share| {
        Watch { shadow: ShadowPlan { share, ..PLAN }, ..WATCH }.alone(pairs, baseline_alone).is_some()
    };
    assert!(!is_void(pairs(1_000, 5), 5, 1.0));
    assert!(is_void(pairs(1_000, 50), 0, 1.0), "the baseline version's answers are missing");
    assert!(is_void(pairs(1_000, 0), 50, 1.0), "the candidate's are");
    assert!(!is_void(pairs(100, 0), 920, 0.1), "a tenth is mirrored, give or take");
    assert!(is_void(pairs(50, 0), 950, 0.1));
    assert!(!is_void(pairs(0, 700), 300, 1.0), "nothing is mirrored any more");
    let mut memory = ShadowMemory::default();
    let verdict = show_answers(&mut memory, pairs(100, 40), 0);
    assert!(!verdict.safe && verdict.validity == Validity::Degraded);
    assert_eq!(
        verdict.waits_for,
        ["pairs: 28.6 % of the candidate's requests and 0.0 % of the baseline's stayed alone"]
    );
    let mut rng = Rng::new(4);
    show(WATCH, &mut memory, World { rates: [0.9, 0.1], correlation: 0.0 }.losses(&mut rng, 100));
    assert_eq!(memory.losses, None, "its labels say nothing");
}

#[test]
fn requests_before_the_mirror_began_are_not_lost() {
    let pairs = Pairs { paired: 600, compared: 600, ..Pairs::default() };
    let mut memory = ShadowMemory::default();
    assert!(show_answers(&mut memory, pairs, 400).safe, "it began within the first window");
    assert!(!show_answers(&mut memory, pairs, 400).safe, "it is there, and loses requests");
}

#[test]
fn a_candidate_that_never_had_a_pair_does_not_pass() {
    let alone = Pairs { unpaired: 600, ..Pairs::default() };
    let mut memory = ShadowMemory::default();
    let verdict = show_answers(&mut memory, alone, 600);
    assert!(!verdict.safe && verdict.validity == Validity::Degraded);
    assert_eq!(verdict.waits_for, ["pairs: no request of the candidate has one: nothing is mirrored, or ids differ"]);
    assert!(show_answers(&mut memory, Pairs { paired: 600, compared: 600, ..Pairs::default() }, 400).safe);
    assert!(show_answers(&mut memory, alone, 600).safe, "it was a shadow, and serves users");
    let nothing = show_answers(&mut ShadowMemory::default(), Pairs::default(), 600);
    assert!(nothing.waits_for.is_empty(), "it has no requests");
}
