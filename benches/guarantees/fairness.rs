//! Goals about groups of requests: containments of candidates whose gap is within the margin, and how soon wider ones
//! are contained.

use std::sync::Arc;

use haldane::plan::{Action, Fairness, GroupRate, Plan};

use crate::goal::{Goal, Sought, Target, Traffic, rng};
use crate::lab::{self, Rows};

/// By how much the gap may be wider.
const MARGIN: f64 = 0.03;
/// Rows of a window by group, candidate and baseline.
const ROWS: [[u32; 2]; 4] = [[250, 1_000], [125, 500], [75, 300], [50, 200]];
/// Shares of positive answers that the baseline version gives.
const SHARES: [f64; 4] = [0.25, 0.22, 0.22, 0.20];

const FALSE_CONTAINMENT: Goal = Goal {
    name: "",
    target: Target::Chance(0.01),
    sought: Sought::Restriction(Action::Contain),
    plan: answers,
    change: 0,
    windows: [6, 150, 150],
    rollouts: [1, 40, 500],
    traffic: |seed| groups(seed, SHARES),
};

const DETECTION: Goal =
    Goal { target: Target::Delay(13), windows: [6, 80, 150], rollouts: [1, 21, 201], ..FALSE_CONTAINMENT };

/// The rows of the suite.
pub(crate) const GOALS: &[Goal] = &[
    Goal { name: "groups as with the baseline version: contained", ..FALSE_CONTAINMENT },
    Goal {
        name: "largest difference of groups at its margin: contained",
        traffic: |seed| groups(seed, [SHARES[0] + MARGIN, SHARES[1], SHARES[2], SHARES[3]]),
        ..FALSE_CONTAINMENT
    },
    Goal {
        name: "all groups answered positively 10 points less: contained",
        traffic: |seed| groups(seed, SHARES.map(|share| share - 0.1)),
        ..FALSE_CONTAINMENT
    },
    Goal {
        name: "groups in another order, differences as large: contained",
        traffic: |seed| groups(seed, [SHARES[3], SHARES[1], SHARES[2], SHARES[0]]),
        ..FALSE_CONTAINMENT
    },
    Goal {
        name: "group of 10 % loses 8 points, 500:2000: windows",
        target: Target::Delay(42),
        traffic: |seed| losing(seed, 0.08),
        ..DETECTION
    },
    Goal { name: "group of 10 % loses 12 points, 500:2000: windows", traffic: |seed| losing(seed, 0.12), ..DETECTION },
    Goal {
        name: "group of 10 % loses 20 points, 500:2000: windows",
        target: Target::Delay(5),
        traffic: |seed| losing(seed, 0.20),
        ..DETECTION
    },
];

/// Groups are compared by their positive answers, and by nothing else: how many there are in all does not matter.
fn answers() -> Arc<Plan> {
    let fields = "    predicted_label: answer\n    segments: { group: group }\n";
    lab::plan_of(fields, "task: binary\n", &[], &|guards| {
        let fairness = Fairness { segment: "group".to_owned(), rate: GroupRate::PositiveRate, margin: MARGIN };
        (guards.fairness, guards.design_effect, guards.answers) = (vec![fairness], 1.0, 9.0);
    })
}

fn losing(seed: u64, points: f64) -> Traffic {
    groups(seed, [SHARES[0], SHARES[1], SHARES[2], SHARES[3] - points])
}

/// Windows in which the candidate gives these shares of positive answers.
fn groups(seed: u64, shares: [f64; 4]) -> Traffic {
    let mut rng = rng(seed);
    Box::new(move |_, rows| {
        for (group, n) in (0..).zip(ROWS) {
            let at = usize::try_from(group).unwrap_or(0);
            (0..n[0]).for_each(|_| push(rows, true, group, rng.chance(shares[at])));
            (0..n[1]).for_each(|_| push(rows, false, group, rng.chance(SHARES[at])));
        }
    })
}

fn push(rows: &mut Rows, candidate: bool, group: i32, positive: bool) {
    rows.push(candidate, false, None, &[]);
    rows.groups.push(group);
    rows.positive.push(i32::from(positive));
}
