//! What is told of a world in which ten faults overlap.

use haldane::detect::{LabelledStream, Recipe, StreamColumns};
use haldane::event::{EventKind, Micros, SECOND};
use haldane::plan::Signal;
use haldane::sim::{CROWD, ChangeScope, CrowdFault, SimulatedRollout};
use haldane::verdict::{Decision, Evidence};

const HOUR: Micros = 3600 * SECOND;
/// A window of a guard's evidence and two more: before, nothing speaks.
const KNOWN_AFTER: i64 = 3;

/// What was said of one world.
pub(crate) struct Told {
    /// All that was said, heartbeats aside.
    pub(crate) messages: Vec<String>,
    /// By fault: windows from when it could be known until it was told; `None` where it never was.
    pub(crate) delays: Vec<Option<i64>>,
    /// Numbers of a fault that were told again within a day.
    pub(crate) repeats: usize,
    /// Numbers that blame the candidate for what the world did, or the world for the candidate's.
    pub(crate) wrong_side: usize,
}

/// Judges the world of a seed.
pub(crate) fn tell(seed: u64, burn_windows: u32, rates: (u32, u32)) -> Told {
    let world = SimulatedRollout::crowded(seed, burn_windows, rates);
    let decisions = judge(&world);
    let said: Vec<&Decision> = decisions.iter().filter(|one| one.action != Signal::Heartbeat).collect();
    let line = |one: &&Decision| {
        let hour = (one.time - world.test_start()) / HOUR;
        format!("{hour:>4} h {} {}: {}", one.action.name(), one.candidate, one.reason.text)
    };
    Told {
        messages: said.iter().map(line).collect(),
        delays: CROWD.iter().map(|fault| delay(fault, &world, &said)).collect(),
        repeats: repeats(&said),
        wrong_side: said
            .iter()
            .flat_map(|one| one.evidence.iter().map(move |proof| (*one, proof)))
            .filter(|(one, proof)| is_wrong(one, proof, &world))
            .count(),
    }
}

fn judge(world: &SimulatedRollout) -> Vec<Decision> {
    let (predictions, outcomes) = world.tables();
    let layout = StreamColumns::of(&predictions.schema(), Some(&outcomes.schema())).expect("all columns are there");
    let recipe = Recipe::made(layout.pipeline("v1", "1h"), "v1").expect("a made pipeline is one");
    let tables = [(EventKind::Prediction, &predictions), (EventKind::Outcome, &outcomes)];
    let stream = LabelledStream::of_tables(recipe.reading(), &world.stream, &tables).expect("all columns are there");
    stream.replay(&recipe.plan(&stream).expect("the baseline version has a past")).0
}

/// Whether a number of a decision tells of a fault.
fn tells(fault: &CrowdFault, one: &Decision, proof: &Evidence) -> bool {
    let column =
        fault.column.is_empty() && ["", "latency_ms"].contains(&proof.column.as_str()) || fault.column == proof.column;
    column && fault.metrics.contains(&proof.metric.as_str()) && (fault.scope == ChangeScope::Both) == is_world(one)
}

fn is_world(one: &Decision) -> bool {
    one.candidate == one.baseline
}

fn delay(fault: &CrowdFault, world: &SimulatedRollout, said: &[&Decision]) -> Option<i64> {
    let hour = |one: &Decision| (one.time - world.test_start()) / HOUR;
    let first = said.iter().find(|one| {
        let during = (i64::from(fault.from) + 1..=i64::from(fault.until) + KNOWN_AFTER).contains(&hour(one));
        during && one.evidence.iter().any(|proof| tells(fault, one, proof))
    })?;
    Some(hour(first) - i64::from(fault.from) - KNOWN_AFTER)
}

/// Numbers that notes told twice within a day.
fn repeats(said: &[&Decision]) -> usize {
    let notes: Vec<&&Decision> = said.iter().filter(|one| matches!(one.action, Signal::Warn)).collect();
    let name = |one: &Decision, proof: &Evidence| {
        [one.candidate.as_str(), proof.rule.as_str(), &proof.metric, &proof.column, &proof.segment].map(str::to_owned)
    };
    let again = |place: usize, proof: &Evidence| {
        let (one, earlier) = (notes[place], &notes[..place]);
        let same = |other: &&&&Decision| {
            one.time - other.time < 24 * HOUR && other.evidence.iter().any(|told| name(other, told) == name(one, proof))
        };
        earlier.iter().any(|other| same(&other))
    };
    (0..notes.len()).map(|place| notes[place].evidence.iter().filter(|proof| again(place, proof)).count()).sum()
}

/// Whether a number is said of a side on which nothing is wrong at that time.
fn is_wrong(one: &Decision, proof: &Evidence, world: &SimulatedRollout) -> bool {
    let hour = (one.time - world.test_start()) / HOUR;
    let lately = |fault: &&CrowdFault| hour > i64::from(fault.from) && hour <= i64::from(fault.until) + 2 * KNOWN_AFTER;
    let same_thing = |fault: &&CrowdFault| {
        let latency = fault.metrics[0] == "latency_p50" && proof.column == "latency_ms";
        fault.metrics.contains(&proof.metric.as_str()) && (fault.column == proof.column || latency)
    };
    let mine: Vec<&CrowdFault> = CROWD.iter().filter(lately).filter(same_thing).collect();
    !mine.is_empty() && mine.iter().all(|fault| (fault.scope == ChangeScope::Both) != is_world(one))
}
