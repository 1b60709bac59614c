//! Goals about distributions: how rarely features that do not change are called changed, and how soon those that do are
//! found.

use std::sync::Arc;

use haldane::plan::{Action, Plan};
use haldane::sim::Rng;

use crate::goal::{Goal, Sought, Target, Traffic, rng};
use crate::lab::{self, Rows};

/// The goals' mean number of windows between false containments: 100 planned windows at one in a hundred. An alarm
/// within `w` windows then has a chance of at most `w / PATIENCE` (Doob's inequality for the Shiryaev-Roberts
/// statistic, whose mean after `w` windows is `w`).
const PATIENCE: f64 = 10_000.0;
/// A candidate is held at a tenth of the evidence that contains it.
const PATIENCE_OF_HOLDS: f64 = PATIENCE / 10.0;

const FALSE_ALARM: Goal = Goal {
    name: "",
    target: Target::Chance(200.0 / PATIENCE),
    sought: Sought::Restriction(Action::Contain),
    plan: one_feature,
    change: 0,
    windows: [5, 200, 200],
    rollouts: [2, 60, 1_000],
    traffic: |seed| normal(seed, 500),
};

const FALSE_HOLD: Goal = Goal {
    target: Target::Chance(200.0 / PATIENCE_OF_HOLDS),
    sought: Sought::Restriction(Action::Hold),
    ..FALSE_ALARM
};

const DETECTION: Goal = Goal {
    target: Target::Delay(3),
    sought: Sought::Restriction(Action::Hold),
    windows: [5, 40, 100],
    rollouts: [1, 31, 301],
    ..FALSE_ALARM
};

/// The rows of the suite.
pub(crate) const GOALS: &[Goal] = &[
    Goal {
        name: "no drift, 50 rows a window: contained in 200 windows",
        traffic: |seed| normal(seed, 50),
        ..FALSE_ALARM
    },
    Goal {
        name: "no drift, 100 rows a window: contained in 200 windows",
        traffic: |seed| normal(seed, 100),
        ..FALSE_ALARM
    },
    Goal {
        name: "no drift, 200 rows a window: contained in 200 windows",
        traffic: |seed| normal(seed, 200),
        ..FALSE_ALARM
    },
    Goal { name: "no drift, 500 rows a window: contained in 200 windows", ..FALSE_ALARM },
    Goal {
        name: "no drift, 1,000 rows a window: contained in 200 windows",
        traffic: |seed| normal(seed, 1_000),
        ..FALSE_ALARM
    },
    Goal { name: "no drift, the world an AR(1) of 0.5: contained", traffic: |seed| world(seed, 0.5), ..FALSE_ALARM },
    Goal { name: "no drift, the world an AR(1) of 0.9: contained", traffic: |seed| world(seed, 0.9), ..FALSE_ALARM },
    Goal {
        name: "no drift, 20 correlated features: contained",
        plan: twenty_features,
        traffic: correlated,
        ..FALSE_ALARM
    },
    Goal { name: "no drift, 50 rows a window: held in 200 windows", traffic: |seed| normal(seed, 50), ..FALSE_HOLD },
    Goal { name: "no drift, 100 rows a window: held in 200 windows", traffic: |seed| normal(seed, 100), ..FALSE_HOLD },
    Goal { name: "no drift, 500 rows a window: held in 200 windows", ..FALSE_HOLD },
    Goal { name: "no drift, the world an AR(1) of 0.9: held", traffic: |seed| world(seed, 0.9), ..FALSE_HOLD },
    Goal {
        name: "PSI 0.15 (mean +0.39 sd), 2,000:2,000: windows",
        target: Target::Delay(5),
        traffic: |seed| shifted(seed, 0.387),
        ..DETECTION
    },
    Goal { name: "PSI 0.25 (mean +0.50 sd), 2,000:2,000: windows", traffic: |seed| shifted(seed, 0.5), ..DETECTION },
    Goal {
        name: "mean +1 sd, outlier of 1e3 in the baseline: windows",
        traffic: |seed| outlier(seed, false, 1e3),
        ..DETECTION
    },
    Goal {
        name: "mean +1 sd, outlier of 1e6 in the baseline: windows",
        traffic: |seed| outlier(seed, false, 1e6),
        ..DETECTION
    },
    Goal {
        name: "mean +1 sd, outlier of 1e12 in the baseline: windows",
        traffic: |seed| outlier(seed, false, 1e12),
        ..DETECTION
    },
    Goal {
        name: "mean +1 sd, outlier of 1e12 in the candidate: windows",
        traffic: |seed| outlier(seed, true, 1e12),
        ..DETECTION
    },
];

fn one_feature() -> Arc<Plan> {
    lab::plan(&[("x", -5.0, 5.0)], false, &|guards| (guards.planned, guards.design_effect) = (100, 1.0))
}

fn twenty_features() -> Arc<Plan> {
    let names: Vec<String> = (0..20).map(|place| format!("x{place}")).collect();
    let features: Vec<(&str, f64, f64)> = names.iter().map(|name| (name.as_str(), -5.0, 5.0)).collect();
    lab::plan(&features, false, &|guards| (guards.planned, guards.design_effect) = (100, 1.0))
}

/// As many rows of each version, the candidate's values as `draw(true)` gives them.
fn values(rows: &mut Rows, n: u32, mut draw: impl FnMut(bool) -> f64) {
    for _ in 0..n {
        [true, false].into_iter().for_each(|candidate| rows.push(candidate, false, None, &[draw(candidate)]));
    }
}

fn normal(seed: u64, n: u32) -> Traffic {
    let mut rng = rng(seed);
    Box::new(move |_, rows| values(rows, n, |_| rng.normal()))
}

/// The level that both versions share wanders with a stationary standard deviation of one half.
fn world(seed: u64, kept: f64) -> Traffic {
    let mut rng = rng(seed);
    let mut level = 0.0;
    Box::new(move |_, rows| {
        level = kept * level + 0.5 * (1.0 - kept * kept).sqrt() * rng.normal();
        values(rows, 500, |_| level + rng.normal());
    })
}

fn shifted(seed: u64, by: f64) -> Traffic {
    let mut rng = rng(seed);
    Box::new(move |_, rows| values(rows, 2_000, |candidate| rng.normal() + if candidate { by } else { 0.0 }))
}

/// Twenty features that share half of their variance.
fn correlated(seed: u64) -> Traffic {
    let mut rng = rng(seed);
    let draw = |rng: &mut Rng| {
        let common = rng.normal();
        [(); 20].map(|()| (common + rng.normal()) * std::f64::consts::FRAC_1_SQRT_2)
    };
    Box::new(move |_, rows| {
        for place in 0..1_000 {
            rows.push(place % 2 == 0, false, None, &draw(&mut rng));
        }
    })
}

/// One absurd value among those of one version in every window: what blinds bins that span the range.
fn outlier(seed: u64, candidate: bool, size: f64) -> Traffic {
    let mut rng = rng(seed);
    Box::new(move |_, rows| {
        values(rows, 500, |candidate| rng.normal() + if candidate { 1.0 } else { 0.0 });
        rows.push(candidate, false, None, &[size]);
    })
}
