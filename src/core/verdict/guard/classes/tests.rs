//! Which classes are told of, and which are not.

use super::*;
use crate::metric::view::Views;
use crate::sim::Rng;
use crate::verdict::guard::rails::entities::Inflation;
use crate::verdict::guard::rails::noise::LatencyHistory;
use crate::verdict::guard::tests::{judged_labels, key};
use crate::verdict::guard::window::{Both, Learnt};

const CLASSES: [&str; 5] = ["ant", "bee", "cat", "dog", "eel"];

/// Labels of a window: each class has so many, of which a share is answered with the next class.
fn labels(rng: &mut Rng, n: [u64; 5], missed: [f64; 5]) -> Quality {
    let mut quality = Quality::default();
    for (class, (n, missed)) in n.into_iter().zip(missed).enumerate() {
        for _ in 0..n {
            let answer = if rng.unit() < missed { (class + 1) % CLASSES.len() } else { class };
            quality.n += 1;
            quality.positive += u64::from(answer == class);
            quality.classes.count(CLASSES[class], CLASSES[answer]);
        }
    }
    quality
}

/// What is said after so many windows in which the candidate missed these shares, and the baseline version a tenth.
fn after(windows: u32, n: [u64; 5], missed: [f64; 5]) -> (Verdict, ClassMemory) {
    let guard = GuardPlan { classes: Some(1.2), design_effect: 1.0, ..GuardPlan::default() };
    let inflation = Inflation { failed: 1.0, slow: [1.0; 3], losses: 1.0, columns: 1.0 };
    let learnt = Learnt { inflation, effect: 1.0, segments: Vec::new() };
    let (mut rng, mut memory, mut verdict) = (Rng::new(7), ClassMemory::default(), Verdict::default());
    let (candidate, baseline, history) = (key("v2"), key("v1"), LatencyHistory::default());
    for _ in 0..windows {
        let of = [labels(&mut rng, n, missed), labels(&mut rng, n.map(|n| 4 * n), [0.1; 5])];
        let views: Views<Quality> = [candidate.clone(), baseline.clone()].into_iter().zip(of).collect();
        judged_labels(&views, |judged| {
            let scene = Scene { judged, guard: &guard, model: "m", version: "v2", baseline: "v1" };
            let both = Both { views: &views, candidate: &candidate, baseline: &baseline };
            let pair = both.pair("").expect("both versions");
            let shown = Shown { both: &both, pair, scene, history: &history, learnt: &learnt };
            ClassGuard.labels(&mut memory, &shown);
            verdict = Verdict { safe: true, cleared: true, ..Verdict::default() };
            ClassGuard.rule(&mut memory, scene, &mut verdict);
        });
    }
    let text = serde_json::to_string(&memory).expect("a finite state");
    assert_eq!(serde_json::from_str::<ClassMemory>(&text).expect("its own text"), memory);
    (verdict, memory)
}

const N: [u64; 5] = [400, 200, 100, 60, 40];

#[test]
fn a_class_that_fails_alone_is_named_with_what_it_is_taken_for() {
    let (verdict, _) = after(7, N, [0.1, 0.1, 0.1, 0.1, 0.4]);
    let finding = verdict.findings.first().expect("a finding");
    assert_eq!((finding.action, finding.reason.code.to_string().as_str()), (Action::Rollback, "OUTCOME_REGRESSION"));
    let of: Vec<_> = finding.evidence.iter().map(|one| (one.metric.as_str(), one.column.as_str())).collect();
    assert_eq!(of, [("recall", "eel"), ("precision", "ant")], "eels are answered with ants");
    let evidence = &finding.evidence[0];
    assert!((0.55..0.65).contains(&evidence.estimate) && (0.85..0.91).contains(&evidence.bound), "{evidence:?}");
    assert!(evidence.lo < Some(evidence.estimate) && evidence.hi > Some(evidence.estimate), "{evidence:?}");
    assert_eq!((evidence.n_candidate, evidence.n_baseline), (6 * 40, 6 * 160), "the first window says which there are");
    assert!(finding.reason.text.starts_with("worse than its margin: recall of eel (0."), "{}", finding.reason.text);
    assert!(finding.reason.text.contains(", over all 6 windows so far; margin x1.2)"), "{}", finding.reason.text);
}

#[test]
fn all_classes_together_are_named_first_where_each_is_a_little_worse() {
    let (verdict, _) = after(30, N, [0.16; 5]);
    let evidence = &verdict.findings.first().expect("a finding").evidence;
    assert_eq!((evidence[0].metric.as_str(), evidence[0].column.as_str()), ("accuracy", ""));
    assert!((0.83..0.85).contains(&evidence[0].estimate), "{:?}", evidence[0]);
}

#[test]
fn what_errs_as_often_says_nothing_and_half_of_it_is_known_by_all_answers() {
    let (verdict, memory) = after(60, N, [0.1; 5]);
    assert!(verdict.findings.is_empty() && !verdict.suspicious && verdict.cleared);
    assert_eq!((memory.places, memory.classes.len()), (10, 5));
    let guard = GuardPlan::default();
    let all: Vec<Watched<'_>> = memory.watched(&guard, 1.2).collect();
    let weights: f64 = all.iter().map(|one| one.terms.weight).sum();
    assert!((weights - 0.75).abs() < 1e-12, "half of the places are free: {weights}");
    assert!((0.25..1.0).contains(&total(&all)), "what lost its bets leaves what has none");
}

#[test]
fn a_class_that_comes_later_is_watched_from_the_window_after() {
    let (_, mut memory) = after(3, [400, 200, 100, 60, 0], [0.1; 5]);
    assert_eq!(memory.places, 8);
    let mut rng = Rng::new(3);
    let [candidate, baseline] = [100, 400].map(|n| labels(&mut rng, [0, 0, 0, 0, n], [0.5; 5]));
    let pair = Pair { candidate: &candidate, baseline: &baseline };
    let guard = GuardPlan { classes: Some(1.2), ..GuardPlan::default() };
    memory.take(&guard, 1.2, pair, 1.0);
    memory.meet(pair);
    assert_eq!(memory.classes["eel"][0].tally.windows, 0);
    memory.take(&guard, 1.2, pair, 1.0);
    assert_eq!((memory.classes["eel"][0].tally.windows, memory.classes["eel"][0].tally.candidate.n), (1, 100));
}
