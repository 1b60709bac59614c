//! Targets whose shares others change, seen by looks that come later: what the guard of the share makes of it.

use super::{key, show_looked, traffic};
use crate::event::{Micros, SECOND};
use crate::metric::row::ALL_VERSIONS;
use crate::metric::view::Views;
use crate::plan::GuardPlan;
use crate::scan::frame::DeclaredShare;
use crate::sim::Rng;
use crate::verdict::finding::Verdict;
use crate::verdict::guard::scene::Scene;
use crate::verdict::guard::share::Routed;
use crate::verdict::guard::window::Both;
use crate::verdict::judged::{ShareLooks, VersionCounts};

const MINUTE: Micros = 60 * SECOND;
const STEP: Micros = 10 * SECOND;
/// From one look to the next, but for what a look takes.
const EVERY: Micros = MINUTE;
const REQUESTS: f64 = 2_000.0;

/// A target, its router, and whoever looks.
struct World {
    /// From when on the target has which share.
    weights: Vec<(Micros, f64)>,
    /// How much later the router follows.
    lag: Micros,
    /// So many times the share is what the router sends.
    lie: f64,
    looks: Vec<DeclaredShare>,
    hours: Micros,
}

impl World {
    /// Somebody raises the share, at any time between looks; a look takes up to seconds, and one in twenty fails.
    fn ramping(rng: &mut Rng, shares: &[f64], lie: f64) -> Self {
        let span = 20 * MINUTE;
        let mut weights = vec![(Micros::MIN, shares[0])];
        for (at, &share) in (0..).zip(&shares[1..]) {
            weights.push((at * span + within(rng, 2 * MINUTE), share));
        }
        let hours = Micros::try_from(shares.len()).expect("few shares") * span + 10 * MINUTE;
        let (lag, mut looks, mut at) = (within(rng, 30 * SECOND), Vec::new(), within(rng, EVERY));
        while at < hours {
            if !rng.chance(0.05) {
                looks.push(DeclaredShare { at, share: standing(&weights, at) });
            }
            at += EVERY + within(rng, 3 * SECOND);
        }
        Self { weights, lag, lie, looks, hours }
    }

    /// Requests of the candidate and of all in a step.
    fn step(&self, start: Micros, rng: &mut Rng) -> (f64, f64) {
        let share = self.lie * standing(&self.weights, start - self.lag);
        let spread = libm::sqrt(REQUESTS * share * (1.0 - share));
        (libm::round(REQUESTS * share + spread * rng.normal()).clamp(0.0, REQUESTS), REQUESTS)
    }

    /// What is known of looks when a window that ends then is judged; as the store of panes has it.
    fn known(&self, end: Micros, window: Micros) -> ShareLooks {
        let holds = 2 * EVERY + STEP;
        let until = (end - holds).div_euclid(STEP) * STEP;
        let from = until - holds - window;
        let seen = self.looks.iter().filter(|look| (from..until).contains(&look.at)).copied().collect();
        ShareLooks { seen, until, holds }
    }
}

fn standing(weights: &[(Micros, f64)], at: Micros) -> f64 {
    weights.iter().rev().find(|(since, _)| *since <= at).expect("a first one").1
}

#[expect(clippy::cast_possible_truncation, reason = "spans are short")]
#[expect(clippy::cast_precision_loss, reason = "spans are short")]
fn within(rng: &mut Rng, span: Micros) -> Micros {
    (rng.unit() * span as f64) as Micros
}

/// When the guard first says that the share is wrong, with windows of this length.
fn told(world: &World, window: Micros, rng: &mut Rng, waits: bool) -> Option<Micros> {
    let (guard, mut share) = (GuardPlan { design_effect: 1.0, ..GuardPlan::default() }, Routed::default());
    let mut start = 0;
    while start + window <= world.hours {
        let end = start + window;
        let steps = (0..window / STEP).map(|step| world.step(start + step * STEP, rng));
        let (got, all) = steps.fold((0.0, 0.0), |sum, step| (sum.0 + step.0, sum.1 + step.1));
        let looks = world.known(end, window);
        let declared = if waits {
            looks.seen.iter().rfind(|look| look.at >= looks.until - looks.holds)
        } else {
            world.looks.iter().rfind(|look| look.at < end)
        };
        let declared = declared.map(|look| look.share * 100.0);
        let views = Views::from([
            (key("v2"), traffic(whole(got), 0)),
            (key("v1"), traffic(whole(all - got), 0)),
            (key(ALL_VERSIONS), traffic(whole(all), 0)),
        ]);
        let mut verdict = Verdict::default();
        show_looked((start, end), &VersionCounts::Traffic(&views), waits.then_some(&looks), declared, |judged| {
            let scene = Scene { judged, guard: &guard, model: "m", version: "v2", baseline: "v1" };
            share.update(&Both { views: &views, candidate: &key("v2"), baseline: &key("v1") }, scene);
            share.rule(scene, &mut verdict);
        });
        if !verdict.findings.is_empty() {
            return Some(end);
        }
        start = end;
    }
    None
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and not negative")]
fn whole(count: f64) -> u64 {
    count as u64
}

#[test]
fn a_ramp_by_somebody_else_that_looks_see_late_is_not_blamed() {
    for window in [STEP, MINUTE, 5 * MINUTE] {
        let mut blamed = 0;
        for seed in 0..64 {
            let mut rng = Rng::new(seed);
            let world = World::ramping(&mut rng, &[0.05, 0.2, 0.5], 1.0);
            assert_eq!(told(&world, window, &mut rng, true), None, "seed {seed}, windows of {window}");
            blamed += u32::from(window == STEP && told(&world, window, &mut rng, false).is_some());
        }
        assert!(window > STEP || blamed > 4, "by the last look alone {blamed} of 64 are blamed");
    }
}

#[test]
fn a_router_that_sends_more_than_its_weight_is_found_soon() {
    for window in [STEP, MINUTE, 5 * MINUTE] {
        for seed in 0..32 {
            let mut rng = Rng::new(seed);
            let world = World::ramping(&mut rng, &[0.2, 0.2], 1.5);
            let told = told(&world, window, &mut rng, true).unwrap_or(Micros::MAX);
            let soon = 15 * MINUTE + 4 * window;
            assert!(told <= soon, "seed {seed}, windows of {window}: told at {told}");
        }
    }
}

#[test]
fn a_share_seen_long_ago_is_no_evidence() {
    for window in [STEP, 5 * MINUTE] {
        for seed in 0..32 {
            let mut rng = Rng::new(seed);
            let mut world = World::ramping(&mut rng, &[0.05, 0.5, 0.2], 1.0);
            // Nobody looks while the share changes, and then again.
            let away = 10 * MINUTE..45 * MINUTE;
            world.looks.retain(|look| !away.contains(&look.at));
            assert_eq!(told(&world, window, &mut rng, true), None, "seed {seed}, windows of {window}");
        }
    }
}

#[test]
fn what_waits_is_little_and_survives_json() {
    let (mut rng, guard) = (Rng::new(1), GuardPlan::default());
    let world = World::ramping(&mut rng, &[0.2, 0.4], 1.0);
    let (mut share, views) =
        (Routed::default(), Views::from([(key("v2"), traffic(20, 0)), (key("v1"), traffic(80, 0))]));
    let views = Views::from([(key(ALL_VERSIONS), traffic(100, 0))]).into_iter().chain(views).collect();
    for second in 0..3_000 {
        let span = (second * SECOND, (second + 1) * SECOND);
        let looks = world.known(span.1, SECOND);
        show_looked(span, &VersionCounts::Traffic(&views), Some(&looks), None, |judged| {
            let scene = Scene { judged, guard: &guard, model: "m", version: "v2", baseline: "v1" };
            share.update(&Both { views: &views, candidate: &key("v2"), baseline: &key("v1") }, scene);
        });
        let text = serde_json::to_string(&share).expect("a finite state");
        assert!(text.len() < 3_000, "{} bytes", text.len());
        share = serde_json::from_str(&text).expect("its own text");
        assert_eq!(serde_json::to_string(&share).unwrap(), text);
    }
}
