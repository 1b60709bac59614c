//! Many simulations, and what became of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use haldane::kafka::clock::{now, wall_clock};

use crate::check::{self, Findings};
use crate::planted::Bug;
use crate::run;
use crate::scenario::{self, Interruption, Roles, Scenario, Way};

/// Seeds that showed faults of the service, which are mended since.
const FOUND: [(&str, u64); 13] = [
    ("a judge that came back published the states that it had held back for a store, without what led to them", 4),
    ("a machine's calendar jumped, and windows did not wait for partitions that had spoken a moment ago", 6),
    ("a result was lost between a state and its crash, and the command's place with it", 22),
    ("labels of a partition that had been passed came when nothing was kept for them any more", 54),
    ("a process that woke up went on with what another one had said", 75),
    ("a new command came before the decision that a crash had left without its state", 88),
    ("a process that was frozen in the middle of a turn published the rest of it", 97),
    ("a command that was delivered twice was carried out at two places", 116),
    ("a command was let go of while it waited", 238),
    ("a command's decision was there without the result that tells its place", 392),
    ("a record that came again ended the windows that deleted records were missed in", 640),
    ("a judge that had committed nothing yet could not ask whether it was replaced", 715),
    ("a new command came before one that waited for its place", 730),
];

/// What one simulation showed.
pub(crate) struct Outcome {
    pub(crate) findings: Findings,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) effects: u64,
    pub(crate) trace: Vec<String>,
    /// What stands on the topics in the end.
    pub(crate) published: Vec<String>,
}

/// Runs a scenario and checks what it left behind.
pub(crate) fn simulate(scenario: &Scenario, bug: Option<Bug>, traced: bool) -> Outcome {
    let (traffic, predictions) = scenario::traffic(scenario);
    let left = run::run(scenario, traffic, bug, traced);
    let findings = check::check(&left, &predictions);
    let published = if traced { check::listed(&left.world) } else { Vec::new() };
    let world = left.world;
    Outcome {
        published,
        findings,
        faults: world.faults,
        effects: world.effects,
        trace: world.trace.unwrap_or_default(),
    }
}

/// Tells all that happened in one simulation. Whether it is fine.
pub(crate) fn tell(scenario: &Scenario) -> bool {
    let outcome = simulate(scenario, None, true);
    println!("{scenario:#?}");
    outcome.trace.iter().for_each(|line| println!("{line}"));
    println!("{:?}", outcome.faults);
    outcome.published.iter().for_each(|line| println!("{line}"));
    outcome.findings.lines().for_each(|line| println!("{line}"));
    outcome.findings.is_empty()
}

/// Runs the seeds that have shown something before. Whether all are fine.
pub(crate) fn found_before() -> bool {
    let shows = |(what, seed): &(&str, u64)| {
        let findings = simulate(&Scenario::of(*seed), None, false).findings;
        findings.lines().for_each(|line| println!("{what} (seed {seed}): {line}"));
        !findings.is_empty()
    };
    let n = FOUND.iter().filter(|one| shows(one)).count();
    println!("{} seeds that showed something before: {n} do again", FOUND.len());
    n == 0
}

/// What became of a fault, over all simulations in which it was injected.
#[derive(Debug, Default)]
struct Row {
    injected: u64,
    seeds: u64,
    lost: usize,
    doubled: usize,
    wrong: usize,
}

/// Simulations one after the other.
#[derive(Default)]
pub(crate) struct Campaign {
    seeds: u64,
    effects: u64,
    rows: BTreeMap<&'static str, Row>,
    failed: Vec<u64>,
}

impl Campaign {
    /// Runs these seeds.
    pub(crate) fn over(seeds: Range<u64>) -> Self {
        let mut campaign = Self::default();
        seeds.for_each(|seed| campaign.run(seed));
        campaign
    }

    /// Runs random seeds for a while.
    pub(crate) fn for_a_while(span: Duration) -> Self {
        let (mut campaign, begun) = (Self::default(), now());
        let mut seed = wall_clock().unsigned_abs();
        while begun.elapsed() < span {
            seed += 1;
            campaign.run(seed);
        }
        campaign
    }

    fn run(&mut self, seed: u64) {
        let outcome = simulate(&Scenario::of(seed), None, false);
        self.seeds += 1;
        self.effects += outcome.effects;
        let Findings { lost, doubled, wrong } = &outcome.findings;
        for (fault, injected) in outcome.faults {
            let row = self.rows.entry(fault).or_default();
            row.injected += injected;
            row.seeds += 1;
            row.lost += lost.len();
            row.doubled += doubled.len();
            row.wrong += wrong.len();
        }
        if !outcome.findings.is_empty() {
            self.failed.push(seed);
            println!("seed {seed} fails; `cargo sim --seed {seed}` shows it again:");
            for line in outcome.findings.lines() {
                println!("  {}", line.chars().take(400).collect::<String>());
            }
        }
    }

    /// Says how it went. Whether all is fine.
    pub(crate) fn report(&self) -> bool {
        let injected: u64 = self.rows.values().map(|row| row.injected).sum();
        println!(
            "{} simulations, {} effects, {injected} faults: {} failed {:?}",
            self.seeds,
            self.effects,
            self.failed.len(),
            self.failed
        );
        self.failed.is_empty()
    }

    /// Faults, and what came of them, as Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "| fault | injected | simulations of {} | lost | doubled | wrong |\n|---|---|---|---|---|---|\n",
            self.seeds
        );
        for (fault, Row { injected, seeds, lost, doubled, wrong }) in &self.rows {
            writeln!(text, "| {fault} | {injected} | {seeds} | {lost} | {doubled} | {wrong} |").expect("a text");
        }
        text
    }
}

/// Interrupts a small world at each of its effects, for every division of the work: it is killed before the effect,
/// killed after it, or frozen after it. Of these points every so many is tried. Whether all is fine.
pub(crate) fn crash_points(stride: u64) -> bool {
    let worlds = [(Roles::All(2), true), (Roles::Apart(2, 2), true), (Roles::All(1), false)];
    let fine = worlds.map(|(roles, store)| {
        let calm = Scenario { roles, store, commands: true, partitions: 2, shards: 1, ..Scenario::of(7).calm() };
        let effects = simulate(&calm, None, false).effects;
        let points: Vec<u64> = (1..=effects).step_by(usize::try_from(stride).expect("a stride")).collect();
        let failed = points.iter().filter(|&&effect| !stands(&calm, effect)).count();
        let (tried, store) = (points.len(), if store { "with a store" } else { "without a store" });
        println!("{roles:?}, {store}: interrupted at {tried} of {effects} effects: {failed} failed");
        failed == 0
    });
    !fine.contains(&false)
}

/// Whether a world stands every way to interrupt it at an effect.
fn stands(calm: &Scenario, effect: u64) -> bool {
    let fine = [Way::KilledBefore, Way::KilledAfter, Way::Frozen].map(|way| {
        let scenario = Scenario { interrupted: Some(Interruption { effect, way }), ..calm.clone() };
        let findings = simulate(&scenario, None, false).findings;
        findings.lines().for_each(|line| {
            println!("{:?}, {way:?} at effect {effect}: {}", calm.roles, line.chars().take(400).collect::<String>());
        });
        findings.is_empty()
    });
    !fine.contains(&false)
}
