//! How well changes are found, and how often healthy versions are blamed: made-up rollouts of every kind in
//! `haldane::sim`, each judged by the engine with a pipeline made of nothing but its columns' names, and scored as
//! `haldane detect` does.
//!
//! `cargo bench --bench detection -- [--streams N] [--seed S] [--kinds a,b] [--mini | --busy]`: N streams of every kind
//! (or of the kinds named; those that begin with `world_` only if they are named), seeded S, S + 1, …. A stream has 72
//! hours of the baseline version at 400 requests an hour and then 48 hours with a candidate at 100; with `--busy` ten
//! times as many, with `--mini` 24 hours at 200 and 30 with 60. `--alarms` prints whatever was said after a change.

#[path = "common/arguments.rs"]
mod arguments;

use arguments::{has, is_measuring, option};
use haldane::detect::{Alarm, DetectionScores, Label, LabelledStream, Recipe, StreamColumns};
use haldane::event::{EventKind, Micros};
use haldane::sim::{self, KINDS, Scenario, SimulatedRollout, Size, Tolerated, WORLD_KINDS};

const FULL: Size = Size { burn_windows: 72, test_windows: 48, baseline_rate: 400, candidate_rate: 100 };
const BUSY: Size = Size { baseline_rate: 4_000, candidate_rate: 1_000, ..FULL };
/// Windows between two false alarms that people put up with: 0.5 in a thousand.
const BETWEEN_FALSE_ALARMS: f64 = 2_000.0;
/// So many windows after a change it should have been told.
const TOLD_WITHIN: u32 = 6;
const TINY: Size = Size { burn_windows: 3, test_windows: 6, baseline_rate: 60, candidate_rate: 40 };

fn main() {
    let size = match (is_measuring(), has("--mini"), has("--busy")) {
        (false, ..) => TINY,
        (true, true, _) => Size::default(),
        (true, _, true) => BUSY,
        (true, ..) => FULL,
    };
    let streams: u64 = option("--streams").unwrap_or(if is_measuring() { 5 } else { 1 });
    let seed: u64 = option("--seed").unwrap_or(1);
    let kinds = kinds(option("--kinds"));
    println!("{} kinds, seeds {seed} to {}, {size:?}", kinds.len(), seed + streams - 1);
    let worlds =
        kinds.iter().flat_map(|kind| (seed..seed + streams).map(|seed| SimulatedRollout::new(kind, seed, size)));
    let worlds: Vec<SimulatedRollout> = worlds.collect();
    let (mut alarms, mut rows) = (Vec::new(), 0);
    let mut window = 0;
    for world in &worlds {
        let (recipe, stream) = stream(world);
        rows += stream.rows();
        window = recipe.window();
        alarms.extend(recipe.judge(&stream).expect("a made world fits a made pipeline"));
    }
    let labels: Vec<Label> = worlds.iter().map(Label::of).collect();
    print!("{}", DetectionScores::of(&labels, &alarms, window));
    println!("{rows} rows were made and judged");
    print_reasons(&labels, &alarms);
    print_reach(&kinds, &worlds, &labels, (&alarms, window));
    if has("--alarms") {
        print_alarms(&labels, &alarms, window);
    }
}

/// The kinds of these names, separated by commas; a name ending in `*` stands for all that start so.
fn kinds(names: Option<String>) -> Vec<&'static Scenario> {
    let Some(names) = names else {
        let all = if is_measuring() { KINDS } else { &KINDS[..2] };
        return all.iter().collect();
    };
    let of_name = |name: &str| match name.strip_suffix('*') {
        Some(start) => KINDS.iter().chain(WORLD_KINDS).filter(|kind| kind.name.starts_with(start)).collect(),
        None => vec![sim::kind(name).unwrap_or_else(|| panic!("no kind {name}"))],
    };
    names.split(',').flat_map(of_name).collect()
}

fn stream(world: &SimulatedRollout) -> (Recipe, LabelledStream) {
    let (predictions, outcomes) = world.tables();
    let layout = StreamColumns::of(&predictions.schema(), Some(&outcomes.schema())).expect("all columns are there");
    let recipe = Recipe::made(layout.pipeline("v1", "1h"), "v1").expect("a made pipeline is one");
    let tables = [(EventKind::Prediction, &predictions), (EventKind::Outcome, &outcomes)];
    let stream = LabelledStream::of_tables(recipe.reading(), &world.stream, &tables).expect("all columns are there");
    (recipe, stream)
}

/// What was said of streams in which nothing was to be said: where to look when false alarms are too many.
fn print_reasons(labels: &[Label], alarms: &[Alarm]) {
    for label in labels {
        let wrong = alarms.iter().filter(|alarm| alarm.stream == label.stream && alarm.restricts());
        for alarm in wrong.filter(|alarm| alarm.time <= label.healthy_until()) {
            println!("false: {} {} {} of {}", alarm.stream, alarm.reason, alarm.action, alarm.scope);
        }
    }
}

/// Which changes of the world are within reach: of which the best test would tell 95 of 100 in time; and how many of
/// these are told in time.
fn print_reach(
    kinds: &[&'static Scenario],
    worlds: &[SimulatedRollout],
    labels: &[Label],
    (alarms, window): (&[Alarm], Micros),
) {
    let needed = sim::nats_to_tell(BETWEEN_FALSE_ALARMS);
    let (mut in_time, mut streams) = (0, 0);
    for kind in kinds.iter().filter(|kind| kind.name.starts_with("world_")) {
        let nats =
            |world: &SimulatedRollout| sim::nats(kind, &world.usual_requests(TOLD_WITHIN)?, Tolerated::BY_DEFAULT);
        let of_kind = worlds.iter().zip(labels).filter(|(world, _)| world.kind.name == kind.name);
        let within = of_kind.filter(|(world, _)| nats(world).is_some_and(|nats| nats >= needed));
        let within: Vec<Label> = within.map(|(_, label)| label.clone()).collect();
        if within.is_empty() {
            continue;
        }
        let told = DetectionScores::of(&within, alarms, window).all().told;
        let soon = told.iter().filter(|delay| **delay < TOLD_WITHIN).count();
        println!("within reach: {}: {soon} of {} told within {TOLD_WITHIN} windows", kind.name, within.len());
        (in_time, streams) = (in_time + soon, streams + within.len());
    }
    if streams > 0 {
        println!("within reach, with {needed:.1} nats or more, and told: {in_time} of {streams}");
    }
}

/// What was said of each stream, in windows after its change.
fn print_alarms(labels: &[Label], alarms: &[Alarm], window: Micros) {
    for label in labels {
        let of_stream = alarms.iter().filter(|alarm| alarm.stream == label.stream);
        let since = |alarm: &Alarm| (alarm.time - label.healthy_until() - 1).div_euclid(window);
        of_stream.for_each(|alarm| {
            println!("{} +{}: {} {} of {}", alarm.stream, since(alarm), alarm.reason, alarm.action, alarm.scope);
        });
    }
}
