//! Goals about classes: rollbacks of candidates that err in no class more than its margin allows, and how soon those
//! that fail in one of a hundred classes are found.

use std::sync::Arc;

use haldane::plan::{Action, Plan};
use haldane::sim::Rng;

use crate::goal::{Goal, Sought, Target, Traffic, rng};
use crate::lab;

/// Classes, the k-th of which has a share of 1 / k of the first one's labels.
const CLASSES: usize = 100;
/// Labels of a version and window.
const LABELS: u32 = 1_000;
/// Share of labels that is answered with another class.
const MISSED: f64 = 0.1;

const FALSE_ROLLBACK: Goal = Goal {
    name: "",
    target: Target::Chance(0.01),
    sought: Sought::Restriction(Action::Rollback),
    plan: labels,
    change: 0,
    windows: [4, 150, 150],
    rollouts: [1, 30, 300],
    traffic: |seed| worse(seed, 0, |_| 1.0),
};

const DETECTION: Goal =
    Goal { target: Target::Delay(6), change: 3, windows: [4, 80, 150], rollouts: [1, 15, 101], ..FALSE_ROLLBACK };

/// The rows of the suite.
pub(crate) const GOALS: &[Goal] = &[
    Goal { name: "100 classes, missed as often: rolled back", ..FALSE_ROLLBACK },
    Goal {
        name: "each of 100 classes missed 1.2 times as often: rolled back",
        traffic: |seed| worse(seed, 0, |_| 1.2),
        ..FALSE_ROLLBACK
    },
    Goal {
        name: "class of 3.9 % missed 4 times as often, 1,000 labels: windows",
        traffic: |seed| worse(seed, 3, |class| if class == 4 { 4.0 } else { 1.0 }),
        ..DETECTION
    },
    Goal {
        name: "class of 1.0 % missed 4 times as often, 1,000 labels: windows",
        target: Target::Delay(19),
        traffic: |seed| worse(seed, 3, |class| if class == 19 { 4.0 } else { 1.0 }),
        ..DETECTION
    },
    Goal {
        name: "class of 0.3 % missed 4 times as often, 1,000 labels: windows",
        target: Target::Delay(60),
        windows: [4, 120, 200],
        traffic: |seed| worse(seed, 3, |class| if class == 59 { 4.0 } else { 1.0 }),
        ..DETECTION
    },
    Goal {
        name: "each of 100 classes missed 1.4 times as often: windows",
        target: Target::Delay(14),
        traffic: |seed| worse(seed, 3, |_| 1.4),
        ..DETECTION
    },
];

/// Answers are classes without scores, and each prediction carries its label, which nothing waits for.
fn labels() -> Arc<Plan> {
    let fields = "    predicted_label: answer\n    label: truth\n";
    lab::plan_of(fields, "task: multiclass\nlabels: { wait: 0s }\n", &[], &|guards| guards.design_effect = 1.0)
}

/// Windows in which the candidate misses classes so many times as often as the baseline version, from a window on.
fn worse(seed: u64, from: u32, times: fn(usize) -> f64) -> Traffic {
    let mut rng = rng(seed);
    let drawn = Zipf::new();
    Box::new(move |window, rows| {
        for candidate in [true, false] {
            for _ in 0..LABELS {
                let truth = drawn.class(&mut rng);
                let times = if candidate && window >= from { times(truth) } else { 1.0 };
                let answer = if rng.chance(MISSED * times) { drawn.other(truth, &mut rng) } else { truth };
                rows.push(candidate, false, None, &[]);
                rows.classes.push([truth, answer]);
            }
        }
    })
}

/// Classes by their shares.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new() -> Self {
        let mut below = 0.0;
        let upto = |class: usize| {
            below += 1.0 / f64::from(u32::try_from(class).expect("few classes"));
            below
        };
        Self((1..=CLASSES).map(upto).collect())
    }

    fn class(&self, rng: &mut Rng) -> usize {
        let at = rng.unit() * self.0[CLASSES - 1];
        self.0.partition_point(|upto| *upto <= at)
    }

    fn other(&self, than: usize, rng: &mut Rng) -> usize {
        std::iter::repeat_with(|| self.class(rng)).find(|class| *class != than).expect("there are others")
    }
}
