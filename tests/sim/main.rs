//! `cargo sim`: the whole service over a model of brokers, stores and clocks that fail, every failure out of a seed.
//!
//! What runs is the service's own code, behind its ports (`haldane::kafka::ports`): here a model stands behind them, on
//! one thread, and time passes when the simulation says so. [README.md](README.md) tells what it showed.

#![expect(clippy::cast_precision_loss, reason = "times and counts of a small world")]

mod altered;
mod broker;
mod campaign;
mod check;
mod fate;
mod groups;
mod host;
mod kept;
mod objects;
mod once;
mod planted;
mod ports;
mod rng;
mod run;
mod scenario;

use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use crate::campaign::Campaign;
use crate::scenario::Scenario;

const USAGE: &str = "cargo sim OPTION

  --seeds A..B     these seeds
  --seconds N      random seeds, for so long
  --seed N         one seed, with everything that happened
  --crash-points   a small world, killed before and after each of its effects, and frozen after it
  --planted [NAME] bugs on purpose, or one of them: each must be found
  --table          what went wrong how often, and what came of it, over the seeds of --seeds
without any: a fixed share of all that, as CI runs it";

/// Seeds that CI runs.
const CI: Range<u64> = 0..50;
/// Every how many crash points one is tried in CI.
const CI_STRIDE: u64 = 61;
/// Seeds within which CI finds those bugs that a few seeds show.
const CI_PLANTED: u64 = 24;
/// Seeds within which a planted bug must be found.
const FOUND_WITHIN: u64 = 200;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|one| one == name);
    let value = |name: &str| Some(arguments[arguments.iter().position(|one| one == name)? + 1..].first()?.as_str());
    let seeds = value("--seeds").map(range);
    let fine = if has("--help") {
        println!("{USAGE}");
        true
    } else if has("--list") || arguments.first().is_some_and(|first| !first.starts_with("--") && !"sim".contains(first))
    {
        // A filter of other tests.
        true
    } else if let Some(seed) = value("--seed") {
        campaign::tell(&Scenario::of(number(seed)))
    } else if has("--crash-points") {
        campaign::crash_points(1)
    } else if has("--planted") {
        planted::find_all(&seeds.unwrap_or(0..FOUND_WITHIN), value("--planted").unwrap_or_default())
    } else if let Some(seconds) = value("--seconds") {
        Campaign::for_a_while(Duration::from_secs(number(seconds))).report()
    } else if let Some(seeds) = seeds {
        let campaign = Campaign::over(seeds);
        if has("--table") {
            println!("{}", campaign.table());
        }
        campaign.report()
    } else {
        campaign::crash_points(CI_STRIDE)
            & campaign::found_before()
            & Campaign::over(CI).report()
            & planted::find_plain(CI_PLANTED)
    };
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number\n{USAGE}"))
}

fn range(text: &str) -> Range<u64> {
    let (from, to) = text.split_once("..").unwrap_or_else(|| panic!("`{text}` is no range\n{USAGE}"));
    number(from)..number(to)
}
