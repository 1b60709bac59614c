//! Goals about labels that come later for one class than for the other: no verdict may rest on them, those that come
//! alike must go on to speak, and what delays of no account do to a ratio of losses.
//!
//! The truth is drawn by its chance, whose logit is normal around -0.77, and the baseline version's score is that
//! chance. Of each class a share of labels has come in time; the others never do.

use std::sync::Arc;

use haldane::plan::{Action, Plan};
use haldane::sim::Rng;

use crate::goal::{Goal, Sought, Target, Traffic, rng};
use crate::lab::{self, Rows};

/// What a candidate is: for how many windows the baseline version has been alone, rows of the candidate and of the
/// baseline version in a window, by how much its scores are moved on the logit's scale, and the shares of positive and
/// negative labels that have come.
#[derive(Clone, Copy)]
struct World {
    alone: u32,
    rows: [u32; 2],
    moved: f64,
    came: [f64; 2],
}

const ALIKE: World = World { alone: 0, rows: [500, 500], moved: 0.0, came: [1.0, 1.0] };
const SMALL: World = World { rows: [60, 200], ..ALIKE };
const AFTER_A_DAY: World = World { alone: 24, ..ALIKE };
const SMALL_AFTER_DAYS: World = World { alone: 48, ..SMALL };

const SILENCED: Goal = Goal {
    name: "",
    target: Target::Chance(0.01),
    sought: Sought::Bias,
    plan: labels,
    change: 0,
    windows: [4, 100, 288],
    rollouts: [1, 60, 500],
    traffic: |seed| world(seed, ALIKE),
};

/// No verdict from labels that are biased.
const VERDICT: Goal = Goal {
    target: Target::Chance(0.0),
    sought: Sought::Restriction(Action::Contain),
    rollouts: [1, 40, 300],
    ..SILENCED
};

const DETECTION: Goal = Goal { target: Target::Delay(5), windows: [4, 60, 100], rollouts: [1, 31, 101], ..VERDICT };

/// The rows of the suite.
pub(crate) const GOALS: &[Goal] = &[
    Goal {
        name: "labels .42/.90 by class, scores higher: judged by them",
        traffic: |seed| world(seed, World { moved: 0.6, came: [0.42, 0.9], ..ALIKE }),
        ..VERDICT
    },
    Goal {
        name: "labels .42/.90 by class, the same scores: judged by them",
        traffic: |seed| world(seed, World { came: [0.42, 0.9], ..ALIKE }),
        ..VERDICT
    },
    Goal {
        name: "labels .42/.90 by class, scores lower: passes",
        sought: Sought::Permission,
        traffic: |seed| world(seed, World { moved: -0.6, came: [0.42, 0.9], ..ALIKE }),
        ..VERDICT
    },
    Goal {
        name: "labels .42/.90 by class, 60:200 rows, scores higher: judged by them",
        traffic: |seed| world(seed, World { moved: 0.6, came: [0.42, 0.9], ..SMALL }),
        ..VERDICT
    },
    Goal {
        name: "labels .42/.90 by class, 60:200 rows, the same scores: judged by them",
        traffic: |seed| world(seed, World { came: [0.42, 0.9], ..SMALL }),
        ..VERDICT
    },
    Goal {
        name: "labels .42/.90 by class, 500:50 rows, the same scores: judged by them",
        traffic: |seed| world(seed, World { rows: [500, 50], came: [0.42, 0.9], ..SMALL }),
        ..VERDICT
    },
    Goal {
        name: "labels .80/.95 by class, scores higher after 24 windows: judged by them",
        traffic: |seed| world(seed, World { moved: 0.3, came: [0.8, 0.95], ..AFTER_A_DAY }),
        ..VERDICT
    },
    Goal {
        name: "labels .80/.95 by class, scores lower after 24 windows: passes",
        sought: Sought::Permission,
        traffic: |seed| world(seed, World { moved: -0.6, came: [0.8, 0.95], ..AFTER_A_DAY }),
        ..VERDICT
    },
    Goal {
        name: "labels .80/.95 by class, 60:200 rows, scores higher after 48: judged by them",
        windows: [4, 148, 288],
        traffic: |seed| world(seed, World { moved: 0.6, came: [0.8, 0.95], ..SMALL_AFTER_DAYS }),
        ..VERDICT
    },
    Goal {
        name: "labels .80/.95 by class, the same scores: judged by them",
        traffic: |seed| world(seed, World { came: [0.8, 0.95], ..ALIKE }),
        ..VERDICT
    },
    Goal {
        name: "labels .80/.95 by class, 60:200 rows, the same scores: judged by them",
        traffic: |seed| world(seed, World { came: [0.8, 0.95], ..SMALL }),
        ..VERDICT
    },
    Goal {
        name: "labels .80/.95 by class, 5000:5000 rows, the same scores: judged by them",
        windows: [4, 20, 60],
        rollouts: [1, 10, 30],
        traffic: |seed| world(seed, World { rows: [5_000, 5_000], came: [0.8, 0.95], ..ALIKE }),
        ..VERDICT
    },
    Goal {
        name: "labels .42/.90 by class: silenced, windows",
        target: Target::Delay(3),
        sought: Sought::Bias,
        traffic: |seed| world(seed, World { came: [0.42, 0.9], ..ALIKE }),
        ..DETECTION
    },
    Goal {
        name: "labels .80/.95 by class: silenced, windows",
        target: Target::Delay(10),
        sought: Sought::Bias,
        traffic: |seed| world(seed, World { came: [0.8, 0.95], ..ALIKE }),
        ..DETECTION
    },
    Goal {
        name: "labels .42/.90 by class, 60:200 rows: silenced, windows",
        target: Target::Delay(12),
        sought: Sought::Bias,
        traffic: |seed| world(seed, World { came: [0.42, 0.9], ..SMALL }),
        ..DETECTION
    },
    Goal {
        name: "labels .80/.95 by class, 60:200 rows: silenced, windows",
        target: Target::Delay(60),
        windows: [4, 150, 288],
        sought: Sought::Bias,
        traffic: |seed| world(seed, World { came: [0.8, 0.95], ..SMALL }),
        ..DETECTION
    },
    Goal {
        name: "labels .97/.99 by class: silenced",
        traffic: |seed| world(seed, World { came: [0.97, 0.99], ..ALIKE }),
        ..SILENCED
    },
    Goal {
        name: "labels .97/.99 by class, 5000:5000 rows: silenced",
        windows: [4, 20, 60],
        rollouts: [1, 10, 30],
        traffic: |seed| world(seed, World { rows: [5_000, 5_000], came: [0.97, 0.99], ..ALIKE }),
        ..SILENCED
    },
    Goal {
        name: "labels .97/.99 by class, scores higher: contained, windows",
        traffic: |seed| world(seed, World { moved: 0.6, came: [0.97, 0.99], ..ALIKE }),
        ..DETECTION
    },
    Goal { name: "labels all there: silenced", ..SILENCED },
    Goal {
        name: "labels .70 of either class: silenced",
        traffic: |seed| world(seed, World { came: [0.7, 0.7], ..ALIKE }),
        ..SILENCED
    },
    Goal {
        name: "labels .70 of either class, 60:200 rows: silenced",
        traffic: |seed| world(seed, World { came: [0.7, 0.7], ..SMALL }),
        ..SILENCED
    },
    Goal {
        name: "labels .95 of either class, 5000:5000 rows: silenced",
        windows: [4, 20, 60],
        rollouts: [1, 10, 30],
        traffic: |seed| world(seed, World { rows: [5_000, 5_000], came: [0.95, 0.95], ..ALIKE }),
        ..SILENCED
    },
    Goal {
        name: "labels .70 of either class, scores higher: contained, windows",
        target: Target::Delay(4),
        traffic: |seed| world(seed, World { moved: 0.6, came: [0.7, 0.7], ..ALIKE }),
        ..DETECTION
    },
    Goal {
        name: "labels .70 of either class, scores higher: rolled back, windows",
        target: Target::Delay(28),
        sought: Sought::Restriction(Action::Rollback),
        traffic: |seed| world(seed, World { moved: 0.9, came: [0.7, 0.7], ..ALIKE }),
        ..DETECTION
    },
    Goal {
        name: "labels .70 of either class, 60:200 rows, scores higher: contained, windows",
        target: Target::Delay(10),
        traffic: |seed| world(seed, World { moved: 0.6, came: [0.7, 0.7], ..SMALL }),
        ..DETECTION
    },
];

/// Answers may move as they like: what is looked for is what labels say.
fn labels() -> Arc<Plan> {
    let fields = "    score: score\n    label: label\n";
    lab::plan_of(fields, "task: binary\nlabels: { wait: 0s }\n", &[], &|guards| {
        (guards.design_effect, guards.answers) = (1.0, 1.0);
    })
}

/// Windows of a world.
fn world(seed: u64, world: World) -> Traffic {
    let mut rng = rng(seed);
    Box::new(move |window, rows| {
        let candidate = if window < world.alone { 0 } else { world.rows[0] };
        (0..candidate).for_each(|_| push(rows, true, world, &mut rng));
        (0..world.rows[1]).for_each(|_| push(rows, false, World { moved: 0.0, ..world }, &mut rng));
    })
}

fn push(rows: &mut Rows, candidate: bool, world: World, rng: &mut Rng) {
    let logit = rng.normal() - 0.77;
    let truth = rng.chance(logistic(logit));
    let came = rng.chance(world.came[usize::from(!truth)]);
    rows.push(candidate, false, None, &[logistic(logit + world.moved)]);
    rows.labels.push(came.then_some(f64::from(u8::from(truth))));
}

fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-logit))
}
