//! Goals about measures: false rollbacks of candidates at the margin, and how soon worse ones are rolled back, where
//! values have heavy tails, are mostly 0, or come from users who come again.

use std::sync::Arc;

use haldane::plan::{Action, Plan};
use haldane::sim::Rng;

use crate::goal::{Goal, Sought, Target, Traffic, rng};
use crate::lab::{self, Rows};

const FALSE_ROLLBACK: Goal = Goal {
    name: "",
    target: Target::Chance(0.01),
    sought: Sought::Restriction(Action::Rollback),
    plan: tokens,
    change: 0,
    windows: [6, 200, 200],
    rollouts: [1, 60, 500],
    traffic: |seed| lognormal(seed, 1.0, [500, 500], 1.05),
};

const DETECTION: Goal =
    Goal { target: Target::Delay(6), windows: [4, 60, 100], rollouts: [1, 31, 151], ..FALSE_ROLLBACK };

/// The rows of the suite. `x1.2` is a mean of so many times the margin's edge.
pub(crate) const GOALS: &[Goal] = &[
    Goal {
        name: "measure at its margin, spread 1, 60:200: rolled back",
        traffic: |seed| lognormal(seed, 1.0, [60, 200], 1.05),
        ..FALSE_ROLLBACK
    },
    Goal { name: "measure at its margin, spread 1, 500:500: rolled back", ..FALSE_ROLLBACK },
    Goal {
        name: "measure at its margin, spread 2, 60:200: rolled back",
        plan: cost,
        traffic: |seed| lognormal(seed, 2.0, [60, 200], 1.05),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "measure at its margin, spread 2, 500:500: rolled back",
        plan: cost,
        traffic: |seed| lognormal(seed, 2.0, [500, 500], 1.05),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "measure at its margin, spread 2, 500:9500: rolled back",
        plan: cost,
        rollouts: [1, 10, 500],
        traffic: |seed| lognormal(seed, 2.0, [500, 9_500], 1.05),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "revenue at its margin, 97 % zeros, 60:200: rolled back",
        plan: revenue,
        traffic: |seed| sales(seed, [60, 200], 0.95),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "revenue at its margin, 97 % zeros, 500:500: rolled back",
        plan: revenue,
        traffic: |seed| sales(seed, [500, 500], 0.95),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "measure at its margin, clip learnt from first windows: rolled back",
        plan: learnt,
        traffic: |seed| lognormal(seed, 2.0, [500, 500], 1.05),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "measure at its margin, 2,000 users who come again: rolled back",
        plan: entities,
        windows: [6, 100, 100],
        traffic: |seed| users(seed, 2_000, 1.05),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "measure at its margin, level wanders for both: rolled back",
        traffic: |seed| wandering(seed, 1.05),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "measure x1.2 beyond 5 %, spread 1, 500:500: windows",
        traffic: |seed| lognormal(seed, 1.0, [500, 500], 1.26),
        ..DETECTION
    },
    Goal {
        name: "measure x1.2 beyond 5 %, spread 1, 500:9500: windows",
        target: Target::Delay(5),
        traffic: |seed| lognormal(seed, 1.0, [500, 9_500], 1.26),
        ..DETECTION
    },
    Goal {
        name: "measure x1.2 beyond 5 %, spread 2, 500:500: windows",
        target: Target::Delay(28),
        plan: cost,
        traffic: |seed| lognormal(seed, 2.0, [500, 500], 1.26),
        ..DETECTION
    },
    Goal {
        name: "measure x1.2 beyond 5 %, spread 2, 500:9500: windows",
        target: Target::Delay(18),
        plan: cost,
        traffic: |seed| lognormal(seed, 2.0, [500, 9_500], 1.26),
        ..DETECTION
    },
    Goal {
        name: "revenue x0.8 beyond 5 %, 97 % zeros, 5000:5000: windows",
        target: Target::Delay(12),
        plan: revenue,
        traffic: |seed| sales(seed, [5_000, 5_000], 0.76),
        ..DETECTION
    },
    Goal {
        name: "measure x1.2 beyond 5 %, level wanders for both: windows",
        traffic: |seed| wandering(seed, 1.26),
        ..DETECTION
    },
    Goal {
        name: "measure x1.3 beyond 5 %, 2,000 users who come again: windows",
        target: Target::Delay(8),
        plan: entities,
        traffic: |seed| users(seed, 2_000, 1.365),
        ..DETECTION
    },
];

/// A measure with a margin of 5 %, of which rows are independent. Caps are the 99.9 % quantiles of values that are not
/// 0.
fn measure(worse: &str, cap: &str) -> Arc<Plan> {
    let sections = format!("measures: {{ x: {{ path: x, worse: {worse}, margin: 5%{cap} }} }}\n");
    lab::plan_with(&sections, &[], false, &|guards| guards.design_effect = 1.0)
}

fn tokens() -> Arc<Plan> {
    measure("up", ", cap: 22")
}

fn cost() -> Arc<Plan> {
    measure("up", ", cap: 483")
}

fn revenue() -> Arc<Plan> {
    measure("down", ", cap: 22")
}

fn learnt() -> Arc<Plan> {
    measure("up", "")
}

/// Rows name who asked, so how much alike they are is measured.
fn entities() -> Arc<Plan> {
    measure("up", ", cap: 32")
}

fn push(rows: &mut Rows, candidate: bool, entity: Option<u64>, value: f64) {
    rows.push(candidate, false, entity, &[value]);
}

/// Lognormal with this spread, below the cap in either version, so that the ratio of means is that of clipped means:
/// the candidate's is `ratio` times the baseline's.
fn lognormal(seed: u64, spread: f64, n: [u32; 2], ratio: f64) -> Traffic {
    let mut rng = rng(seed);
    let cap = libm::exp(3.09 * spread);
    Box::new(move |_, rows| {
        let mut law = |factor: f64| factor * libm::exp(spread * rng.normal()).min(cap / 1.5);
        (0..n[0]).for_each(|_| push(rows, true, None, law(ratio)));
        (0..n[1]).for_each(|_| push(rows, false, None, law(1.0)));
    })
}

/// Three rows of a hundred sell something; the candidate's sales are `ratio` times the baseline's.
fn sales(seed: u64, n: [u32; 2], ratio: f64) -> Traffic {
    let mut rng = rng(seed);
    Box::new(move |_, rows| {
        let mut law = |factor: f64| if rng.chance(0.03) { factor * libm::exp(rng.normal()).min(20.0) } else { 0.0 };
        (0..n[0]).for_each(|_| push(rows, true, None, law(ratio)));
        (0..n[1]).for_each(|_| push(rows, false, None, law(1.0)));
    })
}

/// The level of both versions is another one in each window.
fn wandering(seed: u64, ratio: f64) -> Traffic {
    let mut rng = rng(seed);
    Box::new(move |_, rows| {
        let level = libm::exp(0.3 * rng.normal());
        let law = |rng: &mut Rng, factor: f64| factor * (level * libm::exp(rng.normal())).min(14.0);
        (0..500).for_each(|_| {
            push(rows, true, None, law(&mut rng, ratio));
            push(rows, false, None, law(&mut rng, 1.0));
        });
    })
}

/// Each version has its own users, of whom some have more of it than others.
fn users(seed: u64, n_users: u64, ratio: f64) -> Traffic {
    let mut rng = rng(seed);
    let levels: Vec<f64> = (0..2 * n_users).map(|_| libm::exp(rng.normal())).collect();
    Box::new(move |_, rows| {
        for (arm, factor) in [(0, ratio), (1, 1.0)] {
            for _ in 0..500 {
                let user = arm * n_users + rng.bits() % n_users;
                let level = usize::try_from(user).ok().and_then(|user| levels.get(user)).copied().unwrap_or(1.0);
                let value = factor * (level * libm::exp(0.5 * rng.normal())).min(20.0);
                push(rows, arm == 0, Some(seed << 32 | user), value);
            }
        }
    })
}
