//! Goals about a shadow, which answers the baseline version's requests: rollbacks of one that errs as often or at its
//! margin, and how soon one that errs more often is found, the more so the more both err on the same requests.

use std::sync::Arc;

use haldane::plan::{Action, Plan};

use crate::goal::{Goal, Sought, Target, Traffic, rng};
use crate::lab;

/// How often the shadow and the baseline version err, and the correlation of their errors.
#[derive(Clone, Copy)]
struct World {
    rates: [f64; 2],
    correlation: f64,
}

const ALIKE: World = World { rates: [0.1, 0.1], correlation: 0.8 };
const WORSE: World = World { rates: [0.12, 0.1], correlation: 0.8 };

const FALSE_ROLLBACK: Goal = Goal {
    name: "",
    target: Target::Chance(0.01),
    sought: Sought::Restriction(Action::Rollback),
    plan: || labels(1.0),
    change: 0,
    windows: [4, 200, 288],
    rollouts: [1, 40, 300],
    traffic: |seed| world(seed, ALIKE),
};

const DETECTION: Goal =
    Goal { target: Target::Delay(15), windows: [4, 120, 200], rollouts: [1, 21, 101], ..FALSE_ROLLBACK };

/// The rows of the suite.
pub(crate) const GOALS: &[Goal] = &[
    Goal { name: "shadow, 100 pairs, errs as often: rolled back", ..FALSE_ROLLBACK },
    Goal {
        name: "shadow, 100 pairs, at its margin of 1.1: rolled back",
        plan: || labels(1.1),
        traffic: |seed| world(seed, World { rates: [0.11, 0.1], correlation: 0.9 }),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "shadow, 100 pairs, worse by a fifth: passes",
        target: Target::Chance(0.05),
        sought: Sought::Permission,
        plan: || labels(1.05),
        traffic: |seed| world(seed, WORSE),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "shadow, 100 pairs, 12 % errors to 10 %, correlation .5: windows",
        target: Target::Delay(36),
        traffic: |seed| world(seed, World { correlation: 0.5, ..WORSE }),
        ..DETECTION
    },
    Goal {
        name: "shadow, 100 pairs, 12 % errors to 10 %, correlation .8: windows",
        traffic: |seed| world(seed, WORSE),
        ..DETECTION
    },
    Goal {
        name: "shadow, 100 pairs, 12 % errors to 10 %, correlation .9: windows",
        target: Target::Delay(9),
        traffic: |seed| world(seed, World { correlation: 0.9, ..WORSE }),
        ..DETECTION
    },
];

/// Each answer carries its label, which nothing waits for; of errors so many times as many are tolerated.
fn labels(margin: f64) -> Arc<Plan> {
    let fields = "    predicted_label: answer\n    label: truth\n";
    let sections = "task: multiclass\nlabels: { wait: 0s }\nshadow: { share: 100%, wait: 30s }\n";
    let mut plan = lab::plan_of(fields, sections, &[], &|guards| guards.design_effect = 1.0);
    Arc::make_mut(&mut plan).shadow.as_mut().expect("a shadow").margin = margin;
    plan
}

/// A hundred requests a window of ten classes, each answered by both versions.
fn world(seed: u64, World { rates: [mine, baseline], correlation }: World) -> Traffic {
    let mut rng = rng(seed);
    let both = mine * baseline + correlation * (mine * (1.0 - mine) * baseline * (1.0 - baseline)).sqrt();
    Box::new(move |_, rows| {
        rows.is_mirrored = true;
        for request in 0..100 {
            let u = rng.unit();
            let wrong = [u < mine, u < both || (mine..mine + baseline - both).contains(&u)];
            for (is_candidate, is_wrong) in [true, false].into_iter().zip(wrong) {
                rows.push(is_candidate, false, None, &[]);
                rows.classes.push([request % 10, (request + usize::from(is_wrong)) % 10]);
            }
        }
    })
}
