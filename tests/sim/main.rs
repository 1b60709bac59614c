//! `cargo sim`: the whole service over a model of brokers, stores and clocks that fail, every failure out of a seed.

mod broker;
mod check;
mod kept;
mod objects;
mod planted;
mod ports;
mod rng;
mod run;
mod scenario;

use std::process::ExitCode;

use crate::check::Findings;
use crate::scenario::Scenario;

fn one(scenario: &Scenario, traced: bool) -> (Findings, run::Left) {
    let (traffic, predictions) = scenario::traffic(scenario);
    let left = run::run(scenario, traffic, None, traced);
    let findings = check::check(&left, &predictions);
    (findings, left)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    if let Some(seed) = option("--seed") {
        let scenario = Scenario::of(seed.parse().expect("a number"));
        let scenario = if arguments.iter().any(|one| one == "--calm") { scenario.calm() } else { scenario };
        println!("{scenario:?}");
        let (findings, left) = one(&scenario, true);
        left.world.trace.iter().flatten().for_each(|line| println!("{line}"));
        findings.lines().for_each(|line| println!("{line}"));
        println!("{:?}", left.world.faults);
        return if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let seeds = option("--seeds").map_or("0..20", String::as_str);
    let (from, to) = seeds.split_once("..").expect("A..B");
    let (from, to): (u64, u64) = (from.parse().expect("a number"), to.parse().expect("a number"));
    let mut failed = 0;
    for seed in from..to {
        let scenario = Scenario::of(seed);
        let scenario = if arguments.iter().any(|one| one == "--calm") { scenario.calm() } else { scenario };
        let begun = haldane::kafka::clock::now();
        let (findings, left) = one(&scenario, false);
        let took = begun.elapsed();
        println!(
            "seed {seed}: {} effects, {} ms, {}",
            left.world.effects,
            took.as_millis(),
            if findings.is_empty() { "fine" } else { "FAILS" }
        );
        for line in findings.lines() {
            println!("  {}", line.chars().take(300).collect::<String>());
            failed += 1;
        }
    }
    println!("{failed} findings");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
