//! What haldane promises, held against seeded simulations: one row per goal, from events through the engine with a
//! pipeline that names nothing but its columns, and only those knobs turned that the goal names.
//!
//! `cargo bench --bench guarantees -- [--full] [--rollouts N] [--only PART_OF_A_NAME]`: the default takes some minutes
//! and simulates fewer and shorter rollouts than the published figures rest on; `--full` simulates as many, and
//! `--rollouts` no more than N of each.
//!
//! After the goals come two tables, of small windows and of absurd values: what distances alone say, and what evidence
//! does.
//!
//! A chance is met unless as many events, or more, would be seen in less than one of a hundred suites if it were
//! exactly what is promised. A delay is met when the median over all rollouts is.

#[path = "common/arguments.rs"]
mod arguments;
#[path = "guarantees/classes.rs"]
mod classes;
#[path = "guarantees/delays.rs"]
mod delays;
#[path = "guarantees/distances.rs"]
mod distances;
#[path = "guarantees/drift.rs"]
mod drift;
#[path = "guarantees/fairness.rs"]
mod fairness;
#[path = "guarantees/goal.rs"]
mod goal;
#[path = "common/lab.rs"]
mod lab;
#[path = "guarantees/measures.rs"]
mod measures;
#[path = "guarantees/rates.rs"]
mod rates;
#[path = "guarantees/shadow.rs"]
mod shadow;

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
    let goals =
        [rates::GOALS, measures::GOALS, fairness::GOALS, classes::GOALS, delays::GOALS, shadow::GOALS, drift::GOALS];
    let goals = goals.into_iter().flatten();
    let chosen: Vec<&Goal> = goals.filter(|goal| only.as_ref().is_none_or(|part| goal.name.contains(part))).collect();
    println!("{effort:?} effort; seeds are the number of the rollout, from 1");
    println!("{:<64} {:>12} {:>18}  verdict", "goal", "target", "ours");
    let missed = chosen.iter().filter(|goal| !goal.report(effort, rollouts_max)).count();
    println!("{missed} of {} goals missed", chosen.len());
    if only.is_none() {
        tables(effort);
    }
}

/// Small windows and absurd values, in figures.
fn tables(effort: Effort) {
    let streams = effort.of([1, 40, 400]);
    println!(
        "\nshare called different, % ({streams} references of 10,000 rows, 20 windows each; the mean is off by so many deviations)"
    );
    println!(
        "rows   off  index >= 0.1  debiased  index p <= 5 %  KS p <= 5 %  beyond 0.1 p <= 5 %  evidence of 20 windows"
    );
    for rows in [50, 100, 200, 500, 1000] {
        for off in [0.0, 0.5] {
            let called = distances::small_windows(rows, off, streams);
            let [bare, debiased, none] = [called.bare, called.debiased, called.above_none].map(|share| 100.0 * share);
            let [ks, tolerance, evidence] =
                [called.ks, called.above_tolerance, called.evidence].map(|share| 100.0 * share);
            println!(
                "{rows:>4} {off:>5} {bare:>13.1} {debiased:>9.1} {none:>15.1} {ks:>12.1} {tolerance:>20.1} {evidence:>23.1}"
            );
        }
    }
    println!("\ndistances of two samples of 20,000 rows a deviation apart, with absurd rows among the reference's");
    println!("   size  rows  exact KS  binned KS  on equal bins over the range     PSI");
    for size in [10.0, 1e3, 1e6, 1e12] {
        for outliers in [1, 20, 200] {
            let distances::Beside { exact, ks, equal_width, psi } = distances::beside_outliers(size, outliers);
            println!("{size:>7.0e} {outliers:>5} {exact:>9.4} {ks:>10.4} {equal_width:>29.5} {psi:>7.4}");
        }
    }
}
