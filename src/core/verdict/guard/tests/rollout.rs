//! Rollouts, window by window, in front of the guardrails.

use super::{judged, key, labelled, show_counts, traffic};
use crate::metric::row::ALL_VERSIONS;
use crate::metric::view::{ViewKey, Views};
use crate::plan::{Action, GuardPlan, RolloutPlan};
use crate::sim::Rng;
use crate::summary::{Quality, Traffic};
use crate::verdict::finding::{Validity, Verdict};
use crate::verdict::guard::Guard;
use crate::verdict::guard::rails::noise::LatencyHistory;
use crate::verdict::guard::rails::rail::{Rail, rails as rails_of};
use crate::verdict::guard::rails::watch::{RailMemory, Rails};
use crate::verdict::guard::scene::Scene;
use crate::verdict::guard::share::Routed;
use crate::verdict::guard::window::{Both, Shown};
use crate::verdict::judged::VersionCounts;
use crate::verdict::rollout::tests::plan;

const SEGMENTS: usize = 16;

fn guard() -> GuardPlan {
    GuardPlan { design_effect: 1.0, ..GuardPlan::default() }
}

fn rails(of: &[(Rail, f64)], places: u32) -> Rails {
    Rails { guard: guard(), of: of.to_vec(), places }
}

/// Requests and failures of both versions.
fn window(candidate: (u64, u64), baseline: (u64, u64)) -> Views<Traffic> {
    Views::from([(key("v2"), traffic(candidate.0, candidate.1)), (key("v1"), traffic(baseline.0, baseline.1))])
}

fn drawn(rng: &mut Rng, rates: (f64, f64)) -> Views<Traffic> {
    let mut failures = |rate: f64| (0..500).map(|_| u64::from(rng.chance(rate))).sum();
    window((500, failures(rates.0)), (500, failures(rates.1)))
}

fn rule(rails: &Rails, watched: &mut RailMemory) -> Verdict {
    let mut verdict = Verdict { cleared: true, ..Verdict::default() };
    judged(|judged| {
        let scene = Scene { judged, guard: &rails.guard, model: "m", version: "v2", baseline: "v1" };
        rails.rule(watched, scene, &mut verdict);
    });
    verdict
}

fn feed(rails: &Rails, watched: &mut RailMemory, views: &Views<Traffic>) -> Verdict {
    let (candidate, baseline) = (key("v2"), key("v1"));
    let both = &Both { views, candidate: &candidate, baseline: &baseline };
    let (pair, history) = (both.pair("").expect("both versions"), &LatencyHistory::default());
    let learnt = &rails.learn_traffic(watched, both, pair, history);
    judged(|judged| {
        let scene = Scene { judged, guard: &rails.guard, model: "m", version: "v2", baseline: "v1" };
        rails.traffic(watched, &Shown { both, pair, scene, history, learnt });
    });
    rule(rails, watched)
}

fn feed_labels(rails: &Rails, watched: &mut RailMemory, views: &Views<Quality>) -> Verdict {
    let (candidate, baseline) = (key("v2"), key("v1"));
    let both = Both { views, candidate: &candidate, baseline: &baseline };
    rails.learn_labels(watched, both.pair("").expect("both versions"));
    rails.take_labels(watched, &both, true);
    rule(rails, watched)
}

fn severest(verdict: &Verdict) -> Action {
    verdict.findings.iter().map(|finding| finding.action).max().unwrap_or(Action::Observe)
}

fn with_segments(mut views: Views<Traffic>) -> Views<Traffic> {
    let all: Vec<(ViewKey, Traffic)> = views.iter().map(|(key, traffic)| (key.clone(), traffic.clone())).collect();
    for (key, traffic) in all {
        for place in 0..SEGMENTS {
            views.insert(ViewKey { segment: format!("place={place:02}"), ..key.clone() }, traffic.clone());
        }
    }
    views
}

#[test]
fn nothing_acts_before_the_fewest_windows_even_if_everything_fails_everywhere() {
    let slow = (0..3).map(|q| (Rail::Slow(q), 0.1));
    let of: Vec<(Rail, f64)> =
        [(Rail::Failed, 0.3), (Rail::Rejected, 0.03), (Rail::Loss, 0.37)].into_iter().chain(slow).collect();
    for places in [0, SEGMENTS] {
        let rails = rails(&of, u32::try_from(places).unwrap());
        let mut watched = RailMemory::default();
        // A window that only tells thresholds, as late harm is the dangerous one.
        let quiet = |of: &Traffic| {
            let mut traffic = of.clone();
            (0..1000).for_each(|i| traffic.latency.update(f64::from(i) / 100.0));
            traffic
        };
        let slow = |of: &Traffic| {
            let mut traffic = of.clone();
            (0..100_000).for_each(|_| traffic.latency.update(5000.0));
            traffic.rates.rejected = 40_000;
            traffic
        };
        let mut calm = window((1000, 10), (1000, 10));
        calm.values_mut().for_each(|traffic| *traffic = quiet(traffic));
        let mut bad = window((100_000, 50_000), (100_000, 10));
        bad.values_mut().for_each(|traffic| *traffic = quiet(traffic));
        let worst = slow(&bad[&key("v2")]);
        bad.insert(key("v2"), worst);
        let (calm, bad) = if places > 0 { (with_segments(calm), with_segments(bad)) } else { (calm, bad) };
        let labels = Views::from([(key("v2"), labelled(100_000, 0.9)), (key("v1"), labelled(100_000, 0.001))]);
        feed(&rails, &mut watched, &calm);
        for n in 1..=4 {
            feed(&rails, &mut watched, &bad);
            let verdict = feed_labels(&rails, &mut watched, &labels);
            let acts = verdict.findings.iter().any(|finding| finding.action == Action::Rollback);
            assert_eq!(acts, n >= 3, "after {n} windows, {places} segments: {:?}", verdict.ledger);
        }
    }
}

#[test]
fn a_segment_is_named() {
    let rails = rails(&[(Rail::Failed, 1.0)], 16);
    let (mut watched, mut rng) = (RailMemory::default(), Rng::new(5));
    for _ in 0..60 {
        let mut views = drawn(&mut rng, (0.01, 0.01));
        let segment = |version: &str, place: &str| ViewKey { segment: format!("place={place}"), ..key(version) };
        for (place, rate) in [("DE", 0.3), ("FR", 0.01)] {
            let mut failures = |rate: f64| (0..100).map(|_| u64::from(rng.chance(rate))).sum();
            views.insert(segment("v2", place), traffic(100, failures(rate)));
            views.insert(segment("v1", place), traffic(100, failures(0.01)));
        }
        let verdict = feed(&rails, &mut watched, &views);
        if let Some(finding) = verdict.findings.iter().find(|finding| finding.action == Action::Rollback) {
            assert_eq!((finding.evidence.len(), finding.evidence[0].segment.as_str()), (1, "place=DE"));
            assert!(finding.reason.text.contains("in place=DE"), "{}", finding.reason.text);
            return;
        }
    }
    panic!("a segment that fails thirty times as often is not found");
}

#[test]
fn segments_of_what_stands_for_all_traffic_are_named_beside_it() {
    let rails = rails(&[(Rail::Failed, 1.0)], u32::try_from(SEGMENTS).unwrap());
    let mut watched = RailMemory::default();
    let bad = with_segments(window((1000, 300), (1000, 10)));
    let verdict = (0..3).map(|_| feed(&rails, &mut watched, &bad)).last().unwrap();
    let finding = verdict.findings.iter().find(|finding| finding.action == Action::Rollback).expect("it fails");
    let text = &finding.reason.text;
    assert_eq!(text.matches("failed requests").count(), 1, "{text}");
    assert!(text.contains("margin x1.2), so in place=00 x30.00, place=01 x30.00"), "{text}");
    assert!(finding.evidence.iter().skip(1).all(|one| !one.segment.is_empty()), "evidence names each");
}

#[test]
fn a_candidate_that_is_alike_passes_and_says_what_it_waits_for_until_then() {
    let rails = rails(&[(Rail::Failed, 1.0)], 0);
    let (mut watched, mut rng) = (RailMemory::default(), Rng::new(2));
    let first = feed(&rails, &mut watched, &drawn(&mut rng, (0.02, 0.02)));
    assert!(!first.safe && first.waits_for[0].starts_with("error_rate: 500 of about "), "{:?}", first.waits_for);
    let passed = (1..400).find(|_| feed(&rails, &mut watched, &drawn(&mut rng, (0.02, 0.02))).safe);
    assert!(passed.is_some_and(|windows| windows > 10), "{passed:?}");
}

#[test]
fn a_negligible_rate_is_safe_whatever_the_ratio() {
    let rails = rails(&[(Rail::Failed, 1.0)], 0);
    let mut watched = RailMemory::default();
    let passed = (1..100).find(|_| feed(&rails, &mut watched, &window((500, 0), (500, 0))).safe);
    assert!(passed.is_some_and(|windows| (5..50).contains(&windows)), "{passed:?}");
}

#[test]
fn deterioration_within_the_margin_contains_until_it_is_shown_to_be_within() {
    let rails = rails(&[(Rail::Failed, 1.0)], 0);
    let (mut watched, mut contained) = (RailMemory::default(), false);
    for _ in 0..600 {
        let verdict = feed(&rails, &mut watched, &window((10_000, 1050), (10_000, 1000)));
        contained |= severest(&verdict) == Action::Contain;
        if severest(&verdict) == Action::Warn {
            assert!(contained && verdict.cleared && verdict.suspicious);
            return;
        }
        assert!(severest(&verdict) <= Action::Contain, "5 % more failures are within a margin of 20 %");
    }
    panic!("never found to be within the margin");
}

#[test]
fn what_a_candidate_earned_before_does_not_excuse_it() {
    let rails = rails(&[(Rail::Failed, 1.0)], 0);
    let mut watched = RailMemory::default();
    (0..200).for_each(|_| {
        assert_eq!(severest(&feed(&rails, &mut watched, &window((5000, 100), (5000, 100)))), Action::Observe);
    });
    let after: Vec<Verdict> = (0..12).map(|_| feed(&rails, &mut watched, &window((5000, 200), (5000, 100)))).collect();
    let last = after.last().expect("windows");
    assert_eq!((severest(last), last.cleared), (Action::Rollback, false));
    let evidence = &last.findings[0].evidence[0];
    assert!(evidence.lo.is_some_and(|lo| lo > 0.02 && lo <= evidence.estimate), "above the baseline's: {evidence:?}");
}

/// A plan without labels, latency, status or error: what is shown of it is nothing.
#[test]
fn nobody_passes_where_nothing_is_told_of_failures_latency_or_losses() {
    let none = rails(&rails_of(&plan("AUTO", RolloutPlan::default())), 0);
    assert!(none.of.is_empty());
    let mut watched = RailMemory::default();
    let verdict = (0..100).map(|_| feed(&none, &mut watched, &window((5000, 0), (5000, 0)))).last().expect("windows");
    assert!(!verdict.safe);
    assert_eq!(verdict.waits_for, ["failures, latency or losses: nothing tells them"]);
}

#[test]
fn losses_on_the_same_requests_are_asked_for_where_no_guardrail_is_of_labels() {
    let rails = rails(&[(Rail::Failed, 1.0)], 0);
    let mut watched = RailMemory::default();
    (0..100).for_each(|_| drop(feed(&rails, &mut watched, &window((5000, 50), (5000, 50)))));
    let of_pairs = |same_requests| {
        let mut verdict = Verdict { same_requests, ..Verdict::default() };
        judged(|judged| {
            let scene = Scene { judged, guard: &rails.guard, model: "m", version: "v2", baseline: "v1" };
            rails.rule(&mut watched.clone(), scene, &mut verdict);
        });
        (verdict.safe, verdict.waits_for)
    };
    assert_eq!(of_pairs(None), (true, vec![]), "no shadow");
    assert_eq!(of_pairs(Some(1e6)), (true, vec![]));
    assert_eq!(of_pairs(Some(1.0)), (false, vec!["losses on the same requests: undecided".to_owned()]));
}

#[test]
fn memory_survives_json_bit_by_bit_and_is_bounded() {
    let rails = rails(&[(Rail::Failed, 0.6), (Rail::Rejected, 0.1), (Rail::Loss, 0.3)], 16);
    let (mut watched, mut rng) = (RailMemory::default(), Rng::new(3));
    for _ in 0..50 {
        feed(&rails, &mut watched, &with_segments(drawn(&mut rng, (0.013, 0.01))));
    }
    let text = serde_json::to_string(&watched).expect("a finite state");
    let mut copy: RailMemory = serde_json::from_str(&text).expect("its own text");
    assert_eq!(copy, watched);
    for _ in 0..20 {
        let views = with_segments(drawn(&mut rng, (0.013, 0.01)));
        feed(&rails, &mut watched, &views);
        feed(&rails, &mut copy, &views);
        assert_eq!(serde_json::to_string(&copy).unwrap(), serde_json::to_string(&watched).unwrap());
    }
    assert!(text.len() < 3 * 17 * 3500 + 20_000, "{} bytes", text.len());
}

#[test]
fn a_wrong_share_voids_the_verdict() {
    let verdict_at = |declared: f64, windows: u32| {
        let guard = guard();
        let mut verdict = Verdict { cleared: true, safe: true, ..Verdict::default() };
        let mut share = Routed::default();
        let mut views = window((100, 1), (900, 9));
        views.insert(key(ALL_VERSIONS), traffic(1000, 10));
        for _ in 0..windows {
            show_counts(&VersionCounts::Traffic(&views), Some(declared), |judged| {
                let scene = Scene { judged, guard: &guard, model: "m", version: "v2", baseline: "v1" };
                share.update(&Both { views: &views, candidate: &key("v2"), baseline: &key("v1") }, scene);
                verdict = Verdict { cleared: true, safe: true, ..Verdict::default() };
                share.rule(scene, &mut verdict);
            });
        }
        verdict
    };
    let right = verdict_at(10.0, 100);
    assert_eq!((severest(&right), right.validity, right.safe), (Action::Observe, Validity::Valid, true));
    let wrong = verdict_at(20.0, 20);
    assert_eq!((severest(&wrong), wrong.validity, wrong.safe), (Action::Hold, Validity::Degraded, false));
    assert_eq!(severest(&verdict_at(20.0, 3)), Action::Observe, "the first window and two more are too few");
}
