//! Goals about errors and latency: false rollbacks of candidates that are no worse, and how soon worse ones are rolled
//! back.

use std::sync::Arc;

use haldane::plan::{Action, Plan};
use haldane::sim::Rng;

use crate::goal::{Goal, Sought, Target, Traffic, rng};
use crate::lab::{self, Rows};

const FALSE_ROLLBACK: Goal = Goal {
    name: "",
    target: Target::Chance(0.01),
    sought: Sought::Restriction(Action::Rollback),
    plan: no_margin,
    change: 0,
    windows: [10, 300, 10_000],
    rollouts: [2, 60, 500],
    traffic: |seed| errors(seed, [500, 500], |_| [0.01, 0.01]),
};

const DETECTION: Goal =
    Goal { target: Target::Delay(10), windows: [5, 60, 200], rollouts: [1, 31, 301], ..FALSE_ROLLBACK };

/// The rows of the suite.
pub(crate) const GOALS: &[Goal] = &[
    Goal { name: "no worse, errors 1 %, 500:500 events: rolled back", ..FALSE_ROLLBACK },
    Goal {
        name: "no worse, errors 1 %, 50:950 events: rolled back",
        traffic: |seed| errors(seed, [50, 950], |_| [0.01, 0.01]),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "no worse, errors 0.1 %, 50:950 events: rolled back",
        traffic: |seed| errors(seed, [50, 950], |_| [0.001, 0.001]),
        ..FALSE_ROLLBACK
    },
    Goal { name: "no worse, 1 -> 5 -> 20 % ramp and daily cycle: rolled back", traffic: ramp, ..FALSE_ROLLBACK },
    Goal { name: "no worse, incidents that hit both (20 % errors): rolled back", traffic: incidents, ..FALSE_ROLLBACK },
    Goal {
        name: "no worse, 2,000 users a version who come again: rolled back",
        plan: entities,
        traffic: |seed| users(seed, 2_000),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "no worse, 20,000 users a version who come again: rolled back",
        plan: entities,
        traffic: |seed| users(seed, 20_000),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "errors x30 in one window: rolled back",
        target: Target::Chance(0.03),
        windows: [10, 60, 60],
        rollouts: [2, 200, 2_000],
        traffic: |seed| errors(seed, [500, 500], |t| [if t == 50 { 0.3 } else { 0.01 }, 0.01]),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "errors at the margin (x1.2): rolled back",
        plan: margin,
        traffic: |seed| errors(seed, [500, 500], |_| [0.012, 0.01]),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "errors 1 -> 2 %, no margin, 500:500: windows",
        traffic: |seed| errors(seed, [500, 500], |_| [0.02, 0.01]),
        ..DETECTION
    },
    Goal {
        name: "errors 1 -> 2 %, no margin, 500:9500: windows",
        target: Target::Delay(6),
        traffic: |seed| errors(seed, [500, 9_500], |_| [0.02, 0.01]),
        ..DETECTION
    },
    Goal {
        name: "errors 1 -> 2 % from window 200 on, no margin: windows",
        target: Target::Delay(15),
        change: 200,
        windows: [5, 260, 400],
        traffic: |seed| errors(seed, [500, 500], |t| [if t >= 200 { 0.02 } else { 0.01 }, 0.01]),
        ..DETECTION
    },
    Goal {
        name: "errors x1.5, margin 1.2, 500:500: windows",
        target: Target::Delay(85),
        plan: margin,
        windows: [5, 200, 288],
        traffic: |seed| errors(seed, [500, 500], |_| [0.015, 0.01]),
        ..DETECTION
    },
    Goal {
        name: "errors x2, margin 1.2, 500:500: windows",
        target: Target::Delay(16),
        plan: margin,
        rollouts: [1, 101, 301],
        traffic: |seed| errors(seed, [500, 500], |_| [0.02, 0.01]),
        ..DETECTION
    },
    Goal {
        name: "errors x3, margin 1.2, 500:500: windows",
        target: Target::Delay(7),
        plan: margin,
        traffic: |seed| errors(seed, [500, 500], |_| [0.03, 0.01]),
        ..DETECTION
    },
    Goal {
        name: "latency at the margin (x1.1), 500:500: rolled back",
        plan: latency,
        traffic: |seed| latencies(seed, 1.1),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "latency x1.2, margin 1.1, 500:500: windows",
        target: Target::Delay(8),
        plan: latency,
        traffic: |seed| latencies(seed, 1.2),
        ..DETECTION
    },
];

/// Requests are independent, and the candidate may fail no more often than the baseline.
fn no_margin() -> Arc<Plan> {
    lab::plan(&[], false, &|guards| (guards.errors, guards.design_effect) = (1.0, 1.0))
}

fn margin() -> Arc<Plan> {
    lab::plan(&[], false, &|guards| (guards.errors, guards.design_effect) = (1.2, 1.0))
}

/// Events name their entity, so how much alike they are is measured.
fn entities() -> Arc<Plan> {
    lab::plan(&[], false, &|guards| guards.errors = 1.0)
}

fn latency() -> Arc<Plan> {
    lab::plan(&[], true, &|guards| (guards.latency, guards.design_effect) = (0.1, 1.0))
}

/// Rows of both versions, the candidate's first, that fail with these chances.
fn failing(rows: &mut Rows, n: [u32; 2], chance: [f64; 2], rng: &mut Rng) {
    for arm in 0..2 {
        (0..n[arm]).for_each(|_| rows.push(arm == 0, rng.chance(chance[arm]), None, &[]));
    }
}

fn errors(seed: u64, n: [u32; 2], chance: fn(u32) -> [f64; 2]) -> Traffic {
    let mut rng = rng(seed);
    Box::new(move |window, rows| failing(rows, n, chance(window), &mut rng))
}

/// The candidate's share grows in thirds of 100 windows; errors swing between 0.5 and 1.5 % in the course of a day.
fn ramp(seed: u64) -> Traffic {
    let mut rng = rng(seed);
    Box::new(move |window, rows| {
        let candidate = [10, 50, 200][(window as usize / 100).min(2)];
        let chance = 0.01 * (1.0 + 0.5 * libm::sin(std::f64::consts::TAU * f64::from(window) / 288.0));
        failing(rows, [candidate, 1_000 - candidate], [chance; 2], &mut rng);
    })
}

/// In one window of a hundred every fifth request fails, whoever answers.
fn incidents(seed: u64) -> Traffic {
    let mut rng = rng(seed);
    Box::new(move |_, rows| {
        let chance = if rng.chance(0.01) { 0.2 } else { 0.01 };
        failing(rows, [500; 2], [chance; 2], &mut rng);
    })
}

/// Each version has its own users; a tenth of them fails in 25 % of their requests, the others in 2.8 %: 5 % on
/// average, with an intra-class correlation of 0.09.
fn users(seed: u64, n_users: u64) -> Traffic {
    let mut rng = rng(seed);
    let bad: Vec<bool> = (0..2 * n_users).map(|_| rng.chance(0.1)).collect();
    Box::new(move |_, rows| {
        for arm in 0..2 {
            for _ in 0..500 {
                let user = arm * n_users + rng.bits() % n_users;
                let is_bad = usize::try_from(user).ok().and_then(|user| bad.get(user)).is_some_and(|bad| *bad);
                let failed = rng.chance(if is_bad { 0.246 } else { 0.0282 });
                rows.push(arm == 0, failed, Some(seed << 32 | user), &[]);
            }
        }
    })
}

/// Lognormal around 50 ms with a spread of one half; the candidate is slower by a factor.
fn latencies(seed: u64, factor: f64) -> Traffic {
    let mut rng = rng(seed);
    Box::new(move |_, rows| {
        for _ in 0..500 {
            rows.push(true, false, None, &[factor * 50.0 * libm::exp(0.5 * rng.normal())]);
            rows.push(false, false, None, &[50.0 * libm::exp(0.5 * rng.normal())]);
        }
    })
}
