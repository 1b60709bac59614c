//! What haldane promises, held against seeded simulations: one row per goal, from events through the engine with a pipeline
//! that names nothing but its columns, and only those knobs turned that the goal names.
//!
//! `cargo bench --bench guarantees -- [--full] [--rollouts N] [--only PART_OF_A_NAME]`: the default takes some minutes and simulates fewer and shorter
//! rollouts than the published figures rest on; `--full` simulates as many, and `--rollouts` no more than N of each.
//!
//! A chance is met unless as many events, or more, would be seen in less than one of a hundred suites if it were exactly what is
//! promised. A delay is met when the median over all rollouts is.

#[path = "common/arguments.rs"]
mod arguments;
#[path = "guarantees/drift.rs"]
mod drift;
#[path = "guarantees/goal.rs"]
mod goal;
#[path = "common/lab.rs"]
mod lab;
#[path = "guarantees/rates.rs"]
mod rates;

use arguments::{has, is_measuring, option};
use goal::{Effort, Goal};

fn main() {
    let effort = match (is_measuring(), has("--full")) {
        (false, _) => Effort::Tiny,
        (true, false) => Effort::Fast,
        (true, true) => Effort::Full,
    };
    let only: Option<String> = option("--only");
    let rollouts_max = option("--rollouts").unwrap_or(u32::MAX);
    let goals = rates::GOALS.iter().chain(drift::GOALS);
    let chosen: Vec<&Goal> = goals.filter(|goal| only.as_ref().is_none_or(|part| goal.name.contains(part))).collect();
    println!("{effort:?} effort; seeds are the number of the rollout, from 1");
    println!("{:<64} {:>12} {:>18}  verdict", "goal", "target", "ours");
    let missed = chosen.iter().filter(|goal| !goal.report(effort, rollouts_max)).count();
    println!("{missed} of {} goals missed", chosen.len());
}
